// A namespace with a history: tests and runs by SQL, since nobody waits for a million runs, and on top of them one test that
// has really run. What the server remembers of runs that end it has learnt when this returns.
import { readFileSync } from "node:fs";
import { apply, call, finished, psql, trigger, until } from "../e2e/instance.mjs";

const SQL = new URL("seed.sql", import.meta.url);

/** The test that has really run in a seeded namespace. */
export const REAL = "front-door";

/** Makes a namespace with so many tests and runs over so many days; returns the run that is real. */
export async function seed({ ns, tests, runs, days, script, more }) {
  await call("POST", "/namespaces", { name: ns });
  await apply(ns, REAL, script, more);
  const run = await trigger(ns, REAL);
  await finished(run);
  psql(readFileSync(SQL), { ns, tests, runs, days });
  await until("the server has learnt of all runs", 600_000, () => {
    return psql("SELECT count(*) FROM undigested_runs(1)").trim() === "0";
  });
  return run;
}
