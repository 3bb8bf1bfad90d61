//! What workers cost that only wait for runs.

use std::time::Duration;

use anyhow::{Result, ensure};
use tokio::task::JoinSet;
use tokio::time::Instant;

use super::Found;
use super::lives::fresh;
use crate::Bench;
use crate::api::Api;
use crate::goals::{Bound, Goal};
use crate::table::Table;

/// How many claims wait on one connection.
const WAITING_ON_ONE: usize = 500;

/// Measures.
pub async fn run(bench: &Bench) -> Result<Found> {
    let (server, plan) = (&bench.server, &bench.plan);
    let api = Api::start(server, "waiting").await?;
    let cores = async || {
        let (begun, db, own) = (Instant::now(), server.cpu_us(&[]), api.cpu_us());
        tokio::time::sleep(plan.idle * 3).await;
        let us = begun.elapsed().as_secs_f64() * 1e6;
        ((server.cpu_us(&[]) - db) / us, (api.cpu_us() - own) / us)
    };
    let (alone, _) = cores().await;
    let alone_mib = api.resident_mib()?;
    let mut claims = JoinSet::new();
    let mut connections = Vec::new();
    while claims.len() < plan.waiting {
        let worker = api.worker(&fresh("idle")).await?;
        for _ in 0..WAITING_ON_ONE.min(plan.waiting - claims.len()) {
            let mut claimer = worker.clone();
            claims.spawn(async move { claimer.claim(1, Duration::from_secs(30)).await.map(|runs| runs.len()) });
        }
        connections.push(worker);
    }
    // They have all asked once by then, and none of them asks again before the end of the measurement.
    tokio::time::sleep(Duration::from_secs(4)).await;
    let (db, own) = cores().await;
    let mib = api.resident_mib()?;
    ensure!(claims.try_join_next().is_none(), "a claim did not wait");
    let count = claims.len();
    claims.shutdown().await;
    api.stop()?;
    server.drop_database("waiting").await?;
    let percent = |part: f64| format!("{:.2} %", part * 100.0);
    let mut table = Table::new(
        "Workers that wait",
        "Claims that wait on one replica, and parts of a core that are used meanwhile. PG: all that PostgreSQL uses, the loops \
         of the replica included.",
        &["claims", "API MiB", "API MiB without them", "API of a core", "PG of a core", "PG without them"],
    );
    table.row(vec![
        count.to_string(),
        format!("{mib:.0}"),
        format!("{alone_mib:.0}"),
        percent(own),
        percent(db),
        percent(alone),
    ]);
    let goals = vec![
        Goal::figure("14", format!("{count} claims that wait: a database core"), Bound::AtMost(1.0), db * 100.0, "%"),
        Goal::figure(
            "14",
            format!("what these {count} claims add to that"),
            Bound::AtMost(1.0),
            (db - alone).max(0.0) * 100.0,
            "%",
        ),
    ];
    Ok(Found { text: table.into_text(), goals })
}
