import { QueryClient } from "@tanstack/react-query";
import { afterEach, beforeEach, expect, test, vi } from "vitest";
import { Follower, isPaused, live } from "./live";

/** A stream that a test opens, breaks and speaks through. */
class FakeSource {
  static CLOSED = 2;
  static made: FakeSource[] = [];
  readyState = 0;
  onopen: () => void = () => {};
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
  close() {
    this.readyState = 2;
  }
}

const latest = () => FakeSource.made.at(-1)!;

/** A cache with one shown answer for each path; returns how often each was asked for. */
function shown(queries: QueryClient, ...paths: string[]): Record<string, number> {
  const asked: Record<string, number> = {};
  for (const path of paths) {
    asked[path] = 0;
    queries
      .getQueryCache()
      .build(queries, {
        queryKey: ["get", path],
        queryFn: () => {
          asked[path] = (asked[path] ?? 0) + 1;
          return 1;
        },
      })
      .addObserver({ options: {}, onQueryUpdate() {}, isDisabled: () => false } as never);
  }
  return asked;
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
  const asked = shown(queries, "/api/v1/runs/{run}", "/api/v1/tokens");
  const stop = new Follower(queries).follow("shop");
  expect(latest().url).toBe(
    "http://tstr.test/api/v1/events?topics=runs%2Ctests%2Crunners%2Cqueue&namespace=shop",
  );
  latest().onopen();
  expect(live.get().mode).toBe("live");
  for (let n = 0; n < 50; n++) latest().say("run.finished");
  await vi.advanceTimersByTimeAsync(500);
  expect(asked).toEqual({ "/api/v1/runs/{run}": 1, "/api/v1/tokens": 0 });
  stop();
});

test("paused, nothing is asked for; going on asks for everything", async () => {
  const queries = new QueryClient();
  const asked = shown(queries, "/api/v1/runs/{run}");
  const follower = new Follower(queries);
  const stop = follower.follow("shop");
  latest().onopen();
  follower.toggle();
  latest().say("run.started");
  latest().say("reset");
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

test("a large list is fetched again only when it is old enough, and then it is", async () => {
  const queries = new QueryClient();
  let asked = 0;
  const queryFn = () => ++asked;
  const query = queries
    .getQueryCache()
    .build(queries, { queryKey: ["get", "/tests"], queryFn, meta: { minAgeMs: 20_000 } });
  query.addObserver({ options: {}, onQueryUpdate() {}, isDisabled: () => false } as never);
  await query.fetch();
  const stop = new Follower(queries).follow("shop");
  latest().onopen();
  for (let second = 0; second < 19; second++) {
    latest().say("test.state_changed");
    await vi.advanceTimersByTimeAsync(1_000);
  }
  expect(asked).toBe(1);
  await vi.advanceTimersByTimeAsync(6_000);
  expect(asked).toBe(2);
  stop();
});

test("what a break may have missed is asked for again", async () => {
  const queries = new QueryClient();
  const asked = shown(queries, "/api/v1/namespaces/{namespace}/queue");
  const stop = new Follower(queries).follow("shop");
  latest().onopen();
  await vi.advanceTimersByTimeAsync(1_000);
  expect(asked["/api/v1/namespaces/{namespace}/queue"]).toBe(0);
  latest().onerror();
  expect(live.get().mode).toBe("reconnecting");
  latest().onopen();
  await vi.advanceTimersByTimeAsync(1_000);
  expect([live.get().mode, asked["/api/v1/namespaces/{namespace}/queue"]]).toEqual(["live", 1]);
  stop();
});
