import { useQuery } from "@tanstack/react-query";
import { getRouteApi, Link, useNavigate } from "@tanstack/react-router";
import { useMemo } from "react";
import { api, type Schema } from "~/api/client";
import { dashboardQuery } from "~/api/queries";
import { useNs } from "~/app/namespace";
import { RANGES, type Range } from "~/app/searches";
import { count, percent, plural, ratio } from "~/lib/numbers";
import { sentence } from "~/lib/overview";
import { duration } from "~/lib/time";
import { Copy, Figure, Meter, Panel } from "~/parts/basics";
import { Chart } from "~/parts/chart";
import { Loaded, Skeleton } from "~/parts/loaded";
import { PageHead } from "~/parts/page-head";
import { Time } from "~/parts/time";
import { Bars } from "./bars";
import { Sentence } from "./sentence";
import { Setup } from "./setup";
import { TestList } from "./test-list";

const route = getRouteApi("/ns/$ns/");
const HOUR = 3_600_000;

const SPANS: Record<Range, { hours: number; interval: Schema["Interval"]; name: string }> = {
  "24h": { hours: 24, interval: "hour", name: "24 hours" },
  "7d": { hours: 24 * 7, interval: "hour", name: "7 days" },
  "30d": { hours: 24 * 30, interval: "day", name: "30 days" },
};

/** The start of a namespace: what is wrong now, and how things went. */
export function Dashboard() {
  const ns = useNs();
  const { range = "24h" } = route.useSearch();
  const navigate = useNavigate({ from: "/ns/$ns" });
  const span = SPANS[range];
  // By the hour, so that the address of the request, and with it the cached answer, stays the same for a while.
  const hour = Math.floor(Date.now() / HOUR) * HOUR;
  const since = new Date(hour - (span.hours - 1) * HOUR).toISOString();

  const dashboard = useQuery(dashboardQuery(ns));
  const summary = useQuery(
    api.queryOptions("get", "/api/v1/namespaces/{namespace}/summary", {
      params: { path: { namespace: ns }, query: { scheduled_after: since, interval: span.interval } },
    }),
  );
  const said = dashboard.data;
  const isNew = said?.tests.total === 0;

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
            {said ? (
              <Copy text={`**${ns}**: ${sentence(said)}`} label="Copy the sentence as Markdown" />
            ) : null}
            <fieldset className="flex gap-1">
              <legend className="visually-hidden">Range of time</legend>
              {RANGES.map((each) => (
                <button
                  key={each}
                  type="button"
                  className={`btn px-2.5 ${range === each ? "border-accent bg-accent-soft" : ""}`}
                  aria-pressed={range === each}
                  onClick={() => void navigate({ search: { range: each === "24h" ? undefined : each } })}
                >
                  {each}
                </button>
              ))}
            </fieldset>
          </>
        }
      />
      {said && isNew ? <Setup runners={said.runners.total} /> : null}
      <div className="grid items-start gap-4 lg:grid-cols-3">
        <Panel title="Runs" note={`${span.name}, by result`} className="lg:col-span-2">
          <Loaded query={summary} what="The summary" skeleton={<Skeleton rows={6} />}>
            {(data) => (
              <div className="p-3.5">
                <Bars intervals={data.intervals} interval={data.interval} />
                <Totals figures={data.totals} />
              </div>
            )}
          </Loaded>
        </Panel>
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
                  said && said.tests.failing > 0 ? "Nothing began to fail since yesterday." : "Nothing fails."
                }
              />
            )}
          </Loaded>
        </Panel>
        <Panel title="How long runs waited" note="for a runner" className="lg:col-span-2">
          <Loaded query={summary} what="The waits" skeleton={<Skeleton rows={5} />}>
            {(data) => <Waits summary={data} />}
          </Loaded>
        </Panel>
        <Panel
          title="Flaky"
          actions={
            <Link className="link text-sm" to="/ns/$ns/tests" params={{ ns }} search={{ state: ["flaky"] }}>
              all
            </Link>
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

function Totals({ figures }: { figures: Schema["Figures"] }) {
  const { counts, duration: took, wait } = figures;
  const ended = counts.runs - counts.cancelled;
  return (
    <div className="mt-4 grid grid-cols-2 gap-4 sm:grid-cols-4">
      <Figure name="Runs" value={count(counts.runs)} note={plural(counts.attempts, "attempt")} />
      <Figure
        name="Passed"
        value={percent(counts.pass, ended)}
        note={`${count(counts.flaky)} of them on retry`}
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

function Waits({ summary }: { summary: Schema["Summary"] }) {
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
      <Chart
        label={`How long runs waited: median ${duration(summary.totals.wait.p50_ms)}, 95th percentile ${duration(summary.totals.wait.p95_ms)}`}
        times={drawn.times}
        series={drawn.series}
        height={150}
      />
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
                <td className="num">{count(runner.counts.runs)}</td>
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
