//! The quarantine lists of tests, as people read and write them.

use chrono::{DateTime, Utc};
use sqlx::types::Json;
use tstr_shared::analysis::quarantine::{Entry, Mode, QuarantineEntry};
use tstr_shared::ids::TestId;
use tstr_shared::permission::{TestsRead, TestsWrite};
use tstr_shared::report::{CaseId, CaseKey};
use tstr_shared::results::NamedCase;

use super::{Conn, key_of};
use crate::auth::access::{Access, System};
use crate::error::Result;

/// Reads the list of a test, the newest entry first, and says which hold at an instant.
pub async fn list(
    conn: &mut Conn,
    access: &Access<TestsRead>,
    test: TestId,
    now: DateTime<Utc>,
) -> Result<Vec<QuarantineEntry>> {
    let rows = sqlx::query!(
        r#"SELECT q.case_id AS "case_id: CaseId", k.suite AS "suite: Json<Vec<String>>", k.classname, k.name, k.file, k.own_id,
                  q.mode AS "mode: Mode", q.owner, q.reason, q.since, q.until, q.created_by
           FROM quarantine q
           JOIN case_key k ON k.case_id = q.case_id
           WHERE q.test_id = $1 AND q.ns_id = ANY($2)
           ORDER BY q.since DESC, q.case_id"#,
        test.0,
        access.namespaces()
    );
    let rows = rows.fetch_all(conn).await?.into_iter().map(|row| {
        let key = key_of(row.suite, row.classname, row.name, row.file, row.own_id);
        let entry = Entry {
            case: row.case_id,
            mode: row.mode,
            owner: row.owner,
            reason: row.reason,
            from: row.since,
            until: row.until,
        };
        told(entry, key, row.created_by, now)
    });
    Ok(rows.collect())
}

/// Puts together what is told of an entry.
pub fn told(entry: Entry<CaseId>, key: CaseKey, created_by: String, now: DateTime<Utc>) -> QuarantineEntry {
    QuarantineEntry {
        in_force: entry.is_in_force(now),
        case_id: entry.case,
        key,
        mode: entry.mode,
        owner: entry.owner,
        reason: entry.reason,
        from: entry.from,
        until: entry.until,
        created_by,
    }
}

/// Counts the entries that the list of a test has for other cases. Call while the test's row is locked.
pub async fn count_others(conn: &mut Conn, access: &Access<TestsWrite>, test: TestId, case: CaseId) -> Result<usize> {
    let count = sqlx::query_scalar!(
        r#"SELECT count(*) AS "count!" FROM quarantine WHERE test_id = $1 AND case_id <> $2 AND ns_id = ANY($3)"#,
        test.0,
        case.0,
        access.namespaces()
    );
    Ok(usize::try_from(count.fetch_one(conn).await?).unwrap_or(usize::MAX))
}

/// Puts an entry into the list of a test, in the place of the one that the case has.
pub async fn put(conn: &mut Conn, access: &Access<TestsWrite>, test: TestId, entry: &Entry<CaseId>) -> Result<()> {
    sqlx::query!(
        r#"INSERT INTO quarantine (test_id, case_id, ns_id, mode, owner, reason, since, until, created_by)
           VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)
           ON CONFLICT (test_id, case_id) DO UPDATE
           SET mode = excluded.mode, owner = excluded.owner, reason = excluded.reason, since = excluded.since,
               until = excluded.until, created_by = excluded.created_by"#,
        test.0,
        entry.case.0,
        access.namespace(),
        entry.mode.word(),
        entry.owner,
        entry.reason,
        entry.from,
        entry.until,
        access.actor()
    )
    .execute(conn)
    .await?;
    Ok(())
}

/// Removes the entry of a case; tells whether there was one.
pub async fn remove(conn: &mut Conn, access: &Access<TestsWrite>, test: TestId, case: CaseId) -> Result<bool> {
    let done = sqlx::query!(
        "DELETE FROM quarantine WHERE test_id = $1 AND case_id = $2 AND ns_id = ANY($3)",
        test.0,
        case.0,
        access.namespaces()
    );
    Ok(done.execute(conn).await?.rows_affected() > 0)
}

/// A case that is not to be run.
#[derive(Debug)]
pub struct Skip {
    /// The namespace of its test.
    pub namespace: String,
    /// The name of its test.
    pub test_name: String,
    /// The case.
    pub case: NamedCase,
}

/// Reads which cases are not to be run now, the tests in order, and of each the newest entries first.
pub async fn skips(conn: &mut Conn, _: &Access<System>) -> Result<Vec<Skip>> {
    let rows = sqlx::query!(
        r#"SELECT n.name AS namespace, t.name AS test_name, k.case_id AS "case_id: CaseId",
                  k.suite AS "suite: Json<Vec<String>>", k.classname, k.name, k.file, k.own_id
           FROM quarantine q
           JOIN test t ON t.id = q.test_id AND t.deleted_at IS NULL
           JOIN namespace n ON n.id = q.ns_id
           JOIN case_key k ON k.case_id = q.case_id
           WHERE q.mode = 'skip' AND q.until > (SELECT clock_timestamp()) AND q.since <= (SELECT clock_timestamp())
           ORDER BY n.name, t.name, q.since DESC, k.case_id"#
    );
    let rows = rows.fetch_all(conn).await?.into_iter().map(|row| Skip {
        namespace: row.namespace,
        test_name: row.test_name,
        case: NamedCase { id: row.case_id, key: key_of(row.suite, row.classname, row.name, row.file, row.own_id) },
    });
    Ok(rows.collect())
}
