//! The plans of the hot queries on seeded tables: the index that was meant is used, and what a query touches does not
//! grow with what it does not need.
//!
//! The queries are those of the product: their text is read from `.sqlx`, where the build has put it.

use std::path::Path;

use serde_json::Value;
use sqlx::{AssertSqlSafe, Connection, Executor, PgConnection, Row};
use tstr_tests::{Lab, TestDb};

/// How many lanes are seeded, of as many classes.
const LANES: i64 = 200;

/// Returns the one query of the product that has all of these words.
fn query(words: &[&str]) -> String {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../.sqlx");
    let mut found = Vec::new();
    for file in std::fs::read_dir(folder).expect("the build has written .sqlx") {
        let text = std::fs::read_to_string(file.unwrap().path()).unwrap();
        let query = serde_json::from_str::<Value>(&text).unwrap()["query"].as_str().unwrap().to_owned();
        if words.iter().all(|word| query.contains(word)) {
            found.push(query);
        }
    }
    assert_eq!(found.len(), 1, "queries with {words:?}: {found:#?}");
    found.remove(0)
}

/// A node of a plan, with what is needed to judge it.
#[derive(Debug, Clone)]
struct Node {
    kind: String,
    relation: String,
    index: String,
    rows: f64,
    loops: f64,
}

/// An executed plan.
#[derive(Debug)]
struct Plan {
    nodes: Vec<Node>,
    /// Pages that were touched.
    buffers: i64,
    text: String,
}

impl Plan {
    /// The nodes that read this table or one of its partitions, and were executed.
    fn on<'a>(&'a self, table: &'a str) -> impl Iterator<Item = &'a Node> {
        let partition = move |name: &str| name.strip_prefix(table).is_some_and(|rest| rest.starts_with("_2"));
        self.nodes.iter().filter(move |node| node.loops > 0.0 && (node.relation == table || partition(&node.relation)))
    }

    /// Fails unless the table is read by this index only; those of partitions are named after it.
    #[track_caller]
    fn reads_only_by(&self, table: &str, index: &str) {
        let mut seen = 0;
        for node in self.on(table) {
            // A row that is deleted by its address was found by an index before.
            if matches!(node.kind.as_str(), "ModifyTable" | "Tid Scan") {
                continue;
            }
            let suffix = index.strip_prefix(table).unwrap_or(index);
            assert!(
                node.kind.starts_with("Index") && (node.index == index || node.index.ends_with(suffix)),
                "{table} is read by {} {}:\n{}",
                node.kind,
                node.index,
                self.text
            );
            seen += 1;
        }
        assert!(seen > 0, "{table} is not read:\n{}", self.text);
    }

    #[track_caller]
    fn has_no(&self, kind: &str) {
        assert!(self.nodes.iter().all(|node| node.kind != kind || node.loops == 0.0), "there is a {kind}:\n{}", self.text);
    }
}

/// Executes a query with these arguments, as a connection does that has prepared it: with a plan for any arguments, or
/// with one for these. Nothing stays of what it does.
async fn explain(conn: &mut PgConnection, query: &str, arguments: &[&str], mode: &str) -> Plan {
    let mut tx = conn.begin().await.unwrap();
    let arguments = arguments.join(", ");
    tx.execute(AssertSqlSafe(format!("SET LOCAL plan_cache_mode = {mode}"))).await.unwrap();
    tx.execute(AssertSqlSafe(format!("PREPARE probe AS {query}"))).await.unwrap();
    let explain = format!("EXPLAIN (ANALYZE, BUFFERS, TIMING OFF, FORMAT JSON) EXECUTE probe({arguments})");
    let row = tx.fetch_one(AssertSqlSafe(explain)).await.unwrap();
    let plan: Value = row.get(0);
    tx.execute("DEALLOCATE probe").await.unwrap();
    tx.rollback().await.unwrap();
    let root = &plan[0]["Plan"];
    let count = |key: &str| root[key].as_i64().unwrap_or(0);
    let mut nodes = Vec::new();
    collect(root, &mut nodes);
    let buffers = count("Shared Hit Blocks") + count("Shared Read Blocks");
    Plan { nodes, buffers, text: serde_json::to_string_pretty(&plan).unwrap() }
}

