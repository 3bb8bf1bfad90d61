//! `tstr ctl run explain` and `tstr ctl queue`: why runs wait, and what waits.

use clap::Args;
use tstr_shared::explain::{Explanation, PriorityDepth, QueueClass, Verdict, VerdictCount, Why};
use tstr_shared::ids::RunId;
use tstr_shared::labels::Labels;
use tstr_shared::run::RunState;
use tstr_shared::testdef::Priority;

use super::{Ctl, Much};
use crate::client::Call;
use crate::exit::{Exit, Outcome};
use crate::output::{Cell, Column, Look, Show, Tint};

/// Flags of `queue`.
#[derive(Debug, Args)]
#[command(before_help = "Examples:
  tstr ctl queue
  tstr ctl queue -o wide          with the depth of each priority
  tstr ctl queue --why RUN        why this run waits, the same as run explain")]
pub struct QueueArgs {
    /// Say why this run waits instead
    #[arg(long, value_name = "RUN")]
    why: Option<RunId>,
    #[command(flatten)]
    much: Much,
}

/// Lists what waits, or says why a run does.
pub async fn queue(ctl: &Ctl, args: &QueueArgs) -> Outcome<Exit> {
    if let Some(run) = args.why {
        return explain(ctl, run).await;
    }
    let limit = args.much.limit();
    let (items, more) = ctl.client.list(&Call::get(&ctl.in_ns(&["queue"])), limit).await?;
    ctl.out.list::<QueueClass>(&items)?;
    if items.is_empty() {
        ctl.out.hint(&format!("nothing waits in the namespace {}", ctl.ns()));
    }
    if more {
        ctl.out.hint(&format!("the first {} are shown; --limit N or --all shows more", items.len()));
    }
    Ok(Exit::Done)
}

/// Says why a run waits, what it does, or why it ended as it did.
pub async fn explain(ctl: &Ctl, run: RunId) -> Outcome<Exit> {
    ctl.item::<Explanation>(&Call::get(&["runs", &run.to_string(), "explain"])).await
}

fn tint_of(why: Why) -> Tint {
    match why {
        Why::NoRunner | Why::NoRunnerCould | Why::NoLiveRunner => Tint::Bad,
        Why::NotBefore
        | Why::Backoff
        | Why::Concurrency
        | Why::MaxParallel
        | Why::NamespaceCap
        | Why::AtCapacity
        | Why::Line
        | Why::Cancelling
        | Why::LeaseOver => Tint::Warn,
        Why::Ready | Why::Preparing | Why::Executing => Tint::Busy,
        Why::Ended => Tint::None,
    }
}

fn counts(counts: &[VerdictCount]) -> String {
    let one = |count: &VerdictCount| match &count.key {
        Some(key) => format!("{} {} ({key})", count.runners, count.verdict),
        None => format!("{} {}", count.runners, count.verdict),
    };
    counts.iter().map(one).collect::<Vec<_>>().join(", ")
}

fn named(labels: &Labels) -> String {
    if labels.is_empty() { "(no labels)".to_owned() } else { labels.text() }
}

impl Show for Explanation {
    const COLUMNS: &'static [Column] = &[Column::new("RUN"), Column::new("STATE"), Column::new("WHY")];

    fn name(&self) -> String {
        self.run_id.to_string()
    }

    fn row(&self, _: &Look) -> Vec<Cell> {
        vec![
            Cell::plain(self.run_id.to_string()),
            Cell::plain(self.state.word()),
            Cell::new(&self.summary, self.reasons.first().map_or(Tint::None, |because| tint_of(because.why))),
        ]
    }

