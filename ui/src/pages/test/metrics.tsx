import { useQuery } from "@tanstack/react-query";
import { useNavigate } from "@tanstack/react-router";
import { useMemo } from "react";
import { api, type Schema } from "~/api/client";
import { useNs } from "~/app/namespace";
import { count, plural } from "~/lib/numbers";
import { valueTicks } from "~/lib/ticks";
import { cellText, Empty, Panel } from "~/parts/basics";
import { CHART_INSET, Chart } from "~/parts/chart";
import { DragZoom } from "~/parts/drag-zoom";
import { Loaded, Skeleton } from "~/parts/loaded";
import { SpanNote, useSpan } from "./span";

const RUNS = 100;

/** The numbers that the runs of a test handed over, run by run. */
export function Metrics({ test }: { test: Schema["TestDef"] }) {
  const ns = useNs();
  const span = useSpan();
  const query = useQuery(
    api.queryOptions("get", "/api/v1/namespaces/{namespace}/tests/{test}/series", {
      params: { path: { namespace: ns, test: test.name }, query: { runs: RUNS } },
    }),
  );
  return (
    <Loaded
      query={query}
      what="The numbers"
      skeleton={
        <div className="panel">
          <Skeleton rows={8} />
        </div>
      }
    >
      {({ runs, series, more }) => {
        const within = runs.map((run) => span.has(run.finished_at));
        const shown = runs.filter((_, index) => within[index]);
        return series.length === 0 ? (
          <Panel>
            <Empty title="Its runs handed over no numbers" command={'echo "requests=1200" >> "$TSTR_OUTPUT"'}>
              Numbers in the result data (<code className="code">$TSTR_OUTPUT</code>) and metrics (
              <code className="code">$TSTR_METRICS</code>) become a chart each.
            </Empty>
          </Panel>
        ) : shown.length === 0 ? (
          <Panel>
            <Empty title={`None of the latest ${plural(runs.length, "run")} ended in that time`}>
              <button type="button" className="btn" onClick={() => span.set({})}>
                Show the latest
              </button>
            </Empty>
          </Panel>
        ) : (
          <>
            <div className="grid gap-4 lg:grid-cols-2">
              {series.map((each) => (
                <One
                  key={`${each.source} ${title(each)}`}
                  series={
                    span.isSpan ? { ...each, values: each.values.filter((_, index) => within[index]) } : each
                  }
                  runs={span.isSpan ? shown : runs}
                  onZoom={span.zoom}
                />
              ))}
            </div>
            <SpanNote span={span} />
            <p className="mt-3 text-sm text-muted">
              {span.isSpan
                ? `${shown.length} of the latest ${plural(runs.length, "run")}`
                : `The latest ${plural(runs.length, "run")}`}
              ; a click opens one, a drag with Shift held narrows the time.
              {more > 0 ? ` ${plural(more, "further number")} are not shown.` : ""}
            </p>
          </>
        );
      }}
    </Loaded>
  );
}

function title(series: Schema["NumberSeries"]): string {
  const tags = cellText(series.tags ?? {});
  return `${series.name}${series.field ? `.${series.field}` : ""}${tags ? ` (${tags})` : ""}`;
}

function One({
  series,
  runs,
  onZoom,
}: {
  series: Schema["NumberSeries"];
  runs: Schema["SeriesRun"][];
  onZoom: (from: number, to: number) => void;
}) {
  const ns = useNs();
  const navigate = useNavigate();
  const drawn = useMemo(() => {
    const values = series.values;
    const isBad = (index: number) => runs[index]?.result !== "pass";
    return {
      times: runs.map((run) => Date.parse(run.finished_at)),
      series: [
        { name: "Value", tone: "accent" as const, look: "line" as const, values },
        {
          name: "Of a run that did not pass",
          tone: "fail" as const,
          look: "points" as const,
          values: values.map((value, index) => (isBad(index) ? value : null)),
        },
      ],
    };
  }, [series, runs]);
  const known = series.values.filter((value): value is number => value !== null).sort((a, b) => a - b);
  const latest = series.values.findLast((value) => value !== null);
  return (
    <Panel
      title={<span className="wrap-anywhere">{title(series)}</span>}
      note={
        known.length > 0
          ? `latest ${count(latest ?? 0)}, median ${count(known[Math.floor((known.length - 1) / 2)] ?? 0)}, ${count(known[0] ?? 0)} to ${count(known.at(-1) ?? 0)}`
          : "no numbers"
      }
    >
      <div className="p-3.5">
        <DragZoom {...CHART_INSET} from={drawn.times[0] ?? 0} to={drawn.times.at(-1) ?? 0} onZoom={onZoom}>
          <Chart
            label={`${title(series)}, run by run`}
            times={drawn.times}
            series={drawn.series}
            format={count}
            ticks={valueTicks}
            height={150}
            onPick={(index) => {
              const run = runs[index];
              if (run)
                void navigate({
                  to: "/ns/$ns/runs/$run",
                  params: { ns, run: run.run_id },
                  search: { tab: "data" },
                });
            }}
          />
        </DragZoom>
      </div>
    </Panel>
  );
}
