import { useQuery } from "@tanstack/react-query";
import { getRouteApi, Link, Navigate, useLocation, useParams } from "@tanstack/react-router";
import { Suspense } from "react";
import type { Schema } from "~/api/client";
import { isPaused } from "~/api/live";
import { asApiError } from "~/api/problem";
import { runQuery } from "~/api/queries";
import { useNs } from "~/app/namespace";
import { RUN_TABS } from "~/app/searches";
import { count } from "~/lib/numbers";
import { Copy, cellText, Empty, Facts, Labels, Panel } from "~/parts/basics";
import { lazy } from "~/parts/lazy";
import { Loaded, Skeleton } from "~/parts/loaded";
import { PageHead, Tabs } from "~/parts/page-head";
import { Badge, runWord, State, StateIcon, stateLabel } from "~/parts/state";
import { Time, Took } from "~/parts/time";
import { RunActions } from "./actions";
import { Attempts } from "./attempts";
import { Timeline } from "./timeline";
import { Verdict } from "./verdict";

const ConfigVersion = lazy(() => import("./config-version").then((m) => ({ default: m.ConfigVersion })));
const Waiting = lazy(() => import("./waiting").then((m) => ({ default: m.Waiting })));
const LogTab = lazy(() => import("./log-tab").then((m) => ({ default: m.LogTab })));
const Cases = lazy(() => import("./cases").then((m) => ({ default: m.Cases })));
const DataTab = lazy(() => import("./data").then((m) => ({ default: m.DataTab })));
const Artifacts = lazy(() => import("./artifacts").then((m) => ({ default: m.Artifacts })));
const SummaryTab = lazy(() => import("./data").then((m) => ({ default: m.SummaryTab })));
const CellHistory = lazy(() => import("./cell-history").then((m) => ({ default: m.CellHistory })));
const Siblings = lazy(() => import("./siblings").then((m) => ({ default: m.Siblings })));
const Spec = lazy(() => import("./spec").then((m) => ({ default: m.Spec })));
const Events = lazy(() => import("./events").then((m) => ({ default: m.Events })));

const route = getRouteApi("/ns/$ns/runs/$run");

/** What an unfinished run is asked for again, besides what events say: they may be late or lost. */
const REFRESH_MS = 4_000;

/** One run: what it is, where its time went, what it wrote and left behind. */
export function Run() {
  const ns = useNs();
  const { run: id } = useParams({ from: "/ns/$ns/runs/$run" });
  const search = route.useSearch();
  const hash = useLocation({ select: (location) => location.hash });
  const query = useQuery({
    ...runQuery(id),
    refetchInterval: ({ state }) =>
      state.data?.state === "finished" || isPaused() || state.error ? false : REFRESH_MS,
  });
  const error = query.error && asApiError(query.error);
  if (error?.code === "not_found" || error?.status === 400 || error?.status === 422) {
    return (
      <>
        <PageHead
          title="No such run"
          crumbs={[{ name: "Runs", link: { to: "/ns/$ns/runs", params: { ns } } }]}
        />
        <Empty title={`There is no run ${id}`} command={`tstr ctl run list --namespace ${ns}`}>
          It never was, it belongs to a namespace that your token does not see, or retention has removed it.
        </Empty>
      </>
    );
  }
  // An id says which run is meant, whatever namespace somebody wrote before it; the rest of the page asks by namespace.
  const home = query.data?.namespace;
  if (home && home !== ns) {
    return (
      <Navigate to="/ns/$ns/runs/$run" params={{ ns: home, run: id }} search={search} hash={hash} replace />
    );
  }
  return (
    <Loaded query={query} what="The run" skeleton={<RunSkeleton />}>
      {(run) => <Shown run={run} />}
    </Loaded>
  );
}

function RunSkeleton() {
  return (
    <>
      <div className="skeleton h-7 w-80 max-w-full" />
      <div className="panel">
        <Skeleton rows={3} />
      </div>
      <div className="panel">
        <Skeleton rows={10} />
      </div>
    </>
  );
}

