//! What is said of each situation, in which words.

use super::*;

fn ns() -> Namespace {
    Namespace::parse("shop").unwrap()
}
fn instant(text: &str) -> DateTime<Utc> {
    text.parse().unwrap()
}
fn now() -> DateTime<Utc> {
    instant("2026-03-01T12:00:00Z")
}
fn count(verdict: Verdict, key: Option<&str>, runners: u32) -> VerdictCount {
    VerdictCount { verdict, key: key.map(str::to_owned), runners }
}
fn some(count: u32) -> Counted {
    Counted { count, more: false }
}
fn told(facts: &QueueFacts) -> Vec<(Why, String)> {
    why_waiting(facts, &ns(), now()).into_iter().map(|because| (because.why, because.sentence)).collect()
}

/// In line, with a runner that could take it.
fn fine() -> QueueFacts {
    QueueFacts { ahead: Some(some(0)), counts: vec![count(Verdict::CouldTake, None, 1)], ..QueueFacts::default() }
}

#[test]
fn a_run_that_nothing_keeps_is_ready() {
    let words = "nothing keeps it; the next claim of a runner takes it";
    assert_eq!(told(&fine()), [(Why::Ready, words.to_owned())]);
    // Its time has come and it is about to be moved into the line.
    let due = QueueFacts { due: Some(now()), ahead: None, ..fine() };
    assert_eq!(told(&due), [(Why::Ready, words.to_owned())]);
    // One that stands in no line and waits for no time is not ready, whatever keeps it.
    assert_eq!(told(&QueueFacts { ahead: None, ..fine() }), []);
}

#[test]
fn a_run_that_waits_for_its_time_says_until_when() {
    let due = Some(instant("2026-03-01T13:00:00Z"));
    let facts = QueueFacts { due, ahead: None, ..fine() };
    assert_eq!(told(&facts), [(Why::NotBefore, "it was put off until 2026-03-01T13:00:00Z".to_owned())]);
    assert_eq!(why_waiting(&facts, &ns(), now())[0].until, due);
    let words = "attempt 2 was lost; the next one may start at 2026-03-01T13:00:00Z";
    assert_eq!(told(&QueueFacts { attempts: 2, ..facts }), [(Why::Backoff, words.to_owned())]);
}

#[test]
fn a_run_without_a_place_says_whose_place_it_waits_for() {
    let gate = |held, slots, group: Option<&str>| Some(Gate { held, slots, group: group.map(str::to_owned) });
    let parked = QueueFacts { ahead: None, ..fine() };
    let words = "2 of at most 2 runs of its concurrency group shop are under way".to_owned();
    let group = QueueFacts { group: gate(2, 2, Some("shop")), ..parked.clone() };
    assert_eq!(told(&group), [(Why::Concurrency, words)]);
    let reason = why_waiting(&group, &ns(), now()).remove(0);
    assert_eq!((reason.group.as_deref(), reason.count, reason.limit), (Some("shop"), Some(some(2)), Some(2)));
    let words = "1 of at most 1 runs of its cell of the test are under way".to_owned();
    assert_eq!(told(&QueueFacts { group: gate(1, 1, None), ..parked.clone() }), [(Why::Concurrency, words)]);
    let words = "4 of at most 4 cells of its matrix are under way".to_owned();
    assert_eq!(told(&QueueFacts { matrix: gate(4, 4, None), ..parked }), [(Why::MaxParallel, words)]);
}

