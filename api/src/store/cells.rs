//! Cells of tests: their identity, their recent runs, and what is made of these.

use std::collections::HashMap;

use chrono::{DateTime, Utc};
use sqlx::types::Json;
use tstr_shared::analysis::flaky::{MonitorFinding, Status};
use tstr_shared::analysis::window::Window;
use tstr_shared::health::{CellState, CellStrip, TestState};
use tstr_shared::ids::{RunId, TestId};
use tstr_shared::labels::Labels;
use tstr_shared::permission::TestsRead;
use tstr_shared::run::RunResult;
use uuid::Uuid;

use super::Conn;
use crate::auth::access::{Access, System};
use crate::error::Result;

/// What a configuration says of its runs beside what they execute.
#[derive(Debug, Clone)]
pub struct Place {
    /// Its cell.
    pub cell: Labels,
    /// Its test looks whether runners work.
    pub is_control: bool,
    /// Image and configuration say all that its runs test.
    pub tells_subject: bool,
}

/// Returns what a run tested, where that is known: runs of the same that pass and fail contradict each other.
pub fn subject_of(image_digest: Option<&str>, config_id: i64, tells_subject: bool) -> Option<String> {
    match image_digest? {
        // Of results from elsewhere only the revision is known.
        revision if revision.starts_with("revision:") => Some(revision.to_owned()),
        digest => tells_subject.then(|| format!("{digest} {config_id}")),
    }
}

/// The annotation of tests whose failure says that a runner is broken, with the value `true`.
pub const CONTROL: &str = "tstr.control";

/// Reads the cells of configurations.
pub async fn places(conn: &mut Conn, _: &Access<System>, configs: &[i64]) -> Result<HashMap<i64, Place>> {
    let rows = sqlx::query!(
        r#"SELECT id, body -> 'cell' AS "cell!: Json<Labels>",
                  coalesce(body -> 'annotations' ->> $2, '') = 'true' AS "is_control!", tells_subject(body) AS "tells_subject!"
           FROM config WHERE id = ANY($1)"#,
        configs,
        CONTROL
    );
    let rows = rows.fetch_all(conn).await?;
    let place = |cell: Json<Labels>, is_control, tells_subject| Place { cell: cell.0, is_control, tells_subject };
    Ok(rows.into_iter().map(|row| (row.id, place(row.cell, row.is_control, row.tells_subject))).collect())
}

/// Makes cells known, and returns their ids in the order given. The cells of one call must differ.
pub async fn intern(conn: &mut Conn, cells: &[(i32, TestId, &Labels)]) -> Result<Vec<i32>> {
    let keys: Vec<Vec<u8>> = cells.iter().map(|(_, _, cell)| cell.hash16().to_vec()).collect();
    let tests: Vec<Uuid> = cells.iter().map(|(_, test, _)| test.0).collect();
    let find = async |conn: &mut Conn| -> Result<HashMap<(Uuid, Vec<u8>), i32>> {
        let rows = sqlx::query!(
            r#"SELECT c.id, c.test_id, c.labels_hash
               FROM unnest($1::uuid[], $2::bytea[]) AS u(test_id, labels_hash)
               JOIN cell c ON c.test_id = u.test_id AND c.labels_hash = u.labels_hash"#,
            &tests,
            &keys
        );
        Ok(rows.fetch_all(conn).await?.into_iter().map(|row| ((row.test_id, row.labels_hash), row.id)).collect())
    };
    let mut known = find(conn).await?;
    if known.len() < cells.len() {
        let labels: Vec<serde_json::Value> = cells.iter().map(|(_, _, cell)| serde_json::json!(cell)).collect();
        let namespaces: Vec<i32> = cells.iter().map(|(ns_id, ..)| *ns_id).collect();
        sqlx::query!(
            r#"INSERT INTO cell (ns_id, test_id, labels_hash, labels)
               SELECT u.ns_id, u.test_id, u.labels_hash, u.labels
               FROM unnest($1::int[], $2::uuid[], $3::bytea[], $4::jsonb[]) AS u(ns_id, test_id, labels_hash, labels)
               ORDER BY u.test_id, u.labels_hash
               ON CONFLICT DO NOTHING"#,
            &namespaces,
            &tests,
            &keys,
            &labels
        )
        .execute(&mut *conn)
        .await?;
        known = find(conn).await?;
    }
    let missing = || crate::error::Error::internal(anyhow::anyhow!("a cell was not made known"));
    tests.iter().zip(keys).map(|(test, key)| known.get(&(*test, key)).copied().ok_or_else(missing)).collect()
}

