import { useQuery } from "@tanstack/react-query";
import { Link, useNavigate } from "@tanstack/react-router";
import { type KeyboardEvent, memo, useCallback, useLayoutEffect, useMemo, useRef, useState } from "react";
import { api, type Schema } from "~/api/client";
import { useNs } from "~/app/namespace";
import { casePath, caseText } from "~/lib/cases";
import {
  columnAt,
  gridPaths,
  MARKS,
  type Mark,
  marksOf,
  markWord,
  moved,
  placeText,
  ROW,
  rowText,
  runEndWord,
  runMarks,
  STEP,
} from "~/lib/grid";
import { counted } from "~/lib/numbers";
import { cellText, Empty } from "~/parts/basics";
import { Loaded, Skeleton } from "~/parts/loaded";
import { Badge } from "~/parts/state";
import { Time, Took } from "~/parts/time";
import { NoReport, STANDINGS } from "./standings";

/** How many cases are asked for at first, and at most. */
const CASES = 50;
const MOST_CASES = 200;

const FILL: Record<Mark, string> = {
  p: "fill-pass opacity-70",
  r: "fill-warn",
  f: "fill-fail",
  e: "fill-error",
  m: "fill-idle",
  s: "fill-idle opacity-60",
  t: "fill-warn",
  c: "fill-idle opacity-60",
};

/** What names and durations need at least beside the marks. */
const NAMES_PX = 144;
const TOOK_PX = 76;

interface Place {
  row: number;
  column: number;
}

/** The cases of a test over its latest runs: a row for each case, a column for each run, those that failed last first. */
export function CaseGrid({ test, cell }: { test: Schema["TestDef"]; cell: string[] | undefined }) {
  const ns = useNs();
  const [cases, setCases] = useState(CASES);
  const query = useQuery({
    ...api.queryOptions("get", "/api/v1/namespaces/{namespace}/tests/{test}/grid", {
      params: { path: { namespace: ns, test: test.name }, query: { cell, cases } },
    }),
    // With more cases the rows that are there stay meanwhile.
    placeholderData: (before) => before,
    meta: { minAgeMs: 5_000 },
  });
  return (
    <Loaded query={query} what="The cases" skeleton={<Skeleton rows={10} height={ROW - 8} />}>
      {(grid) =>
        grid.cases.length === 0 ? (
          cell ? (
            <Empty title="No report of this cell was read yet" />
          ) : (
            <NoReport />
          )
        ) : (
          <>
            <Rows grid={grid} />
            <div className="flex flex-wrap items-center gap-x-4 gap-y-1 border-t px-3.5 py-2 text-sm text-muted">
              <Legend />
              <span className="ml-auto">
                {grid.cases.length} of {counted(grid.total)} cases
                {grid.total.count > grid.cases.length && cases < MOST_CASES ? (
                  <>
                    {": "}
                    <button
                      type="button"
                      className="link min-h-6"
                      aria-disabled={query.isFetching || undefined}
                      onClick={() => setCases(MOST_CASES)}
                    >
                      show up to {MOST_CASES}
                    </button>
                  </>
                ) : grid.total.count > grid.cases.length ? (
                  "; the list has all of them"
                ) : null}
              </span>
            </div>
          </>
        )
      }
    </Loaded>
  );
}

