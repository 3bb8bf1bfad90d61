//! Log lines per second into the API, into short and into long logs, and in bulk; beside them COPY of the same bytes.

use std::time::{Duration, SystemTime};

use anyhow::{Context, Result, ensure};
use sqlx::PgConnection;
use tokio::task::JoinSet;
use tokio::time::Instant;
use tstr_proto::v1 as pb;
use uuid::Uuid;

use crate::api::Worker;
use crate::plan::Plan;
use crate::queue::Queue;
use crate::samples::{Done, Sample, Series, least};
use crate::server::{Server, backend_pid};

/// The bytes of a line, with its end.
pub const LINE: usize = 80;
/// How many lines one call brings, as the original's worker sent them.
pub const LINES: usize = 20;
/// How many bytes one call brings in bulk; the product's worker sends as many.
pub const BULK: usize = 2 << 20;
/// The largest piece.
const PIECE: usize = 256 << 10;
/// Short logs grow while they are measured, so the writers go round over many of them.
const SHORT_LOGS: usize = 32;

/// How bytes are stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum By {
    /// Through the API.
    Grpc,
    /// By COPY into a table of the same shape, a transaction for as many bytes as a call brings.
    Copy,
}

/// Which log.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Size {
    /// It has few lines already.
    Short,
    /// It has many lines already.
    Long,
    /// It is empty and gets much.
    Bulk,
}

/// What is measured in every round.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Point {
    /// How.
    pub by: By,
    /// Into which log. COPY knows no length: its lines are measured as those of short logs.
    pub size: Size,
    /// How many write at the same time, each to logs of its own.
    pub writers: u32,
}

/// A log under a live lease.
#[derive(Debug, Clone)]
struct Log {
    fence: pb::Fence,
    seq: u32,
    offset: u64,
}

/// The logs' part of the benchmark.
pub struct Logs<'a> {
    server: &'a Server,
    plan: &'a Plan,
    queue: &'a mut Queue,
    fences: Vec<pb::Fence>,
    copies: Vec<PgConnection>,
    idle: Vec<f64>,
}

impl<'a> Logs<'a> {
    /// Claims the runs whose logs are written, and makes the table to compare with.
    pub async fn prepare(server: &'a Server, plan: &'a Plan, queue: &'a mut Queue) -> Result<Self> {
        let most = plan.writers.iter().copied().max().unwrap_or(1) as usize;
        let wanted = SHORT_LOGS + 2 * most;
        let worker = queue.workers.first_mut().context("a worker")?;
        let runs = worker.claim(u32::try_from(wanted)?, Duration::from_secs(10)).await?;
        ensure!(runs.len() == wanted, "only {} runs of {wanted} were claimed", runs.len());
        let fences = runs.into_iter().map(|run| run.fence.context("a fence")).collect::<Result<_>>()?;
        for statement in [
            // Nobody sends heartbeats here.
            "UPDATE lease SET expires_at = clock_timestamp() + interval '1 day'",
            "CREATE TABLE bench_copy (LIKE log_chunk INCLUDING ALL)",
        ] {
            sqlx::query(statement).execute(&mut queue.conn).await?;
        }
        let mut copies = Vec::new();
        for _ in 0..most {
            copies.push(server.connect(&queue.database).await?);
        }
        Ok(Self { server, plan, queue, fences, copies, idle: Vec::new() })
    }

    /// Returns the processor time per second that the server uses when nobody writes.
    pub fn idle_us_per_s(&self) -> f64 {
        least(&self.idle)
    }

    /// Returns the points of a round; every second round goes the other way round.
    pub fn points(plan: &Plan, round: usize) -> Vec<Point> {
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
    pub async fn round(&mut self, round: usize, series: &mut Series<Point>) -> Result<()> {
        self.idle.push(self.server.idle_us_per_s(self.plan.idle).await);
        for point in Self::points(self.plan, round) {
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
            Size::Short => self.plan.short_log,
            Size::Long => self.plan.long_log,
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
        let window = self.plan.window();
        let mut writers = JoinSet::new();
        // The lease is the first worker's; every writer has a connection of its own all the same.
        let owner = self.queue.workers.first().context("a worker")?.id().to_owned();
        let before = self.before().await?;
        for (number, worker) in self.queue.workers.iter().take(point.writers as usize).enumerate() {
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
        let window = self.plan.window();
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
        Ok(Before { at: Instant::now(), db_us: self.server.cpu_us(&ignored), api_us: self.queue.api.cpu_us(), ignored })
    }

    /// Turns what was used since then into a sample of calls.
    fn after(&self, before: Before, done: Done) -> Result<Sample> {
        let all = done.count as f64;
        Ok(Sample {
            per_s: done.per_s,
            db_us: (self.server.cpu_us(&before.ignored) - before.db_us) / all,
            watched_s: before.at.elapsed().as_secs_f64() / all,
            api_us: (self.queue.api.cpu_us() - before.api_us) / all,
            least_depth: 0,
        })
    }
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
fn body(bytes: usize) -> Vec<u8> {
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
        let chunks = piece.iter().map(|data| {
            let chunk = pb::LogChunk {
                seq: log.seq,
                stream: pb::Stream::Stdout.into(),
                offset: log.offset,
                reported_at: Some(SystemTime::now().into()),
                data: data.clone(),
                cut: 0,
            };
            log.seq += 1;
            log.offset += data.len() as u64;
            chunk
        });
        let chunks = chunks.collect();
        let next = worker.append(log.fence.clone(), chunks).await?;
        ensure!(next == log.seq, "the log goes on at {next} and not at {}", log.seq);
        calls += 1;
    }
    Ok(Done::since(begun, calls))
}

/// Copies until the time is up, a transaction for as many bytes as a call brings; gives the connection back.
async fn copy(mut conn: PgConnection, size: Size, window: Duration) -> Result<(PgConnection, Done)> {
    const COPY: &str = "COPY bench_copy (run_id, attempt, seq, stream, start, reported_at, body)
                        FROM STDIN WITH (FORMAT binary)";
    let pieces = match size {
        Size::Short | Size::Long => vec![body(LINE * LINES)],
        Size::Bulk => vec![body(PIECE); BULK / PIECE],
    };
    let run = Uuid::now_v7();
    let (begun, mut calls) = (Instant::now(), 0);
    let (mut seq, mut start) = (0i32, 0i64);
    while begun.elapsed() < window {
        let mut rows = b"PGCOPY\n\xff\r\n\0\0\0\0\0\0\0\0\0".to_vec();
        for piece in &pieces {
            row(&mut rows, run, seq, start, piece);
            seq += 1;
            start += piece.len() as i64;
        }
        rows.extend((-1i16).to_be_bytes());
        let mut copying = conn.copy_in_raw(COPY).await?;
        copying.send(rows).await?;
        ensure!(copying.finish().await? == pieces.len() as u64, "COPY stored less than it was given");
        calls += 1;
    }
    Ok((conn, Done::since(begun, calls)))
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
