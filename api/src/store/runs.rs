//! Runs as people see them: their state put together from the queue and from history.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use sqlx::types::Json;
use tstr_shared::artifacts::ArtifactSummary;
use tstr_shared::ids::{MatrixId, RunId, RunnerId, TestId, lowest_at};
use tstr_shared::labels::Labels;
use tstr_shared::logs::LogStatus;
use tstr_shared::namespace::Namespace;
use tstr_shared::permission::{RunsRead, RunsWrite};
use tstr_shared::results::CaseCounts;
use tstr_shared::run::{Attempt, Kept, Reason, Run, RunEvent, RunFilter, RunResult, RunState, Trigger};
use tstr_shared::testdef::Priority;

use super::Conn;
use super::ends::LogDetail;
use super::queue::ConfigBody;
use crate::auth::access::Access;
use crate::error::{Error, Result};

/// Permissions under which runs may be read: for itself, or to answer a write.
pub trait ReadsRuns {}
impl ReadsRuns for RunsRead {}
impl ReadsRuns for RunsWrite {}

struct RunRow {
    id: RunId,
    namespace: String,
    test_id: TestId,
    matrix_id: MatrixId,
    labels: Json<Labels>,
    body: Json<ConfigBody>,
    priority: Priority,
    trigger: Trigger,
    scheduled_at: DateTime<Utc>,
    created_at: DateTime<Utc>,
    state: RunState,
    result: Option<RunResult>,
    reason: Option<Reason>,
    message: Option<String>,
    exit_code: Option<i32>,
    flaky: bool,
    cancel_requested: bool,
    attempt: i16,
    runner_id: Option<RunnerId>,
    runner_name: Option<String>,
    image_digest: Option<String>,
    leased_at: Option<DateTime<Utc>>,
    started_at: Option<DateTime<Utc>>,
    finished_at: Option<DateTime<Utc>>,
    log_status: LogStatus,
    log_bytes: i64,
    log_dropped: i64,
    log_removed_at: Option<DateTime<Utc>>,
    kept_at: Option<DateTime<Utc>>,
    kept_by: Option<String>,
    kept_note: Option<String>,
    log_detail: Option<Json<LogDetail>>,
    artifact_files: Option<i32>,
    artifact_bytes: Option<i64>,
    artifacts_removed_at: Option<DateTime<Utc>>,
    cases: Option<Json<CaseCounts>>,
}

/// Puts together what is told of the files that were kept.
fn artifacts(files: Option<i32>, bytes: Option<i64>, removed_at: Option<DateTime<Utc>>) -> ArtifactSummary {
    let (files, bytes) = (files.unwrap_or_default().unsigned_abs(), bytes.unwrap_or_default().unsigned_abs());
    ArtifactSummary { files, bytes, removed_at }
}

impl RunRow {
    fn into_run(self) -> Result<Run> {
        let kept = self.kept_at.zip(self.kept_by).map(|(at, by)| Kept { at, by, note: self.kept_note });
        let body = self.body.0;
        Ok(Run {
            id: self.id,
            namespace: Namespace::parse(&self.namespace).map_err(|fault| Error::internal(anyhow::anyhow!(fault)))?,
            test_id: self.test_id,
            test_name: body.test_name,
            matrix_id: self.matrix_id,
            cell: body.cell,
            labels: self.labels.0,
            annotations: body.annotations,
            run_config: body.run_config,
            state: self.state,
            result: self.result,
            reason: self.reason,
            message: self.message,
            exit_code: self.exit_code,
            flaky: self.flaky,
            cancel_requested: self.cancel_requested,
            attempt: self.attempt.unsigned_abs(),
            attempts: Vec::new(),
            runner_id: self.runner_id,
            runner_name: self.runner_name,
            image_digest: self.image_digest,
            priority: self.priority,
            trigger: self.trigger,
            scheduled_at: self.scheduled_at,
            created_at: self.created_at,
            leased_at: self.leased_at,
            started_at: self.started_at,
            finished_at: self.finished_at,
            log: LogDetail::summary(
                self.log_detail,
                self.log_status,
                self.log_bytes,
                self.log_dropped,
                self.log_removed_at,
            ),
            artifacts: artifacts(self.artifact_files, self.artifact_bytes, self.artifacts_removed_at),
            cases: self.cases.map(|cases| cases.0),
            result_data: BTreeMap::new(),
            output_notes: Vec::new(),
            kept,
        })
    }
}

