//! Runs that are pinned: retention leaves them alone.

use tstr_shared::ids::RunId;
use tstr_shared::permission::RunsWrite;

use super::Conn;
use crate::auth::access::Access;
use crate::error::Result;

/// Pins a run, in a transaction; tells whether there is one. Who pinned it first stays on record; a note replaces an earlier one.
pub async fn pin(conn: &mut Conn, access: &Access<RunsWrite>, run: RunId, note: Option<&str>) -> Result<bool> {
    // In a statement before, so that the next one does not find a run that was removed while this one waited.
    sqlx::query!("SELECT lock_day(id_day($1), false)", run.0).fetch_one(&mut *conn).await?;
    let done = sqlx::query!(
        r#"INSERT INTO keep AS k (run_id, ns_id, kept_by, note)
           SELECT r.id, r.ns_id, $3, $4 FROM run r WHERE r.id = $1 AND r.ns_id = ANY($2)
           ON CONFLICT (run_id) DO UPDATE SET note = coalesce(excluded.note, k.note)"#,
        run.0,
        access.namespaces(),
        access.actor(),
        note
    );
    Ok(done.execute(conn).await?.rows_affected() > 0)
}

/// Lets retention remove a run again, with its log.
pub async fn unpin(conn: &mut Conn, access: &Access<RunsWrite>, run: RunId) -> Result<()> {
    sqlx::query!(
        r#"WITH gone AS (
               DELETE FROM keep WHERE run_id = $1 AND ns_id = ANY($2) RETURNING ns_id
           )
           UPDATE usage u SET logs_swept = false, logs_again = NULL
           FROM gone g WHERE u.ns_id = g.ns_id AND u.day = id_day($1)"#,
        run.0,
        access.namespaces()
    )
    .execute(conn)
    .await?;
    Ok(())
}
