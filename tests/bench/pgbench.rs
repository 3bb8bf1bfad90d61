//! Bare SQL by `pgbench -M prepared`: the product's claim, and the smallest durable transaction.

use std::path::PathBuf;

use anyhow::{Context, Result, ensure};
use sqlx::PgConnection;

use tstr_api::ops::wake::CHANNEL;

use crate::server::Server;

/// The product's own statement.
const CLAIM: &str = include_str!("../../api/src/store/sql/claim.sql");
/// Where the API says what it sets on the connections that it claims by.
const POOLS: &str = include_str!("../../api/src/pools.rs");

/// A script with what it is run with.
#[derive(Debug, Clone)]
pub struct Script {
    file: PathBuf,
    database: String,
    options: String,
    variables: Vec<String>,
}

/// How long a script is run.
#[derive(Debug, Clone, Copy)]
pub enum Span {
    /// Each client does one transaction: what is measured is connecting and planning.
    Once,
    /// For this many seconds.
    Seconds(u32),
}

/// What pgbench reports.
#[derive(Debug, Clone, Copy)]
pub struct Report {
    /// Transactions per second, connecting left out.
    pub per_s: f64,
    /// How many transactions there were.
    pub transactions: f64,
}

impl Script {
    /// Writes the claim as the API prepares it, for runs in these four lanes.
    pub async fn claim(
        server: &Server,
        database: &str,
        conn: &mut PgConnection,
        lanes: &[i32],
        runner: &str,
    ) -> Result<Self> {
        ensure!(lanes.len() == 4 && lanes.windows(2).all(|two| two[1] == two[0] + 4), "four lanes in a row: {lanes:?}");
        let order = "ARRAY[:a, :b, :c, :d]::int[]";
        let mut statement = without_annotations(&without_comments(CLAIM))?;
        // What the API knows by heart.
        let known = "SELECT w.token_id::text, w.registered_at::text, c.ns_id::text,
                            left(pg_walfile_name(pg_current_wal_lsn()), 8)
                     FROM runner w, class c WHERE w.id = $1::uuid AND c.id = $2 / 4";
        let (token, registered_at, ns_id, timeline): (String, String, String, String) =
            sqlx::query_as(known).bind(runner).bind(lanes[0]).fetch_one(conn).await?;
        for (parameter, value) in [
            ("$10::interval", "interval '60 s'"),
            ("$11", ns_id.as_str()),
            ("$12", &format!("'{timeline}'")),
            ("$1::int[]", order),
            ("$2::bigint[]", "ARRAY[:ha, :hb, :hc, :hd]::bigint[]"),
            ("$3::bigint", ":max"),
            ("$4::uuid[]", &format!("ARRAY['{runner}'::uuid]")),
            ("$5::uuid[]", &format!("ARRAY['{token}'::uuid]")),
            ("$6::timestamptz[]", &format!("ARRAY['{registered_at}'::timestamptz]")),
            ("$7::uuid[]", "ARRAY['00000000-0000-4000-8000-000000000000'::uuid]"),
            ("$8::int[]", "ARRAY[:max]::int[]"),
            (
                "$9::text[]",
                "ARRAY['runner:00000000-0000-4000-8000-000000000000 token:00000000-0000-4000-8000-000000000000']",
            ),
        ] {
            ensure!(statement.contains(parameter), "the claim has no parameter {parameter} any more");
            statement = statement.replace(parameter, value);
        }
        // Where a lane's runs begin is what the API remembers from claim to claim; a client of pgbench remembers it from
        // the last row that it was given.
        for column in ["h.lane AS lane", "h.seq AS seq"] {
            ensure!(statement.contains(column), "the claim does not give out '{column}' any more");
            let (value, name) = column.split_once(" AS ").context("a name")?;
            statement = statement.replace(column, &format!("coalesce({value}, 0) AS {name}"));
        }
        ensure!(!statement.contains('$'), "the claim has parameters that are not known here:\n{statement}");
        // Lanes take turns at being first, as in the API; `h0` to `h3` are the places where they begin.
        let mut text = String::from("\\set turn random(0, 3)\n");
        for (i, name) in ["a", "b", "c", "d"].iter().enumerate() {
            text += &format!("\\set i (:turn + {i}) % 4\n\\set {name} :lane + 4 * :i\n");
            text += &format!(
                "\\set h{name} case when :i = 0 then :h0 when :i = 1 then :h1 when :i = 2 then :h2 else :h3 end\n"
            );
        }
        text += &format!("{}\n\\aset last_\n\\set i (:last_lane - :lane) / 4\n", statement.trim());
        for i in 0..4 {
            text += &format!("\\if :last_seq > 0 and :i = {i}\n\\set h{i} :last_seq\n\\endif\n");
        }
        let file = server.dir().join(format!("claim_{database}.sql"));
        std::fs::write(&file, text).context("write a script")?;
        let mut variables = vec![format!("lane={}", lanes[0])];
        variables.extend((0..4).map(|i| format!("h{i}=0")));
        Ok(Self { file, database: database.into(), options: claim_options()?, variables })
    }

