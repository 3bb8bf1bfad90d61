import { useState } from "react";
import { ApiError, type ErrorWord } from "~/api/problem";
import { bytes, count } from "~/lib/numbers";
import { Button, Empty } from "~/parts/basics";
import { Dialog, TextField } from "~/parts/dialog";
import { Problem } from "~/parts/loaded";
import type { LogState } from "./protocol";

// What is shown only sometimes, and never at first: it is no part of what the page of a run loads at first.

/** What is to be said above the lines. */
export function Notices({
  state,
  missing,
  skipped,
  rawUrl,
  onRetry,
}: {
  state: LogState;
  /** A line that the address names and that is not there. */
  missing: number | undefined;
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
      {missing ? (
        <p role="status" className="border-b bg-warn-soft px-3.5 py-1.5 text-sm">
          {skipped > 0
            ? `The address names line ${count(missing)}, which cannot be found without the beginning of the log.`
            : `This log has no line ${count(missing)}: it ends at line ${count(state.lines)}.`}
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

/** What the test wants to be seen: errors, warnings and notices, with the way to their lines. */
export function Annotations({
  state,
  isWhole,
  onLine,
}: {
  state: LogState;
  /** Whether the numbers of lines are known. */
  isWhole: boolean;
  onLine: (line: number) => void;
}) {
  const { annotations, totals } = state;
  if (annotations.length === 0) return null;
  const all = totals.error + totals.warning + totals.notice;
  const words = (["error", "warning", "notice"] as const)
    .filter((level) => totals[level] > 0)
    .map((level) => `${count(totals[level])} ${level}${totals[level] === 1 ? "" : "s"}`)
    .join(", ");
  return (
    <details className="border-b text-sm">
      <summary className="min-h-8 px-3.5 py-1.5">{words}</summary>
      <ul className="max-h-52 overflow-y-auto pb-1">
        {annotations.map((each) => (
          <li key={each.line}>
            <button
              type="button"
              className="flex min-h-7 w-full items-baseline gap-2 px-3.5 py-0.5 text-left hover:bg-sunken"
              aria-disabled={each.line < state.first || undefined}
              onClick={() => each.line >= state.first && onLine(each.line)}
            >
              <span className={`shrink-0 font-medium ${TONES[each.level]}`}>{each.level}</span>
              <span className="min-w-0 flex-1 wrap-anywhere whitespace-pre-wrap">{each.message}</span>
              <span className="shrink-0 text-muted">
                {[
                  each.at,
                  isWhole && `line ${count(each.line + 1)}`,
                  each.line < state.first && "no longer here",
                ]
                  .filter(Boolean)
                  .join(" · ")}
              </span>
            </button>
          </li>
        ))}
      </ul>
      {all > annotations.length ? (
        <p className="px-3.5 pb-2 text-muted">
          and {count(all - annotations.length)} more; the first {annotations.length} are listed
        </p>
      ) : null}
    </details>
  );
}

const TONES = { error: "text-fail", warning: "text-warn", notice: "text-accent" };

/** Asks for the number of a line. */
export function GoTo({
  last,
  onLine,
  onClose,
}: {
  last: number;
  onLine: (line: number) => void;
  onClose: () => void;
}) {
  const [text, setText] = useState("");
  const line = Number(text);
  const isThere = Number.isInteger(line) && line >= 1 && line <= last;
  return (
    <Dialog title="Go to line" onClose={onClose}>
      <form
        className="flex flex-col gap-3"
        onSubmit={(event) => {
          event.preventDefault();
          if (isThere) onLine(line);
        }}
      >
        <TextField
          label="Line"
          hint={`from 1 to ${count(last)}`}
          inputMode="numeric"
          autoComplete="off"
          autoFocus
          value={text}
          onChange={(next) => setText(next.trim())}
        />
        <div className="flex justify-end">
          <Button type="submit" kind="primary" why={isThere ? undefined : "There is no such line"}>
            Go
          </Button>
        </div>
      </form>
    </Dialog>
  );
}

/** What stands in the place of lines while there are none. */
export function NoLines({ state, onRetry }: { state: LogState; onRetry: () => void }) {
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
  return <Empty title="Nothing has been written yet">What the test writes appears here at once.</Empty>;
}

/** The error of a state as what panels show. */
function errorOf(state: LogState): ApiError | undefined {
  const { error } = state;
  if (!error) return undefined;
  const { status, code, title, detail, traceId, retryable } = error;
  return new ApiError(status, code as ErrorWord, title, detail, traceId, retryable);
}
