//! Waits for runs to finish and tells what happens on the way.
//!
//! A lost connection is resumed for as long as it takes: it says nothing about the run. What was asked for is the run's
//! result, and that alone decides the exit code.

use std::collections::{BTreeSet, HashMap};
use std::time::Duration;

use serde_json::Value;
use tokio::time::Instant;
use tstr_shared::ids::{MatrixId, RunId};
use tstr_shared::namespace::NamespacePatterns;
use tstr_shared::run::{Run, RunState};
use tstr_shared::runner::{Runner, RunnerState};
use tstr_shared::selector::{SelectorSources, Selectors, check_placement};

use super::Ctl;
use crate::client::{Call, backoff};
use crate::exit::{Exit, Failure, Outcome};
use crate::output::typed;

/// How long the server may hold an answer back while the run's container runs.
const LONG: Duration = Duration::from_secs(25);
/// The same while the run is on its way to a runner, or while several are watched: its changes are to be told soon.
const SHORT: Duration = Duration::from_secs(2);
/// How often it is looked whether any runner takes a run that waits.
const PLACEMENT_EVERY: Duration = Duration::from_secs(5);
/// How often in a row a server may fail with an internal error.
const MAX_INTERNAL: u32 = 5;

/// How long to wait.
#[derive(Debug, Clone, Copy, Default)]
pub struct Patience {
    /// Gives up after so long.
    pub total: Option<Duration>,
    /// Gives up on a run that no live runner takes after so long; without it, it is only told.
    pub placement: Option<Duration>,
}

/// How the waiting ended.
#[derive(Debug)]
pub struct Ending {
    /// The runs as they are now, in the order in which they were given.
    pub runs: Vec<Value>,
    /// The exit code: of the worst run.
    pub exit: Exit,
}

struct Watched {
    id: RunId,
    run: Run,
    value: Value,
    told: String,
    /// When it was first seen that no live runner takes it.
    stranded_since: Option<Instant>,
    given_up: Option<Exit>,
}

impl Watched {
    fn is_open(&self) -> bool {
        self.run.state != RunState::Finished && self.given_up.is_none()
    }

    fn exit(&self) -> Exit {
        match (self.run.result, self.given_up) {
            (Some(result), _) => Exit::of_result(result),
            (None, Some(exit)) => exit,
            (None, None) => Exit::GaveUp,
        }
    }
}

/// Waits until every run has finished, or patience has ended.
pub async fn until_finished(ctl: &Ctl, runs: Vec<Value>, patience: Patience) -> Outcome<Ending> {
    let started = Instant::now();
    let mut watched = runs.into_iter().map(begin).collect::<Outcome<Vec<_>>>()?;
    ctl.interrupt.note(how_to_resume(&watched));
    let mut placement_due = started + SHORT;
    let mut trouble = Trouble::default();
    loop {
        for one in &mut watched {
            tell_change(ctl, one);
        }
        let left = patience.total.map(|total| total.saturating_sub(started.elapsed()));
        if watched.iter().all(|one| !one.is_open()) || left.is_some_and(|left| left.is_zero()) {
            break;
        }
        if Instant::now() >= placement_due
            && watched.iter().any(|one| one.is_open() && one.run.state == RunState::Queued)
        {
            placement_due = Instant::now() + PLACEMENT_EVERY;
            look_for_runners(ctl, &mut watched, patience.placement).await;
            continue;
        }
        match refresh(ctl, &mut watched, left).await {
            Ok(()) => trouble.is_over(ctl),
            Err(failure) => trouble.pause_or_fail(ctl, failure, left).await?,
        }
    }
    ctl.interrupt.forget();
    let exit = watched.iter().map(Watched::exit).fold(Exit::Done, Exit::worse);
    if watched.iter().any(|one| one.run.result.is_none()) {
        ctl.out.say(&format!("gave up waiting; {}", how_to_resume(&watched)));
    }
    Ok(Ending { runs: watched.into_iter().map(|one| one.value).collect(), exit })
}

fn begin(value: Value) -> Outcome<Watched> {
    let run: Run = typed(&value)?;
    Ok(Watched { id: run.id, run, value, told: String::new(), stranded_since: None, given_up: None })
}