    /// Writes what a claim does to `ready` alone: it takes the first row of a lane from where its runs begin, and puts it
    /// back at the end.
    pub fn probe(server: &Server, database: &str, lane: i32) -> Result<Self> {
        const PROBE: &str = "
            WITH pick AS MATERIALIZED (
                SELECT ctid AS tid FROM ready WHERE lane = :lane AND seq >= :head ORDER BY seq LIMIT 1
                FOR UPDATE SKIP LOCKED
            ),
            gone AS (DELETE FROM ready WHERE ctid = ANY(ARRAY(SELECT tid FROM pick)) RETURNING lane, seq, run_id, config_id),
            back AS (
                INSERT INTO ready (lane, seq, run_id, expires_at, config_id)
                SELECT lane, ((extract(epoch FROM clock_timestamp()) * 1000)::bigint << 20)
                             | (nextval('ready_seq') & 1048575), run_id, now() + interval '1 day', config_id FROM gone
            )
            SELECT seq AS head FROM gone
            \\aset\n";
        let file = server.dir().join(format!("probe_{database}.sql"));
        std::fs::write(&file, PROBE).context("write a script")?;
        let variables = vec![format!("lane={lane}"), "head=0".into()];
        Ok(Self { file, database: database.into(), options: claim_options()?, variables })
    }

    /// Writes the bare one-row INSERT that everything is a multiple of; `conn` leads to `database`.
    pub async fn insert(server: &Server, database: &str, conn: &mut PgConnection) -> Result<Self> {
        for statement in [
            "CREATE TABLE bench_insert (seq bigint GENERATED ALWAYS AS IDENTITY, run_id bigint NOT NULL,
                                        class_id int NOT NULL, prio smallint NOT NULL, attempt smallint DEFAULT 0)",
            "CREATE INDEX bench_insert_idx ON bench_insert (class_id, prio, seq)",
        ] {
            sqlx::query(statement).execute(&mut *conn).await?;
        }
        let file = server.dir().join("insert.sql");
        let text = "\\set c random(0, 9999)\nINSERT INTO bench_insert (run_id, class_id, prio) VALUES (1, :c, 3);\n";
        std::fs::write(&file, text).context("write a script")?;
        Ok(Self { file, database: database.into(), options: String::new(), variables: Vec::new() })
    }

    /// Writes that INSERT with a notification in its transaction, which the product never sends there.
    pub fn notifying_insert(server: &Server, database: &str) -> Result<Self> {
        let file = server.dir().join("notifying.sql");
        let text = format!(
            "\\set c random(0, 9999)\n\
             WITH made AS (INSERT INTO bench_insert (run_id, class_id, prio) VALUES (1, :c, 3) RETURNING seq)\n\
             SELECT pg_notify('{CHANNEL}', '{{\"from\":1}}') FROM made;\n"
        );
        std::fs::write(&file, text).context("write a script")?;
        Ok(Self { file, database: database.into(), options: String::new(), variables: Vec::new() })
    }

    /// The same script, claiming up to `max` runs at once.
    pub fn at_once(&self, max: u32) -> Self {
        let mut script = self.clone();
        script.variables.push(format!("max={max}"));
        script
    }

    /// Runs it to its end. Call on the main thread.
    pub async fn run(&self, server: &Server, clients: u32, span: Span) -> Result<Report> {
        let mut pgbench = server.client("pgbench", &self.database);
        pgbench.env("PGOPTIONS", &self.options);
        pgbench.args(["-n", "-M", "prepared", "-c", &clients.to_string(), "-j", &clients.min(2).to_string()]);
        match span {
            Span::Once => pgbench.args(["-t", "1"]),
            Span::Seconds(seconds) => pgbench.args(["-T", &seconds.to_string()]),
        };
        pgbench.args(self.variables.iter().flat_map(|variable| ["-D", variable.as_str()])).arg("-f").arg(&self.file);
        let output = tokio::process::Command::from(pgbench).kill_on_drop(true).output().await.context("run pgbench")?;
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        let faults = String::from_utf8_lossy(&output.stderr).into_owned();
        ensure!(output.status.success(), "pgbench: {}\n{text}{faults}", output.status);
        let number = |behind: &str| -> Result<f64> {
            let rest = text.split_once(behind).with_context(|| format!("pgbench says no '{behind}':\n{text}"))?.1;
            let end = rest.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(rest.len());
            Ok(rest[..end].parse()?)
        };
        ensure!(number("number of failed transactions: ")? == 0.0, "transactions failed:\n{text}{faults}");
        Ok(Report { per_s: number("tps = ")?, transactions: number("number of transactions actually processed: ")? })
    }
}

/// Reads the settings of the API's claiming connections from its source, so that both claim under the same.
fn claim_options() -> Result<String> {
    let mut options = Vec::new();
    for name in ["EVERYWHERE", "PROBES"] {
        let list = POOLS.split_once(&format!("const {name}: &[Setting] =")).and_then(|(_, rest)| rest.split_once("];"));
        let list = list.with_context(|| format!("api/src/pools.rs has no list `{name}` of settings any more"))?.0;
        let list: String = list.lines().map(|line| line.split("//").next().unwrap_or_default()).collect();
        let quoted: Vec<&str> = list.split('"').skip(1).step_by(2).collect();
        ensure!(
            !quoted.is_empty() && quoted.len().is_multiple_of(2),
            "the list `{name}` is not one of names and values: {list}"
        );
        options.extend(quoted.chunks(2).map(|pair| format!("-c {}={}", pair[0], pair[1])));
    }
    Ok(options.join(" "))
}

fn without_comments(sql: &str) -> String {
    sql.lines().map(|line| line.split("--").next().unwrap_or_default().trim_end()).collect::<Vec<_>>().join("\n")
}

/// Turns `AS "name!: Type"`, which the checked macros read, into `AS name`.
fn without_annotations(sql: &str) -> Result<String> {
    let mut parts = sql.split("AS \"");
    let mut plain = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        let (annotated, rest) = part.split_once('"').context("a quote is not closed")?;
        let name: String = annotated.chars().take_while(|c| c.is_ascii_alphanumeric() || *c == '_').collect();
        plain += &format!("AS {name}{rest}");
    }
    Ok(plain)
}
