import { type ReactNode, useState } from "react";
import { reachable } from "~/api/reach";
import { useStore } from "~/lib/store";
import { Icon, type IconName } from "./icons";

/** A titled part of a page. */
export function Panel({
  title,
  note,
  actions,
  children,
  pad = false,
  className = "",
}: {
  title?: ReactNode;
  note?: ReactNode;
  actions?: ReactNode;
  children: ReactNode;
  pad?: boolean;
  className?: string;
}) {
  return (
    <section className={`panel ${className}`}>
      {title ? (
        <div className="panel-head">
          <h2>{title}</h2>
          {note ? <span className="text-sm text-muted">{note}</span> : null}
          {actions ? (
            <div className="ml-auto flex max-w-full min-w-0 flex-wrap items-center gap-2">{actions}</div>
          ) : null}
        </div>
      ) : null}
      <div className={pad ? "p-3.5" : ""}>{children}</div>
    </section>
  );
}

/**
 * A button with an icon. `why` is the reason for which it does nothing now; it stays focusable, so that it can be read. One
 * that asks the server for something has `busy`, and so it is off while the server cannot be reached.
 */
export function Button({
  icon,
  children,
  onClick,
  why: given,
  kind = "",
  type = "button",
  busy,
  title,
}: {
  icon?: IconName;
  children: ReactNode;
  onClick?: () => void;
  why?: string | undefined;
  kind?: "" | "primary" | "danger" | "quiet";
  type?: "button" | "submit";
  busy?: boolean;
  title?: string;
}) {
  const isThere = useStore(reachable);
  const why = given ?? (busy === undefined || isThere ? undefined : "The server cannot be reached");
  const off = why !== undefined || busy === true;
  return (
    <button
      type={type}
      className={`btn ${kind ? `btn-${kind}` : ""}`}
      aria-disabled={off || undefined}
      title={why ?? title}
      onClick={(event) => {
        if (off) event.preventDefault();
        else onClick?.();
      }}
    >
      {icon ? <Icon name={icon} size={14} /> : null}
      {children}
      {why ? <span className="visually-hidden">({why})</span> : null}
    </button>
  );
}

/**
 * Copies text. `navigator.clipboard` is there only in secure contexts, and tstr is often at http://host: then the old
 * command of the document does it, from a field that is selected for the purpose.
 */
export async function copyText(text: string): Promise<boolean> {
  try {
    await navigator.clipboard.writeText(text);
    return true;
  } catch {
    const field = document.createElement("textarea");
    field.value = text;
    field.style.position = "fixed";
    field.style.opacity = "0";
    (document.querySelector("dialog[open]") ?? document.body).append(field);
    field.select();
    const copied = document.execCommand("copy");
    field.remove();
    return copied;
  }
}

/** A button that copies text, and says whether it did. */
export function Copy({
  text,
  label = "Copy",
  children,
}: {
  text: string;
  label?: string;
  children?: ReactNode;
}) {
  const [said, setSaid] = useState<"copied" | "failed">();
  const copy = async () => {
    setSaid((await copyText(text)) ? "copied" : "failed");
    setTimeout(() => setSaid(undefined), 1_800);
  };
  return (
    <button
      type="button"
      className={children ? "btn" : "btn btn-quiet btn-icon"}
      onClick={copy}
      title={label}
      aria-label={children ? undefined : label}
    >
      <Icon name={said === "copied" ? "check" : "copy"} size={14} />
      {children}
      <span role="status" className={said === "failed" ? "text-fail" : "visually-hidden"}>
        {said === "copied" ? "Copied" : said === "failed" ? "Copying was refused" : ""}
      </span>
    </button>
  );
}

/** A command line to copy. */
export function Command({ children }: { children: string }) {
  return (
    <div className="flex max-w-full items-center gap-1 rounded-md border bg-sunken py-0.5 pr-0.5 pl-3 text-left">
      <code
        className="code min-w-0 flex-1 overflow-x-auto py-1 whitespace-pre"
        tabIndex={0}
        role="region"
        aria-label="Command"
      >
        {children}
      </code>
      <Copy text={children} label="Copy the command" />
    </div>
  );
}

/** What stands where nothing is: why, and the next step. */
export function Empty({
  title,
  children,
  command,
}: {
  title: string;
  children?: ReactNode;
  command?: string;
}) {
  return (
    <div className="mx-auto flex w-full max-w-xl flex-col items-center gap-3 px-4 py-10 text-center">
      <p className="max-w-full font-medium wrap-anywhere">{title}</p>
      {children ? <div className="max-w-full text-sm text-muted wrap-anywhere">{children}</div> : null}
      {command ? <Command>{command}</Command> : null}
    </div>
  );
}

/** Labels as `key=value` chips. */
export function Labels({
  labels,
  none = "no labels",
  oneLine = false,
}: {
  labels: Record<string, string>;
  none?: string;
  /** On one line, cut off at its end. */
  oneLine?: boolean;
}) {
  const list = Object.entries(labels);
  if (list.length === 0) return none ? <span className="text-sm text-muted">{none}</span> : null;
  return (
    <span className={oneLine ? "flex min-w-0 gap-1 overflow-hidden" : "inline-flex flex-wrap gap-1"}>
      {list.map(([key, value]) => (
        <span key={key} className={oneLine ? "chip shrink-0" : "chip"}>
          <span>
            <span className="text-muted">{key}=</span>
            {value}
          </span>
        </span>
      ))}
    </span>
  );
}

/** A cell of a matrix in words: `region=nyc, os=linux`. */
export function cellText(cell: Record<string, string>): string {
  return Object.entries(cell)
    .map(([key, value]) => `${key}=${value}`)
    .join(", ");
}

/** Terms with their values, in two columns. */
export function Facts({ items }: { items: ([string, ReactNode] | undefined | false)[] }) {
  return (
    <dl className="grid grid-cols-[minmax(5.5rem,auto)_1fr] content-start gap-x-4 gap-y-1.5 text-sm">
      {items.map((item) =>
        item ? (
          <div key={item[0]} className="contents">
            <dt className="text-muted">{item[0]}</dt>
            <dd className="min-w-0 wrap-anywhere">{item[1]}</dd>
          </div>
        ) : null,
      )}
    </dl>
  );
}

/** A figure with its name, as the dashboard and the head of a page have them. */
export function Figure({ name, value, note }: { name: string; value: ReactNode; note?: ReactNode }) {
  return (
    <div className="min-w-0">
      <div className="text-sm text-muted">{name}</div>
      <div className="text-lg font-semibold">{value}</div>
      {note ? <div className="text-xs text-muted">{note}</div> : null}
    </div>
  );
}

/** A bar that says how full something is. The words beside it say the same. */
export function Meter({ value, max, label }: { value: number; max: number; label: string }) {
  const share = max > 0 ? Math.min(1, value / max) : 0;
  return (
    <span
      role="img"
      aria-label={label}
      className="inline-block h-1.5 w-16 overflow-hidden rounded-full bg-idle-soft align-middle"
    >
      <span className="block h-full rounded-full bg-accent" style={{ width: `${share * 100}%` }} />
    </span>
  );
}
