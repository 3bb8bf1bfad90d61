-- T1: runs enter the queue. A run whose id exists already is passed over, with all that belongs to it. What passes gates
-- is only made here; settle.sql says where it waits.
WITH new AS MATERIALIZED (
    SELECT u.*,
           -- Milliseconds and a counter: unique, roughly the order of arrival, and the age of a lane's head can be
           -- read from it.
           ((extract(epoch FROM clock_timestamp()) * 1000)::bigint << 20) | (nextval('ready_seq') & 1048575) AS seq
    FROM unnest($1::uuid[], $2::int[], $3::uuid[], $4::uuid[], $5::int[], $6::bigint[], $7::smallint[], $8::int[],
                $9::text[], $10::timestamptz[], $11::timestamptz[], $12::boolean[])
         AS u(id, ns_id, test_id, matrix_id, class_id, config_id, priority, queue_secs, trigger, scheduled_at, due, gated)
),
made AS (
    INSERT INTO run (id, ns_id, test_id, matrix_id, class_id, config_id, priority, seq, queue_secs, trigger,
                     scheduled_at, created_by)
    SELECT id, ns_id, test_id, matrix_id, class_id, config_id, priority, seq, queue_secs, trigger, scheduled_at, $13
    FROM new
    ON CONFLICT (id) DO NOTHING
    RETURNING id, ns_id, class_id * 4 + priority AS lane, seq
),
counted AS (
    INSERT INTO usage_delta (ns_id, day, runs, log_bytes)
    SELECT ns_id, id_day(id), count(*), 0 FROM made GROUP BY ns_id, id_day(id)
),
waits AS (
    INSERT INTO ready (lane, seq, run_id, expires_at, config_id, test_id)
    SELECT n.class_id * 4 + n.priority, n.seq, n.id, clock_timestamp() + make_interval(secs => n.queue_secs), n.config_id,
           n.test_id
    FROM new n JOIN made m ON m.id = n.id
    WHERE n.due IS NULL AND NOT n.gated
),
waits_for_its_time AS (
    INSERT INTO delayed (due, run_id, lane, seq, queue_secs)
    SELECT n.due, n.id, n.class_id * 4 + n.priority, n.seq, n.queue_secs
    FROM new n JOIN made m ON m.id = n.id
    WHERE n.due IS NOT NULL AND NOT n.gated
),
noted AS (
    INSERT INTO run_event (run_id, state_to, attempt, actor)
    SELECT id, 'queued', 0, $13 FROM made
)
SELECT id AS "id: RunId", lane AS "lane!", seq AS "seq!" FROM made