function Shown({ run }: { run: Schema["Run"] }) {
  const ns = useNs();
  const search = route.useSearch();
  const attempt = search.attempt && search.attempt <= run.attempt ? search.attempt : run.attempt;
  const tab = search.tab ?? "log";
  const word = runWord(run);
  return (
    <>
      <PageHead
        title={`${run.test_name}: ${stateLabel(word).toLowerCase()}`}
        heading={
          <span className="inline-flex flex-wrap items-center gap-x-3 gap-y-1">
            <State state={word} />
            <Link className="link text-ink" to="/ns/$ns/tests/$test" params={{ ns, test: run.test_name }}>
              {run.test_name}
            </Link>
            {run.flaky ? (
              <Badge tone="warn" title="It passed after an attempt that failed">
                <StateIcon state="flaky" size={11} /> passed on retry
              </Badge>
            ) : null}
            {run.kept ? (
              <Badge tone="accent" title={`by ${run.kept.by}${run.kept.note ? `: ${run.kept.note}` : ""}`}>
                kept
              </Badge>
            ) : null}
          </span>
        }
        crumbs={[
          { name: "Tests", link: { to: "/ns/$ns/tests", params: { ns } } },
          { name: run.test_name, link: { to: "/ns/$ns/tests/$test", params: { ns, test: run.test_name } } },
        ]}
        note={
          <span className="inline-flex flex-wrap items-center gap-x-2">
            {Object.keys(run.cell).length > 0 ? <span className="text-ink">{cellText(run.cell)}</span> : null}
            <span className="inline-flex items-center gap-0.5">
              <code className="code">{run.id}</code>
              <Copy text={run.id} label="Copy the id" />
            </span>
          </span>
        }
        actions={<RunActions run={run} />}
      />
      <Verdict run={run} />
      <section className="panel flex flex-col gap-4 p-3.5" aria-label="The run">
        <Timeline run={run} />
        <div className="grid gap-x-8 gap-y-1.5 md:grid-cols-2 xl:grid-cols-3">
          <Facts
            items={[
              ["Trigger", TRIGGERS[run.trigger]],
              ["Priority", run.priority],
              ["Scheduled", <Time key="t" at={run.scheduled_at} how="absolute" />],
              run.trigger !== "upload" && [
                "Configuration",
                <Suspense key="c" fallback="–">
                  <ConfigVersion run={run} />
                </Suspense>,
              ],
            ]}
          />
          <Facts
            items={[
              [
                "Runner",
                run.runner_id ? (
                  <Link
                    key="r"
                    className="link"
                    to="/ns/$ns/runners/$runner"
                    params={{ ns, runner: run.runner_id }}
                  >
                    {run.runner_name}
                  </Link>
                ) : (
                  "–"
                ),
              ],
              ["Started", <Time key="s" at={run.started_at} how="absolute" />],
              ["Took", <Took key="d" from={run.started_at} to={run.finished_at} />],
            ]}
          />
          <Facts
            items={[
              ["Labels", <Labels key="l" labels={run.labels} />],
              Object.keys(run.annotations).length > 0 && [
                "Annotations",
                <Labels key="a" labels={run.annotations} />,
              ],
              [
                "Image",
                <span key="i" title={run.image_digest}>
                  {run.run_config.container_image}
                  {run.image_digest ? (
                    <code className="code ml-1.5 text-muted">
                      {run.image_digest.replace(/^(\w+:.{12}).*/, "$1…")}
                    </code>
                  ) : null}
                </span>,
              ],
            ]}
          />
        </div>
      </section>
      <Suspense>{run.state === "queued" ? <Waiting run={run} /> : null}</Suspense>
      <div className="grid items-start gap-4 xl:grid-cols-[1fr_300px]">
        <div className="flex min-w-0 flex-col">
          <Tabs
            label="Parts of the run"
            current={tab}
            tabs={RUN_TABS.map((id) => ({ id, name: <TabName tab={id} run={run} /> }))}
            link={(to) => ({
              from: "/ns/$ns/runs/$run",
              to: ".",
              search: { attempt: search.attempt, tab: to === "log" ? undefined : to },
            })}
          />
          <Panel className="rounded-t-none border-t-0">
            <Suspense fallback={<Skeleton rows={8} />}>
              {run.attempt === 0 && tab !== "spec" && tab !== "events" ? (
                run.state === "finished" ? (
                  <Empty
                    title={
                      run.trigger === "upload"
                        ? "Only a report of this run was uploaded"
                        : "No runner took this run"
                    }
                  >
                    So it wrote nothing and left nothing behind.
                  </Empty>
                ) : (
                  <Empty title="No runner has taken it yet">
                    What it writes and leaves behind appears here.
                  </Empty>
                )
              ) : tab === "log" ? (
                <LogTab run={run} attempt={attempt} />
              ) : tab === "cases" ? (
                <Cases run={run} attempt={attempt} />
              ) : tab === "data" ? (
                <DataTab run={run} attempt={attempt} />
              ) : tab === "artifacts" ? (
                <Artifacts run={run} attempt={attempt} />
              ) : tab === "summary" ? (
                <SummaryTab run={run} attempt={attempt} />
              ) : tab === "spec" ? (
                <Spec run={run} />
              ) : (
                <Events run={run} />
              )}
            </Suspense>
          </Panel>
        </div>
        <aside className="flex min-w-0 flex-col gap-4" aria-label="Attempts and the other cells">
          <Attempts run={run} shown={attempt} />
          <Suspense>
            <CellHistory run={run} />
            <Siblings run={run} />
          </Suspense>
        </aside>
      </div>
    </>
  );
}

const TRIGGERS: Record<Schema["Trigger"], string> = {
  schedule: "its schedule",
  manual: "somebody, by hand",
  retry: "a retry of another run",
  upload: "an uploaded report",
};

const TAB_NAMES: Record<(typeof RUN_TABS)[number], string> = {
  log: "Log",
  cases: "Cases",
  data: "Result data",
  artifacts: "Artifacts",
  summary: "Summary",
  spec: "Spec",
  events: "Events",
};

function TabName({ tab, run }: { tab: (typeof RUN_TABS)[number]; run: Schema["Run"] }) {
  const bad = run.cases ? run.cases.failed + run.cases.errors : 0;
  return (
    <>
      {TAB_NAMES[tab]}
      {tab === "cases" && run.cases ? (
        <span className={`text-xs ${bad > 0 ? "font-medium text-fail" : "text-muted"}`}>
          {bad > 0 ? `${count(bad)} failed of ` : ""}
          {count(run.cases.cases)}
        </span>
      ) : null}
      {tab === "artifacts" && run.artifacts.files > 0 ? (
        <span className="text-xs text-muted">{count(run.artifacts.files)}</span>
      ) : null}
    </>
  );
}
