//! What can be told from rows alone but holds only of a database whose clock nobody moved and whose caps nobody
//! changed on the way (I5, I12, I15, I16), and what is searched for in all of them (I11, I12, I13, I16).

use futures_util::TryStreamExt;
use sqlx::PgConnection;
use uuid::Uuid;

use super::logs::unpacked;
use super::{Seen, Summary, Violation, rows_of};
use crate::invariants::Broken;

const RULES: &[(&str, &str)] = &[
    (
        "I5: a run was created when its first event says so",
        "SELECT r.id FROM run r
         CROSS JOIN LATERAL (SELECT min(at) AS at FROM run_event v WHERE v.run_id = r.id) v
         WHERE abs(extract(epoch FROM r.created_at - v.at)) > 2",
    ),
    (
        "I5: an attempt started when its event says so",
        "SELECT a.run_id FROM
             (SELECT run_id, attempt, started_at FROM attempt UNION ALL SELECT run_id, attempt, started_at FROM lease) a
         JOIN run_event v ON v.run_id = a.run_id AND v.attempt = a.attempt AND v.state_to = 'running'
         WHERE abs(extract(epoch FROM a.started_at - v.at)) > 2",
    ),
    (
        "I12: a runner holds only runs of namespaces that its token covers",
        "SELECT a.run_id FROM
             (SELECT run_id, runner_id FROM attempt UNION ALL SELECT run_id, runner_id FROM lease) a
         JOIN run r ON r.id = a.run_id JOIN namespace n ON n.id = r.ns_id LEFT JOIN runner w ON w.id = a.runner_id
         WHERE w.id IS NULL OR NOT EXISTS (SELECT FROM unnest(w.namespaces) p WHERE n.name ~ ('^(?:' || p || ')$'))",
    ),
    (
        "I12: a runner holds only runs that its selectors take",
        "SELECT a.run_id FROM
             (SELECT run_id, runner_id FROM attempt UNION ALL SELECT run_id, runner_id FROM lease) a
         JOIN run r ON r.id = a.run_id JOIN class c ON c.id = r.class_id JOIN runner w ON w.id = a.runner_id
         WHERE EXISTS (SELECT FROM jsonb_each_text(c.labels) l JOIN jsonb_each_text(w.reject) s ON s.key = l.key
                       WHERE l.value ~ ('^(?:' || s.value || ')$'))
            OR w.accept <> '{}' AND EXISTS (
                   SELECT FROM jsonb_each_text(c.labels) l
                   WHERE NOT coalesce(l.value ~ ('^(?:' || coalesce(w.accept->>l.key, w.accept->>'*') || ')$'), false))",
    ),
    (
        "I12: nothing is handed to a runner whose token was revoked 5 s ago",
        "SELECT a.run_id FROM
             (SELECT run_id, runner_id, leased_at FROM attempt UNION ALL SELECT run_id, runner_id, leased_at FROM lease) a
         JOIN runner w ON w.id = a.runner_id JOIN token t ON t.id = w.token_id
         WHERE a.leased_at > t.revoked_at + interval '5 s'",
    ),
    (
        "I15: no namespace has more running runs than its cap",
        "SELECT run_id FROM
             (SELECT v.run_id, v.state_to, n.max_running,
                     sum(CASE WHEN v.state_to = 'leased' THEN 1
                              WHEN v.state_from IN ('leased', 'running') AND v.state_to IN ('queued', 'finished') THEN -1
                              ELSE 0 END) OVER (PARTITION BY r.ns_id ORDER BY v.at, v.id) AS running
              FROM run_event v JOIN run r ON r.id = v.run_id JOIN namespace n ON n.id = r.ns_id) c
         WHERE state_to = 'leased' AND running > max_running",
    ),
    (
        // Runs that come back are let in whatever the cap says, so only those that wait for the first time are counted.
        "I15: no namespace is given more waiting runs than its cap",
        "SELECT run_id FROM
             (SELECT v.run_id, v.state_from, n.max_queued,
                     sum(CASE WHEN v.state_from IS NULL THEN 1
                              WHEN v.state_from = 'queued' AND (v.state_to = 'leased' AND v.attempt = 1
                                                                OR v.state_to = 'finished' AND v.attempt = 0) THEN -1
                              ELSE 0 END) OVER (PARTITION BY r.ns_id ORDER BY v.at, v.id) AS queued
              FROM run_event v JOIN run r ON r.id = v.run_id JOIN namespace n ON n.id = r.ns_id) c
         WHERE state_from IS NULL AND queued > max_queued",
    ),
    (
        // Those that ended and were not taken in yet count as well. Retention may have removed runs of some days.
        "I16: the sums of a summary are the runs that have finished, each once",
        "SELECT coalesce(k.run, '00000000-0000-0000-0000-000000000000') FROM
             (SELECT ns_id, at, dim, sum(pass + fail + error + timed_out + cancelled) AS runs
              FROM rollup WHERE grain = 1 AND dim IN (0, 1) GROUP BY ns_id, at, dim) s
         FULL JOIN
             (SELECT e.ns_id, id_day(e.run_id)::timestamp AT TIME ZONE 'UTC' AS at, d.dim, count(*) AS runs,
                     min(e.run_id::text)::uuid AS run
              FROM run_end e CROSS JOIN (VALUES (0), (1)) d(dim)
              WHERE NOT EXISTS (SELECT FROM undigested u WHERE u.run_id = e.run_id)
              GROUP BY 1, 2, 3) k ON (k.ns_id, k.at, k.dim) = (s.ns_id, s.at, s.dim)
         LEFT JOIN runs_removed g ON g.ns_id = coalesce(s.ns_id, k.ns_id)
         WHERE coalesce(s.runs, 0) <> coalesce(k.runs, 0)
           AND (coalesce(s.at, k.at) AT TIME ZONE 'UTC')::date >= coalesce(g.before, '-infinity')",
    ),
    (
        // A day may have sums and no run; then there is no run to be shown.
        "I16: the sums of a namespace and a day are those of its runs, their logs and their artifacts",
        "SELECT coalesce(k.run, '00000000-0000-0000-0000-000000000000') FROM
             (SELECT ns_id, day, sum(runs) AS runs, sum(log_bytes) AS bytes, sum(artifact_bytes) AS files
              FROM (SELECT ns_id, day, runs, log_bytes, artifact_bytes FROM usage
                    UNION ALL SELECT ns_id, day, runs, log_bytes, artifact_bytes FROM usage_delta) u
              GROUP BY ns_id, day) s
         FULL JOIN
             (SELECT r.ns_id, id_day(r.id) AS day, count(*) AS runs, min(r.id::text)::uuid AS run,
                     coalesce(sum((SELECT sum(stdout_bytes + stderr_bytes) FROM attempt a WHERE a.run_id = r.id)), 0) AS bytes,
                     coalesce(sum((SELECT sum(f.bytes) FROM artifact f JOIN attempt a USING (run_id, attempt)
                                   WHERE f.run_id = r.id)), 0) AS files
              FROM run r GROUP BY 1, 2) k ON k.ns_id = s.ns_id AND k.day = s.day
         LEFT JOIN usage g ON g.ns_id = s.ns_id AND g.day = s.day
         WHERE coalesce(s.runs, 0) <> coalesce(k.runs, 0)
            OR (coalesce(s.bytes, 0), coalesce(s.files, 0)) <> (coalesce(k.bytes, 0), coalesce(k.files, 0))
               AND g.logs_removed_at IS NULL",
    ),
];

