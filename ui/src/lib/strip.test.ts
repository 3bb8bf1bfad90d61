import { expect, test } from "vitest";
import { barAt, barText, ends, passes, runBehind, stripPaths } from "./strip";

test("letters that this build does not know are left out", () => {
  expect(ends("ppXf")).toEqual(["p", "p", "f"]);
  expect(ends("p".repeat(70))).toHaveLength(60);
});

test("bars stand at the right, failures are taller, and each kind is one path", () => {
  const paths = stripPaths(ends("pfp"), { step: 4, gap: 1, height: 20 });
  expect(paths).toEqual([
    { end: "p", d: "M228 9h3v11h-3zM236 9h3v11h-3z" },
    { end: "f", d: "M232 0h3v20h-3z" },
  ]);
});

test("a bar is found by its place", () => {
  expect([barAt(239, 3, 4), barAt(228, 3, 4), barAt(227, 3, 4)]).toEqual([2, 0, undefined]);
  expect(barText(ends("pf"), 1)).toBe("run 2 of 2: fail");
});

test("cancelled runs count neither way", () => {
  expect(passes(ends("pprfc"))).toEqual({ passed: 3, of: 4 });
});

test("the run behind a bar is the one at its place, if it ended so", () => {
  const run = (id: string, result: "pass" | "fail", at: string) => ({
    id,
    result,
    flaky: false,
    finished_at: at,
  });
  const runs = [
    run("a", "pass", "2026-01-01"),
    run("c", "pass", "2026-01-03"),
    run("b", "fail", "2026-01-02"),
  ];
  const list = ends("ppfp");
  expect(runBehind(list, 3, runs)?.id).toBe("c");
  expect(runBehind(list, 2, runs)?.id).toBe("b");
  expect(runBehind(ends("pppp"), 2, runs)).toBeUndefined();
  expect(runBehind(list, 0, runs)).toBeUndefined();
});
