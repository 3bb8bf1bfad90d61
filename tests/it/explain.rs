//! Why runs wait and why they ended: every reason and every verdict, in the words that people read.

mod doors;
mod queue;

use std::collections::BTreeMap;

use serde_json::json;
use tstr_api::auth::Caller;
use tstr_shared::error::ErrorCode;
use tstr_shared::explain::{Counted, Explanation, Verdict, VerdictCount, Why};
use tstr_shared::ids::RunId;
use tstr_shared::lease::Fence;
use tstr_shared::logs::LogSeal;
use tstr_shared::permission::Scope;
use tstr_shared::run::{Outcome, Reason, RunResult, RunState, TriggerRun};
use tstr_shared::selector::SelectorSources;
use tstr_tests::contract::{Worker, default};
use tstr_tests::{Lab, factory};

fn selectors(accept: &[(&str, &str)], reject: &[(&str, &str)]) -> SelectorSources {
    let map = |pairs: &[(&str, &str)]| pairs.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect();
    SelectorSources { accept: map(accept), reject: map(reject) }
}

async fn runner(lab: &Lab, name: &str, namespaces: &[&str], selectors: SelectorSources) -> Worker {
    Worker::register(lab.ops(), lab.caller(&[Scope::Runner], namespaces), name, selectors).await
}

async fn explain(lab: &Lab, run: RunId) -> Explanation {
    explain_to(lab, &lab.admin, run).await.expect("an explanation")
}

async fn explain_to(lab: &Lab, caller: &Caller, run: RunId) -> Result<Explanation, ErrorCode> {
    lab.ops().explain_run(caller, run).await.map_err(|error| error.code())
}

fn whys(explanation: &Explanation) -> Vec<Why> {
    explanation.reasons.iter().map(|because| because.why).collect()
}

/// What is told of each runner, by its name.
fn verdicts(explanation: &Explanation) -> BTreeMap<&str, (Verdict, &str)> {
    let waiting = explanation.waiting.as_ref().expect("the run waits");
    let told = |runner: &'_ tstr_shared::explain::RunnerVerdict| runner.verdict;
    waiting
        .runners
        .iter()
        .map(|runner| (runner.runner_name.as_str(), (told(runner), runner.sentence.as_str())))
        .collect()
}

fn some(count: u32) -> Counted {
    Counted { count, more: false }
}

async fn gone(lab: &Lab, name: &str) {
    let statement = format!("UPDATE runner SET last_seen_at = '2026-01-02T03:04:05.6Z' WHERE name = '{name}'");
    assert_eq!(lab.execute(&statement).await.unwrap(), 1);
}

