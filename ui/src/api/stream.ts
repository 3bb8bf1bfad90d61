import type { components } from "./schema";

/** What the server says of changes; `ready`, the first word of a stream, is none. */
type Change = Exclude<components["schemas"]["EventKind"], "ready">;

/** The names of the events that mean something here: those that come together with another one of these are left out. */
export const EVENT_NAMES = [
  "run.queued",
  "run.leased",
  "run.started",
  "run.finished",
  "run.cancelled",
  "run.many",
  "test.state_changed",
  "runner.state_changed",
  "queue.changed",
  "reset",
] as const satisfies readonly Change[];

/** The name of an event. */
export type EventName = (typeof EVENT_NAMES)[number];

/**
 * How a stream stands. It is `open` when something came through it: an answer whose beginning came is none yet, because a
 * proxy may keep the rest of it back for minutes.
 */
export type StreamStatus = "open" | "connecting" | "refused";

/** What a stream tells. `data` is the JSON text of the event. */
export type StreamMessage =
  | { kind: "event"; name: EventName; data: string }
  | { kind: "status"; status: StreamStatus };

const FIRST_RETRY_MS = 1_000;
const LAST_RETRY_MS = 60_000;

/**
 * Opens a stream of server-sent events and keeps it open. The browser itself comes back after a broken connection, with
 * `Last-Event-ID`; after an answer that is no stream (404, 401, 503) it gives up, and then this tries again, later and
 * later. What was missed meanwhile is not known: whoever hears of `open` reads everything. Returns how to close it.
 */
export function openStream(url: string, tell: (message: StreamMessage) => void): () => void {
  let source: EventSource | undefined;
  let timer: ReturnType<typeof setTimeout> | undefined;
  let wait = FIRST_RETRY_MS;

  const open = () => {
    const current = new EventSource(url);
    let isOpen = false;
    source = current;
    const heard = () => {
      if (isOpen) return;
      isOpen = true;
      wait = FIRST_RETRY_MS;
      tell({ kind: "status", status: "open" });
    };
    current.onerror = () => {
      isOpen = false;
      if (current.readyState !== EventSource.CLOSED) {
        tell({ kind: "status", status: "connecting" });
        return;
      }
      tell({ kind: "status", status: "refused" });
      timer = setTimeout(open, wait);
      wait = Math.min(wait * 2, LAST_RETRY_MS);
    };
    // What the server begins every stream with.
    current.addEventListener("ready", heard);
    for (const name of EVENT_NAMES) {
      current.addEventListener(name, (event) => {
        heard();
        tell({ kind: "event", name, data: String(event.data) });
      });
    }
  };
  open();
  return () => {
    clearTimeout(timer);
    source?.close();
  };
}
