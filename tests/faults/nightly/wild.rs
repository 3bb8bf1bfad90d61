//! Containers that take more than is theirs, or leave something behind.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use chrono::{DateTime, Utc};
use serde_json::{Value, json};
use tstr_tests::arena::{Arena, Plan};
use tstr_tests::checker::boot_nanos;
use tstr_tests::factory::{with, witness};
use uuid::Uuid;

/// What is left in the background: a name, what starts it, its exit code, and what it is told by. Each leaves its process
/// id in `/tmp/left` once it is there, and the script ends only then.
const LEAVERS: [(&str, &str, i32); 4] = [
    // The standard output stays open.
    ("child", "sh -c 'echo $$ >/tmp/left; exec sleep 1000' & ", 0),
    // A session of its own, no parent, and nothing of ours open.
    ("daemon", "setsid sh -c 'sh -c \"echo \\$\\$ >/tmp/left; exec sleep 1000\" >/dev/null 2>&1 </dev/null &' ; ", 4),
    ("deaf", "setsid sh -c \"trap '' TERM HUP INT; echo \\$\\$ >/tmp/left; while :; do sleep 1; done\" & ", 0),
    ("loud", "yes >/dev/null & sh -c 'echo $$ >/tmp/left; while :; do echo still there; sleep 0.1; done' & ", 0),
];

