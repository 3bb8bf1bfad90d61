//! Log lines per second into the API, into short and into long logs, and in bulk; beside them COPY of the same bytes.

use std::time::{Duration, SystemTime};

use anyhow::{Context, Result, ensure};
use sqlx::PgConnection;
use tokio::task::JoinSet;
use tokio::time::Instant;
use tstr_proto::v1 as pb;
use uuid::Uuid;

use super::Found;
use crate::Bench;
use crate::api::Worker;
use crate::goals::{Bound, Goal};
use crate::plan::Plan;
use crate::queue::{Queue, Shape};
use crate::samples::{API_US, DB_US, Done, PER_S, Reader, Sample, Series, least, take_off_idle};
use crate::server::backend_pid;
use crate::table::{Table, count, ratio, whole};

/// The bytes of a line, with its end.
const LINE: usize = 80;
/// How many lines one call brings, as the original's worker sent them.
const LINES: usize = 20;
/// How many bytes one call brings in bulk; the product's worker sends as many.
pub const BULK: usize = 2 << 20;
/// The largest piece.
pub const PIECE: usize = 256 << 10;
/// How many runs wait in the queue that the logs' runs are claimed from.
const DEPTH: u64 = 1_000;
/// What the original did on a quiet machine of this size with one client: lines in the log so far, lines per second.
const ORIGINAL: &[(usize, f64)] = &[(1_000, 1_145.0), (3_000, 628.0)];
/// Short logs grow while they are measured, so the writers go round over many of them.
const SHORT_LOGS: usize = 32;

/// How bytes are stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum By {
    /// Through the API.
    Grpc,
    /// By COPY into a table of the same shape, a transaction for as many bytes as a call brings.
    Copy,
}

/// Which log.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Size {
    /// It has few lines already.
    Short,
    /// It has many lines already.
    Long,
    /// It is empty and gets much.
    Bulk,
}

/// What is measured in every round.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Point {
    /// How.
    by: By,
    /// Into which log. COPY knows no length: its lines are measured as those of short logs.
    size: Size,
    /// How many write at the same time, each to logs of its own.
    writers: u32,
}

/// A log under a live lease.
#[derive(Debug, Clone)]
pub struct Log {
    /// The lease.
    pub fence: pb::Fence,
    seq: u32,
    offset: u64,
}

/// Measures.
pub async fn run(bench: &Bench) -> Result<Found> {
    let mut series = Series::new();
    let mut logs = Logs::prepare(bench).await?;
    for round in 0..bench.plan.rounds {
        bench.say(&format!("logs, round {} of {}", round + 1, bench.plan.rounds));
        logs.round(round, &mut series).await?;
    }
    take_off_idle(&mut series, logs.idle_us_per_s());
    drop(logs.copies);
    logs.queue.remove(&bench.server).await?;
    Ok(report(&bench.plan, &series))
}

/// Claims so many runs for the first worker, and keeps their leases from running out; makes the table to compare with.
pub async fn claim_for_logs(queue: &mut Queue, wanted: usize) -> Result<Vec<pb::Fence>> {
    let worker = queue.groups.first_mut().and_then(|group| group.first_mut()).context("a worker")?;
    let mut runs = Vec::new();
    while runs.len() < wanted {
        let more = worker.claim(u32::try_from(wanted - runs.len())?, Duration::from_secs(10)).await?;
        ensure!(!more.is_empty(), "only {} runs of {wanted} were claimed", runs.len());
        runs.extend(more);
    }
    for statement in [
        // Nobody sends heartbeats here.
        "UPDATE lease SET expires_at = clock_timestamp() + interval '1 day'",
        "CREATE TABLE bench_copy (LIKE log_chunk INCLUDING ALL)",
    ] {
        sqlx::query(statement).execute(&mut queue.conn).await?;
    }
    runs.into_iter().map(|run| run.fence.context("a fence")).collect()
}

impl Log {
    /// Returns the log of a run that nothing was written to.
    pub fn empty(fence: pb::Fence) -> Self {
        Self { fence, seq: 0, offset: 0 }
    }

    /// Turns bytes into the next pieces.
    pub fn chunks(&mut self, pieces: &[Vec<u8>]) -> Vec<pb::LogChunk> {
        let chunk = |data: &Vec<u8>| {
            let chunk = pb::LogChunk {
                seq: self.seq,
                stream: pb::Stream::Stdout.into(),
                offset: self.offset,
                reported_at: Some(SystemTime::now().into()),
                data: data.clone(),
                cut: 0,
            };
            self.seq += 1;
            self.offset += data.len() as u64;
            chunk
        };
        pieces.iter().map(chunk).collect()
    }
}

