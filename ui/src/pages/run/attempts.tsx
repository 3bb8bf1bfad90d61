import { Link } from "@tanstack/react-router";
import type { Schema } from "~/api/client";
import { endWords } from "~/lib/verdict";
import { Panel } from "~/parts/basics";
import { State } from "~/parts/state";
import { Time, Took } from "~/parts/time";

/** Every attempt of a run, with why there was another one. */
export function Attempts({ run, shown }: { run: Schema["Run"]; shown: number }) {
  const attempts = [...(run.attempts ?? [])].reverse();
  if (attempts.length === 0) return null;
  return (
    <Panel title={attempts.length === 1 ? "Attempt" : `${attempts.length} attempts`}>
      <ol className="text-sm">
        {attempts.map((attempt) => {
          const words = endWords(attempt);
          return (
            <li
              key={attempt.attempt}
              className={`border-b px-3.5 py-2 last:border-b-0 ${attempt.attempt === shown && attempts.length > 1 ? "bg-accent-soft" : ""}`}
            >
              <div className="flex items-center gap-2">
                <Link
                  className="link inline-flex min-h-6 items-center font-medium"
                  from="/ns/$ns/runs/$run"
                  to="."
                  search={(before) => ({
                    ...before,
                    attempt: attempt.attempt === run.attempt ? undefined : attempt.attempt,
                  })}
                  aria-current={attempt.attempt === shown ? "true" : undefined}
                >
                  #{attempt.attempt}
                </Link>
                <State
                  state={
                    attempt.result ??
                    (attempt.ended_at ? "finished" : attempt.started_at ? "running" : "leased")
                  }
                />
                <span className="ml-auto text-muted">
                  <Took from={attempt.started_at ?? attempt.leased_at} to={attempt.ended_at} />
                </span>
              </div>
              <p className="text-muted wrap-anywhere">
                on {attempt.runner_name}, <Time at={attempt.leased_at} />
              </p>
              {words || attempt.message ? (
                <p className="wrap-anywhere">{[words, attempt.message].filter(Boolean).join(": ")}</p>
              ) : null}
            </li>
          );
        })}
      </ol>
    </Panel>
  );
}
