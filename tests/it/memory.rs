//! The memory of tests and cases on a real PostgreSQL: what a run changed and since when, flaky and broken with their reasons,
//! strips, histories, and that the order in which ends are told does not matter.

mod grid;

use proptest::prelude::*;
use proptest::strategy::ValueTree;
use proptest::test_runner::{Config, TestRunner};
use serde_json::json;
use tstr_api::turns;
use tstr_shared::analysis::flaky::Status;
use tstr_shared::analysis::history::Standing;
use tstr_shared::health::{CaseState, RunChanges, StateFilter};
use tstr_shared::ids::{RunId, RunnerId};
use tstr_shared::labels::Labels;
use tstr_shared::namespace::Namespace;
use tstr_shared::page::PageRequest;
use tstr_shared::run::{Reason, RetryRun, RunResult, TriggerRun};
use tstr_tests::Lab;
use tstr_tests::contract::Worker;

/// A report of cases, by their names and whether they pass: `+` passes, `-` fails, `~` passes after a failure, `?` is skipped.
fn report(cases: &str) -> String {
    let case = |word: &str| {
        let (name, how) = word.split_at(word.len() - 1);
        let inside = match how {
            "-" => "<failure message='no'/>",
            "~" => "<flakyFailure message='at first'/>",
            "?" => "<skipped/>",
            _ => "",
        };
        format!("<testcase classname='C' name='{name}'>{inside}</testcase>")
    };
    format!("<testsuite name='s'>{}</testsuite>", cases.split(' ').map(case).collect::<String>())
}

struct Bench {
    lab: Lab,
    worker: Worker,
    first: RunId,
}

impl Bench {
    /// Makes a test; its first run waits.
    async fn new() -> Self {
        Self::of(&[]).await
    }

    /// Makes such a test.
    async fn of(changes: &[(&str, serde_json::Value)]) -> Self {
        let lab = Lab::start().await;
        let worker = lab.worker("w").await;
        let first = lab.run_of(changes).await;
        Self { lab, worker, first }
    }

    /// Ends the next run with these cases, and lets it be taken in.
    async fn run(&self, cases: &str) -> RunId {
        let run = self.run_untold(cases).await;
        self.tell().await;
        run
    }

    async fn run_untold(&self, cases: &str) -> RunId {
        let fence = self.worker.started().await;
        self.worker.end_with(fence, RunResult::Pass, &[("a.xml", &report(cases))]).await;
        self.lab.ops().retry_run(&self.lab.admin, self.first, RetryRun::default(), None).await.unwrap();
        fence.run_id
    }

    async fn tell(&self) {
        while turns::digest(self.lab.ops()).await.unwrap() > 0 {}
        while turns::remember_run(self.lab.ops()).await.unwrap() {}
    }

    async fn changes(&self, run: RunId) -> RunChanges {
        self.lab.ops().run_changes(&self.lab.admin, run).await.unwrap()
    }

    /// Returns what a run changed, as words.
    async fn words(&self, run: RunId) -> Vec<String> {
        let changes = self.changes(run).await;
        assert!(changes.told);
        let word = |change: &tstr_shared::health::CaseChange| {
            format!("{} {} {}", change.key.name, change.standing, change.since.map_or(0, |since| since.runs))
        };
        changes.items.iter().map(word).collect()
    }

    async fn test(&self) -> String {
        self.lab.get(self.first).await.test_id.to_string()
    }

    async fn cases(&self, filter: StateFilter) -> Vec<CaseState> {
        let page = PageRequest { size: 1000, token: String::new() };
        let test = self.test().await;
        self.lab.ops().list_cases(&self.lab.admin, &ns(), &test, filter, page).await.unwrap().items
    }
}

fn ns() -> Namespace {
    Namespace::parse("default").unwrap()
}

