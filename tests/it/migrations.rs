//! Migrations: from nothing, twice, at once; the dump that reviewers read; and partitions.

use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use serde_json::json;
use sqlx::Executor;
use tstr_shared::run::TriggerRun;
use tstr_tests::contract::default;
use tstr_tests::process::{Process, command, make_dir};
use tstr_tests::{Lab, TestDb, binary, eventually, factory};

fn repository() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("it lies in the repository")
}

/// What `./scripts/schema` says of a database.
fn schema(db: &TestDb) -> String {
    let script =
        Command::new(repository().join("scripts/schema")).arg(db.socket_dir()).arg(db.name()).output().unwrap();
    assert!(script.status.success(), "{}", String::from_utf8_lossy(&script.stderr));
    String::from_utf8(script.stdout).unwrap()
}

/// Makes a database with the schema of the product and without the checks of the tests.
async fn migrated() -> TestDb {
    let db = TestDb::empty().await;
    tstr_api::migrate(&db.dsn()).await.unwrap();
    db
}

#[tokio::test]
async fn an_empty_database_is_migrated_and_a_second_time_changes_nothing() {
    let db = migrated().await;
    let first = schema(&db);
    let applied = async || -> Vec<(i64, bool)> {
        let query = sqlx::query_as("SELECT version, success FROM _sqlx_migrations ORDER BY version");
        query.fetch_all(&mut db.connect().await).await.unwrap()
    };
    let before = applied().await;
    assert!(!before.is_empty() && before.iter().all(|(_, success)| *success));
    tstr_api::migrate(&db.dsn()).await.unwrap();
    assert_eq!((applied().await, schema(&db)), (before, first));
}

#[tokio::test]
async fn a_release_can_be_started_again_after_the_next_one_has_migrated() {
    let db = migrated().await;
    let next = "INSERT INTO _sqlx_migrations (version, description, success, checksum, execution_time)
                VALUES (999901010000, 'of the next release', true, '', 0)";
    db.connect().await.execute(next).await.unwrap();
    tstr_api::migrate(&db.dsn()).await.unwrap();
}

#[tokio::test]
async fn replicas_that_start_at_once_migrate_once() {
    let db = TestDb::empty().await;
    let dsn = db.dsn();
    let (one, two, three) = tokio::join!(tstr_api::migrate(&dsn), tstr_api::migrate(&dsn), tstr_api::migrate(&dsn));
    for outcome in [one, two, three] {
        outcome.unwrap();
    }
    assert_eq!(schema(&db), schema(&migrated().await));
}

/// Counts those who wait for a table of this database; in its copies the table has the same number.
fn waits_for(table: &str) -> String {
    format!(
        "SELECT count(*) FROM pg_locks l JOIN pg_database d ON d.oid = l.database
         WHERE l.relation = '{table}'::regclass AND NOT l.granted AND d.datname = current_database()"
    )
}

#[tokio::test]
async fn a_migration_that_waits_for_a_long_reader_holds_nobody_else_up_and_names_him() {
    const READS: &str = "SELECT count(*) FROM ready";
    let db = TestDb::new().await;
    let undo = "ALTER TABLE ready DROP COLUMN config_id; ALTER TABLE lease DROP COLUMN config_id;
                DROP FUNCTION config_of; DELETE FROM _sqlx_migrations WHERE version = 202611300940";
    let mut own = db.connect().await;
    own.execute(undo).await.unwrap();
    let mut reader = db.connect().await;
    reader.execute("SET application_name = 'a long report'; BEGIN").await.unwrap();
    reader.execute(READS).await.unwrap();

    let mut migrate = command(binary());
    migrate.arg("migrate").env("TSTR_PG_DSN", db.dsn());
    let mut migrating = Process::start(migrate, make_dir("m").join("log"));
    let waiting = waits_for("ready");
    for _ in 0..3 {
        eventually("the migration waits", Duration::from_secs(20), async || {
            let count: i64 =
                sqlx::query_scalar(sqlx::AssertSqlSafe(waiting.clone())).fetch_one(&mut own).await.unwrap();
            (count > 0).then_some(())
        })
        .await;
        let asked = Instant::now();
        own.execute(READS).await.unwrap();
        assert!(asked.elapsed() < Duration::from_secs(4), "another reader waited for {:?}", asked.elapsed());
        assert!(migrating.is_running(), "{}", migrating.log_text());
    }
    let text = migrating.log_text();
    assert!(
        text.contains("migration 202611300940 waits for the connection") && text.contains("a long report"),
        "{text}"
    );
    reader.execute("COMMIT").await.unwrap();
    let status = tokio::task::spawn_blocking(move || migrating.wait(Duration::from_secs(20))).await.unwrap();
    assert!(status.success(), "{status}");
    assert!(schema(&db).contains("config_of"), "it was applied");
}