/// The logs' part of the benchmark.
struct Logs<'a> {
    bench: &'a Bench,
    queue: Queue,
    fences: Vec<pb::Fence>,
    copies: Vec<PgConnection>,
    idle: Vec<f64>,
}

impl<'a> Logs<'a> {
    /// Claims the runs whose logs are written, and makes the table to compare with.
    async fn prepare(bench: &'a Bench) -> Result<Self> {
        let most = bench.plan.writers.iter().copied().max().unwrap_or(1) as usize;
        let everything = [String::new()];
        let shape = Shape { database: "logs", depth: DEPTH, classes: None, groups: &everything, workers: most };
        let mut queue = Queue::fill(&bench.server, shape).await?;
        let fences = claim_for_logs(&mut queue, SHORT_LOGS + 2 * most).await?;
        let mut copies = Vec::new();
        for _ in 0..most {
            copies.push(bench.server.connect(&queue.database).await?);
        }
        Ok(Self { bench, queue, fences, copies, idle: Vec::new() })
    }

    /// Returns the processor time per second that the server uses when nobody writes.
    fn idle_us_per_s(&self) -> f64 {
        least(&self.idle)
    }

    /// Returns the points of a round; every second round goes the other way round.
    fn points(plan: &Plan, round: usize) -> Vec<Point> {
        let mut points = Vec::new();
        for &writers in &plan.writers {
            points.extend([Size::Short, Size::Long, Size::Bulk].map(|size| Point { by: By::Grpc, size, writers }));
            points.extend([Size::Short, Size::Bulk].map(|size| Point { by: By::Copy, size, writers }));
        }
        if round % 2 == 1 {
            points.reverse();
        }
        points
    }

    /// Measures all points once, each on logs of its nominal length.
    async fn round(&mut self, round: usize, series: &mut Series<Point>) -> Result<()> {
        self.idle.push(self.bench.server.idle_us_per_s(self.bench.plan.idle).await);
        for point in Self::points(&self.bench.plan, round) {
            self.reset(point).await?;
            let sample = match point.by {
                By::Grpc => self.over_grpc(point).await,
                By::Copy => self.by_copy(point).await,
            };
            series.entry(point).or_default().push(sample.with_context(|| format!("{point:?}"))?);
        }
        Ok(())
    }

    /// Empties both tables and writes what the logs of a point have already.
    async fn reset(&mut self, point: Point) -> Result<()> {
        const WRITE: &str = "
            INSERT INTO log_chunk (run_id, attempt, seq, stream, start, reported_at, body)
            SELECT f.run_id::uuid, f.attempt, n, 1, n::bigint * octet_length($3), now(), $3
            FROM unnest($1::text[], $2::smallint[]) AS f(run_id, attempt)
            CROSS JOIN generate_series(0, $4 - 1) AS n";
        let batches = self.lines_so_far(point.size) / LINES;
        let conn = &mut self.queue.conn;
        for table in ["TRUNCATE log_chunk", "TRUNCATE bench_copy"] {
            sqlx::query(table).execute(&mut *conn).await?;
        }
        let fences = &self.fences[places(point.size, self.fences.len())];
        if point.by == By::Grpc && batches > 0 {
            sqlx::query(WRITE)
                .bind(fences.iter().map(|fence| fence.run_id.clone()).collect::<Vec<_>>())
                .bind(fences.iter().map(|fence| fence.attempt as i16).collect::<Vec<_>>())
                .bind(body(LINE * LINES))
                .bind(i32::try_from(batches)?)
                .execute(&mut *conn)
                .await?;
        }
        sqlx::query("VACUUM (ANALYZE) log_chunk").execute(conn).await?;
        Ok(())
    }

    fn lines_so_far(&self, size: Size) -> usize {
        match size {
            Size::Short => self.bench.plan.short_log,
            Size::Long => self.bench.plan.long_log,
            Size::Bulk => 0,
        }
    }

