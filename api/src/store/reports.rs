//! Reports: written while they are read, a batch of cases at a time, and what was made of an attempt by them.
//!
//! One transaction carries all reports of an attempt, so that nobody sees a half of them. It holds no lock that others want
//! until its end: not the lease, which is renewed meanwhile, and not the keys of cases, which are written apart from it.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use sqlx::types::Json;
use tstr_shared::analysis::quarantine::{Entry, Mode};
use tstr_shared::artifacts::ArtifactPath;
use tstr_shared::ids::{RunId, TestId};
use tstr_shared::lease::Fence;
use tstr_shared::permission::{RunsExecute, RunsWrite};
use tstr_shared::report::limits::MAX_ATTEMPTS;
use tstr_shared::report::{Attachment, Case, CaseAttempt, CaseId, CaseKey, CaseStatus, Excerpt, Property, Repeat};
use tstr_shared::results::{CaseCounts, MAX_FIRST_WORDS, ReadReport, Results};
use tstr_shared::run::RunResult;

use super::Conn;
use super::artifacts::Of;
use super::blobs::{BlobKey, hash};
use super::claims::OwnLease;
use super::packing::{Packed, Packer, unpack};
use super::queue::ConfigBody;
use crate::auth::access::Access;
use crate::error::{Error, Result};

/// Permissions under which reports are stored: a worker's, and that of somebody who uploads results.
pub trait WritesReports {}
impl WritesReports for RunsExecute {}
impl WritesReports for RunsWrite {}

/// An attempt whose reports are read.
#[derive(Debug)]
pub struct Reading {
    /// Its namespace.
    pub ns_id: i32,
    /// Its test.
    pub test_id: TestId,
    /// Its cell.
    pub cell_id: i32,
    /// What it executes.
    pub config: ConfigBody,
    /// The database's time.
    pub now: DateTime<Utc>,
}

/// Finds the attempt of a lease; `None` when its fence is not current, or its runner is not the caller's.
pub async fn of_lease(conn: &mut Conn, access: &Access<RunsExecute>, lease: &OwnLease) -> Result<Option<Reading>> {
    let row = sqlx::query!(
        r#"SELECT l.ns_id, r.test_id AS "test_id: TestId", c.body AS "body: Json<ConfigBody>", clock_timestamp() AS "now!"
           FROM lease l
           JOIN run r ON r.id = l.run_id
           JOIN config c ON c.id = r.config_id
           WHERE l.run_id = $1 AND l.attempt = $2 AND l.lease_id = $3 AND l.runner_id = $4 AND l.ns_id = ANY($5)
             AND EXISTS (SELECT 1 FROM runner w WHERE w.id = $4 AND w.token_id = $6)"#,
        lease.fence.run_id.0,
        lease.fence.attempt as i16,
        lease.fence.lease_id.0,
        lease.runner.0,
        access.namespaces(),
        lease.token.0
    );
    let row = row.fetch_optional(conn).await?;
    Ok(row.map(|row| Reading { ns_id: row.ns_id, test_id: row.test_id, cell_id: 0, config: row.body.0, now: row.now }))
}

/// Tells whether a lease still holds, and lets nobody end it until the transaction ends.
pub async fn hold_lease(conn: &mut Conn, access: &Access<RunsExecute>, lease: &OwnLease) -> Result<bool> {
    let held = sqlx::query_scalar!(
        r#"SELECT l.ns_id FROM lease l
           WHERE l.run_id = $1 AND l.attempt = $2 AND l.lease_id = $3 AND l.runner_id = $4 AND l.ns_id = ANY($5)
           FOR KEY SHARE"#,
        lease.fence.run_id.0,
        lease.fence.attempt as i16,
        lease.fence.lease_id.0,
        lease.runner.0,
        access.namespaces()
    );
    Ok(held.fetch_optional(conn).await?.is_some())
}

