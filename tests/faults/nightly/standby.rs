//! A standby that takes over from a database that has lost its power.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use rustix::process::Signal;
use serde_json::json;
use sqlx::{Connection, PgConnection};
use tstr_proto::v1 as pb;
use tstr_shared::error::ErrorCode;
use tstr_shared::permission::Scope;
use tstr_tests::arena::{Arena, Plan};
use tstr_tests::checker::{attempts, pieces};
use tstr_tests::postgres::{Postgres, bin_dir};
use tstr_tests::process::{Seen, command, make_dir, run};
use tstr_tests::{eventually, factory};
use uuid::Uuid;

use crate::load;
use crate::wire::Wire;

/// Makes a standby that follows the arena's database, and starts it.
async fn standby(arena: &Arena, name: &str) -> Postgres {
    let (dir, primary) = (make_dir("s"), arena.pg.socket_dir().to_owned());
    // A cluster is for its owner alone.
    run(command("/bin/chmod").arg("700").arg(&dir));
    let server = tokio::task::spawn_blocking({
        let name = name.to_owned();
        move || {
            let mut copy = command(bin_dir().join("pg_basebackup"));
            // What it is told here it writes down for the standby.
            copy.arg("-d").arg(format!("host={} user=postgres application_name={name}", primary.display()));
            run(copy.args(["-X", "stream", "-c", "fast", "-R", "-D"]).arg(&dir));
            // The lock of the other one's socket, which lies in the same folder.
            run(command("/bin/rm").arg(dir.join(".s.PGSQL.5432.lock")));
            let server = Postgres::at(dir);
            server.start_again();
            server
        }
    });
    let server = server.await.unwrap();
    eventually("the standby follows", Duration::from_secs(20), async || {
        let follows = format!("pg_stat_replication WHERE application_name = '{name}' AND state = 'streaming'");
        (arena.count(&follows).await == 1).then_some(())
    })
    .await;
    server
}

