import { keepPreviousData, useQuery } from "@tanstack/react-query";
import { getRouteApi, Link, useNavigate } from "@tanstack/react-router";
import { useMemo } from "react";
import { api, type Schema } from "~/api/client";
import { dashboardQuery } from "~/api/queries";
import { useNs } from "~/app/namespace";
import { RANGES, type Range } from "~/app/searches";
import { count, percent, plural, ratio } from "~/lib/numbers";
import { intervalFor, RANGE_MS, rangeStart } from "~/lib/spans";
import { duration, justBefore } from "~/lib/time";
import { Copy, Figure, Meter, Panel } from "~/parts/basics";
import { CHART_INSET, Chart } from "~/parts/chart";
import { DragZoom } from "~/parts/drag-zoom";
import { Loaded, Skeleton } from "~/parts/loaded";
import { PageHead } from "~/parts/page-head";
import { RangePicker } from "~/parts/range";
import { Time } from "~/parts/time";
import { Bars } from "./bars";
import { sentenceMarkdown } from "./markdown";
import { NEWLY, Sentence } from "./sentence";
import { Setup } from "./setup";
import { TestList } from "./test-list";

const route = getRouteApi("/ns/$ns/");
const HOUR = 3_600_000;
/** To what a drag over a chart is rounded: weeks begin on a Monday, so days are good enough for these. */
const STEP_MS: Record<Schema["Interval"], number> = { hour: HOUR, day: 24 * HOUR, week: 24 * HOUR };
/** With more tests than this nobody is setting up any more. */
const FEW_TESTS = 5;

const NAMES: Record<Range, string> = { "24h": "24 hours", "7d": "7 days", "30d": "30 days" };