#[tokio::test]
async fn every_runner_is_told_with_the_first_thing_that_keeps_it_from_taking_the_run() {
    let lab = Lab::start().await;
    lab.namespace("other").await;
    let full = runner(&lab, "full", &[".*"], selectors(&[("region", "nyc"), ("type", "load"), ("x", "y")], &[])).await;
    lab.run_of(&[("/labels", json!({"x": "y"}))]).await;
    full.one().await;
    lab.execute("UPDATE runner SET slots = 1 WHERE name = 'full'").await.unwrap();
    let run = lab.run_of(&[("/labels", json!({"region": "nyc", "type": "load"}))]).await;
    let none = SelectorSources::default;
    let unfit = [
        runner(&lab, "foreign", &["other"], none()).await,
        runner(&lab, "rejects", &[".*"], selectors(&[("region", "x")], &[("type", "lo.d")])).await,
        runner(&lab, "elsewhere", &[".*"], selectors(&[("region", "sfo|fra"), ("*", ".*")], &[])).await,
        runner(&lab, "no-type", &[".*"], selectors(&[("region", "nyc")], &[])).await,
    ];
    let fits = runner(&lab, "fits", &["def.*"], selectors(&[("region", "n.*"), ("*", ".*")], &[("type", "e2e")])).await;
    runner(&lab, "gone", &[".*"], none()).await;
    let draining = runner(&lab, "draining", &[".*"], none()).await;
    lab.ops().set_runner_draining(&lab.admin, draining.id, true).await.unwrap();
    gone(&lab, "gone").await;

    let told = explain(&lab, run).await;
    let expected = BTreeMap::from([
        ("foreign", (Verdict::Namespace, "its token does not cover namespace default")),
        ("rejects", (Verdict::Rejected, "it rejects type=load (reject type=lo.d)")),
        ("elsewhere", (Verdict::NotAccepted, "it does not accept region=nyc (accept region=sfo|fra)")),
        ("no-type", (Verdict::NotAccepted, "it does not accept type=load (no accept selector is for type)")),
        ("fits", (Verdict::CouldTake, "it could take it: 0/10 slots used")),
        ("gone", (Verdict::NotLive, "it is not live: last heard of at 2026-01-02T03:04:05Z")),
        ("draining", (Verdict::Draining, "it is draining: it takes nothing new")),
        ("full", (Verdict::AtCapacity, "it is at capacity: 1/1 slots used")),
    ]);
    assert_eq!(verdicts(&told), expected);
    let waiting = told.waiting.as_ref().unwrap();
    assert_eq!(waiting.runners.last().unwrap().runner_name, "gone", "what is gone stands behind what is there");
    let of = |name: &str| waiting.runners.iter().find(|one| one.runner_name == name).unwrap();
    let parts = |name: &str| {
        let one = of(name);
        (one.key.as_deref(), one.value.as_deref(), one.pattern.as_deref())
    };
    assert_eq!(parts("rejects"), (Some("type"), Some("load"), Some("lo.d")));
    assert_eq!(parts("elsewhere"), (Some("region"), Some("nyc"), Some("sfo|fra")));
    assert_eq!(parts("no-type"), (Some("type"), Some("load"), None));
    assert_eq!(parts("full"), (None, None, None));
    assert_eq!(waiting.counts.iter().map(|count| count.runners).sum::<u32>(), 8);
    let counted = |verdict, key: Option<&str>| VerdictCount { verdict, key: key.map(str::to_owned), runners: 1 };
    for expected in [
        counted(Verdict::NotAccepted, Some("region")),
        counted(Verdict::NotAccepted, Some("type")),
        counted(Verdict::Rejected, Some("type")),
        counted(Verdict::Namespace, None),
        counted(Verdict::NotLive, None),
    ] {
        assert!(waiting.counts.contains(&expected), "{expected:?} of {:?}", waiting.counts);
    }
    assert_eq!(told.summary, "it waits: nothing keeps it; the next claim of a runner takes it");
    assert_eq!(told.labels.text(), "region=nyc,type=load");
    // The verdicts are true.
    for worker in unfit.iter().chain([&draining]) {
        assert!(worker.claim(1).await.is_empty());
    }
    assert_eq!(fits.one().await.run_id, run);
    lab.check().await;
}

#[tokio::test]
async fn a_run_that_no_runner_takes_says_whether_one_could() {
    let lab = Lab::start().await;
    let run = lab.run_of(&[("/labels/region", json!("fra"))]).await;
    let told = async || {
        let told = explain(&lab, run).await;
        (whys(&told), told.summary)
    };
    let words = "it waits: no runner that takes runs of the namespace default has registered yet";
    assert_eq!(told().await, (vec![Why::NoRunner], words.to_owned()));
    // A runner of another namespace changes nothing.
    runner(&lab, "foreign", &["other"], SelectorSources::default()).await;
    assert_eq!(told().await, (vec![Why::NoRunner], words.to_owned()));
    runner(&lab, "nyc", &[".*"], selectors(&[("region", "nyc")], &[])).await;
    let words = "it waits: the only known runner could never take it: 1 does not accept the label region";
    assert_eq!(told().await, (vec![Why::NoRunnerCould], words.to_owned()));
    runner(&lab, "no-fra", &[".*"], selectors(&[], &[("region", "fra")])).await;
    let words = "it waits: none of the 2 known runners could ever take it: \
                 1 rejects the label region, 1 does not accept the label region";
    assert_eq!(told().await, (vec![Why::NoRunnerCould], words.to_owned()));
    runner(&lab, "fra", &[".*"], selectors(&[("region", "fra")], &[])).await;
    assert_eq!(told().await.0, [Why::Ready]);
    gone(&lab, "fra").await;
    let words = "it waits: the only runner that could take it does not now: \
                 1 rejects the label region, 1 does not accept the label region, 1 is not live";
    assert_eq!(told().await, (vec![Why::NoLiveRunner], words.to_owned()));
}

