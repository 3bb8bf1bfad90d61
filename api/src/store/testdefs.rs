//! Tests.

use chrono::{DateTime, Utc};
use sqlx::types::Json;
use tstr_shared::ids::TestId;
use tstr_shared::labels::Labels;
use tstr_shared::namespace::Namespace;
use tstr_shared::permission::{RunsRead, RunsWrite, TestsRead, TestsWrite};
use tstr_shared::testdef::{NewTestDef, TestDef};

use super::Conn;
use crate::auth::access::Access;
use crate::error::{Error, Result};

struct TestRow {
    id: TestId,
    namespace: String,
    version: i32,
    created_at: DateTime<Utc>,
    updated_at: DateTime<Utc>,
    next_at: Option<DateTime<Utc>>,
    doc: Json<NewTestDef>,
}

impl TestRow {
    fn into_test(self) -> Result<TestDef> {
        Ok(TestDef {
            id: self.id,
            namespace: Namespace::parse(&self.namespace).map_err(|fault| Error::internal(anyhow::anyhow!(fault)))?,
            version: self.version,
            created_at: self.created_at,
            updated_at: self.updated_at,
            next_run_at: self.next_at,
            spec: self.doc.0,
        })
    }
}

/// Permissions under which a test may be read: for itself, or to make or list its runs.
pub trait ReadsTests {}
impl ReadsTests for TestsRead {}
impl ReadsTests for TestsWrite {}
impl ReadsTests for RunsRead {}
impl ReadsTests for RunsWrite {}

/// Writes a test as text: as a JSON parameter it would travel as jsonb, which sorts the axes of the matrix.
fn document(new: &NewTestDef) -> Result<String> {
    serde_json::to_string(new).map_err(Error::internal)
}

/// Inserts a test.
pub async fn insert(conn: &mut Conn, access: &Access<TestsWrite>, id: TestId, new: &NewTestDef) -> Result<()> {
    sqlx::query!(
        "INSERT INTO test (id, ns_id, name, doc) VALUES ($1, $2, $3, $4::text::json)",
        id.0,
        access.namespace(),
        new.name,
        document(new)?
    )
    .execute(conn)
    .await?;
    Ok(())
}

/// Replaces the document of a test of this version; tells whether there was one.
pub async fn update(
    conn: &mut Conn,
    access: &Access<TestsWrite>,
    id: TestId,
    version: i32,
    new: &NewTestDef,
) -> Result<bool> {
    let done = sqlx::query!(
        r#"UPDATE test
           SET name = $4, doc = $5::text::json, version = version + 1, updated_at = clock_timestamp()
           WHERE id = $1 AND ns_id = ANY($2) AND version = $3 AND deleted_at IS NULL"#,
        id.0,
        access.namespaces(),
        version,
        new.name,
        document(new)?
    );
    Ok(done.execute(conn).await?.rows_affected() == 1)
}

/// Marks a test of this version as deleted; tells whether there was one.
pub async fn delete(conn: &mut Conn, access: &Access<TestsWrite>, id: TestId, version: i32) -> Result<bool> {
    let done = sqlx::query!(
        r#"UPDATE test
           SET deleted_at = clock_timestamp(), version = version + 1
           WHERE id = $1 AND ns_id = ANY($2) AND version = $3 AND deleted_at IS NULL"#,
        id.0,
        access.namespaces(),
        version
    );
    Ok(done.execute(conn).await?.rows_affected() == 1)
}

/// Reads the test of this id or name; locks its row until the transaction ends when `lock` is set.
pub async fn find<P: ReadsTests>(
    conn: &mut Conn,
    access: &Access<P>,
    test: &str,
    lock: bool,
) -> Result<Option<TestDef>> {
    let id = test.parse::<uuid::Uuid>().ok();
    if lock {
        sqlx::query!(
            r#"SELECT id FROM test
               WHERE ns_id = ANY($1) AND deleted_at IS NULL AND (name = $2 OR id = $3)
               FOR UPDATE"#,
            access.namespaces(),
            test,
            id
        )
        .fetch_optional(&mut *conn)
        .await?;
    }
    let row = sqlx::query_as!(
        TestRow,
        r#"SELECT t.id AS "id: TestId", n.name AS namespace, t.version, t.created_at, t.updated_at,
                  s.next_at AS "next_at?", t.doc AS "doc: Json<NewTestDef>"
           FROM test t
           JOIN namespace n ON n.id = t.ns_id
           LEFT JOIN schedule s ON s.test_id = t.id
           WHERE t.ns_id = ANY($1) AND t.deleted_at IS NULL AND (t.name = $2 OR t.id = $3)
           ORDER BY t.id = $3
           LIMIT 1"#,
        access.namespaces(),
        test,
        id
    );
    row.fetch_optional(conn).await?.map(TestRow::into_test).transpose()
}

/// Finds the id and the name of a test by either; an id also names a test that was deleted, whose results are still there.
pub async fn find_any<P: ReadsTests>(
    conn: &mut Conn,
    access: &Access<P>,
    test: &str,
) -> Result<Option<(TestId, String)>> {
    let row = sqlx::query!(
        r#"SELECT id AS "id: TestId", name FROM test
           WHERE ns_id = ANY($1) AND (name = $2 AND deleted_at IS NULL OR id = $3)
           ORDER BY id = $3
           LIMIT 1"#,
        access.namespaces(),
        test,
        test.parse::<uuid::Uuid>().ok()
    );
    Ok(row.fetch_optional(conn).await?.map(|row| (row.id, row.name)))
}

/// Which tests a list holds.
#[derive(Debug, Clone, Default)]
pub struct TestFilter {
    /// A part of the name, whatever its case.
    pub q: Option<String>,
    /// Tests that have all of these labels.
    pub labels: Labels,
    /// Tests that have all of these annotations.
    pub annotations: Labels,
    /// Tests that are paused, or not.
    pub paused: Option<bool>,
}

/// Lists tests by name, behind `after`.
pub async fn list(
    conn: &mut Conn,
    access: &Access<TestsRead>,
    filter: &TestFilter,
    after: &str,
    limit: i64,
) -> Result<Vec<TestDef>> {
    let rows = sqlx::query_as!(
        TestRow,
        r#"SELECT t.id AS "id: TestId", n.name AS namespace, t.version, t.created_at, t.updated_at,
                  s.next_at AS "next_at?", t.doc AS "doc: Json<NewTestDef>"
           FROM test t
           JOIN namespace n ON n.id = t.ns_id
           LEFT JOIN schedule s ON s.test_id = t.id
           WHERE t.ns_id = ANY($1) AND t.deleted_at IS NULL AND t.name > $2
             AND ($3::text IS NULL OR strpos(lower(t.name), lower($3)) > 0)
             AND (t.doc->'labels')::jsonb @> $4
             AND (t.doc->'annotations')::jsonb @> $5
             AND ($6::boolean IS NULL OR (t.doc->>'paused')::boolean = $6)
           ORDER BY t.name
           LIMIT $7"#,
        access.namespaces(),
        after,
        filter.q,
        Json(&filter.labels) as _,
        Json(&filter.annotations) as _,
        filter.paused,
        limit
    );
    rows.fetch_all(conn).await?.into_iter().map(TestRow::into_test).collect()
}
