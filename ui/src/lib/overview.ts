import type { Schema } from "~/api/client";
import { counted, plural } from "./numbers";
import { ends, isBad } from "./strip";
import { duration } from "./time";

type TestState = Schema["TestState"];

/** Whether the latest run of a test failed, in any cell. */
export function isFailing(test: TestState): boolean {
  return test.cells.some((cell) => isBad(ends(cell.strip).at(-1)));
}

/** Whether a test began to fail with its latest run: in some cell the one before it passed, or there was none. */
export function isNewlyFailing(test: TestState): boolean {
  return test.cells.some((cell) => {
    const list = ends(cell.strip).filter((end) => end !== "c");
    return isBad(list.at(-1)) && !isBad(list.at(-2));
  });
}

/** What the first sentence of the dashboard is made of. */
export interface Overview {
  tests: number;
  failing: number;
  newly: number;
  flaky: number;
  waiting: { count: number; more: boolean };
  oldestMs: number | undefined;
  online: number;
  runners: number;
}

/** Counts what the sentence says. */
export function overview(
  states: TestState[],
  queue: Schema["QueueClass"][],
  runners: Schema["Runner"][],
  now: Date,
): Overview {
  const oldest = queue
    .map((each) => each.oldest)
    .filter((each): each is string => each !== undefined)
    .sort()[0];
  const all = queue.flatMap((each) => [each.depth, each.gated]);
  return {
    tests: states.length,
    failing: states.filter(isFailing).length,
    newly: states.filter(isNewlyFailing).length,
    flaky: states.filter((test) => test.status === "flaky").length,
    waiting: { count: all.reduce((sum, each) => sum + each.count, 0), more: all.some((each) => each.more) },
    oldestMs: oldest === undefined ? undefined : now.getTime() - Date.parse(oldest),
    online: runners.filter((runner) => runner.state !== "offline").length,
    runners: runners.length,
  };
}

/** The sentence as text, for a message to others. */
export function sentence(o: Overview): string {
  const queue =
    o.waiting.count === 0
      ? "nothing waits"
      : `queue ${counted(o.waiting)}${o.oldestMs === undefined ? "" : `, oldest ${duration(o.oldestMs)}`}`;
  const newly = o.newly > 0 ? `, ${o.newly} since their latest run` : "";
  return `${o.failing} of ${plural(o.tests, "test")} failing${newly}; ${queue}; ${o.online} of ${plural(o.runners, "runner")} online.`;
}

/** A test that takes longer than it did before. */
export interface Slower {
  name: string;
  beforeMs: number;
  afterMs: number;
  runs: number;
}

/** With fewer runs than this on either side a median says nothing. */
const MIN_RUNS = 5;

/** Tests whose median duration grew by a fifth and by half a second from one span of time to the next. */
export function slower(before: Schema["SummaryTest"][], after: Schema["SummaryTest"][]): Slower[] {
  const old = new Map(before.map((test) => [test.test_id, test.figures.duration]));
  return after
    .flatMap((test) => {
      const was = old.get(test.test_id);
      const is = test.figures.duration;
      if (!was || !is || was.count < MIN_RUNS || is.count < MIN_RUNS) return [];
      const grown = is.p50_ms - was.p50_ms;
      if (grown < 500 || is.p50_ms < was.p50_ms * 1.2) return [];
      return [{ name: test.test_name, beforeMs: was.p50_ms, afterMs: is.p50_ms, runs: is.count }];
    })
    .sort((a, b) => b.afterMs / b.beforeMs - a.afterMs / a.beforeMs);
}
