-- T12: runs of a stretch of the queue whose deadline has passed end with queue_expired.
WITH late AS MATERIALIZED (
    SELECT ctid FROM ready
    WHERE (lane, seq) > ($1, $2) AND (lane, seq) <= ($3, $4) AND expires_at < clock_timestamp()
    FOR UPDATE SKIP LOCKED
),
gone AS (
    DELETE FROM ready WHERE ctid = ANY(ARRAY(SELECT ctid FROM late)) RETURNING run_id, attempt
),
ended AS (
    INSERT INTO run_end (run_id, ns_id, test_id, class_id, finished_at, attempt, result, reason, message, flaky,
                         log_status, log_bytes, log_dropped)
    SELECT r.id, r.ns_id, r.test_id, r.class_id, clock_timestamp(), g.attempt, 'error', 'queue_expired',
           'no runner took the run within ' || r.queue_secs || 's', false, 'complete', 0, 0
    FROM gone g JOIN run r ON r.id = g.run_id
    RETURNING run_id
),
noticed AS (
    INSERT INTO undigested (run_id) SELECT run_id FROM ended
),
freed AS (
    DELETE FROM gated WHERE run_id = ANY(ARRAY(SELECT run_id FROM gone))
    RETURNING run_id, group_key, CASE WHEN matrix_slot IS NOT NULL THEN matrix_id END AS matrix_key
),
noted AS (
    INSERT INTO run_event (run_id, state_from, state_to, attempt, result, reason, actor)
    SELECT run_id, 'queued', 'finished', attempt, 'error', 'queue_expired', $5 FROM gone
)
SELECT g.run_id AS "run_id!: RunId", f.group_key, f.matrix_key, c.fail_fast AS "fails_siblings!"
FROM gone g
LEFT JOIN freed f ON f.run_id = g.run_id
CROSS JOIN LATERAL (SELECT config_id FROM run WHERE id = g.run_id OFFSET 0) r
CROSS JOIN LATERAL (SELECT fail_fast FROM config WHERE id = r.config_id OFFSET 0) c
