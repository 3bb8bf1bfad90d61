import { Link } from "@tanstack/react-router";
import type { Schema } from "~/api/client";
import { useNs } from "~/app/namespace";
import { count, plural } from "~/lib/numbers";
import { Badge, type Tone } from "./state";
import { Time } from "./time";

type Verdict = Schema["Verdict"];
type Waiting = Schema["Waiting"];

const VERDICTS: Record<Verdict, { says: (n: number, key?: string) => string; tone: Tone }> = {
  could_take: { says: (n) => `${count(n)} could take it`, tone: "pass" },
  at_capacity: { says: (n) => `${count(n)} at capacity`, tone: "warn" },
  draining: { says: (n) => `${count(n)} draining`, tone: "idle" },
  breaker: { says: (n) => `${count(n)} held back after breaking runs`, tone: "warn" },
  disk_low: { says: (n) => `${count(n)} short of disk`, tone: "warn" },
  rejected: {
    says: (n, key) => `${count(n)} reject${n === 1 ? "s" : ""}${key ? ` label ${key}` : " a label"}`,
    tone: "fail",
  },
  not_accepted: {
    says: (n, key) => `${count(n)} accept${n === 1 ? "s" : ""} no${key ? ` label ${key}` : " such label"}`,
    tone: "fail",
  },
  namespace: { says: (n) => `${count(n)} not for this namespace`, tone: "idle" },
  not_live: { says: (n) => `${count(n)} offline`, tone: "idle" },
};

/** What keeps the runners from a run: how many have each reason, and behind each reason which they are, and by what. */
export function Verdicts({ waiting }: { waiting: Waiting }) {
  const known = waiting.counts.reduce((sum, each) => sum + each.runners, 0);
  if (known === 0) return null;
  return (
    <div>
      <p className="text-muted">{plural(known, "runner")}:</p>
      <ul className="mt-1 flex flex-col gap-0.5">
        {waiting.counts.map((each) => (
          <li key={each.verdict + (each.key ?? "")}>
            <Reason
              verdict={each.verdict}
              label={each.key}
              runners={each.runners}
              named={waiting.runners.filter(
                (runner) => runner.verdict === each.verdict && (!each.key || runner.key === each.key),
              )}
            />
          </li>
        ))}
      </ul>
    </div>
  );
}

function Reason({
  verdict,
  label,
  runners,
  named,
}: {
  verdict: Verdict;
  label: string | undefined;
  runners: number;
  named: Schema["RunnerVerdict"][];
}) {
  const look = VERDICTS[verdict];
  const words = (
    <Badge tone={look?.tone ?? "idle"}>{look?.says(runners, label) ?? `${runners} ${verdict}`}</Badge>
  );
  // Only the first hundred runners are named.
  if (named.length === 0) return <p className="flex min-h-6 items-center pl-4">{words}</p>;
  return (
    <details>
      <summary className="min-h-6">{words}</summary>
      <ul className="mt-0.5 mb-1.5 flex flex-col gap-1 border-l pl-3">
        {named.map((runner) => (
          <Named key={runner.runner_id} runner={runner} />
        ))}
        {runners > named.length ? (
          <li className="text-muted">and {plural(runners - named.length, "more runner")}</li>
        ) : null}
      </ul>
    </details>
  );
}

function Named({ runner }: { runner: Schema["RunnerVerdict"] }) {
  const ns = useNs();
  return (
    <li className="wrap-anywhere">
      <Link
        className="link inline-flex min-h-6 items-center font-medium"
        to="/ns/$ns/runners/$runner"
        params={{ ns, runner: runner.runner_id }}
      >
        {runner.runner_name}
      </Link>{" "}
      {runner.sentence}
      {runner.key && runner.pattern ? (
        <code className="code ml-1.5 text-muted">
          {runner.verdict === "rejected" ? "reject" : "accept"} {runner.key}={runner.pattern}
        </code>
      ) : null}
      {runner.verdict === "not_live" ? (
        <span className="text-muted">
          {" "}
          (heard of <Time at={runner.last_seen_at} />)
        </span>
      ) : null}
    </li>
  );
}
