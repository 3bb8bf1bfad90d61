import type { Schema } from "~/api/client";

type Test = Pick<Schema["TimetableTest"], "name" | "paused" | "instants">;

/** The next instant of a test at a time. The table begins with the hour, so the first ones may have passed. */
export function nextOf(test: Pick<Test, "instants">, nowMs: number): string | undefined {
  return test.instants.find((at) => Date.parse(at) > nowMs);
}

/** Orders tests by their next instants; those that never come again stand behind them, and those that are paused last. */
export function byNext(nowMs: number): (a: Test, b: Test) => number {
  const rank = (test: Test) => (test.paused ? 2 : nextOf(test, nowMs) === undefined ? 1 : 0);
  return (a, b) =>
    rank(a) - rank(b) ||
    (rank(a) === 0 ? (nextOf(a, nowMs) ?? "").localeCompare(nextOf(b, nowMs) ?? "") : 0) ||
    a.name.localeCompare(b.name);
}

/** When the table is to be drawn anew: the first instant after a time, of the tests that run. */
export function turnsAt(tests: Test[], nowMs: number): number | undefined {
  let first: number | undefined;
  for (const test of tests) {
    const next = test.paused ? undefined : nextOf(test, nowMs);
    const at = next === undefined ? undefined : Date.parse(next);
    if (at !== undefined && (first === undefined || at < first)) first = at;
  }
  return first;
}