macro_rules! run_query {
    ($tail:literal $(, $arg:expr)* $(,)?) => {
        sqlx::query_as!(
            RunRow,
            r#"SELECT r.id AS "id: RunId", n.name AS namespace, r.test_id AS "test_id: TestId",
                      r.matrix_id AS "matrix_id: MatrixId", k.labels AS "labels: Json<Labels>",
                      c.body AS "body: Json<ConfigBody>", r.priority AS "priority: Priority",
                      r.trigger AS "trigger: Trigger", r.scheduled_at, r.created_at,
                      CASE WHEN e.run_id IS NOT NULL THEN 'finished'
                           WHEN l.started_at IS NOT NULL THEN 'running'
                           WHEN l.run_id IS NOT NULL THEN 'leased'
                           ELSE 'queued' END AS "state!: RunState",
                      e.result AS "result?: RunResult", e.reason AS "reason?: Reason", e.message AS "message?",
                      e.exit_code AS "exit_code?", coalesce(e.flaky, false) AS "flaky!",
                      l.cancel_requested_at IS NOT NULL AS "cancel_requested!",
                      coalesce(l.attempt, e.attempt, q.attempt, d.attempt, 0::smallint) AS "attempt!",
                      coalesce(l.runner_id, e.runner_id) AS "runner_id?: RunnerId", w.name AS "runner_name?",
                      e.image_digest AS "image_digest?", coalesce(l.leased_at, e.leased_at) AS "leased_at?",
                      coalesce(l.started_at, e.started_at) AS "started_at?", e.finished_at AS "finished_at?",
                      coalesce(e.log_status, 'open') AS "log_status!: LogStatus",
                      coalesce(e.log_bytes, 0) AS "log_bytes!", coalesce(e.log_dropped, 0) AS "log_dropped!",
                      e.log_detail AS "log_detail?: Json<LogDetail>",
                      -- The day's logs are being removed; whether this one is gone, the pieces say.
                      (SELECT u.logs_removed_at FROM usage u
                       WHERE u.ns_id = r.ns_id AND u.day = id_day(r.id) AND u.logs_removed_at IS NOT NULL
                         AND e.log_bytes > 0
                         AND NOT EXISTS (SELECT FROM log_chunk g WHERE g.run_id = r.id AND g.attempt = e.attempt))
                          AS "log_removed_at?",
                      coalesce(l.artifact_files, e.artifact_files) AS "artifact_files?",
                      coalesce(l.artifact_bytes, e.artifact_bytes) AS "artifact_bytes?",
                      (SELECT u.logs_removed_at FROM usage u
                       WHERE e.artifact_files > 0 AND u.ns_id = r.ns_id AND u.day = id_day(r.id)
                         AND u.logs_removed_at IS NOT NULL AND NOT has_collected(r.id, e.attempt))
                          AS "artifacts_removed_at?",
                      CASE WHEN coalesce(l.artifact_files, e.artifact_files) > 0 OR r.trigger = 'upload'
                           THEN cases_of(r.id, coalesce(l.attempt, e.attempt)) END AS "cases?: Json<CaseCounts>",
                      p.kept_at AS "kept_at?", p.kept_by AS "kept_by?", p.note AS "kept_note?"
               FROM run r
               JOIN namespace n ON n.id = r.ns_id
               JOIN class k ON k.id = r.class_id
               JOIN config c ON c.id = r.config_id
               LEFT JOIN lease l ON l.run_id = r.id
               LEFT JOIN run_end e ON e.run_id = r.id
               LEFT JOIN ready q ON q.lane = r.class_id * 4 + r.priority AND q.seq = r.seq AND q.run_id = r.id
               LEFT JOIN delayed d ON d.run_id = r.id
               LEFT JOIN runner w ON w.id = coalesce(l.runner_id, e.runner_id)
               LEFT JOIN keep p ON p.run_id = r.id "# + $tail
            $(, $arg)*
        )
    };
}