#[tokio::test]
async fn a_run_says_what_it_changed_and_since_when() {
    let bench = Bench::new().await;
    let one = bench.run("a+ b- c?").await;
    assert_eq!(bench.words(one).await, ["b new 1"], "a failure that was never seen to pass is new");
    let two = bench.run("a+ b- c?").await;
    assert_eq!(bench.words(two).await, ["b still_failing 2"]);
    let three = bench.run("a- b? c+").await;
    assert_eq!(bench.words(three).await, ["a new 1"], "skipping says nothing");
    let four = bench.run("a- b- c+").await;
    assert_eq!(bench.words(four).await, ["a still_failing 2", "b still_failing 3"]);
    let changes = bench.changes(four).await;
    assert_eq!((changes.new, changes.still_failing, changes.fixed), (0, 2, 0));
    let since = changes.items[0].since.unwrap();
    assert_eq!((since.first.run_id, since.runs), (three, 2));
    let five = bench.run("a+ b+ c+").await;
    assert_eq!(bench.words(five).await, ["a fixed 1", "b fixed 1"]);
    let fixed = &bench.changes(five).await.items[1];
    assert_eq!(fixed.failed_since.unwrap().first.run_id, one);
    // What is not there any more is missing, and after three whole reports removed, once.
    for says in ["c missing 1", "c missing 2", "c removed 3"] {
        let run = bench.run("a+ b+").await;
        assert_eq!(bench.words(run).await, [says]);
    }
    let run = bench.run("a+ b+").await;
    assert!(bench.words(run).await.is_empty());
    let missing = StateFilter { standings: vec![Standing::Removed], ..StateFilter::default() };
    assert_eq!(bench.cases(missing).await[0].key.name, "c");
    // A run without any report lacks all of them.
    let fence = bench.worker.started().await;
    bench.worker.finish(fence, RunResult::Fail).await.unwrap();
    bench.tell().await;
    assert_eq!(bench.words(fence.run_id).await, ["a missing 1", "b missing 1"]);
    bench.lab.check().await;
}

#[tokio::test]
async fn a_case_has_a_history_in_each_cell_and_across_them() {
    let lab = Lab::start().await;
    let worker = lab.worker("w").await;
    let first = lab.run_of(&[("/matrix", json!({"labels": {"region": ["nyc", "sfo"]}}))]).await;
    let test = lab.get(first).await.test_id.to_string();
    let mut runs = Vec::new();
    for (round, cases) in ["a+", "a-", "a+"].iter().enumerate() {
        if round > 0 {
            lab.ops().trigger(&lab.admin, &ns(), &test, TriggerRun::default(), None).await.unwrap();
        }
        for _ in 0..2 {
            let fence = worker.started().await;
            let cell = lab.get(fence.run_id).await.cell;
            let cases = if cell.0["region"] == "nyc" { "a+" } else { cases };
            worker.end_with(fence, RunResult::Pass, &[("a.xml", &report(cases))]).await;
            runs.push(fence.run_id);
        }
    }
    while turns::digest(lab.ops()).await.unwrap() > 0 {}
    while turns::remember_run(lab.ops()).await.unwrap() {}
    let all = PageRequest { size: 1000, token: String::new() };
    let states =
        lab.ops().list_cases(&lab.admin, &ns(), &test, StateFilter::default(), all.clone()).await.unwrap().items;
    assert_eq!(states.len(), 2, "one case in two cells");
    assert_eq!(states[0].case_id, states[1].case_id);
    let case = states[0].case_id;
    let mut standings: Vec<_> = states.iter().map(|it| (it.cell.text(), it.standing)).collect();
    standings.sort();
    assert_eq!(standings, [("region=nyc".into(), Standing::Passing), ("region=sfo".into(), Standing::Fixed)]);
    assert_eq!(lab.ops().get_case(&lab.admin, &ns(), &test, case).await.unwrap().len(), 2);

    let cell: Labels = [("region".to_owned(), "sfo".to_owned())].into_iter().collect();
    let history = lab.ops().case_history(&lab.admin, &ns(), &test, case, Some(cell), all).await.unwrap().items;
    let words: Vec<_> = history.iter().map(|run| run.status.word()).collect();
    assert_eq!(words, ["pass", "fail", "pass"], "the newest first");
    assert_eq!(history[1].message.as_deref(), Some("no"));
    // Page by page and across the cells every run comes once, the newest first.
    let (mut seen, mut token) = (Vec::new(), String::new());
    loop {
        let page = PageRequest { size: 4, token };
        let page = lab.ops().case_history(&lab.admin, &ns(), &test, case, None, page).await.unwrap();
        seen.extend(page.items.into_iter().map(|run| run.run_id));
        let Some(next) = page.next_page_token else { break };
        token = next;
    }
    runs.sort();
    runs.reverse();
    assert_eq!(seen, runs);
    let nothing = tstr_shared::report::CaseId(uuid::Uuid::new_v4());
    let missing = lab.ops().get_case(&lab.admin, &ns(), &test, nothing).await;
    assert_eq!(missing.unwrap_err().code(), tstr_shared::error::ErrorCode::NotFound);
}

