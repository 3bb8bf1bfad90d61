import { useQuery } from "@tanstack/react-query";
import { Link } from "@tanstack/react-router";
import type { Schema } from "~/api/client";
import { useNs } from "~/app/namespace";
import { duration, durationMs } from "~/lib/time";
import { endWords } from "~/lib/verdict";
import { runWord, SOFT, StateIcon, stateTone } from "~/parts/state";
import { Time } from "~/parts/time";
import { changesQuery } from "./changes";

/** Why a run ended as it did, above everything else. A run that passed without a word needs none. */
export function Verdict({ run }: { run: Schema["Run"] }) {
  const ns = useNs();
  const word = runWord(run);
  const bad = run.result === "fail" || run.result === "error" || run.result === "timed_out";
  const timeout = durationMs(run.run_config.timeout);
  const words = endWords(run, {
    memory: run.run_config.resources.memory,
    timeout: timeout === undefined ? undefined : duration(timeout),
  });
  const { data: changes } = useQuery({
    ...changesQuery(run.id),
    enabled: run.state === "finished" && run.cases !== undefined,
  });
  if (run.cancel_requested && run.state !== "finished") {
    return (
      <p role="status" className={`rounded-lg px-4 py-2.5 text-sm ${SOFT.idle}`}>
        Cancelling was asked for; its runner has still to end the container.
      </p>
    );
  }
  if (!run.result || (!bad && !words && !run.message && !changes?.fixed)) return null;
  return (
    <div className={`flex items-start gap-3 rounded-lg px-4 py-2.5 text-sm ${SOFT[stateTone(word)]}`}>
      <span className="mt-[3px]">
        <StateIcon state={word} />
      </span>
      <div className="min-w-0 wrap-anywhere">
        <p className="font-medium">
          {words || (run.result === "fail" ? "the test failed" : run.result)}
          {run.finished_at && bad ? (
            <>
              {" at "}
              <Time at={run.finished_at} how="absolute" />
            </>
          ) : null}
        </p>
        {run.message ? <p className="text-ink">{run.message}</p> : null}
        {changes?.told && changes.new + changes.fixed + changes.still_failing > 0 ? (
          <p className="mt-0.5 text-ink">
            <Link
              className="prose-link"
              to="/ns/$ns/runs/$run"
              params={{ ns, run: run.id }}
              search={{ tab: "cases" }}
            >
              {[
                changes.new > 0 && `${changes.new} newly failing`,
                changes.still_failing > 0 && `${changes.still_failing} still failing`,
                changes.fixed > 0 && `${changes.fixed} fixed`,
                changes.missing > 0 && `${changes.missing} missing`,
              ]
                .filter(Boolean)
                .join(", ")}
            </Link>
          </p>
        ) : null}
      </div>
    </div>
  );
}
