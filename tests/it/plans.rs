//! The plans of the hot queries on seeded tables: the index that was meant is used, and what a query touches does not
//! grow with what it does not need.
//!
//! The queries are those of the product: their text is read from `.sqlx`, where the build has put it.

mod explain;
mod grid;
mod logs;
mod looks;
mod results;

use sqlx::{AssertSqlSafe, Executor, PgConnection};
use tstr_tests::{Lab, TestDb};

use self::explain::{MODES, Prepared, explain, query};

/// How many lanes are seeded, of as many classes.
const LANES: i64 = 200;

/// Seeds `runs` waiting runs in all lanes, beside those that are there.
async fn seed_ready(conn: &mut PgConnection, runs: i64) {
    let seed = "
        INSERT INTO config (hash, body, budget_secs, on_fail, on_infrastructure, at_most_once, log_limit)
        SELECT sha256('x'), '{}', 60, 0, 1, false, 1024 ON CONFLICT DO NOTHING;
        INSERT INTO class (ns_id, labels_hash, labels)
        SELECT 1, decode(lpad(to_hex(n), 32, '0'), 'hex'), jsonb_build_object('n', n::text)
        FROM generate_series(1, $LANES) n ON CONFLICT DO NOTHING;
        WITH made AS (
            INSERT INTO run (id, ns_id, test_id, matrix_id, class_id, config_id, priority, seq, queue_secs, trigger,
                             scheduled_at, created_by)
            SELECT (substr(id_floor(clock_timestamp())::text, 1, 14) || '7' || substr(gen_random_uuid()::text, 16))::uuid,
                   1, id_floor(now()), id_floor(now()), 1 + n % $LANES, 1, 2,
                   ((extract(epoch FROM clock_timestamp()) * 1000)::bigint << 20) | (nextval('ready_seq') & 1048575),
                   86400, 'manual', now(), 'seed'
            FROM generate_series(1, $RUNS) n
            RETURNING id, class_id, priority, seq)
        INSERT INTO ready (lane, seq, run_id, expires_at, config_id)
        SELECT class_id * 4 + priority, seq, id, now() + interval '1 day', (SELECT min(id) FROM config) FROM made";
    let seed = seed.replace("$LANES", &LANES.to_string()).replace("$RUNS", &runs.to_string());
    conn.execute(AssertSqlSafe(seed)).await.unwrap();
}

/// Moves all that waits into history, finished.
async fn finish_all(conn: &mut PgConnection) {
    let seed = "
        INSERT INTO run_end (run_id, ns_id, test_id, class_id, finished_at, attempt, result, flaky, log_status, log_bytes,
                             log_dropped, leased_at, started_at)
        SELECT r.id, r.ns_id, r.test_id, r.class_id, clock_timestamp(), 1, 'pass', false, 'complete', 0, 0, now(), now()
        FROM run r;
        TRUNCATE ready";
    conn.execute(seed).await.unwrap();
}

async fn analyze(conn: &mut PgConnection) {
    for statement in
        ["VACUUM ANALYZE ready", "VACUUM ANALYZE run", "VACUUM ANALYZE run_end", "ANALYZE class", "ANALYZE config"]
    {
        conn.execute(statement).await.unwrap();
    }
}

/// An array of the lanes of these classes.
fn lanes(of: impl Iterator<Item = i64>) -> String {
    let lanes: Vec<String> = of.map(|class| (class * 4 + 2).to_string()).collect();
    format!("ARRAY[{}]", lanes.join(","))
}

/// The heads of so many lanes, none of them known.
fn heads(count: usize) -> String {
    format!("array_fill(0::bigint, ARRAY[{count}])")
}

/// What the claim is told of a single asker in the first namespace, after lanes, heads and how many runs.
const ASKER: [&str; 9] = [
    "ARRAY['{runner}'::uuid]",
    "ARRAY['{token}'::uuid]",
    "ARRAY['2026-01-01Z'::timestamptz]",
    "ARRAY['{claim}'::uuid]",
    "ARRAY[100]",
    "ARRAY['test']",
    "interval '60 s'",
    "1",
    "left(pg_walfile_name(pg_current_wal_lsn()), 8)",
];

