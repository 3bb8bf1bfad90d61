-- The end of leases: T5, T6, T7, T8, T9 of a leased run, T11 and T13, each guarded by its fence.
--
-- `kind` says who asks and why:
--   outcome    the owner reports a result                         T5, T13
--   release    the owner gives the lease back                     T6; T7 or T8 with a reason, when it was running
--   cancelled  somebody cancels before the container was started  T9
--   expired    the reaper, after the lease ran out                T6, T7, T8
--   backstop   the reaper, after timeout and grace ran out        T11
-- A row that does not come back was not done: its fence is not the current one, or its guard does not hold.
WITH asked AS MATERIALIZED (
    SELECT * FROM jsonb_to_recordset($1) AS a(
        run_id uuid, attempt smallint, lease_id uuid, runner_id uuid, kind text, result text, reason text, message text,
        exit_code int, image_digest text, log_status text, stdout_bytes bigint, stdout_dropped bigint,
        stdout_sha256 text, stderr_bytes bigint, stderr_dropped bigint, stderr_sha256 text, log_detail jsonb, actor text)
),
gone AS (
    DELETE FROM lease l USING asked a
    WHERE l.run_id = a.run_id AND l.attempt = a.attempt AND l.lease_id = a.lease_id
      AND (a.runner_id IS NULL OR l.runner_id = a.runner_id)
      AND l.ns_id = ANY($2)
      AND CASE a.kind
              WHEN 'outcome' THEN l.started_at IS NOT NULL OR a.result = 'error'
              WHEN 'release' THEN l.started_at IS NULL OR a.reason IS NOT NULL
              WHEN 'cancelled' THEN l.started_at IS NULL
              WHEN 'expired' THEN l.expires_at + $3::interval < clock_timestamp()
              WHEN 'backstop' THEN l.hard_deadline < clock_timestamp()
          END
    RETURNING l.*, a.kind, a.result, a.reason, a.message, a.exit_code, a.image_digest, a.log_status, a.stdout_bytes,
              a.stdout_dropped, a.stdout_sha256, a.stderr_bytes, a.stderr_dropped, a.stderr_sha256, a.log_detail, a.actor
),
weighed AS (
    SELECT g.*, coalesce(g.test_id, o.test_id) AS of_test, c.id AS of_config, c.fail_fast,
           -- A clock that was put back must not keep the run from its end.
           greatest(clock_timestamp(), g.leased_at, g.started_at) AS now,
           CASE
               WHEN g.kind = 'backstop' THEN 'timed_out'
               WHEN g.kind = 'cancelled' THEN 'cancelled'
               WHEN g.kind = 'outcome' AND g.result IN ('fail', 'timed_out') AND g.test_retries < c.on_fail
                    AND g.cancel_requested_at IS NULL THEN NULL
               WHEN g.kind = 'outcome' THEN g.result
               WHEN g.started_at IS NULL THEN CASE WHEN g.releases + 1 >= 5 THEN 'error' END
               WHEN g.cancel_requested_at IS NOT NULL THEN 'cancelled'
               WHEN c.at_most_once OR g.infra_losses >= c.on_infrastructure THEN 'error'
           END AS verdict,
           CASE
               WHEN g.kind = 'backstop' THEN 'server_backstop'
               WHEN g.kind IN ('outcome', 'cancelled') THEN g.reason
               WHEN g.started_at IS NULL THEN g.reason
               ELSE coalesce(g.reason, 'lost_worker')
           END AS why
    FROM gone g
    -- Nearly all leases know where they come from, and then nothing is looked for: the function is strict.
    LEFT JOIN LATERAL origin_of(CASE WHEN g.test_id IS NULL OR g.config_id IS NULL THEN g.run_id END) o ON true
    JOIN config c ON c.id = coalesce(g.config_id, o.config_id)
),
judged AS (
    SELECT *,
           -- Why the run ended may be more than why its last attempt did.
           CASE WHEN verdict = 'error' AND started_at IS NULL AND kind <> 'outcome' THEN 'never_started' ELSE why END AS run_why
    FROM weighed
),
kept AS (
    INSERT INTO attempt (run_id, attempt, lease_id, runner_id, leased_at, started_at, ended_at, result, reason, message,
                         exit_code, image_digest, log_status, stdout_bytes, stdout_dropped, stdout_sha256, stderr_bytes,
                         stderr_dropped, stderr_sha256, log_detail, artifact_files, artifact_bytes)
    SELECT run_id, attempt, lease_id, runner_id, leased_at, started_at, now,
           CASE
               WHEN kind = 'outcome' THEN result
               WHEN kind = 'backstop' THEN 'timed_out'
               WHEN kind = 'cancelled' THEN 'cancelled'
               WHEN started_at IS NOT NULL THEN 'error'
           END,
           why, message, exit_code, image_digest, log_status,
           coalesce(stdout_bytes, stored.stdout), coalesce(stdout_dropped, stored.stdout_cut),
           decode(stdout_sha256, 'hex'),
           coalesce(stderr_bytes, stored.stderr), coalesce(stderr_dropped, stored.stderr_cut),
           decode(stderr_sha256, 'hex'),
           coalesce(log_detail, stored.detail), artifact_files, artifact_bytes
    FROM judged j
    -- Without a seal by the owner, what is stored is what there is. With one nothing is looked for: the function is strict.
    LEFT JOIN LATERAL stored_of(CASE WHEN j.stdout_bytes IS NULL THEN j.run_id END, j.attempt) stored ON true
    RETURNING run_id, stdout_bytes + stderr_bytes AS bytes, stdout_dropped + stderr_dropped AS dropped, log_detail AS detail,
              coalesce(artifact_bytes, 0) AS artifact_bytes
),
counted AS (
    INSERT INTO usage_delta (ns_id, day, runs, log_bytes, artifact_bytes)
    SELECT j.ns_id, id_day(j.run_id), 0, sum(k.bytes), sum(k.artifact_bytes)
    FROM judged j JOIN kept k USING (run_id)
    GROUP BY j.ns_id, id_day(j.run_id)
    HAVING sum(k.bytes) > 0 OR sum(k.artifact_bytes) > 0
),
ended AS (
    INSERT INTO run_end (run_id, ns_id, test_id, class_id, finished_at, attempt, result, reason, message, exit_code, flaky,
                         runner_id, image_digest, leased_at, started_at, log_status, log_bytes, log_dropped, log_detail,
                         artifact_files, artifact_bytes)
    SELECT j.run_id, j.ns_id, j.of_test, j.lane / 4, j.now, j.attempt, j.verdict, j.run_why,
           CASE WHEN j.verdict = 'cancelled' THEN coalesce(j.message, j.cancel_note) ELSE j.message END, j.exit_code,
           j.verdict = 'pass' AND j.test_retries > 0, j.runner_id, j.image_digest, j.leased_at, j.started_at,
           j.log_status, k.bytes, k.dropped, k.detail, j.artifact_files, j.artifact_bytes
    FROM judged j JOIN kept k USING (run_id)
    WHERE j.verdict IS NOT NULL
    RETURNING run_id
),
noticed AS (
    INSERT INTO undigested (run_id) SELECT run_id FROM ended
),
-- The slots of a run are its own until it has ended: waiting for another attempt it keeps them.
freed AS (
    DELETE FROM gated WHERE run_id = ANY(ARRAY(SELECT run_id FROM judged WHERE verdict IS NOT NULL))
    RETURNING run_id, group_key, CASE WHEN matrix_slot IS NOT NULL THEN matrix_id END AS matrix_key
),
again AS (
    INSERT INTO ready (lane, seq, run_id, attempt, infra_losses, test_retries, releases, expires_at, config_id, test_id)
    SELECT lane, seq, run_id, attempt, infra_losses, test_retries + (kind = 'outcome')::int,
           releases + (kind <> 'outcome')::int, now + make_interval(secs => o.queue_secs), of_config, of_test
    FROM judged j CROSS JOIN LATERAL origin_of(j.run_id) o
    WHERE verdict IS NULL AND (kind = 'outcome' OR started_at IS NULL)
),
later AS (
    INSERT INTO delayed (due, run_id, lane, seq, attempt, infra_losses, test_retries, releases, queue_secs)
    SELECT now + least(interval '5 minutes', $4::interval * 2 ^ (attempt - 1)), run_id, lane, seq, attempt,
           infra_losses + 1, test_retries, releases, o.queue_secs
    FROM judged j CROSS JOIN LATERAL origin_of(j.run_id) o
    WHERE verdict IS NULL AND kind <> 'outcome' AND started_at IS NOT NULL
),
noted AS (
    INSERT INTO run_event (run_id, state_from, state_to, attempt, lease_id, result, reason, actor)
    SELECT run_id, CASE WHEN started_at IS NULL THEN 'leased' ELSE 'running' END,
           CASE WHEN verdict IS NULL THEN 'queued' ELSE 'finished' END, attempt, lease_id, verdict, run_why,
           coalesce(actor, $5)
    FROM judged
)
SELECT j.run_id AS "run_id!: RunId", j.verdict AS "result: RunResult", j.lane AS "lane!", j.seq AS "seq!",
       j.verdict IS NULL AND (j.kind = 'outcome' OR j.started_at IS NULL) AS "ready!", f.group_key, f.matrix_key,
       coalesce(j.fail_fast AND j.verdict IN ('fail', 'error', 'timed_out'), false) AS "fails_siblings!"
FROM judged j
LEFT JOIN freed f ON f.run_id = j.run_id