    async fn over_grpc(&mut self, point: Point) -> Result<Sample> {
        let lines = self.lines_so_far(point.size);
        let fences = self.fences[places(point.size, self.fences.len())].iter();
        let logs = fences.map(|fence| Log {
            fence: fence.clone(),
            seq: (lines / LINES) as u32,
            offset: (lines * LINE) as u64,
        });
        let logs: Vec<Log> = logs.collect();
        let window = self.bench.plan.window();
        let mut writers = JoinSet::new();
        // The lease is the first worker's; every writer has a connection of its own all the same.
        let owner = self.queue.groups.first().and_then(|group| group.first()).context("a worker")?.id().to_owned();
        let before = self.before().await?;
        for (number, worker) in self.queue.groups[0].iter().take(point.writers as usize).enumerate() {
            let own = logs.iter().skip(number).step_by(point.writers as usize).cloned().collect();
            writers.spawn(write(worker.with_id(&owner), own, point.size, window));
        }
        let mut all = Done::default();
        while let Some(done) = writers.join_next().await {
            all += done??;
        }
        self.after(before, all)
    }

    async fn by_copy(&mut self, point: Point) -> Result<Sample> {
        let window = self.bench.plan.window();
        let mut writers = JoinSet::new();
        let before = self.before().await?;
        for conn in self.copies.drain(..point.writers as usize) {
            writers.spawn(copy(conn, point.size, window));
        }
        let mut all = Done::default();
        while let Some(copied) = writers.join_next().await {
            let (conn, done) = copied??;
            self.copies.push(conn);
            all += done;
        }
        self.after(before, all)
    }

    async fn before(&mut self) -> Result<Before> {
        let ignored = [backend_pid(&mut self.queue.conn).await?];
        Ok(Before {
            at: Instant::now(),
            db_us: self.bench.server.cpu_us(&ignored),
            api_us: self.queue.api.cpu_us(),
            ignored,
        })
    }

    /// Turns what was used since then into a sample of calls.
    fn after(&self, before: Before, done: Done) -> Result<Sample> {
        let all = done.count as f64;
        Ok(Sample {
            per_s: done.per_s,
            db_us: (self.bench.server.cpu_us(&before.ignored) - before.db_us) / all,
            watched_s: before.at.elapsed().as_secs_f64() / all,
            api_us: (self.queue.api.cpu_us() - before.api_us) / all,
            least_depth: 0,
            p99_ms: f64::NAN,
        })
    }
}

/// Writes all that was found about logs.
fn report(plan: &Plan, series: &Series<Point>) -> Found {
    let read = Reader(series);
    let point = |by, size, writers| Point { by, size, writers };
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
    let mut lengths: Vec<usize> = ORIGINAL.iter().map(|(length, _)| *length).collect();
    lengths.extend(ours.map(|(length, _)| length));
    lengths.sort_unstable();
    lengths.dedup();
    for length in lengths {
        let original = ORIGINAL.iter().find(|(known, _)| *known == length).map_or(f64::NAN, |(_, rate)| *rate);
        let size = ours.iter().find(|(known, _)| *known == length).map(|(_, size)| *size);
        let tstr = size.map_or(f64::NAN, |size| read.of(&point(By::Grpc, size, 1), PER_S) * lines);
        beside.row(vec![whole(length as u64), count(original), count(tstr)]);
    }
    let most = plan.writers.iter().copied().max().unwrap_or(1);
    let (long, short) = (point(By::Grpc, Size::Long, most), point(By::Grpc, Size::Short, most));
    let (grpc, copy) = (point(By::Grpc, Size::Bulk, most), point(By::Copy, Size::Bulk, most));
    let what = |what: &str| format!("{what}, {most} writers");
    let goals = vec![
        Goal::ratio(
            "12",
            what(&format!(
                "append to a log of {} lines by one of {}: PG µs",
                whole(plan.long_log as u64),
                plan.short_log
            )),
            Bound::AtMost(1.1),
            read.ratio(&long, &short, DB_US),
        ),
        Goal::figure(
            "12",
            what("logs in bulk for each core of PostgreSQL's time"),
            Bound::AtLeast(50.0),
            mb * 1e6 / read.of(&grpc, DB_US),
            "MB/s",
        ),
        Goal::ratio(
            "gRPC",
            what("logs in bulk by COPY of the same bytes"),
            Bound::AtLeast(0.5),
            read.ratio(&grpc, &copy, PER_S),
        ),
        Goal::ratio(
            "gRPC",
            what("calls of 20 lines by COPY of the same bytes"),
            Bound::AtLeast(0.5),
            read.ratio(&short, &point(By::Copy, Size::Short, most), PER_S),
        ),
    ];
    let text = [all, flat, bulk, beside].map(Table::into_text).join("\n");
    Found { text, goals }
}