/** The start of a namespace: what is wrong now, and how things went. */
export function Dashboard() {
  const ns = useNs();
  const { range = "24h", after, before } = route.useSearch();
  const isSpan = after !== undefined || before !== undefined;
  const navigate = useNavigate({ from: "/ns/$ns" });
  const end = before ?? new Date(Math.ceil(Date.now() / HOUR) * HOUR).toISOString();
  // Without a beginning a span is as long as the range would be.
  const since =
    after ??
    (before
      ? new Date(Date.parse(before) - RANGE_MS[range]).toISOString()
      : rangeStart(range, Date.now() + HOUR, HOUR));
  const interval = intervalFor(Date.parse(end) - Date.parse(since), Date.now() - Date.parse(since));

  const dashboard = useQuery(dashboardQuery(ns));
  const summary = useQuery({
    ...api.queryOptions("get", "/api/v1/namespaces/{namespace}/summary", {
      params: {
        path: { namespace: ns },
        query: { scheduled_after: since, scheduled_before: before, interval },
      },
    }),
    // With each hour the time moves on; what there is stays until the answer of the next one.
    placeholderData: keepPreviousData,
  });
  // To whole intervals, which is what there is to be shown.
  const zoom = (from: number, to: number) => {
    const step = STEP_MS[interval];
    void navigate({
      search: {
        after: new Date(Math.floor(from / step) * step).toISOString(),
        before: new Date(Math.ceil(to / step) * step).toISOString(),
      },
    });
  };
  const said = dashboard.data;
  // A few tests may have no result yet; then the way to the first one is not over.
  const { data: results } = useQuery({
    ...api.queryOptions("get", "/api/v1/namespaces/{namespace}/runs", {
      params: { path: { namespace: ns }, query: { state: ["finished"], page_size: 1 } },
    }),
    enabled: said !== undefined && said.tests.total > 0 && said.tests.total <= FEW_TESTS,
  });
  const isNew = said?.tests.total === 0 || results?.items.length === 0;

  return (
    <>
      <PageHead
        title="Dashboard"
        heading={ns}
        note={
          said ? <Sentence said={said} /> : <span className="skeleton inline-block h-4 w-96 max-w-full" />
        }
        actions={
          <>
            {said ? <Copy text={sentenceMarkdown(ns, said)} label="Copy the sentence as Markdown" /> : null}
            <RangePicker
              presets={RANGES}
              preset={range}
              span={{ after, before }}
              onPreset={(each) => void navigate({ search: { range: each === "24h" ? undefined : each } })}
              onSpan={(span) => void navigate({ search: span })}
            />
          </>
        }
      />
      {said && isNew ? <Setup said={said} /> : null}
      <div className="grid items-start gap-4 lg:grid-cols-3">
        <Panel
          title="Runs"
          note={`${isSpan ? `by ${interval}` : NAMES[range]}, by result`}
          className="lg:col-span-2"
        >
          <Loaded query={summary} what="The summary" skeleton={<Skeleton rows={6} />}>
            {(data) => (
              <div className="p-3.5">
                <DragZoom from={Date.parse(data.from)} to={Date.parse(data.to)} onZoom={zoom}>
                  <Bars intervals={data.intervals} interval={data.interval} />
                </DragZoom>
                <Totals summary={data} />
              </div>
            )}
          </Loaded>
        </Panel>
        <div id={NEWLY} className="min-w-0 scroll-mt-16">
          <Panel
            title="Newly failing"
            note="since yesterday"
            actions={
              said && said.tests.failing > 0 ? (
                <Link
                  className="link text-sm"
                  to="/ns/$ns/tests"
                  params={{ ns }}
                  search={{ state: ["broken", "failing"] }}
                >
                  all {count(said.tests.failing)} failing
                </Link>
              ) : null
            }
          >
            <Loaded query={dashboard} what="The tests" skeleton={<Skeleton rows={6} />}>
              {({ newly_failing }) => (
                <TestList
                  tests={newly_failing.map((test) => ({
                    id: test.test_id,
                    name: test.name,
                    state: test.result,
                    note: (
                      <>
                        {test.cells > 1 ? `${test.cells} cells, ` : ""}
                        <Link className="link" to="/ns/$ns/runs/$run" params={{ ns, run: test.run }}>
                          <Time at={test.since} />
                        </Link>
                      </>
                    ),
                  }))}
                  none={
                    said && said.tests.failing > 0
                      ? "Nothing began to fail since yesterday."
                      : "Nothing fails."
                  }
                />
              )}
            </Loaded>
          </Panel>
        </div>
        <Panel title="How long runs waited" note="for a runner" className="lg:col-span-2">
          <Loaded query={summary} what="The waits" skeleton={<Skeleton rows={5} />}>
            {(data) => <Waits summary={data} onZoom={zoom} />}
          </Loaded>
        </Panel>
        <Panel
          title="Flaky"
          actions={
            said && said.tests.flaky > 0 ? (
              <Link className="link text-sm" to="/ns/$ns/tests" params={{ ns }} search={{ state: ["flaky"] }}>
                all {count(said.tests.flaky)} flaky
              </Link>
            ) : null
          }
        >
          <Loaded query={dashboard} what="The tests" skeleton={<Skeleton rows={5} />}>
            {({ flaky }) => (
              <TestList
                tests={flaky.map((test) => ({
                  id: test.test_id,
                  name: test.name,
                  state: "flaky",
                  note: (
                    <>
                      {test.cells > 1 ? `${test.cells} cells, ` : ""}
                      {test.since ? <Time at={test.since} /> : null}
                    </>
                  ),
                }))}
                none="No test is flaky."
              />
            )}
          </Loaded>
        </Panel>
        <Panel title="Runners" note="how much of their time they worked" className="lg:col-span-2">
          <Loaded query={summary} what="The runners" skeleton={<Skeleton rows={4} />}>
            {(data) => <Utilisation summary={data} />}
          </Loaded>
        </Panel>
        <Panel title="Slower" note="the last two days against two weeks">
          <Loaded query={dashboard} what="The durations" skeleton={<Skeleton rows={4} />}>
            {({ slower }) => (
              <TestList
                tests={slower.map((test) => ({
                  id: test.test_id,
                  name: test.name,
                  note: (
                    <>
                      {duration(test.before_ms)} → {duration(test.mean_ms)}{" "}
                      <span className="font-medium text-warn">{ratio(test.mean_ms / test.before_ms)}</span>
                    </>
                  ),
                }))}
                none="No test takes notably longer."
              />
            )}
          </Loaded>
        </Panel>
      </div>
    </>
  );
}

