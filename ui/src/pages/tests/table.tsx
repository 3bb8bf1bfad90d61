import { Link } from "@tanstack/react-router";
import { useEffect, useRef, useSyncExternalStore } from "react";
import type { Schema } from "~/api/client";
import { percent, plural } from "~/lib/numbers";
import type { TestRow } from "~/lib/test-rows";
import { duration } from "~/lib/time";
import { cellText, Labels } from "~/parts/basics";
import { Badge, StateIcon } from "~/parts/state";
import { Strip } from "~/parts/strip";
import { Time } from "~/parts/time";
import { useWindowRows } from "~/parts/window-rows";

const GRID =
  "md:grid md:grid-cols-[28px_minmax(140px,1fr)_240px_72px_84px] xl:grid-cols-[28px_minmax(180px,1fr)_240px_72px_84px_84px_84px] md:items-center md:gap-x-4";

/** Where rows are one line of cells, and not stacked. Rows of each kind are equally high, so labels do not wrap. */
const WIDE = matchMedia("(min-width: 48rem)");

function onWidth(listener: () => void): () => void {
  WIDE.addEventListener("change", listener);
  return () => WIDE.removeEventListener("change", listener);
}

/** How long tests took, by their ids. */
export type Took = Map<string, Schema["Spread"] | undefined>;

/** With fewer runs than this a percentile says nothing. */
const MIN_RUNS = 5;

/** The rows of the tests, of which only those in sight are in the page: thousands cost as little as thirty. */
export function TestTable({
  ns,
  rows,
  picked,
  onPick,
  at,
  took,
}: {
  ns: string;
  rows: TestRow[];
  picked: ReadonlySet<string>;
  onPick: (name: string) => void;
  /** The id of the test at which the keys stand. */
  at: string | undefined;
  took: Took | undefined;
}) {
  const box = useRef<HTMLDivElement>(null);
  const height = useSyncExternalStore(onWidth, () => (WIDE.matches ? 65 : 118));
  const { from, to, reveal } = useWindowRows(box, rows.length, height);
  const chosen = at === undefined ? -1 : rows.findIndex((row) => row.test.id === at);
  // When the keys move, and not when the order changes: a reader who has scrolled on is left there.
  // biome-ignore lint/correctness/useExhaustiveDependencies: the place is that of `at`
  useEffect(() => {
    if (chosen >= 0) reveal(chosen);
  }, [at, reveal]);

  return (
    <div role="table" aria-label="Tests" aria-rowcount={rows.length + 1}>
      <div role="rowgroup">
        <div
          role="row"
          aria-rowindex={1}
          className={`${GRID} border-b px-3.5 py-1.5 text-sm text-muted max-md:hidden`}
        >
          <span role="columnheader">
            <span className="visually-hidden">Pick</span>
          </span>
          <span role="columnheader">Test</span>
          <span role="columnheader">Latest runs</span>
          <span role="columnheader" className="text-right">
            Passed
          </span>
          <span
            role="columnheader"
            className="text-right max-xl:hidden"
            title="The median of 7 days, and the 95th percentile"
          >
            {took ? "Took" : ""}
          </span>
          <span role="columnheader">Latest</span>
          <span role="columnheader" className="max-xl:hidden">
            Next
          </span>
        </div>
      </div>
      <div role="rowgroup" ref={box} className="relative" style={{ height: rows.length * height }}>
        {rows.slice(from, to).map((row, index) => {
          const place = from + index;
          return (
            <div
              key={row.test.id}
              role="row"
              aria-rowindex={place + 2}
              className={`absolute inset-x-0 top-0 border-b px-3.5 py-2 hover:z-10 focus-within:z-10 ${GRID} ${chosen === place ? "bg-accent-soft" : "hover:bg-sunken/60"}`}
              style={{ height, transform: `translateY(${place * height}px)` }}
            >
              <Row
                ns={ns}
                row={row}
                picked={picked.has(row.test.name)}
                onPick={onPick}
                took={took?.get(row.test.id)}
              />
            </div>
          );
        })}
      </div>
    </div>
  );
}

function Row({
  ns,
  row,
  picked,
  onPick,
  took,
}: {
  ns: string;
  row: TestRow;
  picked: boolean;
  onPick: (name: string) => void;
  took: Schema["Spread"] | undefined;
}) {
  const { test, cell } = row;
  const owner = test.annotations.owner;
  return (
    <>
      <span role="cell" className="max-md:hidden">
        <input
          type="checkbox"
          className="block size-6 scale-[0.65]"
          checked={picked}
          onChange={() => onPick(test.name)}
          aria-label={`Pick ${test.name}`}
        />
      </span>
      <div role="cell" className="min-w-0">
        <div className="flex items-center gap-2">
          <StateIcon state={row.standing === "failing" ? "fail" : row.standing} alone />
          <Link
            to="/ns/$ns/tests/$test"
            params={{ ns, test: test.name }}
            className="link inline-flex min-h-6 items-center truncate font-medium text-ink"
          >
            {test.name}
          </Link>
          {row.standing === "flaky" ? (
            <Link
              to="/ns/$ns/tests/$test"
              params={{ ns, test: test.name }}
              search={{ tab: "overview" }}
              tabIndex={-1}
            >
              <Badge tone="warn">flaky</Badge>
            </Link>
          ) : null}
          {test.paused ? <Badge tone="idle">paused</Badge> : null}
        </div>
        <div className="flex items-center gap-x-2 h-6 overflow-hidden pl-[22px] text-xs whitespace-nowrap text-muted empty:hidden">
          {row.cells > 1 ? (
            <span>
              {row.failingCells > 0
                ? `${row.failingCells} of ${plural(row.cells, "cell")} failing`
                : plural(row.cells, "cell")}
            </span>
          ) : null}
          {owner ? (
            <Link
              from="/ns/$ns/tests"
              to="."
              search={(before) => ({ ...before, owner })}
              className="link inline-flex min-h-6 items-center text-muted"
              title={`Only the tests of ${owner}`}
            >
              {owner}
            </Link>
          ) : null}
          <Labels labels={test.labels} none="" oneLine />
        </div>
      </div>
      <div role="cell" className="max-md:mt-1.5 max-md:pl-[22px]">
        <Strip ns={ns} test={test.name} cell={cell?.cell} strip={cell?.strip ?? ""} />
        {row.cells > 1 && cell?.cell ? (
          <span className="block truncate text-xs text-muted">{cellText(cell.cell)}</span>
        ) : null}
      </div>
      <span
        role="cell"
        className="text-right text-sm max-md:hidden"
        title={`${row.passed} of ${plural(row.of, "run")}`}
      >
        {row.of > 0 ? (
          <>
            {percent(row.passed, row.of)} <span className="block text-xs text-muted">of {row.of}</span>
          </>
        ) : (
          <span className="text-muted">–</span>
        )}
      </span>
      <span role="cell" className="text-right text-sm whitespace-nowrap max-xl:hidden">
        {took && took.count >= MIN_RUNS ? (
          <>
            {duration(took.p50_ms)}{" "}
            <span className="block text-xs text-muted">p95 {duration(took.p95_ms)}</span>
          </>
        ) : null}
      </span>
      <span role="cell" className="text-sm max-md:hidden">
        <Time at={row.lastAt} />
      </span>
      <span role="cell" className="text-sm max-xl:hidden">
        <Time at={test.next_run_at} />
      </span>
    </>
  );
}