struct Before {
    at: Instant,
    db_us: f64,
    api_us: f64,
    ignored: [u32; 1],
}

/// Which of the claimed runs have the logs of a size: first the short ones, then as many long as bulky ones.
fn places(size: Size, all: usize) -> std::ops::Range<usize> {
    let long = SHORT_LOGS + (all - SHORT_LOGS) / 2;
    match size {
        Size::Short => 0..SHORT_LOGS,
        Size::Long => SHORT_LOGS..long,
        Size::Bulk => long..all,
    }
}

/// Lines of text, so many bytes of them.
pub fn body(bytes: usize) -> Vec<u8> {
    let line = |i: usize| format!("{i:>8} {:-<width$}\n", "a line of a log, as a test writes it ", width = LINE - 10);
    let mut text: Vec<u8> = (0..bytes.div_ceil(LINE)).flat_map(|i| line(i).into_bytes()).collect();
    text.truncate(bytes);
    text
}

/// Calls the API until the time is up, going round over its logs.
async fn write(mut worker: Worker, mut logs: Vec<Log>, size: Size, window: Duration) -> Result<Done> {
    let piece = match size {
        Size::Short | Size::Long => vec![body(LINE * LINES)],
        Size::Bulk => vec![body(PIECE); BULK / PIECE],
    };
    let (begun, mut calls, count) = (Instant::now(), 0, logs.len());
    while begun.elapsed() < window {
        let log = &mut logs[calls as usize % count];
        let chunks = log.chunks(&piece);
        let next = worker.append(log.fence.clone(), chunks).await?;
        ensure!(next == log.seq, "the log goes on at {next} and not at {}", log.seq);
        calls += 1;
    }
    Ok(Done::since(begun, calls))
}

/// How bytes are stored beside the API.
pub const COPY: &str =
    "COPY bench_copy (run_id, attempt, seq, stream, start, reported_at, body) FROM STDIN WITH (FORMAT binary)";

/// Copies until the time is up, a transaction for as many bytes as a call brings; gives the connection back.
async fn copy(mut conn: PgConnection, size: Size, window: Duration) -> Result<(PgConnection, Done)> {
    let pieces = match size {
        Size::Short | Size::Long => vec![body(LINE * LINES)],
        Size::Bulk => vec![body(PIECE); BULK / PIECE],
    };
    let run = Uuid::now_v7();
    let (begun, mut calls) = (Instant::now(), 0);
    let (mut seq, mut start) = (0i32, 0i64);
    while begun.elapsed() < window {
        let rows = copied(run, &mut seq, &mut start, &pieces);
        let mut copying = conn.copy_in_raw(COPY).await?;
        copying.send(rows).await?;
        ensure!(copying.finish().await? == pieces.len() as u64, "COPY stored less than it was given");
        calls += 1;
    }
    Ok((conn, Done::since(begun, calls)))
}

/// Turns bytes into what COPY reads: a row for each piece.
pub fn copied(run: Uuid, seq: &mut i32, start: &mut i64, pieces: &[Vec<u8>]) -> Vec<u8> {
    let mut rows = b"PGCOPY\n\xff\r\n\0\0\0\0\0\0\0\0\0".to_vec();
    for piece in pieces {
        row(&mut rows, run, *seq, *start, piece);
        *seq += 1;
        *start += piece.len() as i64;
    }
    rows.extend((-1i16).to_be_bytes());
    rows
}

/// Adds a row in the binary format of COPY: the number of fields, then each with its length.
fn row(rows: &mut Vec<u8>, run: Uuid, seq: i32, start: i64, piece: &[u8]) {
    /// 2000-01-01 in seconds since 1970; PostgreSQL counts microseconds from there.
    const EPOCH: u64 = 946_684_800;
    let now = SystemTime::UNIX_EPOCH.elapsed().unwrap_or_default().saturating_sub(Duration::from_secs(EPOCH));
    rows.extend(7i16.to_be_bytes());
    let mut field = |bytes: &[u8]| {
        rows.extend((bytes.len() as i32).to_be_bytes());
        rows.extend(bytes);
    };
    field(run.as_bytes());
    field(&1i16.to_be_bytes());
    field(&seq.to_be_bytes());
    field(&1i16.to_be_bytes());
    field(&start.to_be_bytes());
    field(&(now.as_micros() as i64).to_be_bytes());
    field(piece);
}