/// A runner that may ask.
fn insert_runner(runner: uuid::Uuid, token: uuid::Uuid) -> String {
    format!(
        "INSERT INTO runner (id, name, token_id, namespaces, accept, reject, slots, about, registered_at)
         VALUES ('{runner}', 'w', '{token}', '{{}}', '{{}}', '{{}}', 1, '{{}}', '2026-01-01Z')"
    )
}

fn claim_query() -> String {
    query(&["INSERT INTO lease", "pick AS MATERIALIZED"])
}

#[tokio::test]
async fn a_claim_costs_the_same_at_any_depth() {
    let lab = Lab::start().await;
    let claim = claim_query();
    let mut own = lab.db.connect().await;
    // Four lanes are empty: a claim must pass over them cheaply.
    let wanted = lanes((LANES + 1..LANES + 5).chain(1..=4));
    let (runner, token, claim_id) = (uuid::Uuid::new_v4(), uuid::Uuid::new_v4(), uuid::Uuid::new_v4());
    own.execute(AssertSqlSafe(insert_runner(runner, token))).await.unwrap();
    let named = [("{runner}", runner), ("{token}", token), ("{claim}", claim_id)];
    let put = |text: &str| named.iter().fold(text.to_owned(), |text, (name, id)| text.replace(name, &id.to_string()));
    let wanted: Vec<String> = [wanted, heads(8), "10".into()].into_iter().chain(ASKER.map(put)).collect();
    let wanted: Vec<&str> = wanted.iter().map(String::as_str).collect();
    let mut touched = Vec::new();
    for (runs, total) in [(1_000, 1_000), (199_000, 200_000)] {
        seed_ready(&mut own, runs).await;
        analyze(&mut own).await;
        for mode in MODES {
            // The settings of a connection decide the plan, so it must be one of those that claims use.
            let mut conn = lab.pools(0).claim.acquire().await.unwrap();
            let plan = explain(conn.raw(), &claim, &wanted, mode).await;
            plan.reads_only_by("ready", "ready_pkey");
            for kind in ["Seq Scan", "Sort", "Hash Join", "Merge Join"] {
                plan.has_no(kind);
            }
            let locked: f64 = plan.nodes.iter().filter(|node| node.kind == "LockRows").map(|node| node.rows).sum();
            assert!(locked <= 20.0, "{locked} rows were locked for 10:\n{plan}");
            plan.touches_at_most(400);
            touched.push((total, plan.pages));
        }
    }
    let (shallow, deep) = (touched[0].1.min(touched[1].1), touched[2].1.max(touched[3].1));
    // Each of the ten runs is looked up a few times in indexes that are a level deeper.
    assert!(deep <= shallow + 10 * 8, "pages at a depth: {touched:?}");
}