fn collect(node: &Value, nodes: &mut Vec<Node>) {
    let text = |key: &str| node[key].as_str().unwrap_or_default().to_owned();
    nodes.push(Node {
        kind: text("Node Type"),
        relation: text("Relation Name"),
        index: text("Index Name"),
        rows: node["Actual Rows"].as_f64().unwrap_or(0.0),
        loops: node["Actual Loops"].as_f64().unwrap_or(0.0),
    });
    for child in node["Plans"].as_array().into_iter().flatten() {
        collect(child, nodes);
    }
}

/// Both ways in which a prepared query may be planned.
const MODES: [&str; 2] = ["force_generic_plan", "force_custom_plan"];

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
        INSERT INTO ready (lane, seq, run_id, expires_at)
        SELECT class_id * 4 + priority, seq, id, now() + interval '1 day' FROM made";
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
    for statement in ["VACUUM ANALYZE ready", "VACUUM ANALYZE run", "VACUUM ANALYZE run_end", "ANALYZE class", "ANALYZE config"] {
        conn.execute(statement).await.unwrap();
    }
}

/// Eight lanes, as the claims of a runner name them.
fn lanes(of: impl Iterator<Item = i64>) -> String {
    let lanes: Vec<String> = of.map(|class| (class * 4 + 2).to_string()).collect();
    format!("ARRAY[{}]", lanes.join(","))
}

#[tokio::test]
async fn a_claim_costs_the_same_at_any_depth() {
    let lab = Lab::start().await;
    let claim = query(&["INSERT INTO lease", "pick AS MATERIALIZED"]);
    let mut own = lab.db.connect().await;
    let arguments = |lanes: String| {
        [lanes, "10".into(), "gen_random_uuid()".into(), "gen_random_uuid()".into(), "interval '60 s'".into(), "'test'".into()]
    };
    // The last lanes are empty: a claim must pass over them cheaply.
    let wanted = arguments(lanes((LANES + 1..LANES + 4).chain(1..=5)));
    let wanted: Vec<&str> = wanted.iter().map(String::as_str).collect();
    let mut touched = Vec::new();
    for (runs, total) in [(1_000, 1_000), (199_000, 200_000)] {
        seed_ready(&mut own, runs).await;
        analyze(&mut own).await;
        for mode in MODES {
            // The settings of a connection decide the plan, so it must be one of those that claims use.
            let mut conn = lab.pools(0).claim.acquire().await.unwrap();
            explain(&mut conn, &claim, &wanted, mode).await;
            let plan = explain(&mut conn, &claim, &wanted, mode).await;
            plan.reads_only_by("ready", "ready_pkey");
            plan.reads_only_by("run", "run_pkey");
            plan.has_no("Seq Scan");
            plan.has_no("Sort");
            let taken: f64 = plan.nodes.iter().filter(|node| node.kind == "LockRows").map(|node| node.rows * node.loops).sum();
            assert!(taken <= 20.0, "{taken} rows were locked for 10:\n{}", plan.text);
            touched.push((total, mode, plan.buffers));
        }
    }
    let least = touched.iter().map(|(_, _, buffers)| *buffers).min().unwrap();
    for (total, mode, buffers) in &touched {
        // A deeper index has a level more: one page for every row that is looked up.
        assert!(*buffers <= least + least / 4, "{buffers} pages at {total} with {mode}: {touched:?}");
    }
    assert!(least < 600, "{touched:?}");
}