#[test]
fn where_no_runner_takes_it_the_verdicts_are_counted() {
    let with = |counts: &[VerdictCount]| {
        let because = why_no_runner(counts, &ns());
        because.map(|because| (because.why, because.sentence))
    };
    let no_runner = "no runner that takes runs of the namespace shop has registered yet".to_owned();
    assert_eq!(with(&[]), Some((Why::NoRunner, no_runner.clone())));
    assert_eq!(with(&[count(Verdict::Namespace, None, 7)]), Some((Why::NoRunner, no_runner)));
    assert_eq!(
        with(&[count(Verdict::Rejected, Some("type"), 1)]),
        Some((Why::NoRunnerCould, "the only known runner could never take it: 1 rejects the label type".to_owned()))
    );
    let foreign = count(Verdict::Namespace, None, 7);
    let could_never =
        [count(Verdict::NotAccepted, Some("region"), 2), count(Verdict::Rejected, Some("type"), 1), foreign];
    let words = "none of the 3 known runners could ever take it: \
                 2 do not accept the label region, 1 rejects the label type";
    assert_eq!(with(&could_never), Some((Why::NoRunnerCould, words.to_owned())));
    let gone = [
        count(Verdict::NotLive, None, 2),
        count(Verdict::NotAccepted, Some("region"), 1),
        count(Verdict::Draining, None, 1),
    ];
    let words = "none of the 3 runners that could take it does now: \
                 2 are not live, 1 does not accept the label region, 1 is draining";
    assert_eq!(with(&gone), Some((Why::NoLiveRunner, words.to_owned())));
    let words = "the only runner that could take it does not now: 1 is not live";
    assert_eq!(with(&[count(Verdict::NotLive, None, 1)]), Some((Why::NoLiveRunner, words.to_owned())));
    let words = "none of the 2 runners that could take it does now: 1 is not fit: disk_low, 1 is not fit: breaker";
    let unfit = [count(Verdict::DiskLow, None, 1), count(Verdict::Breaker, None, 1)];
    assert_eq!(with(&unfit), Some((Why::NoLiveRunner, words.to_owned())));
    assert_eq!(with(&[count(Verdict::AtCapacity, None, 1), count(Verdict::NotLive, None, 9)]), None);
    assert_eq!(with(&[count(Verdict::CouldTake, None, 1)]), None);
}

#[test]
fn caps_full_runners_and_the_line_are_told_with_their_numbers() {
    let facts = QueueFacts {
        running: 50,
        max_running: Some(50),
        ahead: Some(Counted::up_to(1000, 1001)),
        counts: vec![count(Verdict::AtCapacity, None, 3), count(Verdict::NotLive, None, 1)],
        ..fine()
    };
    let words = |text: &str| text.to_owned();
    assert_eq!(
        told(&facts),
        [
            (Why::NamespaceCap, words("runners hold 50 of at most 50 runs of the namespace shop")),
            (Why::AtCapacity, words("all 3 live runners that could take it are at capacity")),
            (Why::Line, words("1000+ runs with the same labels come before it")),
        ]
    );
    let reasons = why_waiting(&facts, &ns(), now());
    assert_eq!((reasons[0].count, reasons[0].limit), (Some(some(50)), Some(50)));
    assert_eq!(reasons[2].count, Some(Counted { count: 1000, more: true }));
    let one = QueueFacts {
        running: 49,
        ahead: Some(some(1)),
        counts: vec![count(Verdict::AtCapacity, None, 1)],
        ..facts.clone()
    };
    assert_eq!(
        told(&one),
        [
            (Why::AtCapacity, words("the only live runner that could take it is at capacity")),
            (Why::Line, words("1 run with the same labels comes before it")),
        ]
    );
    // A cap of none at all holds everything back.
    let none = QueueFacts { running: 0, max_running: Some(0), ..fine() };
    assert_eq!(told(&none)[0].1, "runners hold 0 of at most 0 runs of the namespace shop");
}

#[test]
fn the_first_reason_stands_before_the_others() {
    let facts = QueueFacts {
        due: Some(instant("2026-03-02T00:00:00Z")),
        running: 2,
        max_running: Some(1),
        ahead: Some(some(4)),
        counts: vec![count(Verdict::NotLive, None, 1)],
        ..fine()
    };
    let order: Vec<_> = told(&facts).into_iter().map(|(why, _)| why).collect();
    assert_eq!(order, [Why::NotBefore, Why::NoLiveRunner, Why::NamespaceCap, Why::Line]);
}