/// A cell whose recent runs change.
#[derive(Debug, Default)]
pub struct Changing {
    /// Its recent runs.
    pub window: Window,
    /// Its status.
    pub status: Option<Status>,
    /// What the monitors said.
    pub findings: Vec<MonitorFinding>,
    /// The memory of its cases was carried over some run.
    pub has_cases: bool,
}

/// Reads cells by their ids.
pub async fn changing(conn: &mut Conn, _: &Access<System>, ids: &[i32]) -> Result<HashMap<i32, Changing>> {
    let rows = sqlx::query!(
        r#"SELECT c.id AS "id!", c.status AS "status!: Status", c.findings AS "findings?: Json<Vec<MonitorFinding>>",
                  m.cell_id IS NOT NULL AS "has_cases!", w.runs AS "runs?"
           FROM cell c
           LEFT JOIN cell_window w ON w.cell_id = c.id
           LEFT JOIN cell_memory m ON m.cell_id = c.id
           WHERE c.id = ANY($1)"#,
        ids
    );
    let rows = rows.fetch_all(conn).await?.into_iter().map(|row| {
        let changing = Changing {
            window: row.runs.map(|runs| Window::from_bytes(&runs)).unwrap_or_default(),
            status: Some(row.status),
            findings: row.findings.map(|findings| findings.0).unwrap_or_default(),
            has_cases: row.has_cases,
        };
        (row.id, changing)
    });
    Ok(rows.collect())
}

/// What becomes of a cell.
#[derive(Debug)]
pub struct Changed {
    /// The cell.
    pub id: i32,
    /// Its recent runs.
    pub window: Window,
    /// Its status, with consequences and as shown.
    pub status: Status,
    /// The same with monitors that only label.
    pub label: Status,
    /// Since when, where that changes.
    pub changed_at: Option<DateTime<Utc>>,
    /// What the monitors say.
    pub findings: Vec<MonitorFinding>,
}

/// Writes what becomes of cells.
pub async fn change(conn: &mut Conn, _: &Access<System>, changed: &[Changed]) -> Result<()> {
    let ids: Vec<i32> = changed.iter().map(|cell| cell.id).collect();
    let newest = |cell: &Changed| cell.window.newest().map(|entry| (entry.run_id.0, entry.at, entry.result.word()));
    let findings = |cell: &Changed| (!cell.findings.is_empty()).then(|| serde_json::json!(cell.findings));
    sqlx::query!(
        r#"UPDATE cell c
           SET strip = u.strip, status = u.status, label = u.label, changed_at = coalesce(u.changed_at, c.changed_at),
               findings = u.findings, last_run = u.last_run, last_at = u.last_at, last_result = u.last_result
           FROM unnest($1::int[], $2::text[], $3::text[], $4::text[], $5::timestamptz[], $6::jsonb[], $7::uuid[],
                       $8::timestamptz[], $9::text[])
                AS u(id, strip, status, label, changed_at, findings, last_run, last_at, last_result)
           WHERE c.id = u.id"#,
        &ids,
        &changed.iter().map(|cell| cell.window.strip()).collect::<Vec<_>>(),
        &changed.iter().map(|cell| cell.status.word().to_owned()).collect::<Vec<_>>(),
        &changed.iter().map(|cell| cell.label.word().to_owned()).collect::<Vec<_>>(),
        &changed.iter().map(|cell| cell.changed_at).collect::<Vec<_>>() as _,
        &changed.iter().map(findings).collect::<Vec<_>>() as _,
        &changed.iter().map(|cell| newest(cell).map(|it| it.0)).collect::<Vec<_>>() as _,
        &changed.iter().map(|cell| newest(cell).map(|it| it.1)).collect::<Vec<_>>() as _,
        &changed.iter().map(|cell| newest(cell).map(|it| it.2.to_owned())).collect::<Vec<_>>() as _
    )
    .execute(&mut *conn)
    .await?;
    sqlx::query!(
        r#"INSERT INTO cell_window (cell_id, runs)
           SELECT u.id, u.runs FROM unnest($1::int[], $2::bytea[]) AS u(id, runs)
           ON CONFLICT (cell_id) DO UPDATE SET runs = excluded.runs"#,
        &ids,
        &changed.iter().map(|cell| cell.window.to_bytes()).collect::<Vec<_>>()
    )
    .execute(conn)
    .await?;
    Ok(())
}