/// The database loses its power, and the standby takes its place, address and all.
async fn take_over(arena: &mut Arena, standby: Postgres) {
    arena.pg.kill();
    let old = std::mem::replace(&mut arena.pg, standby);
    run(command(bin_dir().join("pg_ctl")).args(["-w", "-t", "60", "promote", "-D"]).arg(arena.pg.socket_dir()));
    // As when an address is moved: who knows the old socket finds the new server there.
    let (there, here): (PathBuf, PathBuf) =
        (old.socket_dir().join(".s.PGSQL.5432"), arena.pg.socket_dir().join(".s.PGSQL.5432"));
    run(command("/bin/ln").arg("-sfn").arg(here).arg(there));
    run(command("/bin/rm").arg("-f").arg(old.socket_dir().join("postmaster.pid")));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn row_14_a_synchronous_standby_takes_over_and_nothing_that_was_acknowledged_is_lost() {
    let mut arena = Arena::start(Plan::ordinary(2, 2)).await;
    let standby = standby(&arena, "heir").await;
    let mut conn = arena.connect().await;
    sqlx::query("ALTER SYSTEM SET synchronous_standby_names = 'heir'").execute(&mut conn).await.unwrap();
    sqlx::query("SELECT pg_reload_conf()").execute(&mut conn).await.unwrap();
    eventually("the standby is synchronous", Duration::from_secs(20), async || {
        (arena.count("pg_stat_replication WHERE sync_state = 'sync'").await == 1).then_some(())
    })
    .await;
    arena.driver.register(&factory::witness("t", "for i in 1 2 3; do echo $i; sleep 0.5; done")).await;
    let load = load::trigger(&arena.driver, "t", 40, Duration::from_millis(250));
    arena.running(3).await;
    tokio::time::sleep(Duration::from_secs(2)).await;
    arena.remember().await;
    take_over(&mut arena, standby).await;
    // The heir has a copy of the settings, and no standby of its own.
    let mut conn = arena.connect().await;
    sqlx::query("ALTER SYSTEM RESET synchronous_standby_names").execute(&mut conn).await.unwrap();
    sqlx::query("SELECT pg_reload_conf()").execute(&mut conn).await.unwrap();
    let file = arena.value("SELECT to_jsonb(pg_walfile_name(pg_current_wal_lsn()))").await;
    assert!(file.as_str().unwrap().starts_with("00000002"), "the heir has begun a history of its own: {file}");
    load.await.unwrap();
    arena.settle(Duration::from_secs(90)).await;
    assert_eq!(
        arena.count("attempt WHERE attempt > 1 OR result IS DISTINCT FROM 'pass'").await,
        0,
        "no attempt is lost"
    );
    arena.finish(Duration::from_secs(10)).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn row_14_an_asynchronous_standby_forgets_its_last_commits_and_refuses_who_remembers_them() {
    let mut arena = Arena::start(Plan::ordinary(0, 0)).await;
    let standby = standby(&arena, "heir").await;
    arena.driver.register(&factory::test("t")).await;
    let admin = arena.admin();
    let issued = admin.post("/api/v1/tokens", &factory::token(&[Scope::Runner], &["default"])).await.expect(201);
    let grpc = format!("http://{}", arena.replicas[0].as_ref().unwrap().grpc);
    let wire = Wire::new(&grpc, issued["token"].as_str().unwrap(), Uuid::new_v4());
    wire.register("w", 10).await.unwrap();
    let begin = async |mark: &str| {
        arena.driver.trigger("t", mark).await;
        let fence = wire.claim(1, 5000).await.unwrap().pop().unwrap();
        wire.start(&fence).await.unwrap();
        fence
    };
    let known = begin("known").await;
    eventually("the standby has all of it", Duration::from_secs(10), async || {
        let behind = "pg_stat_replication WHERE replay_lsn < pg_current_wal_lsn()";
        (arena.count(behind).await == 0).then_some(())
    })
    .await;
    // From now on the standby hears nothing: who sends to it stands still.
    let sender = arena.value("SELECT to_jsonb(pid) FROM pg_stat_replication").await.as_u64().unwrap();
    Seen::with_pid(u32::try_from(sender).unwrap()).expect("it lives").signal(Signal::STOP);
    let forgotten = begin("forgotten").await;
    assert_eq!(wire.finish(&known, pb::RunResult::Fail, b"").await, Ok(true));
    take_over(&mut arena, standby).await;
    // The same fence may say the same again; one that was never given here says nothing.
    let lost = Err(Some(ErrorCode::LeaseLost));
    eventually("the replicas have found the heir", Duration::from_secs(20), async || {
        matches!(wire.beat(&forgotten).await, Ok(pb::LeaseState::Gone)).then_some(())
    })
    .await;
    assert_eq!(wire.start(&forgotten).await, lost);
    assert_eq!(wire.finish(&forgotten, pb::RunResult::Pass, b"").await.map(drop), lost);
    assert_eq!(arena.count(&format!("run WHERE id = '{}'", forgotten.run_id)).await, 0, "nobody knows of that run");
    assert_eq!(wire.finish(&known, pb::RunResult::Fail, b"").await, Ok(true));
    assert_eq!(wire.finish(&known, pb::RunResult::Fail, b"").await, Ok(true), "a repeat changes nothing");
    let story = arena.story(known.run_id.parse().unwrap()).await;
    assert_eq!((&story["result"], &story["attempt"]), (&json!("fail"), &json!(1)), "{story}");
    // What was acknowledged and is lost is the price of such a standby.
    arena.driver.history.forget("forgotten");
    arena.finish(Duration::from_secs(20)).await;
}

/// What each run of the row below writes: no two pieces of it are alike, so a byte in another place is seen.
fn lines(count: u32) -> Vec<u8> {
    let lines: String = (1..=count).map(|n| format!("{n:08} {:08x}\n", n.wrapping_mul(2_654_435_761))).collect();
    lines.into_bytes()
}

/// How many bytes of its standard output are stored of each running attempt, by the run.
async fn stored(dsn: &str) -> BTreeMap<Uuid, i64> {
    let mut conn = PgConnection::connect(dsn).await.unwrap();
    let rows: Vec<(Uuid, i64)> = sqlx::query_as(
        "SELECT l.run_id, coalesce(max(k.start + coalesce(k.raw_bytes, octet_length(k.body))), 0)
         FROM lease l LEFT JOIN log_chunk k ON k.run_id = l.run_id AND k.attempt = l.attempt AND k.stream = 1
         WHERE l.started_at IS NOT NULL GROUP BY l.run_id",
    )
    .fetch_all(&mut conn)
    .await
    .unwrap();
    rows.into_iter().collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn row_14_logs_that_are_written_across_an_asynchronous_failover_are_whole_or_say_what_they_lack() {
    const RUNS: usize = 4;
    const LINES: u32 = 50 * 40;
    let mut arena = Arena::start(Plan::ordinary(2, 2)).await;
    let standby = standby(&arena, "heir").await;
    // Fifty portions of forty lines, for more than twenty seconds.
    let wordy = "n=0; for i in $(seq 50); do
                     for j in $(seq 40); do n=$((n+1)); printf '%08d %08x\\n' $n $((n*2654435761 & 4294967295)); done
                     sleep 0.4
                 done";
    arena.driver.register(&factory::witness("t", wordy)).await;
    load::trigger(&arena.driver, "t", RUNS, Duration::ZERO).await.unwrap();
    arena.running(RUNS as i64).await;
    eventually("each has pieces at both databases", Duration::from_secs(20), async || {
        let (there, here) = (stored(&arena.dsn()).await, stored(&standby.dsn("tstr")).await);
        (here.len() == RUNS && here.values().all(|bytes| *bytes > 0) && there.len() == RUNS).then_some(())
    })
    .await;
    // From now on the standby hears nothing, while more is written, and taken.
    let sender = arena.value("SELECT to_jsonb(pid) FROM pg_stat_replication").await.as_u64().unwrap();
    Seen::with_pid(u32::try_from(sender).unwrap()).expect("it lives").signal(Signal::STOP);
    tokio::time::sleep(Duration::from_secs(4)).await;
    let (taken, kept) = (stored(&arena.dsn()).await, stored(&standby.dsn("tstr")).await);
    take_over(&mut arena, standby).await;
    for (run, bytes) in &taken {
        assert!(*bytes > kept[run] + 1000, "pieces of {run} are lost: {bytes} bytes of it were taken, {kept:?} remain");
    }
    arena.settle(Duration::from_secs(120)).await;
    assert_eq!(
        arena.count("attempt WHERE attempt > 1 OR result IS DISTINCT FROM 'pass'").await,
        0,
        "the heir knows of every lease"
    );
    let written = lines(LINES);
    let (mut conn, mut whole) = (arena.connect().await, 0);
    for (run, attempt) in attempts(&mut conn).await {
        let (mut end, mut bytes) = (0, 0);
        for (start, piece) in pieces(&mut conn, run, attempt, 1).await {
            let here = written.get(start..start + piece.len());
            assert_eq!(here, Some(piece.as_slice()), "run {run} wrote something else at {start}");
            (end, bytes) = (start + piece.len(), bytes + piece.len());
        }
        assert!(end as i64 > taken[&run], "nothing of {run} is stored of the time after the failover");
        // The checker compares what is complete with its hash; here with what was written.
        let story = arena.story(run).await;
        match story["attempts"][0]["log"].as_str() {
            Some("complete") => whole += usize::from(bytes == written.len()),
            Some("incomplete") => assert!(bytes < written.len(), "{story}"),
            other => panic!("{other:?}: {story}"),
        }
    }
    let short = arena.count("attempt WHERE log_status = 'incomplete'").await;
    eprintln!("{taken:?} bytes were taken, {kept:?} remained; {whole} logs are whole, {short} say that they are not");
    assert_eq!(whole + short as usize, RUNS, "a log that is called complete lacks bytes");
    arena.finish(Duration::from_secs(20)).await;
}
