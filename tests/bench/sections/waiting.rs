//! What workers cost that only wait for runs, and say that they live.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use tokio::task::JoinSet;
use tokio::time::Instant;
use uuid::Uuid;

use super::Found;
use super::lives::fresh;
use crate::Bench;
use crate::api::{Api, Worker};
use crate::goals::{Bound, Goal};
use crate::table::Table;

/// How many runners share a connection.
const WAITING_ON_ONE: usize = 500;
/// How long each of them waits for a run before it asks again, as the product's worker does.
const WAIT: Duration = Duration::from_secs(20);
/// How often each of them says that it lives, as the product's worker does.
const BEAT_EVERY: Duration = Duration::from_secs(10);
/// Registers so many more runners like one.
const CLONE: &str = "
    INSERT INTO runner
    SELECT (jsonb_populate_record(NULL::runner, to_jsonb(w) || jsonb_build_object('id', gen_random_uuid(), 'name', w.name || n))).*
    FROM runner w, generate_series(1, $2) n WHERE w.id = $1
    RETURNING id";

/// Measures.
pub async fn run(bench: &Bench) -> Result<Found> {
    let (server, plan) = (&bench.server, &bench.plan);
    let api = Api::start(server, "waiting").await?;
    let cores = async || {
        // What follows a start, and ten thousand new rows, is over by then.
        tokio::time::sleep(plan.settled).await;
        let (begun, db, own) = (Instant::now(), server.cpu_us(&[]), api.cpu_us());
        tokio::time::sleep(plan.watched).await;
        let us = begun.elapsed().as_secs_f64() * 1e6;
        ((server.cpu_us(&[]) - db) / us, (api.cpu_us() - own) / us)
    };
    let (alone, _) = cores().await;
    let alone_mib = api.resident_mib()?;
    let (mut claims, mut beats) = (JoinSet::<Result<()>>::new(), JoinSet::new());
    let mut conn = server.connect("waiting").await?;
    while claims.len() < plan.waiting {
        let worker = api.worker(&fresh("idle")).await?;
        let more = WAITING_ON_ONE.min(plan.waiting - claims.len());
        let ids: Vec<Uuid> = sqlx::query_scalar(CLONE)
            .bind(Uuid::parse_str(worker.id())?)
            .bind(i32::try_from(more)?)
            .fetch_all(&mut conn)
            .await?;
        let runners: Vec<Worker> = ids.iter().map(|id| worker.with_id(&id.to_string())).collect();
        for mut claimer in runners.clone() {
            claims.spawn(async move {
                loop {
                    let runs = claimer.claim(1, WAIT).await?;
                    ensure!(runs.is_empty(), "there was a run");
                }
            });
        }
        beats.spawn(beat(runners));
    }
    let (db, own) = cores().await;
    let mib = api.resident_mib()?;
    let (count, refused) = (claims.len(), claims.try_join_next().or_else(|| beats.try_join_next()));
    if let Some(refused) = refused {
        refused?.context("a claim or a heartbeat was not answered")?;
    }
    claims.shutdown().await;
    beats.shutdown().await;
    drop(conn);
    api.stop()?;
    server.drop_database("waiting").await?;
    let percent = |part: f64| format!("{:.2} %", part * 100.0);
    let mut table = Table::new(
        "Workers that wait",
        "Runners that wait on one replica, each with a claim that it repeats every 20 s and a heartbeat every 10 s, and parts of a core that are used \
         meanwhile. PG: all that PostgreSQL uses, the loops of the replica included.",
        &["runners", "API MiB", "API MiB without them", "API of a core", "PG of a core", "PG without them"],
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
        Goal::figure("14", format!("{count} runners that wait: a database core"), Bound::AtMost(1.0), db * 100.0, "%"),
        Goal::figure(
            "14",
            format!("what these {count} runners add to that of a replica alone"),
            Bound::AtMost(1.0),
            (db - alone).max(0.0) * 100.0,
            "%",
        ),
    ];
    Ok(Found { text: table.into_text(), goals })
}

/// Lets runners say that they live, one after another, each once in the usual time.
async fn beat(runners: Vec<Worker>) -> Result<()> {
    let mut clock = tokio::time::interval(BEAT_EVERY / u32::try_from(runners.len())?);
    let mut sent = JoinSet::new();
    loop {
        for runner in &runners {
            clock.tick().await;
            // Not one after the answer to another: they are runners of their own.
            let mut runner = runner.clone();
            sent.spawn(async move { runner.beat().await });
            while let Some(answered) = sent.try_join_next() {
                answered??;
            }
        }
    }
}
