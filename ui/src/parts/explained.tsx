import { Link } from "@tanstack/react-router";
import type { Schema } from "~/api/client";
import { useNs } from "~/app/namespace";
import { count, counted, plural } from "~/lib/numbers";
import { Badge, type Tone } from "./state";
import { Time } from "./time";

type Verdict = Schema["Verdict"];

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

/** Which reasons no waiting will mend: somebody has to do something. */
const STUCK = new Set<Schema["Why"]>(["no_runner", "no_runner_could"]);

/** Why a run waits: the sentence, the reasons, and for each runner the first thing that keeps it from taking the run. */
export function Explained({ explanation }: { explanation: Schema["Explanation"] }) {
  const ns = useNs();
  const { waiting } = explanation;
  // A lone reason is what the summary says already.
  const reasons = explanation.reasons.filter(
    (reason) => STUCK.has(reason.why) || reason.until || !explanation.summary.endsWith(reason.sentence),
  );
  const known = waiting?.counts.reduce((sum, each) => sum + each.runners, 0) ?? 0;
  return (
    <div className="flex flex-col gap-3 text-sm">
      <p className="font-medium">{explanation.summary}</p>
      <ul className="flex flex-col gap-1">
        {reasons.map((reason) => (
          <li key={reason.why} className="flex flex-wrap items-center gap-2">
            {STUCK.has(reason.why) ? <Badge tone="fail">cannot be placed</Badge> : null}
            <span>{reason.sentence}</span>
            {reason.until ? (
              <span className="text-muted">
                until <Time at={reason.until} how="both" />
              </span>
            ) : null}
          </li>
        ))}
      </ul>
      {waiting ? (
        <>
          <p className="text-muted">
            Waits since <Time at={waiting.since} how="both" />
            {waiting.ahead?.count ? `; ${counted(waiting.ahead)} ahead of it` : ""}
            {waiting.deadline ? (
              <>
                ; given up <Time at={waiting.deadline} />
              </>
            ) : null}
          </p>
          {known > 0 ? (
            <div>
              <p className="flex flex-wrap items-center gap-1.5">
                <span className="text-muted">{plural(known, "runner")}:</span>
                {waiting.counts.map((each) => (
                  <Badge key={each.verdict + (each.key ?? "")} tone={VERDICTS[each.verdict]?.tone ?? "idle"}>
                    {VERDICTS[each.verdict]?.says(each.runners, each.key) ??
                      `${each.runners} ${each.verdict}`}
                  </Badge>
                ))}
              </p>
              <details className="mt-2">
                <summary className="min-h-6 text-muted">Runner by runner</summary>
                <ul className="mt-1 flex flex-col gap-1">
                  {waiting.runners.map((runner) => (
                    <li key={runner.runner_id} className="wrap-anywhere">
                      <Link
                        className="link font-medium"
                        to="/ns/$ns/runners/$runner"
                        params={{ ns, runner: runner.runner_id }}
                      >
                        {runner.runner_name}
                      </Link>{" "}
                      {runner.sentence}
                      {runner.pattern ? (
                        <code className="code ml-1.5 text-muted">{runner.pattern}</code>
                      ) : null}
                    </li>
                  ))}
                </ul>
              </details>
            </div>
          ) : null}
        </>
      ) : null}
    </div>
  );
}
