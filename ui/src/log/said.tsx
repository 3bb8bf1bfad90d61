import { bytes, count } from "~/lib/numbers";
import { Empty } from "~/parts/basics";
import { Problem, Skeleton } from "~/parts/loaded";
import { errorOf } from "./client";
import type { LogState } from "./protocol";

/** What stands in the place of lines while there are none. */
export function NoLines({
  state,
  isLive,
  onRetry,
}: {
  state: LogState;
  isLive: boolean;
  onRetry: () => void;
}) {
  const error = errorOf(state);
  if (state.phase === "failed" && error?.status === 410) {
    return (
      <Empty title="This log was removed by retention">
        {error.detail || "How long logs are kept is a setting of the namespace. The run itself stays."}
      </Empty>
    );
  }
  if (state.phase === "failed") return <Problem error={error} what="The log" onRetry={onRetry} />;
  if (state.phase === "reconnecting") {
    return (
      <Empty title="The log cannot be reached">
        {error?.title}. This page goes on trying; nothing is lost meanwhile.
      </Empty>
    );
  }
  if (state.phase === "done") return <Empty title="The test wrote nothing" />;
  if (state.phase === "following" || isLive) {
    return <Empty title="Nothing has been written yet">What the test writes appears here at once.</Empty>;
  }
  return (
    <>
      <span className="visually-hidden" role="status">
        Loading the log
      </span>
      <Skeleton rows={8} />
    </>
  );
}

/** What is to be said above the lines. */
export function Notices({
  state,
  skipped,
  rawUrl,
  onRetry,
}: {
  state: LogState;
  skipped: number;
  rawUrl: string;
  onRetry: () => void;
}) {
  const error = errorOf(state);
  return (
    <>
      {state.phase === "reconnecting" ? (
        <p role="status" className="border-b bg-warn-soft px-3.5 py-1.5 text-sm">
          {error?.title ?? "The connection broke"}. What is here stays; this page goes on from it as soon as
          it can.
        </p>
      ) : null}
      {state.phase === "failed" ? (
        <p role="status" className="flex flex-wrap gap-x-3 border-b bg-warn-soft px-3.5 py-1.5 text-sm">
          <span>
            Reading stopped here: {error?.title}
            {error?.traceId ? ` (trace ${error.traceId})` : ""}
          </span>
          <button type="button" className="prose-link min-h-6" onClick={onRetry}>
            Retry
          </button>
        </p>
      ) : null}
      {skipped > 0 || state.first > 0 ? (
        <p className="border-b bg-idle-soft px-3.5 py-1.5 text-sm">
          {skipped > 0
            ? `This log is too large for a page: its first ${bytes(skipped)} are not shown, and of the rest neither streams, times nor numbers of lines are known. `
            : `This page keeps the last ${count(state.lines - state.first)} lines; the first ${count(state.first)} are not shown any more. `}
          <a className="prose-link" href={rawUrl} download>
            Download all of it
          </a>
        </p>
      ) : null}
    </>
  );
}
