//! Why a run waits, decided from what is known of the queue, its namespace and the runners.

use chrono::{DateTime, Utc};

use super::sentences::{at, some};
use super::{Because, Counted, Verdict, VerdictCount, Why};
use crate::namespace::Namespace;

/// What is known of a run that waits.
#[derive(Debug, Clone, Default)]
pub struct QueueFacts {
    /// When it may be taken, while it waits for its time.
    pub due: Option<DateTime<Utc>>,
    /// How many attempts it has had.
    pub attempts: u16,
    /// How many runs with the same labels come before it; absent where it stands in no line.
    pub ahead: Option<Counted>,
    /// How many runs of its namespace runners hold.
    pub running: u32,
    /// How many they may hold.
    pub max_running: Option<u32>,
    /// How many runners there are of each verdict.
    pub counts: Vec<VerdictCount>,
    /// The concurrency group, or the cell, that has no place for it.
    pub group: Option<Gate>,
    /// The matrix that has no place for it.
    pub matrix: Option<Gate>,
}

/// A limit on runs under way that a run waits behind.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Gate {
    /// How many runs have a place.
    pub held: u32,
    /// How many places there are.
    pub slots: u32,
    /// The concurrency group; absent for a cell of a test, and for a matrix.
    pub group: Option<String>,
}

/// Returns the reasons why a run waits, the weightiest first; [`Why::Ready`] when nothing keeps it.
pub fn why_waiting(facts: &QueueFacts, namespace: &Namespace, now: DateTime<Utc>) -> Vec<Because> {
    let mut reasons = Vec::new();
    if let Some(due) = facts.due.filter(|due| *due > now) {
        let (why, sentence) = match facts.attempts {
            0 => (Why::NotBefore, format!("it was put off until {}", at(due))),
            n => (Why::Backoff, format!("attempt {n} was lost; the next one may start at {}", at(due))),
        };
        reasons.push(Because::new(why, sentence).until(due));
    }
    if let Some(gate) = &facts.group {
        let (held, slots) = (gate.held, gate.slots);
        let reason = match &gate.group {
            Some(group) => {
                let sentence = format!("{held} of at most {slots} runs of its concurrency group {group} are under way");
                Because::new(Why::Concurrency, sentence).in_group(group.clone())
            }
            None => {
                let sentence = format!("{held} of at most {slots} runs of its cell of the test are under way");
                Because::new(Why::Concurrency, sentence)
            }
        };
        reasons.push(reason.counted(Counted { count: held, more: false }, Some(slots)));
    }
    if let Some(Gate { held, slots, .. }) = facts.matrix {
        let sentence = format!("{held} of at most {slots} cells of its matrix are under way");
        reasons
            .push(Because::new(Why::MaxParallel, sentence).counted(Counted { count: held, more: false }, Some(slots)));
    }
    reasons.extend(why_no_runner(&facts.counts, namespace));
    let (running, limit) = (facts.running, facts.max_running);
    if let Some(limit) = limit.filter(|limit| running >= *limit) {
        let sentence = format!("runners hold {running} of at most {limit} runs of the namespace {namespace}");
        let count = Counted { count: running, more: false };
        reasons.push(Because::new(Why::NamespaceCap, sentence).counted(count, Some(limit)));
    }
    let full = of(&facts.counts, Verdict::AtCapacity);
    if full > 0 && of(&facts.counts, Verdict::CouldTake) == 0 {
        let sentence = match full {
            1 => "the only live runner that could take it is at capacity".to_owned(),
            _ => format!("all {full} live runners that could take it are at capacity"),
        };
        reasons.push(Because::new(Why::AtCapacity, sentence));
    }
    if let Some(ahead) = facts.ahead.filter(|ahead| !ahead.is_none()) {
        let sentence = match ahead {
            Counted { count: 1, more: false } => "1 run with the same labels comes before it".to_owned(),
            _ => format!("{ahead} runs with the same labels come before it"),
        };
        reasons.push(Because::new(Why::Line, sentence).counted(ahead, None));
    }
    if reasons.is_empty() && (facts.ahead.is_some() || facts.due.is_some()) {
        reasons.push(Because::new(Why::Ready, "nothing keeps it; the next claim of a runner takes it"));
    }
    reasons
}

/// Says why no live runner takes a run; `None` when one does, be it full.
pub fn why_no_runner(counts: &[VerdictCount], namespace: &Namespace) -> Option<Because> {
    let sum = |wanted: &dyn Fn(Verdict) -> bool| {
        counts.iter().filter(|count| wanted(count.verdict)).map(|count| count.runners).sum::<u32>()
    };
    let known = sum(&|verdict| verdict != Verdict::Namespace);
    if known == 0 {
        let sentence = format!("no runner that takes runs of the namespace {namespace} has registered yet");
        return Some(Because::new(Why::NoRunner, sentence));
    }
    let could = sum(&Verdict::is_passing);
    if could == 0 {
        let sentence = match known {
            1 => format!("the only known runner could never take it: {}", listed(counts)),
            _ => format!("none of the {known} known runners could ever take it: {}", listed(counts)),
        };
        return Some(Because::new(Why::NoRunnerCould, sentence));
    }
    if could == sum(&|verdict| verdict.is_passing() && !matches!(verdict, Verdict::CouldTake | Verdict::AtCapacity)) {
        let sentence = match could {
            1 => format!("the only runner that could take it does not now: {}", listed(counts)),
            _ => format!("none of the {could} runners that could take it does now: {}", listed(counts)),
        };
        return Some(Because::new(Why::NoLiveRunner, sentence));
    }
    None
}

fn of(counts: &[VerdictCount], verdict: Verdict) -> u32 {
    counts.iter().filter(|count| count.verdict == verdict).map(|count| count.runners).sum()
}

/// Lists how many runners there are of each verdict; those of other namespaces are left out.
fn listed(counts: &[VerdictCount]) -> String {
    let parts = counts.iter().filter(|count| count.verdict != Verdict::Namespace).map(|count| {
        let (n, key) = (count.runners, count.key.as_deref().unwrap_or_default());
        let (does, is) = if n == 1 { ("does", "is") } else { ("do", "are") };
        match count.verdict {
            Verdict::Rejected => format!("{n} reject{} the label {key}", if n == 1 { "s" } else { "" }),
            Verdict::NotAccepted => format!("{n} {does} not accept the label {key}"),
            Verdict::NotLive => format!("{n} {is} not live"),
            Verdict::Draining => format!("{n} {is} draining"),
            Verdict::DiskLow => format!("{n} {is} not fit: disk_low"),
            Verdict::Breaker => format!("{n} {is} not fit: breaker"),
            Verdict::AtCapacity => format!("{n} {is} at capacity"),
            Verdict::CouldTake => format!("{n} could take it"),
            Verdict::Namespace => format!("{} of other namespaces", some(n, "runner")),
        }
    });
    parts.collect::<Vec<_>>().join(", ")
}
