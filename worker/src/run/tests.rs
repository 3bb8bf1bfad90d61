//! One run against a scripted engine and a scripted API, with the time stopped.

pub(crate) mod tar;

use tstr_shared::artifacts::ReportMode;
use tstr_shared::ids::{LeaseId, RunId};
use tstr_shared::labels::Labels;
use tstr_shared::lease::LeaseTimes;
use tstr_shared::logs::Stream;
use tstr_shared::namespace::Namespace;
use tstr_shared::run::RunResult;
use tstr_shared::runner::NewRunner;
use tstr_shared::selector::SelectorSources;
use tstr_shared::size::Bytes;
use tstr_shared::testdef::RunConfig;
use uuid::Uuid;

use super::*;
use crate::agent::Agent;
use crate::clock::Clock;
use crate::control::fake::FakeControl;
use crate::engine::fake::{FakeEngine, Script};
use crate::health::Disk;

pub(crate) const IMAGE: &str = "localhost/test:1";

pub(crate) fn leased(image: &str) -> LeasedRun {
    LeasedRun {
        fence: Fence { run_id: RunId(Uuid::now_v7()), attempt: 1, lease_id: LeaseId(Uuid::new_v4()) },
        ttl: LeaseTimes::TEST.ttl,
        namespace: Namespace::parse("default").unwrap(),
        test_name: "t".into(),
        cell: Labels::default(),
        labels: Labels::default(),
        run_config: RunConfig::of_image(image),
        log_limit_bytes: 1 << 20,
        log_tail_bytes: 1 << 18,
        artifact_limit_bytes: 1 << 28,
        artifact_paths: Vec::new(),
        report: ReportMode::Auto,
    }
}

pub(crate) struct Bench {
    pub(crate) control: Arc<FakeControl>,
    pub(crate) engine: FakeEngine,
    pub(crate) stops: Stops,
    verdict: Verdict,
    work: tokio::task::JoinHandle<()>,
    spool: tempfile::TempDir,
}

impl Bench {
    pub(crate) fn new(engine: FakeEngine) -> Self {
        Self::with_slots(engine, 2)
    }

    fn with_slots(engine: FakeEngine, slots: u16) -> Self {
        let (control, spool) = (Arc::new(FakeControl::new()), tempfile::tempdir().unwrap());
        let (stops, verdict) = (Stops::default(), Verdict::default());
        let id = RunnerId(Uuid::now_v7());
        let shared = Arc::new(Shared {
            id,
            control: control.clone(),
            engine: Arc::new(engine.clone()),
            guard: Guard::none(),
            health: Health::new(Disk::new(spool.path().to_owned(), Some(Bytes(0))), Clock::tokio(), 0),
            book: LeaseBook::new(Clock::tokio(), LeaseTimes::TEST),
            spool_dir: spool.path().to_owned(),
            starts: Semaphore::new(PARALLEL_STARTS),
            stops: stops.clone(),
            tracker: TaskTracker::new(),
            limits: LimitsMode::Warn,
            verdict: verdict.clone(),
        });
        let me = NewRunner {
            id,
            name: "w".into(),
            selectors: SelectorSources::default(),
            slots,
            about: tstr_shared::runner::RunnerAbout::default(),
        };
        let work = tokio::spawn(Agent { shared, me, attempts: TaskTracker::new() }.work());
        Self { control, engine, stops, verdict, work, spool }
    }

    /// Runs one run to its reported end.
    pub(crate) async fn outcome(&self, run: LeasedRun) -> (Outcome, tstr_shared::logs::LogSeal) {
        let fence = run.fence;
        self.control.queue(run);
        self.control.until(|control| control.finished(fence).is_some()).await;
        self.control.finished(fence).unwrap()
    }

