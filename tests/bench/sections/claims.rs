//! Claims through gRPC beside the bare statement, and the bare INSERT beside both: what a claimed run costs.

use anyhow::Result;

use super::Found;
use crate::Bench;
use crate::claiming::{Claiming, Point, Way};
use crate::goals::{Bound, Goal};
use crate::queue::{Queue, Shape};
use crate::samples::{API_US, DB_US, PER_S, Reader, Series, take_off_idle};
use crate::table::{Table, count, ratio, whole};

/// How many runs the statement takes at most.
const AT_ONCE: [u32; 3] = [1, 10, 100];
/// How many of these are measured through gRPC as well.
const OVER_GRPC: [u32; 2] = [1, 100];
/// What the original did on a quiet machine of this size with one client: runs queued, claims per second.
const ORIGINAL: [(u64, f64); 3] = [(1_000, 141.0), (10_000, 18.0), (50_000, 3.5)];

/// Measures.
pub async fn run(bench: &Bench) -> Result<Found> {
    let plan = &bench.plan;
    let everything = [String::new()];
    let workers = plan.claimers.iter().copied().max().unwrap_or(1) as usize;
    let mut queues = Vec::new();
    for depth in plan.depths {
        let database = format!("claims_{depth}");
        let shape = Shape { database: &database, depth, classes: None, groups: &everything, workers };
        queues.push(Queue::fill(&bench.server, shape).await?);
        bench.say(&format!("{depth} runs wait"));
    }
    let mut series = Series::new();
    let mut claiming = Claiming::prepare(bench, queues).await?;
    let points = points(&plan.claimers);
    for round in 0..plan.rounds {
        bench.say(&format!("claims, round {} of {}", round + 1, plan.rounds));
        claiming.round(round, &points, &mut series).await?;
    }
    take_off_idle(&mut series, claiming.idle_us_per_s());
    let idle = claiming.idle_us_per_s();
    claiming.end().await?;
    Ok(report(bench, &series, idle))
}

fn at(way: Way, queue: usize, max: u32, clients: u32) -> Point {
    Point { way, queue, group: 0, max, clients }
}

fn points(claimers: &[u32]) -> Vec<Point> {
    let mut points = Vec::new();
    for &clients in claimers {
        points.push(at(Way::Insert, 0, 1, clients));
        for queue in 0..2 {
            points.push(at(Way::Probe, queue, 1, clients));
            points.extend(AT_ONCE.map(|max| at(Way::Sql, queue, max, clients)));
            points.extend(OVER_GRPC.map(|max| at(Way::Grpc, queue, max, clients)));
        }
    }
    points
}

fn report(bench: &Bench, series: &Series<Point>, idle_us_per_s: f64) -> Found {
    let (plan, read) = (&bench.plan, Reader(series));
    let mut all = Table::new(
        "Claims",
        &format!(
            "B is the bare one-row INSERT. PG and API are microseconds of processor time for each claimed run (B: for each \
             row); the spread is the fastest round by the slowest. With both APIs idle PostgreSQL uses {:.1} ms of processor \
             time per second, which is taken off.",
            idle_us_per_s / 1000.0
        ),
        &[
            "queued",
            "at once",
            "claimers",
            "gRPC claims/s",
            "spread",
            "SQL claims/s",
            "B rows/s",
            "gRPC / SQL",
            "gRPC / B",
            "SQL / B",
            "gRPC PG µs",
            "SQL PG µs",
            "B PG µs",
            "PG gRPC / SQL",
            "PG SQL / B",
            "API µs",
            "least queued",
        ],
    );
    let mut depth = Table::new(
        &format!("Claims: {} queued by {} queued", whole(plan.depths[1]), whole(plan.depths[0])),
        "1 is flat.",
        &["at once", "claimers", "gRPC claims/s", "SQL claims/s", "gRPC PG µs", "SQL PG µs"],
    );
    for max in AT_ONCE {
        for &clients in &plan.claimers {
            let bare = at(Way::Insert, 0, 1, clients);
            for (queue, queued) in plan.depths.iter().enumerate() {
                let (grpc, sql) = (at(Way::Grpc, queue, max, clients), at(Way::Sql, queue, max, clients));
                all.row(vec![
                    whole(*queued),
                    max.to_string(),
                    clients.to_string(),
                    count(read.of(&grpc, PER_S)),
                    ratio(read.spread(&grpc, PER_S)),
                    count(read.of(&sql, PER_S)),
                    count(read.of(&bare, PER_S)),
                    ratio(read.ratio(&grpc, &sql, PER_S)),
                    ratio(read.ratio(&grpc, &bare, PER_S)),
                    ratio(read.ratio(&sql, &bare, PER_S)),
                    count(read.of(&grpc, DB_US)),
                    count(read.of(&sql, DB_US)),
                    count(read.of(&bare, DB_US)),
                    ratio(read.ratio(&grpc, &sql, DB_US)),
                    ratio(read.ratio(&sql, &bare, DB_US)),
                    count(read.of(&grpc, API_US)),
                    whole(read.least_depth(&sql)),
                ]);
            }
            let flat = |way, figure| ratio(read.ratio(&at(way, 1, max, clients), &at(way, 0, max, clients), figure));
            depth.row(vec![
                max.to_string(),
                clients.to_string(),
                flat(Way::Grpc, PER_S),
                flat(Way::Sql, PER_S),
                flat(Way::Grpc, DB_US),
                flat(Way::Sql, DB_US),
            ]);
        }
    }
    let text = [all.into_text(), depth.into_text(), probes(bench, &read), beside(bench, &read)].join("\n");
    Found { text, goals: goals(bench, &read) }
}

