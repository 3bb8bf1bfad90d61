import { queryOptions, useQuery } from "@tanstack/react-query";
import { raw, type Schema } from "~/api/client";
import { parseExact, valueText } from "~/lib/exact-json";
import { count } from "~/lib/numbers";
import { Copy, Empty } from "~/parts/basics";
import { Loaded } from "~/parts/loaded";
import { Markdown } from "~/parts/markdown";
import { History, HistoryNote, seriesOf, useSeries } from "./against";

/** What an attempt said about itself. Read digit by digit: `JSON.parse` would round integers past 2^53. */
const outputQuery = (run: string, attempt: number) =>
  queryOptions({
    queryKey: ["get", "/api/v1/runs/{run}/output", { run, attempt }],
    queryFn: async ({ signal }) => {
      const response = await raw(`/runs/${run}/output?attempt=${attempt}`, { signal });
      return parseExact(await response.text()) as Schema["AttemptOutput"];
    },
  });

/** The result data and the metrics of an attempt. */
export function DataTab({ run, attempt }: { run: Schema["Run"]; attempt: number }) {
  const query = useQuery(outputQuery(run.id, attempt));
  const history = useSeries(run);
  const series = history.data;
  return (
    <Loaded query={query} what="The result data">
      {({ data, metrics, notes }) => {
        const entries = Object.entries(data);
        return entries.length + metrics.length + notes.length === 0 ? (
          <Empty
            title="This attempt said nothing about itself"
            command={'echo "requests=1200" >> "$TSTR_OUTPUT"'}
          >
            Write <code className="code">key=value</code> lines or a JSON object into the file{" "}
            <code className="code">$TSTR_OUTPUT</code>, and numbers over time into{" "}
            <code className="code">$TSTR_METRICS</code>.
          </Empty>
        ) : (
          <>
            <Notes notes={notes} />
            {entries.length > 0 ? (
              <div className="overflow-x-auto">
                <table className="tbl">
                  <thead>
                    <tr>
                      <th>Key</th>
                      <th className="w-full">Value</th>
                      <th>
                        <span className="visually-hidden">Copy</span>
                      </th>
                    </tr>
                  </thead>
                  <tbody>
                    {entries.map(([key, value]) => (
                      <tr key={key}>
                        <td className="code whitespace-nowrap">{key}</td>
                        <td className="code">
                          <span className="flex gap-x-4 gap-y-1 max-md:flex-col md:flex-wrap md:items-center md:justify-between">
                            <span className="whitespace-pre-wrap wrap-anywhere">{valueText(value)}</span>
                            <History
                              run={run}
                              all={series}
                              series={seriesOf(series, { key })}
                              name={key}
                              value={value}
                            />
                          </span>
                        </td>
                        <td className="py-0">
                          <Copy text={valueText(value)} label={`Copy the value of ${key}`} />
                        </td>
                      </tr>
                    ))}
                  </tbody>
                </table>
              </div>
            ) : null}
            {metrics.length > 0 ? <Metrics run={run} metrics={metrics} series={series} /> : null}
            <HistoryNote query={history} />
          </>
        );
      }}
    </Loaded>
  );
}

function Metrics({
  run,
  metrics,
  series,
}: {
  run: Schema["Run"];
  metrics: Schema["Metric"][];
  series: Schema["TestSeries"] | undefined;
}) {
  return (
    <div className="overflow-x-auto border-t" tabIndex={0} role="region" aria-label="Metrics">
      <table className="tbl">
        <thead>
          <tr>
            <th>Metric</th>
            <th>Tags</th>
            <th className="num">Value</th>
            <th>
              <span className="visually-hidden">Against the latest runs</span>
            </th>
          </tr>
        </thead>
        <tbody>
          {metrics.map((metric, index) => (
            <tr key={index}>
              <td className="code whitespace-nowrap">
                {metric.measurement}.{metric.field}
              </td>
              <td className="text-muted">
                {Object.entries(metric.tags)
                  .map(([key, value]) => `${key}=${value}`)
                  .join(", ")}
              </td>
              <td className="num">
                {typeof metric.value === "number" ? count(metric.value) : String(metric.value)}
              </td>
              <td>
                <History
                  run={run}
                  all={series}
                  series={seriesOf(series, { metric })}
                  name={`${metric.measurement}.${metric.field}`}
                  value={metric.value}
                />
              </td>
            </tr>
          ))}
        </tbody>
      </table>
    </div>
  );
}

function Notes({ notes }: { notes: Schema["OutputNote"][] }) {
  if (notes.length === 0) return null;
  return (
    <ul className="border-b bg-warn-soft px-3.5 py-2 text-sm">
      {notes.map((note, index) => (
        <li key={index} className="wrap-anywhere">
          {note.source ? <code className="code">{note.source}</code> : null}
          {note.line ? ` line ${note.line}` : ""}
          {note.source ? ": " : ""}
          {note.message}
        </li>
      ))}
    </ul>
  );
}

/** The summary that a test wrote in Markdown. */
export function SummaryTab({ run, attempt }: { run: Schema["Run"]; attempt: number }) {
  const query = useQuery(outputQuery(run.id, attempt));
  return (
    <Loaded query={query} what="The summary">
      {({ summary, summary_cut: isCut }) =>
        summary ? (
          <div className="p-4">
            <Markdown text={summary} />
            {isCut ? (
              <p className="mt-4 text-sm text-warn">
                The summary was longer than 1 MiB; its end was not kept.
              </p>
            ) : null}
          </div>
        ) : (
          <Empty
            title="This attempt wrote no summary"
            command={'echo "## 214 cases, 1 failed" >> "$TSTR_SUMMARY"'}
          >
            Write Markdown into the file <code className="code">$TSTR_SUMMARY</code>.
          </Empty>
        )
      }
    </Loaded>
  );
}