/** The rows. The first one is the runs themselves; one slider each, of which the one that was used last takes the focus. */
function Rows({ grid }: { grid: Schema["TestGrid"] }) {
  const ns = useNs();
  const navigate = useNavigate();
  const box = useRef<HTMLDivElement>(null);
  const scroll = useRef<HTMLDivElement>(null);
  const [place, setPlace] = useState<Place>();
  // In a narrow window the newest runs are what is seen first.
  useLayoutEffect(() => {
    if (scroll.current) scroll.current.scrollLeft = scroll.current.scrollWidth;
  }, []);
  const { runs, cases } = grid;
  const rows = useMemo(
    () => [runMarks(runs), ...cases.map((each) => marksOf(each.strip, runs.length))],
    [runs, cases],
  );
  const last = runs.length - 1;
  const at: Place = {
    row: Math.min(place?.row ?? 0, rows.length - 1),
    column: Math.min(place?.column ?? last, last),
  };
  const run = runs[at.column];
  const shown = at.row > 0 ? cases[at.row - 1] : undefined;
  // The same function until the grid changes, so that a movement draws two rows anew and not two hundred.
  const open = useCallback(
    (to: Place) => {
      const run = runs[to.column];
      const each = to.row > 0 ? cases[to.row - 1] : undefined;
      // A case that is not in the run is nothing to look at there.
      const isThere = each && rows[to.row]?.[to.column] !== undefined;
      if (!run) return;
      void navigate({
        to: "/ns/$ns/runs/$run",
        params: { ns, run: run.run_id },
        search: each ? { tab: "cases", case: isThere ? each.case_id : undefined } : {},
      });
    },
    [runs, cases, rows, ns, navigate],
  );
  const choose = useCallback(
    (to: Place) =>
      setPlace((before) => (before?.row === to.row && before.column === to.column ? before : to)),
    [],
  );
  const onKeyDown = (event: KeyboardEvent) => {
    if ((event.target as Element).getAttribute("role") !== "slider") return;
    if (event.key === "Enter") open(at);
    const to = moved(event.key, at, rows.length, runs.length);
    if (!to) return;
    event.preventDefault();
    choose(to);
    box.current?.querySelector<HTMLElement>(`[data-row="${to.row}"]`)?.focus();
  };
  const isAt = (row: number) => (place && at.row === row ? at.column : undefined);
  return (
    <>
      <div className="flex min-h-10 flex-wrap items-center gap-x-3 border-b px-3.5 py-1.5 text-sm">
        {place && run ? (
          <>
            <span className="font-medium wrap-anywhere">{shown ? caseText(shown.key) : "The run"}</span>
            <span>{shown ? markWord(rows[at.row]?.[at.column]) : runEndWord(run)}</span>
            {cellText(run.cell ?? {}) ? <span className="text-muted">{cellText(run.cell ?? {})}</span> : null}
            <Link
              className="link inline-flex min-h-6 items-center"
              to="/ns/$ns/runs/$run"
              params={{ ns, run: run.run_id }}
              search={
                shown ? { tab: "cases", case: rows[at.row]?.[at.column] ? shown.case_id : undefined } : {}
              }
            >
              <span>
                run of <Time at={run.finished_at} />
              </span>
            </Link>
          </>
        ) : (
          <span className="text-muted">
            The latest {runs.length} runs, the newest at the right. Arrows move over the marks, Enter opens.
          </span>
        )}
      </div>
      <div ref={scroll} className="overflow-x-auto">
        <div
          ref={box}
          className="grid grid-cols-[minmax(9rem,1fr)_auto_auto] items-center py-1"
          style={{ minWidth: NAMES_PX + runs.length * STEP + TOOK_PX }}
          onKeyDown={onKeyDown}
        >
          <span className="sticky left-0 z-10 bg-surface px-3.5 text-sm text-muted">Runs</span>
          <Marks
            row={0}
            label="How the runs ended"
            marks={rows[0] ?? []}
            at={isAt(0)}
            isFirst={at.row === 0}
            onPlace={choose}
            onOpen={open}
          />
          <span />
          {cases.map((each, index) => (
            <CaseRow
              key={each.case_id}
              each={each}
              row={index + 1}
              marks={rows[index + 1] ?? []}
              at={isAt(index + 1)}
              isFirst={at.row === index + 1}
              onPlace={choose}
              onOpen={open}
            />
          ))}
        </div>
      </div>
    </>
  );
}

