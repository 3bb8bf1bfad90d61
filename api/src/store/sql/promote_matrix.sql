-- Free slots of matrices go to the cells that wait for them and have passed their group. See promote_group.sql.
WITH room AS MATERIALIZED (
    SELECT g.key, g.slots, h.taken, g.slots - cardinality(h.taken) AS free
    FROM gate g
    CROSS JOIN LATERAL (
        SELECT ARRAY(SELECT matrix_slot::int FROM gated WHERE matrix_id = g.key AND matrix_slot IS NOT NULL) AS taken OFFSET 0
    ) h
    WHERE g.key = ANY($1) AND g.kind = 'matrix'
),
next AS MATERIALIZED (
    SELECT r.key, w.run_id, w.seq
    FROM room r
    CROSS JOIN LATERAL (
        SELECT run_id, seq FROM gated
        WHERE matrix_id = r.key AND max_parallel IS NOT NULL AND matrix_slot IS NULL AND due IS NULL
          AND (group_key IS NULL OR group_slot IS NOT NULL)
          AND NOT EXISTS (SELECT FROM cancel_order o WHERE o.run_id = gated.run_id)
        ORDER BY seq
        LIMIT greatest(r.free, 0)
        FOR UPDATE SKIP LOCKED
    ) w
    WHERE r.free > 0
),
slot AS (
    SELECT r.key, s.slot, row_number() OVER (PARTITION BY r.key ORDER BY s.slot) AS place
    FROM room r
    CROSS JOIN LATERAL generate_series(1, r.slots) AS s(slot)
    WHERE r.free > 0 AND NOT s.slot = ANY(r.taken)
),
moved AS (
    UPDATE gated g SET matrix_slot = s.slot
    FROM (SELECT key, run_id, row_number() OVER (PARTITION BY key ORDER BY seq) AS place FROM next) n
    JOIN slot s ON s.key = n.key AND s.place = n.place
    WHERE g.run_id = n.run_id
    RETURNING g.run_id, g.lane, g.seq, g.expires_at
),
waits AS (
    INSERT INTO ready (lane, seq, run_id, expires_at)
    SELECT lane, seq, run_id, expires_at FROM moved
)
SELECT lane AS "lane!", seq AS "seq!" FROM moved