/// Reads runs by their ids, in the order of the ids.
pub async fn by_ids<P: ReadsRuns>(conn: &mut Conn, access: &Access<P>, ids: &[RunId]) -> Result<Vec<Run>> {
    let rows = run_query!(
        "WHERE r.id = ANY($1) AND r.ns_id = ANY($2) ORDER BY r.id",
        &super::queue::uuids(ids),
        access.namespaces()
    );
    rows.fetch_all(conn).await?.into_iter().map(RunRow::into_run).collect()
}

/// Lists the runs of the namespace of the access, the newest first, behind `before`.
///
/// The caller's transaction asks for plans that know the arguments, so that conditions that are not given cost nothing.
pub async fn list(
    conn: &mut Conn,
    access: &Access<RunsRead>,
    filter: &RunFilter,
    test: Option<TestId>,
    before: Option<RunId>,
    limit: i64,
) -> Result<Vec<Run>> {
    super::custom_plans(conn).await?;
    // The runs of a matrix share the milliseconds in their ids; so do times of the schedule.
    let (matrix_from, matrix_to) = match filter.matrix_id {
        Some(id) => (Some(lowest_at(id.time())), Some(lowest_at(id.time() + chrono::Duration::milliseconds(1)))),
        None => (None, None),
    };
    let words = |states: &[RunState]| states.iter().map(|state| state.word().to_owned()).collect::<Vec<_>>();
    let results = filter.results.iter().map(|result| result.word().to_owned()).collect::<Vec<_>>();
    let rows = run_query!(
        r#"WHERE r.ns_id = $1
             AND ($2::uuid IS NULL OR r.id < $2)
             AND ($3::uuid IS NULL OR r.test_id = $3)
             AND ($4::uuid IS NULL OR (r.matrix_id = $4 AND r.id >= $5 AND r.id < $6))
             AND ($7::uuid IS NULL OR coalesce(l.runner_id, e.runner_id) = $7)
             AND (cardinality($8::text[]) = 0 OR
                  CASE WHEN e.run_id IS NOT NULL THEN 'finished'
                       WHEN l.started_at IS NOT NULL THEN 'running'
                       WHEN l.run_id IS NOT NULL THEN 'leased'
                       ELSE 'queued' END = ANY($8))
             AND (cardinality($9::text[]) = 0 OR e.result = ANY($9))
             AND k.labels @> $10
             AND ($11::timestamptz IS NULL OR r.scheduled_at > $11)
             AND ($12::timestamptz IS NULL OR r.scheduled_at < $12)
             AND ($13::timestamptz IS NULL OR coalesce(l.started_at, e.started_at) > $13)
             AND ($14::timestamptz IS NULL OR coalesce(l.started_at, e.started_at) < $14)
             AND ($15::timestamptz IS NULL OR e.finished_at > $15)
             AND ($16::timestamptz IS NULL OR e.finished_at < $16)
             AND ($18::boolean IS NULL OR (p.run_id IS NOT NULL) = $18)
           ORDER BY r.id DESC
           LIMIT $17"#,
        access.namespace(),
        before.map(|id| id.0),
        test.map(|id| id.0),
        filter.matrix_id.map(|id| id.0),
        matrix_from,
        matrix_to,
        filter.runner.map(|id| id.0),
        &words(&filter.states),
        &results,
        Json(&filter.labels) as _,
        filter.scheduled_after,
        filter.scheduled_before,
        filter.started_after,
        filter.started_before,
        filter.finished_after,
        filter.finished_before,
        limit,
        filter.kept
    );
    rows.fetch_all(conn).await?.into_iter().map(RunRow::into_run).collect()
}