fn lease() -> LeaseStory {
    LeaseStory {
        runner_id: RunnerId(uuid::Uuid::nil()),
        runner_name: "w".into(),
        attempt: 2,
        leased_at: instant("2026-03-01T11:59:00Z"),
        started_at: None,
        expires_at: instant("2026-03-01T12:00:30Z"),
        hard_deadline: None,
        cancel_requested_at: None,
    }
}

#[test]
fn a_lease_tells_what_its_runner_does() {
    let told = |lease: &LeaseStory| -> Vec<(Why, String)> {
        let reasons = lease.reasons(Some("token:1"), now());
        reasons.into_iter().map(|because| (because.why, because.sentence)).collect()
    };
    let preparing = "w prepares it since 2026-03-01T11:59:00Z, for attempt 2; no container has started";
    assert_eq!(told(&lease()), [(Why::Preparing, preparing.to_owned())]);
    let started_at = Some(instant("2026-03-01T11:59:10Z"));
    let executing = "its container runs on w since 2026-03-01T11:59:10Z, in attempt 2";
    let running = LeaseStory { started_at, ..lease() };
    assert_eq!(told(&running), [(Why::Executing, executing.to_owned())]);
    let cancelled = LeaseStory { cancel_requested_at: Some(instant("2026-03-01T11:59:50Z")), ..running.clone() };
    let cancelling =
        "cancelling was asked for by token:1 at 2026-03-01T11:59:50Z; w has still to end the container".to_owned();
    assert_eq!(told(&cancelled), [(Why::Cancelling, cancelling), (Why::Executing, executing.to_owned())]);
    let over = LeaseStory { expires_at: instant("2026-03-01T11:59:58Z"), ..running };
    let words = "the lease of w ran out at 2026-03-01T11:59:58Z; it is about to be taken back";
    assert_eq!(told(&over)[0], (Why::LeaseOver, words.to_owned()));
}

fn run(result: RunResult, changes: serde_json::Value) -> Run {
    let id = "0198f7a0-0000-7000-8000-000000000001";
    let mut value = serde_json::json!({
        "id": id, "namespace": "shop", "test_id": id, "test_name": "t", "matrix_id": id, "cell": {}, "labels": {},
        "annotations": {}, "run_config": {"container_image": "reg/i:1"}, "state": "finished", "result": result.word(),
        "flaky": false, "cancel_requested": false, "attempt": 1, "priority": "normal", "trigger": "manual",
        "scheduled_at": "2026-03-01T11:00:00Z", "created_at": "2026-03-01T11:00:00Z",
        "log": {"status": "complete", "bytes": 0, "dropped_bytes": 0},
    });
    let fields = value.as_object_mut().unwrap();
    fields.extend(changes.as_object().unwrap().clone());
    serde_json::from_value(value).unwrap()
}

