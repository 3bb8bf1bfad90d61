//! What streams of events tell: changes of runs in the order of their transactions, and marks by which other changes are seen.
//!
//! A transaction that is under way may yet write with a lower number than what is seen. So events are read up to the lowest
//! number that is under way: nothing can come before what was read.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use chrono::{DateTime, Utc};
use tstr_shared::ids::{RunId, RunnerId, TestId};
use tstr_shared::permission::RunsRead;
use tstr_shared::run::{RunResult, RunState};
use tstr_shared::runner::{OFFLINE_AFTER_SECS, RunnerState};
use uuid::Uuid;

use super::Conn;
use crate::auth::access::{Access, System};
use crate::error::Result;

/// A place in the order of all events: a transaction, and an event of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub struct Place {
    /// The transaction.
    pub txid: i64,
    /// The event; 0 is before all of the transaction.
    pub id: i64,
}

impl Place {
    /// Returns the place before everything that a transaction has written.
    pub fn before(txid: i64) -> Self {
        Self { txid, id: 0 }
    }
}

/// A run that came into a state.
#[derive(Debug, Clone)]
pub struct Happened {
    /// Where it stands in the order of all.
    pub place: Place,
    /// The run.
    pub run_id: RunId,
    /// When.
    pub at: DateTime<Utc>,
    /// The state that it came into.
    pub state: RunState,
    /// The attempt; 0 before the first.
    pub attempt: i16,
    /// The result, if it has ended.
    pub result: Option<RunResult>,
    /// The namespace, the test and its name; absent where they are not among those that were asked for, or gone.
    pub of: Option<(i32, TestId, Arc<str>)>,
}

/// Up to where events are read now.
#[derive(Debug, Clone, Copy)]
pub struct Horizon {
    /// The lowest transaction that is under way: all before it are told.
    pub txid: i64,
    /// The transaction that comes next: nothing is of this one or of a later one.
    pub next: i64,
    /// Others have written behind it already, and have to wait for it.
    pub is_held: bool,
    /// Everything of transactions before this one is summed up.
    pub digested_before: i64,
    /// Everything that can be seen is summed up. The transaction above goes on only when there is something to sum up.
    pub is_all_digested: bool,
}

impl Horizon {
    /// Tells whether everything of transactions before one is summed up.
    pub fn is_summed_up(&self, before: i64) -> bool {
        self.is_all_digested || before <= self.digested_before
    }
}

/// Tells up to where events can be read now.
pub async fn horizon<P>(conn: &mut Conn, _: &Access<P>) -> Result<Horizon> {
    let row = sqlx::query!(
        r#"SELECT (s.until::text)::bigint AS "until!", (s.next::text)::bigint AS "next!",
                  has_events_from(s.until) AS "is_held!", (digested_before()::text)::bigint AS "digested!",
                  NOT EXISTS (SELECT FROM undigested_runs(1)) AS "is_all_digested!"
           FROM (SELECT pg_snapshot_xmin(s) AS until, pg_snapshot_xmax(s) AS next FROM pg_current_snapshot() s) s"#
    );
    let row = row.fetch_one(conn).await?;
    Ok(Horizon {
        txid: row.until,
        next: row.next,
        is_held: row.is_held,
        digested_before: row.digested,
        is_all_digested: row.is_all_digested,
    })
}

/// Reads events behind `since` of transactions before `before`, up to `most`: those of all namespaces.
pub async fn between(
    conn: &mut Conn,
    _: &Access<System>,
    since: Place,
    before: i64,
    most: i32,
) -> Result<Vec<Happened>> {
    read(conn, None, since, before, most).await
}

/// The same for somebody who sees some namespaces: what is of others is told as a place alone.
pub async fn between_for(
    conn: &mut Conn,
    access: &Access<RunsRead>,
    since: Place,
    before: i64,
    most: i32,
) -> Result<Vec<Happened>> {
    read(conn, Some(access.namespaces()), since, before, most).await
}

