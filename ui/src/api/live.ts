import type { Query, QueryClient } from "@tanstack/react-query";
import { makeStore } from "~/lib/store";
import { workerUrl } from "~/lib/trusted";
import { apiUrl } from "./client";
import { type EventName, openStream, type StreamMessage } from "./stream";
import streamWorker from "./stream.worker?worker&url";

/** How the page is kept up to date. `polling` is what it falls back to while the server gives no stream. */
export type LiveMode = "live" | "reconnecting" | "polling" | "paused";

/** What the badge shows: the mode, and how many changes came while it was paused. */
export interface Live {
  mode: LiveMode;
  waiting: number;
}

const POLL_MS = 15_000;
/** Events come in bursts (a matrix starts 200 runs); refetching once per burst is enough. */
const GATHER_MS = 400;
/** Answers over a whole namespace are large, and a busy one has events all the time. */
const GATHER_LARGE_MS = 3_000;
const LARGE = new Set(["/states", "/summary", "/dashboard"]);

/** How the page is kept up to date. */
export const live = makeStore<Live>({ mode: "reconnecting", waiting: 0 });

/** Which queries an event makes stale: those whose path has one of these parts. */
const ENDED = [
  "/runs",
  "/queue",
  "/runners",
  "/states",
  "/summary",
  "/dashboard",
  "/cells",
  "/cases",
  "/grid",
  "/changed",
  "/series",
];
const STALE: Record<Exclude<EventName, "reset">, string[]> = {
  "run.queued": ["/runs", "/queue", "/dashboard"],
  "run.leased": ["/runs", "/queue", "/runners", "/dashboard"],
  "run.started": ["/runs", "/dashboard"],
  "run.finished": ENDED,
  "run.cancelled": ENDED,
  "run.many": ENDED,
  "test.state_changed": ["/states", "/cells", "/tests", "/dashboard"],
  "test.flaky_changed": ["/states", "/cells", "/tests", "/dashboard"],
  "runner.state_changed": ["/runners", "/queue", "/dashboard"],
  "runner.lost": ["/runners", "/queue", "/runs", "/dashboard"],
  "queue.changed": ["/queue", "/explain"],
};

function isLive(query: Query): boolean {
  return query.meta?.live !== false;
}

/** How old an answer must be before an event has it fetched again: `meta.minAgeMs`. */
function minAgeMs(query: Query): number {
  const age = query.meta?.minAgeMs;
  return typeof age === "number" ? age : 0;
}

function pathOf(query: Query): string {
  const path = query.queryKey[1];
  return typeof path === "string" ? path : "";
}

/** Whether updates are held back: then nothing may refetch by itself, not even when the window gets the focus. */
export function isPaused(): boolean {
  return live.get().mode === "paused";
}

/** Follows the events of a namespace for as long as a page of it is open. */
export class Follower {
  private stop: () => void = () => {};
  private poll: ReturnType<typeof setInterval> | undefined;
  private readonly soon = new Gatherer(GATHER_MS, (parts) => this.refetch(parts));
  private readonly later = new Gatherer(GATHER_LARGE_MS, (parts) => this.refetch(parts));
  private under: LiveMode = "reconnecting";

  constructor(private readonly queries: QueryClient) {}

  /** Begins to follow a namespace. Returns how to end it. */
  follow(namespace: string): () => void {
    const url = new URL(apiUrl("/events", { topics: "runs,tests,runners,queue", namespace }), location.origin)
      .href;
    this.stop = connect(url, (message) => this.take(message));
    this.poll = setInterval(() => {
      if (live.get().mode === "polling" && document.visibilityState === "visible") this.refetch(["/"]);
    }, POLL_MS);
    return () => {
      this.stop();
      clearInterval(this.poll);
      this.soon.clear();
      this.later.clear();
    };
  }

  /** Holds updates back, or lets them through again and fetches what was missed. */
  toggle(): void {
    if (isPaused()) {
      live.set({ mode: this.under, waiting: 0 });
      this.refetch(["/"]);
    } else {
      live.set({ mode: "paused", waiting: 0 });
    }
  }

  private take(message: StreamMessage): void {
    if (message.kind === "status") {
      const words = { open: "live", connecting: "reconnecting", refused: "polling" } as const;
      this.under = words[message.status];
      if (!isPaused()) live.set({ mode: this.under, waiting: 0 });
      return;
    }
    if (isPaused()) {
      const { mode, waiting } = live.get();
      live.set({ mode, waiting: waiting + 1 });
      return;
    }
    for (const part of message.name === "reset" ? ["/"] : STALE[message.name]) {
      (LARGE.has(part) ? this.later : this.soon).add(part);
    }
  }

  private refetch(parts: string[]): void {
    const now = Date.now();
    void this.queries.invalidateQueries({
      predicate: (query) => {
        const found = isLive(query) ? parts.filter((part) => pathOf(query).includes(part)) : [];
        if (found.length === 0) return false;
        // A list of thousands takes many requests; a busy namespace would have it fetched without an end.
        if (query.isActive() && now - query.state.dataUpdatedAt < minAgeMs(query)) {
          for (const part of found) this.later.add(part);
          return false;
        }
        return true;
      },
    });
  }
}

/** Gathers words for a while, and then hands over all of them at once. */
class Gatherer {
  private timer: ReturnType<typeof setTimeout> | undefined;
  private readonly words = new Set<string>();

  constructor(
    private readonly forMs: number,
    private readonly give: (words: string[]) => void,
  ) {}

  add(word: string): void {
    this.words.add(word);
    this.timer ??= setTimeout(() => {
      const words = [...this.words];
      this.clear();
      this.give(words);
    }, this.forMs);
  }

  clear(): void {
    clearTimeout(this.timer);
    this.timer = undefined;
    this.words.clear();
  }
}

/** Connects through the worker that all tabs share; where a browser has none, by a stream of this tab's own. */
function connect(url: string, tell: (message: StreamMessage) => void): () => void {
  if (typeof SharedWorker === "undefined") return openStream(url, tell);
  let worker: SharedWorker;
  try {
    worker = new SharedWorker(workerUrl(streamWorker), { type: "module", name: "tstr-events" });
  } catch {
    return openStream(url, tell);
  }
  const { port } = worker;
  port.onmessage = (event: MessageEvent<StreamMessage>) => tell(event.data);
  const join = () => port.postMessage({ join: url });
  // A page in the back-forward cache must not hold a stream open; it may come back, too.
  const leave = () => port.postMessage({ leave: url });
  join();
  addEventListener("pagehide", leave);
  addEventListener("pageshow", join);
  return () => {
    leave();
    port.close();
    removeEventListener("pagehide", leave);
    removeEventListener("pageshow", join);
  };
}
