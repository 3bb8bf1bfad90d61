//! What must hold of the database at every moment, whatever a test did to its clock, as queries that find what does not.
//! The checker adds what can only be told with evidence from outside of the database.

use sqlx::PgConnection;
use uuid::Uuid;

/// The invariants: a name, and a query that lists the runs that break it.
const INVARIANTS: &[(&str, &str)] = &[
    (
        "I1: a run finishes once",
        "SELECT run_id FROM run_event WHERE state_to = 'finished' GROUP BY run_id HAVING count(*) > 1",
    ),
    (
        "I1: the result is that of the event",
        "SELECT coalesce(e.run_id, v.run_id) FROM run_end e
         FULL JOIN (SELECT * FROM run_event WHERE state_to = 'finished') v ON v.run_id = e.run_id
         WHERE (e.result, e.reason, e.attempt) IS DISTINCT FROM (v.result, v.reason, v.attempt)",
    ),
    (
        "I3: attempts are 1 to n without a gap",
        "SELECT run_id FROM
             (SELECT run_id, attempt FROM attempt UNION ALL SELECT run_id, attempt FROM lease) a
         GROUP BY run_id HAVING min(attempt) <> 1 OR max(attempt) <> count(*)",
    ),
    (
        "I3: no more attempts than the test and its releases allow",
        "SELECT r.id FROM run r JOIN config c ON c.id = r.config_id
         CROSS JOIN LATERAL (SELECT count(*) AS ended, count(*) FILTER (WHERE result IS NULL) AS released
                             FROM attempt WHERE run_id = r.id) a
         WHERE a.ended + (SELECT count(*) FROM lease WHERE run_id = r.id)
               > 1 + c.on_infrastructure + c.on_fail + a.released",
    ),
    (
        "I3: every attempt has a lease id of its own",
        "SELECT min(run_id::text)::uuid FROM
             (SELECT run_id, lease_id FROM attempt UNION ALL SELECT run_id, lease_id FROM lease) a
         GROUP BY lease_id HAVING count(*) > 1",
    ),
    (
        "I3: no two attempts of a run hold a lease at once",
        "SELECT run_id FROM
             (SELECT run_id, leased_at, lag(ended_at) OVER (PARTITION BY run_id ORDER BY attempt) AS before
              FROM (SELECT run_id, attempt, leased_at, ended_at FROM attempt
                    UNION ALL SELECT run_id, attempt, leased_at, NULL FROM lease) b) a
         WHERE before > leased_at",
    ),
    (
        "I4: the states follow each other as they may",
        "SELECT run_id FROM
             (SELECT run_id, string_agg(CASE state_to WHEN 'queued' THEN 'Q' WHEN 'leased' THEN 'L'
                                                      WHEN 'running' THEN 'R' ELSE 'F' END, '' ORDER BY at, id) AS path
              FROM run_event GROUP BY run_id) p
         WHERE path !~ '^Q(LQ|LRQ)*(LR?)?F?$'",
    ),
    (
        "I4: every event begins where the last one ended",
        "SELECT run_id FROM
             (SELECT run_id, state_from, lag(state_to) OVER (PARTITION BY run_id ORDER BY at, id) AS before
              FROM run_event) v
         WHERE state_from IS DISTINCT FROM before",
    ),
    (
        "I4: a running run waits again only for a loss or a test retry",
        "SELECT v.run_id FROM run_event v JOIN attempt a ON a.run_id = v.run_id AND a.attempt = v.attempt
         WHERE v.state_from = 'running' AND v.state_to = 'queued'
           AND NOT (a.result IN ('fail', 'timed_out')
                    OR a.result = 'error' AND a.reason IN ('runtime_lost', 'worker_crash', 'disk_full', 'lost_worker'))",
    ),
    (
        "I4: every run is in the one place that its last event says",
        "SELECT r.id FROM run r
         CROSS JOIN LATERAL (SELECT state_to FROM run_event WHERE run_id = r.id ORDER BY at DESC, id DESC LIMIT 1) v
         LEFT JOIN lease l ON l.run_id = r.id
         WHERE (SELECT count(*) FROM ready WHERE run_id = r.id) + (SELECT count(*) FROM delayed WHERE run_id = r.id)
               + (SELECT count(*) FROM gated WHERE run_id = r.id AND parked) <> (v.state_to = 'queued')::int
            OR (l.run_id IS NOT NULL) <> (v.state_to IN ('leased', 'running'))
            OR (l.started_at IS NOT NULL) <> (v.state_to = 'running')
            OR (SELECT count(*) FROM run_end WHERE run_id = r.id) <> (v.state_to = 'finished')::int",
    ),
    (
        "I4: every run has an event, and every event a run",
        "SELECT coalesce(r.id, v.run_id) FROM run r FULL JOIN (SELECT DISTINCT run_id FROM run_event) v ON v.run_id = r.id
         WHERE r.id IS NULL OR v.run_id IS NULL",
    ),
    (
        "I5: times are in order",
        "SELECT r.id FROM run r
         LEFT JOIN (SELECT run_id, leased_at, started_at, ended_at FROM attempt
                    UNION ALL SELECT run_id, leased_at, started_at, NULL FROM lease) a ON a.run_id = r.id
         LEFT JOIN run_end e ON e.run_id = r.id
         WHERE r.created_at > a.leased_at OR a.leased_at > coalesce(a.started_at, a.ended_at)
            OR a.started_at > a.ended_at OR a.ended_at > e.finished_at
            -- What is uploaded ended before it was stored.
            OR r.created_at > e.finished_at AND r.trigger <> 'upload'",
    ),
    (
        "I3: what was uploaded has one attempt and no runner",
        "SELECT r.id FROM run r JOIN run_end e ON e.run_id = r.id
         WHERE r.trigger = 'upload'
           AND (e.attempt <> 1 OR e.runner_id IS NOT NULL OR e.leased_at IS NOT NULL
                OR EXISTS (SELECT FROM attempt a WHERE a.run_id = r.id))",
    ),
    (
        "I5: the end repeats the times of the last attempt",
        "SELECT e.run_id FROM run_end e JOIN attempt a ON a.run_id = e.run_id AND a.attempt = e.attempt
         WHERE e.leased_at IS NOT NULL
           AND (e.leased_at, e.started_at, e.runner_id) IS DISTINCT FROM (a.leased_at, a.started_at, a.runner_id)",
    ),
    (
        "I5: a start is the event of the start",
        "SELECT a.run_id FROM
             (SELECT run_id, attempt, started_at FROM attempt UNION ALL SELECT run_id, attempt, started_at FROM lease) a
         WHERE (a.started_at IS NOT NULL)::int <> (SELECT count(*) FROM run_event v
                WHERE v.run_id = a.run_id AND v.attempt = a.attempt AND v.state_to = 'running')",
    ),
    (
        "I7: the pieces of a stream lie behind each other from 0 on",
        "SELECT run_id FROM
             (SELECT run_id, start, coalesce(lag(start + coalesce(raw_bytes, octet_length(body))) OVER own, 0) AS before,
                     CASE WHEN cut_at + cut_bytes = start THEN cut_bytes ELSE 0 END AS cut FROM log_chunk
              WINDOW own AS (PARTITION BY run_id, attempt, stream ORDER BY start)) k
         WHERE start <> before + cut",
    ),
    (
        "I7: a stream is cut once, where all pieces behind the cut say",
        "SELECT run_id FROM
             (SELECT run_id, cut_at, cut_bytes, start, first_value(cut_at) OVER own AS at, first_value(cut_bytes) OVER own AS bytes
              FROM log_chunk WINDOW own AS (PARTITION BY run_id, attempt, stream ORDER BY start DESC)) k
         WHERE (cut_at, cut_bytes) IS DISTINCT FROM (at, bytes) AND (cut_at IS NOT NULL OR start >= at + bytes)",
    ),
    (
        "I7: the place of a piece is what is stored before it",
        "SELECT run_id FROM
             (SELECT run_id, place, coalesce(sum(coalesce(raw_bytes, octet_length(body))) OVER own, 0) AS before FROM log_chunk
              WINDOW own AS (PARTITION BY run_id, attempt ORDER BY seq ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING)) k
         WHERE place <> before",
    ),
    (
        "I7: a log that is complete is stored as it was sealed",
        "SELECT a.run_id FROM attempt a
         WHERE a.log_status = 'complete' AND a.run_id NOT IN (
                   SELECT r.id FROM run r JOIN usage u ON u.ns_id = r.ns_id AND u.day = id_day(r.id)
                   WHERE u.logs_removed_at IS NOT NULL AND NOT EXISTS (SELECT FROM log_chunk k WHERE k.run_id = r.id))
           AND a.stdout_bytes + a.stderr_bytes <> (SELECT coalesce(sum(coalesce(raw_bytes, octet_length(body))), 0) FROM log_chunk k
                                                  WHERE k.run_id = a.run_id AND k.attempt = a.attempt)",
    ),
    (
        "artifacts: the files of an attempt are as many and as large as was recorded",
        "SELECT coalesce(c.run_id, f.run_id) FROM collected c
         FULL JOIN (SELECT run_id, attempt, count(*) AS files, sum(bytes) AS bytes FROM artifact GROUP BY run_id, attempt) f
                ON (f.run_id, f.attempt) = (c.run_id, c.attempt)
         WHERE (c.files, c.bytes) IS DISTINCT FROM (coalesce(f.files, 0), coalesce(f.bytes, 0))
         UNION ALL
         SELECT c.run_id FROM collected c
         LEFT JOIN (SELECT run_id, attempt, artifact_files, artifact_bytes FROM attempt
                    UNION ALL SELECT run_id, attempt, artifact_files, artifact_bytes FROM lease) a
                ON (a.run_id, a.attempt) = (c.run_id, c.attempt)
         WHERE (a.artifact_files, a.artifact_bytes) IS DISTINCT FROM (c.files, c.bytes)
         UNION ALL
         SELECT a.run_id FROM attempt a JOIN run_end e ON (e.run_id, e.attempt) = (a.run_id, a.attempt)
         WHERE e.leased_at IS NOT NULL
           AND (a.artifact_files, a.artifact_bytes) IS DISTINCT FROM (e.artifact_files, e.artifact_bytes)",
    ),
    (
        "artifacts: what a file has for a content is stored, in its namespace",
        "SELECT f.run_id FROM artifact f JOIN run r ON r.id = f.run_id LEFT JOIN blob b ON b.key = f.blob
         WHERE b.stored_at IS NULL OR (b.ns_id, b.sha256, b.bytes) IS DISTINCT FROM (r.ns_id, f.sha256, f.bytes)",
    ),
    (
        "gates: no more runs hold a slot than there are",
        "SELECT min(r.run_id::text)::uuid FROM gated r JOIN gate g ON g.key = r.group_key
         WHERE r.group_slot IS NOT NULL GROUP BY g.key, g.slots HAVING count(*) > g.slots
         UNION ALL
         SELECT min(r.run_id::text)::uuid FROM gated r JOIN gate g ON g.key = r.matrix_id
         WHERE r.matrix_slot IS NOT NULL GROUP BY g.key, g.slots HAVING count(*) > g.slots",
    ),
    (
        "gates: nobody waits beside a free slot",
        "SELECT w.run_id FROM gated w JOIN gate g ON g.key = w.group_key
         WHERE w.group_slot IS NULL AND w.due IS NULL
           AND NOT EXISTS (SELECT FROM cancel_order o WHERE o.run_id = w.run_id)
           AND g.slots > (SELECT count(*) FROM gated h WHERE h.group_key = g.key AND h.group_slot IS NOT NULL)
         UNION ALL
         SELECT w.run_id FROM gated w JOIN gate g ON g.key = w.matrix_id
         WHERE w.max_parallel IS NOT NULL AND w.matrix_slot IS NULL AND w.due IS NULL
           AND (w.group_key IS NULL OR w.group_slot IS NOT NULL)
           AND NOT EXISTS (SELECT FROM cancel_order o WHERE o.run_id = w.run_id)
           AND g.slots > (SELECT count(*) FROM gated h WHERE h.matrix_id = g.key AND h.matrix_slot IS NOT NULL)",
    ),
    (
        "gates: who has ended holds no slot, and who is let in can be claimed or is held",
        "SELECT g.run_id FROM gated g
         WHERE EXISTS (SELECT FROM run_end e WHERE e.run_id = g.run_id)
            OR g.parked = (EXISTS (SELECT FROM ready q WHERE q.run_id = g.run_id)
                           OR EXISTS (SELECT FROM delayed d WHERE d.run_id = g.run_id)
                           OR EXISTS (SELECT FROM lease l WHERE l.run_id = g.run_id))",
    ),
    (
        "a run is flaky when it passed after an attempt that failed",
        "SELECT e.run_id FROM run_end e
         WHERE e.flaky <> (e.result = 'pass' AND EXISTS (SELECT FROM attempt a WHERE a.run_id = e.run_id
                           AND a.result IN ('fail', 'timed_out')))",
    ),
];