#[tokio::test]
async fn a_plan_that_was_made_while_the_queue_was_empty_is_good_when_it_is_full() {
    let lab = Lab::start().await;
    let claim = query(&["INSERT INTO lease", "pick AS MATERIALIZED"]);
    let mut conn = lab.pools(0).claim.acquire().await.unwrap();
    conn.execute("SET plan_cache_mode = force_generic_plan").await.unwrap();
    conn.execute(AssertSqlSafe(format!("PREPARE probe AS {claim}"))).await.unwrap();
    let execute = |lanes: &str| {
        let explain = "EXPLAIN (ANALYZE, BUFFERS, TIMING OFF, FORMAT JSON)";
        format!("{explain} EXECUTE probe({lanes}, 1, gen_random_uuid(), gen_random_uuid(), interval '60 s', 'test')")
    };
    let empty = execute(&lanes(1..=8));
    conn.execute(AssertSqlSafe(empty.clone())).await.unwrap();
    let mut own = lab.db.connect().await;
    seed_ready(&mut own, 20_000).await;
    let row = conn.fetch_one(AssertSqlSafe(empty)).await.unwrap();
    let plan: Value = row.get(0);
    let mut nodes = Vec::new();
    collect(&plan[0]["Plan"], &mut nodes);
    assert!(nodes.iter().all(|node| !matches!(node.kind.as_str(), "Seq Scan" | "Sort")), "{plan:#}");
    let root = &plan[0]["Plan"];
    let buffers = root["Shared Hit Blocks"].as_i64().unwrap() + root["Shared Read Blocks"].as_i64().unwrap();
    assert!(buffers < 250, "{buffers} pages for one run:\n{plan:#}");
}

#[tokio::test]
async fn the_walks_over_the_queue_follow_its_index() {
    let lab = Lab::start().await;
    let mut conn = lab.db.connect().await;
    seed_ready(&mut conn, 100_000).await;
    analyze(&mut conn).await;

    // Which lanes have runs: a probe for each lane and not a row more.
    let skip = query(&["WITH RECURSIVE head(lane)"]);
    for mode in MODES {
        let mut claims = lab.pools(0).claim.acquire().await.unwrap();
        let plan = explain(&mut claims, &skip.replace("$1", ""), &[], mode).await;
        plan.reads_only_by("ready", "ready_pkey");
        let read: f64 = plan.on("ready").map(|node| node.rows * node.loops).sum();
        assert!(read <= LANES as f64 + 2.0, "{read} rows for {LANES} lanes:\n{}", plan.text);
        assert!(plan.buffers < LANES * 5, "{} pages", plan.buffers);
    }

    // The expiry: where a stretch ends, and what in it is late, by a range of the index.
    let step = query(&["SELECT lane, seq FROM ready", "OFFSET $3"]);
    let late = query(&["late AS MATERIALIZED"]);
    let (from, to) = ((LANES / 2) * 4 + 2, (LANES / 2 + 2) * 4 + 2);
    let place = |lane: i64| [lane.to_string(), "0".to_owned()];
    for mode in MODES {
        let [lane, seq] = place(from);
        let plan = explain(&mut conn, &step, &[&lane, &seq, "999"], mode).await;
        plan.reads_only_by("ready", "ready_pkey");
        let read: f64 = plan.on("ready").map(|node| node.rows * node.loops).sum();
        assert!(read <= 1_001.0, "{read} rows:\n{}", plan.text);

        let [last, end] = place(to);
        let plan = explain(&mut conn, &late, &[&lane, &seq, &last, &end, "'test'"], mode).await;
        plan.reads_only_by("ready", "ready_pkey");
        plan.has_no("Seq Scan");
        assert!(plan.buffers < 1_500, "{} pages for two lanes of {LANES}:\n{}", plan.buffers, plan.text);
    }
}

#[tokio::test]
async fn the_mover_takes_what_is_due_from_the_front_of_its_index() {
    let lab = Lab::start().await;
    let mut conn = lab.db.connect().await;
    conn.execute(
        "INSERT INTO delayed (due, run_id, lane, seq, queue_secs)
         SELECT now() + n * interval '1 s' - interval '20 s', gen_random_uuid(), 6, n, 3600 FROM generate_series(1, 50000) n",
    )
    .await
    .unwrap();
    conn.execute("VACUUM ANALYZE delayed").await.unwrap();
    let mover = query(&["FROM delayed", "INSERT INTO ready"]);
    for mode in MODES {
        let plan = explain(&mut conn, &mover, &["500"], mode).await;
        plan.reads_only_by("delayed", "delayed_pkey");
        plan.has_no("Seq Scan");
        plan.has_no("Sort");
        assert!(plan.buffers < 400, "{} pages for some twenty runs:\n{}", plan.buffers, plan.text);
    }
}