#[tokio::test]
async fn a_claim_locks_no_partition_of_run_however_many_days_are_kept() {
    let lab = Lab::start().await;
    let mut own = lab.db.connect().await;
    seed_ready(&mut own, 100).await;
    let (runner, token, claim_id) = (uuid::Uuid::new_v4(), uuid::Uuid::new_v4(), uuid::Uuid::new_v4());
    own.execute(AssertSqlSafe(insert_runner(runner, token))).await.unwrap();
    let named = [("{runner}", runner), ("{token}", token), ("{claim}", claim_id)];
    let put = |text: &str| named.iter().fold(text.to_owned(), |text, (name, id)| text.replace(name, &id.to_string()));
    let given: Vec<String> = [lanes(1..=4), heads(4), "10".into()].into_iter().chain(ASKER.map(put)).collect();
    // The settings of a connection decide the plan, so it must be one of those that claims use.
    let mut conn = lab.pools(0).claim.acquire().await.unwrap();
    for (statement, locked) in [
        (format!("PREPARE claim AS {}; BEGIN; EXECUTE claim({})", claim_query(), given.join(", ")), false),
        // The way to see such locks.
        ("COMMIT; BEGIN; SELECT count(*) FROM run".to_owned(), true),
    ] {
        conn.execute(AssertSqlSafe(statement)).await.unwrap();
        let held: i64 = sqlx::query_scalar(
            "SELECT count(*) FROM pg_locks l
             JOIN pg_inherits i ON i.inhrelid = l.relation AND i.inhparent = 'run'::regclass
             WHERE l.pid = pg_backend_pid()",
        )
        .fetch_one(&mut conn)
        .await
        .unwrap();
        assert_eq!(held > 0, locked, "{held} partitions are locked");
    }
    conn.execute("COMMIT; DEALLOCATE claim").await.unwrap();
    let leased: i64 = sqlx::query_scalar("SELECT count(*) FROM lease").fetch_one(&mut own).await.unwrap();
    assert!(leased > 0, "nothing was claimed");
}

#[tokio::test]
async fn an_end_locks_no_partition_of_run_however_many_days_are_kept() {
    const LOCKED: &str = "SELECT count(*) FROM pg_locks l
                          JOIN pg_inherits i ON i.inhrelid = l.relation AND i.inhparent = 'run'::regclass
                          WHERE l.pid = pg_backend_pid()";
    let lab = Lab::start().await;
    let mut own = lab.db.connect().await;
    let worker = lab.worker("w").await;
    // The second lease is one of the previous release's, which knew no test.
    for (known, locks) in [(true, false), (false, true)] {
        let run = lab.run_of(&[]).await;
        let fence = worker.one().await;
        worker.start(fence).await.unwrap();
        if !known {
            own.execute("UPDATE lease SET test_id = NULL").await.unwrap();
        }
        let mut conn = lab.pools(0).main.acquire().await.unwrap();
        let close = query(&["-- The end of leases"]).replace("$5", "'x'").replace("$4", "interval '10 s'");
        let asked = format!(
            "'[{{\"run_id\": \"{}\", \"attempt\": {}, \"lease_id\": \"{}\", \"kind\": \"outcome\", \"result\": \"pass\",
               \"exit_code\": 0, \"log_status\": \"complete\", \"stdout_bytes\": 0, \"stdout_dropped\": 0,
               \"stderr_bytes\": 0, \"stderr_dropped\": 0}}]'::jsonb",
            fence.run_id, fence.attempt, fence.lease_id
        );
        let close = close.replace("$3", "interval '0'").replace("$2", "ARRAY[1]").replace("$1", &asked);
        conn.execute(AssertSqlSafe(format!("BEGIN; {close}"))).await.unwrap();
        let held: i64 = sqlx::query_scalar(LOCKED).fetch_one(&mut conn).await.unwrap();
        assert_eq!(held > 0, locks, "{held} partitions are locked");
        conn.execute("COMMIT").await.unwrap();
        let of_test: bool = sqlx::query_scalar(
            "SELECT e.test_id = r.test_id AND e.class_id = r.class_id FROM run_end e JOIN run r ON r.id = e.run_id
             WHERE e.run_id = $1",
        )
        .bind(run.0)
        .fetch_one(&mut own)
        .await
        .unwrap();
        assert!(of_test, "the end is that of another test");
    }
}

