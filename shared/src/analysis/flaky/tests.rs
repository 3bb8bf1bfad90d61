//! Each signal alone, the traps that other tools fell into, and how often the monitors err.

use std::fmt::Write as _;

use chrono::TimeDelta;
use proptest::prelude::*;

use super::generate::{Plan, START, Truth, history};
use super::*;
use crate::analysis::random::SplitMix64;

const HOUR: u32 = 3600;

/// One trial an hour: `P` passes, `F` fails, `R` passes after a failed attempt, `S` is skipped; a lower case letter
/// is kept out by the guard.
fn hourly(results: &str) -> Vec<Trial> {
    let one = |(index, result): (usize, char)| {
        let at = START + TimeDelta::hours(index as i64);
        let observed = match result.to_ascii_uppercase() {
            'F' => Observed::Fail,
            'S' => Observed::Skip,
            _ => Observed::Pass,
        };
        Trial {
            run_id: RunId::at(at, index as u128),
            at,
            observed,
            failed_attempts: u16::from(result == 'R'),
            subject: None,
            excluded: result.is_ascii_lowercase().then_some(Exclusion::MassFailure),
        }
    };
    results.chars().enumerate().map(one).collect()
}

fn end(trials: &[Trial]) -> DateTime<Utc> {
    trials.last().map_or(START, |last| last.at)
}

fn only(rule: Rule, marks: Status) -> Rules {
    Rules { monitors: vec![Monitor { name: "it".into(), marks, dry_run: false, rule }] }
}

/// Assesses at the end of every trial, as the product does.
fn walk(rules: &Rules, trials: &[Trial]) -> Vec<Assessment> {
    let mut states = Vec::new();
    (1..=trials.len())
        .map(|length| {
            let seen = &trials[..length];
            let assessment = assess(rules, seen, &states, end(seen));
            states = assessment.states();
            assessment
        })
        .collect()
}

fn last(rules: &Rules, results: &str) -> Assessment {
    walk(rules, &hourly(results)).pop().unwrap()
}

#[test]
fn a_run_that_passes_after_a_failed_attempt_is_flaky_until_seven_days_or_a_hundred_clean_passes() {
    let rules = only(Rule::Retry(Recovery::default()), Status::Flaky);
    let flaky = last(&rules, "PPRPP");
    assert_eq!(flaky.status, Status::Flaky);
    assert_eq!(flaky.findings[0].runs, [hourly("PPRPP")[2].run_id]);
    assert_eq!((flaky.findings[0].figures.signals, flaky.findings[0].figures.clean), (1, 2));
    assert_eq!(last(&rules, "PPFPP").status, Status::Healthy, "a final failure is not this monitor's");
    assert_eq!(last(&rules, &format!("R{}", "P".repeat(99))).status, Status::Flaky);
    let healed = last(&rules, &format!("R{}", "P".repeat(100)));
    assert_eq!((healed.status, healed.findings[0].change), (Status::Healthy, Some(MonitorChange::Resolved)));
    assert_eq!(healed.findings[0].resolution, Some(Resolution::Recovered));
    // Failures are not clean: they do not heal it by number.
    assert_eq!(last(&rules, &format!("R{}", "F".repeat(100))).status, Status::Flaky);

    let signal = hourly("R");
    let states = assess(&rules, &signal, &[], START).states();
    let after = |days| assess(&rules, &signal, &states, START + TimeDelta::days(days));
    assert_eq!(after(6).status, Status::Flaky);
    assert_eq!(after(7).findings[0].resolution, Some(Resolution::Stale));
}

#[test]
fn a_signal_that_lies_further_back_than_the_given_trials_is_not_forgotten() {
    let rules = only(Rule::Retry(Recovery::default()), Status::Flaky);
    let all = hourly(&format!("R{}", "P".repeat(60)));
    let states = assess(&rules, &all, &[], end(&all)).states();
    let short = assess(&rules, &all[30..], &states, end(&all));
    assert_eq!((short.status, short.findings[0].change), (Status::Flaky, None));
    assert_eq!(short.findings[0].state.since, states[0].since);
}

