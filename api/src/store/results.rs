//! Reports and their cases, as they are read.

use sqlx::types::Json;
use tstr_shared::compare::{CaseEnd, CaseKind, ComparedCase, MIN_CHANGE, MIN_CHANGE_MS, MOST_CASES};
use tstr_shared::permission::RunsRead;
use tstr_shared::report::{CaseId, CaseStatus, Repeat};
use tstr_shared::results::{CaseFilter, CaseResult, ReadReport, Results};

use super::artifacts::Of;
use super::packing::Packed;
use super::reports::CaseRow;
use super::{Conn, key_of};
use crate::auth::access::Access;
use crate::error::Result;

/// Reads what the reports of an attempt say; nothing where none was looked for.
pub async fn of_attempt(conn: &mut Conn, _: &Access<RunsRead>, of: Of) -> Result<Option<Results>> {
    let (run, attempt) = (of.run.0, of.attempt as i16);
    let judged = sqlx::query_scalar!(
        r#"SELECT body AS "body: Json<Results>" FROM judged WHERE run_id = $1 AND attempt = $2"#,
        run,
        attempt
    );
    let Some(Json(judged)) = judged.fetch_optional(&mut *conn).await? else { return Ok(None) };
    let reports = sqlx::query_scalar!(
        r#"SELECT body AS "body: Json<ReadReport>" FROM report WHERE run_id = $1 AND attempt = $2 ORDER BY report"#,
        run,
        attempt
    );
    let reports = reports.fetch_all(conn).await?.into_iter().map(|report| report.0).collect();
    Ok(Some(Results { reports, ..judged }))
}

/// Where a case stands among those of an attempt: its report, and its place there.
pub type Place = (u16, u32);

struct ListedRow {
    case_id: CaseId,
    suite: Json<Vec<String>>,
    classname: Option<String>,
    name: String,
    file: Option<String>,
    own_id: Option<String>,
    report: i16,
    place: i32,
    ordinal: i32,
    status: CaseStatus,
    flaky: bool,
    muted: bool,
    failed_attempts: i16,
    duration_ms: Option<i64>,
    message: Option<String>,
}

impl From<ListedRow> for CaseResult {
    fn from(row: ListedRow) -> Self {
        Self {
            case_id: row.case_id,
            key: key_of(row.suite, row.classname, row.name, row.file, row.own_id),
            report: row.report.unsigned_abs(),
            place: row.place.unsigned_abs(),
            ordinal: row.ordinal.unsigned_abs(),
            status: row.status,
            flaky: row.flaky,
            muted: row.muted,
            failed_attempts: row.failed_attempts.unsigned_abs(),
            duration_ms: row.duration_ms.map(i64::unsigned_abs),
            message: row.message,
        }
    }
}

/// Lists cases of an attempt in the order of its reports, behind a place.
pub async fn list(
    conn: &mut Conn,
    _: &Access<RunsRead>,
    of: Of,
    filter: &CaseFilter,
    after: Option<Place>,
    limit: i64,
) -> Result<Vec<CaseResult>> {
    let (report, place) = after.map_or((-1, -1), |(report, place)| (i32::from(report), i64::from(place)));
    let statuses: Vec<String> = filter.statuses.iter().map(|status| status.word().to_owned()).collect();
    let rows = sqlx::query_as!(
        ListedRow,
        r#"SELECT c.case_id AS "case_id: CaseId", k.suite AS "suite: Json<Vec<String>>", k.classname, k.name, k.file,
                  k.own_id, c.report, c.place, c.ordinal, c.status AS "status: CaseStatus", c.flaky, c.muted,
                  c.failed_attempts, c.duration_ms, c.message
           FROM report_case c
           JOIN case_key k ON k.case_id = c.case_id
           WHERE c.run_id = $1 AND c.attempt = $2
             AND (c.report, c.place) > ($3, $4)
             AND (cardinality($5::text[]) = 0 OR c.status = ANY($5))
             AND ($6::boolean IS NULL OR c.flaky = $6)
             AND ($7::text IS NULL
                  OR position(lower($7) IN lower(concat_ws(' ', k.suite::text, k.classname, k.name, k.file, k.own_id))) > 0)
           ORDER BY c.report, c.place
           LIMIT $8"#,
        of.run.0,
        of.attempt as i16,
        report as i16,
        place as i32,
        &statuses,
        filter.flaky,
        filter.text,
        limit
    );
    Ok(rows.fetch_all(conn).await?.into_iter().map(Into::into).collect())
}

