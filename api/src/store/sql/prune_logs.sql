-- Removes the logs and artifacts of the oldest finished runs of a namespace in a stretch of ids; those of runs that are
-- pinned stay, and those of which the time after their end is not over. Looks at so many runs behind a place, and stops
-- before so many bytes; a file weighs as much as its row and the entries of its indexes. Call under the day's lock.
WITH stretch AS MATERIALIZED (
    SELECT id FROM run
    WHERE ns_id = $1 AND id >= $2 AND id < $3 AND id > $4
    ORDER BY id
    LIMIT $5
),
weighed AS (
    SELECT s.id, e.run_id IS NULL AS is_open,
           k.run_id IS NULL AND coalesce(is_over(e.finished_at, $7, $8), false) AS is_over,
           k.run_id IS NULL AND coalesce(NOT is_over(e.finished_at, $7, $8), false) AS is_late,
           row_number() OVER place AS number,
           -- What is gone already weighs nothing: a turn must get beyond where the one before ended.
           sum(CASE WHEN EXISTS (SELECT FROM log_chunk c WHERE c.run_id = s.id AND c.run_id >= $2 AND c.run_id < $3)
                    THEN e.log_bytes ELSE 0 END
               + CASE WHEN EXISTS (SELECT FROM collected c WHERE c.run_id = s.id AND c.run_id >= $2 AND c.run_id < $3)
                      THEN coalesce(e.artifact_files, 0) * 2048::bigint ELSE 0 END) OVER place AS bytes
    FROM stretch s
    LEFT JOIN run_end e ON e.run_id = s.id AND e.run_id >= $2 AND e.run_id < $3
    LEFT JOIN keep k ON k.run_id = s.id
    WINDOW place AS (ORDER BY s.id)
),
seen AS MATERIALIZED (
    SELECT id, is_open, is_over, is_late FROM weighed WHERE number = 1 OR coalesce(bytes, 0) <= $6::bigint
),
chunks AS (
    DELETE FROM log_chunk c USING seen s
    WHERE s.is_over AND c.run_id = s.id AND c.run_id >= $2 AND c.run_id < $3
    RETURNING c.run_id, c.attempt
),
files AS (
    DELETE FROM artifact f USING seen s
    WHERE s.is_over AND f.run_id = s.id AND f.run_id >= $2 AND f.run_id < $3
),
collections AS (
    DELETE FROM collected c USING seen s
    WHERE s.is_over AND c.run_id = s.id AND c.run_id >= $2 AND c.run_id < $3
    RETURNING c.run_id, c.attempt
),
freed AS (
    SELECT coalesce(sum(a.stdout_bytes + a.stderr_bytes)
                    FILTER (WHERE (a.run_id, a.attempt) IN (SELECT run_id, attempt FROM chunks)), 0) AS bytes,
           coalesce(sum(a.artifact_bytes)
                    FILTER (WHERE (a.run_id, a.attempt) IN (SELECT run_id, attempt FROM collections)), 0) AS artifact_bytes
    FROM attempt a
    JOIN seen s ON s.id = a.run_id AND s.is_over
    WHERE a.run_id >= $2 AND a.run_id < $3
),
counted AS (
    INSERT INTO usage_delta (ns_id, day, runs, log_bytes, artifact_bytes)
    SELECT $1, id_day($2), 0, -bytes, -artifact_bytes FROM freed WHERE bytes > 0 OR artifact_bytes > 0
),
removed AS (
    SELECT run_id FROM chunks UNION SELECT run_id FROM collections
)
SELECT (SELECT count(*) FROM removed) AS "removed!", (SELECT count(*) FROM seen WHERE is_open) AS "open!",
       (SELECT count(*) FROM seen WHERE is_late) AS "late!",
       s.id AS "id!: RunId"
FROM seen s
ORDER BY s.id DESC
LIMIT 1
