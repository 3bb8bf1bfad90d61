-- T2: the first runs of the given lanes become leases of the runners that ask together, in the order in which they ask.
--
-- A lane is entered at the place from which on it is known to have runs, so that the rows of those that were claimed
-- before and are not vacuumed yet are not walked over again. The lock sits inside the lateral subquery and nothing sorts
-- outside of it, so the scan stops at the first lanes that yield enough rows and locks nothing else. The ARRAY forces one
-- evaluation of the pick; ctid is safe because rows of `ready` are only inserted and deleted.
--
-- What belongs to a run is looked up row by row: OFFSET 0 keeps the planner from joining instead, which on tables that
-- it believes to be empty would read all of them, and a prepared statement would go on doing so. `run` is not among them:
-- a prepared statement locks every partition that its plan names, whether it looks there or not. Namespace, labels and
-- configuration are not either: they never change, so the API knows them, and opening a table costs as much as a row of it.
WITH asker AS MATERIALIZED (
    -- Who asks, and which of the places that are found are whose: those behind `upto - want`, up to `upto`.
    SELECT a.runner_id, a.claim_id, a.actor, a.want, sum(a.want) OVER (ROWS UNBOUNDED PRECEDING) AS upto
    FROM unnest($4::uuid[], $5::uuid[], $6::timestamptz[], $7::uuid[], $8::int[], $9::text[])
         AS a(runner_id, token_id, registered_at, claim_id, want, actor)
    CROSS JOIN LATERAL (
        SELECT 1 FROM runner w
        WHERE w.id = a.runner_id AND w.token_id = a.token_id AND w.registered_at = a.registered_at AND NOT w.draining
        OFFSET 0
    ) w
),
-- On another timeline the database has gone back, and what the API knows by heart may be about other rows: it is given none.
room AS MATERIALIZED (
    SELECT askers, places, timeline, CASE WHEN timeline = $12 THEN least(places, $3::bigint) ELSE 0 END AS wanted
    FROM (
        SELECT count(*) AS askers, coalesce(max(upto), 0) AS places,
               left(pg_walfile_name(pg_current_wal_lsn()), 8) AS timeline
        FROM asker
    ) a
),
pick AS MATERIALIZED (
    SELECT y.tid
    FROM unnest($1::int[], $2::bigint[]) WITH ORDINALITY AS c(lane, head, place)
    CROSS JOIN LATERAL (
        SELECT q.ctid AS tid FROM ready q
        WHERE q.lane = c.lane AND q.seq >= c.head
        ORDER BY q.seq LIMIT (SELECT wanted FROM room) FOR UPDATE SKIP LOCKED
    ) y
    LIMIT (SELECT wanted FROM room)
),
gone AS (
    DELETE FROM ready WHERE ctid = ANY(ARRAY(SELECT tid FROM pick))
    RETURNING run_id, lane, seq, attempt, infra_losses, test_retries, releases, config_id AS known_config, test_id
),
placed AS MATERIALIZED (
    SELECT g.*, coalesce(g.known_config, config_of(g.run_id)) AS config_id, row_number() OVER () AS place FROM gone g
),
held AS (
    INSERT INTO lease (run_id, attempt, runner_id, ns_id, lane, seq, claim_id, expires_at, budget_secs, infra_losses,
                       test_retries, releases, config_id, test_id)
    SELECT g.run_id, g.attempt + 1, a.runner_id, $11, g.lane, g.seq, a.claim_id,
           clock_timestamp() + $10::interval, c.budget_secs, g.infra_losses, g.test_retries, g.releases, g.config_id, g.test_id
    FROM placed g
    JOIN asker a ON g.place > a.upto - a.want AND g.place <= a.upto
    CROSS JOIN LATERAL (SELECT budget_secs FROM config WHERE id = g.config_id OFFSET 0) c
    RETURNING run_id, attempt, lease_id, runner_id, claim_id, expires_at, lane, seq, config_id
),
noted AS (
    INSERT INTO run_event (run_id, state_from, state_to, attempt, lease_id, actor)
    SELECT h.run_id, 'queued', 'leased', h.attempt, h.lease_id, a.actor
    FROM held h
    CROSS JOIN LATERAL (
        SELECT actor FROM asker WHERE runner_id = h.runner_id AND claim_id = h.claim_id LIMIT 1
    ) a
)
-- A row for each run; a single one without a run when there is none.
SELECT o.askers AS "askers!", o.places AS "places!", o.timeline AS "timeline!", h.run_id AS "run_id?: RunId", h.attempt AS "attempt?",
       h.lease_id AS "lease_id?: LeaseId", h.runner_id AS "runner_id?: RunnerId", h.claim_id AS "claim_id?",
       extract(epoch FROM h.expires_at - clock_timestamp())::float8 AS "ttl_secs?", h.lane AS "lane?", h.seq AS "seq?",
       h.config_id AS "config_id?"
FROM room o
LEFT JOIN held h ON true