/// Waits until nobody else reads the reports of a run, and takes away what was read of the attempt before.
pub async fn begin<P: WritesReports>(conn: &mut Conn, _: &Access<P>, of: Of) -> Result<()> {
    // Between two statements a store of artifacts may have to be waited for.
    sqlx::query!("SELECT set_config('idle_in_transaction_session_timeout', '60000', true)")
        .fetch_one(&mut *conn)
        .await?;
    sqlx::query!("SELECT pg_advisory_xact_lock(7478116, hashtext($1::uuid::text))", of.run.0)
        .fetch_one(&mut *conn)
        .await?;
    let (run, attempt) = (of.run.0, of.attempt as i16);
    sqlx::query!("DELETE FROM report_case WHERE run_id = $1 AND attempt = $2", run, attempt)
        .execute(&mut *conn)
        .await?;
    sqlx::query!("DELETE FROM report WHERE run_id = $1 AND attempt = $2", run, attempt).execute(&mut *conn).await?;
    sqlx::query!("DELETE FROM judged WHERE run_id = $1 AND attempt = $2", run, attempt).execute(conn).await?;
    Ok(())
}

/// Lists the files of an attempt with their sizes, and the objects that hold their contents, by their paths.
pub async fn files(conn: &mut Conn, access: &Access<RunsExecute>, of: Of) -> Result<Vec<(ArtifactPath, u64, BlobKey)>> {
    let rows = sqlx::query!(
        r#"SELECT a.path, a.sha256, a.bytes, b.key, b.ns_id
           FROM artifact a JOIN blob b ON b.key = a.blob
           WHERE a.run_id = $1 AND a.attempt = $2 AND b.ns_id = ANY($3)
           ORDER BY a.path COLLATE "C""#,
        of.run.0,
        of.attempt as i16,
        access.namespaces()
    );
    let rows = rows.fetch_all(conn).await?.into_iter().map(|row| {
        let path = ArtifactPath::parse(&row.path).map_err(|fault| Error::internal(anyhow::anyhow!(fault)))?;
        let key = BlobKey { key: row.key, ns_id: row.ns_id, sha256: hash(&row.sha256)? };
        Ok((path, row.bytes.unsigned_abs(), key))
    });
    rows.collect()
}

/// Reads the quarantine list of a test.
pub async fn quarantine<P: WritesReports>(conn: &mut Conn, _: &Access<P>, test: TestId) -> Result<Vec<Entry<CaseId>>> {
    let rows = sqlx::query!(
        r#"SELECT case_id AS "case: CaseId", mode AS "mode: Mode", owner, reason, since, until
           FROM quarantine WHERE test_id = $1"#,
        test.0
    );
    let rows = rows.fetch_all(conn).await?.into_iter().map(|row| Entry {
        case: row.case,
        mode: row.mode,
        owner: row.owner,
        reason: row.reason,
        from: row.since,
        until: row.until,
    });
    Ok(rows.collect())
}

/// A case on its way into the database.
#[derive(Debug, Clone)]
pub struct CaseRow {
    /// Its identity.
    pub id: CaseId,
    /// The parts of the identity.
    pub key: CaseKey,
    /// Whether it came before.
    pub repeat: Repeat,
    /// Its number among those that share the identity.
    pub ordinal: u32,
    /// How it ended.
    pub status: CaseStatus,
    /// It passed after an attempt that failed.
    pub flaky: bool,
    /// How many attempts before the last failed.
    pub failed_attempts: u16,
    /// How long it took.
    pub duration_ms: Option<u64>,
    /// The first words of what there is to say.
    pub message: Option<String>,
    /// The rest.
    pub detail: Option<Packed>,
}

/// What a report says of a case beyond what has a column.
#[derive(Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
struct Detail {
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    disabled: bool,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    attempts: Vec<CaseAttempt>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    properties: Vec<Property>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    attachments: Vec<Attachment>,
    #[serde(skip_serializing_if = "Option::is_none")]
    line: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    assertions: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    stdout: Option<Excerpt>,
    #[serde(skip_serializing_if = "Option::is_none")]
    stderr: Option<Excerpt>,
}

impl CaseRow {
    /// Makes the row of a case.
    pub fn new(case: Case, packer: &mut Packer) -> Result<Self> {
        let message = first_words(&case);
        let failed_before = case.attempts.iter().rev().skip(1).filter(|attempt| attempt.status.is_failure()).count();
        let plain = CaseAttempt { duration_ms: case.duration_ms, ..CaseAttempt::new(case.status) };
        let detail = Detail {
            disabled: case.disabled,
            attempts: if case.attempts == [plain] { Vec::new() } else { case.attempts },
            properties: case.properties,
            attachments: case.attachments,
            line: case.line,
            assertions: case.assertions,
            stdout: case.stdout,
            stderr: case.stderr,
        };
        let detail = match detail == Detail::default() {
            true => None,
            false => Some(packer.pack(&serde_json::to_vec(&detail).map_err(Error::internal)?)),
        };
        Ok(Self {
            id: case.id,
            key: case.key,
            repeat: case.repeat,
            ordinal: case.ordinal,
            status: case.status,
            flaky: case.flaky,
            failed_attempts: failed_before.min(MAX_ATTEMPTS) as u16,
            duration_ms: case.duration_ms,
            message,
            detail,
        })
    }