#[tokio::test]
async fn a_migration_that_is_the_victim_of_a_deadlock_is_tried_again() {
    let db = TestDb::new().await;
    let undo = "ALTER TABLE ready DROP COLUMN config_id; ALTER TABLE lease DROP COLUMN config_id;
                DROP FUNCTION config_of; DELETE FROM _sqlx_migrations WHERE version = 202611300940";
    let mut own = db.connect().await;
    own.execute(undo).await.unwrap();
    // The migration takes these tables in the other order.
    let mut reader = db.connect().await;
    reader.execute("SET application_name = 'a report'; BEGIN; SET LOCAL deadlock_timeout = '1min'").await.unwrap();
    reader.execute("SELECT count(*) FROM lease").await.unwrap();
    let mut migrate = command(binary());
    migrate.arg("migrate").env("TSTR_PG_DSN", db.dsn());
    let mut migrating = Process::start(migrate, make_dir("m").join("log"));
    let waiting = waits_for("lease");
    eventually("the migration waits", Duration::from_secs(20), async || {
        let count: i64 = sqlx::query_scalar(sqlx::AssertSqlSafe(waiting.clone())).fetch_one(&mut own).await.unwrap();
        (count > 0).then_some(())
    })
    .await;
    reader.execute("SELECT count(*) FROM ready").await.unwrap();
    reader.execute("COMMIT").await.unwrap();
    let deadlocks = "SELECT deadlocks FROM pg_stat_database WHERE datname = current_database()";
    eventually("there was a deadlock", Duration::from_secs(10), async || {
        let count: i64 = sqlx::query_scalar(deadlocks).fetch_one(&mut own).await.unwrap();
        (count == 1).then_some(())
    })
    .await;
    let status = tokio::task::spawn_blocking(move || migrating.wait(Duration::from_secs(20))).await.unwrap();
    assert!(status.success(), "{status}");
    assert!(schema(&db).contains("config_of"), "it was applied");
}

/// `TSTR_ACCEPT=1` writes the file anew.
#[tokio::test]
async fn the_dump_for_reviewers_is_what_the_migrations_make() {
    let made = schema(&migrated().await);
    let file = repository().join("migrations/schema.sql");
    if std::env::var_os("TSTR_ACCEPT").is_some() {
        std::fs::write(&file, &made).unwrap();
    }
    let stored = std::fs::read_to_string(&file).unwrap_or_default();
    let differs = made.lines().zip(stored.lines()).position(|(made, stored)| made != stored);
    assert!(made == stored, "migrations/schema.sql is out of date (line {differs:?}); ./scripts/gen writes it");
}

#[tokio::test]
async fn every_constraint_and_index_bears_a_name_that_a_migration_gave_it() {
    let db = TestDb::new().await;
    let mut text = String::new();
    for file in std::fs::read_dir(repository().join("migrations")).unwrap() {
        let path = file.unwrap().path();
        let name = path.file_name().unwrap().to_str().unwrap();
        if name.ends_with(".sql") && name != "schema.sql" {
            text += &std::fs::read_to_string(&path).unwrap();
        }
    }
    // Partitions inherit theirs; NOT NULL is a constraint only in newer versions, and named by its column.
    let names: Vec<(String, String)> = sqlx::query_as(
        "SELECT 'CONSTRAINT', conname::text FROM pg_constraint c JOIN pg_class t ON t.oid = c.conrelid
         WHERE connamespace = 'public'::regnamespace AND contype <> 'n' AND NOT t.relispartition
           AND t.relname <> '_sqlx_migrations'
         UNION ALL
         SELECT 'INDEX', i.relname::text FROM pg_index x JOIN pg_class i ON i.oid = x.indexrelid
         JOIN pg_class t ON t.oid = x.indrelid
         WHERE i.relnamespace = 'public'::regnamespace AND NOT t.relispartition AND t.relname <> '_sqlx_migrations'
           AND NOT EXISTS (SELECT FROM pg_constraint c WHERE c.conindid = i.oid AND c.contype IN ('p', 'u', 'x'))",
    )
    .fetch_all(&mut db.connect().await)
    .await
    .unwrap();
    assert!(names.len() > 50, "{names:?}");
    for (kind, name) in names {
        assert!(text.contains(&format!("{kind} {name} ")), "{kind} {name} was named by PostgreSQL");
    }
}