pub(super) async fn broken(conn: &mut PgConnection) -> Vec<Broken> {
    crate::invariants::apply(conn, RULES).await
}

/// I11: nothing waits or runs any more, and nothing was left behind.
pub(super) async fn alive(conn: &mut PgConnection, leftovers: &[String]) -> Vec<Violation> {
    let live: Vec<Uuid> = sqlx::query_scalar(
        "SELECT run_id FROM ready UNION SELECT run_id FROM delayed UNION SELECT run_id FROM lease
             UNION SELECT run_id FROM gated UNION SELECT run_id FROM cancel_order",
    )
    .fetch_all(&mut *conn)
    .await
    .expect("read what is alive");
    let mut found = Vec::new();
    if !live.is_empty() {
        found.push(Violation::new("I11", "nothing waits or runs for ever", rows_of(conn, &live).await));
    }
    if !leftovers.is_empty() {
        found.push(Violation::new("I11", "nothing is left over of what has ended", leftovers.to_vec()));
    }
    found
}

/// I12: nobody is shown a run of a namespace that they may not see.
pub(super) async fn foreign(conn: &mut PgConnection, seen: &[Seen]) -> Vec<Violation> {
    let mut found = Vec::new();
    for one in seen {
        let foreign: Vec<Uuid> = sqlx::query_scalar(
            "SELECT r.id FROM run r JOIN namespace n ON n.id = r.ns_id WHERE r.id = ANY($1) AND n.name <> ALL($2)",
        )
        .bind(&one.runs)
        .bind(&one.may_see)
        .fetch_all(&mut *conn)
        .await
        .expect("read the namespaces");
        if !foreign.is_empty() {
            let claim = format!("{} is shown only runs of {:?}", one.who, one.may_see);
            found.push(Violation::new("I12", claim, rows_of(conn, &foreign).await));
        }
    }
    found
}

