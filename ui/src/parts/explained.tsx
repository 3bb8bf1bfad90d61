import type { Schema } from "~/api/client";
import { counted } from "~/lib/numbers";
import { Badge } from "./state";
import { Time } from "./time";
import { Verdicts } from "./verdicts";

/** Which reasons no waiting will mend: somebody has to do something. */
const STUCK = new Set<Schema["Why"]>(["no_runner", "no_runner_could"]);

/** Why a run waits: the sentence, the reasons, and for each runner the first thing that keeps it from taking the run. */
export function Explained({ explanation }: { explanation: Schema["Explanation"] }) {
  const { waiting } = explanation;
  // A lone reason is what the summary says already.
  const reasons = explanation.reasons.filter(
    (reason) => STUCK.has(reason.why) || reason.until || !explanation.summary.endsWith(reason.sentence),
  );
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
          <Verdicts waiting={waiting} />
        </>
      ) : null}
    </div>
  );
}
