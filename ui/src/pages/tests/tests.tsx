import { useInfiniteQuery, useQuery } from "@tanstack/react-query";
import { getRouteApi, useNavigate } from "@tanstack/react-router";
import { Suspense, useEffect, useMemo, useState } from "react";
import { api, client } from "~/api/client";
import { statesQuery } from "~/api/queries";
import { useCursor } from "~/app/cursor";
import { useKeys } from "~/app/keys";
import { useNs } from "~/app/namespace";
import { TEST_SORTS, TEST_STATES } from "~/app/searches";
import { Views } from "~/app/views";
import { plural } from "~/lib/numbers";
import { sortRows, testRow } from "~/lib/test-rows";
import { Empty } from "~/parts/basics";
import { LabelFilter, SearchField, Toggles } from "~/parts/filters";
import { lazy } from "~/parts/lazy";
import { Loaded, Skeleton } from "~/parts/loaded";
import { PageHead } from "~/parts/page-head";
import { StateIcon } from "~/parts/state";
import { TestTable } from "./table";

const Facets = lazy(() => import("./facets").then((module) => ({ default: module.Facets })));
const Bulk = lazy(() => import("./bulk").then((module) => ({ default: module.Bulk })));

const route = getRouteApi("/ns/$ns/tests");
const PAGE = 500;

const STATE_OPTIONS = TEST_STATES.map((value) => ({
  value,
  name: (
    <>
      <StateIcon state={value === "failing" ? "fail" : value} size={12} />
      {value === "never" ? "no runs" : value}
    </>
  ),
}));

const SORTS: Record<(typeof TEST_SORTS)[number], string> = {
  worst: "Worst first",
  name: "Name",
  pass_rate: "Pass rate",
  latest: "Latest run",
  next: "Next run",
};