#[tokio::test]
async fn plans_that_were_made_while_the_tables_were_empty_are_good_when_they_are_full() {
    // Each query has a connection of its own, which are more than a replica has.
    let lab = Lab::start_with(2).await;
    let mut own = lab.db.connect().await;
    // No statistics come to help: what is measured is the plan that was made first.
    for table in [
        "ready",
        "lease",
        "delayed",
        "run",
        "run_end",
        "attempt",
        "run_event",
        "class",
        "config",
        "runner",
        "test",
        "schedule",
        "gate",
        "gated",
        "cancel_order",
    ] {
        let partitions = format!("SELECT coalesce(string_agg(format('ALTER TABLE %s SET (autovacuum_enabled = off)', t), ';'), '')
                                  FROM (SELECT relid::text t FROM pg_partition_tree('{table}') WHERE isleaf
                                        UNION SELECT '{table}' WHERE NOT EXISTS
                                            (SELECT FROM pg_partitioned_table WHERE partrelid = '{table}'::regclass)) a");
        let off: String = sqlx::query_scalar(AssertSqlSafe(partitions)).fetch_one(&mut own).await.unwrap();
        own.execute(AssertSqlSafe(off)).await.unwrap();
    }
    let close = "jsonb_build_array(jsonb_build_object('run_id', '{run}', 'attempt', 1, 'lease_id', '{lease}', 'kind', 'outcome',
                                                      'result', 'error', 'log_status', 'complete'))";
    let (eight, heads) = (lanes(1..=8), heads(8));
    let fence = ["'{run}'", "1::smallint", "'{lease}'", "'{runner}'", "ARRAY[1]"];
    let own_lease = [
        "ARRAY['{run}'::uuid]",
        "ARRAY[1::smallint]",
        "ARRAY['{lease}'::uuid]",
        "ARRAY['{runner}'::uuid]",
        "ARRAY['{token}'::uuid]",
    ];
    let claim = claim_query();
    let cancel = vec!["ARRAY['{run}'::uuid]", "ARRAY[1]", "ARRAY['x']", "ARRAY[NULL::text]"];
    let parked = vec!["ARRAY['{parked}'::uuid]", "ARRAY[1]", "ARRAY['x']", "ARRAY[NULL::text]"];
    let end_parked = vec!["ARRAY['{parked}'::uuid]", "ARRAY['x']", "'error'", "'queue_expired'", "'x'"];
    let gate = "ARRAY['{gate}'::uuid]";
    let cases: Vec<(&str, String, Vec<&str>, bool)> = vec![
        ("claim", claim.clone(), [&eight, &heads, "1"].into_iter().chain(ASKER).collect(), true),
        ("claim again", query(&["h.claim_id = $2"]), vec!["'{runner}'", "'{claim}'"], true),
        (
            "start",
            query(&["started_before"]),
            own_lease.iter().copied().chain(["ARRAY['x']", "ARRAY[1]"]).collect(),
            true,
        ),
        (
            "hold the log's end",
            query(&["FOR KEY SHARE", "next_seq"]),
            own_lease.iter().copied().chain(["ARRAY[1]"]).collect(),
            false,
        ),
        (
            "finish",
            query(&["jsonb_to_recordset"]),
            vec![close, "ARRAY[1]", "interval '0'", "interval '10 s'", "'x'"],
            false,
        ),
        ("an ended attempt", query(&["FROM attempt a", "a.lease_id = $3"]), fence.to_vec(), false),
        ("cancel", query(&["from_delayed AS", "from_ready AS"]), cancel, true),
        ("cancel a parked run", query(&["from_delayed AS", "from_ready AS"]), parked, true),
        ("end a parked run", query(&["held AS MATERIALIZED", "FROM gated WHERE run_id = ANY($1)"]), end_parked, false),
        ("what a gate knows", query(&["FROM gated g", "AS \"leaving!\""]), vec![gate], false),
        ("the next of a group", query(&["room AS MATERIALIZED", "SET group_slot"]), vec![gate], false),
        (
            "the next of a matrix",
            query(&["room AS MATERIALIZED", "SET matrix_slot"]),
            vec!["ARRAY['{matrix}'::uuid]"],
            false,
        ),
        ("lock a gate", query(&["SELECT key FROM gate"]), vec![gate], false),
        ("runs that were put off", query(&["FOR UPDATE OF d SKIP LOCKED"]), vec!["20"], false),
        ("parked too long", query(&["FROM gated WHERE parked AND expires_at"]), vec!["20"], false),
        ("orders", query(&["FROM cancel_order o", "o.message"]), vec!["20"], false),
        (
            "read a run",
            query(&["WHERE r.id = ANY($1) AND r.ns_id = ANY($2) ORDER BY r.id", "LEFT JOIN ready q"]),
            vec!["ARRAY['{run}'::uuid]", "ARRAY[1]"],
            false,
        ),
        ("its attempts", query(&["UNION ALL", "FROM attempt WHERE run_id = $1"]), vec!["'{run}'", "ARRAY[1]"], false),
        ("its events", query(&["FROM run_event v", "ORDER BY v.at, v.id"]), vec!["'{run}'", "ARRAY[1]"], false),
        (
            "tests that are due",
            query(&["FROM schedule s", "SKIP LOCKED"]),
            vec!["'1970-01-01Z'", "200", "1000000"],
            false,
        ),
        ("move what is due", query(&["FROM delayed", "INSERT INTO ready", "LIMIT $1"]), vec!["500"], true),
    ];
    let fill = |arguments: &[&str], ids: &[(&str, String)]| -> Vec<String> {
        let put = |text: &&str| ids.iter().fold((*text).to_owned(), |text, (name, id)| text.replace(name, id));
        arguments.iter().map(put).collect()
    };
    let names = ["{run}", "{lease}", "{runner}", "{claim}", "{token}", "{gate}", "{matrix}", "{parked}"];
    let nobody = names.map(|name| (name, uuid::Uuid::nil().to_string()));
    let mut conns = Vec::new();
    for (i, (_, _, _, of_claim)) in cases.iter().enumerate() {
        let pools = lab.pools(i % 2);
        let pool = if *of_claim { &pools.claim } else { &pools.main };
        conns.push(pool.acquire().await.unwrap());
    }
    let mut prepared = Vec::new();
    for ((_, query, arguments, _), conn) in cases.iter().zip(&mut conns) {
        let mut one = Prepared::new(conn.raw(), query, "force_generic_plan").await;
        let arguments = fill(arguments, &nobody);
        one.explain(&arguments.iter().map(String::as_str).collect::<Vec<_>>()).await;
        prepared.push(one);
    }
    // Now there are 60 000 runs, 100 of them leased, and as many that wait for their time, and 5 000 tests.
    seed_ready(&mut own, 60_000).await;
    let (runner, claim_id, token) = (uuid::Uuid::new_v4(), uuid::Uuid::new_v4(), uuid::Uuid::new_v4());
    let more = format!(
        "{};
         INSERT INTO delayed (due, run_id, lane, seq, queue_secs)
         SELECT now() + n * interval '1 s' - interval '20 s', gen_random_uuid(), 6, n, 60 FROM generate_series(1, 60000) n;
         INSERT INTO test (id, ns_id, name, doc) SELECT gen_random_uuid(), 1, n::text, json_build_object('x', repeat('x', 500))
         FROM generate_series(1, 5000) n;
         INSERT INTO schedule (test_id, next_at) SELECT id, now() + (name::int - 20) * interval '1 min' FROM test;
         INSERT INTO gate (key, kind, ns_id, slots) SELECT md5(n::text)::uuid, 'cell', 1, 2 FROM generate_series(1, 1000) n;
         INSERT INTO gate (key, kind, ns_id, slots) SELECT md5('m' || n)::uuid, 'matrix', 1, 2 FROM generate_series(1, 200) n;
         INSERT INTO gated (run_id, ns_id, matrix_id, group_key, group_slot, policy, depth, overflow, lane, seq, due, expires_at)
         SELECT gen_random_uuid(), 1, gen_random_uuid(), md5((n % 1000 + 1)::text)::uuid, CASE WHEN n <= 1000 THEN 1 END,
                'queue', 1, 'oldest', 6, n, CASE WHEN n > 40000 THEN now() + (n - 40020) * interval '1 s' END,
                now() + (n - 1020) * interval '1 s'
         FROM generate_series(1, 60000) n;
         INSERT INTO gated (run_id, ns_id, matrix_id, max_parallel, matrix_slot, lane, seq, expires_at)
         SELECT gen_random_uuid(), 1, md5('m' || n % 200 + 1)::uuid, 2, CASE WHEN n <= 200 THEN 1 END, 6, n, now() + interval '1 d'
         FROM generate_series(1, 20000) n;
         INSERT INTO gated (run_id, ns_id, matrix_id, max_parallel, lane, seq, expires_at)
         SELECT run_id, 1, run_id, 1, lane, seq, now() + interval '1 d' FROM (SELECT * FROM ready WHERE lane = 6 LIMIT 1) q;
         DELETE FROM ready q USING gated g WHERE q.lane = 6 AND g.run_id = q.run_id;
         INSERT INTO cancel_order (run_id, actor, message) SELECT id, 'x', 'x' FROM (SELECT id FROM run LIMIT 1000) r;
         PREPARE claim AS {claim};
         EXECUTE claim({}, array_fill(0::bigint, ARRAY[16]), 100, ARRAY['{runner}'::uuid], ARRAY['{token}'::uuid],
                       ARRAY['2026-01-01Z'::timestamptz], ARRAY['{claim_id}'::uuid], ARRAY[100], ARRAY['x'], interval '1 h', 1,
                       left(pg_walfile_name(pg_current_wal_lsn()), 8))",
        insert_runner(runner, token),
        lanes(100..=115)
    );
    own.execute(AssertSqlSafe(more)).await.unwrap();
    let (run, lease): (uuid::Uuid, uuid::Uuid) =
        sqlx::query_as("SELECT run_id, lease_id FROM lease ORDER BY run_id LIMIT 1").fetch_one(&mut own).await.unwrap();
    let (gate, matrix, parked): (uuid::Uuid, uuid::Uuid, uuid::Uuid) =
        sqlx::query_as("SELECT md5('7')::uuid, md5('m7')::uuid, run_id FROM gated WHERE max_parallel = 1 AND parked")
            .fetch_one(&mut own)
            .await
            .unwrap();
    let ids = [run, lease, runner, claim_id, token, gate, matrix, parked].map(|id| id.to_string());
    let ids: Vec<(&str, String)> = names.into_iter().zip(ids).collect();
    let mut slow = Vec::new();
    for ((name, _, arguments, _), prepared) in cases.iter().zip(&mut prepared) {
        let arguments = fill(arguments, &ids);
        let plan = prepared.explain(&arguments.iter().map(String::as_str).collect::<Vec<_>>()).await;
        // A hundred leases are asked for by one of them; the others ask for one run, or for twenty.
        let limit = if *name == "claim again" { 3_000 } else { 400 };
        if plan.pages > limit {
            slow.push(format!("{name}: {} pages, of at most {limit}:\n{plan}", plan.pages));
        }
    }
    assert!(slow.is_empty(), "{}", slow.join("\n"));
}

