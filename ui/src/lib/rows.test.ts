import { expect, test } from "vitest";
import type { Schema } from "~/api/client";
import { density, herd } from "./density";
import { activeFindings, findingText } from "./findings";
import { badness, weeks } from "./heatmap";
import { axes, sameCell } from "./matrix";
import { isNewlyFailing, overview, sentence, slower } from "./overview";
import { parsePairs } from "./pairs";
import { sortRows, testRow } from "./test-rows";

const cell = (strip: string, status: Schema["Status"] = "healthy", labels = {}): Schema["CellStrip"] => ({
  cell: labels,
  strip,
  status,
});
const state = (
  name: string,
  status: Schema["Status"],
  ...cells: Schema["CellStrip"][]
): Schema["TestState"] => ({
  test_id: name,
  name,
  status,
  cells,
});
const def = (name: string) => ({ id: name, name, annotations: {}, labels: {} }) as Schema["TestDef"];

test("a row shows its worst cell, and stands where that one does", () => {
  const row = testRow(def("a"), state("a", "flaky", cell("ppp"), cell("ppf"), cell("pfp", "flaky")));
  expect([row.standing, row.cell?.strip, row.failingCells, row.passed, row.of]).toEqual([
    "failing",
    "ppf",
    1,
    7,
    9,
  ]);
  expect(testRow(def("b"), undefined).standing).toBe("never");
  expect(testRow(def("c"), state("c", "broken", cell("fff", "broken"))).standing).toBe("broken");
});

test("the worst come first, and what is equal by name", () => {
  const rows = [
    testRow(def("z"), state("z", "healthy", cell("p"))),
    testRow(def("b"), state("b", "healthy", cell("f"))),
    testRow(def("n"), undefined),
    testRow(def("f"), state("f", "flaky", cell("p", "flaky"))),
    testRow(def("a"), state("a", "healthy", cell("p"))),
  ];
  expect(sortRows(rows, "worst").map((row) => row.test.name)).toEqual(["b", "f", "a", "z", "n"]);
  expect(sortRows(rows, "pass_rate").map((row) => row.test.name)).toEqual(["b", "a", "f", "z", "n"]);
});

test("the sentence says what there is", () => {
  const now = new Date("2026-01-01T00:00:12Z");
  const queue = [
    { depth: { count: 4, more: false }, gated: { count: 0, more: false }, oldest: "2026-01-01T00:00:00Z" },
  ] as Schema["QueueClass"][];
  const runners = [{ state: "live" }, { state: "offline" }] as Schema["Runner"][];
  const states = [
    state("a", "healthy", cell("pf")),
    state("b", "healthy", cell("ff")),
    state("c", "healthy", cell("pp")),
  ];
  expect(sentence(overview(states, queue, runners, now))).toBe(
    "2 of 3 tests failing, 1 since their latest run; queue 4, oldest 12 s; 1 of 2 runners online.",
  );
  expect(sentence(overview([], [], [], now))).toBe(
    "0 of 0 tests failing; nothing waits; 0 of 0 runners online.",
  );
});

test("a failure is new when the run before it passed; cancelled runs say nothing", () => {
  const is = (strip: string) => isNewlyFailing(state("a", "healthy", cell(strip)));
  expect([is("pf"), is("pcf"), is("ff"), is("f"), is("fp"), is("")]).toEqual([
    true,
    true,
    false,
    true,
    false,
    false,
  ]);
});

test("a test is slower by a fifth and half a second, and with runs enough", () => {
  const figures = (name: string, p50_ms: number, count = 10) =>
    ({ test_id: name, test_name: name, figures: { duration: { count, p50_ms } } }) as Schema["SummaryTest"];
  const before = [figures("a", 1_000), figures("b", 1_000), figures("c", 10_000), figures("d", 1_000, 2)];
  const after = [figures("a", 2_000), figures("b", 1_300), figures("c", 11_000), figures("d", 9_000)];
  expect(slower(before, after).map((test) => test.name)).toEqual(["a"]);
});

test("weeks begin on Monday, and days have a badness", () => {
  const day = (start: string, runs: number, fail: number) =>
    ({
      start,
      figures: { counts: { runs, fail, error: 0, timed_out: 0, flaky: 0 } },
    }) as Schema["SummaryInterval"];
  const list = weeks([
    day("2026-11-28T00:00:00Z", 2, 0),
    day("2026-11-29T00:00:00Z", 2, 2),
    day("2026-11-30T00:00:00Z", 100, 1),
  ]);
  expect(list).toHaveLength(2);
  expect(list[0]?.map(badness)).toEqual([-1, -1, -1, -1, -1, 0, 4]);
  expect(badness(list[1]?.[0])).toBe(1);
});

test("a herd at one minute is seen", () => {
  const at = (minute: number) => `2026-01-01T00:${String(minute).padStart(2, "0")}:00Z`;
  expect(herd(density([...Array.from({ length: 6 }, () => at(0)), at(7), undefined]))).toEqual({
    minute: 0,
    tests: 6,
  });
  expect(herd(density([at(0), at(0)]))).toBeUndefined();
});

test("findings are said in words, the broken ones first", () => {
  const finding = (monitor: string, marks: Schema["Status"], active = true) =>
    ({
      monitor,
      marks,
      state: { active },
      figures: { trials: 20, signals: 3, transitions: 2, failures: 4, value: 5 },
    }) as Schema["MonitorFinding"];
  const list = activeFindings([
    finding("retry", "flaky"),
    finding("failures_in_row", "broken"),
    finding("transitions", "flaky", false),
  ]);
  expect(list.map(findingText)).toEqual(["failed 5 times in a row", "passed on retry 3 times in 20 runs"]);
});

test("cells are compared by their labels, and their keys keep their order", () => {
  expect([...axes([{ a: "1", b: "2" }, { a: "3" }])]).toEqual([
    ["a", ["1", "3"]],
    ["b", ["2"]],
  ]);
  expect([sameCell({ a: "1", b: "2" }, { b: "2", a: "1" }), sameCell({}, { a: "1" })]).toEqual([true, false]);
});

test("pairs are read by lines, and the first that is none is named", () => {
  expect(parsePairs("A=1\n\n B = x=y ")).toEqual({ pairs: { A: "1", B: "x=y" } });
  expect(parsePairs("A=1\nnonsense").wrong).toBe("nonsense");
  expect(parsePairs("=x").wrong).toBe("=x");
});
