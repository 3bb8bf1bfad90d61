//! The results as Markdown, to be pasted into docs/benchmarks.md.

use std::fmt::Write;

use crate::claims::{self, Way};
use crate::logs::{self, BULK, By, LINES, Size};
use crate::plan::Plan;
use crate::samples::{Reader, Sample, Series};

/// What the original did on a quiet machine of this size with one client: runs queued, claims per second.
const ORIGINAL_CLAIMS: &[(u64, f64)] = &[(1_000, 141.0), (10_000, 18.0), (50_000, 3.5)];
/// And lines in the log so far, lines per second.
const ORIGINAL_LINES: &[(usize, f64)] = &[(1_000, 1_145.0), (3_000, 628.0)];

const PER_S: fn(&Sample) -> f64 = |sample| sample.per_s;
const DB_US: fn(&Sample) -> f64 = |sample| sample.db_us;
const API_US: fn(&Sample) -> f64 = |sample| sample.api_us;

/// A table in the making.
pub struct Table(String);

impl Table {
    /// Begins a table.
    pub fn new(title: &str, note: &str, heads: &[&str]) -> Self {
        let mut text = format!("### {title}\n\n{note}\n\n");
        let _ = writeln!(text, "| {} |", heads.join(" | "));
        let _ = writeln!(text, "|{}", "--:|".repeat(heads.len()));
        Self(text)
    }

    /// Adds a row.
    pub fn row(&mut self, cells: Vec<String>) {
        let _ = writeln!(self.0, "| {} |", cells.join(" | "));
    }

    /// Ends it.
    pub fn into_text(self) -> String {
        self.0
    }
}

/// Writes a count with thin groups: 12 345, or 3.5 when it is small.
fn count(value: f64) -> String {
    if !value.is_finite() {
        return "–".into();
    }
    if value < 100.0 {
        return format!("{value:.1}");
    }
    let digits = format!("{value:.0}");
    let mut grouped = String::new();
    for (i, digit) in digits.chars().enumerate() {
        if i > 0 && (digits.len() - i) % 3 == 0 {
            grouped.push(' ');
        }
        grouped.push(digit);
    }
    grouped
}

fn whole(value: u64) -> String {
    if value < 100 { value.to_string() } else { count(value as f64) }
}

fn ratio(value: f64) -> String {
    if value.is_finite() { format!("{value:.2}") } else { "–".into() }
}

/// Writes all that was found about claims.
pub fn claims(plan: &Plan, series: &Series<claims::Point>) -> String {
    let read = Reader(series);
    let mut all = Table::new(
        "Claims",
        "B is the bare one-row INSERT. PG and API are microseconds of processor time for each claimed run (B: for each \
         row); the spread is the fastest round by the slowest.",
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
        &format!("Claims: {} queued by {} queued", last(&plan.depths), first(&plan.depths)),
        "1 is flat.",
        &["at once", "claimers", "gRPC claims/s", "SQL claims/s", "gRPC PG µs", "SQL PG µs"],
    );
    for &max in &plan.at_once {
        for &clients in &plan.claimers {
            let point = |way, queue| claims::Point { way, queue, max, clients };
            let bare = claims::Point { way: Way::Insert, queue: 0, max: 1, clients };
            for (queue, queued) in plan.depths.iter().enumerate() {
                let (grpc, sql) = (point(Way::Grpc, queue), point(Way::Sql, queue));
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
                    whole(read.least_depth(&grpc).min(read.least_depth(&sql))),
                ]);
            }
            let deep = plan.depths.len() - 1;
            let flat = |way, figure| ratio(read.ratio(&point(way, deep), &point(way, 0), figure));
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
    let mut beside = Table::new(
        "Claims beside the original",
        "The original: one client, one run at once, on a quiet machine of this size.",
        &["queued", "original claims/s", "tstr, 1 claimer, 1 at once", "tstr, most"],
    );
    let mut depths: Vec<u64> = ORIGINAL_CLAIMS.iter().map(|(depth, _)| *depth).chain(plan.depths.clone()).collect();
    depths.sort_unstable();
    depths.dedup();
    for queued in depths {
        let original = ORIGINAL_CLAIMS.iter().find(|(depth, _)| *depth == queued).map_or(f64::NAN, |(_, rate)| *rate);
        let queue = plan.depths.iter().position(|depth| *depth == queued);
        let rate = |queue, max, clients| read.of(&claims::Point { way: Way::Grpc, queue, max, clients }, PER_S);
        let one = queue.map_or(f64::NAN, |queue| rate(queue, 1, 1));
        let all = plan.at_once.iter().flat_map(|max| plan.claimers.iter().map(move |clients| (*max, *clients)));
        let most = all.filter_map(|(max, clients)| Some(rate(queue?, max, clients))).fold(f64::NAN, f64::max);
        beside.row(vec![whole(queued), count(original), count(one), count(most)]);
    }
    [all.0, depth.0, beside.0].join("\n")
}

