//! Containers that misbehave: deaf ones, loud ones, quick ones, and such that cannot be started at all.

use std::time::Duration;

use serde_json::{Value, json};
use tstr_tests::arena::{Arena, Plan};
use tstr_tests::factory::{with, witness};
use tstr_tests::{eventually, images};
use uuid::Uuid;

/// A witness whose script writes this many bytes to the standard output.
pub fn loud(name: &str, script: &str, bytes: usize) -> Value {
    with(witness(name, script), "/run_config/env/WROTE", json!(bytes.to_string()))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn row_26_a_container_that_ignores_sigterm_is_cancelled_within_its_bound() {
    let mut arena = Arena::start(Plan::short(1, 2)).await;
    let deaf = witness("deaf", "trap '' TERM; echo begun; while :; do sleep 0.2; done");
    // The whole container is deaf: the shell around the script, too.
    let script = deaf["run_config"]["args"][0].as_str().unwrap();
    let deaf = with(deaf.clone(), "/run_config/args", json!([format!("trap '' TERM\n{script}")]));
    let grace = Duration::from_secs(10);
    arena.driver.register(&with(deaf, "/run_config/grace", json!("10s"))).await;
    let (run, waits) = (arena.driver.trigger("deaf", "a").await, arena.driver.trigger("deaf", "b").await);
    for run in [run, waits] {
        arena.held_by(run).await;
        eventually("its container is seen", Duration::from_secs(10), async || arena.last_seen(run, 1)).await;
    }
    // A heartbeat, the grace, and three seconds for the burial.
    arena.cancel(run, Duration::from_secs(2) + grace + Duration::from_secs(3)).await;
    arena.cancel(waits, Duration::from_secs(2) + grace + Duration::from_secs(3)).await;
    arena.settle(Duration::from_secs(20)).await;
    for run in [run, waits] {
        let story = arena.story(run).await;
        assert_eq!((&story["result"], &story["attempt"]), (&json!("cancelled"), &json!(1)), "{story}");
    }
    arena.finish(Duration::from_secs(5)).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn row_30_and_31_every_byte_arrives_whatever_it_is_and_however_soon_the_container_ends() {
    let arena = Arena::start(Plan::short(2, 1)).await;
    let roomy = |test| with(test, "/limits/log", json!("256MiB"));
    let tests = [
        loud("quick", "head -c 10485760 /dev/zero | tr '\\0' q; exit 3", 10_485_760),
        loud("line", "head -c 52428800 /dev/zero | tr '\\0' x", 52_428_800),
        // NUL, half a UTF-8 character, an overlong one, ANSI, CR, a bell, and no newline at the end.
        loud("odd", "printf '\\000\\303\\n\\300\\257\\033[31mred\\033[0m\\r\\007\\377\\376end'", 24),
        loud("noise", "head -c 3000000 /dev/urandom | tee /tmp/x; sha256sum </tmp/x >&2", 3_000_000),
        loud("silent", "true", 0),
    ];
    let mut runs = Vec::new();
    for test in tests {
        arena.driver.register(&roomy(test.clone())).await;
        let name = test["name"].as_str().unwrap();
        runs.push((name.to_owned(), arena.driver.trigger(name, name).await));
    }
    arena.settle(Duration::from_secs(90)).await;
    let admin = arena.admin();
    for (name, run) in &runs {
        let story = arena.story(*run).await;
        let (result, code) = if name == "quick" { ("fail", 3) } else { ("pass", 0) };
        assert_eq!(
            (&story["result"], &story["attempts"][0]["exit_code"]),
            (&json!(result), &json!(code)),
            "{name}: {story}"
        );
        assert_eq!(story["attempts"][0]["log"], "complete", "{name}: {story}");
    }
    let bytes = async |run: Uuid| {
        let path = format!("/api/v1/runs/{run}/logs?stream=stdout");
        let answer = admin.send(admin.request(reqwest::Method::GET, &path).header("accept", "text/plain")).await;
        assert_eq!(answer.status, 200, "{}", answer.text());
        answer.body
    };
    let of = |name: &str| runs.iter().find(|(other, _)| other == name).unwrap().1;
    assert_eq!(bytes(of("odd")).await, b"\0\xc3\n\xc0\xaf\x1b[31mred\x1b[0m\r\x07\xff\xfeend");
    assert!(bytes(of("quick")).await.iter().all(|byte| *byte == b'q'));
    let line = bytes(of("line")).await;
    assert!(line.len() == 52_428_800 && line.iter().all(|byte| *byte == b'x'));
    arena.finish(Duration::from_secs(5)).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn row_33_what_cannot_be_started_ends_at_once_with_the_reason_and_is_not_tried_again() {
    let arena = Arena::start(Plan::short(1, 2)).await;
    images::import_foreign(arena.posts[0].dir());
    let image = |name: &str, image: &str| with(witness(name, "true"), "/run_config/container_image", json!(image));
    let tests = [
        (image("missing", "localhost/not-there:1"), "image_not_found"),
        (with(witness("program", "true"), "/run_config/command", json!(["/no/such/program"])), "start_failed"),
        (with(witness("directory", "true"), "/run_config/command", json!(["/bin"])), "start_failed"),
        (with(image("foreign", images::FOREIGN), "/run_config/command", json!(["/program"])), "start_failed"),
    ];
    let mut runs = Vec::new();
    for (test, reason) in &tests {
        // As many tries as one may have: none of these is one that a second try would help.
        let test = with(test.clone(), "/retry", json!({"on_infrastructure": 4}));
        arena.driver.register(&test).await;
        let name = test["name"].as_str().unwrap();
        runs.push((arena.driver.trigger(name, name).await, *reason));
    }
    arena.settle(Duration::from_secs(30)).await;
    for (run, reason) in runs {
        let story = arena.story(run).await;
        assert_eq!((&story["result"], &story["reason"]), (&json!("error"), &json!(reason)), "{story}");
        assert_eq!(story["attempt"], 1, "{story}");
    }
    // A name that podman would take for an option never gets there.
    let admin = arena.admin();
    for name in ["-v", "--privileged", "-", " localhost/x", "localhost/x -v"] {
        let answer = admin.post("/api/v1/namespaces/default/tests", &image("option", name)).await;
        answer.refused(422, "invalid");
    }
    arena.finish(Duration::from_secs(5)).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn row_27_a_container_that_forks_without_end_is_held_and_its_neighbour_goes_on() {
    let arena = Arena::start(Plan::short(1, 2)).await;
    // A bomb that counts: without a limit it would leave 400 processes, and the machine would still stand.
    let bomb = "(n=0; while [ $n -lt 400 ]; do n=$((n+1)); sleep 4 & done); exec sleep 3";
    let bomb = with(witness("bomb", bomb), "/run_config/resources", json!({"pids": 64}));
    arena.driver.register(&bomb).await;
    arena.driver.register(&witness("neighbour", "for i in 1 2 3 4; do sleep 0.5; done")).await;
    let bomb = arena.driver.trigger("bomb", "bomb").await;
    arena.held_by(bomb).await;
    let neighbour = arena.driver.trigger("neighbour", "neighbour").await;
    let mut most = 0;
    let deadline = tokio::time::Instant::now() + Duration::from_secs(5);
    while tokio::time::Instant::now() < deadline {
        most = most.max(tstr_tests::sightings::processes_of(bomb));
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    arena.settle(Duration::from_secs(30)).await;
    assert!((10..=70).contains(&most), "{most} processes at once");
    let (story, other) = (arena.story(bomb).await, arena.story(neighbour).await);
    // The shell that may not fork gives up; what comes after it needs no new process.
    assert_eq!((&story["result"], &story["attempt"]), (&json!("pass"), &json!(1)), "{story}");
    assert_eq!((&other["result"], &other["attempt"]), (&json!("pass"), &json!(1)), "{other}");
    arena.finish(Duration::from_secs(5)).await;
}
