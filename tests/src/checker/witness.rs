//! What containers say of themselves, and what was seen of their processes: I6, I7, I8 and I14.
//!
//! Witness images print `S run attempt boottime_ns pid` to their standard error when they begin and
//! `E run attempt boottime_ns pid exit_code [stdout_bytes]` when they end. The log of an attempt whose worker died is
//! cut off, so the harness also watches the process table; both tell the time of `CLOCK_BOOTTIME`.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use rustix::time::{ClockId, clock_gettime};
use sqlx::PgConnection;
use uuid::Uuid;

use super::logs::unpacked;
use super::{Violation, rows_of};

/// The clock of `/proc/uptime` has hundredths of a second.
const CLOCK_TICK: i64 = 20_000_000;
/// How far the database's clock and ours may be apart on one machine.
const SAME_MOMENT: i64 = 100_000_000;
/// The most of a standard error that is searched for witness lines.
const MAX_STDERR: i64 = 1 << 20;

/// Returns the time since the machine was started, sleep included.
pub fn boot_nanos() -> i64 {
    let now = clock_gettime(ClockId::Boottime);
    now.tv_sec * 1_000_000_000 + now.tv_nsec
}

/// What a container printed of its beginning or its end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Line {
    /// The run it says it is of.
    pub run: Uuid,
    /// The attempt it says it is.
    pub attempt: i16,
    /// When it was printed.
    pub at: i64,
    /// The exit code that followed; absent at the beginning.
    pub exit_code: Option<i32>,
    /// How many bytes were written to the standard output, where the container knows it.
    pub stdout: Option<i64>,
}

impl Line {
    /// Reads a line; `None` when it is no witness line.
    pub fn parse(line: &str) -> Option<Self> {
        let words: Vec<&str> = line.split_ascii_whitespace().collect();
        let [kind, run, attempt, at, _pid, rest @ ..] = words.as_slice() else { return None };
        let exit_code = match (*kind, rest) {
            ("S", []) => None,
            ("E", [code]) | ("E", [code, _]) => Some(code.parse().ok()?),
            _ => return None,
        };
        Some(Self {
            run: run.parse().ok()?,
            attempt: attempt.parse().ok()?,
            at: at.parse().ok()?,
            exit_code,
            stdout: rest.get(1).and_then(|bytes| bytes.parse().ok()),
        })
    }
}

/// When something of an attempt was certainly alive: at both ends, and between them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Span {
    /// First seen.
    pub from: i64,
    /// Last seen.
    pub to: i64,
}

impl Span {
    /// Makes it cover a moment as well.
    pub fn cover(&mut self, at: i64) {
        self.from = self.from.min(at);
        self.to = self.to.max(at);
    }
}

/// A cancel of a running run that was answered.
#[derive(Debug, Clone, Copy)]
pub struct Cancel {
    /// The run.
    pub run: Uuid,
    /// When the answer came.
    pub answered: i64,
    /// How long its container may live after that.
    pub bound: i64,
}

/// What was seen of containers; their lines are read from the logs.
#[derive(Debug, Clone, Default)]
pub struct Witness {
    /// Processes that belonged to an attempt, by run and attempt.
    pub seen: BTreeMap<(Uuid, i16), Span>,
}

impl Witness {
    /// Notes that something of an attempt was alive.
    pub fn note(&mut self, run: Uuid, attempt: i16, at: i64) {
        self.seen.entry((run, attempt)).or_insert(Span { from: at, to: at }).cover(at);
    }
}

/// One attempt as the witness lines in its log tell it.
#[derive(Debug, Default)]
struct Told {
    lines: Vec<Line>,
    /// The log holds lines of another attempt.
    mixed_up: bool,
}

