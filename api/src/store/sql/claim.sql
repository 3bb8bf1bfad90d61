-- T2: the first runs of the given lanes become leases of a runner.
--
-- The lock sits inside the lateral subquery and nothing sorts outside of it, so the scan stops at the first lanes that
-- yield enough rows and locks nothing else. The ARRAY forces one evaluation of the pick; ctid is safe because rows of
-- `ready` are only inserted and deleted.
--
-- What belongs to a run is looked up row by row: OFFSET 0 keeps the planner from joining instead, which on tables that
-- it believes to be empty would read all of `run`, and a prepared statement would go on doing so.
WITH pick AS MATERIALIZED (
    SELECT y.tid
    FROM unnest($1::int[]) WITH ORDINALITY AS c(lane, place)
    CROSS JOIN LATERAL (
        SELECT q.ctid AS tid FROM ready q WHERE q.lane = c.lane ORDER BY q.seq LIMIT $2 FOR UPDATE SKIP LOCKED
    ) y
    LIMIT $2
),
gone AS (
    DELETE FROM ready WHERE ctid = ANY(ARRAY(SELECT tid FROM pick))
    RETURNING run_id, lane, seq, attempt, infra_losses, test_retries, releases
),
held AS (
    INSERT INTO lease (run_id, attempt, runner_id, ns_id, lane, seq, claim_id, expires_at, budget_secs, infra_losses,
                       test_retries, releases)
    SELECT g.run_id, g.attempt + 1, $3, r.ns_id, g.lane, g.seq, $4, clock_timestamp() + $5::interval, c.budget_secs,
           g.infra_losses, g.test_retries, g.releases
    FROM gone g
    CROSS JOIN LATERAL (SELECT ns_id, config_id FROM run WHERE id = g.run_id OFFSET 0) r
    CROSS JOIN LATERAL (SELECT budget_secs FROM config WHERE id = r.config_id OFFSET 0) c
    RETURNING run_id, attempt, lease_id, expires_at, lane, seq
),
noted AS (
    INSERT INTO run_event (run_id, state_from, state_to, attempt, lease_id, actor)
    SELECT run_id, 'queued', 'leased', attempt, lease_id, $6 FROM held
)
SELECT h.run_id AS "run_id!: RunId", h.attempt AS "attempt!", h.lease_id AS "lease_id!: LeaseId",
       extract(epoch FROM h.expires_at - clock_timestamp())::float8 AS "ttl_secs!", h.lane AS "lane!",
       n.name AS "namespace!", k.labels AS "labels!: Json<Labels>", c.body AS "body!: Json<ConfigBody>"
FROM held h
CROSS JOIN LATERAL (SELECT ns_id, class_id, config_id FROM run WHERE id = h.run_id OFFSET 0) r
CROSS JOIN LATERAL (SELECT name FROM namespace WHERE id = r.ns_id OFFSET 0) n
CROSS JOIN LATERAL (SELECT labels FROM class WHERE id = r.class_id OFFSET 0) k
CROSS JOIN LATERAL (SELECT body FROM config WHERE id = r.config_id OFFSET 0) c