async fn read(
    conn: &mut Conn,
    namespaces: Option<&[i32]>,
    since: Place,
    before: i64,
    most: i32,
) -> Result<Vec<Happened>> {
    // Rows are looked up one by one: a join that was planned while the tables were empty would read all of them.
    let rows = sqlx::query!(
        r#"SELECT (e.txid::text)::bigint AS "txid!", e.id AS "id!", e.run_id AS "run_id!: RunId", e.at AS "at!",
                  e.state_to AS "state!: RunState", e.attempt AS "attempt!", e.result AS "result: RunResult",
                  r.ns_id AS "ns_id?", r.test_id AS "test_id?: TestId", r.name AS "name?"
           FROM events_between($1::text::xid8, $2, $3::text::xid8, $4) e
           LEFT JOIN LATERAL (
               SELECT run.ns_id, run.test_id, test.name
               FROM run JOIN test ON test.id = run.test_id
               WHERE run.id = e.run_id AND ($5::int[] IS NULL OR run.ns_id = ANY($5))
               OFFSET 0) r ON true
           ORDER BY e.txid, e.id"#,
        since.txid.to_string(),
        since.id,
        before.to_string(),
        most,
        namespaces
    );
    let rows = rows.fetch_all(conn).await?;
    // Many are of few tests, and are kept for as long as somebody reads slowly.
    let mut names: HashMap<TestId, Arc<str>> = HashMap::new();
    let happened = rows.into_iter().map(|row| Happened {
        place: Place { txid: row.txid, id: row.id },
        run_id: row.run_id,
        at: row.at,
        state: row.state,
        attempt: row.attempt,
        result: row.result,
        of: row
            .ns_id
            .zip(row.test_id)
            .zip(row.name)
            .map(|((ns, test), name)| (ns, test, names.entry(test).or_insert_with(|| name.into()).clone())),
    });
    Ok(happened.collect())
}

/// How a runner is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RunnerMark {
    /// The runner.
    pub id: RunnerId,
    /// Its name.
    pub name: String,
    /// The selectors of its namespaces.
    pub namespaces: Vec<String>,
    /// Its state.
    pub state: RunnerState,
    /// Why it takes nothing.
    pub unfit: Option<String>,
}

/// Reads how all runners are.
pub async fn runner_marks(conn: &mut Conn, _: &Access<System>) -> Result<Vec<RunnerMark>> {
    let rows = sqlx::query!(
        r#"SELECT id AS "id: RunnerId", name, namespaces, draining, unfit,
                  last_seen_at > clock_timestamp() - make_interval(secs => $1) AS "live!"
           FROM runner ORDER BY id"#,
        OFFLINE_AFTER_SECS as f64
    );
    let mark = |(live, draining)| match (live, draining) {
        (false, _) => RunnerState::Offline,
        (true, true) => RunnerState::Draining,
        (true, false) => RunnerState::Live,
    };
    let rows = rows.fetch_all(conn).await?.into_iter();
    let marks = rows.map(|row| RunnerMark {
        id: row.id,
        name: row.name,
        namespaces: row.namespaces,
        state: mark((row.live, row.draining)),
        unfit: row.unfit,
    });
    Ok(marks.collect())
}

/// Finds those tests of which a cell became healthy, flaky or broken by a run that ended at an instant or later.
pub async fn with_new_status(
    conn: &mut Conn,
    _: &Access<System>,
    since: &[(TestId, DateTime<Utc>)],
) -> Result<HashSet<TestId>> {
    let tests: Vec<Uuid> = since.iter().map(|(test, _)| test.0).collect();
    let instants: Vec<DateTime<Utc>> = since.iter().map(|(_, since)| *since).collect();
    // A cell notes the end of the run to the millisecond, and the event is written a moment later.
    let found = sqlx::query_scalar!(
        r#"SELECT u.test_id AS "test!: TestId"
           FROM unnest($1::uuid[], $2::timestamptz[]) AS u(test_id, since)
           WHERE EXISTS (SELECT FROM cell c WHERE c.test_id = u.test_id AND c.changed_at >= u.since - interval '1 second'
                         OFFSET 0)"#,
        &tests,
        &instants
    );
    Ok(found.fetch_all(conn).await?.into_iter().collect())
}

/// A test that was changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ChangedTest {
    /// The test.
    pub id: TestId,
    /// The namespace.
    pub ns_id: i32,
    /// When it was changed or removed last.
    pub at: DateTime<Utc>,
}

/// Reads which tests were changed within so many seconds, the latest first.
pub async fn changed_tests(
    conn: &mut Conn,
    _: &Access<System>,
    within_secs: f64,
    most: i64,
) -> Result<Vec<ChangedTest>> {
    let rows = sqlx::query_as!(
        ChangedTest,
        r#"SELECT id AS "id: TestId", ns_id, greatest(updated_at, deleted_at) AS "at!"
           FROM test
           WHERE greatest(updated_at, deleted_at) > now() - make_interval(secs => $1)
           ORDER BY greatest(updated_at, deleted_at) DESC LIMIT $2"#,
        within_secs,
        most
    );
    Ok(rows.fetch_all(conn).await?)
}
