//! Plans of the product's own queries: found in `.sqlx`, executed by `EXPLAIN`, judged by what they touch.

use std::collections::HashMap;
use std::path::Path;

use serde_json::Value;
use sqlx::{AssertSqlSafe, Connection, Executor, PgConnection, Row};

/// Returns the one query of the product that has all of these words.
pub fn query(words: &[&str]) -> String {
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

/// A node of a plan, with what is needed to judge it. Partitions and their indexes bear the names of their parents.
#[derive(Debug, Clone)]
pub struct Node {
    pub kind: String,
    pub table: String,
    pub index: String,
    pub rows: f64,
}

/// An executed plan; nodes that were never executed are left out.
#[derive(Debug)]
pub struct Plan {
    pub nodes: Vec<Node>,
    /// Pages that were touched.
    pub pages: i64,
    text: String,
}

/// Both ways in which a prepared query may be planned.
pub const MODES: [&str; 2] = ["force_generic_plan", "force_custom_plan"];

impl Plan {
    fn of(json: Value, parents: &HashMap<String, String>) -> Self {
        let root = &json[0]["Plan"];
        let count = |key: &str| root[key].as_i64().unwrap_or(0);
        let mut nodes = Vec::new();
        collect(root, parents, &mut nodes);
        let pages = count("Shared Hit Blocks") + count("Shared Read Blocks");
        let mut text = String::new();
        describe(root, 0, &mut text);
        Self { nodes, pages, text }
    }

    /// How many rows were read of a table.
    pub fn rows_of(&self, table: &str) -> f64 {
        self.nodes.iter().filter(|node| node.table == table).map(|node| node.rows).sum()
    }

    /// Fails unless the table is read by this index only.
    #[track_caller]
    pub fn reads_only_by(&self, table: &str, index: &str) {
        // A row that is changed, or read by its address, was found before; a bitmap is named without its table.
        let found = |node: &&Node| match node.kind.as_str() {
            "ModifyTable" | "Tid Scan" | "Bitmap Heap Scan" => false,
            "Bitmap Index Scan" => node.index == index,
            _ => node.table == table,
        };
        let reads: Vec<&Node> = self.nodes.iter().filter(found).collect();
        let fit = !reads.is_empty() && reads.iter().all(|node| node.index == index);
        assert!(fit, "{table} is read by {reads:?}:\n{self}");
    }

    #[track_caller]
    pub fn has_no(&self, kind: &str) {
        assert!(self.nodes.iter().all(|node| node.kind != kind), "there is a {kind}:\n{self}");
    }

    #[track_caller]
    pub fn touches_at_most(&self, pages: i64) {
        assert!(self.pages <= pages, "{} pages were touched, of at most {pages}:\n{self}", self.pages);
    }
}

impl std::fmt::Display for Plan {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.text)
    }
}

fn collect(node: &Value, parents: &HashMap<String, String>, nodes: &mut Vec<Node>) {
    let loops = node["Actual Loops"].as_f64().unwrap_or(0.0);
    if loops > 0.0 {
        let name = |key: &str| {
            let name = node[key].as_str().unwrap_or_default();
            parents.get(name).map_or(name, String::as_str).to_owned()
        };
        let rows = node["Actual Rows"].as_f64().unwrap_or(0.0) * loops;
        nodes.push(Node { kind: name("Node Type"), table: name("Relation Name"), index: name("Index Name"), rows });
    }
    for child in node["Plans"].as_array().into_iter().flatten() {
        collect(child, parents, nodes);
    }
}

/// Writes a plan as a person reads it.
fn describe(node: &Value, depth: usize, text: &mut String) {
    let word = |key: &str| node[key].as_str().unwrap_or_default();
    let pages = node["Shared Hit Blocks"].as_i64().unwrap_or(0) + node["Shared Read Blocks"].as_i64().unwrap_or(0);
    let (rows, loops) = (&node["Actual Rows"], &node["Actual Loops"]);
    *text += &format!(
        "{:depth$}{} {} {} {} rows={rows} loops={loops} pages={pages}\n",
        "",
        word("Node Type"),
        word("Subplan Name"),
        word("Relation Name"),
        word("Index Name"),
    );
    for child in node["Plans"].as_array().into_iter().flatten() {
        describe(child, depth + 2, text);
    }
}

/// A query that a connection has prepared.
pub struct Prepared<'a> {
    conn: &'a mut PgConnection,
    name: String,
}

impl<'a> Prepared<'a> {
    pub async fn new(conn: &'a mut PgConnection, query: &str, mode: &str) -> Self {
        let name = format!("q{}", uuid::Uuid::new_v4().simple());
        conn.execute(AssertSqlSafe(format!("SET plan_cache_mode = {mode}"))).await.unwrap();
        conn.execute(AssertSqlSafe(format!("PREPARE {name} AS {query}"))).await.unwrap();
        Self { conn, name }
    }

    /// Executes it; nothing stays of what it does.
    pub async fn explain(&mut self, arguments: &[&str]) -> Plan {
        let mut parents = HashMap::new();
        let inherits = "SELECT inhrelid::regclass::text, inhparent::regclass::text FROM pg_inherits";
        let pairs: Vec<(String, String)> = sqlx::query_as(inherits).fetch_all(&mut *self.conn).await.unwrap();
        parents.extend(pairs);
        let arguments = if arguments.is_empty() { String::new() } else { format!("({})", arguments.join(", ")) };
        let explain = format!("EXPLAIN (ANALYZE, BUFFERS, TIMING OFF, FORMAT JSON) EXECUTE {}{arguments}", self.name);
        let mut tx = self.conn.begin().await.unwrap();
        let row = tx.fetch_one(AssertSqlSafe(explain)).await.unwrap_or_else(|error| panic!("{error}: {arguments}"));
        let plan = Plan::of(row.get(0), &parents);
        tx.rollback().await.unwrap();
        plan
    }
}

/// Prepares and executes a query; nothing stays of what it does.
pub async fn explain(conn: &mut PgConnection, query: &str, arguments: &[&str], mode: &str) -> Plan {
    let mut prepared = Prepared::new(conn, query, mode).await;
    // The first execution also reads the catalogue.
    prepared.explain(arguments).await;
    prepared.explain(arguments).await
}