#[test]
fn a_pass_and_a_failure_of_the_same_subject_are_flaky_in_any_order() {
    let rules = only(Rule::SameSubject(Recovery::default()), Status::Flaky);
    let judged = |results: &str, subjects: &[Option<&str>]| {
        let mut trials = hourly(results);
        for (trial, subject) in trials.iter_mut().zip(subjects) {
            trial.subject = subject.map(str::to_owned);
        }
        assess(&rules, &trials, &[], end(&trials)).status
    };
    assert_eq!(judged("PF", &[Some("a"), Some("a")]), Status::Flaky);
    assert_eq!(judged("FP", &[Some("a"), Some("a")]), Status::Flaky);
    assert_eq!(judged("FPF", &[Some("a"), Some("b"), Some("a")]), Status::Healthy);
    assert_eq!(judged("FSP", &[Some("a"), Some("a"), Some("b")]), Status::Healthy, "skipped ones are passed over");
    assert_eq!(judged("PF", &[None, None]), Status::Healthy, "an unknown subject is not the same one");
}

#[test]
fn the_transition_score_has_a_fixed_window() {
    let score = |results: &str| {
        let results: Vec<_> = hourly(results).iter().map(|one| one.observed).collect();
        transition_score(&results, 5)
    };
    assert_eq!((score("PPFFF"), score("PFPFF"), score("PF")), (0.2, 0.4, 0.2));
    assert_eq!((score("PSFSSFF"), score("FFFFFPFPFP"), score("FFFFF")), (0.2, 0.4, 0.0));
    assert_eq!(transition_score(&[Observed::Pass, Observed::Fail], 0), 0.0);
}

#[test]
fn a_rate_activates_at_the_upper_threshold_and_resolves_at_the_lower_one() {
    let rule = |min_sample| Rule::FailureRate {
        window_secs: 1000 * HOUR,
        window: 10,
        min_sample,
        activate: 0.3,
        resolve: 0.1,
        stale_secs: 24 * HOUR,
    };
    let rules = only(rule(10), Status::Flaky);
    assert_eq!(last(&rules, "FPFPFPPPP").status, Status::Healthy, "nine are below the minimum sample");
    let active = last(&rules, "FPFPFPPPPP");
    assert_eq!((active.status, active.findings[0].figures.value), (Status::Flaky, 0.3));
    // Between the thresholds it stays as it was, from either side.
    assert_eq!(last(&rules, "FPFPFPPPPPPP").status, Status::Flaky);
    assert_eq!(last(&rules, "PPFPFPPPPPPP").status, Status::Healthy);
    let resolved = last(&rules, "FPFPFPPPPPPPP");
    assert_eq!((resolved.status, resolved.findings[0].resolution), (Status::Healthy, Some(Resolution::Below)));

    let trials = hourly("FPFPFPPPPP");
    let states = active.states();
    let later = |hours| assess(&rules, &trials, &states, end(&trials) + TimeDelta::hours(hours));
    assert_eq!(later(24).status, Status::Flaky);
    assert_eq!(later(25).findings[0].resolution, Some(Resolution::Stale));
    assert!(only(rule(0), Status::Flaky).validate().is_err() && only(rule(11), Status::Flaky).validate().is_err());
}

#[test]
fn only_trials_in_the_time_window_count_for_the_rate() {
    let rule = Rule::FailureRate {
        window_secs: 6 * HOUR,
        window: 50,
        min_sample: 2,
        activate: 0.3,
        resolve: 0.0,
        stale_secs: HOUR,
    };
    let judged = last(&only(rule, Status::Flaky), "FFFPPPPPPP");
    assert_eq!(judged.findings[0].figures.trials, 7);
    assert_eq!(judged.status, Status::Healthy);
}

