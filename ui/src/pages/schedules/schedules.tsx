import { useInfiniteQuery } from "@tanstack/react-query";
import { getRouteApi, useNavigate } from "@tanstack/react-router";
import { useEffect, useMemo, useState } from "react";
import { client, type Schema } from "~/api/client";
import { useNs } from "~/app/namespace";
import { useZone } from "~/app/settings";
import { addUp, herd } from "~/lib/density";
import { count, plural } from "~/lib/numbers";
import { byNext, turnsAt } from "~/lib/timetable";
import { Empty, Panel } from "~/parts/basics";
import { SearchField, Toggles } from "~/parts/filters";
import { Loaded, Skeleton } from "~/parts/loaded";
import { PageHead } from "~/parts/page-head";
import { Agenda } from "./agenda";
import { Week } from "./week";

const route = getRouteApi("/ns/$ns/schedules");
/** A timer cannot be set for much longer than weeks; the table is of days. */
const DAY_MS = 86_400_000;

/** The time for which the table is drawn: it moves on when an instant has come, and not every second. */
function useTurn(tests: Schema["TimetableTest"][]): number {
  const [nowMs, setNowMs] = useState(Date.now);
  useEffect(() => {
    const next = turnsAt(tests, nowMs);
    if (next === undefined) return;
    const timer = setTimeout(
      () => setNowMs(Date.now()),
      Math.min(Math.max(0, next - Date.now()) + 50, DAY_MS),
    );
    return () => clearTimeout(timer);
  }, [tests, nowMs]);
  return nowMs;
}

/** When the tests of a namespace run. */
export function Schedules() {
  const ns = useNs();
  const zone = useZone();
  const search = route.useSearch();
  const navigate = useNavigate({ from: "/ns/$ns/schedules" });
  const query = useInfiniteQuery({
    queryKey: ["get", "/api/v1/namespaces/{namespace}/timetable", { ns }, "pages"],
    queryFn: async ({ pageParam, signal }) => {
      const { data } = await client.GET("/api/v1/namespaces/{namespace}/timetable", {
        params: { path: { namespace: ns }, query: { page_size: 1000, page_token: pageParam || undefined } },
        signal,
      });
      return data!;
    },
    initialPageParam: "",
    getNextPageParam: (page) => page.next_page_token,
    // What somebody pauses is to be seen soon; a busy namespace has an event every second.
    meta: { minAgeMs: 5_000 },
  });
  // The counts are over all tests, so all pages are fetched.
  const { hasNextPage, isFetchingNextPage, isError, fetchNextPage } = query;
  useEffect(() => {
    if (hasNextPage && !isFetchingNextPage && !isError) void fetchNextPage();
  }, [hasNextPage, isFetchingNextPage, isError, fetchNextPage]);
  const all = useMemo(() => query.data?.pages.flatMap((page) => page.items) ?? [], [query.data]);
  const q = search.q?.toLowerCase();
  const nowMs = useTurn(all);
  const tests = all.filter((test) => !q || test.name.toLowerCase().includes(q)).sort(byNext(nowMs));
  const paused = all.filter((test) => test.paused).length;
  const from = query.data?.pages[0]?.from;
  return (
    <>
      <PageHead
        title="Schedules"
        note={
          query.data
            ? `${plural(all.length, "test")} with a schedule${paused > 0 ? `, ${paused} of them paused` : ""}`
            : " "
        }
      />
      <div className="flex flex-wrap items-center gap-2">
        <SearchField
          value={search.q}
          label="Search tests by name"
          onSearch={(text) => void navigate({ search: (before) => ({ ...before, q: text }), replace: true })}
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
        {(data) =>
          tests.length === 0 ? (
            <Panel>
              {all.length > 0 ? (
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
              <Density byMinute={addUp(data.pages.map((page) => page.by_minute))} />
              {search.view === "week" && from ? (
                <Week
                  tests={tests}
                  from={from}
                  byHour={addUp(data.pages.map((page) => page.by_hour))}
                  isAll={!q}
                />
              ) : (
                <Agenda tests={tests} zone={zone} nowMs={nowMs} />
              )}
            </>
          )
        }
      </Loaded>
    </>
  );
}

/** At which minute of the hour tests start, over the week to come. */
function Density({ byMinute }: { byMinute: number[] }) {
  const most = Math.max(1, ...byMinute);
  const crowd = herd(byMinute);
  const all = byMinute.reduce((sum, each) => sum + each, 0);
  const mark = (minute: number) => `:${String(minute).padStart(2, "0")}`;
  if (all === 0) return null;
  return (
    <Panel title="Starts by the minute of the hour" note={`${count(all)} in the next seven days`} pad>
      <div
        role="img"
        aria-label={`Starts by minute; most, ${most}, at ${mark(byMinute.indexOf(most))}`}
        className="flex h-10 items-end gap-px border-b"
      >
        {byMinute.map((n, minute) => (
          <span
            key={minute}
            title={`${mark(minute)}, ${plural(n, "start")}`}
            className={`flex-1 ${n === 0 ? "" : crowd?.minute === minute ? "bg-warn" : "bg-accent"}`}
            style={{ height: n === 0 ? 0 : Math.max(3, (n / most) * 38) }}
          />
        ))}
      </div>
      <div className="mt-1 flex justify-between text-xs text-muted" aria-hidden="true">
        {[0, 15, 30, 45, 59].map((minute) => (
          <span key={minute}>{mark(minute)}</span>
        ))}
      </div>
      {crowd ? (
        <p className="mt-1.5 text-sm">
          {count(crowd.starts)} of {count(all)} are at {mark(crowd.minute)}.{" "}
          <span className="text-muted">
            With <code className="code">H</code> instead of the minute each test gets one of its own.
          </span>
        </p>
      ) : null}
    </Panel>
  );
}
