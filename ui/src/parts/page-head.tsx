import { Link, type LinkProps } from "@tanstack/react-router";
import type { ReactNode } from "react";
import { useTitle } from "~/app/title";

/** A step on the way to a page. */
export interface Crumb {
  name: string;
  link: LinkProps;
}

/** The head of a page: where it stands, what it is, and what can be done with it. It names the page, too. */
export function PageHead({
  title,
  heading,
  crumbs = [],
  note,
  actions,
}: {
  title: string;
  heading?: ReactNode;
  crumbs?: Crumb[];
  note?: ReactNode;
  actions?: ReactNode;
}) {
  useTitle(title);
  return (
    <div className="flex flex-wrap items-end gap-x-6 gap-y-3">
      <div className="min-w-0 flex-1 basis-72">
        {crumbs.length > 0 ? (
          <nav aria-label="Breadcrumb">
            <ol className="flex flex-wrap items-center gap-x-1.5 text-sm text-muted">
              {crumbs.map((crumb) => (
                <li key={crumb.name} className="flex items-center gap-1.5">
                  <Link {...crumb.link} className="link inline-flex min-h-6 items-center">
                    {crumb.name}
                  </Link>
                  <span aria-hidden="true">/</span>
                </li>
              ))}
            </ol>
          </nav>
        ) : null}
        <h1 className="wrap-anywhere">{heading ?? title}</h1>
        {note ? <div className="mt-1 text-sm text-muted">{note}</div> : null}
      </div>
      {actions ? <div className="flex flex-wrap items-center gap-2">{actions}</div> : null}
    </div>
  );
}

/** Tabs whose choice is in the address. They are links, so each opens in a new tab of the browser, too. */
export function Tabs<T extends string>({
  label,
  tabs,
  current,
  link,
}: {
  label: string;
  tabs: readonly { id: T; name: ReactNode }[];
  current: T;
  link: (tab: T) => LinkProps;
}) {
  return (
    <nav aria-label={label} className="-mb-px overflow-x-auto">
      <ul className="flex gap-1 border-b">
        {tabs.map((tab) => (
          <li key={tab.id}>
            <Link
              {...link(tab.id)}
              resetScroll={false}
              aria-current={tab.id === current ? "page" : undefined}
              className={`inline-flex min-h-9 items-center gap-1.5 border-b-2 px-2.5 text-sm whitespace-nowrap ${tab.id === current ? "border-accent font-medium text-accent" : "border-transparent text-muted hover:text-ink"}`}
            >
              {tab.name}
            </Link>
          </li>
        ))}
      </ul>
    </nav>
  );
}