#[tokio::test]
async fn a_run_that_waits_for_its_time_says_until_when_and_when_it_gives_up() {
    let lab = Lab::start().await;
    let worker = lab.worker("w").await;
    lab.test(factory::with(factory::test("later"), "/queue_deadline", json!("1h"))).await;
    let now = lab.get(lab.trigger("later").await[0]).await.created_at;
    worker.claim(1).await;
    let not_before = now + chrono::Duration::hours(2);
    let later = TriggerRun { not_before: Some(not_before), ..TriggerRun::default() };
    let run = lab.ops().trigger(&lab.admin, &default(), "later", later, None).await.unwrap().runs[0].id;
    let told = explain(&lab, run).await;
    assert_eq!(whys(&told), [Why::NotBefore]);
    let at = |instant: chrono::DateTime<chrono::Utc>| instant.to_rfc3339_opts(chrono::SecondsFormat::Secs, true);
    assert_eq!(told.summary, format!("it waits: it was put off until {}", at(not_before)));
    let until = told.reasons[0].until.unwrap();
    assert!((until - not_before).num_milliseconds().abs() < 1, "{until} is {not_before}");
    let waiting = told.waiting.unwrap();
    assert_eq!(waiting.ahead, None, "it stands in no line yet");
    // The deadline counts from when it may be taken.
    assert_eq!(waiting.deadline, Some(until + chrono::Duration::hours(1)));

    // A lost attempt: the next one backs off.
    let run = lab.run_of(&[]).await;
    let fence = worker.started().await;
    assert_eq!(fence.run_id, run);
    worker.release(fence, Some(Reason::RuntimeLost)).await.unwrap();
    let told = explain(&lab, run).await;
    assert_eq!(whys(&told), [Why::Backoff]);
    let words =
        format!("it waits: attempt 1 was lost; the next one may start at {}", at(told.reasons[0].until.unwrap()));
    assert_eq!(told.summary, words);
    assert_eq!(told.attempts.len(), 1);
    assert!(
        told.attempts[0].sentence.starts_with("an error ended it on w after 0.")
            && told.attempts[0]
                .sentence
                .ends_with(": the engine lost the container, or the worker was stopped before it ended"),
        "{}",
        told.attempts[0].sentence
    );
    let waiting = told.waiting.unwrap();
    assert_eq!(Some(waiting.since), lab.get(run).await.attempts[0].ended_at, "it waits since its attempt ended");
}

#[tokio::test]
async fn the_place_in_line_is_counted_up_to_a_limit() {
    let lab = Lab::start().await;
    let worker = lab.worker("w").await;
    lab.quotas(None, Some(0)).await;
    lab.test(factory::test("a")).await;
    let mut runs = Vec::new();
    for _ in 0..3 {
        runs.extend(lab.trigger("a").await);
    }
    let ahead = async |run: RunId| explain(&lab, run).await.waiting.unwrap().ahead;
    for (place, run) in runs.iter().enumerate() {
        assert_eq!(ahead(*run).await, Some(some(place as u32)));
    }
    let told = explain(&lab, runs[2]).await;
    assert_eq!(whys(&told), [Why::NamespaceCap, Why::Line]);
    assert_eq!(told.reasons[0].sentence, "runners hold 0 of at most 0 runs of the namespace default");
    assert_eq!((told.reasons[0].limit, told.reasons[0].count), (Some(0), Some(some(0))));
    assert_eq!(told.reasons[1].sentence, "2 runs with the same labels come before it");
    // A more pressing one comes before them, one with other labels does not.
    lab.run_of(&[("/priority", json!("urgent"))]).await;
    lab.run_of(&[("/priority", json!("low"))]).await;
    lab.run_of(&[("/priority", json!("urgent")), ("/labels/x", json!("y"))]).await;
    assert_eq!(ahead(runs[2]).await, Some(some(3)));
    // Far more than are counted.
    let more = "INSERT INTO ready (lane, seq, run_id, expires_at)
                SELECT lane, seq - n, gen_random_uuid(), expires_at FROM ready, generate_series(1, 1500) n WHERE run_id = $1";
    lab.sql(more, runs[2]).await;
    let told = explain(&lab, runs[2]).await;
    assert_eq!(told.waiting.unwrap().ahead, Some(Counted { count: 1000, more: true }));
    assert_eq!(told.reasons.last().unwrap().sentence, "1000+ runs with the same labels come before it");
    lab.quotas(None, None).await;
    worker.claim(1).await;
}

