import type { Query, QueryClient } from "@tanstack/react-query";
import { makeStore } from "~/lib/store";
import { workerUrl } from "~/lib/trusted";
import { apiUrl, type Schema } from "./client";
import { runQuery } from "./queries";
import { type EventName, openStream, type StreamMessage, type StreamStatus } from "./stream";
import streamWorker from "./stream.worker?worker&url";

/** How the page is kept up to date. `polling` is what it falls back to while no stream gets through. */
export type LiveMode = "live" | "reconnecting" | "polling" | "paused";

/** What the badge shows: the mode, and how many changes came while it was paused. */
export interface Live {
  mode: LiveMode;
  waiting: number;
}

const POLL_MS = 15_000;
/** A stream that has not begun after this long is not waited for: a proxy keeps it back, or what carries it has failed. */
const PATIENCE_MS = 8_000;
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
  "test.state_changed": ["/states", "/cells", "/tests", "/timetable", "/dashboard"],
  "runner.state_changed": ["/runners", "/queue", "/dashboard"],
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

const RUN = "/api/v1/runs/{run}";
/** An answer that came so long after the end of its run was known was also asked for after it. */
const SETTLED_MS = 5_000;

/** The runs that a query is of. */
function runsOf(query: Query): string[] {
  const key = query.queryKey[2] as Record<string, unknown> | undefined;
  const params = (key?.params ?? key) as Record<string, unknown> | undefined;
  const path = (params?.path ?? params) as Record<string, unknown> | undefined;
  return [path?.run, path?.other].filter((id) => typeof id === "string");
}

/** Whether no event can change an answer: that of a run which has finished, and what was read of it since. */
function isFinal(query: Query, queries: QueryClient): boolean {
  const path = pathOf(query);
  if (!path.startsWith(RUN) || query.state.error) return false;
  // What the run changed is told a while after its end.
  if ((query.state.data as { told?: boolean } | undefined)?.told === false) return false;
  const runs = runsOf(query).map((id) => queries.getQueryState<Schema["Run"]>(runQuery(id).queryKey));
  return (
    runs.length > 0 &&
    runs.every(
      (run) =>
        run?.data?.state === "finished" &&
        run.data.log.status !== "open" &&
        (path === RUN || query.state.dataUpdatedAt > run.dataUpdatedAt + SETTLED_MS),
    )
  );
}

/** Whether updates are held back: then nothing may refetch by itself, not even when the window gets the focus. */
export function isPaused(): boolean {
  return live.get().mode === "paused";
}

/** Follows the events of a namespace for as long as a page of it is open. */
export class Follower {
  private poll: ReturnType<typeof setInterval> | undefined;
  private patience: ReturnType<typeof setTimeout> | undefined;
  private readonly soon = new Gatherer(GATHER_MS, (parts) => this.refetch(parts));
  private readonly later = new Gatherer(GATHER_LARGE_MS, (parts) => this.refetch(parts));
  private readonly behind = new Set<Query>();
  private readonly young = new Map<Query, ReturnType<typeof setTimeout>>();
  private under: LiveMode = "reconnecting";

  constructor(private readonly queries: QueryClient) {}

