//! Disks that are full or fail: of images, of the database's log, and of the logs of runs.

use std::time::Duration;

use tstr_tests::arena::{Arena, Plan};
use tstr_tests::checker::{Known, attempts, pieces};
use tstr_tests::factory::witness;
use tstr_tests::postgres::Stop;
use tstr_tests::process::{command, run};
use tstr_tests::room::{Room, by_root};
use tstr_tests::{eventually, factory};

use super::workers::{fit_again, unfit_by_breaker};
use crate::load::{self, Dice};

/// How many runs a worker has passed.
async fn passed_on(arena: &Arena, worker: &str) -> i64 {
    let passed = "attempt a JOIN runner w ON w.id = a.runner_id WHERE a.result = 'pass' AND w.name =";
    arena.count(&format!("{passed} '{worker}'")).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn row_21_a_full_store_of_images_hands_runs_on_and_opens_the_breaker_until_there_is_room() {
    if by_root(row_21_a_full_store_of_images_hands_runs_on_and_opens_the_breaker_until_there_is_room) {
        return;
    }
    let (room, mut arena) = (Room::open(), Arena::prepare(Plan::short(2, 1)).await);
    let store = arena.posts[0].store_on(&room, 256);
    arena.start_workers().await;
    arena.driver.register(&witness("t", "sleep 1")).await;
    room.fill(&store);
    load::trigger(&arena.driver, "t", 8, Duration::from_millis(100)).await.unwrap();
    unfit_by_breaker(&arena, 0, "t").await;
    arena.settle(Duration::from_secs(60)).await;
    assert_eq!(arena.count("run_end WHERE result <> 'pass'").await, 0, "all of them ran on the other worker");
    assert_eq!((passed_on(&arena, "w1").await, passed_on(&arena, "w2").await), (0, 9));
    // Nothing was started, so nothing was lost: what it gave back cost no attempt (T6), and says why.
    let back = "run_event v JOIN attempt a USING (run_id, attempt)
                WHERE v.state_to = 'queued' AND v.attempt > 0 AND a.result IS NULL AND a.started_at IS NULL
                  AND a.message LIKE '%no space left on device%'";
    assert!(arena.count(back).await >= 3, "the worker gave back what it could not start");
    room.empty(&store);
    // One run is tried, and goes well.
    load::trigger(&arena.driver, "t", 20, Duration::from_millis(800)).await.unwrap();
    arena.settle(Duration::from_secs(60)).await;
    assert!(passed_on(&arena, "w1").await > 0, "the worker takes runs again");
    fit_again(&arena, 0).await;
    arena.finish(Duration::from_secs(20)).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn row_19_a_database_without_room_for_its_log_is_away_and_comes_back_whole() {
    if by_root(row_19_a_database_without_room_for_its_log_is_away_and_comes_back_whole) {
        return;
    }
    let (room, mut arena) = (Room::open(), Arena::prepare(Plan::ordinary(2, 2)).await);
    // Its log gets a disk of its own.
    arena.pg.stop(Stop::Fast);
    let (log, kept) = (arena.pg.socket_dir().join("pg_wal"), arena.pg.socket_dir().join("pg_wal.kept"));
    run(command("/bin/mv").arg(&log).arg(&kept));
    run(command("/bin/mkdir").args(["-m", "700"]).arg(&log));
    room.ext4(&log, 96);
    room.run(&format!("cp -a {}/. {}/", kept.display(), log.display()));
    arena.pg.behind = room.with_disks();
    arena.pg.settings = vec!["max_wal_size=32MB".into(), "min_wal_size=32MB".into()];
    arena.pg.start_again();
    arena.start_workers().await;
    arena.driver.register(&witness("t", "for i in 1 2 3 4 5; do echo $i; sleep 1; done")).await;
    load::trigger(&arena.driver, "t", 4, Duration::ZERO).await.unwrap();
    arena.running(4).await;
    arena.remember().await;
    room.fill(&log);
    // Until its log cannot go on.
    let mut conn = arena.connect().await;
    let mut steps = 0;
    while sqlx::query("SELECT pg_switch_wal(), pg_logical_emit_message(false, 'x', 'x')")
        .execute(&mut conn)
        .await
        .is_ok()
    {
        steps += 1;
        assert!(steps < 100, "the log always goes on");
    }
    let admin = arena.admin();
    let ready = async || admin.get("/readyz").await.status.as_u16();
    eventually("the replicas say that they are not ready", Duration::from_secs(30), async || {
        (ready().await == 503).then_some(())
    })
    .await;
    let refused = admin.post("/api/v1/namespaces/default/tests", &factory::test("late")).await;
    assert_eq!(refused.status, 503, "{}", refused.text());
    assert_eq!(arena.driver.trigger_once("t", "late").await, Known::Unknown);
    // Somebody makes room, and starts what could not go on.
    room.empty(&log);
    tokio::time::sleep(Duration::from_secs(2)).await;
    if !arena.pg.is_running() {
        arena.pg.start_again();
    }
    eventually("the replicas are ready", Duration::from_secs(30), async || (ready().await == 200).then_some(())).await;
    load::trigger(&arena.driver, "t", 4, Duration::ZERO).await.unwrap();
    arena.settle(Duration::from_secs(120)).await;
    assert_eq!(arena.count("run_end WHERE result <> 'pass'").await, 0);
    assert_eq!(arena.count("attempt WHERE attempt > 1").await, 0, "an outage this short costs no attempt");
    arena.finish(Duration::from_secs(10)).await;
}

/// What each run of row 46 writes: no two pieces of it are alike, so a byte in another place is seen.
fn lines(from: u32, to: u32) -> String {
    (from..=to).map(|number| format!("{number:08} {:08x}\n", number.wrapping_mul(2_654_435_761))).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn row_46_a_disk_that_fails_now_and_then_costs_logs_and_no_run_and_nothing_wrong_is_stored() {
    const RUNS: usize = 40;
    let mut dice = Dice::of(46);
    let mut arena = Arena::prepare(Plan::short(2, 2)).await;
    let faults = ["pwrite", "pwrite/reduce", "pread", "pread/reduce"]
        .map(|call| format!("enable_random name=posix/io/rw/{call},probability=0.02"));
    for post in &mut arena.posts {
        let preload = "/usr/lib/fiu/fiu_run_preload.so /usr/lib/fiu/fiu_posix_preload.so";
        // Which of its calls fail is thrown by the library, from a seed that we throw.
        let seed = dice.throw(1 << 32).to_string();
        post.site.env =
            [("LD_PRELOAD", preload.to_owned()), ("FIU_ENABLE", faults.join("\n")), ("FIU_PRNG_SEED", seed)]
                .map(|(name, value)| (name.to_owned(), value))
                .to_vec();
    }
    arena.start_workers().await;
    // Eight portions of 160 lines, as `lines` has them.
    let wordy = "n=0; for i in 1 2 3 4 5 6 7 8; do
                     for j in $(seq 160); do n=$((n+1)); printf '%08d %08x\\n' $n $((n*2654435761 & 4294967295)); done
                     sleep 0.3
                 done";
    arena.driver.register(&witness("t", wordy)).await;
    load::trigger(&arena.driver, "t", RUNS, Duration::from_millis(200)).await.unwrap();
    arena.settle(Duration::from_secs(120)).await;
    assert_eq!(arena.count("run_end WHERE result <> 'pass'").await, 0, "a log is not worth a run");
    assert_eq!(arena.count("attempt WHERE attempt > 1").await, 0, "no worker crashed");
    let (whole, less) = (
        arena.count("attempt WHERE log_status = 'complete'").await,
        arena.count("attempt WHERE log_status = 'incomplete'").await,
    );
    eprintln!("{whole} logs are complete, {less} incomplete");
    assert!(whole > 0 && less > 0 && whole + less == RUNS as i64, "{whole} complete, {less} incomplete");
    // Every byte that is stored is the one that was written there, also where others are missing.
    let written = lines(1, 8 * 160).into_bytes();
    let (mut conn, mut stored) = (arena.connect().await, 0);
    for (run, attempt) in attempts(&mut conn).await {
        for (start, bytes) in pieces(&mut conn, run, attempt, 1).await {
            let here = written.get(start..start + bytes.len());
            assert_eq!(here, Some(bytes.as_slice()), "run {run} wrote something else at {start}");
            stored += bytes.len();
        }
    }
    eprintln!("{stored} bytes are stored of {}", written.len() as i64 * (whole + less));
    assert!(stored > written.len() * whole as usize, "nothing of the incomplete logs is stored");
    for post in &mut arena.posts {
        assert!(post.runner().process.is_running(), "{}", post.runner().process.log_text());
    }
    arena.finish(Duration::from_secs(10)).await;
}