/// Reads cells that are not healthy, and of which no run has ended for as long as monitors believe what they saw.
pub async fn stale(conn: &mut Conn, _: &Access<System>, days: i32, most: i64) -> Result<Vec<i32>> {
    let ids = sqlx::query_scalar!(
        r#"SELECT id FROM cell
           WHERE (status <> 'healthy' OR label <> 'healthy') AND last_at < clock_timestamp() - make_interval(days => $1)
             AND coalesce(changed_at, last_at) < clock_timestamp() - interval '1 hour'
           ORDER BY last_at LIMIT $2"#,
        days,
        most
    );
    Ok(ids.fetch_all(conn).await?)
}

/// Reads the cells of a test, by their labels.
pub async fn of_test(conn: &mut Conn, access: &Access<TestsRead>, test: TestId) -> Result<Vec<CellState>> {
    let rows = sqlx::query!(
        r#"SELECT labels AS "labels: Json<Labels>", strip, status AS "status: Status", label AS "label: Status",
                  changed_at, findings AS "findings: Json<Vec<MonitorFinding>>", last_run AS "last_run: RunId", last_at,
                  last_result AS "last_result: RunResult"
           FROM cell WHERE test_id = $1 AND ns_id = ANY($2)
           ORDER BY labels::text COLLATE "C""#,
        test.0,
        access.namespaces()
    );
    let rows = rows.fetch_all(conn).await?.into_iter().map(|row| CellState {
        cell: row.labels.0,
        strip: row.strip,
        status: row.status,
        label: row.label,
        changed_at: row.changed_at,
        findings: row.findings.map(|findings| findings.0).unwrap_or_default(),
        last_run: row.last_run,
        last_at: row.last_at,
        last_result: row.last_result,
    });
    Ok(rows.collect())
}

/// The fewest cells that a page of tests has room for: more than a test may have. A page has twice as many cells as tests, if
/// that is more.
const ROOM: i64 = 1000;

/// Lists the tests of a namespace with their strips, by their names, behind one; fewer when they have very many cells. Tells
/// whether there are others behind those.
pub async fn list(
    conn: &mut Conn,
    access: &Access<TestsRead>,
    after: Option<&str>,
    limit: i64,
) -> Result<(Vec<TestState>, bool)> {
    let most = ROOM.max(2 * limit);
    let rows = sqlx::query!(
        r#"SELECT t.id AS "id: TestId", t.name, c.labels AS "labels?: Json<Labels>", c.strip AS "strip?",
                  c.status AS "status?: Status", c.last_at AS "last_at?"
           FROM (SELECT id, name FROM test
                 WHERE ns_id = $1 AND deleted_at IS NULL AND ($2::text IS NULL OR name > $2)
                 ORDER BY name LIMIT $3) t
           LEFT JOIN cell c ON c.test_id = t.id
           ORDER BY t.name, c.labels::text
           LIMIT $4"#,
        access.namespace(),
        after,
        limit + 1,
        most
    );
    let rows = rows.fetch_all(conn).await?;
    let is_cut = rows.len() as i64 == most;
    let mut tests: Vec<(TestState, Vec<_>)> = Vec::new();
    for row in rows {
        if tests.last().is_none_or(|(test, _)| test.test_id != row.id) {
            let (test_id, name) = (row.id, row.name);
            let test = TestState { test_id, name, status: Status::Healthy, last_at: None, cells: Vec::new() };
            tests.push((test, Vec::new()));
        }
        let Some((_, cells)) = tests.last_mut() else { continue };
        if let (Some(cell), Some(strip), Some(status)) = (row.labels, row.strip, row.status) {
            cells.push((CellStrip { cell: cell.0, strip, status }, row.last_at));
        }
    }
    let is_more = is_cut || tests.len() as i64 > limit;
    // The last one is the next one, or not all of its cells were read.
    if is_more && tests.len() > 1 {
        tests.pop();
    }
    let taken = tests.into_iter().map(|(mut test, cells)| {
        test.take(cells);
        test
    });
    Ok((taken.collect(), is_more))
}