#[tokio::test]
async fn a_case_that_passes_after_a_failure_is_flaky_and_one_that_only_fails_is_broken() {
    let bench = Bench::new().await;
    for cases in ["w+ b+ h+ x+ y+", "w~ b- h+ x+ y+", "w+ b- h+ x+ y+", "w+ b- h+ x+ y+", "w+ b- h+ x+ y+"] {
        bench.run(cases).await;
    }
    let of = |status| StateFilter { statuses: vec![status], ..StateFilter::default() };
    let flaky = bench.cases(of(Status::Flaky)).await;
    assert_eq!(flaky.iter().map(|case| case.key.name.as_str()).collect::<Vec<_>>(), ["w"]);
    let finding = flaky[0].findings.iter().find(|finding| finding.state.active).unwrap();
    assert_eq!((finding.monitor.as_str(), finding.runs.len()), ("retry", 1), "it says by which run");
    let broken = bench.cases(of(Status::Broken)).await;
    assert_eq!(broken.iter().map(|case| case.key.name.as_str()).collect::<Vec<_>>(), ["b"]);
    // Mended, it is neither.
    bench.run("w+ b+ h+ x+ y+").await;
    assert!(bench.cases(of(Status::Broken)).await.is_empty());
    assert_eq!(bench.cases(of(Status::Healthy)).await.len(), 4);
}

#[tokio::test]
async fn a_run_in_which_nearly_all_fails_makes_nothing_flaky() {
    let bench = Bench::new().await;
    for cases in ["a+ b+ c+ d+ e+", "a- b- c- d- e-", "a+ b+ c+ d+ e+", "a- b- c- d- e-", "a+ b+ c+ d+ e+"] {
        bench.run(cases).await;
    }
    let flaky = StateFilter { statuses: vec![Status::Flaky, Status::Broken], ..StateFilter::default() };
    assert!(bench.cases(flaky).await.is_empty());
}

#[tokio::test]
async fn a_test_has_strips_and_a_status_with_its_reasons() {
    let bench = Bench::new().await;
    let ends = [
        (RunResult::Pass, None),
        (RunResult::Fail, None),
        (RunResult::Error, Some(Reason::StartFailed)),
        (RunResult::TimedOut, None),
        (RunResult::Fail, None),
        (RunResult::Fail, None),
    ];
    for (result, _) in ends {
        let fence = bench.worker.started().await;
        bench.worker.finish(fence, result).await.unwrap();
        bench.lab.ops().retry_run(&bench.lab.admin, bench.first, RetryRun::default(), None).await.unwrap();
    }
    bench.tell().await;
    let test = bench.test().await;
    let cells = bench.lab.ops().test_cells(&bench.lab.admin, &ns(), &test).await.unwrap();
    assert_eq!((cells.len(), cells[0].strip.as_str(), cells[0].status), (1, "pfetff", Status::Broken));
    let active: Vec<_> = cells[0].findings.iter().filter(|it| it.state.active).map(|it| it.monitor.as_str()).collect();
    assert_eq!(active, ["failures_in_row"], "an error of the infrastructure is none of the test's");
    assert_eq!((cells[0].last_result, cells[0].findings[4].runs.len()), (Some(RunResult::Fail), 4));
    let page = PageRequest::default();
    let states = bench.lab.ops().list_states(&bench.lab.admin, &ns(), page).await.unwrap().items;
    let state = states.iter().find(|state| state.test_id.to_string() == test).unwrap();
    assert_eq!((state.status, state.cells[0].strip.as_str()), (Status::Broken, "pfetff"));
}

