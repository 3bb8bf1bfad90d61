-- Runs that pass gates take their slots and enter the queue, or are parked. Call under the locks of the gates.
WITH new AS MATERIALIZED (
    SELECT * FROM unnest($1::uuid[], $2::int[], $3::uuid[], $4::uuid[], $5::smallint[], $6::text[], $7::smallint[], $8::text[],
                         $9::smallint[], $10::smallint[], $11::int[], $12::bigint[], $13::int[], $14::timestamptz[],
                         $15::bigint[], $16::uuid[])
         AS u(run_id, ns_id, matrix_id, group_key, group_slot, policy, depth, overflow, max_parallel, matrix_slot, lane, seq,
              queue_secs, due, config_id, test_id)
),
placed AS (
    INSERT INTO gated (run_id, ns_id, matrix_id, group_key, group_slot, policy, depth, overflow, max_parallel, matrix_slot,
                       lane, seq, due, expires_at)
    SELECT run_id, ns_id, matrix_id, group_key, group_slot, policy, depth, overflow, max_parallel, matrix_slot, lane, seq,
           due, coalesce(due, clock_timestamp()) + make_interval(secs => queue_secs)
    FROM new
    RETURNING run_id, lane, seq, expires_at, parked
)
INSERT INTO ready (lane, seq, run_id, expires_at, config_id, test_id)
SELECT p.lane, p.seq, p.run_id, p.expires_at, n.config_id, n.test_id
FROM placed p JOIN new n ON n.run_id = p.run_id
WHERE NOT p.parked
RETURNING lane, seq
