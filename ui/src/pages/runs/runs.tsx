import { useInfiniteQuery, useQuery } from "@tanstack/react-query";
import { getRouteApi, useNavigate } from "@tanstack/react-router";
import { useMemo } from "react";
import { statesQuery } from "~/api/queries";
import { runPages } from "~/api/runs";
import { useCursor } from "~/app/cursor";
import { useKeys } from "~/app/keys";
import { useNs } from "~/app/namespace";
import { RESULTS, RUN_RANGES, STATES } from "~/app/searches";
import { Views } from "~/app/views";
import { rangeStart } from "~/lib/spans";
import { Empty } from "~/parts/basics";
import { LabelFilter, SearchField, Toggles } from "~/parts/filters";
import { Icon } from "~/parts/icons";
import { Loaded, Skeleton } from "~/parts/loaded";
import { More } from "~/parts/more";
import { PageHead } from "~/parts/page-head";
import { RangePicker } from "~/parts/range";
import { RunTable } from "~/parts/run-table";
import { StateIcon, stateLabel } from "~/parts/state";

const route = getRouteApi("/ns/$ns/runs");
/** A range that ends now begins with a whole minute, so that its answers are kept for that long. */
const MINUTE = 60_000;
const ACTIVE = STATES.filter((state) => state !== "finished");

/** All runs of a namespace, filtered. */
export function Runs() {
  const ns = useNs();
  const search = route.useSearch();
  const navigate = useNavigate({ from: "/ns/$ns/runs" });
  const set = (change: Partial<typeof search>, replace = false) =>
    void navigate({ search: (before) => ({ ...before, ...change }), replace });

  // Held for as long as the range is: another instant would be another list, and what was loaded of this one be gone.
  const since = useMemo(
    () => (search.range ? rangeStart(search.range, Date.now(), MINUTE) : undefined),
    [search.range],
  );
  const after = search.after ?? since;
  const isSpan = search.after !== undefined || search.before !== undefined;
  const query = useInfiniteQuery(
    runPages(ns, {
      test: search.test,
      runner: search.runner,
      state: search.state,
      result: search.result,
      label: search.label,
      matrix_id: search.matrix,
      kept: search.kept === undefined ? undefined : search.kept === "true",
      scheduled_after: after,
      scheduled_before: search.before,
    }),
  );
  const { data: states } = useQuery(statesQuery(ns));
  const names = states?.items.map((test) => test.name) ?? [];
  const runs = query.data?.pages.flatMap((page) => page.items) ?? [];
  const isFiltered = Object.values(search).some((value) => value !== undefined);
  const cursor = useCursor(runs.map((run) => run.id));
  useKeys([
    { keys: "j", says: "next run", run: cursor.next },
    { keys: "k", says: "previous run", run: cursor.previous },
    {
      keys: "o",
      says: "open the run",
      run: () =>
        cursor.id && void navigate({ to: "/ns/$ns/runs/$run", params: { ns, run: cursor.id }, search: {} }),
    },
  ]);

  return (
    <>
      <PageHead
        title="Runs"
        note="The latest first, by the time for which they were scheduled."
        actions={<Views page="runs" search={search} />}
      />
      <div className="flex flex-wrap items-center gap-2">
        <SearchField
          value={search.test}
          onSearch={(test) => set({ test }, true)}
          label="Test, by its whole name"
          suggest={(typed) => names.filter((name) => name.includes(typed.trim())).slice(0, 20)}
        />
        <Toggles
          label="State"
          options={ACTIVE.map((value) => ({ value, name: option(value) }))}
          chosen={search.state?.filter((state) => state !== "finished")}
          onChange={(state) => set({ state: state as typeof search.state })}
        />
        <Toggles
          label="Result"
          options={RESULTS.map((value) => ({ value, name: option(value) }))}
          chosen={search.result}
          onChange={(result) => set({ result })}
        />
        <LabelFilter labels={search.label} onChange={(label) => set({ label })} />
        <Toggles
          label="Kept"
          options={[{ value: "true", name: "kept" }]}
          chosen={search.kept === "true" ? ["true"] : undefined}
          onChange={(kept) => set({ kept: kept ? "true" : undefined })}
        />
        {search.runner ? (
          <Chip name={`runner ${search.runner}`} onRemove={() => set({ runner: undefined })} />
        ) : null}
        {search.matrix ? (
          <Chip name={`matrix ${search.matrix}`} onRemove={() => set({ matrix: undefined })} />
        ) : null}
        <RangePicker
          presets={RUN_RANGES}
          preset={search.range}
          span={{ after: search.after, before: search.before }}
          onPreset={(range) =>
            set({
              range: range === search.range && !isSpan ? undefined : range,
              after: undefined,
              before: undefined,
            })
          }
          onSpan={(span) => set({ range: undefined, after: undefined, before: undefined, ...span })}
        />
      </div>
      <section className="panel" aria-label="Runs">
        <Loaded query={query} what="The runs" skeleton={<Skeleton rows={12} />}>
          {() =>
            runs.length > 0 ? (
              <>
                <RunTable runs={runs} at={cursor.id} />
                <More query={query} shown={runs.length} what="run" />
              </>
            ) : isFiltered ? (
              <Empty
                title={
                  search.test && names.length > 0 && !names.includes(search.test)
                    ? `No test is called «${search.test}»`
                    : "No run is like that"
                }
              >
                <button type="button" className="btn" onClick={() => void navigate({ search: {} })}>
                  Take all filters away
                </button>
              </Empty>
            ) : (
              <Empty title="Nothing has run yet" command="tstr ctl test run NAME">
                A test runs when its schedule says so, or now:
              </Empty>
            )
          }
        </Loaded>
      </section>
    </>
  );
}

function option(state: (typeof RESULTS)[number] | (typeof STATES)[number]) {
  return (
    <>
      <StateIcon state={state} size={12} /> {stateLabel(state).toLowerCase()}
    </>
  );
}

function Chip({ name, onRemove }: { name: React.ReactNode; onRemove: () => void }) {
  return (
    <button type="button" className="chip min-h-6" onClick={onRemove} title="Remove the filter">
      {name} <Icon name="close" size={10} />
    </button>
  );
}