function CaseRow({
  each,
  ...marks
}: { each: Schema["GridCase"] } & Omit<Parameters<typeof Marks>[0], "label">) {
  const standing = each.standing && STANDINGS[each.standing];
  const isGone = each.standing === "removed";
  const path = casePath(each.key);
  return (
    <>
      <span
        className={`sticky left-0 z-10 flex h-6 min-w-0 items-center gap-1.5 bg-surface pr-3 pl-3.5 text-sm ${isGone ? "text-muted" : ""}`}
      >
        <Link
          from="/ns/$ns/tests/$test"
          to="."
          search={(before) => ({ ...before, case: each.case_id })}
          resetScroll={false}
          className={`link inline-flex min-h-6 min-w-0 items-center ${isGone ? "text-muted" : "text-ink"}`}
          title={caseText(each.key)}
        >
          {/* What is cut off is where it stands, and not what it is called. */}
          <span className="truncate">{each.key.name}</span>
        </Link>
        {path ? (
          <span className="min-w-0 flex-1 basis-0 truncate text-muted max-md:hidden">{path}</span>
        ) : null}
        <span className="ml-auto flex shrink-0 gap-1 max-md:hidden">
          {standing && standing.word !== "passing" ? (
            <Badge tone={standing.tone}>{standing.word}</Badge>
          ) : null}
          {each.status === "healthy" ? null : (
            <Badge tone={each.status === "broken" ? "fail" : "warn"}>{each.status}</Badge>
          )}
        </span>
      </span>
      <span className={isGone ? "opacity-55" : ""}>
        <Marks label={`${caseText(each.key)}, ${rowText(marks.marks)}`} {...marks} />
      </span>
      <span className="pr-3.5 pl-3 text-right text-sm whitespace-nowrap text-muted">
        {each.duration_ms === undefined ? null : <Took ms={each.duration_ms} />}
      </span>
    </>
  );
}

/** The marks of a row as one slider. Drawn anew only where something of it changes: a grid has two hundred of them. */
const Marks = memo(function Marks({
  row,
  label,
  marks,
  at,
  isFirst,
  onPlace,
  onOpen,
}: {
  row: number;
  label: string;
  marks: (Mark | undefined)[];
  /** The column that is chosen in this row. */
  at: number | undefined;
  /** Tab leads to this row. */
  isFirst: boolean;
  onPlace: (place: Place) => void;
  onOpen: (place: Place) => void;
}) {
  const column = at ?? marks.length - 1;
  const place = (event: { clientX: number; currentTarget: Element }): Place => ({
    row,
    column: columnAt(event.clientX - event.currentTarget.getBoundingClientRect().left, marks.length),
  });
  return (
    <div
      role="slider"
      data-row={row}
      tabIndex={isFirst ? 0 : -1}
      aria-label={label}
      aria-valuemin={1}
      aria-valuemax={marks.length}
      aria-valuenow={column + 1}
      aria-valuetext={placeText(marks[column], column, marks.length)}
      className="cursor-pointer rounded-sm"
      onFocus={() => onPlace({ row, column })}
      onPointerMove={(event) => onPlace(place(event))}
      onClick={(event) => {
        // A tap comes without a movement before it.
        onPlace(place(event));
        onOpen(place(event));
      }}
    >
      <svg width={marks.length * STEP} height={ROW} className="block" aria-hidden="true">
        {gridPaths(marks).map(({ mark, d }) => (
          <path key={mark} d={d} className={FILL[mark]} />
        ))}
        {at === undefined ? null : (
          <rect x={at * STEP} y={1} width={STEP} height={ROW - 2} rx={1.5} className="fill-none stroke-ink" />
        )}
      </svg>
    </div>
  );
});

function Legend() {
  return (
    <ul className="flex flex-wrap gap-x-4" aria-label="What the marks mean">
      {MARKS.map((mark) => (
        <li key={mark} className="flex items-center gap-1.5">
          <svg width={STEP} height={ROW} aria-hidden="true">
            <path d={gridPaths([mark])[0]?.d} className={FILL[mark]} />
          </svg>
          {markWord(mark)}
        </li>
      ))}
    </ul>
  );
}