fn probes(bench: &Bench, read: &Reader<'_, Point>) -> String {
    let mut table = Table::new(
        "The probe of a hot lane",
        "The first row of one lane is taken out of `ready` and put back at its end, from the place where the lane begins.",
        &["queued", "clients", "rows/s", "by B", "PG µs", "PG by B"],
    );
    for (queue, queued) in bench.plan.depths.iter().enumerate() {
        for &clients in &bench.plan.claimers {
            let (probe, bare) = (at(Way::Probe, queue, 1, clients), at(Way::Insert, 0, 1, clients));
            table.row(vec![
                whole(*queued),
                clients.to_string(),
                count(read.of(&probe, PER_S)),
                ratio(read.ratio(&probe, &bare, PER_S)),
                count(read.of(&probe, DB_US)),
                ratio(read.ratio(&probe, &bare, DB_US)),
            ]);
        }
    }
    table.into_text()
}

fn beside(bench: &Bench, read: &Reader<'_, Point>) -> String {
    let mut table = Table::new(
        "Claims beside the original",
        "The original: one client, one run at once, on a quiet machine of this size.",
        &["queued", "original claims/s", "tstr, 1 claimer, 1 at once", "tstr, most"],
    );
    let plan = &bench.plan;
    let mut depths: Vec<u64> = ORIGINAL.iter().map(|(depth, _)| *depth).chain(plan.depths).collect();
    depths.sort_unstable();
    depths.dedup();
    for queued in depths {
        let original = ORIGINAL.iter().find(|(depth, _)| *depth == queued).map_or(f64::NAN, |(_, rate)| *rate);
        let queue = plan.depths.iter().position(|depth| *depth == queued);
        let rate = |max, clients| queue.map_or(f64::NAN, |queue| read.of(&at(Way::Grpc, queue, max, clients), PER_S));
        let all = OVER_GRPC.iter().flat_map(|max| plan.claimers.iter().map(move |clients| (*max, *clients)));
        let most = all.map(|(max, clients)| rate(max, clients)).fold(f64::NAN, f64::max);
        table.row(vec![whole(queued), count(original), count(rate(1, 1)), count(most)]);
    }
    table.into_text()
}

/// The goals are held against the deep queue and as many clients as there are.
fn goals(bench: &Bench, read: &Reader<'_, Point>) -> Vec<Goal> {
    let clients = bench.plan.claimers.iter().copied().max().unwrap_or(1);
    let deep = whole(bench.plan.depths[1]);
    let bare = at(Way::Insert, 0, 1, clients);
    let by_bare = |way, max, figure| read.ratio(&at(way, 1, max, clients), &bare, figure);
    let cost = |row, what, way, max, most| {
        let what = format!("{what}: processor time of PostgreSQL by B, {deep} queued, {clients} clients");
        Goal::ratio(row, what, Bound::AtMost(most), by_bare(way, max, DB_US))
    };
    let rate = |what, max, least| {
        let what = format!("{what}: claims/s by B, {deep} queued, {clients} connections");
        Goal::ratio("5", what, Bound::AtLeast(least), by_bare(Way::Sql, max, PER_S))
    };
    vec![
        cost("1", "probe of a hot lane", Way::Probe, 1, 1.7),
        cost("2", "claim of 1", Way::Sql, 1, 3.5),
        cost("2", "claim of 10", Way::Sql, 10, 1.0),
        cost("2", "claim of 100", Way::Sql, 100, 0.4),
        rate("claim of 1", 1, 0.5),
        rate("claim of 10", 10, 3.0),
    ]
}