/// When an attempt was ended by the database's clock, which is ours.
async fn ended_at(arena: &Arena, run: Uuid) -> (DateTime<Utc>, f64) {
    let query = format!(
        "SELECT jsonb_build_array(ended_at, extract(epoch FROM ended_at - started_at)) FROM attempt WHERE run_id = '{run}'"
    );
    let told = arena.value(&query).await;
    (told[0].as_str().and_then(|at| at.parse().ok()).expect("it has ended"), told[1].as_f64().expect("it was started"))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn row_32_what_a_container_leaves_in_the_background_ends_with_it() {
    let arena = Arena::start(Plan::short(2, 2)).await;
    for (name, leave, code) in LEAVERS {
        let script = format!(
            "rm -f /tmp/left; {leave}
             until [ -s /tmp/left ] && kill -0 $(cat /tmp/left); do sleep 0.05; done
             sleep 0.5; kill -0 $(cat /tmp/left) && echo \"left $(tr '\\0' ' ' </proc/$(cat /tmp/left)/cmdline)\"
             exit {code}"
        );
        arena.driver.register(&witness(name, &script)).await;
    }
    let mut runs = Vec::new();
    let began = Instant::now();
    for (name, _, code) in LEAVERS {
        runs.push((name, code, arena.driver.trigger(name, name).await));
    }
    arena.settle(Duration::from_secs(20)).await;
    eprintln!("all ended after {:.1} s", began.elapsed().as_secs_f64());
    for (name, code, run) in runs {
        assert_eq!(tstr_tests::sightings::processes_of(run), 0, "{name} left something behind");
        let story = arena.story(run).await;
        let result = if code == 0 { "pass" } else { "fail" };
        assert_eq!((&story["result"], &story["attempt"]), (&json!(result), &json!(1)), "{name}: {story}");
        assert_eq!(story["attempts"][0]["log"], "complete", "{name}: {story}");
        // Whatever was left was alive when the script ended.
        let path = format!("/api/v1/runs/{run}/logs?stream=stdout");
        let admin = arena.admin();
        let told = admin.send(admin.request(reqwest::Method::GET, &path).header("accept", "text/plain")).await.text();
        assert!(told.contains("left s"), "{name} left nothing: {told}");
        assert!(name != "loud" || told.contains("still there"), "it was not heard: {told}");
        let (ended, took) = ended_at(&arena, run).await;
        assert!(took <= 5.0, "{name} ended after {took:.1} s");
        // What was seen last of it: it was dead when its run ended, and not merely soon after.
        let seen = arena.last_seen(run, 1).expect("it was seen");
        let dead = Utc::now() - chrono::Duration::nanoseconds(boot_nanos() - seen);
        assert!(dead <= ended + chrono::Duration::milliseconds(250), "{name} was alive at {dead}, ended at {ended}");
    }
    arena.finish(Duration::from_secs(5)).await;
}

/// Memory of the machine that is free, in MiB.
fn free_mib() -> u64 {
    let text = std::fs::read_to_string("/proc/meminfo").unwrap();
    let line = text.lines().find_map(|line| line.strip_prefix("MemAvailable:")).unwrap();
    line.trim().trim_end_matches(" kB").parse::<u64>().unwrap() / 1024
}

/// The least memory of the machine that was free until `stop`, in MiB.
async fn least_free(stop: Arc<AtomicBool>) -> u64 {
    let mut least = free_mib();
    while !stop.load(Ordering::Relaxed) {
        tokio::time::sleep(Duration::from_millis(20)).await;
        least = least.min(free_mib());
    }
    least
}

/// What takes too much of one thing. Each script first shows that it may have what is its own, then takes more, and ends
/// with 0 only if it was held exactly where `docs/containers.md` says.
fn hogs() -> Vec<Value> {
    let disk = |at: &str, mib: u32| {
        format!(
            "why=$(dd if=/dev/zero of={at}/hog bs=1M count={} 2>&1) && exit 9
             size=$(wc -c <{at}/hog); echo \"$size bytes: $why\"
             case $why in *'No space left'*) [ $size -eq {} ];; *) exit 8;; esac",
            2 * mib,
            mib << 20
        )
    };
    vec![
        witness("tmp", &disk("/tmp", 64)),
        witness("shm", &disk("/dev/shm", 16)),
        // Up to the largest file that there may be, and behind it; sparse, so that the machine has nothing to write.
        witness(
            "file",
            "cd /tstr/artifacts && dd if=/dev/zero of=hog bs=1M seek=1023 count=1 2>/dev/null || exit 7
             (dd if=/dev/zero of=hog bs=1M seek=1024 count=1 conv=notrunc 2>/dev/null) && exit 9
             size=$(wc -c <hog); echo $size bytes; [ $size -eq 1073741824 ]",
        ),
        witness(
            "files",
            "told=$( (n=0; while [ $n -lt 5000 ]; do n=$((n+1)); eval \"exec $((n+9))<>/tmp/f\" || exit; echo $n; done) 2>&1)
             n=$(echo \"$told\" | grep -c '^[0-9]*$'); why=$(echo \"$told\" | tail -n 1); echo \"$n more files: $why\"
             case $why in *'oo many open files'* | *'ad file descriptor'*) [ $n -ge 900 ] && [ $n -le 1024 ];; *) exit 8;; esac",
        ),
        witness(
            "root",
            "why=$(dd if=/dev/zero of=/hog bs=1M count=1 2>&1) && exit 9
             echo \"$why\"; case $why in *'Read-only'*) ;; *) exit 8;; esac",
        ),
        // Twice the memory that it was granted, held for a while.
        with(
            witness("memory", "x=$(head -c 134217728 /dev/zero | tr '\\0' x); sleep 1; echo ${#x} bytes"),
            "/run_config/resources",
            json!({"memory": "64MiB"}),
        ),
    ]
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn row_28_hogs_of_memory_disks_and_files_are_held_and_their_neighbour_goes_on() {
    let arena = Arena::start(Plan::short(1, 2)).await;
    let about = arena.told_of(0).await["about"].clone();
    let enforced = about["limits_enforced"].as_array().unwrap().contains(&json!("memory"));
    // The neighbour writes all the time, until every hog has had its turn.
    arena.driver.register(&witness("neighbour", "for i in $(seq 50); do echo $i; sleep 0.5; done")).await;
    let neighbour = arena.driver.trigger("neighbour", "neighbour").await;
    arena.held_by(neighbour).await;
    let (before, stop) = (free_mib(), Arc::new(AtomicBool::new(false)));
    let least = tokio::spawn(least_free(stop.clone()));
    let mut runs = Vec::new();
    for hog in hogs() {
        arena.driver.register(&hog).await;
        let name = hog["name"].as_str().unwrap().to_owned();
        runs.push((arena.driver.trigger(&name, &name).await, name));
    }
    arena.settle(Duration::from_secs(60)).await;
    stop.store(true, Ordering::Relaxed);
    let (least, admin) = (least.await.unwrap(), arena.admin());
    for (run, name) in &runs {
        let story = arena.story(*run).await;
        let path = format!("/api/v1/runs/{run}/logs?stream=stdout");
        let told = admin.send(admin.request(reqwest::Method::GET, &path).header("accept", "text/plain")).await.text();
        eprintln!("{name}: {} {}: {}", story["result"], story["reason"], told.trim());
        assert_eq!(story["attempt"], 1, "{name}: {story}");
        let killed = name == "memory" && enforced;
        match killed {
            true => assert_ne!(story["result"], "pass", "the hog is killed where memory is limited: {story}"),
            false => assert_eq!(story["attempts"][0]["exit_code"], 0, "{name} was not held: {told}: {story}"),
        }
    }
    // What is not enforced is said, so that people know; and what is, is not said to be missing.
    let note = about["limits_note"].as_str().unwrap_or_default();
    assert!(enforced != note.contains("memory"), "memory is limited: {enforced}, and it is said: {about}");
    let other = arena.story(neighbour).await;
    assert_eq!((&other["result"], &other["attempt"]), (&json!("pass"), &json!(1)), "{other}");
    let wrote: usize = (1..=50).map(|number: u32| number.to_string().len() + 1).sum();
    assert_eq!((&other["attempts"][0]["log"], &other["attempts"][0]["stdout"]), (&json!("complete"), &json!(wrote)));
    let (over, _) = ended_at(&arena, neighbour).await;
    for (run, name) in &runs {
        assert!(ended_at(&arena, *run).await.0 < over, "{name} had no neighbour");
    }
    // The small disks, the memory of the one hog, and as much again for everything else that goes on.
    let taken = before.saturating_sub(least);
    eprintln!(
        "memory is {}limited here; the machine had {before} MiB free, at the least {least}",
        if enforced { "" } else { "not " }
    );
    assert!(taken < 640, "{before} MiB were free, at the least {least} MiB");
    assert!(free_mib() + 256 > before, "{before} MiB were free, {} MiB are", free_mib());
    arena.finish(Duration::from_secs(5)).await;
}
