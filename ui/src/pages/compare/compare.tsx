import { queryOptions, useQuery } from "@tanstack/react-query";
import { getRouteApi, Link, Navigate, useNavigate } from "@tanstack/react-router";
import { type FormEvent, useState } from "react";
import { raw, type Schema } from "~/api/client";
import { runQuery } from "~/api/queries";
import { useNs } from "~/app/namespace";
import { caseText } from "~/lib/cases";
import { parseExact, valueText } from "~/lib/exact-json";
import { bytes, count, plural, ratio, signed } from "~/lib/numbers";
import { duration } from "~/lib/time";
import { Button, cellText, Empty, Panel } from "~/parts/basics";
import { TextField } from "~/parts/dialog";
import { Loaded, Skeleton } from "~/parts/loaded";
import { PageHead } from "~/parts/page-head";
import { Badge, runWord, State, StateIcon } from "~/parts/state";
import { Time } from "~/parts/time";
import { LogDiff } from "./log-diff";

const route = getRouteApi("/ns/$ns/compare");

/** What differs between two runs. Read digit by digit: `JSON.parse` would round integers past 2^53. */
const comparisonQuery = (run: string, other: string) =>
  queryOptions({
    queryKey: ["get", "/api/v1/runs/{run}/compare/{other}", { run, other }],
    queryFn: async ({ signal }) => {
      const path = `/runs/${encodeURIComponent(run)}/compare/${encodeURIComponent(other)}`;
      return parseExact(await (await raw(path, { signal })).text()) as Schema["Comparison"];
    },
  });

/** Two runs side by side: what differs in their making, and what differs in what came out. */
export function Compare() {
  const ns = useNs();
  const { a, b, anyway } = route.useSearch();
  const navigate = useNavigate({ from: "/ns/$ns/compare" });
  const before = useQuery({ ...runQuery(a ?? ""), enabled: !!a });
  const after = useQuery({ ...runQuery(b ?? ""), enabled: !!b });
  const isOther = before.data && after.data && before.data.test_id !== after.data.test_id;
  const comparison = useQuery({
    ...comparisonQuery(a ?? "", b ?? ""),
    enabled:
      !!a && !!b && before.data !== undefined && after.data !== undefined && (!isOther || anyway === "true"),
  });
  if (!a || !b) return <Choose a={a} b={b} />;
  const home = after.data?.namespace;
  if (home && home !== ns && home === before.data?.namespace) {
    return <Navigate to="/ns/$ns/compare" params={{ ns: home }} search={{ a, b, anyway }} replace />;
  }
  return (
    <>
      <PageHead
        title="Compare two runs"
        crumbs={
          after.data
            ? [
                { name: "Tests", link: { to: "/ns/$ns/tests", params: { ns } } },
                {
                  name: after.data.test_name,
                  link: { to: "/ns/$ns/tests/$test", params: { ns, test: after.data.test_name } },
                },
              ]
            : []
        }
        actions={
          <Button icon="compare" onClick={() => void navigate({ search: (old) => ({ ...old, a: b, b: a }) })}>
            Swap
          </Button>
        }
      />
      <div className="grid gap-4 md:grid-cols-2">
        <Panel title="Before">
          <Loaded query={before} what="The run before" skeleton={<Skeleton rows={2} />}>
            {(run) => <RunCard run={run} />}
          </Loaded>
        </Panel>
        <Panel title="After">
          <Loaded query={after} what="The run after" skeleton={<Skeleton rows={2} />}>
            {(run) => <RunCard run={run} />}
          </Loaded>
        </Panel>
      </div>
      {isOther && anyway !== "true" ? (
        <Panel>
          <Empty title="These are runs of two tests">
            <p className="mb-3">
              {before.data?.test_name} and {after.data?.test_name} have other configurations, cases and logs,
              so most of what differs would mean nothing.
            </p>
            <Button onClick={() => void navigate({ search: (old) => ({ ...old, anyway: "true" }) })}>
              Compare them anyway
            </Button>
          </Empty>
        </Panel>
      ) : (before.error && !before.data) || (after.error && !after.data) ? null : (
        <Loaded
          query={comparison}
          what="The comparison"
          skeleton={
            <div className="panel">
              <Skeleton rows={10} />
            </div>
          }
        >
          {(data) => <Differences data={data} />}
        </Loaded>
      )}
    </>
  );
}

function RunCard({ run }: { run: Schema["Run"] }) {
  const ns = useNs();
  return (
    <div className="flex flex-wrap items-center gap-x-3 gap-y-1 px-3.5 py-2.5 text-sm">
      <State state={runWord(run)} />
      <Link className="link font-medium" to="/ns/$ns/runs/$run" params={{ ns, run: run.id }}>
        {run.test_name}
      </Link>
      <span className="text-muted">{cellText(run.cell)}</span>
      <span className="text-muted">
        <Time at={run.scheduled_at} how="absolute" />
      </span>
      {run.runner_name ? <span className="text-muted">on {run.runner_name}</span> : null}
    </div>
  );
}

