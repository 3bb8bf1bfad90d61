//! What is remembered of cases, as people read it: the changes of a run, the cases of a test, the history of a case.

use chrono::{DateTime, Utc};
use sqlx::types::Json;
use tstr_shared::analysis::flaky::{MonitorFinding, Status};
use tstr_shared::analysis::history::{Moment, Since, Standing};
use tstr_shared::health::{CaseChange, CaseRun, CaseState, StateFilter};
use tstr_shared::ids::{RunId, TestId};
use tstr_shared::labels::Labels;
use tstr_shared::permission::{RunsRead, TestsRead};
use tstr_shared::report::{CaseId, CaseKey, CaseStatus};
use uuid::Uuid;

use super::testdefs::ReadsTests;
use super::{Conn, custom_plans, key_of};
use crate::auth::access::Access;
use crate::error::Result;

fn moment(at: Option<DateTime<Utc>>, run: Option<RunId>) -> Option<Moment> {
    at.zip(run).map(|(at, run_id)| Moment { at, run_id })
}

fn since(at: Option<DateTime<Utc>>, run: Option<RunId>, runs: Option<i32>) -> Option<Since> {
    moment(at, run).zip(runs).map(|(first, runs)| Since { first, runs: runs.unsigned_abs() })
}

/// How many cases of a standing a run has.
#[derive(Debug, Clone, Copy)]
pub struct Counted {
    /// The standing.
    pub standing: Standing,
    /// How many.
    pub count: u64,
}

/// Counts what a run changed.
pub async fn count_changes(conn: &mut Conn, _: &Access<RunsRead>, run: RunId) -> Result<Vec<Counted>> {
    let rows = sqlx::query!(
        r#"SELECT standing AS "standing: Standing", count(*) AS "count!" FROM standing WHERE run_id = $1 GROUP BY standing"#,
        run.0
    );
    let rows = rows.fetch_all(conn).await?;
    Ok(rows.into_iter().map(|row| Counted { standing: row.standing, count: row.count.unsigned_abs() }).collect())
}

/// Reads what a run changed, the worst first.
pub async fn changes(conn: &mut Conn, _: &Access<RunsRead>, run: RunId, limit: i64) -> Result<Vec<CaseChange>> {
    let rows = sqlx::query!(
        r#"SELECT s.case_id AS "case_id: CaseId", k.suite AS "suite: Json<Vec<String>>", k.classname, k.name, k.file,
                  k.own_id, s.standing AS "standing: Standing", s.since_at, s.since_run AS "since_run: RunId", s.since_runs,
                  s.failed_at, s.failed_run AS "failed_run: RunId", s.failed_runs, e.finished_at AS "finished_at?"
           FROM standing s
           JOIN case_key k ON k.case_id = s.case_id
           LEFT JOIN run_end e ON e.run_id = s.run_id
           WHERE s.run_id = $1
           ORDER BY array_position(ARRAY['new', 'still_failing', 'fixed', 'missing', 'removed'], s.standing), k.name,
                    s.case_id
           LIMIT $2"#,
        run.0,
        limit
    );
    let rows = rows.fetch_all(conn).await?.into_iter().map(|row| {
        let since_now = since(row.since_at, row.since_run, row.since_runs);
        let days = since_now.zip(row.finished_at).map_or(0, |(since, at)| since.days(at));
        CaseChange {
            case_id: row.case_id,
            key: key_of(row.suite, row.classname, row.name, row.file, row.own_id),
            standing: row.standing,
            since: since_now,
            days,
            failed_since: since(row.failed_at, row.failed_run, row.failed_runs),
        }
    });
    Ok(rows.collect())
}

/// Where a list of cases goes on: behind this duration, cell and case.
pub type Place = (i64, i32, CaseId);

/// A case with its place in the list.
pub struct Listed {
    /// The case.
    pub state: CaseState,
    /// Its place.
    pub place: Place,
}

