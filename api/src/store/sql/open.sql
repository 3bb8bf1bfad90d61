-- Runs that were put off take the slots that they are given now, and enter the queue or stay parked.
-- Call under the locks of the gates.
WITH given AS MATERIALIZED (
    SELECT * FROM unnest($1::uuid[], $2::smallint[], $3::smallint[]) AS u(run_id, group_slot, matrix_slot)
),
moved AS (
    UPDATE gated g SET due = NULL, group_slot = u.group_slot, matrix_slot = u.matrix_slot
    FROM given u
    WHERE g.run_id = u.run_id AND g.due IS NOT NULL
    RETURNING g.run_id, g.lane, g.seq, g.expires_at, g.parked
)
INSERT INTO ready (lane, seq, run_id, expires_at)
SELECT lane, seq, run_id, expires_at FROM moved WHERE NOT parked
RETURNING lane, seq
