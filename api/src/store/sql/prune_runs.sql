-- Removes the oldest finished runs of a namespace in a stretch of ids, with all that belongs to them; those that are
-- pinned stay, and those of which the time after their end is not over. Looks at so many runs behind a place, and stops
-- before so many bytes of logs. Call under the day's lock.
WITH stretch AS MATERIALIZED (
    SELECT id FROM run
    WHERE ns_id = $1 AND id >= $2 AND id < $3 AND id > $4
    ORDER BY id
    LIMIT $5
),
weighed AS (
    SELECT s.id, k.run_id IS NULL AND coalesce(is_over(e.finished_at, $7, $8), false) AS is_over,
           row_number() OVER place AS number,
           sum(e.log_bytes + coalesce(e.artifact_files, 0) * 2048::bigint) OVER place AS bytes
    FROM stretch s
    LEFT JOIN run_end e ON e.run_id = s.id AND e.run_id >= $2 AND e.run_id < $3
    LEFT JOIN keep k ON k.run_id = s.id
    WINDOW place AS (ORDER BY s.id)
),
seen AS MATERIALIZED (
    SELECT id, is_over FROM weighed WHERE number = 1 OR coalesce(bytes, 0) <= $6::bigint
),
over AS MATERIALIZED (
    SELECT id FROM seen WHERE is_over
),
chunks AS (
    DELETE FROM log_chunk c USING over o
    WHERE c.run_id = o.id AND c.run_id >= $2 AND c.run_id < $3
    RETURNING c.run_id, c.attempt
),
files AS (
    DELETE FROM artifact f USING over o WHERE f.run_id = o.id AND f.run_id >= $2 AND f.run_id < $3
),
collections AS (
    DELETE FROM collected c USING over o
    WHERE c.run_id = o.id AND c.run_id >= $2 AND c.run_id < $3
    RETURNING c.run_id, c.attempt
),
cases AS (
    DELETE FROM report_case c USING over o WHERE c.run_id = o.id AND c.run_id >= $2 AND c.run_id < $3
),
reports AS (
    DELETE FROM report p USING over o WHERE p.run_id = o.id AND p.run_id >= $2 AND p.run_id < $3
),
judgements AS (
    DELETE FROM judged j USING over o WHERE j.run_id = o.id AND j.run_id >= $2 AND j.run_id < $3
),
outputs AS (
    DELETE FROM output t USING over o WHERE t.run_id = o.id AND t.run_id >= $2 AND t.run_id < $3
),
standings AS (
    DELETE FROM standing g USING over o WHERE g.run_id = o.id AND g.run_id >= $2 AND g.run_id < $3
),
events AS (
    DELETE FROM run_event v USING over o WHERE v.run_id = o.id AND v.run_id >= $2 AND v.run_id < $3
),
attempts AS (
    DELETE FROM attempt a USING over o
    WHERE a.run_id = o.id AND a.run_id >= $2 AND a.run_id < $3
    RETURNING a.run_id, a.attempt, a.stdout_bytes + a.stderr_bytes AS bytes, a.artifact_bytes
),
ends AS (
    DELETE FROM run_end e USING over o WHERE e.run_id = o.id AND e.run_id >= $2 AND e.run_id < $3
),
runs AS (
    DELETE FROM run r USING over o WHERE r.id = o.id AND r.id >= $2 AND r.id < $3
),
freed AS (
    -- Of an attempt without pieces the log is gone already, and so with its files.
    SELECT coalesce(sum(a.bytes) FILTER (WHERE (a.run_id, a.attempt) IN (SELECT run_id, attempt FROM chunks)), 0) AS bytes,
           coalesce(sum(a.artifact_bytes)
                    FILTER (WHERE (a.run_id, a.attempt) IN (SELECT run_id, attempt FROM collections)), 0) AS artifact_bytes
    FROM attempts a
),
counted AS (
    INSERT INTO usage_delta (ns_id, day, runs, log_bytes, artifact_bytes)
    SELECT $1, id_day($2), -(SELECT count(*) FROM over), -f.bytes, -f.artifact_bytes
    FROM freed f
    WHERE EXISTS (SELECT FROM over)
)
SELECT (SELECT count(*) FROM over) AS "removed!", 0::bigint AS "open!", 0::bigint AS "late!", s.id AS "id!: RunId"
FROM seen s
ORDER BY s.id DESC
LIMIT 1
