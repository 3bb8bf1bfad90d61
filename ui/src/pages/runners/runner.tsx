import { useInfiniteQuery, useQuery } from "@tanstack/react-query";
import { Link, useParams } from "@tanstack/react-router";
import { useMemo } from "react";
import { api, type Schema } from "~/api/client";
import { asApiError } from "~/api/problem";
import { runPages } from "~/api/runs";
import { useNs } from "~/app/namespace";
import { count, percent } from "~/lib/numbers";
import { againstFleet } from "~/lib/runners";
import { duration } from "~/lib/time";
import { Copy, Empty, Facts, Figure, Meter, Panel } from "~/parts/basics";
import { Loaded, Skeleton } from "~/parts/loaded";
import { More } from "~/parts/more";
import { type Crumb, PageHead } from "~/parts/page-head";
import { RunTable } from "~/parts/run-table";
import { Badge } from "~/parts/state";
import { Time } from "~/parts/time";
import { DrainButton, NeverTakes, RunnerState, runnerWord, Selectors, share } from "./common";
import { Outages } from "./outages";
import { versionQuery } from "./runners";

/** One runner: what it is, what it does now and what it did. */
export function Runner() {
  const ns = useNs();
  const { runner: id } = useParams({ from: "/ns/$ns/runners/$runner" });
  const query = useQuery(
    api.queryOptions("get", "/api/v1/runners/{runner}", { params: { path: { runner: id } } }),
  );
  const crumbs: Crumb[] = [{ name: "Runners", link: { to: "/ns/$ns/runners", params: { ns } } }];
  const code = query.error ? asApiError(query.error).code : undefined;
  if (code === "not_found" || code === "invalid" || code === "malformed") {
    return (
      <>
        <PageHead title="No such runner" crumbs={crumbs} />
        <Empty title={`There is no runner ${id}`} command="tstr ctl runner list">
          It never was, or it serves no namespace that your token sees.
        </Empty>
      </>
    );
  }
  return (
    <Loaded
      query={query}
      what="The runner"
      skeleton={
        <div className="panel">
          <Skeleton rows={6} />
        </div>
      }
    >
      {(runner) => <Shown runner={runner} crumbs={crumbs} />}
    </Loaded>
  );
}

