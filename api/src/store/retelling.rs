//! A memory that begins anew, because a run came late: what was remembered is put aside, the latest runs are told again, and
//! what reaches further back than they do is taken over.

use tstr_shared::ids::RunId;

use super::Conn;
use super::memory::Untold;
use crate::auth::access::{Access, System};
use crate::error::Result;

/// The runs to be told again.
pub struct Again {
    /// The oldest first.
    pub runs: Vec<Untold>,
    /// There are older ones, of which only what was remembered is known.
    pub is_cut: bool,
    /// Those that were not told before.
    pub late: Vec<RunId>,
}

/// Puts what is remembered of a cell aside. Returns its runs that say something of its cases, at most so many of the newest, and
/// fewer where that would be more than `results` results of cases.
pub async fn begin(
    conn: &mut Conn,
    _: &Access<System>,
    late: RunId,
    cell: i32,
    most: i64,
    results: i64,
) -> Result<Again> {
    let aside = sqlx::query!(
        r#"WITH old AS (DELETE FROM case_state WHERE cell_id = $1 RETURNING *)
           INSERT INTO case_state_before SELECT * FROM old"#,
        cell
    );
    let cases = aside.execute(&mut *conn).await?.rows_affected();
    let most = (results / i64::try_from(cases).unwrap_or(i64::MAX).max(1)).clamp(2, most);
    // What else waits is among them, or too long ago.
    let waiting =
        sqlx::query_scalar!(r#"DELETE FROM untold WHERE cell_id = $1 RETURNING run_id AS "run_id: RunId""#, cell);
    let mut late = vec![late];
    late.extend(waiting.fetch_all(&mut *conn).await?);
    let rows = sqlx::query!(
        r#"SELECT e.run_id AS "run_id!: RunId", e.attempt AS "attempt!", e.finished_at AS "finished_at!"
           FROM (SELECT e.run_id, e.attempt, e.finished_at
                 FROM cell c
                 JOIN run_end e ON e.test_id = c.test_id
                 JOIN run r ON r.id = e.run_id
                 JOIN config k ON k.id = r.config_id
                 WHERE c.id = $1 AND (k.body -> 'cell')::jsonb = c.labels
                   -- As `Observed::of_run` has it.
                   AND (e.result IN ('pass', 'fail', 'timed_out') OR e.result = 'error' AND e.reason = 'oom_killed')
                 ORDER BY e.finished_at DESC, e.run_id DESC
                 LIMIT $2) e
           ORDER BY e.finished_at, e.run_id"#,
        cell,
        most
    );
    let rows = rows.fetch_all(conn).await?.into_iter().map(|row| Untold {
        run_id: row.run_id,
        cell_id: cell,
        attempt: row.attempt,
        finished_at: row.finished_at,
    });
    let runs: Vec<Untold> = rows.collect();
    Ok(Again { is_cut: runs.len() as i64 >= most, runs, late })
}

/// Takes over what was put aside and reaches further back than the runs that were told again: when a case came first, passed
/// and failed last, and since when it does as it does.
pub async fn end(conn: &mut Conn, _: &Access<System>, cell: i32, late: &[RunId]) -> Result<()> {
    // A case does the same since its first run of those told again: then it may have done so before.
    sqlx::query!(
        r#"UPDATE case_state s
           SET since_at = CASE WHEN o.longer THEN b.since_at ELSE s.since_at END,
               since_run = CASE WHEN o.longer THEN b.since_run ELSE s.since_run END,
               since_runs = CASE WHEN o.longer
                   THEN b.since_runs + (SELECT count(DISTINCT r.run_id) FROM report_case r
                                        WHERE r.case_id = s.case_id AND r.cell_id = s.cell_id AND r.run_id = ANY($2)
                                          AND r.status <> 'skip' AND (r.status IN ('fail', 'error')) = s.fails)
                   ELSE s.since_runs END,
               last_pass_at = CASE WHEN s.last_pass_at IS NULL THEN b.last_pass_at ELSE s.last_pass_at END,
               last_pass_run = CASE WHEN s.last_pass_at IS NULL THEN b.last_pass_run ELSE s.last_pass_run END,
               last_fail_at = CASE WHEN s.last_fail_at IS NULL THEN b.last_fail_at ELSE s.last_fail_at END,
               last_fail_run = CASE WHEN s.last_fail_at IS NULL THEN b.last_fail_run ELSE s.last_fail_run END,
               first_seen_at = CASE WHEN b.first_seen_at < s.first_seen_at THEN b.first_seen_at ELSE s.first_seen_at END,
               first_seen_run = CASE WHEN b.first_seen_at < s.first_seen_at THEN b.first_seen_run ELSE s.first_seen_run END
           FROM case_state_before b
           CROSS JOIN LATERAL (
               SELECT c.fails = b.fails AND b.since_at < c.since_at AND c.since_run = c.first_seen_run AS longer
               FROM case_state c WHERE c.cell_id = $1 AND c.case_id = b.case_id) o
           WHERE b.cell_id = $1 AND s.cell_id = $1 AND s.case_id = b.case_id"#,
        cell,
        &late.iter().map(|run| run.0).collect::<Vec<_>>()
    )
    .execute(&mut *conn)
    .await?;
    // What none of these runs has had is as it was.
    sqlx::query!(
        r#"WITH old AS (DELETE FROM case_state_before WHERE cell_id = $1 RETURNING *)
           INSERT INTO case_state SELECT * FROM old ON CONFLICT DO NOTHING"#,
        cell
    )
    .execute(conn)
    .await?;
    Ok(())
}
