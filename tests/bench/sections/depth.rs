//! Claims from short and from deep queues: what the depth costs.

use anyhow::Result;

use super::Found;
use crate::Bench;
use crate::claiming::{Claiming, Point, Way};
use crate::goals::{Bound, Goal};
use crate::queue::{Queue, Shape};
use crate::samples::{API_US, DB_US, P99_MS, PER_S, Reader, Series, take_off_idle};
use crate::table::{Table, count, millis, ratio, whole};

/// How long one claim of the original took in SQL alone at this depth, in milliseconds: the shorter of what was measured.
const ORIGINAL_AT: (u64, f64) = (100_000, 412.0);

/// Measures.
pub async fn run(bench: &Bench) -> Result<Found> {
    let plan = &bench.plan;
    let everything = [String::new()];
    let workers = most(bench) as usize;
    let mut queues = Vec::new();
    for &depth in &plan.depths_wide {
        let database = format!("depth_{depth}");
        let shape = Shape { database: &database, depth, classes: None, groups: &everything, workers };
        queues.push(Queue::fill(&bench.server, shape).await?);
        bench.say(&format!("{depth} runs wait"));
    }
    let mut points = Vec::new();
    for queue in 0..queues.len() {
        points.extend(plan.claimers_wide.iter().map(|&clients| at(Way::Grpc, queue, clients)));
        points.push(at(Way::Sql, queue, sql_clients(bench)));
    }
    let mut series = Series::new();
    let mut claiming = Claiming::prepare(bench, queues).await?;
    for round in 0..plan.rounds {
        bench.say(&format!("depth, round {} of {}", round + 1, plan.rounds));
        claiming.round(round, &points, &mut series).await?;
    }
    take_off_idle(&mut series, claiming.idle_us_per_s());
    claiming.end().await?;
    Ok(report(bench, &series))
}

fn at(way: Way, queue: usize, clients: u32) -> Point {
    Point { way, queue, group: 0, max: 1, clients }
}

fn most(bench: &Bench) -> u32 {
    bench.plan.claimers_wide.iter().copied().max().unwrap_or(1)
}

/// More connections than these only wait for each other.
fn sql_clients(bench: &Bench) -> u32 {
    most(bench).min(16)
}

fn report(bench: &Bench, series: &Series<Point>) -> Found {
    let (plan, read) = (&bench.plan, Reader(series));
    let mut table = Table::new(
        "Claims by depth",
        "One run at once. Flat: the rate with the fewest runs queued by this one, and the processor time for each run by that \
         with the fewest queued; 1 is flat, more is worse.",
        &["queued", "claimers", "by", "claims/s", "spread", "99 of 100 ms", "PG µs", "API µs", "rate flat", "PG flat"],
    );
    let ways = plan.claimers_wide.iter().map(|&clients| (Way::Grpc, "gRPC", clients));
    for (way, by, clients) in ways.chain([(Way::Sql, "SQL", sql_clients(bench))]) {
        for (queue, queued) in plan.depths_wide.iter().enumerate() {
            let (here, first) = (at(way, queue, clients), at(way, 0, clients));
            table.row(vec![
                whole(*queued),
                clients.to_string(),
                by.into(),
                count(read.of(&here, PER_S)),
                ratio(read.spread(&here, PER_S)),
                millis(read.of(&here, P99_MS)),
                count(read.of(&here, DB_US)),
                count(read.of(&here, API_US)),
                ratio(read.ratio(&first, &here, PER_S)),
                ratio(read.ratio(&here, &first, DB_US)),
            ]);
        }
    }
    let deepest = plan.depths_wide.len() - 1;
    let by = format!("{} queued by {}", whole(plan.depths_wide[deepest]), whole(plan.depths_wide[0]));
    let mut goals = vec![Goal::ratio(
        "3",
        format!("flat in depth: processor time of PostgreSQL, {by}, SQL, {} clients", sql_clients(bench)),
        Bound::AtMost(1.25),
        read.ratio(&at(Way::Sql, deepest, sql_clients(bench)), &at(Way::Sql, 0, sql_clients(bench)), DB_US),
    )];
    for &clients in &plan.claimers_wide {
        goals.push(Goal::ratio(
            "gRPC",
            format!("flat in depth: claims/s, {by} the other way round, {clients} claimers"),
            Bound::AtMost(1.3),
            read.ratio(&at(Way::Grpc, 0, clients), &at(Way::Grpc, deepest, clients), PER_S),
        ));
    }
    let (depth, original_ms) = ORIGINAL_AT;
    let ours_ms = plan
        .depths_wide
        .iter()
        .position(|queued| *queued == depth)
        .map_or(f64::NAN, |queue| 1000.0 / read.of(&at(Way::Grpc, queue, 1), PER_S));
    goals.push(Goal::ratio(
        "13",
        format!("one claim end to end at {} queued: the original's {original_ms:.0} ms by ours", whole(depth)),
        Bound::AtLeast(1000.0),
        original_ms / ours_ms,
    ));
    Found { text: table.into_text(), goals }
}