/// I16: what people are told that a namespace has is what it has.
pub(super) async fn miscounted(conn: &mut PgConnection, told: &[Summary]) -> Vec<Violation> {
    let mut wrong = Vec::new();
    for one in told {
        let (runs, log_bytes, artifact_bytes): (i64, i64, i64) = sqlx::query_as(
            "SELECT count(*), coalesce(sum(b.bytes), 0)::bigint, coalesce(sum(b.files), 0)::bigint
             FROM run r JOIN namespace n ON n.id = r.ns_id
             CROSS JOIN LATERAL (SELECT sum(stdout_bytes + stderr_bytes) AS bytes, sum(artifact_bytes) AS files
                                 FROM attempt WHERE run_id = r.id) b
             WHERE n.name = $1",
        )
        .bind(&one.namespace)
        .fetch_one(&mut *conn)
        .await
        .expect("count the runs");
        if (one.runs, one.log_bytes, one.artifact_bytes) != (runs, log_bytes, artifact_bytes) {
            wrong.push(format!("{one:?}, and there are {runs} runs with {log_bytes} and {artifact_bytes} bytes"));
        }
    }
    match wrong.is_empty() {
        true => Vec::new(),
        false => vec![Violation::new("I16", "what is told of a namespace adds up to its runs", wrong)],
    }
}

/// I13: no secret stands in a table, a log of a server or a text of an error.
pub(super) async fn secrets(conn: &mut PgConnection, secrets: &[String], texts: &[(String, String)]) -> Vec<Violation> {
    let mut places = Vec::new();
    for (i, secret) in secrets.iter().enumerate() {
        assert!(secret.len() >= 8, "too short to be found by chance only: {secret}");
        places.extend(
            texts.iter().filter(|(_, text)| text.contains(secret)).map(|(name, _)| format!("secret {i} in {name}")),
        );
    }
    if !secrets.is_empty() {
        let tables: Vec<String> = sqlx::query_scalar(
            "SELECT c.relname::text FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
             WHERE n.nspname = 'public' AND c.relkind IN ('r', 'p') AND NOT c.relispartition ORDER BY 1",
        )
        .fetch_all(&mut *conn)
        .await
        .expect("list the tables");
        for table in tables {
            for (i, secret) in secrets.iter().enumerate() {
                // The bodies of logs are bytes; elsewhere the text of a row shows bytes in hexadecimal, as a dump does.
                let query = match table.as_str() {
                    "log_chunk" => {
                        let rows = pieces_with(conn, secret).await;
                        if rows > 0 {
                            places.push(format!("secret {i} in {rows} rows of {table}"));
                        }
                        continue;
                    }
                    _ => format!(
                        "SELECT count(*) FROM \"{table}\" t WHERE position($1 IN t::text) > 0
                            OR position(encode(convert_to($1, 'UTF8'), 'hex') IN t::text) > 0"
                    ),
                };
                let rows: i64 = sqlx::query_scalar(sqlx::AssertSqlSafe(query))
                    .bind(secret)
                    .fetch_one(&mut *conn)
                    .await
                    .expect("search a table");
                if rows > 0 {
                    places.push(format!("secret {i} in {rows} rows of {table}"));
                }
            }
        }
    }
    match places.is_empty() {
        true => Vec::new(),
        false => vec![Violation::new("I13", "no secret stands anywhere", places)],
    }
}

/// Counts the pieces of logs that hold a secret, as they are and unpacked.
async fn pieces_with(conn: &mut PgConnection, secret: &str) -> i64 {
    let holds = |bytes: &[u8]| bytes.windows(secret.len()).any(|part| part == secret.as_bytes());
    let mut rows = sqlx::query_as::<_, (Vec<u8>, Option<i32>)>("SELECT body, raw_bytes FROM log_chunk").fetch(conn);
    let mut count = 0;
    while let Some((body, raw_bytes)) = rows.try_next().await.expect("search the logs") {
        count += i64::from(holds(&unpacked(body, raw_bytes)));
    }
    count
}
