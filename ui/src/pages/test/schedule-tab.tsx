import { useInfiniteQuery, useQuery } from "@tanstack/react-query";
import { Link } from "@tanstack/react-router";
import { api, client, type Schema } from "~/api/client";
import { useNs } from "~/app/namespace";
import { plural } from "~/lib/numbers";
import { duration } from "~/lib/time";
import { Empty, Panel } from "~/parts/basics";
import { Loaded, Skeleton } from "~/parts/loaded";
import { More } from "~/parts/more";
import { Badge, type Tone } from "~/parts/state";
import { Time } from "~/parts/time";

const OUTCOMES: Record<Schema["LedgerOutcome"], Tone> = { ran: "pass", skipped: "idle", missed: "warn" };

/** When a test runs next, and what became of the instants before. */
export function ScheduleTab({ test }: { test: Schema["TestDef"] }) {
  const ns = useNs();
  const path = { namespace: ns, test: test.name };
  const schedule = useQuery({
    ...api.queryOptions("get", "/api/v1/namespaces/{namespace}/tests/{test}/schedule", {
      params: { path, query: { count: 10 } },
    }),
    enabled: test.cron_schedule !== undefined,
  });
  const ledger = useInfiniteQuery({
    queryKey: ["get", "/api/v1/namespaces/{namespace}/tests/{test}/ledger", path, "pages"],
    queryFn: async ({ pageParam, signal }) => {
      const { data } = await client.GET("/api/v1/namespaces/{namespace}/tests/{test}/ledger", {
        params: { path, query: { page_size: 50, page_token: pageParam || undefined } },
        signal,
      });
      return data!;
    },
    initialPageParam: "",
    getNextPageParam: (page) => page.next_page_token,
    enabled: test.cron_schedule !== undefined,
  });
  if (!test.cron_schedule) {
    return (
      <Panel>
        <Empty
          title="This test has no schedule"
          command={`tstr ctl test apply --namespace ${ns} -f test.yaml`}
        >
          Add a line such as <code className="code">cron_schedule: "*/15 * * * *"</code> to its file and apply
          it.
        </Empty>
      </Panel>
    );
  }
  const entries = ledger.data?.pages.flatMap((page) => page.items) ?? [];
  return (
    <div className="grid items-start gap-4 lg:grid-cols-2">
      <Panel title="Next">
        <Loaded query={schedule} what="The schedule" skeleton={<Skeleton rows={8} />}>
          {(data) => (
            <>
              <p className="border-b px-3.5 py-2.5 text-sm">
                {data.description} <code className="code text-muted">{test.cron_schedule}</code> in{" "}
                {data.time_zone}
                {data.paused ? <Badge tone="idle">paused</Badge> : null}
              </p>
              {data.upcoming.length === 0 ? (
                <p className="px-3.5 py-3 text-sm text-muted">
                  {data.paused ? "Paused: nothing comes until it is resumed." : "It never comes again."}
                </p>
              ) : (
                <ol className="text-sm">
                  {data.upcoming.map((each) => (
                    <li
                      key={each.at}
                      className="flex flex-wrap gap-x-4 border-b px-3.5 py-1.5 last:border-b-0"
                    >
                      <Time at={each.at} how="absolute" />
                      <span className="text-muted">{each.local}</span>
                      <span className="ml-auto text-muted">
                        <Time at={each.at} />
                      </span>
                      {each.note ? <span className="w-full text-warn">{each.note}</span> : null}
                    </li>
                  ))}
                </ol>
              )}
            </>
          )}
        </Loaded>
      </Panel>
      <Panel title="What became of the instants before">
        <Loaded query={ledger} what="The ledger" skeleton={<Skeleton rows={8} />}>
          {() =>
            entries.length === 0 ? (
              <Empty title="No instant of it has come yet" />
            ) : (
              <>
                <ul className="text-sm">
                  {entries.map((entry) => (
                    <li
                      key={`${entry.scheduled_for} ${entry.noted_at}`}
                      className="flex flex-wrap items-center gap-x-3 border-b px-3.5 py-1.5 last:border-b-0"
                    >
                      <span className="w-18">
                        <Badge tone={OUTCOMES[entry.outcome] ?? "idle"}>{entry.outcome}</Badge>
                      </span>
                      <Time at={entry.scheduled_for} how="absolute" />
                      <span className="text-muted wrap-anywhere">
                        {entry.reason ? entry.reason.replaceAll("_", " ") : ""}
                        {entry.instants > 1 ? ` ${plural(entry.instants, "instant")}` : ""}
                        {entry.late_ms !== undefined && entry.late_ms > 2_000
                          ? ` ${duration(entry.late_ms)} late`
                          : ""}
                      </span>
                      {entry.matrix_id && entry.runs > 0 ? (
                        <Link
                          className="link ml-auto"
                          to="/ns/$ns/runs"
                          params={{ ns }}
                          search={{ matrix: entry.matrix_id }}
                        >
                          {plural(entry.runs, "run")}
                        </Link>
                      ) : null}
                    </li>
                  ))}
                </ul>
                <More query={ledger} shown={entries.length} what="entry" />
              </>
            )
          }
        </Loaded>
      </Panel>
    </div>
  );
}