#[test]
fn broken_beats_flaky_although_old_flips_sit_in_the_window() {
    // allure3 #200: a test that was flaky and now fails for good.
    let broken = last(&Rules::default(), "PPRPFPRPPFPPFPRPFPPFFFFFF");
    assert_eq!(broken.status, Status::Broken);
    let row = broken.findings.iter().find(|finding| finding.marks == Status::Broken).unwrap();
    assert_eq!((row.runs.len(), row.figures.value), (6, 6.0));
    assert!(broken.findings.iter().any(|finding| finding.marks == Status::Flaky && finding.state.active));
    // When it is mended it is what it was before: each monitor resolves by itself.
    let mended = last(&Rules::default(), "PPRPFPRPPFPPFPRPFPPFFFFFFP");
    assert_eq!(mended.status, Status::Flaky);
}

#[test]
fn a_break_that_was_mended_is_not_flaky_afterwards() {
    let results = format!("{}FFFFFFFF{}", "P".repeat(30), "P".repeat(30));
    let statuses: Vec<_> = walk(&Rules::default(), &hourly(&results)).iter().map(|one| one.status).collect();
    assert!(!statuses.contains(&Status::Flaky), "{statuses:?}");
    assert_eq!((statuses[32], statuses[33], statuses[37], statuses[38]), {
        (Status::Healthy, Status::Broken, Status::Broken, Status::Healthy)
    });
}

#[test]
fn the_first_failures_of_a_break_are_not_flaky_before_it_is_known() {
    let results = format!("{}FFFF", "P".repeat(20));
    let statuses: Vec<_> = walk(&Rules::default(), &hourly(&results)).iter().map(|one| one.status).collect();
    assert_eq!(statuses[20..], [Status::Healthy, Status::Healthy, Status::Healthy, Status::Broken]);
    // A row that a pass ends was no break.
    assert_eq!(last(&Rules::default(), &format!("{}FFFP", "P".repeat(20))).status, Status::Flaky);
}

#[test]
fn what_the_guard_keeps_out_is_not_flaky_and_what_the_control_keeps_out_is_nothing() {
    let outage = format!("{}fpffpf{}", "P".repeat(20), "P".repeat(10));
    let statuses: Vec<_> = walk(&Rules::default(), &hourly(&outage)).iter().map(|one| one.status).collect();
    assert!(statuses.iter().all(|status| *status == Status::Healthy), "{statuses:?}");
    let let_through = outage.to_uppercase();
    assert!(walk(&Rules::default(), &hourly(&let_through)).iter().any(|one| one.status == Status::Flaky));
    let mut dark = hourly("PPPPffffff");
    assert_eq!(walk(&Rules::default(), &dark).pop().unwrap().status, Status::Broken);
    dark.iter_mut().filter(|one| one.excluded.is_some()).for_each(|one| one.excluded = Some(Exclusion::ControlFailed));
    assert_eq!(walk(&Rules::default(), &dark).pop().unwrap().status, Status::Healthy);
}

#[test]
fn a_dry_run_labels_and_has_no_consequences() {
    let mut rules = only(Rule::Retry(Recovery::default()), Status::Flaky);
    rules.monitors[0].dry_run = true;
    let judged = last(&rules, "PRP");
    assert_eq!((judged.status, judged.label), (Status::Healthy, Status::Flaky));
    assert!(judged.findings[0].dry_run && judged.findings[0].state.active);
    // A break in a dry run explains nothing away.
    let mut rules = Rules::default();
    rules.monitors.last_mut().unwrap().dry_run = true;
    assert_eq!(rules.break_length(), None);
}

#[test]
fn a_finding_can_be_stored_and_explained() {
    let judged = last(&Rules::default(), "PPRPPPPPFP");
    let stored = serde_json::to_string(&judged).unwrap();
    assert_eq!(serde_json::from_str::<Assessment>(&stored).unwrap(), judged);
    let sentence = "retry says flaky: 1 failures and 9 passes in 10 trials; \
                    1 signals, 6 clean passes since the latest, 1 transitions; 6.000, active from 0.000, over at 100.000";
    assert_eq!(judged.findings[0].sentence(), sentence);
}

