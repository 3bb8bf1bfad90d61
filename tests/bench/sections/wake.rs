//! How soon a claim that waits hears of a run that was triggered, on the same replica and on another.

use std::time::Duration;

use anyhow::Result;
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
    let there = here.replica(&bench.server, "wake").await?;
    here.register(&factory::test("one")).await;
    let mut table = Table::new(
        "Wake-up",
        "From the answer of the trigger, which comes after its commit, to the answer of a claim that waited, on idle replicas, \
         in milliseconds.",
        &["claim at", "samples", "median", "99 of 100", "most"],
    );
    let mut goals = Vec::new();
    for (name, api, p50, p99) in [("the same replica", &here, 5.0, 30.0), ("another replica", &there, f64::NAN, 60.0)] {
        let mut waits = wake_ups(&here, api, bench.plan.wake_ups).await?;
        let mut at = |part| quantile(&mut waits, part);
        let (middle, late, most) = (at(0.5), at(0.99), at(1.0));
        table.row(vec![name.into(), waits.len().to_string(), millis(middle), millis(late), millis(most)]);
        if p50.is_finite() {
            goals.push(Goal::figure("8", format!("wake-up at {name}, median"), Bound::AtMost(p50), middle, "ms"));
        }
        goals.push(Goal::figure("8", format!("wake-up at {name}, 99 of 100"), Bound::AtMost(p99), late, "ms"));
    }
    here.stop()?;
    there.stop()?;
    bench.server.drop_database("wake").await?;
    Ok(Found { text: table.into_text(), goals })
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
