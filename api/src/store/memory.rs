//! What is remembered of cases: where each stands in its cell, and what each run changed.

use chrono::{DateTime, Utc};
use sqlx::types::Json;
use tstr_shared::analysis::Observed;
use tstr_shared::analysis::flaky::{Control, Exclusion, Guard, MonitorFinding, Status, Trial};
use tstr_shared::analysis::history::{
    ABSENCES_TO_REMOVE, CaseMemory, Coverage, Moment, Since, Standing, Told, Verdict,
};
use tstr_shared::ids::RunId;
use tstr_shared::report::CaseId;
use tstr_shared::results::{CaseCounts, Results};
use uuid::Uuid;

use super::Conn;
use super::cells::subject_of;
use crate::auth::access::{Access, System};
use crate::error::Result;

/// A run that the memory of its cell is to be carried over.
#[derive(Debug, Clone, Copy)]
pub struct Untold {
    /// The run.
    pub run_id: RunId,
    /// Its cell.
    pub cell_id: i32,
    /// The attempt that counts.
    pub attempt: i16,
    /// When it ended.
    pub finished_at: DateTime<Utc>,
}

impl Untold {
    /// Returns its place in the history of its cell.
    pub fn moment(&self) -> Moment {
        Moment { at: self.finished_at, run_id: self.run_id }
    }
}

/// Notes runs that are to be told.
pub async fn queue(conn: &mut Conn, _: &Access<System>, runs: &[Untold]) -> Result<()> {
    if runs.is_empty() {
        return Ok(());
    }
    sqlx::query!(
        r#"INSERT INTO untold (run_id, cell_id, attempt, finished_at)
           SELECT u.run_id, u.cell_id, u.attempt, u.finished_at
           FROM unnest($1::uuid[], $2::int[], $3::smallint[], $4::timestamptz[]) AS u(run_id, cell_id, attempt, finished_at)
           ON CONFLICT DO NOTHING"#,
        &runs.iter().map(|run| run.run_id.0).collect::<Vec<_>>(),
        &runs.iter().map(|run| run.cell_id).collect::<Vec<_>>(),
        &runs.iter().map(|run| run.attempt).collect::<Vec<_>>(),
        &runs.iter().map(|run| run.finished_at).collect::<Vec<_>>()
    )
    .execute(conn)
    .await?;
    Ok(())
}

