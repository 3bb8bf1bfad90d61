-- Fills a namespace with tests and runs that ended, as if they had run for days: `psql -v ns=… -v tests=… -v runs=… -v days=…`.
-- What is summed up and remembered of them the server learns by itself, as of every run that ends (`undigested`).
--
-- The namespace has one test already, which has run: the others get its document, and the runs its configuration.
\set ON_ERROR_STOP on
\set QUIET on

CREATE TEMPORARY TABLE names AS
SELECT n, (ARRAY['checkout', 'login', 'search', 'catalog', 'cart', 'payment', 'invoice', 'mail', 'upload', 'export', 'profile', 'stock'])[1 + n % 12]
          || '-' || (ARRAY['api', 'ui', 'load', 'smoke', 'contract'])[1 + (n / 12) % 5]
          || CASE WHEN n < 60 THEN '' ELSE '-' || n / 60 END AS name
FROM generate_series(0, :tests - 1) n;

INSERT INTO test (id, ns_id, name, doc)
SELECT gen_random_uuid(), first.ns_id, names.name,
       (first.doc::jsonb - 'cron_schedule' || jsonb_build_object('name', names.name,
            'labels', jsonb_build_object('type', (ARRAY['e2e', 'smoke', 'load'])[1 + n % 3]),
            'annotations', jsonb_build_object('owner', 'team-' || (ARRAY['shop', 'core', 'data', 'mobile'])[1 + n % 4])))::json
FROM names,
     (SELECT t.* FROM test t JOIN namespace n ON n.id = t.ns_id WHERE n.name = :'ns' ORDER BY t.created_at LIMIT 1) first;

INSERT INTO class (ns_id, labels, labels_hash)
SELECT n.id, jsonb_build_object('type', kind), decode(md5(kind), 'hex')
FROM namespace n, unnest(ARRAY['e2e', 'smoke', 'load']) kind WHERE n.name = :'ns'
ON CONFLICT DO NOTHING;

SELECT count(ensure_partitions((now() AT TIME ZONE 'UTC')::date - :days - 1, (now() AT TIME ZONE 'UTC')::date)) \g /dev/null

-- A test takes as long as it does, and ends as it does: every 29th fails since yesterday, every 17th now and then.
CREATE TEMPORARY TABLE made AS
SELECT n, (lpad(to_hex((extract(epoch FROM at) * 1000)::bigint), 12, '0') || '7' || substr(md5(n::text), 1, 3) || 'a' || substr(md5(n::text), 4, 15))::uuid AS id,
       at, t.id AS test_id, c.id AS class_id, m.id AS ns_id, g.id AS config_id, w.id AS runner_id,
       at + make_interval(secs => 0.2 + chance * chance / 4e5) AS leased_at,
       at + make_interval(secs => 0.2 + chance * chance / 4e5 + 2 + t.place % 40 * (0.8 + length / 2500.0)) AS finished_at,
       CASE WHEN t.place % 29 = 1 AND at > now() - interval '20 hours' THEN 'fail'
            WHEN t.place % 17 = 3 AND chance < 70 THEN 'fail'
            WHEN chance = 0 THEN 'error'
            WHEN chance = 1 THEN 'timed_out'
            WHEN chance < 5 THEN 'fail'
            ELSE 'pass' END AS result
FROM generate_series(1, :runs::bigint) n
CROSS JOIN LATERAL (
    SELECT date_trunc('milliseconds', now() - interval '2 min' - make_interval(secs => (n * 2654435761 % (:days * 86400000::bigint)) / 1000.0)) AS at) a
CROSS JOIN LATERAL (SELECT ('x' || substr(md5('chance ' || n), 1, 7))::bit(28)::int % 1000 AS chance,
                           ('x' || substr(md5('length ' || n), 1, 7))::bit(28)::int % 1000 AS length) r
JOIN (SELECT t.id, t.doc::jsonb -> 'labels' AS labels, row_number() OVER (ORDER BY t.name) AS place
      FROM test t JOIN namespace n ON n.id = t.ns_id WHERE n.name = :'ns' AND t.name IN (SELECT name FROM names)) t ON t.place = 1 + n % :tests
JOIN (SELECT DISTINCT ON (c.labels) c.id, c.labels FROM class c JOIN namespace n ON n.id = c.ns_id WHERE n.name = :'ns') c
  ON c.labels = t.labels
CROSS JOIN (SELECT id FROM namespace WHERE name = :'ns') m
CROSS JOIN (SELECT max(config_id) AS id FROM run r JOIN namespace n ON n.id = r.ns_id WHERE n.name = :'ns') g
CROSS JOIN (SELECT id FROM runner ORDER BY last_seen_at DESC LIMIT 1) w;

INSERT INTO run (id, ns_id, test_id, matrix_id, class_id, config_id, priority, seq, queue_secs, trigger, scheduled_at, created_at, created_by)
SELECT id, ns_id, test_id, id, class_id, config_id, 2, n, 60, 'schedule', at, at, 'seed' FROM made;

INSERT INTO attempt (run_id, attempt, lease_id, runner_id, leased_at, started_at, ended_at, result, exit_code, log_status, stdout_bytes,
                     stdout_dropped, stderr_bytes, stderr_dropped)
SELECT id, 1, gen_random_uuid(), runner_id, leased_at, leased_at + interval '0.3 s', finished_at, result,
       CASE result WHEN 'pass' THEN 0 WHEN 'fail' THEN 1 END, 'complete', 0, 0, 0, 0
FROM made;

INSERT INTO run_end (run_id, ns_id, test_id, class_id, finished_at, attempt, result, exit_code, flaky, log_status, log_bytes, log_dropped,
                     runner_id, leased_at, started_at)
SELECT id, ns_id, test_id, class_id, finished_at, 1, result, CASE result WHEN 'pass' THEN 0 WHEN 'fail' THEN 1 END, false, 'complete', 0, 0,
       runner_id, leased_at, leased_at + interval '0.3 s'
FROM made;

INSERT INTO undigested (run_id) SELECT id FROM made ORDER BY finished_at;
VACUUM (ANALYZE) test, run, run_end, attempt, undigested;