#[tokio::test]
async fn a_migration_file_says_when_it_was_made_and_why() {
    for file in std::fs::read_dir(repository().join("migrations")).unwrap() {
        let path = file.unwrap().path();
        let name = path.file_name().unwrap().to_str().unwrap().to_owned();
        if !name.ends_with(".sql") || name == "schema.sql" {
            continue;
        }
        let (stamp, words) = name.split_once('_').unwrap();
        assert!(stamp.len() == 12 && stamp.bytes().all(|byte| byte.is_ascii_digit()), "{name}");
        assert!(!words.is_empty());
        let text = std::fs::read_to_string(&path).unwrap();
        let head: Vec<&str> = text.lines().take_while(|line| line.starts_with("--")).collect();
        assert!(head.iter().any(|line| line.contains("Locks:")), "{name} begins with why, and which locks it takes");
    }
}

#[tokio::test]
async fn a_run_of_a_day_without_a_partition_makes_it() {
    let lab = Lab::start().await;
    lab.test(factory::test("a")).await;
    let drop = "DO $$ DECLARE child regclass; BEGIN
                    FOR child IN SELECT inhrelid FROM pg_inherits JOIN pg_class p ON p.oid = inhparent WHERE p.relkind = 'p'
                    LOOP EXECUTE 'DROP TABLE ' || child; END LOOP; END $$";
    lab.execute(drop).await.unwrap();
    let run = lab.trigger("a").await[0];
    let worker = lab.worker("w").await;
    let fence = worker.started().await;
    worker.append(fence, 0, tstr_shared::logs::Stream::Stdout, 0, "x").await.unwrap();
    worker.finish(fence, tstr_shared::run::RunResult::Pass).await.unwrap();
    assert_eq!(lab.path(run).await, "QLRF");
    assert_eq!(lab.get(run).await.attempts.len(), 1);
    // A run that is put off lies in the partition of the day on which it was asked for.
    let later =
        TriggerRun { not_before: Some(chrono::Utc::now() + chrono::Duration::days(300)), ..TriggerRun::default() };
    lab.ops().trigger(&lab.admin, &default(), "a", later, None).await.unwrap();
    lab.check().await;
}

#[tokio::test]
async fn partitions_are_made_ahead_by_any_number_of_replicas_at_once_while_runs_are_made() {
    let first_day = chrono::Utc::now().date_naive();
    let lab = Lab::start_with(3).await;
    lab.test(factory::with(factory::test("a"), "/matrix", json!({"labels": {"n": ["1", "2", "3"]}}))).await;
    let houses: Vec<_> = (0..3)
        .map(|i| {
            let ops = lab.replica(i).clone();
            tokio::spawn(async move { tstr_api::turns::keep_house(&ops).await })
        })
        .collect();
    for _ in 0..10 {
        lab.trigger("a").await;
    }
    for house in houses {
        house.await.unwrap().unwrap();
    }
    let days: i64 = sqlx::query_scalar("SELECT count(*) FROM pg_inherits WHERE inhparent = 'run'::regclass")
        .fetch_one(&mut lab.db.connect().await)
        .await
        .unwrap();
    // One more where a day began meanwhile.
    let begun = (chrono::Utc::now().date_naive() - first_day).num_days();
    assert!((9..=9 + begun).contains(&days), "yesterday, today and a week ahead: {days}");
    lab.check().await;
}
