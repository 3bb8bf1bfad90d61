import { expect, test } from "vitest";
import { againstFleet, neverTakes } from "./runners";

const said = (runner: Parameters<typeof neverTakes>[0]) =>
  neverTakes(runner).map((each) => `${each.text}${each.pattern === undefined ? "" : ` ${each.pattern}`}`);

test("without selectors a runner takes everything", () => {
  expect(said({ accept: {}, reject: {}, namespaces: [".*"] })).toEqual([]);
  expect(said({ accept: { "*": ".*" }, reject: {}, namespaces: ["a", ".*"] })).toEqual([]);
});

test("accept selectors shut out the labels that they do not name", () => {
  expect(said({ accept: { region: "nyc|sfo", os: ".*" }, reject: {}, namespaces: [".*"] })).toEqual([
    "runs whose label region is not nyc|sfo",
    "runs with any label but region and os",
  ]);
  expect(said({ accept: { region: "nyc", "*": "x.*" }, reject: {}, namespaces: [".*"] })).toEqual([
    "runs whose label region is not nyc",
    "runs of which a label other than region is not x.*",
  ]);
});

test("reject selectors and namespaces shut out what they say", () => {
  expect(said({ accept: {}, reject: { env: "prod", gpu: ".*" }, namespaces: ["shop", "team-.*"] })).toEqual([
    "runs of other namespaces than shop, team-.*",
    "runs whose label env is prod",
    "runs with a label gpu, whatever its value",
  ]);
});

const runner = (runner_id: string, runs: number, fail: number, cancelled = 0) => ({
  runner_id,
  runner_name: runner_id,
  slots: 1,
  busy_ms: 0,
  utilisation: 0,
  counts: {
    runs,
    pass: runs - fail - cancelled,
    fail,
    error: 0,
    timed_out: 0,
    cancelled,
    flaky: 0,
    attempts: runs,
  },
});

test("a runner is compared with the others, of which it is none", () => {
  const fleet = [runner("a", 20, 10), runner("b", 60, 4), runner("c", 40, 6)];
  expect(againstFleet("a", fleet)).toEqual({ bad: 10, ended: 20, fleet: 0.1, isWorse: true });
  // Most runs end on it, so among all it would look like all.
  expect(againstFleet("a", [runner("a", 100, 30), runner("b", 20, 2)])?.isWorse).toBe(true);
  expect(againstFleet("b", fleet)?.isWorse).toBe(false);
});

test("few runs, a runner that is alone, and cancelled runs say nothing of a machine", () => {
  expect(againstFleet("a", [runner("a", 9, 9), runner("b", 100, 0)])?.isWorse).toBe(false);
  expect(againstFleet("a", [runner("a", 20, 20)])).toMatchObject({ fleet: undefined, isWorse: false });
  expect(againstFleet("a", [runner("a", 20, 0, 15), runner("b", 100, 0)])?.ended).toBe(5);
  expect(againstFleet("x", [runner("a", 20, 0)])).toBeUndefined();
});