/// A case with all that is stored of it.
#[derive(Debug)]
pub struct Stored {
    /// The path of its report.
    pub report: String,
    /// Where it stands.
    pub at: Place,
    /// Its failure did not count.
    pub muted: bool,
    /// The case.
    pub row: CaseRow,
}

struct StoredRow {
    path: String,
    case_id: CaseId,
    suite: Json<Vec<String>>,
    classname: Option<String>,
    name: String,
    file: Option<String>,
    own_id: Option<String>,
    report: i16,
    place: i32,
    ordinal: i32,
    status: CaseStatus,
    flaky: bool,
    muted: bool,
    failed_attempts: i16,
    duration_ms: Option<i64>,
    message: Option<String>,
    detail: Option<Vec<u8>>,
    raw_bytes: Option<i32>,
}

impl From<StoredRow> for Stored {
    fn from(row: StoredRow) -> Self {
        let key = key_of(row.suite, row.classname, row.name, row.file, row.own_id);
        Self {
            report: row.path,
            at: (row.report.unsigned_abs(), row.place.unsigned_abs()),
            muted: row.muted,
            row: CaseRow {
                id: row.case_id,
                key,
                repeat: if row.ordinal > 1 { Repeat::Ambiguous } else { Repeat::First },
                ordinal: row.ordinal.unsigned_abs(),
                status: row.status,
                flaky: row.flaky,
                failed_attempts: row.failed_attempts.unsigned_abs(),
                duration_ms: row.duration_ms.map(i64::unsigned_abs),
                message: row.message,
                detail: row.detail.map(|body| Packed { body, raw_bytes: row.raw_bytes }),
            },
        }
    }
}

/// Cases of `$page`, a part of `report_case`, in the order of their reports, as long as those before have at most `$bytes`.
macro_rules! stored_query {
    ($page:literal, $bytes:literal, $($arg:expr),* $(,)?) => {
        sqlx::query_as!(
            StoredRow,
            r#"SELECT p.path, c.case_id AS "case_id!: CaseId", k.suite AS "suite: Json<Vec<String>>", k.classname, k.name,
                      k.file, k.own_id, c.report AS "report!", c.place AS "place!", c.ordinal AS "ordinal!",
                      c.status AS "status!: CaseStatus", c.flaky AS "flaky!", c.muted AS "muted!",
                      c.failed_attempts AS "failed_attempts!", c.duration_ms, c.message, c.detail, c.raw_bytes
               FROM (SELECT page.*, sum(coalesce(raw_bytes, octet_length(detail), 0)) OVER (ORDER BY report, place)
                                        - coalesce(raw_bytes, octet_length(detail), 0) AS before
                     FROM (SELECT * FROM report_case "# + $page + r#") page) c
               JOIN report p ON p.run_id = c.run_id AND p.attempt = c.attempt AND p.report = c.report
               JOIN case_key k ON k.case_id = c.case_id
               WHERE c.before <= "# + $bytes + r#"
               ORDER BY c.report, c.place"#
            $(, $arg)*
        )
    };
}

/// Reads what the reports of an attempt say of a case, up to about so many bytes.
pub async fn case(conn: &mut Conn, _: &Access<RunsRead>, of: Of, case: CaseId, bytes: i64) -> Result<Vec<Stored>> {
    let rows = stored_query!(
        "WHERE case_id = $1 AND run_id = $2 AND attempt = $3 ORDER BY report, place LIMIT 100",
        "$4",
        case.0,
        of.run.0,
        of.attempt as i16,
        bytes
    );
    Ok(rows.fetch_all(conn).await?.into_iter().map(Into::into).collect())
}

/// Reads cases of an attempt in the order of its reports, behind a place, up to about so many bytes.
pub async fn whole(
    conn: &mut Conn,
    _: &Access<RunsRead>,
    of: Of,
    after: Option<Place>,
    limit: i64,
    bytes: i64,
) -> Result<Vec<Stored>> {
    let (report, place) = after.map_or((-1, -1), |(report, place)| (i32::from(report), i64::from(place)));
    let rows = stored_query!(
        "WHERE run_id = $1 AND attempt = $2 AND (report, place) > ($3, $4) ORDER BY report, place LIMIT $5",
        "$6",
        of.run.0,
        of.attempt as i16,
        report as i16,
        place as i32,
        limit,
        bytes
    );
    Ok(rows.fetch_all(conn).await?.into_iter().map(Into::into).collect())
}