#[test]
fn every_end_has_its_sentence() {
    use serde_json::json;
    let told = |result, changes| ended_words(&run(result, changes), Some("reaper"));
    let words = |result, changes, expected: &str| assert_eq!(told(result, changes), expected);
    words(RunResult::Pass, json!({"exit_code": 0}), "it passed: the container exited with 0");
    words(
        RunResult::Pass,
        json!({"attempt": 3, "flaky": true}),
        "it passed in attempt 3, after an attempt that did not",
    );
    words(RunResult::Fail, json!({"exit_code": 3}), "it failed: the container exited with 3");
    words(
        RunResult::Fail,
        json!({"exit_code": 137, "message": "killed, maybe out of memory"}),
        "it failed: the container exited with 137 (killed, maybe out of memory)",
    );
    words(RunResult::TimedOut, json!({}), "it timed out: the container did not end within its timeout of 600s");
    words(
        RunResult::TimedOut,
        json!({"reason": "server_backstop", "attempt": 2}),
        "it timed out in attempt 2: the worker went on beyond timeout and grace, so the server ended it",
    );
    words(
        RunResult::Error,
        json!({"reason": "image_not_found", "message": " "}),
        "it ended with an error: the image reg/i:1 is not there and could not be pulled",
    );
    words(
        RunResult::Error,
        json!({"reason": "queue_expired", "attempt": 0}),
        "it ended with an error: no runner took it before its queue deadline",
    );
    words(RunResult::Cancelled, json!({}), "it was cancelled before its container started");
    let cancelled = run(RunResult::Cancelled, json!({"started_at": "2026-03-01T11:00:00Z"}));
    assert_eq!(ended_words(&cancelled, Some("runner:1")), "it was cancelled while its container ran");
    let waited = run(RunResult::Cancelled, json!({}));
    assert_eq!(ended_words(&waited, Some("token:1")), "it was cancelled by token:1 before its container started");
    // Whatever the reason, there is a sentence, and no two are alike.
    let all: std::collections::BTreeSet<String> =
        Reason::ALL.iter().map(|reason| told(RunResult::Error, json!({"reason": reason.word()}))).collect();
    assert_eq!(all.len(), Reason::ALL.len());
}

#[test]
fn every_attempt_has_its_sentence() {
    use serde_json::json;
    let told = |changes: serde_json::Value| {
        let mut value = json!({
            "attempt": 1, "runner_id": "0198f7a0-0000-7000-8000-000000000001", "runner_name": "w",
            "leased_at": "2026-03-01T11:00:00Z", "log": {"status": "complete", "bytes": 0, "dropped_bytes": 0},
        });
        value.as_object_mut().unwrap().extend(changes.as_object().unwrap().clone());
        attempt_words(&serde_json::from_value(value).unwrap())
    };
    let ended = |result: &str, more: serde_json::Value| {
        let mut changes = json!({
            "started_at": "2026-03-01T11:00:01Z", "ended_at": "2026-03-01T11:00:04.25Z", "result": result,
        });
        changes.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        told(changes)
    };
    assert_eq!(told(json!({})), "w prepares it since 2026-03-01T11:00:00Z");
    assert_eq!(
        told(json!({"started_at": "2026-03-01T11:00:01Z"})),
        "its container runs on w since 2026-03-01T11:00:01Z"
    );
    assert_eq!(told(json!({"ended_at": "2026-03-01T11:00:01Z"})), "w gave it back before its container started");
    assert_eq!(ended("pass", json!({"exit_code": 0})), "it passed on w after 3.2s: the container exited with 0");
    assert_eq!(ended("fail", json!({"exit_code": 2})), "it failed on w after 3.2s: the container exited with 2");
    assert_eq!(
        ended("timed_out", json!({"message": "m"})),
        "it timed out on w after 3.2s: the container did not end within its timeout (m)"
    );
    assert_eq!(ended("cancelled", json!({})), "it was cancelled on w after 3.2s");
    assert_eq!(
        ended("error", json!({"reason": "lost_worker", "ended_at": "2026-03-01T13:07:01Z"})),
        "an error ended it on w after 2h7m: the worker was not heard of until its lease was over"
    );
    assert_eq!(
        told(json!({"ended_at": "2026-03-01T11:00:01Z", "result": "error", "reason": "start_failed"})),
        "an error ended it on w before its container started: \
         the container could not be created or started, or its command is not there"
    );
}

#[test]
fn a_count_ends_at_its_limit() {
    assert_eq!(Counted::up_to(10, 10), some(10));
    assert_eq!(Counted::up_to(10, 11), Counted { count: 10, more: true });
    assert_eq!(Counted::up_to(10, -1), some(0));
    assert_eq!(Counted::up_to(10, 11).plus(some(3)).to_string(), "13+");
    assert_eq!(some(2).plus(some(3)).to_string(), "5");
    assert!(some(0).is_none() && !some(1).is_none());
}
