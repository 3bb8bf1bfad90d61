//! Claims while an old transaction keeps every dead row: nothing that was claimed can be vacuumed away.

use anyhow::{Result, ensure};
use sqlx::{Connection, PgConnection};

use super::Found;
use crate::Bench;
use crate::claiming::{Claiming, Point, Way};
use crate::goals::{Bound, Goal};
use crate::queue::{Queue, Shape};
use crate::samples::{DB_US, P99_MS, PER_S, Reader, Series, take_off_idle};
use crate::table::{Table, count, millis, ratio, whole};

/// How many claim at the same time.
const CLAIMERS: u32 = 16;
/// How many runs a claim takes at most.
const AT_ONCE: [u32; 2] = [1, 50];
/// The queues, by their place: only the second is pinned.
const FREE: usize = 0;
const PINNED: usize = 1;

/// Measures.
pub async fn run(bench: &Bench) -> Result<Found> {
    let plan = &bench.plan;
    let everything = [String::new()];
    let mut queues = Vec::new();
    for database in ["free", "pinned"] {
        let workers = CLAIMERS as usize;
        let shape = Shape { database, depth: plan.pinned_depth, classes: None, groups: &everything, workers };
        queues.push(Queue::fill(&bench.server, shape).await?);
    }
    // Somebody forgot a transaction: it reads once, and stays. It holds back the rows of its own database only.
    let mut forgotten = bench.server.connect("pinned").await?;
    let mut pin = forgotten.begin_with("BEGIN ISOLATION LEVEL REPEATABLE READ").await?;
    sqlx::query("SELECT count(*) FROM namespace").execute(&mut *pin).await?;
    let dead = recycle(&mut queues[PINNED].conn, plan.dead_rows).await?;
    bench.say(&format!("{dead} dead rows lie before the runs that wait"));
    // What was claimed before is as much in the way in the other queue, but can be vacuumed.
    recycle(&mut queues[FREE].conn, plan.dead_rows).await?;
    for queue in &mut queues {
        queue.vacuum().await?;
    }
    let mut points = Vec::new();
    for max in AT_ONCE {
        points.extend([FREE, PINNED].map(|queue| at(queue, max)));
    }
    let mut series = Series::new();
    let mut claiming = Claiming::prepare(bench, queues).await?;
    for round in 0..plan.rounds {
        bench.say(&format!("pinned, round {} of {}", round + 1, plan.rounds));
        claiming.round(round, &points, &mut series).await?;
    }
    take_off_idle(&mut series, claiming.idle_us_per_s());
    drop(pin);
    forgotten.close().await?;
    claiming.end().await?;
    Ok(report(&Reader(&series), dead, plan.pinned_depth))
}

fn at(queue: usize, max: u32) -> Point {
    Point { way: Way::Grpc, queue, group: 0, max, clients: CLAIMERS }
}

/// Takes all that waits out of the queue and puts it back at its end, until so many rows are dead.
async fn recycle(conn: &mut PgConnection, rows: u64) -> Result<u64> {
    const RECYCLE: &str = "
        WITH gone AS (DELETE FROM ready RETURNING lane, seq, run_id, config_id)
        INSERT INTO ready (lane, seq, run_id, expires_at, config_id)
        SELECT lane, ((extract(epoch FROM clock_timestamp()) * 1000)::bigint << 20) | (nextval('ready_seq') & 1048575),
               run_id, now() + interval '1 day', config_id
        FROM (SELECT * FROM gone ORDER BY lane, seq) AS gone";
    let mut dead = 0;
    while dead < rows {
        let moved = sqlx::query(RECYCLE).execute(&mut *conn).await?.rows_affected();
        ensure!(moved > 0, "nothing waits");
        dead += moved;
    }
    Ok(dead)
}

fn report(read: &Reader<'_, Point>, dead: u64, depth: u64) -> Found {
    let mut table = Table::new(
        "Claims under a forgotten transaction",
        &format!(
            "{} dead rows lie before the {} runs that wait, and more with each claim; a transaction that stays open keeps \
             vacuum from them. Beside it the same queue without that transaction. {CLAIMERS} claimers through gRPC.",
            whole(dead),
            whole(depth)
        ),
        &[
            "at once",
            "free claims/s",
            "pinned claims/s",
            "pinned / free",
            "free 99 of 100 ms",
            "pinned 99 of 100 ms",
            "free PG µs",
            "pinned PG µs",
        ],
    );
    let mut goals = Vec::new();
    for max in AT_ONCE {
        let (free, pinned) = (at(FREE, max), at(PINNED, max));
        let kept = read.ratio(&pinned, &free, PER_S);
        table.row(vec![
            max.to_string(),
            count(read.of(&free, PER_S)),
            count(read.of(&pinned, PER_S)),
            ratio(kept),
            millis(read.of(&free, P99_MS)),
            millis(read.of(&pinned, P99_MS)),
            count(read.of(&free, DB_US)),
            count(read.of(&pinned, DB_US)),
        ]);
        let what =
            format!("claims/s with {} dead rows under a pinned xmin by those without, {max} at once", whole(dead));
        goals.push(Goal::ratio("6", what, Bound::AtLeast(0.75), kept));
        let what = format!("the same, 99 of 100 claims' time, {max} at once");
        goals.push(Goal::ratio("6", what, Bound::AtMost(2.0), read.ratio(&pinned, &free, P99_MS)));
    }
    Found { text: table.into_text(), goals }
}
