import { useQuery, useQueryClient } from "@tanstack/react-query";
import { Link, Outlet, useMatchRoute, useNavigate, useRouter } from "@tanstack/react-router";
import { type ReactNode, Suspense, useEffect, useMemo, useState } from "react";
import { Follower } from "~/api/live";
import { dashboardQuery } from "~/api/queries";
import { identityQuery, mayAdmin } from "~/api/session";
import { count, counted } from "~/lib/numbers";
import { Empty } from "~/parts/basics";
import { Icon, type IconName } from "~/parts/icons";
import { lazy } from "~/parts/lazy";
import { Toasts } from "~/parts/toast";
import { Announcer } from "./announcer";
import { Away } from "./away";
import { followKeys, useKeys } from "./keys";
import { LiveBadge } from "./live-badge";
import { lastNamespace, useNs } from "./namespace";
import { UserMenu } from "./user-menu";

const Palette = lazy(() => import("./palette").then((module) => ({ default: module.Palette })));
const Help = lazy(() => import("./help").then((module) => ({ default: module.Help })));

/** The frame around every page of a namespace: top bar, navigation, and the one stream of events. */
export function Frame() {
  const ns = useNs();
  const queries = useQueryClient();
  const router = useRouter();
  const navigate = useNavigate();
  const [open, setOpen] = useState<"palette" | "help" | "nav">();
  const follower = useMemo(() => new Follower(queries), [queries]);

  useEffect(() => lastNamespace.set(ns), [ns]);
  useEffect(() => follower.follow(ns), [follower, ns]);
  useEffect(followKeys, []);
  // The drawer of small screens closes when a page was chosen.
  useEffect(() => router.subscribe("onResolved", () => setOpen(undefined)), [router]);
  useEffect(() => {
    const onKey = (event: KeyboardEvent) => {
      if ((event.ctrlKey || event.metaKey) && event.key.toLowerCase() === "k") {
        event.preventDefault();
        setOpen("palette");
      }
    };
    document.addEventListener("keydown", onKey);
    return () => document.removeEventListener("keydown", onKey);
  }, []);

  const go = (to: (typeof PAGES)[number]["to"]) => () => void navigate({ to, params: { ns } });
  useKeys([
    { keys: "?", says: "this help", run: () => setOpen("help") },
    { keys: "/", says: "search this page", run: () => focusSearch() || setOpen("palette") },
    { keys: "r", says: "pause or resume updates", run: () => follower.toggle() },
    ...PAGES.filter((page) => page.key).map((page) => ({
      keys: `g ${page.key}`,
      says: `go to ${page.name}`,
      run: go(page.to),
    })),
  ]);

  return (
    <div className="flex min-h-screen flex-col">
      <SkipLink />
      <header className="sticky top-0 z-30 flex h-12 items-center gap-1.5 border-b bg-surface px-2 sm:gap-2 sm:px-3">
        <button
          type="button"
          className="btn btn-quiet btn-icon lg:hidden"
          aria-label="Navigation"
          aria-expanded={open === "nav"}
          onClick={() => setOpen(open === "nav" ? undefined : "nav")}
        >
          <Icon name="menu" />
        </button>
        <Link
          to="/ns/$ns"
          params={{ ns }}
          className="flex items-center gap-2 rounded px-1 font-semibold tracking-tight"
          aria-label="tstr, dashboard"
        >
          <svg viewBox="0 0 16 16" width="20" height="20" aria-hidden="true">
            <rect width="16" height="16" rx="4" className="fill-accent" />
            <path
              d="M4.5 8.4l2.4 2.4 4.7-5.4"
              fill="none"
              className="stroke-on-accent"
              strokeWidth="1.9"
              strokeLinecap="round"
              strokeLinejoin="round"
            />
          </svg>
          <span className="max-sm:hidden">tstr</span>
        </Link>
        <NamespaceSwitch />
        <div className="flex-1" />
        <LiveBadge onToggle={() => follower.toggle()} />
        <button
          type="button"
          className="btn text-muted"
          onClick={() => setOpen("palette")}
          aria-keyshortcuts="Control+K Meta+K"
        >
          <Icon name="search" size={14} />
          <span className="max-sm:visually-hidden">Search</span>
          <kbd className="code text-xs text-muted max-sm:hidden">Ctrl K</kbd>
        </button>
        <UserMenu onHelp={() => setOpen("help")} />
      </header>
      <Away />
      <div className="flex flex-1">
        <Nav shown={open === "nav"} />
        <main id="main" tabIndex={-1} className="min-w-0 flex-1 outline-none">
          <div className="mx-auto flex w-full max-w-[1440px] flex-col gap-4 px-3 pt-4 pb-16 sm:px-5">
            <Known ns={ns}>
              <Outlet />
            </Known>
          </div>
        </main>
      </div>
      <Toasts />
      <Announcer />
      <Suspense>
        {open === "palette" ? <Palette onClose={() => setOpen(undefined)} /> : null}
        {open === "help" ? <Help onClose={() => setOpen(undefined)} /> : null}
      </Suspense>
    </div>
  );
}

