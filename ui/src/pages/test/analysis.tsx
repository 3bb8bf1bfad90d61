import { useQuery } from "@tanstack/react-query";
import { getRouteApi, Link } from "@tanstack/react-router";
import { api, type Schema } from "~/api/client";
import { useNs } from "~/app/namespace";
import { percent, plural, ratio } from "~/lib/numbers";
import { duration } from "~/lib/time";
import { cellText, Panel } from "~/parts/basics";
import { Loaded, Skeleton } from "~/parts/loaded";
import { Badge, type Tone } from "~/parts/state";
import { Time } from "~/parts/time";
import { Days } from "./failures";

const route = getRouteApi("/ns/$ns/tests/$test");

const CLAIMS: Record<Schema["Claim"], { word: string; tone: Tone }> = {
  carries: { word: "carries failures", tone: "fail" },
  spares: { word: "fails less", tone: "pass" },
  unclear: { word: "unclear", tone: "idle" },
  too_few: { word: "too few runs", tone: "idle" },
};

/** What speaks for a cause: labels that carry failures, and times from which it takes longer. */
export function Analysis({ test }: { test: Schema["TestDef"] }) {
  const ns = useNs();
  const days = Math.min(Math.max(route.useSearch().days ?? 14, 1), 90);
  const query = useQuery(
    api.queryOptions("get", "/api/v1/namespaces/{namespace}/tests/{test}/analysis", {
      params: { path: { namespace: ns, test: test.name }, query: { days } },
    }),
  );
  return (
    <div className="flex flex-col gap-4">
      <Panel title="Which labels carry the failures" actions={<Days days={days} />}>
        <Loaded query={query} what="The analysis" skeleton={<Skeleton rows={6} />}>
          {({ labels }) => (
            <>
              <p className="px-3.5 py-2.5 text-sm">
                {labels.sentence}{" "}
                <span className="text-muted">
                  {plural(labels.report.trials, "run")}, {labels.report.failed} failed
                  {labels.left_out > 0 ? `; ${labels.left_out} left out` : ""}. Associations, no verdict.
                </span>
              </p>
              {labels.report.values.length + labels.report.pairs.length > 0 ? (
                <Findings findings={[...labels.report.pairs, ...labels.report.values]} />
              ) : null}
            </>
          )}
        </Loaded>
      </Panel>
      <Panel title="Since when it takes longer or shorter">
        <Loaded query={query} what="The durations" skeleton={<Skeleton rows={3} />}>
          {({ durations }) =>
            durations.length === 0 ? (
              <p className="px-3.5 py-3 text-sm text-muted">No run of it has passed in that time.</p>
            ) : (
              <ul className="text-sm">
                {durations.map((cell) => (
                  <li key={cellText(cell.cell)} className="border-b px-3.5 py-2 last:border-b-0">
                    <p>
                      {cellText(cell.cell) ? (
                        <span className="font-medium">{cellText(cell.cell)}: </span>
                      ) : null}
                      {cell.sentence} <span className="text-muted">({plural(cell.runs, "run")})</span>
                    </p>
                    {cell.changes.map((change) => (
                      <p key={change.index} className="text-muted">
                        <Link
                          className="link"
                          to="/ns/$ns/runs/$run"
                          params={{ ns, run: change.since.run_id }}
                        >
                          <Time at={change.since.at} how="absolute" />
                        </Link>
                        : {duration(change.before.median_ms)} → {duration(change.after.median_ms)} (
                        {ratio(change.ratio)}), p = {change.p_value.toPrecision(2)}
                      </p>
                    ))}
                  </li>
                ))}
              </ul>
            )
          }
        </Loaded>
      </Panel>
    </div>
  );
}

function Findings({ findings }: { findings: Schema["LabelFinding"][] }) {
  return (
    <div className="overflow-x-auto border-t" tabIndex={0} role="region" aria-label="Labels">
      <table className="tbl">
        <thead>
          <tr>
            <th className="w-full">Labels</th>
            <th>Claim</th>
            <th className="num">Failed with</th>
            <th className="num">Failed without</th>
            <th className="num">Difference</th>
            <th className="num">p, corrected</th>
          </tr>
        </thead>
        <tbody>
          {findings.map((finding) => {
            const { table } = finding;
            return (
              <tr key={finding.labels.map((label) => `${label.key}=${label.value}`).join(" ")}>
                <td className="whitespace-nowrap">
                  {finding.labels.map((label) => `${label.key}=${label.value}`).join(" and ")}
                </td>
                <td>
                  <Badge tone={CLAIMS[finding.claim].tone}>{CLAIMS[finding.claim].word}</Badge>
                </td>
                <td className="num">
                  {percent(table.failed_with, table.failed_with + table.passed_with)}{" "}
                  <span className="text-muted">of {table.failed_with + table.passed_with}</span>
                </td>
                <td className="num">
                  {percent(table.failed_without, table.failed_without + table.passed_without)}{" "}
                  <span className="text-muted">of {table.failed_without + table.passed_without}</span>
                </td>
                <td className="num">
                  {finding.difference === null || finding.difference === undefined
                    ? "–"
                    : `${Math.round(finding.difference * 100)} points`}
                  {finding.interval ? (
                    <span className="block text-muted">
                      {Math.round(finding.interval.low * 100)} to {Math.round(finding.interval.high * 100)}
                    </span>
                  ) : null}
                </td>
                <td className="num">
                  {finding.adjusted_p_value === null || finding.adjusted_p_value === undefined
                    ? "–"
                    : finding.adjusted_p_value.toPrecision(2)}
                </td>
              </tr>
            );
          })}
        </tbody>
      </table>
    </div>
  );
}
