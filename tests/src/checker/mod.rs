//! The checker: judges a database and what was seen from outside of it by the invariants I1 to I16 of the contract.
//!
//! It decides by evidence of its own and by no code of the product: events and rows are read by SQL, results are
//! compared with what containers printed and what was seen of their processes, schedules with an oracle that the caller
//! brings. What a caller has no evidence of is not judged. `docs/faults.md` says what stands for each invariant.

mod history;
mod logs;
mod schedule;
mod snapshot;
mod tables;
mod witness;

use std::fmt;

use serde_json::Value;
use sqlx::PgConnection;
use uuid::Uuid;

pub use history::{Asked, History, Known, Request};
pub use logs::{attempts, pieces};
pub use schedule::{Expected, product};
pub use snapshot::Snapshot;
pub use witness::{Cancel, Line, Span, Witness, boot_nanos};

use crate::invariants;

/// How many runs are shown of those that break a rule.
const SHOWN: usize = 3;

/// An invariant that does not hold.
#[derive(Debug, Clone)]
pub struct Violation {
    /// Its number, for instance `I8`.
    pub invariant: String,
    /// What should hold.
    pub claim: String,
    /// The rows that show that it does not.
    pub rows: Vec<String>,
}

impl Violation {
    fn new(invariant: &str, claim: impl Into<String>, rows: Vec<String>) -> Self {
        Self { invariant: invariant.to_owned(), claim: claim.into(), rows }
    }
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.invariant, self.claim)?;
        self.rows.iter().try_for_each(|row| write!(f, "\n    {row}"))
    }
}

/// Runs that were shown to somebody.
#[derive(Debug, Clone)]
pub struct Seen {
    /// Who saw them, for messages.
    pub who: String,
    /// The namespaces that they may see.
    pub may_see: Vec<String>,
    /// What they were shown.
    pub runs: Vec<Uuid>,
}

/// What somebody was told that a namespace has stored.
#[derive(Debug, Clone)]
pub struct Summary {
    /// The namespace.
    pub namespace: String,
    /// How many runs.
    pub runs: i64,
    /// How many bytes of logs.
    pub log_bytes: i64,
    /// How many bytes of artifacts.
    pub artifact_bytes: i64,
}

/// What was seen from outside of the database.
#[derive(Debug, Default)]
pub struct Evidence {
    /// Every request that made anything, with its outcome; without it nothing is said of I9.
    pub history: Option<History>,
    /// What containers printed, and what was seen of their processes.
    pub witness: Witness,
    /// Every test with a schedule, with the instants that it had; without it nothing is said of I10.
    pub schedules: Option<Vec<Expected>>,
    /// What was in the database before.
    pub snapshots: Vec<Snapshot>,
    /// Cancels of running runs that were answered.
    pub cancels: Vec<Cancel>,
    /// Attempts whose whole machine stood still, guard and all: only they may be alive beside another attempt.
    pub frozen: Vec<(Uuid, i16)>,
    /// Runs that were shown to people with limited rights.
    pub seen: Vec<Seen>,
    /// What was told of namespaces when everything was at rest.
    pub summaries: Vec<Summary>,
    /// Secrets that may stand nowhere.
    pub secrets: Vec<String>,
    /// Texts in which no secret may stand: logs of servers, bodies of errors. A name, and the text.
    pub texts: Vec<(String, String)>,
    /// The faults have stopped and everything had its time: what is still there that should not be.
    pub leftovers: Option<Vec<String>>,
}

/// Finds every invariant that does not hold.
pub async fn violations(conn: &mut PgConnection, evidence: &Evidence) -> Vec<Violation> {
    let mut found = Vec::new();
    for broken in invariants::broken(conn).await.into_iter().chain(tables::broken(conn).await) {
        let (invariant, claim) = broken.name.split_once(": ").unwrap_or(("", broken.name));
        let rows = rows_of(conn, &broken.runs).await;
        found.push(Violation::new(invariant, claim, rows));
    }
    found.extend(logs::violations(conn).await);
    found.extend(witness::violations(conn, &evidence.witness, &evidence.cancels, &evidence.frozen).await);
    found.extend(snapshot::violations(conn, &evidence.snapshots).await);
    found.extend(tables::foreign(conn, &evidence.seen).await);
    found.extend(tables::miscounted(conn, &evidence.summaries).await);
    found.extend(tables::secrets(conn, &evidence.secrets, &evidence.texts).await);
    if let Some(history) = &evidence.history {
        found.extend(history::violations(conn, history).await);
    }
    if let Some(schedules) = &evidence.schedules {
        found.extend(schedule::violations(conn, schedules).await);
    }
    if let Some(leftovers) = &evidence.leftovers {
        found.extend(tables::alive(conn, leftovers).await);
    }
    found
}

/// Fails when an invariant does not hold, with everything that shows it.
pub async fn check(conn: &mut PgConnection, evidence: &Evidence) {
    let found = violations(conn, evidence).await;
    let told: Vec<String> = found.iter().map(ToString::to_string).collect();
    assert!(told.is_empty(), "{} invariants do not hold:\n{}", told.len(), told.join("\n"));
}

/// Returns everything that the database knows of the first of these runs, but for the bytes of their logs.
async fn rows_of(conn: &mut PgConnection, runs: &[Uuid]) -> Vec<String> {
    let mut rows = Vec::new();
    for run in runs.iter().take(SHOWN) {
        let row: Value = sqlx::query_scalar(
            "SELECT jsonb_build_object(
                 'run', (SELECT to_jsonb(t) FROM run t WHERE id = $1),
                 'lease', (SELECT jsonb_agg(to_jsonb(t)) FROM lease t WHERE run_id = $1),
                 'waits', (SELECT count(*) FROM ready t WHERE run_id = $1),
                 'delayed', (SELECT jsonb_agg(to_jsonb(t)) FROM delayed t WHERE run_id = $1),
                 'end', (SELECT jsonb_agg(to_jsonb(t)) FROM run_end t WHERE run_id = $1),
                 'attempts', (SELECT jsonb_agg(to_jsonb(t) ORDER BY attempt) FROM attempt t WHERE run_id = $1),
                 'events', (SELECT jsonb_agg(to_jsonb(t) ORDER BY at, id) FROM run_event t WHERE run_id = $1),
                 'log', (SELECT jsonb_agg(jsonb_build_array(attempt, seq, stream, start, coalesce(raw_bytes, octet_length(body)))
                                          ORDER BY attempt, seq) FROM log_chunk t WHERE run_id = $1),
                 'artifacts', (SELECT jsonb_agg(jsonb_build_array(attempt, path, bytes, blob)) FROM artifact t WHERE run_id = $1),
                 'collected', (SELECT jsonb_agg(to_jsonb(t) ORDER BY attempt) FROM collected t WHERE run_id = $1),
                 'output', (SELECT jsonb_agg(to_jsonb(t) ORDER BY attempt) FROM output t WHERE run_id = $1))",
        )
        .bind(run)
        .fetch_one(&mut *conn)
        .await
        .expect("read the rows of a run");
        let mut text = format!("{run}: {row}");
        if text.len() > 6000 {
            text.truncate(text.floor_char_boundary(6000));
            text.push('…');
        }
        rows.push(text);
    }
    if runs.len() > SHOWN {
        rows.push(format!("and {} more", runs.len() - SHOWN));
    }
    rows
}
