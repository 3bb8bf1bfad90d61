//! Containers that take more than is theirs, or leave something behind.

use std::time::{Duration, Instant};

use serde_json::json;
use tstr_tests::arena::{Arena, Plan};
use tstr_tests::factory::{with, witness};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn row_32_what_a_container_leaves_in_the_background_ends_with_it() {
    let arena = Arena::start(Plan::short(2, 2)).await;
    // The standard output stays open in the first, a daemon of its own session in the second, a deaf one in the third.
    let tests = [
        ("child", "sleep 1000 & exit 0", 0),
        ("daemon", "setsid sh -c 'sleep 1000 >/dev/null 2>&1 </dev/null &' ; exit 4", 4),
        ("deaf", "setsid sh -c \"trap '' TERM HUP; while :; do sleep 1; done\" & exit 0", 0),
        ("loud", "yes >/dev/null & (while :; do echo still there; sleep 0.1; done) & sleep 1; exit 0", 0),
    ];
    for (name, script, _) in tests {
        // Without the witness's own shell around it, which would wait for what the script leaves.
        arena.driver.register(&witness(name, script)).await;
    }
    let mut runs = Vec::new();
    let began = Instant::now();
    for (name, _, code) in tests {
        runs.push((name, code, arena.driver.trigger(name, name).await));
    }
    arena.settle(Duration::from_secs(20)).await;
    eprintln!("all ended after {:.1} s", began.elapsed().as_secs_f64());
    for (name, code, run) in runs {
        let story = arena.story(run).await;
        let result = if code == 0 { "pass" } else { "fail" };
        assert_eq!((&story["result"], &story["attempt"]), (&json!(result), &json!(1)), "{name}: {story}");
        let took =
            format!("SELECT to_jsonb(extract(epoch FROM ended_at - started_at)) FROM attempt WHERE run_id = '{run}'");
        let took = arena.value(&took).await.as_f64().unwrap();
        assert!(took <= 5.0, "{name} ended after {took:.1} s");
        assert_eq!(tstr_tests::sightings::processes_of(run), 0, "{name} left something behind");
    }
    arena.finish(Duration::from_secs(5)).await;
}

/// Memory of the machine that is free, in MiB.
fn free_mib() -> u64 {
    let text = std::fs::read_to_string("/proc/meminfo").unwrap();
    let line = text.lines().find_map(|line| line.strip_prefix("MemAvailable:")).unwrap();
    line.trim().trim_end_matches(" kB").parse::<u64>().unwrap() / 1024
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn row_28_hogs_of_memory_disks_and_files_are_held_and_their_neighbour_goes_on() {
    let arena = Arena::start(Plan::short(1, 2)).await;
    let tests = [
        // Twice the 64 MiB of each small disk in memory: it is full, and the machine is not.
        (
            "tmp",
            "dd if=/dev/zero of=/tmp/hog bs=1M count=128 2>/dev/null && exit 9; test $(wc -c </tmp/hog) -le 67108864",
            0,
        ),
        (
            "shm",
            "dd if=/dev/zero of=/dev/shm/hog bs=1M count=128 2>/dev/null && exit 9; test $(wc -c </dev/shm/hog) -le 16777216",
            0,
        ),
        // Behind the largest file that there may be; sparse, so that the machine has nothing to write.
        ("file", "dd if=/dev/zero of=/tstr/artifacts/hog bs=1M seek=1024 count=1 2>/dev/null && exit 9; exit 0", 0),
        (
            "files",
            "(n=0; while [ $n -lt 5000 ]; do n=$((n+1)); eval \"exec $((n+9))<>/tmp/f\" 2>/dev/null; done; exit 9); test $? -ne 9",
            0,
        ),
        ("root", "dd if=/dev/zero of=/hog bs=1M count=1 2>/dev/null && exit 9; exit 0", 0),
    ];
    let before = free_mib();
    arena.driver.register(&witness("neighbour", "for i in $(seq 20); do sleep 0.5; done")).await;
    let neighbour = arena.driver.trigger("neighbour", "neighbour").await;
    arena.held_by(neighbour).await;
    let mut runs = Vec::new();
    for (name, script, code) in tests {
        arena.driver.register(&witness(name, script)).await;
        runs.push((name, code, arena.driver.trigger(name, name).await));
    }
    // A hog of twice the memory that it was granted.
    let hog = with(
        witness("memory", "x=$(head -c 134217728 /dev/zero | tr '\\0' x); exit 0"),
        "/run_config/resources",
        json!({"memory": "64MiB"}),
    );
    arena.driver.register(&hog).await;
    let hog = arena.driver.trigger("memory", "memory").await;
    arena.settle(Duration::from_secs(60)).await;
    for (name, code, run) in runs {
        let story = arena.story(run).await;
        assert_eq!(
            (&story["attempts"][0]["exit_code"], &story["attempt"]),
            (&json!(code), &json!(1)),
            "{name}: {story}"
        );
    }
    let (story, other, about) = (arena.story(hog).await, arena.story(neighbour).await, arena.told_of(0).await);
    let about = &about["about"];
    let enforced = about["limits_enforced"].as_array().unwrap().contains(&json!("memory"));
    match enforced {
        true => assert_ne!(story["result"], "pass", "the hog is killed where memory is limited: {story}"),
        // What is not enforced is said, so that people know.
        false => assert!(about["limits_note"].as_str().unwrap().contains("memory"), "{about}"),
    }
    eprintln!(
        "memory is {}limited here; the hog: {} {}",
        if enforced { "" } else { "not " },
        story["result"],
        story["reason"]
    );
    assert_eq!((&other["result"], &other["attempt"]), (&json!("pass"), &json!(1)), "{other}");
    let after = free_mib();
    assert!(after + 256 > before, "{before} MiB were free, {after} MiB are");
    arena.finish(Duration::from_secs(5)).await;
}
