-- T9: runs that wait are cancelled. A place in `ready` follows from the run's own row, so no second index is needed.
-- Rows are looked up one by one: a join that was planned while the tables were empty would read all of them.
WITH asked AS MATERIALIZED (
    SELECT * FROM unnest($1::uuid[], $3::text[], $4::text[]) AS a(run_id, actor, message)
),
target AS MATERIALIZED (
    SELECT r.id, r.ns_id, r.test_id, r.class_id, r.class_id * 4 + r.priority AS lane, r.seq, a.actor, a.message
    FROM asked a
    CROSS JOIN LATERAL (SELECT id, ns_id, test_id, class_id, priority, seq FROM run WHERE id = a.run_id OFFSET 0) r
    WHERE r.ns_id = ANY($2)
),
from_ready AS (
    DELETE FROM ready
    WHERE ctid = ANY(ARRAY(
        SELECT q.tid
        FROM target t
        CROSS JOIN LATERAL (
            SELECT r.ctid AS tid FROM ready r WHERE r.lane = t.lane AND r.seq = t.seq AND r.run_id = t.id OFFSET 0
        ) q))
    RETURNING run_id, attempt
),
from_delayed AS (
    DELETE FROM delayed WHERE run_id = ANY(ARRAY(SELECT id FROM target)) RETURNING run_id, attempt
),
from_gate AS (
    DELETE FROM gated WHERE run_id = ANY(ARRAY(SELECT id FROM target)) AND parked
    RETURNING run_id, CASE WHEN group_slot IS NOT NULL THEN group_key END AS group_key
),
gone AS (
    SELECT t.*, q.attempt
    FROM target t
    JOIN (SELECT run_id, attempt FROM from_ready
          UNION ALL SELECT run_id, attempt FROM from_delayed
          UNION ALL SELECT run_id, 0::smallint FROM from_gate) q ON q.run_id = t.id
),
freed AS (
    DELETE FROM gated WHERE run_id = ANY(ARRAY(SELECT id FROM gone)) AND NOT parked
    RETURNING run_id, group_key, CASE WHEN matrix_slot IS NOT NULL THEN matrix_id END AS matrix_key
),
ended AS (
    INSERT INTO run_end (run_id, ns_id, test_id, class_id, finished_at, attempt, result, message, flaky, log_status,
                         log_bytes, log_dropped)
    SELECT id, ns_id, test_id, class_id, clock_timestamp(), attempt, 'cancelled', message, false, 'complete', 0, 0
    FROM gone
    RETURNING run_id
),
noticed AS (
    INSERT INTO undigested (run_id) SELECT run_id FROM ended
),
noted AS (
    INSERT INTO run_event (run_id, state_from, state_to, attempt, result, actor)
    SELECT id, 'queued', 'finished', attempt, 'cancelled', actor FROM gone
)
SELECT t.id AS "run_id!: RunId", coalesce(f.group_key, g.group_key) AS group_key, f.matrix_key, false AS "fails_siblings!"
FROM gone t
LEFT JOIN freed f ON f.run_id = t.id
LEFT JOIN from_gate g ON g.run_id = t.id
