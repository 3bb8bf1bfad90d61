//! What the notifications between replicas cost those who enqueue: none is sent in a transaction that writes runs.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use anyhow::{Context, Result};
use sqlx::PgConnection;
use tokio::task::JoinHandle;
use tstr_api::ops::wake::{CHANNEL, News};
use tstr_shared::ids::RunId;
use uuid::Uuid;

use super::Found;
use crate::Bench;
use crate::api::Api;
use crate::goals::{Bound, Goal};
use crate::pgbench::{Script, Span};
use crate::samples::median;
use crate::table::{Table, count, ratio};

/// How many connections write.
const CLIENTS: u32 = 16;
/// How often a replica tells its news at most.
const EVERY: Duration = Duration::from_millis(25);
/// How many runs a notification names when there is no lack of them.
const RUNS: usize = 100;

/// Measures.
pub async fn run(bench: &Bench) -> Result<Found> {
    let (server, plan) = (&bench.server, &bench.plan);
    // Two replicas that listen.
    let here = Api::start(server, "notify").await?;
    let there = here.replica(server, "notify").await?;
    let mut conn = server.connect("notify").await?;
    let quiet = Script::insert(server, "notify", &mut conn).await?;
    let notifying = Script::notifying_insert(server, "notify")?;
    let mut rates: [Vec<f64>; 3] = Default::default();
    // A difference of three parts in a hundred is to be seen, so more of them.
    let all_rounds = plan.rounds * 2;
    for round in 0..all_rounds {
        bench.say(&format!("notify, round {} of {all_rounds}", round + 1));
        let mut order = [0, 1, 2];
        if round % 2 == 1 {
            order.reverse();
        }
        for way in order {
            let tellers = match way {
                1 => {
                    vec![Teller::start(server.connect("notify").await?), Teller::start(server.connect("notify").await?)]
                }
                _ => Vec::new(),
            };
            let script = if way == 2 { &notifying } else { &quiet };
            let report = script.run(server, CLIENTS, Span::Seconds(plan.seconds)).await?;
            for teller in tellers {
                teller.stop().await?;
            }
            rates[way].push(report.per_s);
        }
    }
    here.stop()?;
    there.stop()?;
    drop(conn);
    server.drop_database("notify").await?;
    let mut table = Table::new(
        "Notifications beside writes",
        &format!(
            "{CLIENTS} connections insert a row in each transaction, and two replicas listen. As the product does it: two more \
             connections notify every {} ms without waiting for the disk. Beside it what it does not do: each transaction \
             notifies.",
            EVERY.as_millis()
        ),
        &["notifications", "rows/s", "by none"],
    );
    let by = |way: usize| median(rates[way].iter().zip(&rates[0]).map(|(rate, quiet)| rate / quiet));
    for (way, name) in ["none", "as the product does it", "in each transaction"].into_iter().enumerate() {
        table.row(vec![name.into(), count(median(rates[way].iter().copied())), ratio(by(way))]);
    }
    let goals = vec![Goal::ratio("9", "rows/s with notifications by those without", Bound::AtLeast(0.97), by(1))];
    Ok(Found { text: table.into_text(), goals })
}

/// Notifies as a replica under full load does.
struct Teller {
    stop: Arc<AtomicBool>,
    task: JoinHandle<Result<()>>,
}

impl Teller {
    fn start(mut conn: PgConnection) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let asked = stop.clone();
        let task = tokio::spawn(async move {
            sqlx::query("SET synchronous_commit = off").execute(&mut conn).await?;
            while !asked.load(Ordering::Relaxed) {
                let runs = (0..RUNS).map(|_| RunId(Uuid::new_v4())).collect();
                let text = serde_json::to_string(&News { from: 1, runs, ..News::default() })?;
                sqlx::query("SELECT pg_notify($1, $2)").bind(CHANNEL).bind(text).execute(&mut conn).await?;
                tokio::time::sleep(EVERY).await;
            }
            Ok(())
        });
        Self { stop, task }
    }

    async fn stop(self) -> Result<()> {
        self.stop.store(true, Ordering::Relaxed);
        self.task.await.context("the teller")?
    }
}