#[tokio::test]
async fn a_list_of_runs_stops_when_its_page_is_full() {
    let db = TestDb::new().await;
    let mut conn = db.connect().await;
    // Two namespaces; the runs of ours are of today, and 50 000.
    conn.execute("INSERT INTO namespace (name) VALUES ('other')").await.unwrap();
    seed_ready(&mut conn, 50_000).await;
    finish_all(&mut conn).await;
    analyze(&mut conn).await;
    let list = query(&["ORDER BY r.id DESC", "LIMIT $17"]);
    let none = "NULL";
    let mut arguments = vec!["1"; 17];
    arguments[1..7].fill(none);
    arguments[7..9].fill("ARRAY[]::text[]");
    arguments[9] = "'{}'";
    arguments[10..16].fill(none);
    arguments[16] = "51";
    let check = async |conn: &mut PgConnection, arguments: &[&str], pages: i64| {
        // As the statement before it asks for.
        let plan = explain(conn, &list, arguments, "force_custom_plan").await;
        plan.reads_only_by("run", "run_ns_idx");
        plan.reads_only_by("run_end", "run_end_pkey");
        plan.has_no("Sort");
        let read: f64 = plan.on("run").map(|node| node.rows * node.loops).sum();
        assert!(plan.buffers < pages, "{} pages, {read} runs:\n{}", plan.buffers, plan.text);
        plan
    };
    let first = check(&mut conn, &arguments, 1_500).await;
    // Behind a cursor: what is newer is not read, and later days are pruned.
    let cursor: String =
        sqlx::query_scalar("SELECT id::text FROM run ORDER BY id LIMIT 1 OFFSET 25000").fetch_one(&mut conn).await.unwrap();
    let cursor = format!("'{cursor}'");
    let mut page = arguments.clone();
    page[1] = &cursor;
    let second = check(&mut conn, &page, 1_500).await;
    assert!(second.nodes.iter().filter(|node| node.relation.starts_with("run_2")).count()
        < first.nodes.iter().filter(|node| node.relation.starts_with("run_2")).count(), "later days are pruned");
    // What has an end of a kind that most have.
    let mut passed = arguments.clone();
    passed[8] = "ARRAY['pass']";
    check(&mut conn, &passed, 1_500).await;
    // Another namespace has nothing, and is told so without a look at ours.
    let mut other = arguments.clone();
    other[0] = "2";
    let plan = explain(&mut conn, &list, &other, "force_custom_plan").await;
    assert!(plan.buffers < 200, "{} pages for nothing:\n{}", plan.buffers, plan.text);
}

#[tokio::test]
async fn what_is_asked_of_one_run_touches_a_few_pages() {
    let db = TestDb::new().await;
    let mut conn = db.connect().await;
    seed_ready(&mut conn, 50_000).await;
    analyze(&mut conn).await;
    let id: String =
        sqlx::query_scalar("SELECT id::text FROM run ORDER BY id LIMIT 1 OFFSET 25000").fetch_one(&mut conn).await.unwrap();
    let (one, many) = (format!("'{id}'"), format!("ARRAY['{id}'::uuid]"));
    let cancel = query(&["from_delayed AS", "from_ready AS"]);
    let read = query(&["WHERE r.id = ANY($1) AND r.ns_id = ANY($2) ORDER BY r.id", "LEFT JOIN ready q"]);
    for mode in MODES {
        let plan = explain(&mut conn, &cancel, &[&one, "ARRAY[1]", "'test'"], mode).await;
        plan.reads_only_by("ready", "ready_pkey");
        assert!(plan.buffers < 150, "cancel: {} pages:\n{}", plan.buffers, plan.text);
        let plan = explain(&mut conn, &read, &[&many, "ARRAY[1]"], mode).await;
        plan.reads_only_by("ready", "ready_pkey");
        assert!(plan.buffers < 150, "read: {} pages:\n{}", plan.buffers, plan.text);
    }
}