/** The list of tests, the failing ones first. */
export function Tests() {
  const ns = useNs();
  const search = route.useSearch();
  const navigate = useNavigate({ from: "/ns/$ns/tests" });
  const [picked, setPicked] = useState<ReadonlySet<string>>(new Set());

  // What the server filters is a query of its own; the rest (state, order) is done here, over all pages.
  const query = {
    q: search.q,
    label: search.label,
    annotation: search.owner ? [`owner=${search.owner}`] : undefined,
    paused: search.paused === undefined ? undefined : search.paused === "true",
    page_size: PAGE,
  };
  const tests = useInfiniteQuery({
    queryKey: ["get", "/api/v1/namespaces/{namespace}/tests", { ns, query }, "all"],
    queryFn: async ({ pageParam, signal }) => {
      const { data } = await client.GET("/api/v1/namespaces/{namespace}/tests", {
        params: { path: { namespace: ns }, query: { ...query, page_token: pageParam || undefined } },
        signal,
      });
      return data!;
    },
    initialPageParam: "",
    getNextPageParam: (page) => page.next_page_token,
    // What tests are changes seldom; how they are is another query.
    meta: { minAgeMs: 20_000 },
  });
  const states = useQuery(statesQuery(ns));
  // The summary tells of a hundred tests at most. With more of them a column with gaps would mislead, so there is none.
  const { data: took } = useQuery({
    ...api.queryOptions("get", "/api/v1/namespaces/{namespace}/summary", {
      params: { path: { namespace: ns }, query: { interval: "day" } },
    }),
    select: (summary) =>
      summary.tests_more > 0
        ? undefined
        : new Map(summary.tests.map((test) => [test.test_id, test.figures.duration])),
  });

  // The order is over all tests, so all pages are fetched; the first rows stand there meanwhile.
  const { hasNextPage, isFetchingNextPage, fetchNextPage, isError } = tests;
  useEffect(() => {
    if (hasNextPage && !isFetchingNextPage && !isError) void fetchNextPage();
  }, [hasNextPage, isFetchingNextPage, isError, fetchNextPage]);

  const { rows, all } = useMemo(() => {
    const byId = new Map(states.data?.items.map((state) => [state.test_id, state]));
    const all =
      tests.data?.pages.flatMap((page) => page.items.map((test) => testRow(test, byId.get(test.id)))) ?? [];
    const wanted = all.filter(
      (row) =>
        (!search.state || search.state.includes(row.standing)) &&
        (!search.schedule || (search.schedule === "yes") === (row.test.cron_schedule !== undefined)),
    );
    return { all, rows: sortRows(wanted, search.sort ?? "worst") };
  }, [tests.data, states.data, search.state, search.schedule, search.sort]);

  const shown = useMemo(() => rows.map((row) => row.test), [rows]);

  const set = (change: Partial<typeof search>, replace = false) =>
    void navigate({ search: (before) => ({ ...before, ...change }), replace });
  const filtered = Boolean(
    search.q || search.label || search.owner || search.state || search.paused || search.schedule,
  );
  const cursor = useCursor(rows.map((row) => row.test.id));
  const current = rows.find((row) => row.test.id === cursor.id);
  useKeys([
    { keys: "j", says: "next test", run: cursor.next },
    { keys: "k", says: "previous test", run: cursor.previous },
    {
      keys: "o",
      says: "open the test",
      run: () =>
        current &&
        void navigate({ to: "/ns/$ns/tests/$test", params: { ns, test: current.test.name }, search: {} }),
    },
    { keys: "x", says: "pick the test", run: () => current && pick(current.test.name) },
  ]);
  const pick = (name: string) => {
    const next = new Set(picked);
    if (!next.delete(name)) next.add(name);
    setPicked(next);
  };

  return (
    <>
      <PageHead
        title="Tests"
        actions={<Views page="tests" search={search} />}
        note={
          tests.data
            ? `${filtered ? `${plural(rows.length, "test")} of ${hasNextPage ? "at least " : ""}${all.length}` : plural(rows.length, "test")}${isFetchingNextPage ? ", loading more…" : ""}`
            : " "
        }
      />
      <div className="flex flex-wrap items-center gap-2">
        <SearchField value={search.q} onSearch={(q) => set({ q }, true)} label="Search tests by name" />
        <Toggles
          label="State"
          options={STATE_OPTIONS}
          chosen={search.state}
          onChange={(state) => set({ state })}
        />
        <LabelFilter labels={search.label} onChange={(label) => set({ label })} />
        {search.owner ? (
          <button type="button" className="chip min-h-6" onClick={() => set({ owner: undefined })}>
            owner {search.owner} ×
          </button>
        ) : null}
        {search.schedule ? (
          <button type="button" className="chip min-h-6" onClick={() => set({ schedule: undefined })}>
            {search.schedule === "yes" ? "with a schedule" : "without a schedule"} ×
          </button>
        ) : null}
        <button
          type="button"
          className={`btn ${search.facets ? "border-accent bg-accent-soft" : ""}`}
          aria-expanded={search.facets === "on"}
          onClick={() => set({ facets: search.facets ? undefined : "on" }, true)}
        >
          Facets
        </button>
        <select
          className="input"
          aria-label="Schedules"
          value={search.paused ?? ""}
          onChange={(event) => set({ paused: (event.target.value || undefined) as typeof search.paused })}
        >
          <option value="">Paused or not</option>
          <option value="true">Paused</option>
          <option value="false">Not paused</option>
        </select>
        <select
          className="input ml-auto"
          aria-label="Order"
          value={search.sort ?? "worst"}
          onChange={(event) =>
            set({
              sort: event.target.value === "worst" ? undefined : (event.target.value as typeof search.sort),
            })
          }
        >
          {TEST_SORTS.map((sort) => (
            <option key={sort} value={sort}>
              {SORTS[sort]}
            </option>
          ))}
        </select>
      </div>
      <Suspense>
        {search.facets ? <Facets tests={shown} chosen={search} onChoose={(change) => set(change)} /> : null}
      </Suspense>
      <Suspense>
        {picked.size > 0 ? (
          <Bulk
            ns={ns}
            names={[...picked]}
            all={rows.map((row) => row.test.name)}
            onPick={(names) => setPicked(new Set(names))}
          />
        ) : null}
      </Suspense>
      <section className="panel" aria-label="Tests">
        <Loaded query={tests} what="The tests" skeleton={<Skeleton rows={10} height={24} />}>
          {() =>
            rows.length > 0 ? (
              <>
                {states.error && !states.data ? (
                  <p role="status" className="border-b bg-warn-soft px-4 py-1.5 text-sm">
                    How the tests are could not be loaded, so they are shown without their runs.
                  </p>
                ) : null}
                <TestTable ns={ns} rows={rows} picked={picked} onPick={pick} at={cursor.id} took={took} />
              </>
            ) : filtered ? (
              <Empty title="No test is like that">
                <button type="button" className="btn" onClick={() => void navigate({ search: {} })}>
                  Take all filters away
                </button>
              </Empty>
            ) : (
              <Empty title="There are no tests in this namespace" command="tstr ctl test apply -f test.yaml">
                A test is a container image with a schedule. Write it into a file and apply it:
              </Empty>
            )
          }
        </Loaded>
      </section>
    </>
  );
}