/// Takes the oldest run that is to be told, in a transaction; none while another replica is at it.
pub async fn take(conn: &mut Conn, _: &Access<System>) -> Result<Option<Untold>> {
    let turn = sqlx::query_scalar!(r#"SELECT pg_try_advisory_xact_lock(7478111, 6) AS "turn!""#);
    if !turn.fetch_one(&mut *conn).await? {
        return Ok(None);
    }
    let row = sqlx::query!(
        r#"DELETE FROM untold
           WHERE (finished_at, run_id) = (SELECT finished_at, run_id FROM untold ORDER BY finished_at, run_id LIMIT 1)
           RETURNING run_id AS "run_id: RunId", cell_id, attempt, finished_at"#
    );
    let row = row.fetch_optional(conn).await?;
    Ok(row.map(|row| Untold {
        run_id: row.run_id,
        cell_id: row.cell_id,
        attempt: row.attempt,
        finished_at: row.finished_at,
    }))
}

/// Leaves a run untold.
pub async fn give_up(conn: &mut Conn, _: &Access<System>, run: &Untold) -> Result<()> {
    sqlx::query!("DELETE FROM untold WHERE finished_at = $1 AND run_id = $2", run.finished_at, run.run_id.0)
        .execute(conn)
        .await?;
    Ok(())
}

/// Tells whether a run waits to be told.
pub async fn waits(conn: &mut Conn, run: RunId) -> Result<bool> {
    let waits = sqlx::query_scalar!(r#"SELECT EXISTS (SELECT FROM untold WHERE run_id = $1) AS "waits!""#, run.0);
    Ok(waits.fetch_one(conn).await?)
}

/// Reads how far the memory of a cell goes: the run that it was carried over last, `None` within when it is still empty.
pub async fn told(conn: &mut Conn, _: &Access<System>, cell: i32) -> Result<Option<Option<Moment>>> {
    let row = sqlx::query!(
        r#"SELECT m.told_at AS "told_at?", m.told_run AS "told_run?: RunId"
           FROM cell c LEFT JOIN cell_memory m ON m.cell_id = c.id
           WHERE c.id = $1"#,
        cell
    );
    let row = row.fetch_optional(conn).await?;
    Ok(row.map(|row| row.told_at.zip(row.told_run).map(|(at, run_id)| Moment { at, run_id })))
}

/// Notes how far the memory of a cell goes.
pub async fn set_told(conn: &mut Conn, _: &Access<System>, cell: i32, told: Moment) -> Result<()> {
    sqlx::query!(
        r#"INSERT INTO cell_memory (cell_id, told_at, told_run) VALUES ($1, $2, $3)
           ON CONFLICT (cell_id) DO UPDATE SET told_at = excluded.told_at, told_run = excluded.told_run"#,
        cell,
        told.at,
        told.run_id.0
    )
    .execute(conn)
    .await?;
    Ok(())
}

/// Tells what the absence of a case from a run means, and whether anything of its failures says nothing of flakiness.
pub async fn coverage(conn: &mut Conn, _: &Access<System>, run: &Untold) -> Result<Coverage> {
    let row = sqlx::query!(
        r#"SELECT j.body AS "body: Json<Results>", j.counts IS NOT NULL AS "has_cases!",
                  (SELECT coalesce(bool_and((p.body ->> 'valid')::boolean), true) FROM report p
                   WHERE p.run_id = $1 AND p.attempt = $2) AS "valid!"
           FROM judged j WHERE j.run_id = $1 AND j.attempt = $2"#,
        run.run_id.0,
        run.attempt
    );
    let row = row.fetch_optional(conn).await?;
    Ok(match row {
        Some(row) if row.body.0.partial => Coverage::Partial,
        Some(row) if row.has_cases && row.valid && row.body.0.unread.is_empty() => Coverage::Complete,
        Some(_) | None => Coverage::Broken,
    })
}

/// A case of a cell: what is remembered of it, and what the run says of it.
#[derive(Debug, Clone)]
pub struct Pair {
    /// The case.
    pub case: CaseId,
    /// What is remembered.
    pub memory: Option<CaseMemory>,
    /// Its status until now, and what the monitors said.
    pub status: Status,
    /// What the monitors said.
    pub findings: Vec<MonitorFinding>,
    /// What the run says.
    pub observed: Option<Observed>,
    /// It failed before it passed.
    pub flaky: bool,
    /// How long it took.
    pub duration_ms: Option<i64>,
}

/// Reads the cases that are remembered or that a run has, in the order of their ids, behind one.
pub async fn pairs(
    conn: &mut Conn,
    _: &Access<System>,
    run: &Untold,
    told: Option<Moment>,
    after: CaseId,
    limit: i64,
) -> Result<Vec<Pair>> {
    let rows = sqlx::query!(
        r#"SELECT coalesce(s.case_id, c.case_id) AS "case!: CaseId",
                  s.first_seen_at AS "first_seen_at?", s.first_seen_run AS "first_seen_run?: RunId",
                  s.last_seen_at AS "last_seen_at?", s.last_seen_run AS "last_seen_run?: RunId",
                  s.fails AS "fails?", s.since_at AS "since_at?", s.since_run AS "since_run?: RunId",
                  s.since_runs AS "since_runs?", s.absent_at AS "absent_at?", s.absent_run AS "absent_run?: RunId",
                  s.absent_runs AS "absent_runs?", s.complete_absences AS "complete_absences?",
                  s.last_pass_at AS "last_pass_at?", s.last_pass_run AS "last_pass_run?: RunId",
                  s.last_fail_at AS "last_fail_at?", s.last_fail_run AS "last_fail_run?: RunId",
                  s.status AS "status?: Status", s.findings AS "findings?: Json<Vec<MonitorFinding>>",
                  c.fails AS "now_fails?", c.passes AS "now_passes?", c.flaky AS "now_flaky?",
                  c.duration_ms AS "now_duration?"
           FROM (SELECT case_id, first_seen_at, first_seen_run, last_seen_at, last_seen_run, fails, since_at, since_run,
                        since_runs, absent_at, absent_run, absent_runs, complete_absences, last_pass_at, last_pass_run,
                        last_fail_at, last_fail_run, status, findings
                 FROM case_state t
                 WHERE cell_id = $1 AND case_id > $2
                   -- Nobody asks for what was removed, unless it is there again.
                   AND (standing <> 'removed'
                        OR EXISTS (SELECT FROM report_case b
                                   WHERE b.case_id = t.case_id AND b.cell_id = $1 AND b.run_id = $3 AND b.attempt = $4))
                 ORDER BY case_id LIMIT $5) s
           FULL JOIN (SELECT case_id, fails, passes, duration_ms,
                             -- It failed in an attempt of the run before this one.
                             flaky OR ($4 > 1 AND EXISTS (
                                 SELECT FROM report_case b
                                 JOIN attempt a ON a.run_id = b.run_id AND a.attempt = b.attempt
                                               AND a.result IN ('fail', 'timed_out')
                                 WHERE b.case_id = g.case_id AND b.cell_id = $1 AND b.run_id = $3 AND b.attempt < $4
                                   AND b.status IN ('fail', 'error'))) AS flaky
                      FROM (SELECT case_id, bool_or(status IN ('fail', 'error')) AS fails,
                                   bool_or(status = 'pass') AS passes, bool_or(flaky) AS flaky,
                                   sum(duration_ms)::bigint AS duration_ms
                            FROM report_case WHERE run_id = $3 AND attempt = $4 AND case_id > $2
                            GROUP BY case_id ORDER BY case_id LIMIT $5) g) c ON c.case_id = s.case_id
           ORDER BY 1
           LIMIT $5"#,
        run.cell_id,
        after.0,
        run.run_id.0,
        run.attempt,
        limit
    );
    let rows = rows.fetch_all(conn).await?.into_iter().map(|row| {
        let moment =
            |at: Option<DateTime<Utc>>, run: Option<RunId>| at.zip(run).map(|(at, run_id)| Moment { at, run_id });
        let since = |first: Option<Moment>, runs: Option<i32>| {
            first.zip(runs).map(|(first, runs)| Since { first, runs: runs.unsigned_abs() })
        };
        let first_seen = moment(row.first_seen_at, row.first_seen_run);
        let last_seen = moment(row.last_seen_at, row.last_seen_run);
        let memory = first_seen.zip(last_seen).map(|(first_seen, last_seen)| CaseMemory {
            first_seen,
            last_seen,
            told: told.unwrap_or(last_seen),
            verdict: row
                .fails
                .zip(since(moment(row.since_at, row.since_run), row.since_runs))
                .map(|(fails, since)| Verdict { fails, since }),
            absent: since(moment(row.absent_at, row.absent_run), row.absent_runs),
            complete_absences: row.complete_absences.unwrap_or(0).unsigned_abs(),
            last_pass: moment(row.last_pass_at, row.last_pass_run),
            last_fail: moment(row.last_fail_at, row.last_fail_run),
        });
        Pair {
            case: row.case,
            memory,
            status: row.status.unwrap_or(Status::Healthy),
            findings: row.findings.map(|findings| findings.0).unwrap_or_default(),
            observed: row.now_fails.map(|fails| match (fails, row.now_passes) {
                (true, _) => Observed::Fail,
                (false, Some(true)) => Observed::Pass,
                (false, _) => Observed::Skip,
            }),
            flaky: row.now_flaky.unwrap_or(false),
            duration_ms: row.now_duration,
        }
    });
    Ok(rows.collect())
}

/// A case after a run.
#[derive(Debug, Clone)]
pub struct After {
    /// The case.
    pub case: CaseId,
    /// What is remembered from now on.
    pub memory: CaseMemory,
    /// Where it stands.
    pub told: Told,
    /// How long it took, where the run executed it.
    pub duration_ms: Option<i64>,
    /// What the monitors say, where they were asked.
    pub judged: Option<Judged>,
}

/// What the monitors say of a case.
#[derive(Debug, Clone)]
pub struct Judged {
    /// Its status.
    pub status: Status,
    /// The same with monitors that only label.
    pub label: Status,
    /// Since when, where it changes.
    pub changed_at: Option<DateTime<Utc>>,
    /// Why.
    pub findings: Vec<MonitorFinding>,
}

/// Writes what is remembered of cases of a cell.
pub async fn remember(conn: &mut Conn, _: &Access<System>, cell: i32, cases: &[After]) -> Result<()> {
    let at = |part: fn(&CaseMemory) -> Option<Moment>| {
        cases.iter().map(|it| part(&it.memory).map(|m| m.at)).collect::<Vec<_>>()
    };
    let run = |part: fn(&CaseMemory) -> Option<Moment>| {
        cases.iter().map(|it| part(&it.memory).map(|m| m.run_id.0)).collect::<Vec<_>>()
    };
    let runs = |part: fn(&CaseMemory) -> Option<Since>| {
        cases.iter().map(|it| part(&it.memory).map(|s| s.runs as i32)).collect::<Vec<_>>()
    };
    let since: fn(&CaseMemory) -> Option<Since> = |memory| memory.verdict.map(|verdict| verdict.since);
    let since_first: fn(&CaseMemory) -> Option<Moment> = |memory| memory.verdict.map(|verdict| verdict.since.first);
    let absent_first: fn(&CaseMemory) -> Option<Moment> = |memory| memory.absent.map(|absent| absent.first);
    let standing = |it: &After| it.told.standing.word().to_owned();
    let judged = |part: fn(&Judged) -> Option<String>| {
        cases.iter().map(|it| it.judged.as_ref().and_then(part)).collect::<Vec<_>>()
    };
    sqlx::query!(
        r#"INSERT INTO case_state AS s (cell_id, case_id, standing, first_seen_at, first_seen_run, last_seen_at,
               last_seen_run, fails, since_at, since_run, since_runs, absent_at, absent_run, absent_runs, complete_absences,
               last_pass_at, last_pass_run, last_fail_at, last_fail_run, duration_ms, status, label, changed_at, findings)
           SELECT $1, u.case_id, u.standing, u.first_seen_at, u.first_seen_run, u.last_seen_at,
                  u.last_seen_run, u.fails, u.since_at, u.since_run, u.since_runs, u.absent_at, u.absent_run, u.absent_runs,
                  u.complete_absences, u.last_pass_at, u.last_pass_run, u.last_fail_at, u.last_fail_run, u.duration_ms,
                  coalesce(u.status, 'healthy'), coalesce(u.label, 'healthy'), u.changed_at, u.findings::jsonb
           FROM unnest($2::uuid[], $3::text[], $4::timestamptz[], $5::uuid[], $6::timestamptz[], $7::uuid[], $8::bool[],
                       $9::timestamptz[], $10::uuid[], $11::int[], $12::timestamptz[], $13::uuid[], $14::int[], $15::int[],
                       $16::timestamptz[], $17::uuid[], $18::timestamptz[], $19::uuid[], $20::bigint[], $21::text[],
                       $22::text[], $23::timestamptz[], $24::text[])
                AS u(case_id, standing, first_seen_at, first_seen_run, last_seen_at, last_seen_run, fails, since_at,
                     since_run, since_runs, absent_at, absent_run, absent_runs, complete_absences, last_pass_at,
                     last_pass_run, last_fail_at, last_fail_run, duration_ms, status, label, changed_at, findings)
           ON CONFLICT (cell_id, case_id) DO UPDATE
           SET standing = excluded.standing, first_seen_at = excluded.first_seen_at, first_seen_run = excluded.first_seen_run,
               last_seen_at = excluded.last_seen_at, last_seen_run = excluded.last_seen_run, fails = excluded.fails,
               since_at = excluded.since_at, since_run = excluded.since_run, since_runs = excluded.since_runs,
               absent_at = excluded.absent_at, absent_run = excluded.absent_run, absent_runs = excluded.absent_runs,
               complete_absences = excluded.complete_absences, last_pass_at = excluded.last_pass_at,
               last_pass_run = excluded.last_pass_run, last_fail_at = excluded.last_fail_at,
               last_fail_run = excluded.last_fail_run, duration_ms = coalesce(excluded.duration_ms, s.duration_ms),
               status = CASE WHEN excluded.findings IS NULL THEN s.status ELSE excluded.status END,
               label = CASE WHEN excluded.findings IS NULL THEN s.label ELSE excluded.label END,
               changed_at = coalesce(excluded.changed_at, s.changed_at),
               findings = coalesce(excluded.findings, s.findings)"#,
        cell,
        &cases.iter().map(|it| it.case.0).collect::<Vec<_>>(),
        &cases.iter().map(standing).collect::<Vec<_>>(),
        &at(|memory| Some(memory.first_seen)) as _,
        &run(|memory| Some(memory.first_seen)) as _,
        &at(|memory| Some(memory.last_seen)) as _,
        &run(|memory| Some(memory.last_seen)) as _,
        &cases.iter().map(|it| it.memory.verdict.map(|verdict| verdict.fails)).collect::<Vec<_>>() as _,
        &at(since_first) as _,
        &run(since_first) as _,
        &runs(since) as _,
        &at(absent_first) as _,
        &run(absent_first) as _,
        &runs(|memory| memory.absent) as _,
        &cases.iter().map(|it| it.memory.complete_absences as i32).collect::<Vec<_>>(),
        &at(|memory| memory.last_pass) as _,
        &run(|memory| memory.last_pass) as _,
        &at(|memory| memory.last_fail) as _,
        &run(|memory| memory.last_fail) as _,
        &cases.iter().map(|it| it.duration_ms).collect::<Vec<_>>() as _,
        &judged(|it| Some(it.status.word().to_owned())) as _,
        &judged(|it| Some(it.label.word().to_owned())) as _,
        &cases.iter().map(|it| it.judged.as_ref().and_then(|judged| judged.changed_at)).collect::<Vec<_>>() as _,
        &judged(|it| serde_json::to_string(&it.findings).ok()) as _
    )
    .execute(conn)
    .await?;
    Ok(())
}

/// Writes what a run changed, in place of what was written of it before.
pub async fn note_changes(conn: &mut Conn, _: &Access<System>, run: RunId, cases: &[After]) -> Result<()> {
    let noted: Vec<(&After, Told)> = cases.iter().filter(|it| is_change(it)).map(|it| (it, it.told)).collect();
    if noted.is_empty() {
        return Ok(());
    }
    let since = |part: fn(&Told) -> Option<Since>| noted.iter().map(|(_, told)| part(told)).collect::<Vec<_>>();
    let (now, before) = (since(|told| told.since), since(|told| told.failed_since));
    let at = |part: &[Option<Since>]| part.iter().map(|it| it.map(|since| since.first.at)).collect::<Vec<_>>();
    let runs = |part: &[Option<Since>]| part.iter().map(|it| it.map(|since| since.first.run_id.0)).collect::<Vec<_>>();
    let counts = |part: &[Option<Since>]| part.iter().map(|it| it.map(|since| since.runs as i32)).collect::<Vec<_>>();
    sqlx::query!(
        r#"INSERT INTO standing (run_id, case_id, standing, since_at, since_run, since_runs, failed_at, failed_run,
                                 failed_runs)
           SELECT $1, u.case_id, u.standing, u.since_at, u.since_run, u.since_runs, u.failed_at, u.failed_run, u.failed_runs
           FROM unnest($2::uuid[], $3::text[], $4::timestamptz[], $5::uuid[], $6::int[], $7::timestamptz[], $8::uuid[],
                       $9::int[])
                AS u(case_id, standing, since_at, since_run, since_runs, failed_at, failed_run, failed_runs)"#,
        run.0,
        &noted.iter().map(|(it, _)| it.case.0).collect::<Vec<_>>(),
        &noted.iter().map(|(_, told)| told.standing.word().to_owned()).collect::<Vec<_>>(),
        &at(&now) as _,
        &runs(&now) as _,
        &counts(&now) as _,
        &at(&before) as _,
        &runs(&before) as _,
        &counts(&before) as _
    )
    .execute(conn)
    .await?;
    Ok(())
}

