import { useEffect, useMemo, useRef, useState } from "react";
import { raw } from "~/api/client";
import { ApiError } from "~/api/problem";
import { useKeys } from "~/app/keys";
import { count } from "~/lib/numbers";
import { Problem } from "~/parts/loaded";
import { useRows } from "./rows";
import { LogText } from "./text";

/** What the page of a run hands to the log viewer. Nothing else of the run is known in here. */
export interface LogViewProps {
  /** The run whose log is shown. */
  runId: string;
  /** The attempt; another one starts over. */
  attempt: number;
  /** Bytes may still come: the attempt has not ended, or its log is not sealed yet. */
  live: boolean;
  /** The lines that the address names, counted from 1: shown first and marked. */
  anchor?: { from: number; to: number };
  /** Somebody chose lines: the page writes them into the address as `#L120-L140`. */
  onAnchor?: (anchor: { from: number; to: number } | undefined) => void;
}

const ROW_PX = 20;
/** How long after an answer that brought nothing the next one is asked for. */
const TAIL_MS = 700;

/** The log of one attempt: its bytes by ranges, its lines as text, followed while it grows. */
export function LogView({ runId, attempt, live, anchor, onAnchor }: LogViewProps) {
  const { log, error, retry } = useLog(runId, attempt, live);
  const scroller = useRef<HTMLDivElement>(null);
  const [follow, setFollow] = useState(live && !anchor);
  const lines = log.count;
  const { from, to, scrollTo } = useRows(scroller, lines, ROW_PX);

  useEffect(() => {
    if (follow && lines > 0) scrollTo(lines - 1, "end");
  }, [follow, lines, scrollTo]);

  // Once, when the line is there: scrolling again at each new byte would take the log out of the reader's hand.
  const wanted = anchor?.from;
  const isThere = wanted !== undefined && lines >= wanted;
  useEffect(() => {
    if (isThere && wanted !== undefined) scrollTo(wanted - 1, "center");
  }, [isThere, wanted, scrollTo]);

  useKeys([{ keys: "f", says: "follow the log", run: () => setFollow((on) => !on) }]);

  const onScroll = () => {
    const box = scroller.current;
    if (!box || !live) return;
    const atEnd = box.scrollHeight - box.scrollTop - box.clientHeight < ROW_PX * 2;
    if (atEnd !== follow) setFollow(atEnd);
  };

  if (error && lines === 0) return <Problem error={error} what="The log" onRetry={retry} />;
  return (
    <div>
      <div className="flex min-h-9 items-center gap-3 border-b px-3.5 text-sm text-muted">
        <span>{count(lines)} lines</span>
        {live ? (
          <button
            type="button"
            className="btn ml-auto"
            aria-pressed={follow}
            onClick={() => setFollow((on) => !on)}
          >
            {follow ? "Following" : "Follow"}
          </button>
        ) : null}
      </div>
      {lines === 0 ? (
        <p className="px-4 py-8 text-center text-sm text-muted">
          {live ? "Nothing has been written yet." : "The test wrote nothing."}
        </p>
      ) : (
        <section
          ref={scroller}
          onScroll={onScroll}
          tabIndex={0}
          aria-label="Log"
          className="code h-[65vh] overflow-auto py-1 leading-5"
        >
          <div className="relative" style={{ height: lines * ROW_PX }}>
            {Array.from({ length: to - from }, (_, index) => {
              const row = from + index;
              const line = row + 1;
              const marked = anchor && line >= anchor.from && line <= anchor.to;
              return (
                <div
                  key={row}
                  className={`absolute top-0 left-0 flex w-max min-w-full whitespace-pre ${marked ? "bg-mark" : ""}`}
                  style={{ height: ROW_PX, transform: `translateY(${row * ROW_PX}px)` }}
                >
                  <button
                    type="button"
                    tabIndex={-1}
                    className="w-16 shrink-0 pr-3 text-right text-muted select-none"
                    aria-label={`Link to line ${line}`}
                    onClick={(event) =>
                      onAnchor?.(
                        event.shiftKey && anchor
                          ? { from: Math.min(anchor.from, line), to: Math.max(anchor.from, line) }
                          : { from: line, to: line },
                      )
                    }
                  >
                    {line}
                  </button>
                  <span className="pr-4">{log.line(row)}</span>
                </div>
              );
            })}
          </div>
        </section>
      )}
    </div>
  );
}

/** Reads a log by ranges, and goes on asking while it grows. */
function useLog(runId: string, attempt: number, live: boolean) {
  // biome-ignore lint/correctness/useExhaustiveDependencies: another attempt is another log
  const log = useMemo(() => new LogText(), [runId, attempt]);
  const [, draw] = useState(0);
  const [error, setError] = useState<unknown>();
  const [tries, setTries] = useState(0);

  // biome-ignore lint/correctness/useExhaustiveDependencies: `tries` is how a person asks again
  useEffect(() => {
    const stop = new AbortController();
    const read = async () => {
      while (!stop.signal.aborted) {
        const more = await fetchMore(runId, attempt, log, stop.signal);
        if (more) draw((n) => n + 1);
        if (!more && !live) {
          log.end();
          draw((n) => n + 1);
          return;
        }
        if (!more) await new Promise((done) => setTimeout(done, TAIL_MS));
      }
    };
    setError(undefined);
    read().catch((thrown) => {
      if (!stop.signal.aborted) setError(thrown);
    });
    return () => stop.abort();
  }, [runId, attempt, live, log, tries]);
  return { log, error, retry: () => setTries((n) => n + 1) };
}

/** Fetches what comes behind the bytes that are there. Says whether anything came. */
async function fetchMore(
  runId: string,
  attempt: number,
  log: LogText,
  signal: AbortSignal,
): Promise<boolean> {
  try {
    // From the last byte that is there already: a range behind the end is refused with 416, which browsers write into
    // their console as an error.
    const from = Math.max(0, log.bytes - 1);
    const response = await raw(`/runs/${runId}/logs?attempt=${attempt}`, {
      headers: { Accept: "text/plain", ...(from > 0 ? { Range: `bytes=${from}-` } : {}) },
      signal,
    });
    const bytes = new Uint8Array(await response.arrayBuffer());
    // A server, or a proxy, that does not know ranges answers 200 with everything.
    return log.append(bytes.subarray(response.status === 206 ? log.bytes - from : log.bytes));
  } catch (thrown) {
    // «No such range» is how the end of the log looks.
    if (thrown instanceof ApiError && thrown.status === 416) return false;
    throw thrown;
  }
}
