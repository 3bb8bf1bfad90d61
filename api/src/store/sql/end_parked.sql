-- Parked runs end: dropped from the queue of their group, or too late (T9, T12). One that somebody else ends or lets in
-- at this moment is passed over: nobody waits here while holding the lock of a gate.
WITH asked AS MATERIALIZED (
    SELECT * FROM unnest($1::uuid[], $2::text[]) AS a(run_id, message)
),
held AS MATERIALIZED (
    SELECT run_id FROM gated WHERE run_id = ANY($1) AND parked FOR UPDATE SKIP LOCKED
),
gone AS (
    DELETE FROM gated WHERE run_id = ANY(ARRAY(SELECT run_id FROM held))
    RETURNING run_id, CASE WHEN group_slot IS NOT NULL THEN group_key END AS group_key
),
ended AS (
    INSERT INTO run_end (run_id, ns_id, test_id, class_id, finished_at, attempt, result, reason, message, flaky, log_status,
                         log_bytes, log_dropped)
    SELECT r.id, r.ns_id, r.test_id, r.class_id, clock_timestamp(), 0, $3, $4, a.message, false, 'complete', 0, 0
    FROM gone g
    JOIN asked a USING (run_id)
    CROSS JOIN LATERAL (SELECT id, ns_id, test_id, class_id FROM run WHERE id = g.run_id OFFSET 0) r
    RETURNING run_id
),
noticed AS (
    INSERT INTO undigested (run_id) SELECT run_id FROM ended
),
noted AS (
    INSERT INTO run_event (run_id, state_from, state_to, attempt, result, reason, actor)
    SELECT run_id, 'queued', 'finished', 0, $3, $4, $5 FROM gone
)
SELECT g.run_id AS "run_id!: RunId", g.group_key, NULL::uuid AS matrix_key,
       coalesce($3 <> 'cancelled' AND c.fail_fast, false) AS "fails_siblings!"
FROM gone g
CROSS JOIN LATERAL (SELECT config_id FROM run WHERE id = g.run_id OFFSET 0) r
CROSS JOIN LATERAL (SELECT fail_fast FROM config WHERE id = r.config_id OFFSET 0) c