async fn lines(conn: &mut PgConnection) -> BTreeMap<(Uuid, i16), Told> {
    let pieces: Vec<(Uuid, i16, Vec<u8>, Option<i32>)> = sqlx::query_as(
        "SELECT run_id, attempt, body, raw_bytes FROM log_chunk WHERE stream = 2 AND start < $1
         ORDER BY run_id, attempt, seq",
    )
    .bind(MAX_STDERR)
    .fetch_all(conn)
    .await
    .expect("read the witness lines");
    let mut logs: BTreeMap<(Uuid, i16), Vec<u8>> = BTreeMap::new();
    for (run, attempt, body, raw_bytes) in pieces {
        logs.entry((run, attempt)).or_default().extend(unpacked(body, raw_bytes));
    }
    let mut told: BTreeMap<(Uuid, i16), Told> = BTreeMap::new();
    for ((run, attempt), bytes) in logs {
        let entry = told.entry((run, attempt)).or_default();
        for line in String::from_utf8_lossy(&bytes).lines().filter_map(Line::parse) {
            match (line.run, line.attempt) == (run, attempt) {
                true => entry.lines.push(line),
                false => entry.mixed_up = true,
            }
        }
    }
    told
}

/// An attempt as the database has it.
#[derive(Debug, sqlx::FromRow)]
struct Attempt {
    run_id: Uuid,
    attempt: i16,
    /// When it was permitted to start.
    permitted: Option<DateTime<Utc>>,
    result: Option<String>,
    exit_code: Option<i32>,
    log_status: String,
    stdout_bytes: i64,
    stdout_dropped: i64,
    is_witness: bool,
    /// The run was cancelled before anything of this attempt was started.
    cancelled_unstarted: bool,
}

async fn attempts(conn: &mut PgConnection) -> BTreeMap<(Uuid, i16), Attempt> {
    let rows: Vec<Attempt> = sqlx::query_as(
        "SELECT a.run_id, a.attempt, v.at AS permitted, a.result, a.exit_code, a.log_status, a.stdout_bytes,
                a.stdout_dropped, coalesce(c.body->'run_config'->'env'->>'WITNESS', '') = '1' AS is_witness,
                EXISTS (SELECT FROM run_event e WHERE e.run_id = a.run_id AND e.attempt = a.attempt
                        AND e.state_from = 'leased' AND e.result = 'cancelled') AS cancelled_unstarted
         FROM (SELECT run_id, attempt, result, exit_code, log_status, stdout_bytes, stdout_dropped FROM attempt
               UNION ALL SELECT run_id, attempt, NULL, NULL, 'open', 0, 0 FROM lease) a
         LEFT JOIN (SELECT run_id, attempt, min(at) AS at FROM run_event WHERE state_to = 'running' GROUP BY 1, 2) v
              ON v.run_id = a.run_id AND v.attempt = a.attempt
         JOIN run r ON r.id = a.run_id JOIN config c ON c.id = r.config_id",
    )
    .fetch_all(conn)
    .await
    .expect("read the attempts");
    rows.into_iter().map(|row| ((row.run_id, row.attempt), row)).collect()
}

pub(super) async fn violations(
    conn: &mut PgConnection,
    witness: &Witness,
    cancels: &[Cancel],
    frozen: &[(Uuid, i16)],
) -> Vec<Violation> {
    let (told, attempts) = (lines(conn).await, attempts(conn).await);
    let known: Vec<Uuid> = sqlx::query_scalar("SELECT id FROM run").fetch_all(&mut *conn).await.expect("read the runs");
    let mut spans: BTreeMap<(Uuid, i16), Span> = BTreeMap::new();
    // Other databases' runs may be seen on the same machine.
    for (key, span) in witness.seen.iter().filter(|((run, _), _)| known.contains(run)) {
        spans.insert(*key, *span);
    }
    for (key, told) in &told {
        for line in &told.lines {
            spans.entry(*key).or_insert(Span { from: line.at, to: line.at }).cover(line.at);
        }
    }
    let mut found = Vec::new();
    for (invariant, claim, broken) in [
        ("I6", "nothing is started before it is permitted", started_unpermitted(&spans, &attempts)),
        ("I6", "a log holds the lines of its own attempt", mixed_up(&told)),
        ("I6", "a container that passed or failed said so itself, with the same exit code", unsaid(&told, &attempts)),
        ("I7", "what is stored and dropped is what the container wrote", miscounted(&told, &attempts)),
        ("I8", "two attempts of a run are never alive at once", overlapping(&spans, frozen)),
        ("I14", "a run that was cancelled before its start never starts", revived(conn, &spans, &attempts).await),
        ("I14", "a cancelled container is dead within its bound", outlived(&spans, cancels)),
    ] {
        if !broken.is_empty() {
            let mut rows: Vec<String> = broken.iter().map(|(_, why)| why.clone()).take(5).collect();
            let runs: Vec<Uuid> = broken.iter().map(|(run, _)| *run).collect();
            rows.extend(rows_of(conn, &runs).await);
            found.push(Violation::new(invariant, claim, rows));
        }
    }
    found
}

