-- Runs that ended badly in a matrix with fail_fast: all others of the matrix that have not ended are to be cancelled.
-- The runs of a matrix share the milliseconds in their ids, and their test.
INSERT INTO cancel_order (run_id, actor, message)
SELECT DISTINCT ON (s.id) s.id, $2,
       'cancelled because cell ' || f.cell || ' of the same matrix ended with ' || f.result || ' (run ' || f.id || ')'
FROM (
    SELECT r.id, r.test_id, r.matrix_id, e.result,
           (SELECT string_agg(k.key || '=' || k.value, ',' ORDER BY k.key) FROM json_each_text(c.body -> 'cell') k) AS cell,
           substr(r.matrix_id::text, 1, 13) AS time
    FROM run r
    JOIN run_end e ON e.run_id = r.id
    JOIN config c ON c.id = r.config_id
    WHERE r.id = ANY($1)
) f
CROSS JOIN LATERAL (
    SELECT id FROM run
    WHERE test_id = f.test_id
      AND id >= (f.time || '-0000-0000-000000000000')::uuid AND id <= (f.time || '-ffff-ffff-ffffffffffff')::uuid
      AND matrix_id = f.matrix_id AND id <> f.id
    OFFSET 0
) s
WHERE NOT EXISTS (SELECT FROM run_end e WHERE e.run_id = s.id)
ORDER BY s.id, f.id
ON CONFLICT (run_id) DO NOTHING