    fn facts(&self, look: &Look) -> Vec<(&'static str, Cell)> {
        let tint = self.reasons.first().map_or(Tint::None, |because| tint_of(because.why));
        let mut facts = vec![
            ("RUN", Cell::plain(self.run_id.to_string())),
            ("TEST", Cell::plain(&self.test_name)),
            ("LABELS", Cell::plain(self.labels.text())),
            ("STATE", Cell::plain(self.state.word())),
            ("WHY", Cell::new(&self.summary, tint)),
        ];
        // One reason alone is the summary.
        if self.reasons.len() > 1 {
            let reasons = self.reasons.iter().map(|because| format!("{}: {}", because.why, because.sentence));
            facts.extend(reasons.map(|reason| ("REASON", Cell::plain(reason))));
        }
        if let Some(waiting) = &self.waiting {
            facts.push(("SINCE", Cell::plain(look.instant(waiting.since))));
            facts.extend(waiting.deadline.map(|at| ("ENDS", Cell::plain(look.instant(at)))));
            facts.extend(waiting.ahead.map(|ahead| ("AHEAD", Cell::plain(ahead.to_string()))));
            facts.push(("RUNNERS", Cell::plain(counts(&waiting.counts))));
            facts.extend(waiting.runners.iter().map(|runner| {
                let tint = match runner.verdict {
                    Verdict::CouldTake => Tint::Good,
                    Verdict::AtCapacity | Verdict::Draining | Verdict::DiskLow | Verdict::Breaker => Tint::Warn,
                    Verdict::NotLive | Verdict::Namespace | Verdict::Rejected | Verdict::NotAccepted => Tint::Dim,
                };
                ("RUNNER", Cell::new(format!("{}: {}", runner.runner_name, runner.sentence), tint))
            }));
            let all: u32 = waiting.counts.iter().map(|count| count.runners).sum();
            let left_out = all.saturating_sub(u32::try_from(waiting.runners.len()).unwrap_or(u32::MAX));
            if left_out > 0 {
                facts.push(("RUNNER", Cell::new(format!("and {left_out} more"), Tint::Dim)));
            }
        }
        if let Some(lease) = &self.lease {
            facts.push(("RUNNER", Cell::plain(&lease.runner_name)));
            facts.push(("LEASED", Cell::plain(look.instant(lease.leased_at))));
            facts.extend(lease.started_at.map(|at| ("STARTED", Cell::plain(look.instant(at)))));
            facts.push(("LEASE ENDS", Cell::plain(look.instant(lease.expires_at))));
            facts.extend(lease.hard_deadline.map(|at| ("ENDED BY", Cell::plain(look.instant(at)))));
        }
        let goes_on = |attempt: u16| {
            matches!(self.state, RunState::Leased | RunState::Running)
                && self.lease.as_ref().is_some_and(|lease| lease.attempt == attempt)
        };
        // What goes on was said already.
        let attempts = self.attempts.iter().filter(|attempt| !goes_on(attempt.attempt));
        facts.extend(
            attempts.map(|attempt| ("ATTEMPT", Cell::plain(format!("{}: {}", attempt.attempt, attempt.sentence)))),
        );
        facts
    }
}