/// Writes all that was found about logs.
pub fn logs(plan: &Plan, series: &Series<logs::Point>) -> String {
    let read = Reader(series);
    let point = |by, size, writers| logs::Point { by, size, writers };
    let lines = LINES as f64;
    let mut all = Table::new(
        "Log lines",
        "Calls of 20 lines of 80 bytes; COPY is a transaction with the same bytes into a table of the same shape. PG and \
         API are microseconds of processor time for each call.",
        &[
            "lines so far",
            "writers",
            "gRPC lines/s",
            "spread",
            "COPY lines/s",
            "gRPC / COPY",
            "gRPC PG µs",
            "COPY PG µs",
            "PG gRPC / COPY",
            "API µs",
        ],
    );
    let mut flat = Table::new(
        &format!("Log lines: {} so far by {} so far", whole(plan.long_log as u64), whole(plan.short_log as u64)),
        "1 is flat.",
        &["writers", "lines/s", "PG µs"],
    );
    let mut bulk = Table::new(
        "Logs in bulk",
        "Calls of 2 MiB in pieces of 256 KiB; COPY is a transaction with the same bytes. PG and API are milliseconds of \
         processor time for each MB.",
        &["writers", "gRPC MB/s", "spread", "COPY MB/s", "gRPC / COPY", "gRPC PG ms", "COPY PG ms", "API ms"],
    );
    let mb = BULK as f64 / 1e6;
    for &writers in &plan.writers {
        let copy = point(By::Copy, Size::Short, writers);
        for (size, so_far) in [(Size::Short, plan.short_log), (Size::Long, plan.long_log)] {
            let grpc = point(By::Grpc, size, writers);
            all.row(vec![
                whole(so_far as u64),
                writers.to_string(),
                count(read.of(&grpc, PER_S) * lines),
                ratio(read.spread(&grpc, PER_S)),
                count(read.of(&copy, PER_S) * lines),
                ratio(read.ratio(&grpc, &copy, PER_S)),
                count(read.of(&grpc, DB_US)),
                count(read.of(&copy, DB_US)),
                ratio(read.ratio(&grpc, &copy, DB_US)),
                count(read.of(&grpc, API_US)),
            ]);
        }
        let (long, short) = (point(By::Grpc, Size::Long, writers), point(By::Grpc, Size::Short, writers));
        flat.row(vec![
            writers.to_string(),
            ratio(read.ratio(&long, &short, PER_S)),
            ratio(read.ratio(&long, &short, DB_US)),
        ]);
        let (grpc, copy) = (point(By::Grpc, Size::Bulk, writers), point(By::Copy, Size::Bulk, writers));
        bulk.row(vec![
            writers.to_string(),
            count(read.of(&grpc, PER_S) * mb),
            ratio(read.spread(&grpc, PER_S)),
            count(read.of(&copy, PER_S) * mb),
            ratio(read.ratio(&grpc, &copy, PER_S)),
            count(read.of(&grpc, DB_US) / mb / 1000.0),
            count(read.of(&copy, DB_US) / mb / 1000.0),
            count(read.of(&grpc, API_US) / mb / 1000.0),
        ]);
    }
    let mut beside = Table::new(
        "Log lines beside the original",
        "One writer, calls of 20 lines.",
        &["lines so far", "original lines/s", "tstr lines/s"],
    );
    let ours = [(plan.short_log, Size::Short), (plan.long_log, Size::Long)];
    let mut lengths: Vec<usize> = ORIGINAL_LINES.iter().map(|(length, _)| *length).collect();
    lengths.extend(ours.map(|(length, _)| length));
    lengths.sort_unstable();
    lengths.dedup();
    for length in lengths {
        let original = ORIGINAL_LINES.iter().find(|(known, _)| *known == length).map_or(f64::NAN, |(_, rate)| *rate);
        let size = ours.iter().find(|(known, _)| *known == length).map(|(_, size)| *size);
        let tstr = size.map_or(f64::NAN, |size| read.of(&point(By::Grpc, size, 1), PER_S) * lines);
        beside.row(vec![whole(length as u64), count(original), count(tstr)]);
    }
    [all.0, flat.0, bulk.0, beside.0].join("\n")
}

fn first(depths: &[u64]) -> String {
    depths.first().map_or_else(String::new, |depth| whole(*depth))
}

fn last(depths: &[u64]) -> String {
    depths.last().map_or_else(String::new, |depth| whole(*depth))
}
