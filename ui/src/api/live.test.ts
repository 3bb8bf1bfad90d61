import { QueryClient, type QueryOptions } from "@tanstack/react-query";
import { afterEach, beforeEach, expect, test, vi } from "vitest";
import { Follower, isPaused, live } from "./live";

/** A stream that a test opens, breaks and speaks through. */
class FakeSource {
  static CLOSED = 2;
  static made: FakeSource[] = [];
  readyState = 0;
  onerror: () => void = () => {};
  private readonly listeners = new Map<string, (event: { data: string }) => void>();
  constructor(readonly url: string) {
    FakeSource.made.push(this);
  }
  addEventListener(name: string, listener: (event: { data: string }) => void) {
    this.listeners.set(name, listener);
  }
  say(name: string) {
    this.listeners.get(name)?.({ data: "{}" });
  }
  /** The connection breaks, and the browser makes it again. */
  breaks() {
    this.readyState = 0;
    this.onerror();
  }
  close() {
    this.readyState = 2;
  }
}

const latest = () => FakeSource.made.at(-1)!;

/** Puts a query on the screen. */
function show(queries: QueryClient, options: QueryOptions) {
  const query = queries.getQueryCache().build(queries, options as never);
  query.addObserver({ options: {}, onQueryUpdate() {}, isDisabled: () => false } as never);
  return query;
}

/** A cache with one shown answer for each path; returns how often each was asked for. */
function shown(queries: QueryClient, ...paths: string[]): Record<string, number> {
  const asked: Record<string, number> = {};
  for (const path of paths) {
    asked[path] = 0;
    show(queries, {
      queryKey: ["get", path],
      queryFn: () => {
        asked[path] = (asked[path] ?? 0) + 1;
        return 1;
      },
    });
  }
  return asked;
}

/** Begins to follow; what the beginning itself reads is over when this returns. */
async function following(queries: QueryClient) {
  const follower = new Follower(queries);
  const stop = follower.follow("shop");
  latest().say("ready");
  await vi.advanceTimersByTimeAsync(500);
  return { follower, stop };
}

beforeEach(() => {
  vi.useFakeTimers();
  vi.stubGlobal("EventSource", FakeSource);
  FakeSource.made = [];
  live.set({ mode: "reconnecting", waiting: 0 });
});
afterEach(() => {
  vi.useRealTimers();
  vi.unstubAllGlobals();
});

test("an event makes stale what it is about, once for a burst of them", async () => {
  const queries = new QueryClient();
  const { stop } = await following(queries);
  const asked = shown(queries, "/api/v1/runs/{run}", "/api/v1/tokens");
  expect(latest().url).toBe(
    "http://tstr.test/api/v1/events?topics=runs%2Ctests%2Crunners%2Cqueue&namespace=shop",
  );
  expect(live.get().mode).toBe("live");
  for (let n = 0; n < 50; n++) latest().say("run.finished");
  await vi.advanceTimersByTimeAsync(500);
  expect(asked).toEqual({ "/api/v1/runs/{run}": 1, "/api/v1/tokens": 0 });
  stop();
});

test("events that come faster than answers break none off, and the last of them is still answered", async () => {
  const queries = new QueryClient();
  const { stop } = await following(queries);
  let begun = 0;
  let brokenOff = 0;
  let under = 0;
  let most = 0;
  const query = show(queries, {
    queryKey: ["get", "/api/v1/namespaces/{namespace}/queue"],
    queryFn: async ({ signal }) => {
      begun += 1;
      under += 1;
      most = Math.max(most, under);
      signal.addEventListener("abort", () => brokenOff++);
      await new Promise((done) => setTimeout(done, 2_000));
      under -= 1;
      return begun;
    },
  });
  void query.fetch();
  for (let tenth = 0; tenth < 60; tenth++) {
    latest().say("queue.changed");
    await vi.advanceTimersByTimeAsync(100);
  }
  // Six seconds of events, and answers that take two: each answer is shown.
  expect([query.state.dataUpdateCount, brokenOff, most]).toEqual([3, 0, 1]);
  await vi.advanceTimersByTimeAsync(10_000);
  // The one that was under way at the last event, and one behind it.
  expect([begun, query.state.data, query.state.isInvalidated]).toEqual([5, 5, false]);
  stop();
});

