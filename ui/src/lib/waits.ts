import type { Schema } from "~/api/client";

type Run = Pick<Schema["Run"], "id" | "created_at" | "leased_at" | "attempt" | "trigger">;

/**
 * The latest wait of a queue: of the run that a runner took last, how long that was from when it was made. Further attempts
 * are left out, since their wait did not begin with the run.
 */
export function lastWait<R extends Run>(runs: R[]): { run: R; ms: number; at: string } | undefined {
  let found: { run: R; ms: number; at: string } | undefined;
  for (const run of runs) {
    const at = run.leased_at;
    if (!at || run.attempt !== 1 || run.trigger === "upload") continue;
    if (!found || Date.parse(at) > Date.parse(found.at)) {
      found = { run, ms: Math.max(0, Date.parse(at) - Date.parse(run.created_at)), at };
    }
  }
  return found;
}
