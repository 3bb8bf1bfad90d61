import { useQuery } from "@tanstack/react-query";
import { getRouteApi, Link, useNavigate } from "@tanstack/react-router";
import { useMemo } from "react";
import { api, type Schema } from "~/api/client";
import { queueQuery, runnersQuery, statesQuery } from "~/api/queries";
import { useNs } from "~/app/namespace";
import { RANGES, type Range } from "~/app/searches";
import { count, percent, plural, ratio } from "~/lib/numbers";
import { isFailing, isNewlyFailing, overview, sentence, slower } from "~/lib/overview";
import { duration } from "~/lib/time";
import { Copy, Figure, Meter, Panel } from "~/parts/basics";
import { Chart } from "~/parts/chart";
import { Loaded, Skeleton } from "~/parts/loaded";
import { PageHead } from "~/parts/page-head";
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
  const before = new Date(hour - (2 * span.hours - 1) * HOUR).toISOString();

  const states = useQuery(statesQuery(ns));
  const queue = useQuery(queueQuery(ns));
  const runners = useQuery(runnersQuery(ns));
  const summary = useQuery(
    api.queryOptions("get", "/api/v1/namespaces/{namespace}/summary", {
      params: { path: { namespace: ns }, query: { scheduled_after: since, interval: span.interval } },
    }),
  );
  const previous = useQuery({
    ...api.queryOptions("get", "/api/v1/namespaces/{namespace}/summary", {
      params: {
        path: { namespace: ns },
        query: { scheduled_after: before, scheduled_before: since, interval: "week" },
      },
    }),
    staleTime: 10 * 60_000,
    meta: { live: false },
  });

  const said = useMemo(
    () =>
      states.data && queue.data && runners.data
        ? overview(states.data.items, queue.data.items, runners.data.items, new Date())
        : undefined,
    [states.data, queue.data, runners.data],
  );
  const slow = useMemo(
    () =>
      summary.data && previous.data
        ? slower(previous.data.tests, summary.data.tests).slice(0, 10)
        : undefined,
    [summary.data, previous.data],
  );
  const failing = states.data?.items.filter(isFailing) ?? [];
  const newly = failing.filter(isNewlyFailing);
  const isNew = states.data?.items.length === 0 && summary.data?.totals.counts.runs === 0;

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
      {isNew ? <Setup runners={runners.data?.items.length ?? 0} /> : null}
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
          title="Failing"
          note={said ? plural(said.failing, "test") : undefined}
          actions={
            failing.length > 0 ? (
              <Link
                className="link text-sm"
                to="/ns/$ns/tests"
                params={{ ns }}
                search={{ state: ["broken", "failing"] }}
              >
                all
              </Link>
            ) : null
          }
        >
          <Loaded query={states} what="The tests" skeleton={<Skeleton rows={6} />}>
            {() => (
              <TestList
                tests={[...newly, ...failing.filter((test) => !newly.includes(test))].slice(0, 10)}
                mark={(test) => (newly.includes(test) ? "new" : undefined)}
                none="Nothing fails."
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
          <Loaded query={states} what="The tests" skeleton={<Skeleton rows={5} />}>
            {(page) => (
              <TestList
                tests={page.items.filter((test) => test.status === "flaky").slice(0, 10)}
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
        <Panel title="Slower than before" note={`than the ${span.name} before`}>
          {slow === undefined ? (
            summary.error || previous.error ? (
              <Loaded query={previous.error ? previous : summary} what="The durations">
                {() => null}
              </Loaded>
            ) : (
              <Skeleton rows={4} />
            )
          ) : slow.length === 0 ? (
            <p className="px-3.5 py-4 text-sm text-muted">No test takes notably longer.</p>
          ) : (
            <ul className="py-1 text-sm">
              {slow.map((test) => (
                <li key={test.name} className="flex min-h-8 items-center gap-3 px-3.5">
                  <Link
                    className="link min-w-0 flex-1 truncate text-ink"
                    to="/ns/$ns/tests/$test"
                    params={{ ns, test: test.name }}
                  >
                    {test.name}
                  </Link>
                  <span className="whitespace-nowrap text-muted">
                    {duration(test.beforeMs)} → {duration(test.afterMs)}
                  </span>
                  <span className="font-medium whitespace-nowrap text-warn">
                    {ratio(test.afterMs / test.beforeMs)}
                  </span>
                </li>
              ))}
            </ul>
          )}
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