    /// Returns the case as its report had it.
    pub fn into_case(self) -> Result<Case> {
        let detail: Detail = match self.detail {
            Some(packed) => serde_json::from_slice(&unpack(packed.body, packed.raw_bytes)?).map_err(Error::internal)?,
            None => Detail::default(),
        };
        let attempts = match detail.attempts.is_empty() {
            true => vec![CaseAttempt { duration_ms: self.duration_ms, ..CaseAttempt::new(self.status) }],
            false => detail.attempts,
        };
        Ok(Case {
            id: self.id,
            key: self.key,
            repeat: self.repeat,
            ordinal: self.ordinal,
            status: self.status,
            flaky: self.flaky,
            disabled: detail.disabled,
            duration_ms: self.duration_ms,
            attempts,
            properties: detail.properties,
            attachments: detail.attachments,
            line: detail.line,
            assertions: detail.assertions,
            stdout: detail.stdout,
            stderr: detail.stderr,
        })
    }

    /// Takes over a retry that came as a case of its own.
    pub fn absorb(&mut self, retry: Self, packer: &mut Packer) -> Result<()> {
        if usize::from(self.failed_attempts) + 1 >= MAX_ATTEMPTS {
            // More attempts are not kept, but the last one says how the case ended.
            (self.status, self.flaky) = (retry.status, retry.status == CaseStatus::Pass);
            (self.duration_ms, self.message) = (retry.duration_ms, retry.message);
            return Ok(());
        }
        let mut case = self.clone().into_case()?;
        case.absorb(retry.into_case()?);
        *self = Self::new(case, packer)?;
        Ok(())
    }

    /// Returns about how many bytes it has.
    pub fn size(&self) -> usize {
        200 + self.key.name.len() + self.detail.as_ref().map_or(0, |packed| packed.body.len())
    }
}

/// Returns the first words of the first finding that the last attempt has.
fn first_words(case: &Case) -> Option<String> {
    let finding = case.findings().first()?;
    let text = finding
        .message
        .as_deref()
        .or(finding.text.as_ref().map(|text| text.text.as_str()))
        .or(finding.kind.as_deref())?;
    let words: String = text.trim().chars().take(MAX_FIRST_WORDS).collect();
    Some(words).filter(|words| !words.is_empty())
}

/// Makes the keys of cases known, those that are not. Call outside of the transaction that carries the reports: another
/// that names the same cases in another order would wait for it, and it for that one.
pub async fn add_keys<P: WritesReports>(
    conn: &mut Conn,
    _: &Access<P>,
    reading: &Reading,
    rows: &[CaseRow],
) -> Result<()> {
    let mut rows: Vec<&CaseRow> = rows.iter().collect();
    rows.sort_by_key(|row| row.id);
    rows.dedup_by_key(|row| row.id);
    let ids: Vec<_> = rows.iter().map(|row| row.id.0).collect();
    // One that is old enough to be forgotten is in use again from now on. Where it is forgotten at this moment, it is made anew.
    sqlx::query!(
        r#"UPDATE case_key SET created_at = clock_timestamp()
           WHERE case_id = ANY($2)
             AND created_at < clock_timestamp() - (SELECT make_interval(days => runs_days) FROM namespace WHERE id = $1)"#,
        reading.ns_id,
        &ids
    )
    .execute(&mut *conn)
    .await?;
    let texts =
        |part: fn(&CaseKey) -> &Option<String>| rows.iter().map(|row| part(&row.key).clone()).collect::<Vec<_>>();
    sqlx::query!(
        r#"INSERT INTO case_key (case_id, ns_id, test_id, suite, classname, name, file, own_id)
           SELECT u.case_id, $1, $2, u.suite, u.classname, u.name, u.file, u.own_id
           FROM unnest($3::uuid[], $4::jsonb[], $5::text[], $6::text[], $7::text[], $8::text[])
                AS u(case_id, suite, classname, name, file, own_id)
           ON CONFLICT DO NOTHING"#,
        reading.ns_id,
        reading.test_id.0,
        &ids,
        &rows.iter().map(|row| serde_json::json!(row.key.suite)).collect::<Vec<_>>(),
        &texts(|key| &key.classname) as _,
        &rows.iter().map(|row| row.key.name.clone()).collect::<Vec<_>>(),
        &texts(|key| &key.file) as _,
        &texts(|key| &key.test_id) as _
    )
    .execute(conn)
    .await?;
    Ok(())
}