#[test]
fn rules_that_cannot_work_are_refused() {
    assert!(Rules::default().validate().is_ok());
    assert_eq!(Rules::default().reach(), (100, TimeDelta::days(7)));
    let mut rules = Rules::default();
    rules.monitors[1].name = "retry".into();
    rules.monitors[1].marks = Status::Healthy;
    rules.monitors[2].rule = Rule::Transitions { window: 5, activate: f64::NAN, resolve: 0.1, stale_secs: 1 };
    rules.monitors[4].rule = Rule::FailuresInRow { activate: 0, resolve: 1 };
    let pointers: Vec<_> = rules.validate().unwrap_err().errors.into_iter().map(|error| error.pointer).collect();
    assert_eq!(pointers, ["/monitors/1/name", "/monitors/1/marks", "/monitors/2/rule", "/monitors/4/rule"]);
}

#[test]
fn nothing_was_executed_and_nothing_is_said() {
    let judged = assess(&Rules::default(), &[], &[], START);
    assert_eq!(judged.status, Status::Healthy);
    let extreme = assess(&Rules::default(), &hourly("FPRS"), &[], DateTime::<Utc>::MIN_UTC);
    assert_eq!(extreme.findings.len(), 5);
}

proptest! {
    #[test]
    fn order_and_repetition_of_what_is_given_change_nothing(results in "[PFRSpf]{0,60}", seed: u64) {
        let trials = hourly(&results);
        let mut shuffled = [trials.clone(), trials[..trials.len() / 2].to_vec()].concat();
        SplitMix64::new(seed).shuffle(&mut shuffled);
        let once = assess(&Rules::default(), &trials, &[], end(&trials));
        prop_assert_eq!(&assess(&Rules::default(), &shuffled, &[], end(&trials)), &once);
        // Asking again with the same facts changes nothing either.
        let again = assess(&Rules::default(), &trials, &once.states(), end(&trials));
        prop_assert_eq!(again.states(), once.states());
        prop_assert!(again.findings.iter().all(|finding| finding.change.is_none()));
    }
}

const HISTORIES: u64 = 60;

/// What came of many histories of one truth, as shares of them.
struct Tally {
    /// In which share a status was ever given.
    ever: [f64; 3],
    /// In which share it stood at the end.
    at_end: [f64; 3],
    /// Trials until the first `flaky`, on average over those that had one.
    delay: f64,
}

impl Tally {
    fn of(truth: Truth, retries: u16, per_version: usize) -> Self {
        let plan = Plan { truth, trials: 150, every_secs: 2 * HOUR, retries, per_version };
        let (mut ever, mut at_end, mut delays) = ([0.0; 3], [0.0; 3], Vec::new());
        for seed in 0..HISTORIES {
            let trials = history(&plan, seed);
            let mut states = Vec::new();
            let mut statuses = Vec::new();
            // Every second trial is enough to see what is ever said.
            for length in (2..=trials.len()).step_by(2) {
                let assessment = assess(&Rules::default(), &trials[..length], &states, trials[length - 1].at);
                states = assessment.states();
                statuses.push(assessment.status);
            }
            for status in Status::ALL {
                ever[*status as usize] += f64::from(u8::from(statuses.contains(status))) / HISTORIES as f64;
            }
            at_end[statuses[statuses.len() - 1] as usize] += 1.0 / HISTORIES as f64;
            delays.extend(statuses.iter().position(|status| *status == Status::Flaky).map(|index| 2 * (index + 1)));
        }
        let delay = delays.iter().sum::<usize>() as f64 / delays.len().max(1) as f64;
        Self { ever, at_end, delay }
    }
}

