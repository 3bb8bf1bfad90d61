import type { Schema } from "~/api/client";

type Dashboard = Schema["Dashboard"];

/** For how long the first waiting run has waited. */
export function oldestMs(queue: Dashboard["queue"], asOf: string): number | undefined {
  return queue.oldest === undefined ? undefined : Date.parse(asOf) - Date.parse(queue.oldest);
}