impl Show for QueueClass {
    const COLUMNS: &'static [Column] = &[
        Column::new("LABELS"),
        Column::new("WAIT"),
        Column::wide("URGENT"),
        Column::wide("HIGH"),
        Column::wide("NORMAL"),
        Column::wide("LOW"),
        Column::new("GATED"),
        Column::new("LATER"),
        Column::new("OLDEST"),
        Column::new("RUNNERS"),
        Column::new("NOTE"),
    ];

    fn name(&self) -> String {
        named(&self.labels)
    }

    fn row(&self, look: &Look) -> Vec<Cell> {
        let of = |priority: Priority| {
            let depth = self.priorities.iter().find(|one: &&PriorityDepth| one.priority == priority);
            Cell::plain(depth.map_or_else(|| "0".to_owned(), |one| one.depth.to_string()))
        };
        let runners = match self.live_runners {
            0 => Cell::new(format!("0/{}", self.known_runners), Tint::Bad),
            live => Cell::plain(format!("{live}/{}", self.known_runners)),
        };
        let note = self.stranded.as_ref();
        vec![
            Cell::plain(named(&self.labels)),
            Cell::plain(self.depth.to_string()),
            of(Priority::Urgent),
            of(Priority::High),
            of(Priority::Normal),
            of(Priority::Low),
            Cell::plain(self.gated.to_string()),
            Cell::plain(self.delayed.to_string()),
            Cell::plain(look.age_of(self.oldest)),
            runners,
            Cell::new(note.map_or("", |because| &because.sentence), note.map_or(Tint::None, |one| tint_of(one.why))),
        ]
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn look() -> Look {
        Look { now: "2026-03-01T12:00:00Z".parse().unwrap(), exact: false }
    }

    fn shown<T: Show>(value: serde_json::Value) -> Vec<(&'static str, Cell)> {
        serde_json::from_value::<T>(value).unwrap().facts(&look())
    }

    #[test]
    fn a_waiting_run_is_told_with_every_runner() {
        let runner = |name: &str, verdict: &str, sentence: &str| {
            json!({
                "runner_id": "0198f7a0-0000-7000-8000-000000000002", "runner_name": name, "state": "live",
                "verdict": verdict, "sentence": sentence, "slots_used": 1, "slots": 1,
                "last_seen_at": "2026-03-01T12:00:00Z",
            })
        };
        let facts = shown::<Explanation>(json!({
            "run_id": "0198f7a0-0000-7000-8000-000000000001", "namespace": "default", "test_name": "t",
            "labels": {"region": "nyc"}, "state": "queued", "as_of": "2026-03-01T12:00:00Z", "summary": "it waits: s",
            "reasons": [{"why": "at_capacity", "sentence": "s"}, {"why": "line", "sentence": "4 come before it"}],
            "waiting": {
                "since": "2026-03-01T11:59:00Z", "deadline": "2026-03-01T12:10:00Z",
                "ahead": {"count": 1000, "more": true},
                "counts": [{"verdict": "at_capacity", "runners": 2}, {"verdict": "not_accepted", "key": "region", "runners": 1}],
                "runners": [runner("w", "at_capacity", "it is at capacity: 1/1 slots used")],
            },
            "attempts": [{"attempt": 1, "runner_name": "v", "sentence": "v gave it back"}],
        }));
        let text = |cell: &str| Cell::plain(cell);
        let of = |word: &str| {
            facts.iter().filter(|(name, _)| *name == word).map(|(_, cell)| cell.clone()).collect::<Vec<_>>()
        };
        assert_eq!(of("WHY"), [Cell::new("it waits: s", Tint::Warn)]);
        assert_eq!(of("REASON"), [text("at_capacity: s"), text("line: 4 come before it")]);
        assert_eq!(of("AHEAD"), [text("1000+")]);
        assert_eq!(of("RUNNERS"), [text("2 at_capacity, 1 not_accepted (region)")]);
        assert_eq!(
            of("RUNNER"),
            [Cell::new("w: it is at capacity: 1/1 slots used", Tint::Warn), Cell::new("and 2 more", Tint::Dim)]
        );
        assert_eq!(of("ATTEMPT"), [text("1: v gave it back")]);
        assert_eq!(of("SINCE"), [text("2026-03-01T11:59:00.000Z (1m ago)")]);
    }

    #[test]
    fn a_row_of_the_queue_says_who_could_serve_it() {
        let class: QueueClass = serde_json::from_value(json!({
            "labels": {}, "depth": {"count": 1003, "more": true},
            "priorities": [
                {"priority": "urgent", "depth": {"count": 3, "more": false}, "oldest": "2026-03-01T11:00:00Z"},
                {"priority": "normal", "depth": {"count": 1000, "more": true}, "oldest": "2026-03-01T11:30:00Z"},
            ],
            "oldest": "2026-03-01T11:00:00Z", "delayed": {"count": 2, "more": false},
            "gated": {"count": 7, "more": false},
            "live_runners": 0, "known_runners": 1, "stranded": {"why": "no_live_runner", "sentence": "none"},
        }))
        .unwrap();
        let text = |cell: &str| Cell::plain(cell);
        let expected = [
            text("(no labels)"),
            text("1003+"),
            text("3"),
            text("0"),
            text("1000+"),
            text("0"),
            text("7"),
            text("2"),
            text("1h"),
            Cell::new("0/1", Tint::Bad),
            Cell::new("none", Tint::Bad),
        ];
        assert_eq!(class.row(&look()), expected);
    }
}
