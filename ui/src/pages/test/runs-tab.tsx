import { useInfiniteQuery } from "@tanstack/react-query";
import { getRouteApi, useNavigate } from "@tanstack/react-router";
import type { Schema } from "~/api/client";
import { runPages } from "~/api/runs";
import { useNs } from "~/app/namespace";
import { RESULTS } from "~/app/searches";
import { Empty, Panel } from "~/parts/basics";
import { Toggles } from "~/parts/filters";
import { Loaded, Skeleton } from "~/parts/loaded";
import { More } from "~/parts/more";
import { RangePicker } from "~/parts/range";
import { RunTable } from "~/parts/run-table";
import { StateIcon, stateLabel } from "~/parts/state";
import { useSpan } from "./span";

const route = getRouteApi("/ns/$ns/tests/$test");

/** The runs of a test. */
export function RunsTab({ test }: { test: Schema["TestDef"] }) {
  const ns = useNs();
  const { result } = route.useSearch();
  const span = useSpan();
  const navigate = useNavigate({ from: "/ns/$ns/tests/$test" });
  const query = useInfiniteQuery(
    runPages(ns, { test: test.name, result, scheduled_after: span.after, scheduled_before: span.before }),
  );
  const runs = query.data?.pages.flatMap((page) => page.items) ?? [];
  return (
    <Panel
      title="Runs"
      actions={
        <>
          <RangePicker span={span} onSpan={span.set} />
          <Toggles
            label="Result"
            options={RESULTS.map((value) => ({
              value,
              name: (
                <>
                  <StateIcon state={value} size={12} /> {stateLabel(value).toLowerCase()}
                </>
              ),
            }))}
            chosen={result}
            onChange={(next) =>
              void navigate({ search: (before) => ({ ...before, result: next }), resetScroll: false })
            }
          />
        </>
      }
    >
      <Loaded query={query} what="The runs" skeleton={<Skeleton rows={10} />}>
        {() =>
          runs.length > 0 ? (
            <>
              <RunTable runs={runs} withTest={false} />
              <More query={query} shown={runs.length} what="run" />
            </>
          ) : (
            <Empty title={result || span.isSpan ? "No run of it is like that" : "It has not run yet"} />
          )
        }
      </Loaded>
    </Panel>
  );
}
