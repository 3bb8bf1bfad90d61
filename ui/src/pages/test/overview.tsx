import { type UseQueryResult, useQuery } from "@tanstack/react-query";
import { useNavigate } from "@tanstack/react-router";
import { Suspense, useMemo } from "react";
import { api, type Schema } from "~/api/client";
import { useNs } from "~/app/namespace";
import { activeFindings, findingText } from "~/lib/findings";
import { count, percent, plural } from "~/lib/numbers";
import { ends, isBad } from "~/lib/strip";
import { duration } from "~/lib/time";
import { cellText, Empty, Figure, Panel } from "~/parts/basics";
import { CHART_INSET, Chart } from "~/parts/chart";
import { DragZoom } from "~/parts/drag-zoom";
import { lazy } from "~/parts/lazy";
import { Loaded, Skeleton } from "~/parts/loaded";
import { Badge, State } from "~/parts/state";
import { Strip } from "~/parts/strip";
import { Time } from "~/parts/time";
import { Heatmap } from "./heatmap";
import { SpanNote, useSpan } from "./span";

const MatrixGrid = lazy(() => import("./matrix-grid").then((m) => ({ default: m.MatrixGrid })));

const DAY = 86_400_000;
/** With fewer runs a percentile says nothing; then the points stand alone, and a word says so. */
const MIN_RUNS = 5;

/** The history of a test at a glance. */
export function Overview({
  test,
  cells,
}: {
  test: Schema["TestDef"];
  cells: UseQueryResult<Schema["CellStatePage"], unknown>;
}) {
  const ns = useNs();
  const since = useMemo(() => new Date(Math.floor(Date.now() / DAY) * DAY - 181 * DAY).toISOString(), []);
  const summary = useQuery(
    api.queryOptions("get", "/api/v1/namespaces/{namespace}/summary", {
      params: {
        path: { namespace: ns },
        query: { test: test.name, interval: "day", scheduled_after: since },
      },
    }),
  );
  return (
    <div className="grid gap-4 xl:grid-cols-[minmax(0,1fr)_minmax(0,1fr)]">
      <Panel title="Cells" className="xl:col-span-2">
        <Loaded query={cells} what="The cells" skeleton={<Skeleton rows={3} />}>
          {(page) => <Cells test={test} cells={page.items} />}
        </Loaded>
      </Panel>
      <Panel title="The last 26 weeks" note="in UTC">
        <Loaded query={summary} what="The history" skeleton={<Skeleton rows={7} height={10} />}>
          {(data) => (
            <div className="p-3.5">
              <Heatmap intervals={data.intervals} test={test.name} />
              <Totals figures={data.totals} />
            </div>
          )}
        </Loaded>
      </Panel>
      <Panel title="How long it takes">
        <Durations test={test} />
      </Panel>
    </div>
  );
}

function Cells({ test, cells }: { test: Schema["TestDef"]; cells: Schema["CellState"][] }) {
  const ns = useNs();
  if (cells.length === 0) {
    return (
      <Empty title="It has not run yet" command={`tstr ctl test run ${test.name} --namespace ${ns}`}>
        {test.cron_schedule
          ? "Its schedule starts it, or you do:"
          : "It has no schedule, so somebody has to start it:"}
      </Empty>
    );
  }
  const keys = new Set(cells.flatMap((cell) => Object.keys(cell.cell)));
  return (
    <>
      {keys.size > 1 && cells.length > 3 ? (
        <Suspense fallback={<Skeleton rows={4} height={28} />}>
          <MatrixGrid cells={cells} />
        </Suspense>
      ) : null}
      <ul className="text-sm">
        {[...cells]
          .sort(worstFirst)
          .slice(0, 60)
          .map((cell) => {
            const finding = activeFindings(cell.findings)[0];
            return (
              <li
                key={cellText(cell.cell)}
                className="flex flex-wrap items-center gap-x-4 gap-y-1 border-b px-3.5 py-2 last:border-b-0"
              >
                <span className="w-24">
                  <State
                    state={isBad(ends(cell.strip).at(-1)) && cell.status !== "broken" ? "fail" : cell.status}
                  />
                </span>
                <Strip ns={ns} test={test.name} cell={cell.cell} strip={cell.strip} />
                <span className="min-w-0 flex-1 basis-40 wrap-anywhere">
                  {cellText(cell.cell) ? <span className="font-medium">{cellText(cell.cell)} </span> : null}
                  {finding ? <span className="text-muted">{findingText(finding)}</span> : null}
                  {finding?.dry_run ? <Badge tone="idle">dry run</Badge> : null}
                </span>
                <span className="text-muted">
                  <Time at={cell.last_at} />
                </span>
              </li>
            );
          })}
        {cells.length > 60 ? (
          <li className="px-3.5 py-2 text-muted">and {cells.length - 60} more cells</li>
        ) : null}
      </ul>
    </>
  );
}

