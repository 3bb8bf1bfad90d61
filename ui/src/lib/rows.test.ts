import { expect, test } from "vitest";
import type { Schema } from "~/api/client";
import { addUp, herd } from "./density";
import { activeFindings, findingText } from "./findings";
import { badness, weeks } from "./heatmap";
import { axes, sameCell } from "./matrix";
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
  const at = (...places: [minute: number, n: number][]) => {
    const list = Array.from({ length: 60 }, () => 0);
    for (const [minute, n] of places) list[minute] = n;
    return list;
  };
  expect(herd(addUp([at([0, 4]), at([0, 2], [7, 1])]))).toEqual({ minute: 0, starts: 6 });
  expect([herd(at([0, 2])), herd(at([0, 6], [1, 6], [2, 6], [3, 6])), herd([])]).toEqual([
    undefined,
    undefined,
    undefined,
  ]);
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
