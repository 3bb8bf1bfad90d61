-- T9: a run that waits is cancelled. Its place in `ready` follows from its own row, so no second index is needed.
WITH target AS (
    SELECT id, ns_id, test_id, class_id, class_id * 4 + priority AS lane, seq
    FROM run
    WHERE id = $1 AND ns_id = ANY($2)
),
from_ready AS (
    DELETE FROM ready q USING target t
    WHERE q.lane = t.lane AND q.seq = t.seq AND q.run_id = t.id
    RETURNING q.attempt
),
from_delayed AS (
    DELETE FROM delayed d USING target t
    WHERE d.run_id = t.id
    RETURNING d.attempt
),
gone AS (
    SELECT t.*, q.attempt
    FROM target t, (SELECT attempt FROM from_ready UNION ALL SELECT attempt FROM from_delayed) q
),
ended AS (
    INSERT INTO run_end (run_id, ns_id, test_id, class_id, finished_at, attempt, result, flaky, log_status, log_bytes,
                         log_dropped)
    SELECT id, ns_id, test_id, class_id, clock_timestamp(), attempt, 'cancelled', false, 'complete', 0, 0
    FROM gone
),
noted AS (
    INSERT INTO run_event (run_id, state_from, state_to, attempt, result, actor)
    SELECT id, 'queued', 'finished', attempt, 'cancelled', $3 FROM gone
)
SELECT id AS "id: RunId" FROM gone