struct AttemptRow {
    attempt: i16,
    runner_id: RunnerId,
    runner_name: Option<String>,
    leased_at: DateTime<Utc>,
    started_at: Option<DateTime<Utc>>,
    ended_at: Option<DateTime<Utc>>,
    result: Option<RunResult>,
    reason: Option<Reason>,
    message: Option<String>,
    exit_code: Option<i32>,
    image_digest: Option<String>,
    log_status: LogStatus,
    log_bytes: i64,
    log_dropped: i64,
    log_removed_at: Option<DateTime<Utc>>,
    log_detail: Option<Json<LogDetail>>,
    artifact_files: Option<i32>,
    artifact_bytes: Option<i64>,
    artifacts_removed_at: Option<DateTime<Utc>>,
}

/// Reads the attempts of a run, the live one included.
pub async fn attempts<P: ReadsRuns>(conn: &mut Conn, access: &Access<P>, run: RunId) -> Result<Vec<Attempt>> {
    let rows = sqlx::query_as!(
        AttemptRow,
        r#"SELECT a.attempt AS "attempt!", a.runner_id AS "runner_id!: RunnerId", w.name AS "runner_name?",
                  a.leased_at AS "leased_at!", a.started_at, a.ended_at, a.result AS "result?: RunResult",
                  a.reason AS "reason?: Reason", a.message, a.exit_code, a.image_digest,
                  a.log_status AS "log_status!: LogStatus", a.log_bytes AS "log_bytes!", a.log_dropped AS "log_dropped!",
                  a.log_detail AS "log_detail?: Json<LogDetail>",
                  CASE WHEN a.log_bytes > 0 AND a.ended_at IS NOT NULL AND u.logs_removed_at IS NOT NULL
                            AND NOT EXISTS (SELECT FROM log_chunk g WHERE g.run_id = $1 AND g.attempt = a.attempt)
                       THEN u.logs_removed_at END AS "log_removed_at?",
                  a.artifact_files, a.artifact_bytes,
                  CASE WHEN a.artifact_files > 0 AND a.ended_at IS NOT NULL AND u.logs_removed_at IS NOT NULL
                            AND NOT has_collected($1, a.attempt)
                       THEN u.logs_removed_at END AS "artifacts_removed_at?"
           FROM (
               SELECT run_id, attempt, runner_id, leased_at, started_at, ended_at, result, reason, message, exit_code,
                      image_digest, log_status, stdout_bytes + stderr_bytes AS log_bytes,
                      stdout_dropped + stderr_dropped AS log_dropped, log_detail, artifact_files, artifact_bytes
               FROM attempt WHERE run_id = $1
               UNION ALL
               SELECT l.run_id, l.attempt, l.runner_id, l.leased_at, l.started_at, NULL, NULL, NULL, NULL, NULL, NULL, 'open',
                      (SELECT coalesce(sum(k.stored), 0)::bigint FROM (VALUES (1), (2)) AS s(stream)
                       CROSS JOIN LATERAL (
                           SELECT start + coalesce(raw_bytes, octet_length(body)) - coalesce(cut_bytes, 0) AS stored
                           FROM log_chunk WHERE run_id = l.run_id AND attempt = l.attempt AND stream = s.stream
                           ORDER BY start DESC LIMIT 1) k), 0, NULL, l.artifact_files, l.artifact_bytes
               FROM lease l WHERE l.run_id = $1
           ) a
           JOIN run r ON r.id = $1 AND r.ns_id = ANY($2)
           LEFT JOIN runner w ON w.id = a.runner_id
           LEFT JOIN usage u ON u.ns_id = r.ns_id AND u.day = id_day($1)
           ORDER BY a.attempt"#,
        run.0,
        access.namespaces()
    );
    Ok(rows
        .fetch_all(conn)
        .await?
        .into_iter()
        .map(|row| Attempt {
            attempt: row.attempt.unsigned_abs(),
            runner_id: row.runner_id,
            runner_name: row.runner_name.unwrap_or_default(),
            leased_at: row.leased_at,
            started_at: row.started_at,
            ended_at: row.ended_at,
            result: row.result,
            reason: row.reason,
            message: row.message,
            exit_code: row.exit_code,
            image_digest: row.image_digest,
            log: LogDetail::summary(row.log_detail, row.log_status, row.log_bytes, row.log_dropped, row.log_removed_at),
            artifacts: artifacts(row.artifact_files, row.artifact_bytes, row.artifacts_removed_at),
        })
        .collect())
}