/// Where cases of a report stand.
#[derive(Debug, Clone, Copy)]
pub struct At {
    /// The attempt.
    pub of: Of,
    /// The cell of the run.
    pub cell_id: i32,
    /// The number of the report.
    pub report: u16,
}

/// Adds cases behind those that a report has; the first stands at `place`.
pub async fn add_cases<P: WritesReports>(
    conn: &mut Conn,
    _: &Access<P>,
    at: At,
    place: u32,
    rows: Vec<CaseRow>,
    is_muted: impl Fn(CaseId) -> bool,
) -> Result<()> {
    let (bodies, raw): (Vec<Option<Vec<u8>>>, Vec<Option<i32>>) = rows
        .iter()
        .map(|row| row.detail.as_ref().map_or((None, None), |packed| (Some(packed.body.clone()), packed.raw_bytes)))
        .unzip();
    sqlx::query!(
        r#"INSERT INTO report_case (run_id, attempt, report, place, cell_id, case_id, ordinal, status, flaky, muted, failed_attempts,
                                    duration_ms, message, detail, raw_bytes)
           SELECT $1, $2, $3, $4::int + (u.n - 1)::int, $15, u.case_id, u.ordinal, u.status, u.flaky, u.muted, u.failed_attempts,
                  u.duration_ms, u.message, u.detail, u.raw_bytes
           FROM unnest($5::uuid[], $6::int[], $7::text[], $8::bool[], $9::bool[], $10::smallint[], $11::bigint[],
                       $12::text[], $13::bytea[], $14::int[])
                WITH ORDINALITY AS u(case_id, ordinal, status, flaky, muted, failed_attempts, duration_ms, message, detail,
                                     raw_bytes, n)"#,
        at.of.run.0,
        at.of.attempt as i16,
        at.report as i16,
        place as i32,
        &rows.iter().map(|row| row.id.0).collect::<Vec<_>>(),
        &rows.iter().map(|row| row.ordinal as i32).collect::<Vec<_>>(),
        &rows.iter().map(|row| row.status.word().to_owned()).collect::<Vec<_>>(),
        &rows.iter().map(|row| row.flaky).collect::<Vec<_>>(),
        &rows.iter().map(|row| row.status.is_failure() && is_muted(row.id)).collect::<Vec<_>>(),
        &rows.iter().map(|row| row.failed_attempts as i16).collect::<Vec<_>>(),
        &rows.iter().map(|row| row.duration_ms.map(|ms| ms as i64)).collect::<Vec<_>>() as _,
        &rows.iter().map(|row| row.message.clone()).collect::<Vec<_>>() as _,
        &bodies as _,
        &raw as _,
        at.cell_id
    )
    .execute(conn)
    .await?;
    Ok(())
}

/// Finds a case of a report that was added before.
pub async fn added<P: WritesReports>(
    conn: &mut Conn,
    _: &Access<P>,
    at: At,
    retry: &CaseRow,
) -> Result<Option<(i32, CaseRow)>> {
    let row = sqlx::query!(
        r#"SELECT place, status AS "status: CaseStatus", flaky, failed_attempts, duration_ms, message, detail, raw_bytes
           FROM report_case
           WHERE case_id = $1 AND cell_id = $6 AND run_id = $2 AND attempt = $3 AND report = $4 AND ordinal = $5"#,
        retry.id.0,
        at.of.run.0,
        at.of.attempt as i16,
        at.report as i16,
        retry.ordinal as i32,
        at.cell_id
    );
    let Some(row) = row.fetch_optional(conn).await? else { return Ok(None) };
    let found = CaseRow {
        id: retry.id,
        key: retry.key.clone(),
        repeat: Repeat::First,
        ordinal: retry.ordinal,
        status: row.status,
        flaky: row.flaky,
        failed_attempts: row.failed_attempts.unsigned_abs(),
        duration_ms: row.duration_ms.map(i64::unsigned_abs),
        message: row.message,
        detail: row.detail.map(|body| Packed { body, raw_bytes: row.raw_bytes }),
    };
    Ok(Some((row.place, found)))
}