/** A namespace that the token does not see is told once, instead of by each part of a page. */
function Known({ ns, children }: { ns: string; children: ReactNode }) {
  const { data: identity } = useQuery(identityQuery);
  if (!identity || identity.namespaces.includes(ns)) return children;
  return (
    <Empty title={`There is no namespace ${ns}`} command="tstr ctl namespace list">
      It does not exist, or the token {identity.token.name} does not see it.
    </Empty>
  );
}

/** Puts the focus into the search field of the page, if it has one. */
function focusSearch(): boolean {
  const field = document.querySelector<HTMLInputElement>("main input[type=search]");
  field?.focus();
  field?.select();
  return field !== null;
}

/** A link with `#main` would lead to the start: with a `<base>`, bare fragments are resolved against that. */
function SkipLink() {
  return (
    <button
      type="button"
      className="btn btn-primary fixed top-2 left-2 z-50 -translate-y-20 focus:translate-y-0"
      onClick={() => document.getElementById("main")?.focus()}
    >
      Skip to the content
    </button>
  );
}

function NamespaceSwitch() {
  const ns = useNs();
  const navigate = useNavigate();
  const { data: identity } = useQuery(identityQuery);
  const names = identity?.namespaces ?? [ns];
  const list = names.includes(ns) ? names : [ns, ...names];
  return (
    <select
      className="input max-w-40 min-w-0 border-line font-medium"
      aria-label="Namespace"
      value={ns}
      onChange={(event) => void navigate({ to: "/ns/$ns", params: { ns: event.target.value } })}
    >
      {list.map((each) => (
        <option key={each}>{each}</option>
      ))}
    </select>
  );
}

/** The pages of a namespace, in the order of the navigation. */
export const PAGES = [
  { to: "/ns/$ns", name: "Dashboard", icon: "dashboard", key: "d" },
  { to: "/ns/$ns/tests", name: "Tests", icon: "tests", key: "t" },
  { to: "/ns/$ns/runs", name: "Runs", icon: "runs", key: "r" },
  { to: "/ns/$ns/queue", name: "Queue", icon: "queue", key: "q" },
  { to: "/ns/$ns/runners", name: "Runners", icon: "runners", key: "u" },
  { to: "/ns/$ns/schedules", name: "Schedules", icon: "schedules", key: "s" },
  { to: "/ns/$ns/admin", name: "Admin", icon: "admin", key: "a" },
] as const satisfies { to: string; name: string; icon: IconName; key: string }[];

function Nav({ shown }: { shown: boolean }) {
  const ns = useNs();
  const match = useMatchRoute();
  const { data: identity } = useQuery(identityQuery);
  const { failing, queued } = useCounts(ns);
  return (
    <nav
      aria-label="Main"
      className={`${shown ? "fixed inset-x-0 top-12 bottom-0 z-20 bg-canvas" : "max-lg:hidden"} w-full shrink-0 lg:sticky lg:top-12 lg:h-[calc(100vh-3rem)] lg:w-48 lg:border-r`}
    >
      <ul className="flex flex-col gap-0.5 p-2">
        {PAGES.filter((page) => page.name !== "Admin" || !identity || mayAdmin(identity)).map((page) => {
          const current = match({ to: page.to, params: { ns }, fuzzy: page.to !== "/ns/$ns" }) !== false;
          return (
            <li key={page.to}>
              <Link
                to={page.to}
                params={{ ns }}
                aria-current={current ? "page" : undefined}
                className={`flex min-h-8 items-center gap-2.5 rounded-md px-2.5 text-sm max-lg:min-h-11 ${current ? "bg-accent-soft font-medium text-accent" : "text-ink hover:bg-sunken"}`}
              >
                <Icon name={page.icon} />
                <span className="flex-1">{page.name}</span>
                {page.name === "Tests" && failing ? (
                  <span
                    className="rounded bg-fail-soft px-1.5 text-xs font-medium text-fail"
                    title={`${failing} failing`}
                  >
                    {count(failing)}
                    <span className="visually-hidden"> failing</span>
                  </span>
                ) : null}
                {page.name === "Queue" && queued ? (
                  <span
                    className="rounded bg-idle-soft px-1.5 text-xs font-medium"
                    title={`${queued} waiting`}
                  >
                    {queued}
                    <span className="visually-hidden"> waiting</span>
                  </span>
                ) : null}
              </Link>
            </li>
          );
        })}
      </ul>
    </nav>
  );
}

/** How many tests fail and how many runs wait, for the navigation. */
function useCounts(ns: string): { failing: number; queued: string } {
  const { data } = useQuery(dashboardQuery(ns));
  return {
    failing: data?.tests.failing ?? 0,
    queued: data && data.queue.depth.count > 0 ? counted(data.queue.depth) : "",
  };
}