#[tokio::test]
async fn a_page_of_states_ends_where_it_would_have_too_many_cells() {
    let lab = Lab::start().await;
    for (name, cells) in [("a", 700), ("b", 700), ("c", 1)] {
        let test = lab.test(tstr_tests::factory::test(name)).await.id;
        let insert = format!(
            "INSERT INTO cell (ns_id, test_id, labels_hash, labels)
             SELECT ns_id, id, decode(lpad(to_hex(n), 32, '0'), 'hex'), jsonb_build_object('n', n::text)
             FROM test, generate_series(1, {cells}) n WHERE id = '{test}'"
        );
        lab.execute(&insert).await.unwrap();
    }
    let (mut token, mut pages) = (String::new(), Vec::new());
    loop {
        let request = PageRequest { size: 3, token };
        let page = lab.ops().list_states(&lab.admin, &ns(), request).await.unwrap();
        pages.push(page.items.iter().map(|test| (test.name.clone(), test.cells.len())).collect::<Vec<_>>());
        match page.next_page_token {
            Some(next) => token = next,
            None => break,
        }
    }
    let test = |name: &str, cells| (name.to_owned(), cells);
    assert_eq!(pages, [vec![test("a", 700)], vec![test("b", 700), test("c", 1)]]);
}

#[tokio::test]
async fn failures_on_a_runner_whose_control_fails_say_nothing() {
    let lab = Lab::start().await;
    let worker = lab.worker("w").await;
    let control = lab.run_of(&[("/annotations", json!({"tstr.control": "true"}))]).await;
    let fence = worker.started().await;
    worker.finish(fence, RunResult::Fail).await.unwrap();
    let first = lab.run_of(&[]).await;
    for _ in 0..4 {
        let fence = worker.started().await;
        worker.finish(fence, RunResult::Fail).await.unwrap();
        lab.ops().retry_run(&lab.admin, first, RetryRun::default(), None).await.unwrap();
    }
    while turns::digest(lab.ops()).await.unwrap() > 0 {}
    let status = async |run| {
        let test = lab.get(run).await.test_id.to_string();
        lab.ops().test_cells(&lab.admin, &ns(), &test).await.unwrap()[0].status
    };
    assert_eq!(status(first).await, Status::Healthy, "the runner was broken");
    let outages = async |of| lab.ops().list_outages(&lab.admin, &ns(), of, PageRequest::default()).await.unwrap().items;
    let open = outages(Some(worker.id)).await;
    assert_eq!((open.len(), open[0].runner_name.as_str(), open[0].until), (1, "w", None));
    assert!(open[0].failed_at.unwrap() >= open[0].since, "{open:?}");
    assert_eq!(outages(Some(RunnerId(uuid::Uuid::now_v7()))).await, []);
    // The control passes again: from now on failures count.
    let fence = worker.started().await;
    worker.finish(fence, RunResult::Fail).await.unwrap();
    lab.ops().retry_run(&lab.admin, control, RetryRun::default(), None).await.unwrap();
    let fence = worker.started().await;
    worker.finish(fence, RunResult::Pass).await.unwrap();
    for _ in 0..4 {
        lab.ops().retry_run(&lab.admin, first, RetryRun::default(), None).await.unwrap();
        let fence = worker.started().await;
        worker.finish(fence, RunResult::Fail).await.unwrap();
    }
    while turns::digest(lab.ops()).await.unwrap() > 0 {}
    assert_eq!(status(first).await, Status::Broken);
    let ended = outages(None).await;
    assert_eq!((ended.len(), ended[0].since, ended[0].failed_at), (1, open[0].since, None));
    assert!(ended[0].until.unwrap() > open[0].failed_at.unwrap(), "{ended:?}");
}