#[tokio::test]
async fn the_walks_over_the_queue_follow_its_index() {
    let lab = Lab::start().await;
    let mut conn = lab.db.connect().await;
    seed_ready(&mut conn, 100_000).await;
    analyze(&mut conn).await;

    // Which lanes have runs: a probe for each lane and not a row more.
    let skip = query(&["WITH RECURSIVE head AS"]);
    // The expiry: where a stretch ends, and what in it is late, by a range of the index.
    let step = query(&["SELECT lane, seq FROM ready", "OFFSET $3"]);
    let late = query(&["late AS MATERIALIZED"]);
    let lane = |of: i64| (of * 4 + 2).to_string();
    let (from, to) = (lane(LANES / 2), lane(LANES / 2 + 2));
    for mode in MODES {
        let mut claims = lab.pools(0).claim.acquire().await.unwrap();
        let plan = explain(claims.raw(), &skip, &[], mode).await;
        plan.reads_only_by("ready", "ready_pkey");
        assert!(plan.rows_of("ready") <= LANES as f64 + 2.0, "more rows than lanes:\n{plan}");
        plan.touches_at_most(LANES * 5);

        let plan = explain(claims.raw(), &step, &[&from, "0", "999"], mode).await;
        plan.reads_only_by("ready", "ready_pkey");
        assert!(plan.rows_of("ready") <= 1_001.0, "{plan}");

        let plan = explain(claims.raw(), &late, &[&from, "0", &to, "0", "'test'"], mode).await;
        plan.reads_only_by("ready", "ready_pkey");
        plan.has_no("Seq Scan");
        plan.touches_at_most(1_500);
    }
}