struct StateRow {
    cell_id: i32,
    case_id: CaseId,
    labels: Json<Labels>,
    suite: Json<Vec<String>>,
    classname: Option<String>,
    name: String,
    file: Option<String>,
    own_id: Option<String>,
    standing: Standing,
    first_seen_at: DateTime<Utc>,
    first_seen_run: RunId,
    last_seen_at: DateTime<Utc>,
    last_seen_run: RunId,
    since_at: Option<DateTime<Utc>>,
    since_run: Option<RunId>,
    since_runs: Option<i32>,
    absent_at: Option<DateTime<Utc>>,
    absent_run: Option<RunId>,
    absent_runs: Option<i32>,
    last_pass_at: Option<DateTime<Utc>>,
    last_pass_run: Option<RunId>,
    last_fail_at: Option<DateTime<Utc>>,
    last_fail_run: Option<RunId>,
    duration_ms: Option<i64>,
    status: Status,
    changed_at: Option<DateTime<Utc>>,
    findings: Option<Json<Vec<MonitorFinding>>>,
}

impl From<StateRow> for Listed {
    fn from(row: StateRow) -> Self {
        let key = key_of(row.suite, row.classname, row.name, row.file, row.own_id);
        let state = CaseState {
            case_id: row.case_id,
            key,
            cell: row.labels.0,
            standing: row.standing,
            since: since(row.since_at, row.since_run, row.since_runs),
            absent: since(row.absent_at, row.absent_run, row.absent_runs),
            first_seen: Moment { at: row.first_seen_at, run_id: row.first_seen_run },
            last_seen: Moment { at: row.last_seen_at, run_id: row.last_seen_run },
            last_pass: moment(row.last_pass_at, row.last_pass_run),
            last_fail: moment(row.last_fail_at, row.last_fail_run),
            duration_ms: row.duration_ms.map(i64::unsigned_abs),
            status: row.status,
            changed_at: row.changed_at,
            findings: row.findings.map(|findings| findings.0).unwrap_or_default(),
        };
        Self { place: (row.duration_ms.unwrap_or(-1), row.cell_id, row.case_id), state }
    }
}

/// Lists the cases of a test in its cells, behind a place.
pub async fn states(
    conn: &mut Conn,
    access: &Access<TestsRead>,
    test: TestId,
    case: Option<CaseId>,
    filter: &StateFilter,
    after: Option<Place>,
    limit: i64,
) -> Result<Vec<Listed>> {
    custom_plans(conn).await?;
    let standings: Vec<String> = filter.standings.iter().map(|it| it.word().to_owned()).collect();
    let statuses: Vec<String> = filter.statuses.iter().map(|it| it.word().to_owned()).collect();
    let rows = sqlx::query_as!(
        StateRow,
        r#"SELECT s.cell_id, s.case_id AS "case_id: CaseId", c.labels AS "labels: Json<Labels>",
                  k.suite AS "suite: Json<Vec<String>>", k.classname, k.name, k.file, k.own_id,
                  s.standing AS "standing: Standing", s.first_seen_at, s.first_seen_run AS "first_seen_run: RunId",
                  s.last_seen_at, s.last_seen_run AS "last_seen_run: RunId", s.since_at, s.since_run AS "since_run: RunId",
                  s.since_runs, s.absent_at, s.absent_run AS "absent_run: RunId", s.absent_runs, s.last_pass_at,
                  s.last_pass_run AS "last_pass_run: RunId", s.last_fail_at, s.last_fail_run AS "last_fail_run: RunId",
                  s.duration_ms, s.status AS "status: Status", s.changed_at, s.findings AS "findings: Json<Vec<MonitorFinding>>"
           FROM cell c
           JOIN case_state s ON s.cell_id = c.id
           JOIN case_key k ON k.case_id = s.case_id
           WHERE c.test_id = $1 AND c.ns_id = ANY($2)
             AND ($3::jsonb IS NULL OR c.labels = $3)
             AND ($4::uuid IS NULL OR s.case_id = $4)
             AND (cardinality($5::text[]) = 0 OR s.standing = ANY($5))
             AND (cardinality($6::text[]) = 0 OR s.status = ANY($6))
             AND ($7::text IS NULL
                  OR position(lower($7) IN lower(concat_ws(' ', k.suite::text, k.classname, k.name, k.file, k.own_id))) > 0)
             AND ($9::bigint IS NULL
                  OR CASE WHEN $8 THEN (-coalesce(s.duration_ms, -1), s.cell_id, s.case_id) > (-$9, $10, $11)
                          ELSE (s.cell_id, s.case_id) > ($10, $11) END)
           ORDER BY CASE WHEN $8 THEN -coalesce(s.duration_ms, -1) END, s.cell_id, s.case_id
           LIMIT $12"#,
        test.0,
        access.namespaces(),
        filter.cell.as_ref().map(|cell| serde_json::json!(cell)),
        case.map(|case| case.0),
        &standings,
        &statuses,
        filter.text,
        filter.slowest,
        after.map(|place| place.0),
        after.map(|place| place.1),
        after.map(|place| place.2.0),
        limit
    );
    Ok(rows.fetch_all(conn).await?.into_iter().map(Into::into).collect())
}

