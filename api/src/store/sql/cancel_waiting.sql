-- T9: runs that wait are cancelled. A place in `ready` follows from the run's own row, so no second index is needed.
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
    DELETE FROM ready q USING target t
    WHERE q.lane = t.lane AND q.seq = t.seq AND q.run_id = t.id
    RETURNING q.run_id, q.attempt
),
from_delayed AS (
    DELETE FROM delayed d USING target t
    WHERE d.run_id = t.id
    RETURNING d.run_id, d.attempt
),
from_gate AS (
    DELETE FROM gated g USING target t
    WHERE g.run_id = t.id AND g.parked
    RETURNING g.run_id, CASE WHEN g.group_slot IS NOT NULL THEN g.group_key END AS group_key
),
gone AS (
    SELECT t.*, q.attempt
    FROM target t
    JOIN (SELECT run_id, attempt FROM from_ready
          UNION ALL SELECT run_id, attempt FROM from_delayed
          UNION ALL SELECT run_id, 0::smallint FROM from_gate) q ON q.run_id = t.id
),
freed AS (
    DELETE FROM gated g USING gone t
    WHERE g.run_id = t.id AND NOT g.parked
    RETURNING g.run_id, g.group_key, CASE WHEN g.matrix_slot IS NOT NULL THEN g.matrix_id END AS matrix_key
),
ended AS (
    INSERT INTO run_end (run_id, ns_id, test_id, class_id, finished_at, attempt, result, message, flaky, log_status,
                         log_bytes, log_dropped)
    SELECT id, ns_id, test_id, class_id, clock_timestamp(), attempt, 'cancelled', message, false, 'complete', 0, 0
    FROM gone
),
noted AS (
    INSERT INTO run_event (run_id, state_from, state_to, attempt, result, actor)
    SELECT id, 'queued', 'finished', attempt, 'cancelled', actor FROM gone
)
SELECT t.id AS "run_id!: RunId", coalesce(f.group_key, g.group_key) AS group_key, f.matrix_key, false AS "fails_siblings!"
FROM gone t
LEFT JOIN freed f ON f.run_id = t.id
LEFT JOIN from_gate g ON g.run_id = t.id