test("a finished run is not fetched again, what was read before its end is, once", async () => {
  const queries = new QueryClient();
  const { stop } = await following(queries);
  const asked: Record<string, number> = {};
  const of = (run: string, path: string, answer: unknown, params: object) =>
    show(queries, {
      queryKey: ["get", path, params],
      queryFn: () => {
        asked[`${run} ${path}`] = (asked[`${run} ${path}`] ?? 0) + 1;
        return answer;
      },
    });
  const path = (run: string) => ({ params: { path: { run } } });
  await of(
    "old",
    "/api/v1/runs/{run}",
    { state: "finished", log: { status: "complete" } },
    path("old"),
  ).fetch();
  await of("new", "/api/v1/runs/{run}", { state: "running" }, path("new")).fetch();
  await of("old", "/api/v1/runs/{run}/cases", [], { path: { run: "old" }, attempt: 1 }).fetch();
  await of("old", "/api/v1/runs/{run}/output", {}, { run: "old", attempt: 1 }).fetch();
  const both = { params: { path: { run: "old", other: "new" } } };
  await of("both", "/api/v1/runs/{run}/compare/{other}", {}, both).fetch();
  for (let n = 0; n < 4; n++) {
    await vi.advanceTimersByTimeAsync(6_000);
    latest().say("run.finished");
    await vi.advanceTimersByTimeAsync(500);
  }
  expect(asked).toEqual({
    "old /api/v1/runs/{run}": 1,
    "old /api/v1/runs/{run}/cases": 2,
    "old /api/v1/runs/{run}/output": 2,
    "new /api/v1/runs/{run}": 5,
    "both /api/v1/runs/{run}/compare/{other}": 5,
  });
  stop();
});

test("what was told just before a pause is not asked for in it", async () => {
  const queries = new QueryClient();
  const { follower, stop } = await following(queries);
  const asked = shown(queries, "/api/v1/runs/{run}");
  latest().say("run.started");
  follower.toggle();
  await vi.advanceTimersByTimeAsync(60_000);
  expect(asked["/api/v1/runs/{run}"]).toBe(0);
  follower.toggle();
  await vi.advanceTimersByTimeAsync(10);
  expect(asked["/api/v1/runs/{run}"]).toBe(1);
  stop();
});

test("paused, nothing is asked for; going on asks for everything", async () => {
  const queries = new QueryClient();
  const { follower, stop } = await following(queries);
  const asked = shown(queries, "/api/v1/runs/{run}");
  follower.toggle();
  latest().say("run.started");
  latest().say("reset");
  latest().breaks();
  latest().say("ready");
  await vi.advanceTimersByTimeAsync(60_000);
  expect([isPaused(), live.get().waiting, asked["/api/v1/runs/{run}"]]).toEqual([true, 2, 0]);
  follower.toggle();
  await vi.advanceTimersByTimeAsync(10);
  expect([live.get().mode, asked["/api/v1/runs/{run}"]]).toEqual(["live", 1]);
  stop();
});

test("a server without a stream is asked every 15 s, and the stream is tried again", async () => {
  const queries = new QueryClient();
  const asked = shown(queries, "/api/v1/runs/{run}");
  const stop = new Follower(queries).follow("shop");
  latest().close();
  latest().onerror();
  expect(live.get().mode).toBe("polling");
  await vi.advanceTimersByTimeAsync(15_100);
  expect(asked["/api/v1/runs/{run}"]).toBe(1);
  expect(FakeSource.made.length).toBeGreaterThan(1);
  stop();
});

test("a stream that is kept back on its way is not waited for, and is taken when it comes after all", async () => {
  const queries = new QueryClient();
  const asked = shown(queries, "/api/v1/runs/{run}");
  const stop = new Follower(queries).follow("shop");
  await vi.advanceTimersByTimeAsync(7_900);
  expect([live.get().mode, asked["/api/v1/runs/{run}"]]).toEqual(["reconnecting", 0]);
  await vi.advanceTimersByTimeAsync(200);
  expect([live.get().mode, asked["/api/v1/runs/{run}"]]).toEqual(["polling", 1]);
  // The browser tries again and again; that is no reason to stop asking.
  latest().breaks();
  await vi.advanceTimersByTimeAsync(15_000);
  expect([live.get().mode, asked["/api/v1/runs/{run}"]]).toEqual(["polling", 2]);
  latest().say("ready");
  await vi.advanceTimersByTimeAsync(500);
  expect([live.get().mode, asked["/api/v1/runs/{run}"]]).toEqual(["live", 3]);
  stop();
});