/// Reads the history of a case, the newest run first, from a run on and before another: in all cells, or in one.
pub async fn history(
    conn: &mut Conn,
    access: &Access<TestsRead>,
    test: TestId,
    case: CaseId,
    cell: Option<&Labels>,
    (from, before): (Option<Uuid>, Option<Uuid>),
    limit: i64,
) -> Result<Vec<CaseRun>> {
    custom_plans(conn).await?;
    // The newest of each cell, and of these the newest: every step reads an index, however long the history is. The bounds stand
    // at both tables, so that only the partitions of these days are planned for.
    let rows = sqlx::query!(
        r#"SELECT h.run_id AS "run_id!: RunId", c.labels AS "labels!: Json<Labels>", h.attempt AS "attempt!",
                  h.finished_at AS "finished_at!", h.status AS "status!: CaseStatus", h.flaky AS "flaky!",
                  h.muted AS "muted!", h.duration_ms, h.message, h.image_digest
           FROM cell c
           CROSS JOIN LATERAL (
               -- Of a run that has it several times the worst.
               SELECT DISTINCT ON (r.run_id) r.run_id, r.attempt, r.status, r.flaky, r.muted, r.duration_ms, r.message,
                      e.finished_at, e.image_digest
               FROM report_case r JOIN run_end e ON e.run_id = r.run_id AND e.attempt = r.attempt
               WHERE r.case_id = $1 AND r.cell_id = c.id
                 AND ($2::uuid IS NULL OR r.run_id < $2) AND ($2::uuid IS NULL OR e.run_id < $2)
                 AND ($7::uuid IS NULL OR r.run_id >= $7) AND ($7::uuid IS NULL OR e.run_id >= $7)
               ORDER BY r.run_id DESC, r.status IN ('fail', 'error') DESC, r.report, r.place
               LIMIT $3) h
           WHERE c.test_id = $4 AND c.ns_id = ANY($5) AND ($6::jsonb IS NULL OR c.labels = $6)
           ORDER BY h.run_id DESC
           LIMIT $3"#,
        case.0,
        before,
        limit,
        test.0,
        access.namespaces(),
        cell.map(|cell| serde_json::json!(cell)),
        from
    );
    let rows = rows.fetch_all(conn).await?.into_iter().map(|row| CaseRun {
        run_id: row.run_id,
        cell: row.labels.0,
        attempt: row.attempt.unsigned_abs(),
        finished_at: row.finished_at,
        status: row.status,
        flaky: row.flaky,
        muted: row.muted,
        duration_ms: row.duration_ms.map(i64::unsigned_abs),
        message: row.message,
        image_digest: row.image_digest,
    });
    Ok(rows.collect())
}

/// Finds the key of a case of a test.
pub async fn key<P: ReadsTests>(
    conn: &mut Conn,
    access: &Access<P>,
    test: TestId,
    case: CaseId,
) -> Result<Option<CaseKey>> {
    let row = sqlx::query!(
        r#"SELECT suite AS "suite: Json<Vec<String>>", classname, name, file, own_id
           FROM case_key WHERE case_id = $1 AND test_id = $2 AND ns_id = ANY($3)"#,
        case.0,
        test.0,
        access.namespaces()
    );
    let row = row.fetch_optional(conn).await?;
    Ok(row.map(|row| key_of(row.suite, row.classname, row.name, row.file, row.own_id)))
}