/// Asks for the runs that are open. The answer comes late: when the run finishes, or when the wait is over.
async fn refresh(ctl: &Ctl, watched: &mut [Watched], left: Option<Duration>) -> Outcome {
    let open: Vec<usize> = (0..watched.len()).filter(|i| watched[*i].is_open()).collect();
    let (Some(first), several) = (open.first().copied(), open.len() > 1) else { return Ok(()) };
    let matrices: BTreeSet<MatrixId> = open.iter().map(|i| watched[*i].run.matrix_id).collect();
    if several && matrices.len() < open.len() {
        // Runs that were made together come in one list.
        for matrix in matrices {
            let namespace = open.iter().map(|i| &watched[*i].run).find(|run| run.matrix_id == matrix);
            let namespace = namespace.map_or_else(|| ctl.ns().to_owned(), |run| run.namespace.to_string());
            let call = Call::get(&["namespaces", &namespace, "runs"]).with("matrix_id", matrix);
            let (values, _) = ctl.client.list(&call, None).await?;
            take(watched, values)?;
        }
    } else if several {
        for i in &open[1..] {
            let value = ctl.client.send(&Call::get(&["runs", &watched[*i].id.to_string()])).await?;
            take(watched, vec![value])?;
        }
    }
    let one = &watched[first];
    if !one.is_open() {
        return Ok(());
    }
    let is_long = !several && one.run.state == RunState::Running;
    let wait = if is_long { LONG } else { SHORT };
    // A wait of less than a second would be none at all.
    let wait = left.map_or(wait, |left| wait.min(left)).max(Duration::from_secs(1));
    let value = ctl.client.send(&Call::get(&["runs", &one.id.to_string()]).wait(wait)).await?;
    take(watched, vec![value])
}

fn take(watched: &mut [Watched], values: Vec<Value>) -> Outcome {
    let mut by_id = HashMap::new();
    for value in values {
        let run: Run = typed(&value)?;
        by_id.insert(run.id, (run, value));
    }
    for one in watched {
        if let Some((run, value)) = by_id.remove(&one.id) {
            (one.run, one.value) = (run, value);
        }
    }
    Ok(())
}

fn tell_change(ctl: &Ctl, one: &mut Watched) {
    let words = describe(&one.run);
    if words != one.told {
        let cell = one.run.cell.text();
        let of = if cell.is_empty() { String::new() } else { format!(" ({cell})") };
        ctl.out.say(&format!("run {}{of}: {words}", one.id));
        one.told = words;
    }
}

/// Says where a run stands, in a few words.
pub fn describe(run: &Run) -> String {
    let runner = run.runner_name.as_deref().unwrap_or("a runner");
    let reason = run.reason.map(|reason| format!(", {reason}")).unwrap_or_default();
    let again = if run.attempt > 1 { format!(", attempt {}", run.attempt) } else { String::new() };
    match (run.state, run.result) {
        (RunState::Queued, _) if run.attempt > 0 => format!("queued again after attempt {}", run.attempt),
        (RunState::Queued, _) => "queued".to_owned(),
        (_, _) if run.cancel_requested && run.state != RunState::Finished => format!("being cancelled on {runner}"),
        (RunState::Leased, _) => format!("being prepared on {runner}{again}"),
        (RunState::Running, _) => format!("running on {runner}{again}"),
        (RunState::Finished, None) => "finished".to_owned(),
        (RunState::Finished, Some(result)) => {
            let code = run.exit_code.filter(|code| *code != 0).map(|code| format!(", exit code {code}"));
            let message = run.message.as_deref().map(|message| format!(": {message}")).unwrap_or_default();
            format!("{result}{reason}{}{message}", code.unwrap_or_default())
        }
    }
}

fn how_to_resume(watched: &[Watched]) -> String {
    let command = match watched {
        [one] => format!("tstr ctl run watch {}", one.id),
        [first, rest @ ..] if rest.iter().all(|one| one.run.matrix_id == first.run.matrix_id) => {
            format!("tstr ctl run watch -n {} --matrix-id {}", first.run.namespace, first.run.matrix_id)
        }
        many => {
            format!("tstr ctl run watch {}", many.iter().map(|one| one.id.to_string()).collect::<Vec<_>>().join(" "))
        }
    };
    let what = if watched.len() == 1 { "the run goes on" } else { "the runs go on" };
    format!("{what}; to watch again: {command}")
}

/// Finds runs that wait although no live runner takes them. What cannot be found out is no reason to give up.
async fn look_for_runners(ctl: &Ctl, watched: &mut [Watched], patience: Option<Duration>) {
    let namespaces: BTreeSet<_> =
        watched.iter().filter(|one| one.is_open()).map(|one| one.run.namespace.clone()).collect();
    for namespace in namespaces {
        let call = Call::get(&["namespaces", namespace.as_str(), "runners"]);
        let Ok((values, _)) = ctl.client.list(&call, None).await else { continue };
        let Ok(runners) = values.iter().map(typed::<Runner>).collect::<Outcome<Vec<_>>>() else { continue };
        for one in watched.iter_mut().filter(|one| one.is_open() && one.run.namespace == namespace) {
            if one.run.state != RunState::Queued || runners.iter().any(|runner| takes(runner, &one.run)) {
                one.stranded_since = None;
                continue;
            }
            let since = *one.stranded_since.get_or_insert_with(|| {
                ctl.out.say(&format!("run {}: no live runner takes {}", one.id, wanted(&one.run)));
                Instant::now()
            });
            if patience.is_some_and(|patience| since.elapsed() >= patience) {
                one.given_up = Some(Exit::Unplaceable);
            }
        }
    }
}

