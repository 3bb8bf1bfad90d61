import type { UseQueryResult } from "@tanstack/react-query";
import type { ReactNode } from "react";
import { asApiError } from "~/api/problem";
import { Copy } from "./basics";
import { Icon } from "./icons";
import { Time } from "./time";

/** What went wrong in a part of a page, with what is needed to ask about it, and a way to try again. */
export function Problem({ error, what, onRetry }: { error: unknown; what?: string; onRetry?: () => void }) {
  const problem = asApiError(error);
  const forbidden = problem.code === "forbidden";
  return (
    <div role="alert" className="flex items-start gap-3 p-4 text-sm">
      <span className="mt-0.5 text-fail">
        <Icon name="close" />
      </span>
      <div className="min-w-0 flex-1 wrap-anywhere">
        <p className="font-medium">
          {what ? `${what}: ` : ""}
          {forbidden ? "this token may not see it" : problem.title}
        </p>
        {problem.detail ? <p className="mt-0.5 text-muted">{problem.detail}</p> : null}
        {problem.fields.length > 1 ? (
          <ul className="mt-1 list-disc pl-5 text-muted">
            {problem.fields.map((field) => (
              <li key={field.pointer + field.detail}>
                <code className="code">{field.pointer}</code>: {field.detail}
              </li>
            ))}
          </ul>
        ) : null}
        {problem.traceId ? (
          <p className="mt-1 flex items-center gap-1 text-xs text-muted">
            trace <code className="code">{problem.traceId}</code>
            <Copy text={problem.traceId} label="Copy the trace id" />
          </p>
        ) : null}
      </div>
      {onRetry && !forbidden ? (
        <button type="button" className="btn" onClick={onRetry}>
          <Icon name="retry" size={14} /> Retry
        </button>
      ) : null}
    </div>
  );
}

/** Bars in the place of rows that are still loading; nothing is drawn before 150 ms. */
export function Skeleton({ rows = 5, height = 16 }: { rows?: number; height?: number }) {
  return (
    <div className="flex flex-col gap-3 p-4" aria-hidden="true">
      {Array.from({ length: rows }, (_, row) => (
        <div key={row} className="skeleton" style={{ height, width: `${92 - ((row * 17) % 40)}%` }} />
      ))}
    </div>
  );
}

/**
 * The answer of a query, or what stands in its place: a skeleton while it loads, the problem when there is nothing else
 * to show, and old data, marked as such, when asking again failed.
 */
export function Loaded<T>({
  query,
  what,
  skeleton,
  children,
}: {
  query: Pick<UseQueryResult<T, unknown>, "data" | "error" | "refetch" | "dataUpdatedAt" | "isPending">;
  what?: string;
  skeleton?: ReactNode;
  children: (data: T) => ReactNode;
}) {
  const { data, error } = query;
  const retry = () => void query.refetch();
  if (data === undefined || data === null) {
    if (error) return <Problem error={error} what={what} onRetry={retry} />;
    return (
      <>
        <span className="visually-hidden" role="status">
          Loading
        </span>
        {skeleton ?? <Skeleton />}
      </>
    );
  }
  return (
    <>
      {error ? <Stale error={error} at={query.dataUpdatedAt} onRetry={retry} /> : null}
      {children(data)}
    </>
  );
}

function Stale({ error, at, onRetry }: { error: unknown; at: number; onRetry: () => void }) {
  const problem = asApiError(error);
  return (
    <div
      role="status"
      className="flex flex-wrap items-center gap-x-3 gap-y-1 border-b bg-warn-soft px-4 py-1.5 text-sm"
    >
      <span>
        As of <Time at={new Date(at).toISOString()} how="clock" />. {problem.title}
        {problem.traceId ? ` (trace ${problem.traceId})` : ""}
      </span>
      <button type="button" className="prose-link min-h-6" onClick={onRetry}>
        Retry
      </button>
    </div>
  );
}
