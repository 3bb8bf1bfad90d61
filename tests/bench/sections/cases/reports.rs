//! A large test report: parsed, stored, and the same rows copied.

use std::ops::ControlFlow;

use anyhow::{Context, Result, ensure};
use tokio::time::Instant;
use tstr_api::auth::keys::SigningPair;
use tstr_api::auth::verify::Tokens;
use tstr_api::objects::Objects;
use tstr_shared::ids::TestId;
use tstr_shared::permission::Scope;
use tstr_shared::report::{
    Case, CaseAttempt, CaseId, CaseKey, CaseStatus, Excerpt, Finding, Format, Header, ReadOptions, Repeat, Writer, read,
};
use tstr_shared::run::{RunResult, TriggerRun};
use tstr_shared::selector::SelectorSources;
use tstr_tests::contract::{Worker, default, outcome, verified};
use tstr_tests::factory;

use crate::Bench;
use crate::api::use_cases;

/// What a report took, in seconds and in MiB.
pub struct Took {
    /// How many bytes it has.
    pub bytes: usize,
    /// Parsing alone.
    pub parsed: f64,
    /// Parsing and storing.
    pub stored: f64,
    /// `COPY` of the same rows into a copy of the table.
    pub copied: f64,
    /// What was resident at most while it was stored, above what was before the report was made.
    pub peak_mib: f64,
}

/// Measures with a report of so many cases, of which each that failed says so much about it.
pub async fn measure(bench: &Bench, database: &str, cases: u64, detail: usize) -> Result<Took> {
    let ops = use_cases(&bench.server, database).await?;
    let folder = bench.server.dir().join("reports");
    std::fs::create_dir_all(&folder)?;
    ops.keep_artifacts_in(Objects::open(&format!("file://{}", folder.display()))?);
    let tokens = Tokens::new(&[SigningPair::generate()?]);
    let test = factory::with(factory::test("reported"), "/limits", serde_json::json!({"artifacts": "256MiB"}));
    let worker =
        Worker::register(&ops, verified(&tokens, &[Scope::Runner], &[".*"]), "reports", SelectorSources::default())
            .await;
    let admin = verified(&tokens, &[Scope::Admin], &[".*"]);
    let failed = |error: tstr_api::error::Error| anyhow::anyhow!("{}", error.message());
    ops.create_test(&admin, &default(), serde_json::from_value(test)?, None).await.map_err(failed)?;
    ops.trigger(&admin, &default(), "reported", TriggerRun::default(), None).await.map_err(failed)?;
    let base = status_mib("VmRSS:")?;
    let document = document(cases, detail)?;
    let bytes = document.len();
    let options = ReadOptions::new(TestId(uuid::Uuid::now_v7()));
    let (mut seen, begun) = (0u64, Instant::now());
    read(Format::Junit, document.as_bytes(), &options, &mut |event| {
        seen += u64::from(matches!(event, tstr_shared::report::Event::Case(_)));
        ControlFlow::Continue(())
    })?;
    let parsed = begun.elapsed().as_secs_f64();
    ensure!(seen == cases, "{seen} cases were read of {cases}");
    let fence = worker.started().await;
    worker.leave(fence, &[("junit.xml", &document)]).await;
    drop(document);
    // Lets the peak begin anew.
    std::fs::write("/proc/self/clear_refs", "5")?;
    let begun = Instant::now();
    let ruled = worker.ruled(fence, outcome(RunResult::Pass)).await;
    let stored = begun.elapsed().as_secs_f64();
    let peak_mib = status_mib("VmHWM:")? - base;
    ensure!(ruled.is_ok_and(|ruled| ruled.result == RunResult::Fail), "the report was not read");

    let mut conn = bench.server.connect(database).await?;
    // PostgreSQL may not write into a folder of this process.
    let file = bench.server.dir().join("reported.rows");
    let file = file.display();
    let rows: i64 = sqlx::query_scalar("SELECT count(*) FROM report_case").fetch_one(&mut conn).await?;
    ensure!(rows.unsigned_abs() == cases, "{rows} rows are stored of {cases}");
    let mut copied = 0.0;
    for statement in [
        "CREATE TABLE copied (LIKE report_case INCLUDING ALL)".to_owned(),
        format!("COPY (SELECT * FROM report_case) TO '{file}'"),
        format!("COPY copied FROM '{file}'"),
        "DROP TABLE copied".to_owned(),
    ] {
        let begun = Instant::now();
        sqlx::query(sqlx::AssertSqlSafe(statement.clone()))
            .execute(&mut conn)
            .await
            .with_context(|| statement.clone())?;
        if statement.contains(" FROM '") {
            copied = begun.elapsed().as_secs_f64();
        }
    }
    Ok(Took { bytes, parsed, stored, copied, peak_mib })
}

/// Writes a report in which every twentieth case failed, with so many bytes of detail.
fn document(cases: u64, detail: usize) -> Result<String> {
    let header = Header { name: "large".into(), ..Header::default() };
    let mut writer = Writer::new(Format::Junit, Vec::new(), &header)?;
    for n in 0..cases {
        let status = if n % 20 == 0 { CaseStatus::Fail } else { CaseStatus::Pass };
        let mut attempt = CaseAttempt { duration_ms: Some(n % 1000), ..CaseAttempt::new(status) };
        if status == CaseStatus::Fail {
            let mut text = format!("expected {n}, found {}", n + 1);
            for frame in 0.. {
                text.push_str(&format!("\n  at app.Suite{frame}.check(Suite.java:{})", (n + frame) % 400));
                if text.len() >= detail {
                    break;
                }
            }
            let text = Some(Excerpt { text, ..Excerpt::default() });
            attempt.findings = vec![Finding { text, ..Finding::new(status, "the totals differ") }];
        }
        let key = CaseKey {
            suite: vec![format!("suite {}", n / 1000)],
            classname: Some(format!("app.Suite{}", n / 1000)),
            name: format!("case {n}"),
            file: None,
            test_id: None,
        };
        writer.case(&Case {
            id: CaseId::NIL,
            key,
            repeat: Repeat::First,
            ordinal: 1,
            status,
            flaky: false,
            disabled: false,
            duration_ms: attempt.duration_ms,
            attempts: vec![attempt],
            properties: Vec::new(),
            attachments: Vec::new(),
            line: None,
            assertions: None,
            stdout: None,
            stderr: None,
        })?;
    }
    Ok(String::from_utf8(writer.finish()?)?)
}

/// Reads a size of this process, in MiB.
fn status_mib(word: &str) -> Result<f64> {
    let status = std::fs::read_to_string("/proc/self/status")?;
    let line = status.lines().find_map(|line| line.strip_prefix(word)).context("a line of the status")?;
    Ok(line.trim().trim_end_matches("kB").trim().parse::<f64>()? / 1024.0)
}