function Differences({ data }: { data: Schema["Comparison"] }) {
  const made = [
    ...data.surroundings.map((change) => ({ ...change, of: "surroundings" })),
    ...data.config.map((change) => ({ ...change, of: "configuration" })),
    ...data.env.map((change) => ({ ...change, of: "environment" })),
    ...data.labels.map((change) => ({ ...change, of: "labels" })),
  ];
  const numbers = [
    ...data.durations.map((each) => ({ ...each, name: each.name.replaceAll("_", " "), isTime: true })),
    ...data.metrics.map((each) => ({
      ...each,
      name: `${each.measurement}.${each.field}${Object.keys(each.tags).length > 0 ? ` (${cellText(each.tags)})` : ""}`,
      isTime: false,
    })),
  ];
  return (
    <>
      {data.notes.length > 0 ? (
        <ul className="rounded-lg bg-warn-soft px-4 py-2.5 text-sm">
          {data.notes.map((note) => (
            <li key={note}>{note}</li>
          ))}
        </ul>
      ) : null}
      <Panel
        title="How they were made"
        note={made.length === 0 ? undefined : plural(made.length, "difference")}
      >
        {made.length === 0 ? (
          <p className="px-3.5 py-3 text-sm text-muted">
            The same image, configuration, environment, labels and surroundings.
          </p>
        ) : (
          <Values
            rows={made.map((each) => ({
              key: `${each.of}${each.pointer}`,
              name: each.pointer,
              of: each.of,
              before: each.before,
              after: each.after,
            }))}
          />
        )}
      </Panel>
      <Cases cases={data.cases} />
      <Panel title="How long it took, and its metrics">
        {numbers.length === 0 ? (
          <p className="px-3.5 py-3 text-sm text-muted">Neither has numbers.</p>
        ) : (
          <Numbers numbers={numbers} />
        )}
      </Panel>
      {data.data.length > 0 ? (
        <Panel title="Result data">
          <Values
            rows={data.data.map((each) => ({
              key: each.pointer,
              name: each.pointer,
              before: each.before,
              after: each.after,
              change:
                typeof each.delta === "number"
                  ? `${signed(each.delta, count)} ${each.ratio ? `(${ratio(each.ratio)})` : ""}`
                  : "",
            }))}
          />
        </Panel>
      ) : null}
      {data.artifacts.length > 0 ? (
        <Panel title="Artifacts" note={`${count(data.same_artifacts)} the same`}>
          <ul className="py-1 text-sm">
            {data.artifacts.map((each) => (
              <li key={each.path} className="flex min-h-8 flex-wrap items-center gap-3 px-3.5">
                <Badge tone={each.change === "added" ? "pass" : each.change === "removed" ? "fail" : "warn"}>
                  {each.change}
                </Badge>
                <span className="wrap-anywhere">{each.path}</span>
                <span className="ml-auto text-muted">
                  {each.before ? bytes(each.before.bytes) : "–"} →{" "}
                  {each.after ? bytes(each.after.bytes) : "–"}
                </span>
              </li>
            ))}
          </ul>
        </Panel>
      ) : null}
      {data.log && data.log.same + data.log.added + data.log.removed > 0 ? <LogDiff log={data.log} /> : null}
    </>
  );
}

