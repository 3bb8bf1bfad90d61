import type { Schema } from "~/api/client";
import { type End, ends, isBad, passes } from "./strip";

/** Where a test stands, the worst first: broken by the monitors, its latest run failed, flaky, healthy, without runs. */
export type Standing = "broken" | "failing" | "flaky" | "healthy" | "never";

/** How a list of tests can be ordered. */
export type TestSort = "worst" | "name" | "pass_rate" | "latest" | "next";

/** A test as a row of the list: its definition, and what its latest runs say. */
export interface TestRow {
  test: Schema["TestDef"];
  standing: Standing;
  /** The cell that is worst, whose strip the row shows. */
  cell: Schema["CellStrip"] | undefined;
  cells: number;
  /** How many cells failed when they ran last. */
  failingCells: number;
  passed: number;
  of: number;
  lastAt: string | undefined;
}

const ORDER: Standing[] = ["broken", "failing", "flaky", "healthy", "never"];

function lastEnd(cell: Schema["CellStrip"]): End | undefined {
  return ends(cell.strip).at(-1);
}

function badness(cell: Schema["CellStrip"]): number {
  const status = { broken: 4, flaky: 1, healthy: 0 }[cell.status] ?? 0;
  return status + (isBad(lastEnd(cell)) ? 2 : 0);
}

/** Makes a row of a test. Without a state it has not run yet. */
export function testRow(test: Schema["TestDef"], state: Schema["TestState"] | undefined): TestRow {
  const cells = state?.cells ?? [];
  let cell = cells[0];
  for (const each of cells) if (cell && badness(each) > badness(cell)) cell = each;
  const failing = cells.filter((each) => isBad(lastEnd(each))).length;
  const sums = cells.map((each) => passes(ends(each.strip)));
  const standing: Standing =
    cells.length === 0
      ? "never"
      : state?.status === "broken"
        ? "broken"
        : failing > 0
          ? "failing"
          : (state?.status ?? "healthy");
  return {
    test,
    standing,
    cell,
    cells: cells.length,
    failingCells: failing,
    passed: sums.reduce((sum, each) => sum + each.passed, 0),
    of: sums.reduce((sum, each) => sum + each.of, 0),
    lastAt: state?.last_at,
  };
}

/** Orders rows; what is equal is ordered by name. */
export function sortRows(rows: TestRow[], sort: TestSort): TestRow[] {
  const by: Record<TestSort, (a: TestRow, b: TestRow) => number> = {
    worst: (a, b) => ORDER.indexOf(a.standing) - ORDER.indexOf(b.standing),
    name: () => 0,
    pass_rate: (a, b) => share(a) - share(b),
    latest: (a, b) => (b.lastAt ?? "").localeCompare(a.lastAt ?? ""),
    next: (a, b) => (a.test.next_run_at ?? "9").localeCompare(b.test.next_run_at ?? "9"),
  };
  return [...rows].sort((a, b) => by[sort](a, b) || a.test.name.localeCompare(b.test.name));
}

/** The share of runs that passed; those without runs come last. */
function share(row: TestRow): number {
  return row.of === 0 ? 2 : row.passed / row.of;
}