#[tokio::test]
async fn the_mover_takes_what_is_due_from_the_front_of_its_index() {
    let lab = Lab::start().await;
    let mut conn = lab.pools(0).claim.acquire().await.unwrap();
    conn.execute(
        "INSERT INTO delayed (due, run_id, lane, seq, queue_secs)
         SELECT now() + n * interval '1 s' - interval '20 s', gen_random_uuid(), 6, n, 3600 FROM generate_series(1, 50000) n",
    )
    .await
    .unwrap();
    conn.execute("VACUUM ANALYZE delayed").await.unwrap();
    let mover = query(&["FROM delayed", "INSERT INTO ready", "LIMIT $1"]);
    for mode in MODES {
        let plan = explain(conn.raw(), &mover, &["500"], mode).await;
        plan.reads_only_by("delayed", "delayed_pkey");
        plan.has_no("Sort");
        plan.touches_at_most(400);
    }
}

#[tokio::test]
async fn a_list_of_runs_stops_when_its_page_is_full() {
    let db = TestDb::new().await;
    let mut conn = db.connect().await;
    // Half of the runs have ended, half wait, and every fiftieth is of another namespace.
    conn.execute("INSERT INTO namespace (name) VALUES ('few'), ('none')").await.unwrap();
    seed_ready(&mut conn, 50_000).await;
    finish_all(&mut conn).await;
    seed_ready(&mut conn, 50_000).await;
    conn.execute("UPDATE run SET ns_id = 2 WHERE seq % 50 = 0").await.unwrap();
    analyze(&mut conn).await;
    let list = query(&["ORDER BY r.id DESC", "LIMIT $17"]);
    let mut arguments = vec!["NULL"; 18];
    arguments[0] = "1";
    arguments[7..9].fill("ARRAY[]::text[]");
    arguments[9] = "'{}'";
    arguments[16] = "51";
    let middle: String = sqlx::query_scalar("SELECT format('%L', id) FROM run ORDER BY id LIMIT 1 OFFSET 25000")
        .fetch_one(&mut conn)
        .await
        .unwrap();
    for (ns, index) in [("1", None), ("2", Some("run_ns_idx"))] {
        // From the newest, which wait, and behind a cursor, where all have ended.
        for before in ["NULL", &middle] {
            (arguments[0], arguments[1]) = (ns, before);
            // As the statement before it asks for.
            let plan = explain(&mut conn, &list, &arguments, "force_custom_plan").await;
            if let Some(index) = index {
                plan.reads_only_by("run", index);
            }
            assert!(plan.rows_of("run") <= 60.0, "more than a page was read:\n{plan}");
            plan.touches_at_most(1_500);
        }
    }
    // A namespace without runs is told so without a look at those of others.
    (arguments[0], arguments[1]) = ("3", "NULL");
    explain(&mut conn, &list, &arguments, "force_custom_plan").await.touches_at_most(200);
    // A result that all have which have ended: those that wait are passed over, once.
    (arguments[0], arguments[1], arguments[8]) = ("1", &middle, "ARRAY['pass']");
    explain(&mut conn, &list, &arguments, "force_custom_plan").await.touches_at_most(1_500);
}