function Shown({ runner, crumbs }: { runner: Schema["Runner"]; crumbs: Crumb[] }) {
  const ns = useNs();
  const { data: version } = useQuery(versionQuery);
  const { data: summary } = useQuery(
    api.queryOptions("get", "/api/v1/namespaces/{namespace}/summary", {
      params: { path: { namespace: ns }, query: { interval: "day" } },
    }),
  );
  const current = useQuery(
    api.queryOptions("get", "/api/v1/namespaces/{namespace}/runs", {
      params: {
        path: { namespace: ns },
        query: { runner: runner.id, state: ["leased", "running"], page_size: 100 },
      },
    }),
  );
  const recent = useInfiniteQuery(runPages(ns, { runner: runner.id, state: ["finished"], page_size: 30 }));
  const runs = useMemo(() => recent.data?.pages.flatMap((page) => page.items) ?? [], [recent.data]);
  const figure = summary?.runners.find((each) => each.runner_id === runner.id);
  const ended = figure ? figure.counts.runs - figure.counts.cancelled : 0;
  const failed = againstFleet(runner.id, summary?.runners ?? []);
  const { why } = runnerWord(runner);
  return (
    <>
      <PageHead
        title={runner.name}
        heading={
          <span className="inline-flex flex-wrap items-center gap-3">
            {runner.name} <RunnerState runner={runner} />
          </span>
        }
        crumbs={crumbs}
        note={
          <span className="inline-flex items-center gap-1">
            <code className="code">{runner.id}</code>
            <Copy text={runner.id} label="Copy the id" />
          </span>
        }
        actions={<DrainButton runner={runner} />}
      />
      {why ? <p className="rounded-lg bg-warn-soft px-4 py-2.5 text-sm">{why}.</p> : null}
      <div className="grid gap-4 lg:grid-cols-2">
        <Panel title="What it is" pad>
          <Facts
            items={[
              [
                "Slots",
                <span key="s">
                  {runner.slots_used} of {runner.slots} in use{" "}
                  <Meter
                    value={runner.slots_used}
                    max={runner.slots}
                    label={`${runner.slots_used} of ${runner.slots}`}
                  />
                </span>,
              ],
              ["Labels", <Selectors key="l" accept={runner.accept} reject={runner.reject} />],
              [
                "Namespaces",
                <span key="n" className="flex flex-wrap gap-1">
                  {runner.namespaces.map((each) => (
                    <code key={each} className="code chip">
                      {each}
                    </code>
                  ))}
                </span>,
              ],
              [
                "Version",
                <span key="v">
                  {runner.about.version}{" "}
                  {version && runner.about.version !== version.version ? (
                    <Badge tone="warn">the server is {version.version}</Badge>
                  ) : null}
                </span>,
              ],
              ["Engine", runner.about.engine],
              ["Platform", runner.about.platform],
              [
                "Limits",
                runner.about.limits_enforced.length > 0
                  ? `enforces ${runner.about.limits_enforced.join(", ")}`
                  : "enforces none",
              ],
              Boolean(runner.about.limits_note) && ["", runner.about.limits_note],
              ["Registered", <Time key="r" at={runner.registered_at} how="both" />],
              ["Heard of", <Time key="h" at={runner.last_seen_at} how="both" />],
            ]}
          />
        </Panel>
        <Panel title="The last 7 days" pad>
          {figure ? (
            <div className="grid grid-cols-2 gap-4 sm:grid-cols-3">
              <Figure name="Runs" value={count(figure.counts.runs)} />
              <Figure name="Passed" value={percent(figure.counts.pass, ended)} note={`of ${count(ended)}`} />
              <Figure
                name="Failed"
                value={
                  <span className={failed?.isWorse ? "text-fail" : ""}>
                    {percent(failed?.bad ?? 0, ended)}
                    {failed?.isWorse ? <Badge tone="fail">worse than the fleet</Badge> : null}
                  </span>
                }
                note={
                  failed?.fleet === undefined
                    ? "no other runner ended one"
                    : `${share(failed.fleet)} on the others`
                }
              />
              <Figure
                name="Errors"
                value={count(figure.counts.error)}
                note={`${count(figure.counts.timed_out)} timed out`}
              />
              <Figure
                name="Worked"
                value={`${Math.round(figure.utilisation * 100)} %`}
                note="of the time of its slots"
              />
              <Figure name="Slots held for" value={duration(figure.busy_ms)} />
            </div>
          ) : (
            <p className="text-sm text-muted">
              {summary && summary.runners_more > 0
                ? "It is not among the busiest runners, of which alone this is told."
                : "No run of this namespace ended on it."}
            </p>
          )}
        </Panel>
      </div>
      <Panel title="What it never takes" note="by its selectors, whatever is free" pad>
        <NeverTakes runner={runner} />
      </Panel>
      <Outages runner={runner.id} />
      <Panel title="What it does now">
        <Loaded query={current} what="Its current runs" skeleton={<Skeleton rows={2} />}>
          {(page) =>
            page.items.length > 0 ? (
              <RunTable runs={page.items} />
            ) : (
              <p className="px-3.5 py-4 text-sm text-muted">No run of this namespace.</p>
            )
          }
        </Loaded>
      </Panel>
      <Panel
        title="What it did"
        actions={
          <Link
            className="link text-sm"
            to="/ns/$ns/runs"
            params={{ ns }}
            search={{ runner: runner.id, result: ["error", "timed_out", "fail"] }}
          >
            only what failed
          </Link>
        }
      >
        <Loaded query={recent} what="Its runs" skeleton={<Skeleton rows={6} />}>
          {() =>
            runs.length > 0 ? (
              <>
                <RunTable runs={runs} />
                <More query={recent} shown={runs.length} what="run" />
              </>
            ) : (
              <Empty title="No run that is still kept ended on it" />
            )
          }
        </Loaded>
      </Panel>
    </>
  );
}
