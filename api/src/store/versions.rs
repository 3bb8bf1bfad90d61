//! What tests were before.

use chrono::{DateTime, Utc};
use sqlx::types::Json;
use tstr_shared::ids::TestId;
use tstr_shared::permission::{TestsRead, TestsWrite};
use tstr_shared::testdef::{MAX_VERSIONS, NewTestDef, TestVersion};

use super::Conn;
use crate::auth::access::{Access, System};
use crate::error::Result;

struct VersionRow {
    version: i32,
    changed_at: DateTime<Utc>,
    changed_by: Option<String>,
    doc: Option<Json<NewTestDef>>,
}

impl From<VersionRow> for TestVersion {
    fn from(row: VersionRow) -> Self {
        Self {
            version: row.version,
            changed_at: row.changed_at,
            changed_by: row.changed_by,
            spec: row.doc.map(|doc| doc.0),
        }
    }
}

/// Keeps what a test is now as its latest version, and lets the oldest go. Call in the transaction that made it so.
pub async fn keep(conn: &mut Conn, access: &Access<TestsWrite>, test: TestId) -> Result<()> {
    sqlx::query!(
        r#"WITH latest AS (
               INSERT INTO test_version (test_id, version, doc, changed_at, changed_by)
               SELECT id, version, doc, updated_at, $3 FROM test WHERE id = $1 AND ns_id = ANY($2)
               ON CONFLICT (test_id, version) DO NOTHING
               RETURNING test_id, version
           )
           DELETE FROM test_version v USING latest l WHERE v.test_id = l.test_id AND v.version <= l.version - $4"#,
        test.0,
        access.namespaces(),
        access.actor(),
        i32::from(MAX_VERSIONS)
    )
    .execute(conn)
    .await?;
    Ok(())
}

/// Lists the versions of a test without their documents, the newest first, before `before`. The caller has found the test by
/// its access.
pub async fn list(
    conn: &mut Conn,
    access: &Access<TestsRead>,
    test: TestId,
    before: Option<i32>,
    limit: i64,
) -> Result<Vec<TestVersion>> {
    let rows = sqlx::query_as!(
        VersionRow,
        r#"SELECT v.version, v.changed_at, v.changed_by, NULL AS "doc: Json<NewTestDef>"
           FROM test_version v JOIN test t ON t.id = v.test_id
           WHERE v.test_id = $1 AND t.ns_id = ANY($2) AND ($3::int IS NULL OR v.version < $3)
           ORDER BY v.version DESC
           LIMIT $4"#,
        test.0,
        access.namespaces(),
        before,
        limit
    );
    Ok(rows.fetch_all(conn).await?.into_iter().map(Into::into).collect())
}

/// Reads a version of a test with its document.
pub async fn get(
    conn: &mut Conn,
    access: &Access<TestsRead>,
    test: TestId,
    version: i32,
) -> Result<Option<TestVersion>> {
    let row = sqlx::query_as!(
        VersionRow,
        r#"SELECT v.version, v.changed_at, v.changed_by, v.doc AS "doc?: Json<NewTestDef>"
           FROM test_version v JOIN test t ON t.id = v.test_id
           WHERE v.test_id = $1 AND t.ns_id = ANY($2) AND v.version = $3"#,
        test.0,
        access.namespaces(),
        version
    );
    Ok(row.fetch_optional(conn).await?.map(Into::into))
}

/// Forgets versions of tests that were deleted longer ago than their namespace keeps runs, at most `limit` of them; returns
/// how many.
pub async fn forget(conn: &mut Conn, _: &Access<System>, limit: i64) -> Result<u64> {
    let done = sqlx::query!(
        r#"DELETE FROM test_version
           WHERE (test_id, version) IN (
               SELECT v.test_id, v.version
               FROM test t JOIN namespace n ON n.id = t.ns_id JOIN test_version v ON v.test_id = t.id
               WHERE t.deleted_at < clock_timestamp() - make_interval(days => n.runs_days)
               LIMIT $1)"#,
        limit
    );
    Ok(done.execute(conn).await?.rows_affected())
}