#[tokio::test]
async fn a_quota_and_full_runners_are_told_with_their_numbers() {
    let lab = Lab::start().await;
    let worker = lab.worker("w").await;
    lab.test(factory::test("a")).await;
    lab.quotas(None, Some(1)).await;
    lab.trigger("a").await;
    let fence = worker.started().await;
    let run = lab.trigger("a").await[0];
    let told = explain(&lab, run).await;
    assert_eq!(whys(&told), [Why::NamespaceCap]);
    assert_eq!(told.summary, "it waits: runners hold 1 of at most 1 runs of the namespace default");
    lab.quotas(None, Some(2)).await;
    assert_eq!(whys(&explain(&lab, run).await), [Why::Ready]);
    lab.execute("UPDATE runner SET slots = 1").await.unwrap();
    let told = explain(&lab, run).await;
    assert_eq!(told.summary, "it waits: the only live runner that could take it is at capacity");
    // Once there is room, what was said to be able to take it does.
    worker.finish(fence, RunResult::Pass).await.unwrap();
    assert_eq!(whys(&explain(&lab, run).await), [Why::Ready]);
    assert_eq!(worker.one().await.run_id, run);
}

#[tokio::test]
async fn a_leased_run_says_who_holds_it_and_until_when() {
    let lab = Lab::start().await;
    let worker = lab.worker("w-1").await;
    let run = lab.run_of(&[]).await;
    let fence = worker.one().await;
    let told = explain(&lab, run).await;
    assert_eq!((told.state, whys(&told)), (RunState::Leased, vec![Why::Preparing]));
    assert!(told.summary.starts_with("w-1 prepares it since 20"), "{}", told.summary);
    assert!(told.summary.ends_with("Z, for attempt 1; no container has started"), "{}", told.summary);
    let lease = told.lease.unwrap();
    assert_eq!((lease.runner_id, lease.attempt, lease.started_at, lease.hard_deadline), (worker.id, 1, None, None));
    let lasts = lease.expires_at - lease.leased_at;
    assert!((lasts - chrono::Duration::seconds(60)).num_milliseconds().abs() < 100, "{lasts}");
    assert!(told.waiting.is_none());

    worker.start(fence).await.unwrap();
    let told = explain(&lab, run).await;
    assert_eq!((told.state, whys(&told)), (RunState::Running, vec![Why::Executing]));
    assert!(told.summary.starts_with("its container runs on w-1 since 20"), "{}", told.summary);
    let lease = told.lease.unwrap();
    // Timeout, grace and a minute.
    let backstop = lease.hard_deadline.unwrap() - lease.started_at.unwrap();
    assert!((backstop - chrono::Duration::seconds(670)).num_seconds().abs() <= 1, "{backstop}");

    lab.cancel(run).await.unwrap();
    let told = explain(&lab, run).await;
    assert_eq!(whys(&told), [Why::Cancelling, Why::Executing]);
    let words = &told.summary;
    assert!(words.starts_with("cancelling was asked for by token:"), "{words}");
    assert!(words.ends_with("; w-1 has still to end the container"), "{words}");
    lab.lapse(run).await;
    assert_eq!(whys(&explain(&lab, run).await), [Why::LeaseOver, Why::Cancelling, Why::Executing]);
}

async fn ends(lab: &Lab, worker: &Worker, fence: Fence, result: RunResult, exit_code: Option<i32>) {
    let outcome = Outcome { result, reason: None, message: None, exit_code, image_digest: None };
    worker.finish_with(fence, outcome, LogSeal::default()).await.unwrap();
    lab.check().await;
}

