import type { Schema } from "~/api/client";
import { count, counted, plural } from "./numbers";
import { duration } from "./time";

type Dashboard = Schema["Dashboard"];

/** The first sentence of the dashboard as text, for a message to others. */
export function sentence({ tests, queue, runners, as_of }: Dashboard): string {
  const newly = tests.newly_failing > 0 ? `, ${count(tests.newly_failing)} newly since yesterday` : "";
  const oldest = oldestMs(queue, as_of);
  const waits =
    queue.depth.count === 0
      ? "nothing waits"
      : `queue ${counted(queue.depth)}${oldest === undefined ? "" : `, oldest ${duration(oldest)}`}`;
  return `${count(tests.failing)} of ${plural(tests.total, "test")} failing${newly}; ${waits}; ${count(runners.online)} of ${plural(runners.total, "runner")} online.`;
}

/** For how long the first waiting run has waited. */
export function oldestMs(queue: Dashboard["queue"], asOf: string): number | undefined {
  return queue.oldest === undefined ? undefined : Date.parse(asOf) - Date.parse(queue.oldest);
}