  /** Begins to follow a namespace. Returns how to end it. */
  follow(namespace: string): () => void {
    const url = new URL(apiUrl("/events", { topics: "runs,tests,runners,queue", namespace }), location.origin)
      .href;
    this.show("reconnecting");
    this.wait();
    const stop = connect(url, (message) => this.take(message));
    this.poll = setInterval(() => {
      if (live.get().mode === "polling" && document.visibilityState === "visible") this.refetch(["/"]);
    }, POLL_MS);
    return () => {
      stop();
      clearInterval(this.poll);
      clearTimeout(this.patience);
      this.soon.clear();
      this.later.clear();
      for (const timer of this.young.values()) clearTimeout(timer);
      this.young.clear();
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
    if (message.kind === "status") this.stand(message.status);
    else if (isPaused()) live.set({ mode: "paused", waiting: live.get().waiting + 1 });
    else this.makeStale(message.name === "reset" ? ["/"] : STALE[message.name]);
  }

  private stand(status: StreamStatus): void {
    if (status === "open") {
      clearTimeout(this.patience);
      // What changed between the answers that are shown and the first word of the stream was told to nobody.
      if (this.under !== "live" && !isPaused()) this.makeStale(["/"]);
      this.show("live");
    } else if (status === "refused") {
      clearTimeout(this.patience);
      this.show("polling");
    } else if (this.under === "live") {
      this.show("reconnecting");
      this.wait();
    }
  }

  private wait(): void {
    clearTimeout(this.patience);
    this.patience = setTimeout(() => {
      this.show("polling");
      if (!isPaused()) this.refetch(["/"]);
    }, PATIENCE_MS);
  }

  private show(mode: LiveMode): void {
    this.under = mode;
    if (!isPaused()) live.set({ mode, waiting: 0 });
  }

  private makeStale(parts: string[]): void {
    for (const part of parts) (LARGE.has(part) ? this.later : this.soon).add(part);
  }

  private refetch(parts: string[]): void {
    // What was gathered before a pause waits with the rest: its end fetches everything.
    if (isPaused()) return;
    for (const query of this.queries.getQueryCache().getAll()) {
      const isMeant = isLive(query) && parts.some((part) => pathOf(query).includes(part));
      if (isMeant && !isFinal(query, this.queries)) this.fetchWhenOld(query);
    }
  }

  /** A list of thousands takes many requests; a busy namespace would have it fetched without an end. */
  private fetchWhenOld(query: Query): void {
    const leftMs = query.state.dataUpdatedAt + minAgeMs(query) - Date.now();
    if (leftMs <= 0 || !query.isActive()) {
      this.fetchAnew(query);
      return;
    }
    if (this.young.has(query)) return;
    const grown = () => {
      this.young.delete(query);
      if (!isPaused()) this.fetchWhenOld(query);
    };
    this.young.set(query, setTimeout(grown, leftMs));
  }

  /**
   * Fetches what is shown, at most once at a time: events that come faster than answers would otherwise break off each
   * request by the next, and the page would stand still. An answer under way may be from before the event, so one more
   * follows it.
   */
  private fetchAnew(query: Query): void {
    query.invalidate();
    if (!query.isActive() || query.isDisabled()) return;
    if (query.state.fetchStatus === "idle") {
      void query.fetch(undefined, { cancelRefetch: false }).catch(() => {});
      return;
    }
    if (this.behind.has(query) || !query.promise) return;
    this.behind.add(query);
    const next = () => {
      this.behind.delete(query);
      if (isPaused()) query.invalidate();
      else this.fetchAnew(query);
    };
    void query.promise.then(next, next);
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

/**
 * Connects through the worker that all tabs share; where a browser has none, or its file does not come, by a stream of this
 * tab's own.
 */
function connect(url: string, tell: (message: StreamMessage) => void): () => void {
  if (typeof SharedWorker === "undefined") return openStream(url, tell);
  let worker: SharedWorker;
  try {
    worker = new SharedWorker(workerUrl(streamWorker), { type: "module", name: "tstr-events" });
  } catch {
    return openStream(url, tell);
  }
  const { port } = worker;
  let closeOwn: (() => void) | undefined;
  port.onmessage = (event: MessageEvent<StreamMessage>) => tell(event.data);
  const join = () => port.postMessage({ join: url });
  // A page in the back-forward cache must not hold a stream open; it may come back, too, and has missed something then.
  const leave = () => port.postMessage({ leave: url });
  const comeBack = (event: PageTransitionEvent) => {
    if (!event.persisted) return;
    tell({ kind: "status", status: "connecting" });
    join();
  };
  const part = () => {
    leave();
    port.close();
    removeEventListener("pagehide", leave);
    removeEventListener("pageshow", comeBack);
  };
  worker.onerror = () => {
    if (closeOwn) return;
    part();
    closeOwn = openStream(url, tell);
  };
  join();
  addEventListener("pagehide", leave);
  addEventListener("pageshow", comeBack);
  return () => {
    part();
    closeOwn?.();
    closeOwn = () => {};
  };
}