#[tokio::test]
async fn a_finished_run_says_why_it_ended_and_what_each_attempt_did() {
    let lab = Lab::start().await;
    let worker = lab.worker("w").await;
    let summary = async |run: RunId| {
        let told = explain(&lab, run).await;
        assert_eq!((told.state, whys(&told)), (RunState::Finished, vec![Why::Ended]));
        assert!(told.waiting.is_none() && told.lease.is_none());
        told.summary
    };
    // Given back, failed, passed: three attempts.
    let run = lab.run_of(&[("/retry/on_fail", json!(1))]).await;
    worker.release(worker.one().await, None).await.unwrap();
    ends(&lab, &worker, worker.started().await, RunResult::Fail, Some(3)).await;
    ends(&lab, &worker, worker.started().await, RunResult::Pass, Some(0)).await;
    assert_eq!(summary(run).await, "it passed in attempt 3, after an attempt that did not");
    let told = explain(&lab, run).await;
    assert_eq!((told.result, told.reason), (Some(RunResult::Pass), None));
    let sentences: Vec<_> = told.attempts.iter().map(|attempt| attempt.sentence.clone()).collect();
    assert_eq!(sentences[0], "w gave it back before its container started");
    assert!(
        sentences[1].starts_with("it failed on w after 0.") && sentences[1].ends_with("s: the container exited with 3")
    );
    assert!(
        sentences[2].starts_with("it passed on w after 0.") && sentences[2].ends_with("s: the container exited with 0")
    );
    assert_eq!(told.attempts[1].result, Some(RunResult::Fail));

    let run = lab.run_of(&[]).await;
    ends(&lab, &worker, worker.started().await, RunResult::Fail, Some(7)).await;
    assert_eq!(summary(run).await, "it failed: the container exited with 7");

    let run = lab.run_of(&[("/run_config/timeout", json!("90s"))]).await;
    ends(&lab, &worker, worker.started().await, RunResult::TimedOut, None).await;
    assert_eq!(summary(run).await, "it timed out: the container did not end within its timeout of 90s");

    let run = lab.run_of(&[]).await;
    let outcome = Outcome {
        result: RunResult::Error,
        reason: Some(Reason::ImageNotFound),
        message: Some("manifest unknown".into()),
        exit_code: None,
        image_digest: None,
    };
    worker.finish_with(worker.one().await, outcome, LogSeal::default()).await.unwrap();
    let words = "it ended with an error: the image localhost/none:1 is not there and could not be pulled \
                 (manifest unknown)";
    assert_eq!(summary(run).await, words);
    let told = explain(&lab, run).await;
    assert_eq!((told.reason, told.message.as_deref()), (Some(Reason::ImageNotFound), Some("manifest unknown")));

    let run = lab.run_of(&[]).await;
    lab.cancel(run).await.unwrap();
    let told = summary(run).await;
    assert!(
        told.starts_with("it was cancelled by token:") && told.ends_with(" before its container started"),
        "{told}"
    );

    let run = lab.run_of(&[]).await;
    let fence = worker.started().await;
    lab.cancel(run).await.unwrap();
    ends(&lab, &worker, fence, RunResult::Cancelled, None).await;
    assert_eq!(summary(run).await, "it was cancelled while its container ran");

    let run = lab.run_of(&[("/at_most_once", json!(true))]).await;
    worker.started().await;
    lab.lapse(run).await;
    lab.reap().await;
    let words = "it ended with an error: the worker was not heard of until its lease was over";
    assert_eq!(summary(run).await, words);

    let run = lab.run_of(&[]).await;
    lab.sql("UPDATE ready SET expires_at = clock_timestamp() - interval '1 s' WHERE run_id = $1", run).await;
    lab.expire().await;
    assert_eq!(
        summary(run).await,
        "it ended with an error: no runner took it before its queue deadline (no runner took the run within 86400s)"
    );

    let run = lab.run_of(&[]).await;
    for _ in 0..5 {
        worker.release(worker.one().await, None).await.unwrap();
    }
    let words = "it ended with an error in attempt 5: five leases ended without the container being started";
    assert_eq!(summary(run).await, words);
    assert_eq!(explain(&lab, run).await.attempts.len(), 5);
}

