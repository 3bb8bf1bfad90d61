-- What waits in a namespace: for each class, a page of them, the depth of each of its lanes and the age of its head.
--
-- Each lane is read along its index up to a limit, whatever its depth. The head's run says how long a run may wait, and
-- with its deadline since when it could be taken.
SELECT c.id AS "class_id!", c.labels AS "labels!: Json<Labels>", y.priority AS "priority?: Priority",
       coalesce(y.depth, 0) AS "depth!", y.oldest AS "oldest?"
FROM (
    SELECT k.id, k.labels
    FROM class k
    WHERE k.ns_id = $1 AND k.id > $2
      AND (k.id = ANY($3)
           OR EXISTS (SELECT FROM ready q WHERE q.lane >= k.id * 4 AND q.lane <= k.id * 4 + 3))
    ORDER BY k.id
    LIMIT $4
) AS c
LEFT JOIN LATERAL (
    SELECT p.priority::smallint AS priority, n.depth, h.oldest
    FROM generate_series(0, 3) AS p(priority)
    CROSS JOIN LATERAL (
        SELECT count(*) AS depth
        FROM (SELECT 1 FROM ready q WHERE q.lane = c.id * 4 + p.priority LIMIT $5) AS counted
    ) AS n
    CROSS JOIN LATERAL (
        SELECT head.expires_at - make_interval(secs => r.queue_secs) AS oldest
        FROM (SELECT q.run_id, q.expires_at FROM ready q WHERE q.lane = c.id * 4 + p.priority ORDER BY q.seq LIMIT 1) AS head
        CROSS JOIN LATERAL (SELECT queue_secs FROM run WHERE id = head.run_id OFFSET 0) AS r
    ) AS h
) AS y ON true
ORDER BY c.id, y.priority