function worstFirst(a: Schema["CellState"], b: Schema["CellState"]): number {
  const weight = (cell: Schema["CellState"]) =>
    ({ broken: 4, flaky: 1, healthy: 0 })[cell.status] + (isBad(ends(cell.strip).at(-1)) ? 2 : 0);
  return weight(b) - weight(a);
}

function Totals({ figures }: { figures: Schema["Figures"] }) {
  const { counts, wait, duration: took } = figures;
  return (
    <div className="mt-4 grid grid-cols-2 gap-4 sm:grid-cols-4">
      <Figure
        name="Runs"
        value={count(counts.runs)}
        note={counts.flaky > 0 ? `${count(counts.flaky)} passed on retry` : undefined}
      />
      <Figure
        name="Passed"
        value={percent(counts.pass, counts.runs - counts.cancelled)}
        note={`of ${count(counts.runs - counts.cancelled)}`}
      />
      <Figure
        name="Took"
        value={took && took.count >= MIN_RUNS ? duration(took.p50_ms) : "–"}
        note={took && took.count >= MIN_RUNS ? `p95 ${duration(took.p95_ms)}` : "too few runs"}
      />
      <Figure
        name="Waited"
        value={wait && wait.count >= MIN_RUNS ? duration(wait.p50_ms) : "–"}
        note={wait && wait.count >= MIN_RUNS ? `p95 ${duration(wait.p95_ms)}` : undefined}
      />
    </div>
  );
}

function Durations({ test }: { test: Schema["TestDef"] }) {
  const ns = useNs();
  const navigate = useNavigate();
  const span = useSpan();
  const query = useQuery(
    api.queryOptions("get", "/api/v1/namespaces/{namespace}/runs", {
      params: {
        path: { namespace: ns },
        query: {
          test: test.name,
          state: ["finished"],
          result: ["pass", "fail"],
          started_after: span.after,
          started_before: span.before,
          page_size: 200,
        },
      },
    }),
  );
  const { data: versions } = useQuery(
    api.queryOptions("get", "/api/v1/namespaces/{namespace}/tests/{test}/versions", {
      params: { path: { namespace: ns, test: test.name }, query: { page_size: 100 } },
    }),
  );
  const marks = versions?.items.map((each) => ({
    at: Date.parse(each.changed_at),
    text: `v${each.version}`,
  }));
  const drawn = useMemo(() => {
    const runs = (query.data?.items ?? [])
      .filter((run) => run.started_at && run.finished_at)
      .sort((a, b) => a.started_at!.localeCompare(b.started_at!));
    const took = runs.map((run) => Date.parse(run.finished_at!) - Date.parse(run.started_at!));
    return {
      runs,
      times: runs.map((run) => Date.parse(run.started_at!)),
      series: [
        {
          name: "Median of 10",
          tone: "accent" as const,
          look: "line" as const,
          values: runs.length < MIN_RUNS ? took.map(() => null) : rollingMedian(took, 10),
        },
        {
          name: "Passed",
          tone: "pass" as const,
          look: "points" as const,
          values: took.map((ms, i) => (runs[i]?.result === "pass" ? ms : null)),
        },
        {
          name: "Failed",
          tone: "fail" as const,
          look: "points" as const,
          values: took.map((ms, i) => (runs[i]?.result === "fail" ? ms : null)),
        },
      ],
    };
  }, [query.data]);
  return (
    <Loaded query={query} what="The durations" skeleton={<Skeleton rows={6} />}>
      {() =>
        drawn.runs.length === 0 ? (
          span.isSpan ? (
            <Empty title="No run of it ended by itself in that time">
              <button type="button" className="btn" onClick={() => span.set({})}>
                Show the latest
              </button>
            </Empty>
          ) : (
            <Empty title="No run of it has ended by itself yet" />
          )
        ) : (
          <div className="p-3.5">
            <DragZoom
              {...CHART_INSET}
              from={drawn.times[0] ?? 0}
              to={drawn.times.at(-1) ?? 0}
              onZoom={span.zoom}
            >
              <Chart
                label={`Durations of the latest ${plural(drawn.runs.length, "run")} of ${test.name}`}
                times={drawn.times}
                series={drawn.series}
                marks={marks}
                onPick={(index) => {
                  const run = drawn.runs[index];
                  if (run) void navigate({ to: "/ns/$ns/runs/$run", params: { ns, run: run.id } });
                }}
              />
            </DragZoom>
            <p className="mt-2 text-sm text-muted">
              {drawn.runs.length < MIN_RUNS
                ? `${plural(drawn.runs.length, "run")} are too few for a median.`
                : `The latest ${plural(drawn.runs.length, "run")}; a click opens one, a drag with Shift held narrows the time. Dashed: changes of the configuration.`}
            </p>
            <SpanNote span={span} />
          </div>
        )
      }
    </Loaded>
  );
}

function rollingMedian(values: number[], over: number): number[] {
  return values.map((_, index) => {
    const window = values.slice(Math.max(0, index - over + 1), index + 1).sort((a, b) => a - b);
    return window[Math.floor((window.length - 1) / 2)] ?? 0;
  });
}
