import { useQuery } from "@tanstack/react-query";
import { getRouteApi, useParams } from "@tanstack/react-router";
import { Suspense } from "react";
import { api, type Schema } from "~/api/client";
import { asApiError } from "~/api/problem";
import { testQuery } from "~/api/queries";
import { useNs } from "~/app/namespace";
import { TEST_TABS } from "~/app/searches";
import { ends, isBad } from "~/lib/strip";
import { Empty, Labels } from "~/parts/basics";
import { lazy } from "~/parts/lazy";
import { Loaded, Problem, Skeleton } from "~/parts/loaded";
import { PageHead, Tabs } from "~/parts/page-head";
import { Badge, StateIcon } from "~/parts/state";
import { Time } from "~/parts/time";
import { TestActions } from "./actions";
import { Verdict } from "./verdict";

const Overview = lazy(() => import("./overview").then((m) => ({ default: m.Overview })));
const RunsTab = lazy(() => import("./runs-tab").then((m) => ({ default: m.RunsTab })));
const CasesTab = lazy(() => import("./cases-tab").then((m) => ({ default: m.CasesTab })));
const Failures = lazy(() => import("./failures").then((m) => ({ default: m.Failures })));
const Analysis = lazy(() => import("./analysis").then((m) => ({ default: m.Analysis })));
const Metrics = lazy(() => import("./metrics").then((m) => ({ default: m.Metrics })));
const Config = lazy(() => import("./config").then((m) => ({ default: m.Config })));
const ScheduleTab = lazy(() => import("./schedule-tab").then((m) => ({ default: m.ScheduleTab })));
const Quarantine = lazy(() => import("./quarantine").then((m) => ({ default: m.Quarantine })));

const route = getRouteApi("/ns/$ns/tests/$test");

const NAMES: Record<(typeof TEST_TABS)[number], string> = {
  overview: "Overview",
  runs: "Runs",
  cases: "Cases",
  failures: "Failures",
  analysis: "Analysis",
  metrics: "Metrics",
  config: "Configuration",
  schedule: "Schedule",
  quarantine: "Quarantine",
};

/** One test: how it is and why, its history, its cases, its configuration. */
export function Test() {
  const ns = useNs();
  const { test: name } = useParams({ from: "/ns/$ns/tests/$test" });
  const query = useQuery(testQuery(ns, name));
  if (query.error && asApiError(query.error).code === "not_found") {
    return (
      <>
        <PageHead
          title="No such test"
          crumbs={[{ name: "Tests", link: { to: "/ns/$ns/tests", params: { ns } } }]}
        />
        <Empty title={`There is no test ${name}`} command={`tstr ctl test list --namespace ${ns}`}>
          It never was, or it was deleted. The runs of a deleted test stay until retention removes them.
        </Empty>
      </>
    );
  }
  return (
    <Loaded query={query} what="The test" skeleton={<TestSkeleton />}>
      {(test) => <Shown test={test} />}
    </Loaded>
  );
}

function TestSkeleton() {
  return (
    <>
      <div className="skeleton h-7 w-72 max-w-full" />
      <div className="panel">
        <Skeleton rows={8} />
      </div>
    </>
  );
}

function Shown({ test }: { test: Schema["TestDef"] }) {
  const ns = useNs();
  const { tab = "overview" } = route.useSearch();
  const cells = useQuery(
    api.queryOptions("get", "/api/v1/namespaces/{namespace}/tests/{test}/cells", {
      params: { path: { namespace: ns, test: test.name } },
    }),
  );
  const list = cells.data?.items ?? [];
  const failing = list.filter((cell) => isBad(ends(cell.strip).at(-1)));
  const word = list.some((cell) => cell.status === "broken")
    ? "broken"
    : failing.length > 0
      ? "fail"
      : list.some((cell) => cell.status === "flaky")
        ? "flaky"
        : list.length > 0
          ? "healthy"
          : "never";
  return (
    <>
      <PageHead
        title={test.name}
        heading={
          <span className="inline-flex flex-wrap items-center gap-x-2.5">
            {cells.data ? <StateIcon state={word} size={18} alone /> : null}
            {test.name}
            {test.paused ? <Badge tone="idle">paused</Badge> : null}
          </span>
        }
        crumbs={[{ name: "Tests", link: { to: "/ns/$ns/tests", params: { ns } } }]}
        note={
          <span className="inline-flex flex-wrap items-center gap-x-3 gap-y-1">
            <Labels labels={test.labels} none="" />
            {test.annotations.owner ? <span>owner {test.annotations.owner}</span> : null}
            <span>
              {test.cron_schedule ? (
                <>
                  <code className="code">{test.cron_schedule}</code> {test.time_zone ?? "UTC"}
                  {test.next_run_at ? (
                    <>
                      , next <Time at={test.next_run_at} />
                    </>
                  ) : null}
                </>
              ) : (
                "no schedule"
              )}
            </span>
          </span>
        }
        actions={<TestActions test={test} />}
      />
      {cells.data ? (
        <Verdict test={test} cells={list} />
      ) : cells.error ? (
        <div className="panel">
          <Problem error={cells.error} what="How it is" onRetry={() => void cells.refetch()} />
        </div>
      ) : (
        <div className="skeleton h-[60px] rounded-lg" />
      )}
      <div>
        <Tabs
          label="Parts of the test"
          current={tab}
          tabs={TEST_TABS.map((id) => ({ id, name: NAMES[id] }))}
          link={(to) => ({
            from: "/ns/$ns/tests/$test",
            to: ".",
            search: { tab: to === "overview" ? undefined : to },
          })}
        />
        <div className="pt-4">
          <Suspense
            fallback={
              <div className="panel">
                <Skeleton rows={8} />
              </div>
            }
          >
            {tab === "overview" ? (
              <Overview test={test} cells={cells} />
            ) : tab === "runs" ? (
              <RunsTab test={test} />
            ) : tab === "cases" ? (
              <CasesTab test={test} />
            ) : tab === "failures" ? (
              <Failures test={test} />
            ) : tab === "analysis" ? (
              <Analysis test={test} />
            ) : tab === "metrics" ? (
              <Metrics test={test} />
            ) : tab === "config" ? (
              <Config test={test} />
            ) : tab === "schedule" ? (
              <ScheduleTab test={test} />
            ) : (
              <Quarantine test={test} />
            )}
          </Suspense>
        </div>
      </div>
    </>
  );
}
