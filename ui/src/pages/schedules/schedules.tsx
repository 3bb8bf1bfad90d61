import { useInfiniteQuery } from "@tanstack/react-query";
import { getRouteApi, Link, useNavigate } from "@tanstack/react-router";
import { useEffect, useMemo } from "react";
import { client, type Schema } from "~/api/client";
import { useNs } from "~/app/namespace";
import { useZone } from "~/app/settings";
import { density, herd } from "~/lib/density";
import { plural } from "~/lib/numbers";
import { zoneLabel } from "~/lib/time";
import { Empty, Panel } from "~/parts/basics";
import { SearchField, Toggles } from "~/parts/filters";
import { Loaded, Skeleton } from "~/parts/loaded";
import { PageHead } from "~/parts/page-head";
import { Badge } from "~/parts/state";
import { Time } from "~/parts/time";
import { PauseButton } from "./pause";
import { Week } from "./week";

const route = getRouteApi("/ns/$ns/schedules");
type Test = Schema["TestDef"];

/** When the tests of a namespace run. */
export function Schedules() {
  const ns = useNs();
  const zone = useZone();
  const search = route.useSearch();
  const navigate = useNavigate({ from: "/ns/$ns/schedules" });
  const query = useInfiniteQuery({
    queryKey: ["get", "/api/v1/namespaces/{namespace}/tests", { ns, q: search.q }, "schedules"],
    queryFn: async ({ pageParam, signal }) => {
      const { data } = await client.GET("/api/v1/namespaces/{namespace}/tests", {
        params: {
          path: { namespace: ns },
          query: { q: search.q, page_size: 500, page_token: pageParam || undefined },
        },
        signal,
      });
      return data!;
    },
    initialPageParam: "",
    getNextPageParam: (page) => page.next_page_token,
    meta: { minAgeMs: 20_000 },
  });
  const { hasNextPage, isFetchingNextPage, isError, fetchNextPage } = query;
  useEffect(() => {
    if (hasNextPage && !isFetchingNextPage && !isError) void fetchNextPage();
  }, [hasNextPage, isFetchingNextPage, isError, fetchNextPage]);
  const tests = useMemo(
    () =>
      (query.data?.pages.flatMap((page) => page.items) ?? [])
        .filter((test) => test.cron_schedule)
        .sort(
          (a, b) =>
            (a.next_run_at ?? "9").localeCompare(b.next_run_at ?? "9") || a.name.localeCompare(b.name),
        ),
    [query.data],
  );
  const paused = tests.filter((test) => test.paused).length;
  return (
    <>
      <PageHead
        title="Schedules"
        note={
          query.data
            ? `${plural(tests.length, "test")} with a schedule${paused > 0 ? `, ${paused} of them paused` : ""}`
            : " "
        }
      />
      <div className="flex flex-wrap items-center gap-2">
        <SearchField
          value={search.q}
          label="Search tests by name"
          onSearch={(q) => void navigate({ search: (before) => ({ ...before, q }), replace: true })}
        />
        <Toggles
          label="View"
          options={[
            { value: "agenda", name: "agenda" },
            { value: "week", name: "week" },
          ]}
          chosen={[search.view ?? "agenda"]}
          onChange={(next) => {
            const view = next?.find((each) => each !== (search.view ?? "agenda"));
            if (view)
              void navigate({
                search: (before) => ({ ...before, view: view === "agenda" ? undefined : view }),
              });
          }}
        />
      </div>
      <Loaded
        query={query}
        what="The schedules"
        skeleton={
          <div className="panel">
            <Skeleton rows={10} />
          </div>
        }
      >
        {() =>
          tests.length === 0 ? (
            <Panel>
              {search.q ? (
                <Empty title="No test with a schedule is called like that" />
              ) : (
                <Empty
                  title="No test has a schedule"
                  command={`tstr ctl test apply --namespace ${ns} -f test.yaml`}
                >
                  A line such as <code className="code">cron_schedule: "0 6 * * *"</code> in its file is
                  enough.
                </Empty>
              )}
            </Panel>
          ) : (
            <>
              <Density tests={tests} />
              {search.view === "week" ? <Week tests={tests} /> : <Agenda tests={tests} zone={zone} />}
            </>
          )
        }
      </Loaded>
    </>
  );
}

/** At which minute of the hour tests start. */
function Density({ tests }: { tests: Test[] }) {
  const counts = density(tests.map((test) => test.next_run_at));
  const most = Math.max(1, ...counts);
  const crowd = herd(counts);
  const active = tests.filter((test) => test.next_run_at).length;
  if (active === 0) return null;
  return (
    <Panel title="Starts by the minute of the hour" pad>
      <div
        role="img"
        aria-label={`Starts by minute; most, ${most}, at :${String(counts.indexOf(most)).padStart(2, "0")}`}
        className="flex h-10 items-end gap-px border-b"
      >
        {counts.map((n, minute) => (
          <span
            key={minute}
            title={`:${String(minute).padStart(2, "0")}, ${plural(n, "test")}`}
            className={`flex-1 ${n === 0 ? "" : crowd?.minute === minute ? "bg-warn" : "bg-accent"}`}
            style={{ height: n === 0 ? 0 : Math.max(3, (n / most) * 38) }}
          />
        ))}
      </div>
      <div className="mt-1 flex justify-between text-xs text-muted" aria-hidden="true">
        {[":00", ":15", ":30", ":45", ":59"].map((mark) => (
          <span key={mark}>{mark}</span>
        ))}
      </div>
      {crowd ? (
        <p className="mt-1.5 text-sm">
          {crowd.tests} of {active} start at :{String(crowd.minute).padStart(2, "0")}.{" "}
          <span className="text-muted">
            With <code className="code">H</code> instead of the minute each test gets one of its own.
          </span>
        </p>
      ) : null}
    </Panel>
  );
}

function Agenda({ tests, zone }: { tests: Test[]; zone: string }) {
  const ns = useNs();
  return (
    <Panel>
      <div className="overflow-x-auto">
        <table className="tbl">
          <thead>
            <tr>
              <th>Next ({zoneLabel(new Date(), zone)})</th>
              <th />
              <th className="w-full">Test</th>
              <th>Schedule</th>
              <th className="max-md:hidden">Zone</th>
              <th>
                <span className="visually-hidden">Pause or resume</span>
              </th>
            </tr>
          </thead>
          <tbody>
            {tests.map((test) => (
              <tr key={test.id}>
                <td>
                  {test.paused ? (
                    <Badge tone="idle">paused</Badge>
                  ) : (
                    <Time at={test.next_run_at} how="absolute" />
                  )}
                </td>
                <td className="text-muted">{test.paused ? null : <Time at={test.next_run_at} />}</td>
                <td className="min-w-40">
                  <Link
                    className="link font-medium text-ink"
                    to="/ns/$ns/tests/$test"
                    params={{ ns, test: test.name }}
                    search={{ tab: "schedule" }}
                  >
                    {test.name}
                  </Link>
                </td>
                <td className="whitespace-nowrap">
                  <code className="code">{test.cron_schedule}</code>
                </td>
                <td className="text-muted max-md:hidden">{test.time_zone ?? "UTC"}</td>
                <td className="py-1">
                  <PauseButton test={test} />
                </td>
              </tr>
            ))}
          </tbody>
        </table>
      </div>
    </Panel>
  );
}
