-- The piece of a log that holds the stored byte $3 of both streams in the order of arrival, found by halving: pieces are
-- numbered without gaps, and their places grow with their numbers.
--
-- Pieces of earlier releases do not say their place; it is added up for each of the few that are looked at.
WITH RECURSIVE step(low, high) AS (
    SELECT 0, k.seq
    FROM (SELECT seq FROM log_chunk WHERE run_id = $1 AND attempt = $2 ORDER BY seq DESC LIMIT 1) k
    UNION ALL
    SELECT CASE WHEN p.place <= $3 THEN p.seq ELSE s.low END, CASE WHEN p.place <= $3 THEN s.high ELSE p.seq - 1 END
    FROM step s
    CROSS JOIN LATERAL (
        SELECT k.seq,
               coalesce(k.place, (SELECT sum(coalesce(o.raw_bytes, octet_length(o.body))) FROM log_chunk o
                                  WHERE o.run_id = $1 AND o.attempt = $2 AND o.seq < k.seq), 0) AS place
        FROM log_chunk k
        WHERE k.run_id = $1 AND k.attempt = $2 AND k.seq = s.low + (s.high - s.low + 1) / 2
        LIMIT 1) p
    WHERE s.low < s.high
)
SELECT k.seq AS "seq!", k.place AS "place!"
FROM step s
CROSS JOIN LATERAL (
    SELECT k.seq,
           coalesce(k.place, (SELECT sum(coalesce(o.raw_bytes, octet_length(o.body))) FROM log_chunk o
                              WHERE o.run_id = $1 AND o.attempt = $2 AND o.seq < k.seq), 0) AS place
    FROM log_chunk k
    WHERE k.run_id = $1 AND k.attempt = $2 AND k.seq = s.low
    LIMIT 1) k
WHERE s.low = s.high