/// A case that differs between two runs.
#[derive(Debug)]
pub struct Differing {
    /// In which way.
    pub kind: CaseKind,
    /// How many there are of this kind.
    pub all: u64,
    /// The case.
    pub case: ComparedCase,
}

/// Compares the cases of two attempts, and returns the first of each kind by their names; of durations the largest changes.
pub async fn differing(conn: &mut Conn, _: &Access<RunsRead>, before: Of, after: Of) -> Result<Vec<Differing>> {
    let rows = sqlx::query!(
        r#"WITH paired AS (
               SELECT coalesce(b.case_id, a.case_id) AS case_id, b.ends AS b_ends, a.ends AS a_ends, b.ms AS b_ms, a.ms AS a_ms,
                      abs(a.ms - b.ms) AS moved
               FROM (SELECT case_id, sum(duration_ms)::bigint AS ms,
                            CASE WHEN bool_or(status IN ('fail', 'error')) THEN 'fail'
                                 WHEN bool_or(status = 'pass') THEN 'pass' ELSE 'skip' END AS ends
                     FROM report_case WHERE run_id = $1 AND attempt = $2 GROUP BY case_id) b
               FULL JOIN (SELECT case_id, sum(duration_ms)::bigint AS ms,
                                 CASE WHEN bool_or(status IN ('fail', 'error')) THEN 'fail'
                                      WHEN bool_or(status = 'pass') THEN 'pass' ELSE 'skip' END AS ends
                          FROM report_case WHERE run_id = $3 AND attempt = $4 GROUP BY case_id) a
                   ON a.case_id = b.case_id
           ), kinds AS (
               SELECT p.case_id, p.b_ends, p.a_ends, p.b_ms, p.a_ms, p.moved, k.kind,
                      count(*) OVER (PARTITION BY k.kind) AS total,
                      row_number() OVER (PARTITION BY k.kind
                                         ORDER BY CASE WHEN k.kind = 'duration' THEN -p.moved END, p.case_id) AS n
               FROM paired p
               CROSS JOIN LATERAL (VALUES
                   ('new', p.a_ends = 'fail' AND p.b_ends IS DISTINCT FROM 'fail'),
                   ('fixed', p.b_ends = 'fail' AND p.a_ends = 'pass'),
                   ('added', p.b_ends IS NULL),
                   ('removed', p.a_ends IS NULL),
                   ('duration', p.b_ends <> 'skip' AND p.a_ends <> 'skip' AND p.moved > $5 AND p.moved > $6::float8 * p.b_ms)
               ) AS k(kind, holds)
               WHERE k.holds
           )
           SELECT d.kind AS "kind!: CaseKind", d.total AS "total!", d.case_id AS "case_id!: CaseId",
                  d.b_ends AS "before: CaseEnd", d.a_ends AS "after: CaseEnd", d.b_ms, d.a_ms,
                  k.suite AS "suite: Json<Vec<String>>", k.classname, k.name, k.file, k.own_id
           FROM kinds d
           JOIN case_key k ON k.case_id = d.case_id
           WHERE d.n <= $7
           ORDER BY d.kind, CASE WHEN d.kind = 'duration' THEN -d.moved END, k.name, d.case_id"#,
        before.run.0,
        before.attempt as i16,
        after.run.0,
        after.attempt as i16,
        i64::from(MIN_CHANGE_MS),
        MIN_CHANGE,
        i64::from(MOST_CASES)
    );
    let rows = rows.fetch_all(conn).await?.into_iter().map(|row| Differing {
        kind: row.kind,
        all: row.total.unsigned_abs(),
        case: ComparedCase {
            case_id: row.case_id,
            key: key_of(row.suite, row.classname, row.name, row.file, row.own_id),
            before: row.before,
            after: row.after,
            before_ms: row.b_ms.map(i64::unsigned_abs),
            after_ms: row.a_ms.map(i64::unsigned_abs),
        },
    });
    Ok(rows.collect())
}