/// A rule that does not hold.
#[derive(Debug)]
pub struct Broken {
    /// The invariant and what it says, with a colon between.
    pub name: &'static str,
    /// The runs that break it.
    pub runs: Vec<Uuid>,
}

/// Finds every invariant that does not hold.
pub async fn broken(conn: &mut PgConnection) -> Vec<Broken> {
    apply(conn, INVARIANTS).await
}

/// Finds every rule that does not hold: a name, and a query that lists the runs that break it.
pub async fn apply(conn: &mut PgConnection, rules: &[(&'static str, &'static str)]) -> Vec<Broken> {
    let mut found = Vec::new();
    for (name, query) in rules {
        let runs: Vec<Uuid> = sqlx::query_scalar(*query).fetch_all(&mut *conn).await.unwrap_or_else(|error| {
            panic!("{name}: {error}");
        });
        if !runs.is_empty() {
            found.push(Broken { name, runs });
        }
    }
    found
}

/// Names every invariant that does not hold, with runs that break it.
pub async fn violations(conn: &mut PgConnection) -> Vec<String> {
    let broken = broken(conn).await;
    broken.iter().map(|one| format!("{}: {:?}", one.name, &one.runs[..one.runs.len().min(5)])).collect()
}

/// Fails when an invariant does not hold.
pub async fn check(conn: &mut PgConnection) {
    let violations = violations(conn).await;
    assert!(violations.is_empty(), "{}", violations.join("\n"));
}
