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

const counts = (runs: number, fail: number, cancelled = 0) => ({
  runs,
  pass: runs - fail - cancelled,
  fail,
  error: 0,
  timed_out: 0,
  cancelled,
  flaky: 0,
  attempts: runs,
});

test("a runner is compared with the others, of which it is none", () => {
  const found = againstFleet(counts(20, 10), counts(120, 20));
  expect(found).toEqual({ bad: 10, ended: 20, fleet: 0.1, isWorse: true });
  // Its own failures would have hidden it: ten of twenty are a fifth of all.
  expect(againstFleet(counts(100, 30), counts(120, 32)).isWorse).toBe(true);
});

test("few runs, a runner that is alone, and cancelled runs say nothing of a machine", () => {
  expect(againstFleet(counts(9, 9), counts(109, 9)).isWorse).toBe(false);
  expect(againstFleet(counts(20, 20), counts(20, 20))).toMatchObject({ fleet: undefined, isWorse: false });
  expect(againstFleet(counts(20, 0, 15), counts(120, 0, 15)).ended).toBe(5);
});
