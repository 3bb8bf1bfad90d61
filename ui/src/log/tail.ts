import { isAbort } from "~/api/log";
import { ApiError } from "~/api/problem";

/** Where the reading of a log stands. */
export type Phase =
  | { name: "loading" }
  | { name: "following" }
  | { name: "reconnecting"; error: ApiError; waitMs: number }
  | { name: "done" }
  | { name: "failed"; error: ApiError };

/** What following a log needs of the world; in tests all of it is made up. */
export interface Source {
  /** Fetches what comes behind all that is there, once, and says whether anything came. */
  more: (signal: AbortSignal) => Promise<boolean>;
  /** Whether more may still be written. */
  isLive: () => boolean;
  /** Waits so long, or until something has changed. */
  sleep: (ms: number, signal: AbortSignal) => Promise<void>;
  /** Waits while updates are held back. */
  whileHeld: (signal: AbortSignal) => Promise<void>;
  tell: (phase: Phase) => void;
}

/** After an answer that brought nothing. With the time of the request itself this stays below half a second. */
export const IDLE_MS = 300;
/** After one that brought something: more is likely, and it comes in larger pieces this way. */
export const BUSY_MS = 100;
const RETRY_MS = [300, 600, 1_200, 2_500, 5_000, 10_000];

/**
 * Reads a log to its end and goes on asking while it grows, one request at a time. Every request names what it has, so an
 * answer that breaks off, or a server that starts anew, costs a request and no line. It has ended when a request that
 * began after the end of the attempt brought nothing.
 */
export async function follow(source: Source, signal: AbortSignal): Promise<void> {
  let failures = 0;
  source.tell({ name: "loading" });
  for (let isFirst = true; !signal.aborted; isFirst = false) {
    // What is there is shown in any case; held back is what would be asked for by itself.
    if (!isFirst && source.isLive()) await source.whileHeld(signal);
    const wasLive = source.isLive();
    try {
      const hasMore = await source.more(signal);
      if (signal.aborted) return;
      failures = 0;
      if (!hasMore && !wasLive) return source.tell({ name: "done" });
      source.tell({ name: wasLive ? "following" : "loading" });
      if (wasLive) await source.sleep(hasMore ? BUSY_MS : IDLE_MS, signal);
    } catch (thrown) {
      if (signal.aborted || isAbort(thrown)) return;
      const error = asError(thrown);
      if (isFinal(error)) return source.tell({ name: "failed", error });
      const waitMs = RETRY_MS[Math.min(failures, RETRY_MS.length - 1)]!;
      failures += 1;
      source.tell({ name: "reconnecting", error, waitMs });
      await source.sleep(waitMs, signal);
    }
  }
}

function asError(thrown: unknown): ApiError {
  if (thrown instanceof ApiError) return thrown;
  const detail = thrown instanceof Error ? thrown.message : String(thrown);
  return new ApiError(0, "not_a_problem", "The log could not be read", detail, undefined, true);
}

/** Whether asking again would be answered the same. */
function isFinal({ status }: ApiError): boolean {
  return status >= 400 && status < 500 && status !== 408 && status !== 425 && status !== 429;
}