#[tokio::test]
async fn what_no_run_has_any_more_is_forgotten() {
    let bench = Bench::new().await;
    bench.run("a+ b-").await;
    let mut conn = bench.lab.db.connect().await;
    let counts = async |conn: &mut sqlx::PgConnection| -> (i64, i64, i64) {
        let count =
            "SELECT (SELECT count(*) FROM case_state), (SELECT count(*) FROM cell), (SELECT count(*) FROM case_key)";
        sqlx::query_as(count).fetch_one(conn).await.unwrap()
    };
    turns::keep_house(bench.lab.ops()).await.unwrap();
    assert_eq!(counts(&mut conn).await, (2, 1, 2), "what is young stays");
    // One of them is not to be run, so that no report will have it.
    let skipped = "INSERT INTO quarantine (test_id, case_id, ns_id, mode, owner, reason, until, created_by)
                   SELECT test_id, case_id, ns_id, 'skip', 'me', 'why', now() + interval '1 day', 'me'
                   FROM case_key WHERE name = 'b'";
    sqlx::query(skipped).execute(&mut conn).await.unwrap();
    // As if all of it had been a year ago; the run itself is still on record.
    for age in [
        "UPDATE case_state SET last_seen_at = last_seen_at - interval '1 year'",
        "UPDATE cell SET last_at = last_at - interval '1 year'",
        "UPDATE case_key SET created_at = created_at - interval '1 year'",
    ] {
        sqlx::query(age).execute(&mut conn).await.unwrap();
    }
    turns::keep_house(bench.lab.ops()).await.unwrap();
    assert_eq!(counts(&mut conn).await, (0, 0, 2), "a key stays as long as a run has its case");
    sqlx::query("DELETE FROM report_case").execute(&mut conn).await.unwrap();
    turns::keep_house(bench.lab.ops()).await.unwrap();
    assert_eq!(counts(&mut conn).await, (0, 0, 1), "what is not to be run keeps its name");
    sqlx::query("DELETE FROM quarantine").execute(&mut conn).await.unwrap();
    turns::keep_house(bench.lab.ops()).await.unwrap();
    assert_eq!(counts(&mut conn).await, (0, 0, 0));
}

#[tokio::test]
async fn what_reaches_outside_contradicts_itself_only_where_its_revision_is_known() {
    let outside = ("/run_config/network", json!("outbound"));
    let declared = ("/annotations", json!({"tstr.revision": "v12"}));
    for (changes, is_flaky) in [(vec![], true), (vec![outside.clone()], false), (vec![outside, declared], true)] {
        let bench = Bench::of(&changes).await;
        let mut conn = bench.lab.db.connect().await;
        for cases in ["a+", "a-", "a+"] {
            let run = bench.run_untold(cases).await;
            sqlx::query("UPDATE run_end SET image_digest = 'sha256:aa' WHERE run_id = $1")
                .bind(run.0)
                .execute(&mut conn)
                .await
                .unwrap();
            bench.tell().await;
        }
        let expected = if is_flaky { Status::Flaky } else { Status::Healthy };
        let cases = bench.cases(StateFilter::default()).await;
        assert_eq!((cases.len(), cases[0].status), (1, expected), "{changes:?}: {cases:?}");
        let page = PageRequest { size: 10, token: String::new() };
        let tests = bench.lab.ops().list_states(&bench.lab.admin, &Namespace::parse("default").unwrap(), page).await;
        assert_eq!(tests.unwrap().items[0].status, expected, "{changes:?}");
    }
}