/** The figures of the whole time; those that are numbers of runs lead to them. */
function Totals({ summary }: { summary: Schema["Summary"] }) {
  const ns = useNs();
  const { counts, duration: took, wait } = summary.totals;
  const ended = counts.runs - counts.cancelled;
  const bad = counts.fail + counts.error + counts.timed_out;
  const list = (n: string, result?: Schema["RunResult"][]) => (
    <Link
      className="link inline-flex min-h-6 items-center"
      to="/ns/$ns/runs"
      params={{ ns }}
      search={{ after: justBefore(summary.from), before: summary.to, result }}
    >
      {n}
    </Link>
  );
  return (
    <div className="mt-4 grid grid-cols-2 gap-4 sm:grid-cols-4">
      <Figure
        name="Runs"
        value={counts.runs > 0 ? list(count(counts.runs)) : "0"}
        note={plural(counts.attempts, "attempt")}
      />
      <Figure
        name="Passed"
        value={counts.pass > 0 ? list(percent(counts.pass, ended), ["pass"]) : percent(counts.pass, ended)}
        note={
          <>
            {counts.flaky > 0 ? `${count(counts.flaky)} of them on retry; ` : ""}
            {bad > 0
              ? list(`${count(bad)} did not`, ["fail", "error", "timed_out"])
              : ended > 0
                ? "none did not"
                : ""}
          </>
        }
      />
      <Figure
        name="Took"
        value={took ? duration(took.p50_ms) : "–"}
        note={took ? `p95 ${duration(took.p95_ms)}` : ""}
      />
      <Figure
        name="Waited"
        value={wait ? duration(wait.p50_ms) : "–"}
        note={wait ? `p95 ${duration(wait.p95_ms)}` : ""}
      />
    </div>
  );
}

function Waits({
  summary,
  onZoom,
}: {
  summary: Schema["Summary"];
  onZoom: (from: number, to: number) => void;
}) {
  const drawn = useMemo(
    () => ({
      times: summary.intervals.map((each) => Date.parse(each.start)),
      series: [
        {
          name: "p95",
          tone: "warn" as const,
          look: "line" as const,
          values: summary.intervals.map((each) => each.figures.wait?.p95_ms ?? null),
        },
        {
          name: "p50",
          tone: "accent" as const,
          look: "line" as const,
          values: summary.intervals.map((each) => each.figures.wait?.p50_ms ?? null),
        },
      ],
    }),
    [summary],
  );
  if (!summary.totals.wait)
    return <p className="px-3.5 py-4 text-sm text-muted">No run waited for a runner in that time.</p>;
  return (
    <div className="p-3.5">
      <DragZoom {...CHART_INSET} from={drawn.times[0] ?? 0} to={drawn.times.at(-1) ?? 0} onZoom={onZoom}>
        <Chart
          label={`How long runs waited: median ${duration(summary.totals.wait.p50_ms)}, 95th percentile ${duration(summary.totals.wait.p95_ms)}`}
          times={drawn.times}
          series={drawn.series}
          height={150}
        />
      </DragZoom>
      <p className="text-xs text-muted max-md:hidden">
        A drag with Shift held, here or over the bars, narrows the time.
      </p>
    </div>
  );
}

function Utilisation({ summary }: { summary: Schema["Summary"] }) {
  const ns = useNs();
  if (summary.runners.length === 0)
    return <p className="px-3.5 py-4 text-sm text-muted">No run ended on a runner in that time.</p>;
  return (
    <div className="overflow-x-auto">
      <table className="tbl">
        <thead>
          <tr>
            <th className="w-full">Runner</th>
            <th>Worked</th>
            <th className="num">Runs</th>
            <th className="num">Passed</th>
          </tr>
        </thead>
        <tbody>
          {summary.runners.slice(0, 8).map((runner) => {
            const share = Math.round(runner.utilisation * 100);
            return (
              <tr key={runner.runner_id}>
                <td>
                  <Link
                    className="link text-ink"
                    to="/ns/$ns/runners/$runner"
                    params={{ ns, runner: runner.runner_id }}
                  >
                    {runner.runner_name}
                  </Link>
                </td>
                <td className="whitespace-nowrap">
                  <Meter value={runner.utilisation} max={1} label={`${share} %`} />{" "}
                  <span className="ml-1">{share} %</span>
                </td>
                <td className="num">
                  <Link
                    className="link"
                    to="/ns/$ns/runs"
                    params={{ ns }}
                    search={{
                      runner: runner.runner_id,
                      after: justBefore(summary.from),
                      before: summary.to,
                    }}
                  >
                    {count(runner.counts.runs)}
                  </Link>
                </td>
                <td className="num">
                  {percent(runner.counts.pass, runner.counts.runs - runner.counts.cancelled)}
                </td>
              </tr>
            );
          })}
        </tbody>
      </table>
      {summary.runners.length > 8 || summary.runners_more > 0 ? (
        <p className="border-t px-3.5 py-2 text-sm text-muted">
          and {plural(summary.runners.length - 8 + summary.runners_more, "more runner")}
        </p>
      ) : null}
    </div>
  );
}