    /// Begins a run; returns when its container runs.
    pub(crate) async fn running(&self, run: LeasedRun) -> Fence {
        let fence = run.fence;
        self.control.queue(run);
        let start = format!("start {}", prepare::container_name(fence));
        while !self.engine.events().contains(&start) {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        fence
    }

    /// Waits until the worker has nothing left of a run.
    pub(crate) async fn cleaned_up(&self, fence: Fence) {
        let remove = format!("remove {}", prepare::container_name(fence));
        while !self.engine.events().contains(&remove) || !self.engine.containers().is_empty() || self.spools() > 0 {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }

    fn spools(&self) -> usize {
        std::fs::read_dir(self.spool.path()).unwrap().count()
    }

    pub(crate) async fn stop(mut self) {
        self.stops.drain();
        (&mut self.work).await.unwrap();
        assert!(self.engine.containers().is_empty(), "a container was left behind");
        assert_eq!(self.spools(), 0, "a spool was left behind");
    }
}

fn events_of(bench: &Bench, fence: Fence) -> Vec<String> {
    let name = prepare::container_name(fence);
    let mine = bench.engine.events().into_iter().filter(|event| event.ends_with(&name));
    mine.map(|event| event.split(' ').next().unwrap().to_owned()).collect()
}

#[tokio::test(start_paused = true)]
async fn a_run_passes_with_its_whole_log_and_nothing_is_left() {
    let bench = Bench::new(FakeEngine::new().with(IMAGE, Script::writes("hello\n", 0)));
    let run = leased(IMAGE);
    let fence = run.fence;
    let (outcome, seal) = bench.outcome(run).await;
    assert_eq!((outcome.result, outcome.exit_code), (RunResult::Pass, Some(0)));
    assert_eq!(outcome.image_digest.as_deref(), Some("sha256:fake"));
    assert_eq!(bench.control.log(fence, Stream::Stdout), b"hello\n");
    assert_eq!((seal.stdout.bytes, seal.incomplete), (6, false));
    bench.cleaned_up(fence).await;
    assert_eq!(events_of(&bench, fence), ["create", "start", "remove"]);
    bench.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_container_never_starts_before_the_permission() {
    let bench = Bench::new(FakeEngine::new().with(IMAGE, Script::writes("", 0)));
    let run = leased(IMAGE);
    let fence = run.fence;
    bench.control.take_lease_away(fence);
    bench.control.queue(run);
    bench.cleaned_up(fence).await;
    assert!(!events_of(&bench, fence).contains(&"start".to_owned()));
    assert!(bench.control.finished(fence).is_none() && bench.control.released(fence).is_none());
    bench.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_stale_lease_kills_the_container_and_reports_nothing() {
    let bench = Bench::new(FakeEngine::new().with(IMAGE, Script { ignores_term: true, ..Script::runs_on() }));
    let fence = bench.running(leased(IMAGE)).await;
    bench.control.take_lease_away(fence);
    bench.cleaned_up(fence).await;
    assert_eq!(events_of(&bench, fence), ["create", "start", "term", "kill", "remove"]);
    assert!(bench.control.finished(fence).is_none() && bench.control.released(fence).is_none());
    bench.stop().await;
}

#[tokio::test(start_paused = true)]
async fn an_api_that_is_gone_ends_the_container_in_time_and_its_lease_is_not_mentioned_again() {
    let bench = Bench::new(FakeEngine::new().with(IMAGE, Script { ignores_term: true, ..Script::runs_on() }));
    let fence = bench.running(leased(IMAGE)).await;
    let since = tokio::time::Instant::now();
    bench.control.set_away(true);
    bench.cleaned_up(fence).await;
    let times = LeaseTimes::TEST;
    assert!(
        since.elapsed() <= times.self_fence + times.fence_grace + Duration::from_millis(100),
        "{:?}",
        since.elapsed()
    );
    let before = bench.control.heartbeats().len();
    bench.control.set_away(false);
    bench.control.until(|control| control.heartbeats().len() > before + 1).await;
    assert!(bench.control.heartbeats()[before..].iter().all(Vec::is_empty));
    assert!(bench.control.finished(fence).is_none() && bench.control.released(fence).is_none());
    bench.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_short_absence_of_the_api_costs_nothing() {
    let script = Script { runs_for: Some(Duration::from_secs(2)), ..Script::writes("x\n", 3) };
    let bench = Bench::new(FakeEngine::new().with(IMAGE, script));
    let fence = bench.running(leased(IMAGE)).await;
    bench.control.set_away(true);
    tokio::time::sleep(Duration::from_secs(30)).await;
    bench.control.set_away(false);
    bench.control.until(|control| control.finished(fence).is_some()).await;
    let (outcome, seal) = bench.control.finished(fence).unwrap();
    assert_eq!((outcome.result, outcome.exit_code, seal.incomplete), (RunResult::Fail, Some(3), false));
    assert_eq!(bench.control.log(fence, Stream::Stdout), b"x\n");
    bench.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_cancelled_run_gets_its_grace_and_is_reported_as_cancelled() {
    let bench = Bench::new(FakeEngine::new().with(IMAGE, Script { ignores_term: true, ..Script::runs_on() }));
    let fence = bench.running(leased(IMAGE)).await;
    let since = tokio::time::Instant::now();
    bench.control.cancel(fence);
    bench.control.until(|control| control.finished(fence).is_some()).await;
    let (outcome, _) = bench.control.finished(fence).unwrap();
    assert_eq!((outcome.result, outcome.exit_code), (RunResult::Cancelled, Some(137)));
    assert!(since.elapsed() >= Duration::from_secs(10) && since.elapsed() < Duration::from_secs(12));
    bench.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_run_that_takes_too_long_is_timed_out() {
    let bench = Bench::new(FakeEngine::new().with(IMAGE, Script::runs_on()));
    let mut run = leased(IMAGE);
    run.run_config.timeout = tstr_shared::duration::Seconds(7);
    let fence = run.fence;
    let (outcome, _) = bench.outcome(run).await;
    assert_eq!((outcome.result, outcome.exit_code), (RunResult::TimedOut, Some(143)));
    bench.cleaned_up(fence).await;
    assert_eq!(events_of(&bench, fence), ["create", "start", "term", "remove"]);
    bench.stop().await;
}

#[tokio::test(start_paused = true)]
async fn an_engine_that_does_not_answer_before_the_start_gives_the_lease_back() {
    let fault = EngineError::Unreachable("no socket".into());
    let script = Script { create_fault: Some(fault), ..Script::default() };
    let bench = Bench::new(FakeEngine::new().with(IMAGE, script));
    let run = leased(IMAGE);
    let fence = run.fence;
    bench.control.queue(run);
    bench.control.until(|control| control.released(fence).is_some()).await;
    let release = bench.control.released(fence).unwrap();
    assert_eq!(release.reason, None);
    assert!(release.message.contains("no socket"), "{}", release.message);
    assert!(!bench.control.started(fence));
    bench.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_full_disk_of_the_engine_costs_nothing_before_the_start_is_permitted_and_an_attempt_after_it() {
    // As Podman 4.3 says it: of a start it notes the new state only once the container has begun.
    let full = |doing: &str| Some(EngineError::Refused(format!("{doing}: no space left on device")));
    let create = Script { create_fault: full("creating volume directory: mkdir /w/volumes/x"), ..Script::default() };
    let start = Script { start_fault: full("saving container state: write /w/bolt_state.db"), ..Script::default() };
    let bench = Bench::new(FakeEngine::new().with("localhost/a", create).with("localhost/b", start));
    for (image, started, reason) in [("localhost/a", false, None), ("localhost/b", true, Some(Reason::DiskFull))] {
        let run = leased(image);
        let fence = run.fence;
        bench.control.queue(run);
        bench.control.until(|control| control.released(fence).is_some()).await;
        let release = bench.control.released(fence).unwrap();
        assert_eq!((bench.control.started(fence), release.reason), (started, reason), "{}", release.message);
        assert!(release.message.contains("no space left on device"), "{}", release.message);
    }
    bench.stop().await;
}

#[tokio::test(start_paused = true)]
async fn what_the_engine_refuses_is_an_error_of_the_run() {
    let refused = |text: &str| Some(EngineError::Refused(text.into()));
    let create = Script { create_fault: refused("bad option"), ..Script::default() };
    let start = Script { start_fault: refused("workdir does not exist"), ..Script::default() };
    let bench = Bench::new(FakeEngine::new().with("localhost/a", create).with("localhost/b", start));
    for image in ["localhost/a", "localhost/b"] {
        let (outcome, _) = bench.outcome(leased(image)).await;
        assert_eq!((outcome.result, outcome.reason), (RunResult::Error, Some(Reason::StartFailed)), "{image}");
    }
    let (outcome, _) = bench.outcome(leased("localhost/missing")).await;
    assert_eq!(outcome.reason, Some(Reason::ImageNotFound));
    let (outcome, _) = bench.outcome(leased("registry.example/missing:1")).await;
    assert_eq!(outcome.reason, Some(Reason::ImageNotFound));
    assert!(outcome.message.unwrap().contains("manifest unknown"));
    bench.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_sentence_of_any_length_does_not_cost_the_result() {
    let fault = EngineError::Refused("runc: \0 bad ".repeat(2000));
    let script = Script { start_fault: Some(fault), ..Script::default() };
    let bench = Bench::new(FakeEngine::new().with(IMAGE, script));
    let (outcome, _) = bench.outcome(leased(IMAGE)).await;
    assert_eq!(outcome.reason, Some(Reason::StartFailed));
    bench.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_cancel_that_overtakes_the_answer_to_the_start_is_reported_and_nothing_is_started() {
    // Only what was permitted to start is cancelled by a heartbeat: the answer is on its way.
    let bench = Bench::new(FakeEngine::new().with(IMAGE, Script::runs_on()));
    let run = leased(IMAGE);
    let fence = run.fence;
    bench.control.cancel(fence);
    bench.control.hold_starts(true);
    bench.control.queue(run);
    bench.control.until(|control| control.finished(fence).is_some()).await;
    let (outcome, _) = bench.control.finished(fence).unwrap();
    assert_eq!((outcome.result, outcome.exit_code), (RunResult::Cancelled, None));
    assert!(bench.control.released(fence).is_none());
    bench.cleaned_up(fence).await;
    bench.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_stop_while_the_permission_is_asked_for_gives_the_lease_back_whether_or_not_it_was_given() {
    let bench = Bench::new(FakeEngine::new().with(IMAGE, Script::runs_on()));
    let run = leased(IMAGE);
    let fence = run.fence;
    bench.control.hold_starts(true);
    bench.control.queue(run);
    while bench.engine.containers().is_empty() {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    bench.stops.stop_now();
    let control = bench.control.clone();
    bench.stop().await;
    assert_eq!(control.released(fence).unwrap().reason, Some(Reason::RuntimeLost));
}

#[tokio::test(start_paused = true)]
async fn images_are_pulled_as_the_test_says() {
    let script = Script { must_be_pulled: true, ..Script::writes("", 0) };
    let bench = Bench::new(FakeEngine::new().with("r.example/x", script));
    let mut never = leased("r.example/x");
    never.run_config.pull = Pull::Never;
    assert_eq!(bench.outcome(never).await.0.reason, Some(Reason::ImageNotFound));
    assert_eq!(bench.outcome(leased("r.example/x")).await.0.result, RunResult::Pass);
    bench.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_dead_monitor_makes_the_attempt_a_loss() {
    let bench = Bench::new(FakeEngine::new().with(IMAGE, Script::runs_on()));
    let fence = bench.running(leased(IMAGE)).await;
    bench.engine.lose_monitor(&prepare::container_name(fence));
    bench.control.until(|control| control.released(fence).is_some()).await;
    let release = bench.control.released(fence).unwrap();
    assert_eq!(release.reason, Some(Reason::RuntimeLost));
    assert!(release.seal.incomplete);
    bench.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_broken_connection_to_the_output_costs_output_and_not_the_result() {
    let bench = Bench::new(
        FakeEngine::new().with(IMAGE, Script { runs_for: Some(Duration::from_secs(9)), ..Script::writes("a\n", 4) }),
    );
    let fence = bench.running(leased(IMAGE)).await;
    bench.engine.break_output(&prepare::container_name(fence));
    bench.control.until(|control| control.finished(fence).is_some()).await;
    let (outcome, seal) = bench.control.finished(fence).unwrap();
    assert_eq!((outcome.exit_code, seal.incomplete), (Some(4), true));
    bench.stop().await;
}

#[tokio::test(start_paused = true)]
async fn log_bytes_that_the_server_lost_are_sent_again_before_the_result() {
    let output =
        (0..200).map(|i| (if i % 2 == 0 { Stream::Stdout } else { Stream::Stderr }, format!("{i}\n").into_bytes()));
    let script = Script { output: output.collect(), ..Script::writes("", 0) };
    let bench = Bench::new(FakeEngine::new().with(IMAGE, script));
    let run = leased(IMAGE);
    let fence = run.fence;
    bench.control.lose_log_tail(fence, 20);
    let (_, seal) = bench.outcome(run).await;
    assert!(!seal.incomplete);
    assert_eq!(bench.control.log(fence, Stream::Stdout).len() as u64, seal.stdout.bytes);
    bench.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_result_is_not_withheld_for_a_log_that_cannot_be_handed_over() {
    let bench = Bench::new(FakeEngine::new().with(IMAGE, Script::writes("lost\n", 0)));
    let run = leased(IMAGE);
    bench.control.swallow_log(run.fence);
    let since = tokio::time::Instant::now();
    let (outcome, seal) = bench.outcome(run).await;
    assert_eq!((outcome.result, seal.incomplete), (RunResult::Pass, true));
    assert!((100..140).contains(&since.elapsed().as_secs()), "{:?}", since.elapsed());
    bench.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_refused_token_ends_everything_and_is_the_workers_end() {
    let bench = Bench::new(FakeEngine::new().with(IMAGE, Script::runs_on()));
    let fence = bench.running(leased(IMAGE)).await;
    bench.control.refuse_token();
    let why = bench.verdict.heard().await;
    assert!(why.contains("revoked"), "{why}");
    bench.cleaned_up(fence).await;
    assert!(bench.control.finished(fence).is_none() && bench.control.released(fence).is_none());
    bench.stop().await;
}

#[tokio::test(start_paused = true)]
async fn draining_lets_a_run_end_and_takes_no_other() {
    let script = Script { runs_for: Some(Duration::from_secs(5)), ..Script::writes("", 0) };
    let bench = Bench::with_slots(FakeEngine::new().with(IMAGE, script), 1);
    let fence = bench.running(leased(IMAGE)).await;
    let waiting = leased(IMAGE);
    let other = waiting.fence;
    bench.control.queue(waiting);
    bench.stops.drain();
    let control = bench.control.clone();
    bench.stop().await;
    assert_eq!(control.finished(fence).unwrap().0.result, RunResult::Pass);
    assert!(control.finished(other).is_none() && !control.started(other));
}

#[tokio::test(start_paused = true)]
async fn a_stop_at_once_ends_what_runs_and_gives_it_back_as_lost() {
    let bench = Bench::new(FakeEngine::new().with(IMAGE, Script { ignores_term: true, ..Script::runs_on() }));
    let fence = bench.running(leased(IMAGE)).await;
    bench.stops.stop_now();
    let control = bench.control.clone();
    bench.stop().await;
    let release = control.released(fence).unwrap();
    assert_eq!((release.reason, release.message.as_str()), (Some(Reason::RuntimeLost), "the worker was stopped"));
}

#[tokio::test(start_paused = true)]
async fn a_runner_that_was_told_to_drain_claims_nothing_until_it_may_again() {
    let bench = Bench::new(FakeEngine::new().with(IMAGE, Script::writes("", 0)));
    bench.control.set_draining(true);
    bench.control.until(|control| control.heartbeats().len() > 2).await;
    // The claim that was waiting when the drain began may still be answered; the one after it must not be made.
    let first = leased(IMAGE);
    bench.control.queue(first.clone());
    tokio::time::sleep(Duration::from_secs(30)).await;
    let second = leased(IMAGE);
    let fence = second.fence;
    bench.control.queue(second);
    tokio::time::sleep(Duration::from_secs(30)).await;
    assert!(!bench.control.started(fence));
    bench.control.set_draining(false);
    bench.control.until(|control| control.finished(fence).is_some()).await;
    bench.stop().await;
}

#[tokio::test(start_paused = true)]
async fn as_many_runs_as_slots_execute_at_once() {
    let bench = Bench::with_slots(
        FakeEngine::new().with(IMAGE, Script { runs_for: Some(Duration::from_secs(60)), ..Script::writes("", 0) }),
        3,
    );
    let runs: Vec<_> = (0..5).map(|_| leased(IMAGE)).collect();
    let fences: Vec<_> = runs.iter().map(|run| run.fence).collect();
    for run in runs {
        bench.control.queue(run);
    }
    tokio::time::sleep(Duration::from_secs(20)).await;
    assert_eq!(bench.engine.containers().len(), 3);
    bench.control.until(|control| fences.iter().all(|fence| control.finished(*fence).is_some())).await;
    bench.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_machine_whose_engine_fails_takes_nothing_for_a_while_and_then_one_run() {
    let fault = EngineError::Unreachable("no socket".into());
    let engine = FakeEngine::new()
        .with("localhost/broken", Script { create_fault: Some(fault), ..Script::default() })
        .with(IMAGE, Script::writes("", 0));
    let bench = Bench::with_slots(engine, 1);
    let queue = |image| {
        let run = leased(image);
        let fence = run.fence;
        bench.control.queue(run);
        fence
    };
    let broken: Vec<_> = (0..4).map(|_| queue("localhost/broken")).collect();
    let good: Vec<_> = (0..2).map(|_| queue(IMAGE)).collect();
    let since = tokio::time::Instant::now();
    bench.control.until(|control| control.released(broken[2]).is_some()).await;
    assert!(since.elapsed() < Duration::from_secs(2), "{:?}", since.elapsed());
    bench.control.until(|control| control.released(broken[3]).is_some()).await;
    assert!((7..12).contains(&since.elapsed().as_secs()), "a pause, then a probe: {:?}", since.elapsed());
    bench.control.until(|control| control.finished(good[0]).is_some()).await;
    assert!((23..33).contains(&since.elapsed().as_secs()), "a longer pause: {:?}", since.elapsed());
    bench.control.until(|control| control.finished(good[1]).is_some()).await;
    assert!(since.elapsed() < Duration::from_secs(35), "as before: {:?}", since.elapsed());
    bench.stop().await;
}
