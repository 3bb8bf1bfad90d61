import { queryOptions, useQuery } from "@tanstack/react-query";
import { getRouteApi, Link, useNavigate } from "@tanstack/react-router";
import { api } from "~/api/client";
import { runnersQuery } from "~/api/queries";
import { useNs } from "~/app/namespace";
import { basePath } from "~/lib/base";
import { count, percent, plural } from "~/lib/numbers";
import { againstFleet } from "~/lib/runners";
import { justBefore } from "~/lib/time";
import { Empty, Meter, Panel } from "~/parts/basics";
import { SearchField, Toggles } from "~/parts/filters";
import { Loaded, Skeleton } from "~/parts/loaded";
import { OnlyFirst } from "~/parts/more";
import { PageHead } from "~/parts/page-head";
import { Badge } from "~/parts/state";
import { Time } from "~/parts/time";
import { DrainButton, RunnerState, Selectors, share } from "./common";

const route = getRouteApi("/ns/$ns/runners");

/** The version of the server, to see which runners are of another. */
export const versionQuery = queryOptions({
  queryKey: ["version"],
  queryFn: async ({ signal }) => {
    const response = await fetch(`${basePath()}/version`, { signal });
    return (await response.json()) as { version: string; api: string; zone_tables: string };
  },
  staleTime: 60 * 60_000,
  meta: { live: false },
});

/** The runners that take runs of the namespace. */
export function Runners() {
  const ns = useNs();
  const search = route.useSearch();
  const navigate = useNavigate({ from: "/ns/$ns/runners" });
  const query = useQuery(runnersQuery(ns));
  const { data: version } = useQuery(versionQuery);
  const { data: summary } = useQuery(
    api.queryOptions("get", "/api/v1/namespaces/{namespace}/summary", {
      params: { path: { namespace: ns }, query: { interval: "day" } },
    }),
  );
  const figures = new Map(summary?.runners.map((runner) => [runner.runner_id, runner]));
  const set = (change: Partial<typeof search>, replace = false) =>
    void navigate({ search: (before) => ({ ...before, ...change }), replace });
  return (
    <>
      <PageHead title="Runners" note={query.data ? summaryOf(query.data.items) : " "} />
      <div className="flex flex-wrap items-center gap-2">
        <SearchField value={search.q} onSearch={(q) => set({ q }, true)} label="Search runners by name" />
        <Toggles
          label="State"
          options={[
            { value: "live", name: "live" },
            { value: "draining", name: "draining" },
            { value: "offline", name: "offline" },
          ]}
          chosen={search.state ? [search.state] : undefined}
          onChange={(next) => set({ state: next?.find((each) => each !== search.state) })}
        />
      </div>
      <Panel>
        <Loaded query={query} what="The runners" skeleton={<Skeleton rows={6} height={24} />}>
          {(page) => {
            const runners = page.items.filter(
              (runner) =>
                (!search.q || runner.name.toLowerCase().includes(search.q.toLowerCase())) &&
                (!search.state || runner.state === search.state),
            );
            if (page.items.length === 0) {
              return (
                <Empty
                  title="No runner takes runs of this namespace"
                  command="tstr run --grpc-addr http://HOST:9000 --token-file runner.token"
                >
                  A runner needs a token with the scope runner whose namespace selectors match {ns}. Start one
                  on any machine with rootless Podman:
                </Empty>
              );
            }
            return runners.length === 0 ? (
              <Empty title="No runner is like that" />
            ) : (
              <div className="overflow-x-auto">
                <table className="tbl">
                  <thead>
                    <tr>
                      <th>State</th>
                      <th>Runner</th>
                      <th>Slots</th>
                      <th className="w-full max-md:hidden">Labels</th>
                      <th className="num max-lg:hidden">Runs, 7 days</th>
                      <th className="num max-lg:hidden">Failed</th>
                      <th>Heard of</th>
                      <th>
                        <span className="visually-hidden">Drain or resume</span>
                      </th>
                    </tr>
                  </thead>
                  <tbody>
                    {runners.map((runner) => {
                      const figure = figures.get(runner.id);
                      const failed = againstFleet(runner.id, summary?.runners ?? []);
                      return (
                        <tr key={runner.id}>
                          <td>
                            <RunnerState runner={runner} />
                          </td>
                          <td className="whitespace-nowrap">
                            <Link
                              className="link font-medium text-ink"
                              to="/ns/$ns/runners/$runner"
                              params={{ ns, runner: runner.id }}
                            >
                              {runner.name}
                            </Link>
                            <span className="block text-muted">
                              {runner.about.version}
                              {version && runner.about.version !== version.version ? (
                                <Badge tone="warn" title={`The server is ${version.version}`}>
                                  other version
                                </Badge>
                              ) : null}
                            </span>
                          </td>
                          <td className="whitespace-nowrap">
                            {runner.slots_used} of {runner.slots}{" "}
                            <span className="block">
                              <Meter
                                value={runner.slots_used}
                                max={runner.slots}
                                label={`${runner.slots_used} of ${plural(runner.slots, "slot")} in use`}
                              />
                            </span>
                          </td>
                          <td className="max-md:hidden">
                            <Selectors accept={runner.accept} reject={runner.reject} />
                          </td>
                          <td className="num max-lg:hidden">
                            {figure && summary ? (
                              <Link
                                className="link text-ink"
                                to="/ns/$ns/runs"
                                params={{ ns }}
                                search={{ runner: runner.id, after: justBefore(summary.from) }}
                              >
                                {count(figure.counts.runs)}
                              </Link>
                            ) : (
                              "–"
                            )}
                          </td>
                          <td className="num max-lg:hidden">
                            {failed ? percent(failed.bad, failed.ended) : "–"}
                            {failed?.isWorse ? (
                              <span className="block">
                                <Badge
                                  tone="fail"
                                  title={`More than twice as often as on the other runners, where ${share(failed.fleet)} failed`}
                                >
                                  worse than the fleet
                                </Badge>
                              </span>
                            ) : null}
                          </td>
                          <td>
                            <Time at={runner.last_seen_at} />
                          </td>
                          <td className="py-1">
                            <DrainButton runner={runner} />
                          </td>
                        </tr>
                      );
                    })}
                  </tbody>
                </table>
                <OnlyFirst page={page} what="runners" command={`tstr ctl runner list --namespace ${ns}`} />
              </div>
            );
          }}
        </Loaded>
      </Panel>
    </>
  );
}

function summaryOf(runners: { state: string; slots: number; slots_used: number }[]): string {
  const live = runners.filter((runner) => runner.state !== "offline");
  const used = live.reduce((sum, runner) => sum + runner.slots_used, 0);
  const slots = live.reduce((sum, runner) => sum + runner.slots, 0);
  return `${live.length} of ${plural(runners.length, "runner")} online, ${used} of ${plural(slots, "slot")} in use`;
}