function Values({
  rows,
}: {
  rows: { key: string; name: string; of?: string; before?: unknown; after?: unknown; change?: string }[];
}) {
  return (
    <div className="overflow-x-auto" tabIndex={0} role="region" aria-label="Values">
      <table className="tbl">
        <thead>
          <tr>
            <th>What</th>
            <th>Before</th>
            <th>After</th>
            <th>
              <span className="visually-hidden">Change</span>
            </th>
          </tr>
        </thead>
        <tbody>
          {rows.map((row) => (
            <tr key={row.key}>
              <td className="whitespace-nowrap">
                <code className="code">{row.name.replace(/^\//, "").replaceAll("/", ".")}</code>
                {row.of ? <span className="block text-muted">{row.of}</span> : null}
              </td>
              <td className="code whitespace-pre-wrap wrap-anywhere">{valueText(row.before)}</td>
              <td className="code whitespace-pre-wrap wrap-anywhere">{valueText(row.after)}</td>
              <td className="num">{row.change}</td>
            </tr>
          ))}
        </tbody>
      </table>
    </div>
  );
}

function Numbers({
  numbers,
}: {
  numbers: {
    name: string;
    before?: number;
    after?: number;
    delta?: number;
    ratio?: number;
    isTime: boolean;
  }[];
}) {
  return (
    <div className="overflow-x-auto" tabIndex={0} role="region" aria-label="Numbers">
      <table className="tbl">
        <thead>
          <tr>
            <th className="w-full">What</th>
            <th className="num">Before</th>
            <th className="num">After</th>
            <th className="num">Change</th>
          </tr>
        </thead>
        <tbody>
          {numbers.map((each) => {
            // Reports of runs that were made elsewhere can be older than their upload; no run waits less than nothing.
            const isUnknown = each.isTime && ((each.before ?? 0) < 0 || (each.after ?? 0) < 0);
            const write = (n: number | undefined) =>
              n === undefined || isUnknown ? "–" : each.isTime ? duration(n) : count(n);
            return (
              <tr key={each.name}>
                <td className="wrap-anywhere">{each.name}</td>
                <td className="num">{write(each.before)}</td>
                <td className="num">{write(each.after)}</td>
                <td className="num">
                  {each.delta === undefined || isUnknown ? "–" : signed(each.delta, (n) => write(n))}{" "}
                  {each.ratio === undefined || isUnknown ? null : (
                    <span className="text-muted">{ratio(each.ratio)}</span>
                  )}
                </td>
              </tr>
            );
          })}
        </tbody>
      </table>
    </div>
  );
}

const KINDS = [
  { key: "new", word: "newly failing", tone: "fail" },
  { key: "fixed", word: "fixed", tone: "pass" },
  { key: "added", word: "only after", tone: "accent" },
  { key: "removed", word: "only before", tone: "idle" },
  { key: "durations", word: "slower or faster", tone: "warn" },
] as const;

function Cases({ cases }: { cases: Schema["CasesComparison"] | undefined }) {
  if (!cases) return null;
  const total = KINDS.reduce((sum, kind) => sum + cases[kind.key].items.length, 0);
  return (
    <Panel
      title="Cases"
      note={`${cases.before ? count(cases.before.cases) : "none"} before, ${cases.after ? count(cases.after.cases) : "none"} after`}
    >
      {total === 0 ? (
        <p className="px-3.5 py-3 text-sm text-muted">No case changed.</p>
      ) : (
        <ul className="text-sm">
          {KINDS.flatMap((kind) =>
            cases[kind.key].items.map((each) => (
              <li
                key={`${kind.key} ${each.case_id}`}
                className="flex flex-wrap items-center gap-x-3 gap-y-1 border-b px-3.5 py-1.5 last:border-b-0"
              >
                <Badge tone={kind.tone}>{kind.word}</Badge>
                <span className="min-w-0 flex-1 basis-48 wrap-anywhere">{caseText(each.key)}</span>
                <span className="flex items-center gap-1.5 text-muted">
                  {each.before ? <StateIcon state={each.before} alone /> : "–"}
                  {each.before_ms === undefined ? "" : duration(each.before_ms)} →{" "}
                  {each.after ? <StateIcon state={each.after} alone /> : "–"}
                  {each.after_ms === undefined ? "" : duration(each.after_ms)}
                </span>
              </li>
            )),
          )}
          {KINDS.filter((kind) => cases[kind.key].more > 0).map((kind) => (
            <li key={kind.key} className="px-3.5 py-1.5 text-muted">
              and {count(cases[kind.key].more)} more {kind.word}
            </li>
          ))}
        </ul>
      )}
    </Panel>
  );
}

/** The form that stands here without two runs. */
function Choose({ a, b }: { a: string | undefined; b: string | undefined }) {
  const ns = useNs();
  const navigate = useNavigate({ from: "/ns/$ns/compare" });
  const [before, setBefore] = useState(a ?? "");
  const [after, setAfter] = useState(b ?? "");
  const onSubmit = (event: FormEvent) => {
    event.preventDefault();
    void navigate({ search: { a: before.trim() || undefined, b: after.trim() || undefined } });
  };
  return (
    <>
      <PageHead
        title="Compare two runs"
        crumbs={[{ name: "Runs", link: { to: "/ns/$ns/runs", params: { ns } } }]}
      />
      <Panel pad>
        <form onSubmit={onSubmit} className="flex max-w-xl flex-col gap-4">
          <TextField
            label="The id of the run before"
            required
            className="code"
            value={before}
            onChange={setBefore}
          />
          <TextField
            label="The id of the run after"
            hint="A run has «Compare with last pass», which needs no ids."
            required
            className="code"
            value={after}
            onChange={setAfter}
          />
          <div>
            <Button type="submit" kind="primary" icon="compare">
              Compare
            </Button>
          </div>
        </form>
      </Panel>
    </>
  );
}