/// Removes what was written of the changes of a run.
pub async fn forget_changes(conn: &mut Conn, _: &Access<System>, run: RunId) -> Result<()> {
    sqlx::query!("DELETE FROM standing WHERE run_id = $1", run.0).execute(conn).await?;
    Ok(())
}

/// Tells whether people want to know of it: passing is not noted, and removal once.
fn is_change(after: &After) -> bool {
    match after.told.standing {
        Standing::New | Standing::StillFailing | Standing::Fixed | Standing::Missing => true,
        Standing::Removed => after.memory.complete_absences == ABSENCES_TO_REMOVE,
        Standing::Passing | Standing::Skipped => false,
    }
}

/// Reads the recent trials of cases in a cell, at most so many of each.
pub async fn trials(
    conn: &mut Conn,
    _: &Access<System>,
    cell: i32,
    cases: &[CaseId],
    until: Moment,
    most: i64,
) -> Result<Vec<(CaseId, Trial)>> {
    let ids: Vec<Uuid> = cases.iter().map(|case| case.0).collect();
    let rows = sqlx::query!(
        r#"SELECT u.case_id AS "case!: CaseId", c.run_id AS "run_id!: RunId", c.passes AS "passes!", c.fails AS "fails!",
                  c.flaky OR (c.attempt > 1 AND EXISTS (
                      -- What the infrastructure ended says nothing.
                      SELECT FROM report_case x
                      JOIN attempt a ON a.run_id = x.run_id AND a.attempt = x.attempt AND a.result IN ('fail', 'timed_out')
                      WHERE x.case_id = u.case_id AND x.cell_id = $1 AND x.run_id = c.run_id AND x.attempt < c.attempt
                        AND x.status IN ('fail', 'error'))) AS "flaky!",
                  c.finished_at AS "finished_at!", c.image_digest, k.id AS config_id, tells_subject(k.body) AS "tells_subject!", j.counts AS "counts?: Json<CaseCounts>"
           FROM unnest($2::uuid[]) AS u(case_id)
           CROSS JOIN LATERAL (
               SELECT c.run_id, c.attempt, bool_or(c.status = 'pass') AS passes,
                      bool_or(c.status IN ('fail', 'error')) AS fails, bool_or(c.flaky) AS flaky,
                      max(e.finished_at) AS finished_at, max(e.image_digest) AS image_digest
               FROM report_case c JOIN run_end e ON e.run_id = c.run_id AND e.attempt = c.attempt
               WHERE c.case_id = u.case_id AND c.cell_id = $1 AND (e.finished_at, e.run_id) <= ($4, $5)
               GROUP BY c.run_id, c.attempt
               ORDER BY c.run_id DESC LIMIT $3) c
           CROSS JOIN LATERAL (SELECT config_id FROM run WHERE id = c.run_id OFFSET 0) r
           JOIN config k ON k.id = r.config_id
           LEFT JOIN judged j ON j.run_id = c.run_id AND j.attempt = c.attempt"#,
        cell,
        &ids,
        most,
        until.at,
        until.run_id.0
    );
    let guard = Guard::default();
    let rows = rows.fetch_all(conn).await?.into_iter().map(|row| {
        let counts = row.counts.map(|counts| counts.0).unwrap_or_default();
        let (failed, executed) = (counts.failed + counts.errors, counts.cases - counts.skipped);
        let excluded: Option<Exclusion> = guard.judge(failed, executed, Control::Absent);
        let observed = match (row.fails, row.passes) {
            (true, _) => Observed::Fail,
            (false, true) => Observed::Pass,
            (false, false) => Observed::Skip,
        };
        let failed_attempts = u16::from(row.flaky);
        let trial = Trial {
            run_id: row.run_id,
            at: row.finished_at,
            observed,
            failed_attempts,
            subject: subject_of(row.image_digest.as_deref(), row.config_id, row.tells_subject),
            excluded,
        };
        (row.case, trial)
    });
    Ok(rows.collect())
}

