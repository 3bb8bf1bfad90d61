import { Link } from "@tanstack/react-router";
import { useEffect, useRef } from "react";
import type { Schema } from "~/api/client";
import { useNs } from "~/app/namespace";
import { endWords } from "~/lib/verdict";
import { cellText } from "./basics";
import { Badge, runWord, State } from "./state";
import { Time, Took } from "./time";

/** Runs as rows, the latest first. */
export function RunTable({
  runs,
  withTest = true,
  at,
}: {
  runs: Schema["Run"][];
  withTest?: boolean;
  /** The id of the run at which the keys stand. */
  at?: string | undefined;
}) {
  const ns = useNs();
  const row = useRef<HTMLTableRowElement>(null);
  // When the keys move, and not when rows come in: a reader who has scrolled on is left there.
  // biome-ignore lint/correctness/useExhaustiveDependencies: the row is that of `at`
  useEffect(() => row.current?.scrollIntoView({ block: "nearest" }), [at]);
  return (
    <div className="overflow-x-auto">
      <table className="tbl">
        <thead>
          <tr>
            <th>Result</th>
            <th className="w-full">{withTest ? "Test" : "Run"}</th>
            <th className="max-md:hidden">Runner</th>
            <th className="max-lg:hidden">Trigger</th>
            <th className="max-lg:hidden num">Waited</th>
            <th className="num">Took</th>
            <th>Scheduled</th>
          </tr>
        </thead>
        <tbody>
          {runs.map((run) => {
            const cell = cellText(run.cell);
            const words = endWords(run);
            return (
              <tr
                key={run.id}
                className={at === run.id ? "[&>td]:bg-accent-soft" : ""}
                aria-current={at === run.id || undefined}
                ref={at === run.id ? row : undefined}
              >
                <td>
                  <State state={runWord(run)} />
                </td>
                <td className="min-w-40">
                  <Link
                    className="link font-medium text-ink wrap-anywhere"
                    to="/ns/$ns/runs/$run"
                    params={{ ns, run: run.id }}
                  >
                    {withTest ? run.test_name : cell || run.id}
                  </Link>{" "}
                  {withTest && cell ? <span className="text-muted">{cell} </span> : null}
                  {run.flaky ? <Badge tone="warn">passed on retry</Badge> : null}{" "}
                  {run.kept ? <Badge tone="accent">kept</Badge> : null}
                  {words || (run.message && run.result !== "pass") ? (
                    <span className="block text-muted wrap-anywhere">{run.message ?? words}</span>
                  ) : null}
                </td>
                <td className="max-md:hidden">
                  {run.runner_id ? (
                    <Link
                      className="link"
                      to="/ns/$ns/runners/$runner"
                      params={{ ns, runner: run.runner_id }}
                    >
                      {run.runner_name}
                    </Link>
                  ) : (
                    <span className="text-muted">–</span>
                  )}
                </td>
                <td className="text-muted max-lg:hidden">{run.trigger}</td>
                <td className="num max-lg:hidden">
                  <Took from={run.created_at} to={run.leased_at ?? run.finished_at} />
                </td>
                <td className="num">
                  <Took from={run.started_at} to={run.finished_at} />
                </td>
                <td>
                  <Time at={run.scheduled_at} />
                </td>
              </tr>
            );
          })}
        </tbody>
      </table>
    </div>
  );
}
