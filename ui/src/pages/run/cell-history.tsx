import { useQuery } from "@tanstack/react-query";
import { api, type Schema } from "~/api/client";
import { useNs } from "~/app/namespace";
import { activeFindings, findingText } from "~/lib/findings";
import { sameCell } from "~/lib/matrix";
import { Panel } from "~/parts/basics";
import { State } from "~/parts/state";
import { Strip } from "~/parts/strip";

/** How the latest runs in the cell of a run ended: whether this one is the exception or the rule. */
export function CellHistory({ run }: { run: Schema["Run"] }) {
  const ns = useNs();
  const { data: cell } = useQuery({
    ...api.queryOptions("get", "/api/v1/namespaces/{namespace}/tests/{test}/cells", {
      params: { path: { namespace: ns, test: run.test_id } },
    }),
    // The test may be deleted; then there is nothing to show, and nothing is wrong with the run.
    retry: false,
    select: (page) => page.items.find((each) => sameCell(each.cell, run.cell)) ?? null,
  });
  if (!cell?.strip) return null;
  const finding = activeFindings(cell.findings)[0];
  return (
    <Panel title={Object.keys(run.cell).length > 0 ? "Latest runs in this cell" : "Latest runs"}>
      <div className="flex flex-col gap-2 p-3.5 text-sm">
        <Strip ns={ns} test={run.test_name} cell={run.cell} strip={cell.strip} />
        <p className="flex flex-wrap items-center gap-x-2">
          {cell.status === "healthy" ? (
            // The latest run may have failed: one failure makes no test broken.
            <span className="text-muted">neither flaky nor broken</span>
          ) : (
            <State state={cell.status} />
          )}
          {finding ? <span className="text-muted">{findingText(finding)}</span> : null}
        </p>
      </div>
    </Panel>
  );
}