/// Reads the events of a run in their order.
pub async fn events(conn: &mut Conn, access: &Access<RunsRead>, run: RunId) -> Result<Vec<RunEvent>> {
    let rows = sqlx::query!(
        r#"SELECT v.id, v.at, v.state_from AS "state_from?: RunState", v.state_to AS "state_to: RunState", v.attempt,
                  v.result AS "result?: RunResult", v.reason AS "reason?: Reason", v.actor
           FROM run_event v
           JOIN run r ON r.id = v.run_id
           WHERE v.run_id = $1 AND r.ns_id = ANY($2)
           ORDER BY v.at, v.id"#,
        run.0,
        access.namespaces()
    );
    Ok(rows
        .fetch_all(conn)
        .await?
        .into_iter()
        .map(|row| RunEvent {
            id: row.id,
            at: row.at,
            from: row.state_from,
            to: row.state_to,
            attempt: row.attempt.unsigned_abs(),
            result: row.result,
            reason: row.reason,
            actor: row.actor,
        })
        .collect())
}

/// The latest attempt of a run, for its log.
#[derive(Debug, Clone, Copy)]
pub struct LogHead {
    /// The number of the latest attempt; 0 before the first.
    pub attempt: u16,
    /// The run has ended.
    pub finished: bool,
}

/// Reads which attempt of a run is the latest, and whether the run has ended.
pub async fn log_head(conn: &mut Conn, access: &Access<RunsRead>, run: RunId) -> Result<Option<LogHead>> {
    let row = sqlx::query!(
        r#"SELECT coalesce(l.attempt, e.attempt, (SELECT max(a.attempt) FROM attempt a WHERE a.run_id = r.id), 0::smallint)
                      AS "attempt!",
                  e.run_id IS NOT NULL AS "finished!"
           FROM run r
           LEFT JOIN lease l ON l.run_id = r.id
           LEFT JOIN run_end e ON e.run_id = r.id
           WHERE r.id = $1 AND r.ns_id = ANY($2)"#,
        run.0,
        access.namespaces()
    );
    let row = row.fetch_optional(conn).await?;
    Ok(row.map(|row| LogHead { attempt: row.attempt.unsigned_abs(), finished: row.finished }))
}

/// Says when retention removed the log of an attempt, or of the latest one; `None` while its pieces are there, and where it
/// never had any.
pub async fn log_removed_at(
    conn: &mut Conn,
    access: &Access<RunsRead>,
    run: RunId,
    attempt: Option<u16>,
) -> Result<Option<DateTime<Utc>>> {
    let removed = sqlx::query_scalar!(
        r#"SELECT u.logs_removed_at AS "at!"
           FROM run r
           JOIN usage u ON u.ns_id = r.ns_id AND u.day = id_day($1) AND u.logs_removed_at IS NOT NULL
           JOIN run_end e ON e.run_id = r.id
           JOIN attempt a ON a.run_id = r.id AND a.attempt = coalesce($3, e.attempt)
           WHERE r.id = $1 AND r.ns_id = ANY($2) AND a.stdout_bytes + a.stderr_bytes > 0
             AND NOT EXISTS (SELECT FROM log_chunk g WHERE g.run_id = $1 AND g.attempt = a.attempt)"#,
        run.0,
        access.namespaces(),
        attempt.map(|attempt| attempt as i16)
    );
    Ok(removed.fetch_optional(conn).await?)
}