type Broken = Vec<(Uuid, String)>;
type Key = (Uuid, i16);

fn wall(at: i64) -> DateTime<Utc> {
    Utc::now() - chrono::Duration::nanoseconds(boot_nanos() - at)
}

fn started_unpermitted(spans: &BTreeMap<Key, Span>, attempts: &BTreeMap<Key, Attempt>) -> Broken {
    let is_permitted = |key: &Key, span: &Span| {
        let permitted = attempts.get(key).and_then(|attempt| attempt.permitted);
        permitted.is_some_and(|at| at <= wall(span.from) + chrono::Duration::nanoseconds(SAME_MOMENT))
    };
    let broken = spans.iter().filter(|(key, span)| !is_permitted(key, span));
    broken
        .map(|((run, attempt), span)| {
            let permitted = attempts.get(&(*run, *attempt)).and_then(|attempt| attempt.permitted);
            (*run, format!("attempt {attempt} of {run} was alive at {}, permitted at {permitted:?}", wall(span.from)))
        })
        .collect()
}

fn mixed_up(told: &BTreeMap<Key, Told>) -> Broken {
    let mixed = told.iter().filter(|(_, told)| told.mixed_up);
    mixed.map(|((run, attempt), _)| (*run, format!("the log of attempt {attempt} of {run}"))).collect()
}

fn unsaid(told: &BTreeMap<Key, Told>, attempts: &BTreeMap<Key, Attempt>) -> Broken {
    let mut broken = Vec::new();
    for (key, attempt) in attempts {
        let says = matches!(attempt.result.as_deref(), Some("pass" | "fail"));
        if !says || !attempt.is_witness || attempt.log_status != "complete" {
            continue;
        }
        let codes: Vec<i32> = told.get(key).iter().flat_map(|told| &told.lines).filter_map(|l| l.exit_code).collect();
        let agrees = codes.len() == 1 && Some(codes[0]) == attempt.exit_code;
        if !agrees || (attempt.exit_code == Some(0)) != (attempt.result.as_deref() == Some("pass")) {
            let row = format!(
                "attempt {} of {}: {:?} with exit code {:?}, the container said {codes:?}",
                key.1, key.0, attempt.result, attempt.exit_code
            );
            broken.push((key.0, row));
        }
    }
    broken
}

fn miscounted(told: &BTreeMap<Key, Told>, attempts: &BTreeMap<Key, Attempt>) -> Broken {
    let mut broken = Vec::new();
    for (key, told) in told {
        let Some(attempt) = attempts.get(key).filter(|attempt| attempt.result.is_some()) else { continue };
        let Some(wrote) = told.lines.iter().find_map(|line| line.stdout) else { continue };
        // An incomplete log does not know how much it lacks.
        let stored = attempt.stdout_bytes + attempt.stdout_dropped;
        if stored != wrote && attempt.log_status != "incomplete" {
            broken.push((
                key.0,
                format!("attempt {} of {}: wrote {wrote} bytes, {stored} are accounted for", key.1, key.0),
            ));
        }
    }
    broken
}

