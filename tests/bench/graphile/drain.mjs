// Adds jobs that do nothing to an empty graphile-worker and drains them: node drain.mjs JOBS
//
// The database is that of PGHOST, PGUSER and PGDATABASE. The last line says how it went, as JSON. The time runs from the
// first job that is executed to the end of the worker, when all of them are recorded as done.
import process from "node:process";
import { Logger, runMigrations, runOnce } from "graphile-worker";
import pg from "pg";

const jobs = Number(process.argv[2]);
const concurrentJobs = 24;
const complain = (error) => console.error(error);
const pgPool = new pg.Pool({ max: concurrentJobs });
pgPool.on("error", complain);
pgPool.on("connect", (client) => client.on("error", complain));
const logger = new Logger(() => (level, message) => {
  if (level === "error" || level === "warning") console.error(message);
});
const shared = { pgPool, logger };
await runMigrations(shared);
// Some at a time, and cleaned up before: added in one transaction, each job looks at all that came before it.
const step = 1000;
await pgPool.query("VACUUM (ANALYZE) graphile_worker._private_jobs");
for (let added = 0; added < jobs; added += step) {
  await pgPool.query(
    "SELECT count(graphile_worker.add_job('nothing', json_build_object('n', n))) FROM generate_series(1, $1) AS n",
    [Math.min(step, jobs - added)],
  );
}
await pgPool.query("VACUUM (ANALYZE) graphile_worker._private_jobs");

let done = 0;
let began;
let cpu;
const nothing = () => {
  if (done === 0) {
    began = process.hrtime.bigint();
    cpu = process.cpuUsage();
  }
  done += 1;
};
await runOnce({
  ...shared,
  noHandleSignals: true,
  taskList: { nothing },
  preset: {
    worker: {
      concurrentJobs,
      localQueue: { size: 500 },
      completeJobBatchDelay: 0,
      failJobBatchDelay: 0,
    },
  },
});
const seconds = Number(process.hrtime.bigint() - began) / 1e9;
const used = process.cpuUsage(cpu);
const { rows } = await pgPool.query("SELECT count(*)::int AS left FROM graphile_worker._private_jobs");
await pgPool.end();
if (rows[0].left !== 0) throw new Error(`${rows[0].left} jobs are left`);
console.log(JSON.stringify({ done, per_s: done / seconds, node_us: (used.user + used.system) / done }));