/** A worker of all tabs of which a test has the other side. */
class FakeShared {
  static made: FakeShared[] = [];
  onerror: () => void = () => {};
  said: object[] = [];
  port: { onmessage: (event: object) => void; postMessage: (data: object) => void; close: () => void } = {
    onmessage: () => {},
    postMessage: (data) => this.said.push(data),
    close: () => {},
  };
  constructor() {
    FakeShared.made.push(this);
  }
}

test("where the worker of all tabs does not start, a tab has a stream of its own", async () => {
  vi.stubGlobal("SharedWorker", FakeShared);
  const queries = new QueryClient();
  const stop = new Follower(queries).follow("shop");
  expect([FakeSource.made.length, FakeShared.made.at(-1)?.said.length]).toEqual([0, 1]);
  FakeShared.made.at(-1)?.onerror();
  latest().say("ready");
  expect(live.get().mode).toBe("live");
  stop();
  expect(latest().readyState).toBe(2);
});

test("a worker that never says anything is not waited for", async () => {
  vi.stubGlobal("SharedWorker", FakeShared);
  const queries = new QueryClient();
  const asked = shown(queries, "/api/v1/runs/{run}");
  const stop = new Follower(queries).follow("shop");
  FakeShared.made.at(-1)?.port.onmessage({ data: { kind: "status", status: "connecting" } });
  await vi.advanceTimersByTimeAsync(8_100);
  expect([live.get().mode, asked["/api/v1/runs/{run}"]]).toEqual(["polling", 1]);
  stop();
});

test("a large list is fetched again only when it is old enough, and then it is, alone", async () => {
  const queries = new QueryClient();
  let asked = 0;
  const queryFn = () => ++asked;
  const query = show(queries, { queryKey: ["get", "/tests"], queryFn, meta: { minAgeMs: 20_000 } });
  await query.fetch();
  const others = shown(queries, "/api/v1/namespaces/{namespace}/queue");
  const stop = new Follower(queries).follow("shop");
  latest().say("ready");
  for (let second = 0; second < 19; second++) {
    latest().say("test.state_changed");
    await vi.advanceTimersByTimeAsync(1_000);
  }
  expect(asked).toBe(1);
  await vi.advanceTimersByTimeAsync(6_000);
  expect(asked).toBe(2);
  // The beginning of the stream made everything stale, once.
  expect(others["/api/v1/namespaces/{namespace}/queue"]).toBe(1);
  stop();
});

test("what happened before the stream began, or while it was broken, is asked for, once", async () => {
  const queries = new QueryClient();
  const asked = shown(queries, "/api/v1/namespaces/{namespace}/queue");
  const stop = new Follower(queries).follow("shop");
  await vi.advanceTimersByTimeAsync(1_000);
  expect(asked["/api/v1/namespaces/{namespace}/queue"]).toBe(0);
  latest().say("ready");
  await vi.advanceTimersByTimeAsync(10_000);
  expect(asked["/api/v1/namespaces/{namespace}/queue"]).toBe(1);
  latest().breaks();
  expect(live.get().mode).toBe("reconnecting");
  latest().say("ready");
  await vi.advanceTimersByTimeAsync(10_000);
  expect([live.get().mode, asked["/api/v1/namespaces/{namespace}/queue"]]).toEqual(["live", 2]);
  stop();
});

test("a test that was changed is looked at wherever it stands, in the timetable as well", async () => {
  const queries = new QueryClient();
  const { stop } = await following(queries);
  const timetable = "/api/v1/namespaces/{namespace}/timetable";
  const asked = shown(queries, timetable);
  latest().say("test.state_changed");
  await vi.advanceTimersByTimeAsync(500);
  expect(asked).toEqual({ [timetable]: 1 });
  stop();
});

test("the end of a run makes the cases of its test stale, and how they stand against runs", async () => {
  const queries = new QueryClient();
  const { stop } = await following(queries);
  const [cases, grid] = ["cases", "grid"].map(
    (part) => `/api/v1/namespaces/{namespace}/tests/{test}/${part}`,
  );
  const asked = shown(queries, cases!, grid!);
  latest().say("run.finished");
  await vi.advanceTimersByTimeAsync(500);
  expect(asked).toEqual({ [cases!]: 1, [grid!]: 1 });
  stop();
});