fn wanted(run: &Run) -> String {
    match run.labels.text() {
        text if text.is_empty() => format!("runs of the namespace {}", run.namespace),
        text => text,
    }
}

/// Tells whether a runner takes a run now. A runner whose selectors cannot be read may well take it.
fn takes(runner: &Runner, run: &Run) -> bool {
    if runner.state != RunnerState::Live {
        return false;
    }
    let sources = SelectorSources { accept: runner.accept.clone(), reject: runner.reject.clone() };
    match (NamespacePatterns::parse(&runner.namespaces), Selectors::parse(&sources)) {
        (Ok(namespaces), Ok(selectors)) => {
            check_placement(&namespaces, &selectors, run.namespace.as_str(), &run.labels).is_ok()
        }
        _ => true,
    }
}

/// What goes wrong on the way to the server, one after the other.
#[derive(Debug, Default)]
pub struct Trouble {
    lost: u32,
    internal: u32,
    /// After how many tries without an answer it is a failure; never, without it.
    most: Option<u32>,
}

impl Trouble {
    /// Makes one that ends after so many tries without an answer.
    pub fn up_to(most: u32) -> Self {
        Self { most: Some(most), ..Self::default() }
    }

    /// Notes that the server answers.
    pub fn is_over(&mut self, ctl: &Ctl) {
        if self.lost > 0 {
            ctl.out.say("connected again");
        }
        (self.lost, self.internal) = (0, 0);
    }

    /// Pauses before the next try where a failure may pass, and returns it where it will not.
    pub async fn pause_or_fail(&mut self, ctl: &Ctl, failure: Failure, left: Option<Duration>) -> Outcome {
        if failure.is_passing() && self.most.is_none_or(|most| self.lost < most) {
            self.lost += 1;
            if self.lost == 1 {
                ctl.out.say(&format!("{failure}; trying again"));
            }
        } else if failure.exit() == Exit::Error && failure.code().is_some() && self.internal < MAX_INTERNAL {
            self.internal += 1;
        } else {
            return Err(failure);
        }
        let pause = backoff(self.lost.max(self.internal));
        tokio::time::sleep(left.map_or(pause, |left| pause.min(left))).await;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn run(state: &str, extra: Value) -> Run {
        let id = "0197c1a0-0000-7000-8000-000000000001";
        let mut value = json!({
            "id": id, "namespace": "default", "test_id": id, "test_name": "t", "matrix_id": id, "cell": {},
            "labels": {"region": "nyc"}, "annotations": {}, "run_config": {"container_image": "i"}, "state": state,
            "flaky": false, "cancel_requested": false, "attempt": 0, "priority": "normal", "trigger": "manual",
            "scheduled_at": "2026-03-01T10:00:00Z", "created_at": "2026-03-01T10:00:00Z",
            "log": {"status": "open", "bytes": 0, "dropped_bytes": 0},
        });
        for (key, one) in extra.as_object().unwrap() {
            value[key] = one.clone();
        }
        serde_json::from_value(value).unwrap()
    }

    #[test]
    fn each_state_has_its_words() {
        let words = |state, extra| describe(&run(state, extra));
        assert_eq!(words("queued", json!({})), "queued");
        assert_eq!(words("queued", json!({"attempt": 1})), "queued again after attempt 1");
        assert_eq!(words("leased", json!({"runner_name": "w", "attempt": 1})), "being prepared on w");
        assert_eq!(words("running", json!({"runner_name": "w", "attempt": 2})), "running on w, attempt 2");
        assert_eq!(words("running", json!({"runner_name": "w", "cancel_requested": true})), "being cancelled on w");
        assert_eq!(words("finished", json!({"result": "pass", "exit_code": 0})), "pass");
        assert_eq!(words("finished", json!({"result": "fail", "exit_code": 3})), "fail, exit code 3");
        let lost = json!({"result": "error", "reason": "image_not_found", "message": "no such image"});
        assert_eq!(words("finished", lost), "error, image_not_found: no such image");
    }

    #[test]
    fn only_a_live_runner_that_sees_the_namespace_and_takes_the_labels_takes_a_run() {
        let runner = |state: &str, namespaces: &str, accept: Value| -> Runner {
            serde_json::from_value(json!({
                "id": "0197c1a0-0000-7000-8000-000000000002", "name": "w", "state": state, "draining": false,
                "namespaces": [namespaces], "accept": accept, "reject": {}, "slots": 1, "slots_used": 0, "about": {},
                "registered_at": "2026-03-01T10:00:00Z", "last_seen_at": "2026-03-01T10:00:00Z",
            }))
            .unwrap()
        };
        let run = run("queued", json!({}));
        assert!(takes(&runner("live", ".*", json!({})), &run));
        assert!(takes(&runner("live", "default", json!({"region": "nyc|sfo"})), &run));
        assert!(!takes(&runner("live", "default", json!({"region": "sfo"})), &run));
        assert!(!takes(&runner("live", "other", json!({})), &run));
        assert!(!takes(&runner("offline", ".*", json!({})), &run));
    }
}