#[tokio::test]
async fn nobody_learns_of_runners_that_serve_only_what_they_do_not_see() {
    let lab = Lab::start().await;
    for namespace in ["team", "secret"] {
        lab.namespace(namespace).await;
    }
    let run = lab.run_of(&[]).await;
    runner(&lab, "everywhere", &[".*"], SelectorSources::default()).await;
    runner(&lab, "of-team", &["team"], SelectorSources::default()).await;
    runner(&lab, "of-secret", &["secret"], SelectorSources::default()).await;
    let names = |told: &Explanation| {
        let mut names: Vec<_> = verdicts(told).into_keys().map(str::to_owned).collect();
        names.sort();
        (names, told.waiting.as_ref().unwrap().counts.iter().map(|count| count.runners).sum::<u32>())
    };
    let list = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>();
    let own = lab.caller(&[Scope::Data], &["default"]);
    assert_eq!(names(&explain_to(&lab, &own, run).await.unwrap()), (list(&["everywhere"]), 1));
    let two = lab.caller(&[Scope::Data], &["default", "team"]);
    assert_eq!(names(&explain_to(&lab, &two, run).await.unwrap()), (list(&["everywhere", "of-team"]), 2));
    assert_eq!(names(&explain(&lab, run).await).1, 3);
    // Nor of runs.
    let foreigner = lab.caller(&[Scope::Data, Scope::Control, Scope::Admin], &["team"]);
    assert_eq!(explain_to(&lab, &foreigner, run).await, Err(ErrorCode::NotFound));
    assert_eq!(explain_to(&lab, &lab.caller(&[Scope::Runner], &[".*"]), run).await, Err(ErrorCode::Forbidden));
}

#[tokio::test]
async fn of_very_many_runners_a_hundred_are_listed_and_all_are_counted() {
    let lab = Lab::start().await;
    let run = lab.run_of(&[("/labels/region", json!("nyc"))]).await;
    lab.worker("the-one").await;
    let many = "INSERT INTO runner (id, name, token_id, namespaces, accept, reject, slots, about, last_seen_at)
                SELECT gen_random_uuid(), 'r' || n, gen_random_uuid(), '{.*}', jsonb_build_object('region', 'r' || n), '{}', 1,
                       '{}', clock_timestamp() - interval '1 day'
                FROM generate_series(1, 400) n";
    lab.execute(many).await.unwrap();
    let told = explain(&lab, run).await;
    let waiting = told.waiting.unwrap();
    assert_eq!(waiting.runners.len(), 100);
    assert_eq!(waiting.runners[0].runner_name, "the-one", "live ones first");
    let counts: Vec<_> = waiting.counts.iter().map(|count| (count.verdict, count.runners)).collect();
    assert_eq!(counts, [(Verdict::NotAccepted, 400), (Verdict::CouldTake, 1)]);
}

#[tokio::test]
async fn a_run_that_waits_for_a_place_says_so_until_it_has_one() {
    let lab = Lab::start().await;
    let worker = runner(&lab, "w", &[".*"], SelectorSources::default()).await;
    let group = json!({"policy": "queue", "group": "shop", "limit": 1, "depth": 5});
    lab.test(factory::with(factory::test("a"), "/concurrency", group)).await;
    let (first, second) = (lab.trigger("a").await[0], lab.trigger("a").await[0]);
    let told = explain(&lab, second).await;
    let reason = &told.reasons[0];
    assert_eq!((reason.why, reason.group.as_deref(), reason.limit), (Why::Concurrency, Some("shop"), Some(1)));
    assert!(told.waiting.unwrap().deadline.is_some());
    let fence = worker.started().await;
    assert_eq!(fence.run_id, first);
    worker.finish(fence, RunResult::Pass).await.unwrap();
    assert_eq!(whys(&explain(&lab, second).await), [Why::Ready]);

    let matrix = json!({"labels": {"n": ["1", "2", "3"]}, "max_parallel": 2});
    lab.test(factory::with(factory::test("m"), "/matrix", matrix)).await;
    let cells = lab.trigger("m").await;
    let mut told = Vec::new();
    for cell in cells {
        told.extend(whys(&explain(&lab, cell).await));
    }
    told.sort_by_key(|why| why.word());
    assert_eq!(told, [Why::MaxParallel, Why::Ready, Why::Ready]);
}