/// Puts a case in the place of what it was before its retry.
pub async fn put_case<P: WritesReports>(
    conn: &mut Conn,
    _: &Access<P>,
    at: At,
    place: i32,
    row: CaseRow,
    muted: bool,
) -> Result<()> {
    let (body, raw) = row.detail.map_or((None, None), |packed| (Some(packed.body), packed.raw_bytes));
    sqlx::query!(
        r#"UPDATE report_case
           SET status = $5, flaky = $6, muted = $7, failed_attempts = $8, duration_ms = $9, message = $10, detail = $11,
               raw_bytes = $12
           WHERE run_id = $1 AND attempt = $2 AND report = $3 AND place = $4"#,
        at.of.run.0,
        at.of.attempt as i16,
        at.report as i16,
        place,
        row.status.word(),
        row.flaky,
        muted && row.status.is_failure(),
        row.failed_attempts as i16,
        row.duration_ms.map(|ms| ms as i64),
        row.message,
        body,
        raw
    )
    .execute(conn)
    .await?;
    Ok(())
}

/// Adds a report that was read.
pub async fn add_report<P: WritesReports>(conn: &mut Conn, _: &Access<P>, at: At, report: &ReadReport) -> Result<()> {
    sqlx::query!(
        "INSERT INTO report (run_id, attempt, report, path, body) VALUES ($1, $2, $3, $4, $5)",
        at.of.run.0,
        at.of.attempt as i16,
        at.report as i16,
        report.path,
        Json(report) as _
    )
    .execute(conn)
    .await?;
    Ok(())
}

/// Returns the cases of an attempt that failed, each once, and counts all.
pub async fn tally<P: WritesReports>(conn: &mut Conn, _: &Access<P>, of: Of) -> Result<(Vec<CaseId>, CaseCounts)> {
    let failed = sqlx::query_scalar!(
        r#"SELECT DISTINCT case_id AS "case: CaseId" FROM report_case
           WHERE run_id = $1 AND attempt = $2 AND status IN ('fail', 'error')"#,
        of.run.0,
        of.attempt as i16
    );
    let failed = failed.fetch_all(&mut *conn).await?;
    let counted = sqlx::query!(
        r#"SELECT status AS "status: CaseStatus", flaky, muted, count(*) AS "count!"
           FROM report_case WHERE run_id = $1 AND attempt = $2
           GROUP BY status, flaky, muted"#,
        of.run.0,
        of.attempt as i16
    );
    let mut counts = CaseCounts::default();
    for row in counted.fetch_all(conn).await? {
        counts.add(row.status, row.flaky, row.muted, row.count.unsigned_abs());
    }
    Ok((failed, counts))
}

/// Tells whether this is what the reports made of an attempt.
pub async fn is_ruled(conn: &mut Conn, _: &Access<RunsExecute>, fence: Fence, result: RunResult) -> Result<bool> {
    let ruled = sqlx::query_scalar!(
        r#"SELECT result AS "result: RunResult" FROM judged WHERE run_id = $1 AND attempt = $2"#,
        fence.run_id.0,
        fence.attempt as i16
    );
    Ok(ruled.fetch_optional(conn).await? == Some(result))
}

/// Records what was made of an attempt by its reports: its result, and why.
pub async fn judge<P: WritesReports>(
    conn: &mut Conn,
    _: &Access<P>,
    run: RunId,
    result: RunResult,
    results: &Results,
) -> Result<()> {
    // The reports have rows of their own.
    let mut body = results.clone();
    body.reports.clear();
    sqlx::query!(
        "INSERT INTO judged (run_id, attempt, result, counts, body) VALUES ($1, $2, $3, $4, $5)",
        run.0,
        results.attempt as i16,
        result.word(),
        results.cases.map(Json) as _,
        Json(body) as _
    )
    .execute(conn)
    .await?;
    Ok(())
}
