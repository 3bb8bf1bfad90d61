//! How soon a claim that waits hears of a run that was triggered: on the same replica, on another, and on one whose
//! notifications have stopped.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use rustix::process::{Pid, Signal, kill_process};
use sqlx::PgConnection;
use tokio::time::Instant;
use tstr_tests::factory;

use super::Found;
use super::lives::{end, fresh};
use crate::Bench;
use crate::api::Api;
use crate::goals::{Bound, Goal};
use crate::samples::quantile;
use crate::table::{Table, millis};

/// Measures.
pub async fn run(bench: &Bench) -> Result<Found> {
    let here = Api::start(&bench.server, "wake").await?;
    let mut conn = bench.server.connect("wake").await?;
    let of_here = listeners(&mut conn).await?;
    let there = here.replica(&bench.server, "wake").await?;
    here.register(&factory::test("one")).await;
    let mut table = Table::new(
        "Wake-up",
        "From the answer of the trigger, which comes after its commit, to the answer of a claim that waited, on idle replicas, \
         in milliseconds. The deaf replica's connection for notifications stands still at the server and is not closed: it \
         finds out by looking.",
        &["claim at", "samples", "median", "99 of 100", "most"],
    );
    let mut goals = Vec::new();
    let mut told = |name: &str, mut waits: Vec<f64>| {
        let [middle, late, most] = [0.5, 0.99, 1.0].map(|part| quantile(&mut waits, part));
        table.row(vec![name.into(), waits.len().to_string(), millis(middle), millis(late), millis(most)]);
        (middle, late, most)
    };
    let (middle, late, _) = told("the same replica", wake_ups(&here, &here, bench.plan.wake_ups).await?);
    goals.push(Goal::figure("8", "wake-up at the same replica, median", Bound::AtMost(5.0), middle, "ms"));
    goals.push(Goal::figure("8", "wake-up at the same replica, 99 of 100", Bound::AtMost(30.0), late, "ms"));
    let (_, late, _) = told("another replica", wake_ups(&here, &there, bench.plan.wake_ups).await?);
    goals.push(Goal::figure("8", "wake-up at another replica, 99 of 100", Bound::AtMost(60.0), late, "ms"));

    let (mut deaf, mut waits) = (Vec::new(), Vec::new());
    for _ in 0..bench.plan.deaf_wake_ups {
        // The replica finds a dead connection out after a while, and listens by another one.
        for pid in listeners(&mut conn).await? {
            if !of_here.contains(&pid) && !deaf.contains(&pid) {
                signal(pid, Signal::STOP)?;
                deaf.push(pid);
            }
        }
        waits.extend(wake_ups(&here, &there, 1).await?);
    }
    ensure!(!deaf.is_empty(), "nobody listened");
    for pid in &deaf {
        // It may have been given up meanwhile.
        let _ = signal(*pid, Signal::CONT);
    }
    let (_, _, most) = told("another replica, deaf", waits);
    goals.push(Goal::figure("8", "wake-up without notifications, the slowest", Bound::AtMost(1200.0), most, "ms"));
    here.stop()?;
    there.stop()?;
    drop(conn);
    bench.server.drop_database("wake").await?;
    Ok(Found { text: table.into_text(), goals })
}

/// Returns the processes of the server by which replicas listen for notifications.
async fn listeners(conn: &mut PgConnection) -> Result<Vec<i32>> {
    let query = "SELECT pid FROM pg_stat_activity WHERE datname = current_database() AND query LIKE 'LISTEN%'";
    Ok(sqlx::query_scalar(query).fetch_all(conn).await?)
}

fn signal(pid: i32, signal: Signal) -> Result<()> {
    Ok(kill_process(Pid::from_raw(pid).context("a process")?, signal)?)
}

async fn wake_ups(here: &Api, at: &Api, samples: u32) -> Result<Vec<f64>> {
    let worker = at.worker(&fresh("wakes")).await?;
    let mut waits = Vec::new();
    for _ in 0..samples {
        let mut claimer = worker.clone();
        let waiting = tokio::spawn(async move {
            let runs = claimer.claim(1, Duration::from_secs(10)).await?;
            anyhow::Ok((runs, Instant::now()))
        });
        // Until it surely waits.
        tokio::time::sleep(Duration::from_millis(20)).await;
        here.trigger_test("one").await?;
        let triggered = Instant::now();
        let (runs, answered) = waiting.await??;
        waits.push(answered.saturating_duration_since(triggered).as_secs_f64() * 1e3);
        end(&worker, runs).await?;
    }
    Ok(waits)
}