#[tokio::test]
async fn a_late_run_does_not_shorten_what_is_remembered() {
    let bench = Bench::new().await;
    let mut runs = Vec::new();
    for cases in ["a+ b- old+", "a+ b-", "a- b-", "a- b-", "a- b- c+", "a- b- c+", "a- b- c-"] {
        runs.push(bench.run(cases).await);
    }
    let known = snapshot(&bench, &runs).await;
    let mut conn = bench.lab.db.connect().await;
    // Another run, between the last and the one before: only the last three are told again.
    let fence = bench.worker.started().await;
    bench.worker.end_with(fence, RunResult::Pass, &[("a.xml", &report("a- b- c+"))]).await;
    let late = "UPDATE run_end SET finished_at = last.at, started_at = last.at, leased_at = last.at
                FROM (SELECT max(finished_at) - interval '1 ms' AS at FROM run_end WHERE run_id <> $1) last
                WHERE run_id = $1";
    sqlx::query(late).bind(fence.run_id.0).execute(&mut conn).await.unwrap();
    while turns::digest(bench.lab.ops()).await.unwrap() > 0 {}
    while turns::remember_run_over(bench.lab.ops(), 3).await.unwrap() {}
    let left: i64 = sqlx::query_scalar("SELECT count(*) FROM case_state_before").fetch_one(&mut conn).await.unwrap();
    assert_eq!(left, 0);

    let now = snapshot(&bench, &runs).await;
    let words = |states: &[CaseState]| -> Vec<String> {
        let word = |state: &CaseState| {
            let since = state.since.map(|since| (since.first.run_id, since.runs));
            let since = since.map(|(run, count)| (runs.iter().position(|one| *one == run), count));
            format!("{} {} {since:?}", state.key.name, state.standing)
        };
        let mut words: Vec<String> = states.iter().map(word).collect();
        words.sort();
        words
    };
    // What they do since before the oldest of the three, they do since then, and once more.
    let told = |failures: u32| {
        [
            format!("a still_failing Some((Some(2), {}))", failures + 3),
            format!("b still_failing Some((Some(0), {}))", failures + 5),
            "c new Some((Some(6), 1))".to_owned(),
            "old removed Some((Some(0), 1))".to_owned(),
        ]
    };
    assert_eq!((words(&known.0), words(&now.0)), (told(2).to_vec(), told(3).to_vec()));
    let first = |states: &[CaseState]| states.iter().map(|state| state.first_seen.run_id).collect::<Vec<_>>();
    assert_eq!(first(&now.0), first(&known.0));
    // Nor is what older runs have changed told anew.
    assert_eq!(now.1[..5], known.1[..5]);
}

#[tokio::test]
async fn the_order_in_which_runs_are_told_does_not_matter() {
    let word = prop_oneof![Just('+'), Just('-'), Just('~'), Just('?'), Just(' ')];
    let run = proptest::collection::vec(word, 4);
    let history = proptest::collection::vec((run, any::<bool>()), 2..7);
    let seed = std::env::var("TSTR_SEED").ok().and_then(|seed| seed.parse().ok()).unwrap_or(20261130u64);
    let rng = proptest::test_runner::TestRng::from_seed(
        proptest::test_runner::RngAlgorithm::ChaCha,
        &std::array::from_fn::<u8, 32, _>(|i| (seed >> (8 * (i % 8))) as u8),
    );
    let mut runner = TestRunner::new_with_rng(Config { cases: 6, ..Config::default() }, rng);
    for _ in 0..6 {
        let history = history.new_tree(&mut runner).unwrap().current();
        let bench = Bench::new().await;
        let mut ended = Vec::new();
        for (cases, tell) in &history {
            let names = ["k0", "k1", "k2", "k3"];
            let cases: Vec<String> = names
                .iter()
                .zip(cases)
                .filter(|(_, how)| **how != ' ')
                .map(|(name, how)| format!("{name}{how}"))
                .collect();
            // A report without cases is none that could be told.
            let cases = if cases.is_empty() { "k9+".to_owned() } else { cases.join(" ") };
            ended.push(bench.run_untold(&cases).await);
            if *tell {
                bench.tell().await;
            }
        }
        bench.tell().await;
        let known = snapshot(&bench, &ended).await;
        // All of it once more, as if the newest had been told first: the memory begins anew.
        let mut conn = bench.lab.db.connect().await;
        let again = "INSERT INTO untold (run_id, cell_id, attempt, finished_at)
                     SELECT e.run_id, c.id, e.attempt, e.finished_at FROM run_end e JOIN cell c ON c.test_id = e.test_id
                     WHERE e.run_id = $1";
        for run in ended.iter().rev().skip(1) {
            sqlx::query(again).bind(run.0).execute(&mut conn).await.unwrap();
            bench.tell().await;
            assert_eq!(snapshot(&bench, &ended).await, known, "{history:?}, seed {seed}");
        }
    }
}

/// Returns all that is remembered and noted.
async fn snapshot(bench: &Bench, runs: &[RunId]) -> (Vec<CaseState>, Vec<RunChanges>) {
    let mut changes = Vec::new();
    for run in runs {
        changes.push(bench.changes(*run).await);
    }
    (bench.cases(StateFilter::default()).await, changes)
}