#[test]
#[expect(clippy::print_stdout, reason = "the rates are what is to be read")]
fn the_monitors_seldom_err_on_histories_of_known_truth() {
    let [healthy, flaky, broken] = [0, 1, 2];
    let outage = |control, fails| Truth::Outage { from: 69, to: 90, fails, control };
    let (none, near_all) = (0.0..=0.001, 0.999..=1.001);
    // The truth, retries, trials for each version of the subject (0: not known); then the share of histories that
    // were ever called flaky, and which status at the end had which share.
    let expected = [
        // False positives: never for what always passes or fails with its subject only.
        (Truth::Healthy { bad_versions: 0.0 }, 0, 0, none.clone(), healthy, near_all.clone()),
        (Truth::Healthy { bad_versions: 0.0 }, 2, 3, none.clone(), healthy, near_all.clone()),
        (Truth::Healthy { bad_versions: 0.03 }, 1, 3, none.clone(), flaky, none.clone()),
        // Where the subject is not known, two bad ones close to each other cannot be told from flakiness.
        (Truth::Healthy { bad_versions: 0.01 }, 0, 0, 0.0..=0.25, flaky, 0.0..=0.2),
        // False negatives: with retries or a known subject one failure is enough; without, the rate must show.
        (Truth::Flaky { fails: 0.05 }, 1, 3, 0.95..=1.001, broken, none.clone()),
        (Truth::Flaky { fails: 0.05 }, 0, 3, 0.95..=1.001, broken, none.clone()),
        (Truth::Flaky { fails: 0.1 }, 0, 0, 0.95..=1.001, broken, none.clone()),
        (Truth::Flaky { fails: 0.2 }, 0, 0, near_all.clone(), broken, 0.0..=0.05),
        (Truth::Flaky { fails: 0.5 }, 0, 0, near_all.clone(), broken, 0.0..=0.15),
        (Truth::Flaky { fails: 0.5 }, 2, 3, near_all.clone(), broken, 0.0..=0.05),
        // A break is never called flaky, neither while it lasts nor when it is mended.
        (Truth::BrokenSince { from: 75 }, 0, 0, none.clone(), broken, near_all.clone()),
        (Truth::BrokenSince { from: 75 }, 1, 3, none.clone(), broken, near_all.clone()),
        (Truth::Mended { from: 60, to: 90 }, 0, 0, none.clone(), healthy, near_all.clone()),
        (Truth::Mended { from: 60, to: 90 }, 1, 3, none.clone(), healthy, near_all.clone()),
        (Truth::Recovered { fails: 0.2, from: 40 }, 1, 3, near_all.clone(), healthy, near_all.clone()),
        // Outages leave no trace in flakiness, whether the control or the share of failures shows them.
        (outage(Control::Failed, 0.5), 1, 3, none.clone(), healthy, near_all.clone()),
        (outage(Control::Failed, 0.5), 0, 0, none.clone(), healthy, near_all.clone()),
        (outage(Control::Absent, 0.95), 0, 0, none.clone(), healthy, near_all.clone()),
        (outage(Control::Absent, 0.95), 1, 3, none, healthy, near_all),
    ];
    let mut table = String::from("truth, retries, trials per version | ever f, b | at end h, f, b | delay\n");
    let mut wrong = Vec::new();
    for (truth, retries, per_version, ever_flaky, status, share_at_end) in expected {
        let Tally { ever, at_end, delay } = Tally::of(truth, retries, per_version);
        let row = format!(
            "{:<85} | {:.2} {:.2} | {:.2} {:.2} {:.2} | {delay:.0}",
            format!("{truth:?}, {retries}, {per_version}"),
            ever[flaky],
            ever[broken],
            at_end[healthy],
            at_end[flaky],
            at_end[broken],
        );
        if !ever_flaky.contains(&ever[flaky]) || !share_at_end.contains(&at_end[status]) {
            wrong.push(row.clone());
        }
        writeln!(table, "{row}").unwrap();
    }
    println!("{table}");
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}