fn overlapping(spans: &BTreeMap<Key, Span>, frozen: &[Key]) -> Broken {
    let mut broken = Vec::new();
    for ((run, attempt), span) in spans {
        for ((_, other), second) in spans.range((*run, attempt + 1)..=(*run, i16::MAX)) {
            if frozen.contains(&(*run, *attempt)) || frozen.contains(&(*run, *other)) {
                continue;
            }
            let (first, later) = if span.from <= second.from { (span, second) } else { (second, span) };
            if later.from + CLOCK_TICK < first.to {
                let both = (first.to.min(later.to) - later.from) as f64 / 1e9;
                broken.push((
                    *run,
                    format!("attempts {attempt} and {other} of {run} were alive together for {both:.3} s"),
                ));
            }
        }
    }
    broken
}

async fn revived(conn: &mut PgConnection, spans: &BTreeMap<Key, Span>, attempts: &BTreeMap<Key, Attempt>) -> Broken {
    // While a run waits, its event carries the number of the last attempt that it had.
    let waiting: Vec<(Uuid, i16)> =
        sqlx::query_as("SELECT run_id, attempt FROM run_event WHERE state_from = 'queued' AND result = 'cancelled'")
            .fetch_all(conn)
            .await
            .expect("read the cancels");
    let row =
        |run: &Uuid, attempt: &i16| (*run, format!("attempt {attempt} of {run} was alive though it was cancelled"));
    let later = spans.keys().filter(|(run, attempt)| waiting.iter().any(|(gone, last)| gone == run && attempt > last));
    let leased = spans.keys().filter(|key| attempts.get(key).is_some_and(|attempt| attempt.cancelled_unstarted));
    later.chain(leased).map(|(run, attempt)| row(run, attempt)).collect()
}

fn outlived(spans: &BTreeMap<Key, Span>, cancels: &[Cancel]) -> Broken {
    let mut broken = Vec::new();
    for cancel in cancels {
        for ((run, attempt), span) in spans.range((cancel.run, i16::MIN)..=(cancel.run, i16::MAX)) {
            if span.to > cancel.answered + cancel.bound {
                let late = (span.to - cancel.answered) as f64 / 1e9;
                broken.push((*run, format!("attempt {attempt} of {run} was alive {late:.3} s after its cancel")));
            }
        }
    }
    broken
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_witness_line_is_told_from_other_output() {
        let id = Uuid::now_v7();
        let begin = Line::parse(&format!("S {id} 2 1234560000000 7")).unwrap();
        assert_eq!((begin.run, begin.attempt, begin.at, begin.exit_code), (id, 2, 1_234_560_000_000, None));
        let end = Line::parse(&format!("E {id} 2 1234560000000 7 3 10")).unwrap();
        assert_eq!((end.exit_code, end.stdout), (Some(3), Some(10)));
        for other in ["", "S", "Some text of a test that is long", &format!("E {id} 2 1 7"), &format!("S {id} x 1 7")] {
            assert_eq!(Line::parse(other), None, "{other}");
        }
    }

    #[test]
    fn only_what_certainly_overlapped_did() {
        let run = Uuid::now_v7();
        let spans = |a: (i64, i64), b: (i64, i64)| {
            let second = 1_000_000_000;
            let span = |(from, to): (i64, i64)| Span { from: from * second, to: to * second };
            overlapping(&BTreeMap::from([((run, 1), span(a)), ((run, 2), span(b))]), &[]).len()
        };
        assert_eq!(spans((1, 5), (5, 9)), 0, "one after the other");
        assert_eq!(spans((1, 5), (4, 9)), 1);
        assert_eq!(spans((4, 9), (1, 5)), 1, "whichever was first");
        assert_eq!(spans((1, 5), (3, 3)), 1, "seen once, in the midst of the other");
        assert_eq!(spans((5, 5), (5, 5)), 0);
    }
}