/// Forgets cases that no run of theirs had for as long as runs are kept, cells without runs, and quarantine that ended long
/// ago; returns how many rows went, at most so many of each kind.
pub async fn forget(conn: &mut Conn, _: &Access<System>, most: i64) -> Result<u64> {
    let states = sqlx::query!(
        r#"DELETE FROM case_state s USING (
               SELECT s.cell_id, s.case_id
               FROM case_state s JOIN cell c ON c.id = s.cell_id JOIN namespace n ON n.id = c.ns_id
               WHERE s.last_seen_at < clock_timestamp() - make_interval(days => n.runs_days)
               ORDER BY s.cell_id, s.case_id
               LIMIT $1) old
           WHERE s.cell_id = old.cell_id AND s.case_id = old.case_id"#,
        most
    );
    let states = states.execute(&mut *conn).await?.rows_affected();
    let cells = sqlx::query!(
        r#"WITH old AS (
               SELECT c.id FROM cell c JOIN namespace n ON n.id = c.ns_id
               WHERE c.last_at < clock_timestamp() - make_interval(days => n.runs_days)
                 AND NOT EXISTS (SELECT FROM case_state s WHERE s.cell_id = c.id)
                 AND NOT EXISTS (SELECT FROM keep p JOIN run r ON r.id = p.run_id WHERE r.test_id = c.test_id)
               ORDER BY c.id
               LIMIT $1),
           windows AS (DELETE FROM cell_window w USING old WHERE w.cell_id = old.id),
           memories AS (DELETE FROM cell_memory m USING old WHERE m.cell_id = old.id)
           DELETE FROM cell c USING old WHERE c.id = old.id"#,
        most
    );
    let cells = cells.execute(&mut *conn).await?.rows_affected();
    // The key of a case goes when nothing is left that has it. What is skipped is in no report, and still told by its name.
    let keys = sqlx::query!(
        r#"DELETE FROM case_key k USING (
               SELECT k.case_id FROM case_key k JOIN namespace n ON n.id = k.ns_id
               WHERE k.created_at < clock_timestamp() - make_interval(days => n.runs_days + 1)
                 AND NOT EXISTS (SELECT FROM case_state s WHERE s.case_id = k.case_id)
                 AND NOT EXISTS (SELECT FROM report_case r WHERE r.case_id = k.case_id)
                 AND NOT EXISTS (SELECT FROM quarantine q WHERE q.case_id = k.case_id)
               ORDER BY k.case_id
               LIMIT $1) old
           -- A report may have named it meanwhile.
           WHERE k.case_id = old.case_id AND k.created_at < clock_timestamp() - interval '1 day'"#,
        most
    );
    let keys = keys.execute(&mut *conn).await?.rows_affected();
    // What monitors saw of a case is not believed for ever.
    let stale = sqlx::query!(
        r#"UPDATE case_state SET status = 'healthy', label = 'healthy', findings = NULL, changed_at = clock_timestamp()
           WHERE (cell_id, case_id) IN (
               SELECT cell_id, case_id FROM case_state
               WHERE status = 'flaky' AND last_seen_at < clock_timestamp() - interval '7 days' LIMIT $1)"#,
        most
    );
    let stale = stale.execute(&mut *conn).await?.rows_affected();
    let ended = sqlx::query!(
        r#"DELETE FROM quarantine q USING (
               SELECT test_id, case_id FROM quarantine WHERE until < clock_timestamp() - interval '1 year' LIMIT $1) old
           WHERE q.test_id = old.test_id AND q.case_id = old.case_id"#,
        most
    );
    let ended = ended.execute(conn).await?.rows_affected();
    Ok(states + cells + keys + stale + ended)
}
