//! How the things of the API look in tables.

use chrono::{DateTime, Utc};
use tstr_shared::artifacts::{Artifact, ArtifactSummary};
use tstr_shared::concurrency::{Concurrency, ConcurrencyPolicy};
use tstr_shared::labels::Labels;
use tstr_shared::ledger::{LedgerEntry, LedgerOutcome};
use tstr_shared::namespace::NamespaceInfo;
use tstr_shared::permission::Scope;
use tstr_shared::results::CaseCounts;
use tstr_shared::run::{Attempt, Run, RunEvent, RunResult, RunState};
use tstr_shared::runner::{Runner, RunnerState, Unfit};
use tstr_shared::schedule::Upcoming;
use tstr_shared::testdef::{TestDef, TestVersion};
use tstr_shared::token::{Identity, Token};

use super::said;
use crate::output::{Cell, Column, Look, Show, Tint};

/// How many values, and how many notes, are shown of a run.
const MOST_DATA: usize = 20;

fn plain(text: impl AsRef<str>) -> Cell {
    Cell::plain(text)
}

fn text<T: ToString>(value: Option<T>) -> String {
    value.map(|value| value.to_string()).unwrap_or_default()
}

fn labels(labels: &Labels) -> Cell {
    plain(labels.text())
}

/// Says how many runs may be under way at once.
fn concurrency(concurrency: &Concurrency) -> String {
    let group = concurrency.group.as_ref().map(|group| format!(" in {group}")).unwrap_or_default();
    match concurrency.rule() {
        None => "allow".to_owned(),
        Some(rule) => format!("{} at once{group}, then {}", rule.limit, word(rule.policy)),
    }
}

fn word(policy: ConcurrencyPolicy) -> &'static str {
    match policy {
        ConcurrencyPolicy::Allow => "allow",
        ConcurrencyPolicy::Forbid => "forbid",
        ConcurrencyPolicy::Queue => "queue",
        ConcurrencyPolicy::Replace => "replace",
    }
}

/// Says how many cases a run has, and of which kind.
fn case_words(counts: &CaseCounts) -> String {
    let CaseCounts { cases, passed, failed, errors, skipped, flaky, muted } = *counts;
    let kinds = [
        (passed, "passed"),
        (failed, "failed"),
        (errors, "with errors"),
        (skipped, "skipped"),
        (flaky, "flaky"),
        (muted, "muted"),
    ];
    let kinds: Vec<String> =
        kinds.iter().filter(|(count, _)| *count > 0).map(|(count, kind)| format!("{count} {kind}")).collect();
    format!("{cases}: {}", kinds.join(", "))
}

/// Colours a result by what it says.
pub fn result_cell(result: Option<RunResult>) -> Cell {
    let tint = match result {
        None => Tint::None,
        Some(RunResult::Pass) => Tint::Good,
        Some(RunResult::Fail | RunResult::TimedOut) => Tint::Bad,
        Some(RunResult::Error) => Tint::Warn,
        Some(RunResult::Cancelled) => Tint::Dim,
    };
    Cell::new(text(result), tint)
}

fn state_cell(state: RunState) -> Cell {
    let tint = match state {
        RunState::Queued => Tint::None,
        RunState::Leased | RunState::Running => Tint::Busy,
        RunState::Finished => Tint::Dim,
    };
    Cell::new(state.word(), tint)
}

impl Show for TestDef {
    const COLUMNS: &'static [Column] = &[
        Column::new("NAME"),
        Column::new("SCHEDULE"),
        Column::wide("ZONE"),
        Column::new("NEXT"),
        Column::new("RUNS"),
        Column::new("LABELS"),
        Column::wide("IMAGE"),
        Column::new("UPDATED"),
    ];

    fn name(&self) -> String {
        self.spec.name.clone()
    }

    fn row(&self, look: &Look) -> Vec<Cell> {
        let schedule = self.spec.cron_schedule.clone().unwrap_or_default();
        let next = match self.spec.paused {
            true => Cell::new("paused", Tint::Warn),
            false => plain(look.age_of(self.next_run_at)),
        };
        let runs = self.spec.cells().map(|cells| cells.len().to_string()).unwrap_or_default();
        vec![
            plain(&self.spec.name),
            plain(schedule),
            plain(self.spec.time_zone.clone().unwrap_or_default()),
            next,
            plain(runs),
            labels(&self.spec.labels),
            plain(&self.spec.run_config.container_image),
            plain(look.age(self.updated_at)),
        ]
    }

    fn facts(&self, look: &Look) -> Vec<(&'static str, Cell)> {
        let (spec, config) = (&self.spec, &self.spec.run_config);
        let list = |items: &[String]| serde_json::to_string(items).unwrap_or_default();
        let list = |items: &[String]| if items.is_empty() { String::new() } else { list(items) };
        let axes = spec.matrix.iter().flat_map(|matrix| &matrix.labels.0);
        let axes: Vec<_> = axes.map(|(key, values)| format!("{key}: {}", values.join(", "))).collect();
        let runs = spec.cells().map(|cells| cells.len().to_string()).unwrap_or_default();
        let limits = config.resources;
        let mut facts = vec![
            ("NAME", Cell::new(&spec.name, Tint::Good)),
            ("NAMESPACE", plain(self.namespace.as_str())),
            ("ID", plain(self.id.to_string())),
            ("VERSION", plain(self.version.to_string())),
            ("LABELS", labels(&spec.labels)),
            ("ANNOTATIONS", labels(&spec.annotations)),
            ("IMAGE", plain(&config.container_image)),
            ("COMMAND", plain(list(&config.command.0))),
            ("ARGS", plain(list(&config.args))),
            ("ENV", plain(config.env.text())),
            ("TIMEOUT", plain(config.timeout.to_string())),
            ("RESOURCES", plain(format!("memory {}, cpus {}, pids {}", limits.memory, limits.cpus, limits.pids))),
            ("MATRIX", plain(axes.join("; "))),
            ("RUNS", plain(runs)),
            ("CONCURRENCY", plain(spec.concurrency.as_ref().map(concurrency).unwrap_or_default())),
            ("SCHEDULE", plain(spec.cron_schedule.clone().unwrap_or_default())),
            ("ZONE", plain(spec.time_zone.clone().unwrap_or_default())),
            ("NEXT", plain(self.next_run_at.map(|at| look.instant(at)).unwrap_or_default())),
            ("CREATED", plain(look.instant(self.created_at))),
            ("UPDATED", plain(look.instant(self.updated_at))),
        ];
        if spec.paused {
            facts.push(("PAUSED", Cell::new("yes", Tint::Warn)));
        }
        facts
    }
}

impl Show for LedgerEntry {
    const COLUMNS: &'static [Column] = &[
        Column::new("SCHEDULED"),
        Column::new("OUTCOME"),
        Column::new("REASON"),
        Column::new("LATE"),
        Column::new("RUNS"),
        Column::wide("INSTANTS"),
        Column::wide("UNTIL"),
        Column::wide("MATRIX"),
    ];

    fn name(&self) -> String {
        Look { now: self.scheduled_for, exact: true }.age(self.scheduled_for)
    }

    fn row(&self, look: &Look) -> Vec<Cell> {
        let tint = match self.outcome {
            LedgerOutcome::Ran => Tint::Good,
            LedgerOutcome::Skipped => Tint::Warn,
            LedgerOutcome::Missed => Tint::Bad,
        };
        vec![
            plain(look.instant(self.scheduled_for)),
            Cell::new(self.outcome.word(), tint),
            plain(text(self.reason)),
            plain(self.late_ms.map(|ms| format!("{ms}ms")).unwrap_or_default()),
            plain(self.runs.to_string()),
            plain(self.instants.to_string()),
            plain(self.until.map(|at| look.instant(at)).unwrap_or_default()),
            plain(text(self.matrix_id)),
        ]
    }
}

impl Show for TestVersion {
    const COLUMNS: &'static [Column] = &[Column::new("VERSION"), Column::new("CHANGED"), Column::new("BY")];

    fn name(&self) -> String {
        self.version.to_string()
    }

    fn row(&self, look: &Look) -> Vec<Cell> {
        let by = self.changed_by.as_deref().unwrap_or_default();
        vec![plain(self.version.to_string()), plain(look.instant(self.changed_at)), plain(by)]
    }
}

impl Show for Run {
    const COLUMNS: &'static [Column] = &[
        Column::new("ID"),
        Column::new("TEST"),
        Column::new("CELL"),
        Column::new("STATE"),
        Column::new("RESULT"),
        Column::wide("REASON"),
        Column::wide("EXIT"),
        Column::wide("ATTEMPT"),
        Column::new("RUNNER"),
        Column::new("TOOK"),
        Column::wide("TRIGGER"),
        Column::wide("LABELS"),
        Column::wide("MATRIX"),
        Column::new("SCHEDULED"),
    ];

    fn name(&self) -> String {
        self.id.to_string()
    }

    fn row(&self, look: &Look) -> Vec<Cell> {
        vec![
            plain(self.id.to_string()),
            plain(&self.test_name),
            labels(&self.cell),
            state_cell(self.state),
            result_cell(self.result),
            plain(text(self.reason)),
            plain(text(self.exit_code)),
            plain(self.attempt.to_string()),
            plain(self.runner_name.as_deref().unwrap_or_default()),
            plain(look.took(self.started_at, self.finished_at)),
            plain(self.trigger.word()),
            labels(&self.labels),
            plain(self.matrix_id.to_string()),
            plain(look.age(self.scheduled_at)),
        ]
    }

    fn facts(&self, look: &Look) -> Vec<(&'static str, Cell)> {
        let at = |at: Option<DateTime<Utc>>| plain(at.map(|at| look.instant(at)).unwrap_or_default());
        let log = match self.log.dropped_bytes {
            0 => format!("{} bytes", self.log.bytes),
            dropped => format!("{} bytes, {dropped} more were not kept", self.log.bytes),
        };
        let log = match self.log.removed_at {
            Some(at) => format!("{log}; removed by retention on {}", at.date_naive()),
            None => log,
        };
        let mut facts = vec![
            ("ID", plain(self.id.to_string())),
            ("NAMESPACE", plain(self.namespace.as_str())),
            ("TEST", plain(&self.test_name)),
            ("CELL", labels(&self.cell)),
            ("LABELS", labels(&self.labels)),
            ("STATE", state_cell(self.state)),
            ("RESULT", result_cell(self.result)),
            ("REASON", plain(text(self.reason))),
            ("MESSAGE", plain(self.message.as_deref().unwrap_or_default())),
            ("EXIT CODE", plain(text(self.exit_code))),
            ("RUNNER", plain(self.runner_name.as_deref().unwrap_or_default())),
            ("IMAGE", plain(&self.run_config.container_image)),
            ("DIGEST", plain(self.image_digest.as_deref().unwrap_or_default())),
            ("TRIGGER", plain(self.trigger.word())),
            ("MATRIX", plain(self.matrix_id.to_string())),
            ("SCHEDULED", at(Some(self.scheduled_at))),
            ("LEASED", at(self.leased_at)),
            ("STARTED", at(self.started_at)),
            ("FINISHED", at(self.finished_at)),
            ("TOOK", plain(look.took(self.started_at, self.finished_at))),
            ("LOG", plain(log)),
            ("ARTIFACTS", plain(artifact_words(&self.artifacts))),
            ("CASES", plain(self.cases.as_ref().map(case_words).unwrap_or_default())),
        ];
        let data = self.result_data.iter().take(MOST_DATA);
        facts.extend(data.map(|(key, value)| ("DATA", plain(format!("{key}={}", said::shown(value))))));
        if let Some(more) = self.result_data.len().checked_sub(MOST_DATA + 1) {
            facts.push(("DATA", plain(format!("and {} more: `run output` shows all", more + 1))));
        }
        let notes = self.output_notes.iter().take(MOST_DATA);
        facts.extend(notes.map(|note| ("NOTE", Cell::new(said::note_words(note), Tint::Warn))));
        if let Some(kept) = &self.kept {
            let note = kept.note.as_ref().map(|note| format!(": {note}")).unwrap_or_default();
            facts.push(("KEPT", plain(format!("since {} by {}{note}", look.instant(kept.at), kept.by))));
        }
        if self.flaky {
            facts.push(("FLAKY", Cell::new("it passed after an attempt that failed", Tint::Warn)));
        }
        if self.cancel_requested && self.state != RunState::Finished {
            facts.push(("CANCEL", Cell::new("asked for", Tint::Warn)));
        }
        facts.extend(self.attempts.iter().map(|attempt| ("ATTEMPT", plain(attempt_words(attempt, look)))));
        facts
    }
}

fn artifact_words(artifacts: &ArtifactSummary) -> String {
    let words = match artifacts.files {
        0 => return String::new(),
        1 => format!("1 file, {} bytes", artifacts.bytes),
        files => format!("{files} files, {} bytes", artifacts.bytes),
    };
    match artifacts.removed_at {
        Some(at) => format!("{words}; removed by retention on {}", at.date_naive()),
        None => words,
    }
}

impl Show for Artifact {
    const COLUMNS: &'static [Column] =
        &[Column::new("PATH"), Column::new("BYTES"), Column::new("TYPE"), Column::wide("SHA256")];

    fn name(&self) -> String {
        self.path.to_string()
    }

    fn row(&self, _: &Look) -> Vec<Cell> {
        vec![
            plain(self.path.as_str()),
            plain(self.bytes.to_string()),
            plain(&self.media_type),
            plain(self.sha256.to_string()),
        ]
    }
}

fn attempt_words(attempt: &Attempt, look: &Look) -> String {
    let what = match (attempt.result, attempt.ended_at) {
        (Some(result), _) => result.word(),
        (None, Some(_)) => "given back",
        (None, None) => "going on",
    };
    let reason = attempt.reason.map(|reason| format!(", {reason}")).unwrap_or_default();
    let took = match attempt.started_at {
        Some(_) => format!(", {}", look.took(attempt.started_at, attempt.ended_at)),
        None => String::new(),
    };
    format!("{}: {what}{reason} on {}{took}", attempt.attempt, attempt.runner_name)
}

impl Show for RunEvent {
    const COLUMNS: &'static [Column] = &[
        Column::new("AT"),
        Column::new("FROM"),
        Column::new("TO"),
        Column::new("RESULT"),
        Column::new("REASON"),
        Column::new("ATTEMPT"),
        Column::new("ACTOR"),
    ];

    fn name(&self) -> String {
        self.id.to_string()
    }

    fn row(&self, look: &Look) -> Vec<Cell> {
        vec![
            plain(Look { exact: true, ..*look }.age(self.at)),
            plain(text(self.from)),
            state_cell(self.to),
            result_cell(self.result),
            plain(text(self.reason)),
            plain(self.attempt.to_string()),
            plain(&self.actor),
        ]
    }
}

impl Show for Runner {
    const COLUMNS: &'static [Column] = &[
        Column::new("NAME"),
        Column::new("STATE"),
        Column::new("SLOTS"),
        Column::new("NAMESPACES"),
        Column::new("ACCEPT"),
        Column::new("REJECT"),
        Column::wide("ENGINE"),
        Column::wide("VERSION"),
        Column::wide("LIMITS"),
        Column::new("SEEN"),
        Column::new("ID"),
    ];

    fn name(&self) -> String {
        self.name.clone()
    }

    fn row(&self, look: &Look) -> Vec<Cell> {
        let (word, tint) = match self.state {
            // Live, and yet it takes nothing new.
            RunnerState::Live => match self.unfit {
                None => ("live", Tint::Good),
                Some(Unfit::DiskLow) => ("not fit: disk_low", Tint::Bad),
                Some(Unfit::Breaker) => ("not fit: breaker", Tint::Bad),
            },
            RunnerState::Draining => ("draining", Tint::Warn),
            RunnerState::Offline => ("offline", Tint::Dim),
        };
        let selectors = |map: &std::collections::BTreeMap<String, String>| {
            plain(map.iter().map(|(key, pattern)| format!("{key}={pattern}")).collect::<Vec<_>>().join(","))
        };
        vec![
            plain(&self.name),
            Cell::new(word, tint),
            plain(format!("{}/{}", self.slots_used, self.slots)),
            plain(self.namespaces.join(",")),
            selectors(&self.accept),
            selectors(&self.reject),
            plain(&self.about.engine),
            plain(&self.about.version),
            plain(self.about.limits_enforced.join(",")),
            plain(look.age(self.last_seen_at)),
            plain(self.id.to_string()),
        ]
    }

    fn facts(&self, look: &Look) -> Vec<(&'static str, Cell)> {
        let titles = Self::COLUMNS.iter().map(|column| column.title);
        let mut facts: Vec<_> = titles.zip(self.row(look)).collect();
        facts.push(("PLATFORM", plain(&self.about.platform)));
        facts.push(("NOT ENFORCED", Cell::new(self.about.limits_note.as_deref().unwrap_or_default(), Tint::Warn)));
        facts.push(("REGISTERED", plain(look.instant(self.registered_at))));
        facts
    }
}

fn scopes(scopes: &[Scope]) -> Cell {
    plain(scopes.iter().map(|scope| scope.word()).collect::<Vec<_>>().join(","))
}

fn token_state(token: &Token, look: &Look) -> Cell {
    match (token.revoked_at, token.expires_at <= look.now) {
        (Some(_), _) => Cell::new("revoked", Tint::Bad),
        (None, true) => Cell::new("expired", Tint::Dim),
        (None, false) => Cell::new("valid", Tint::Good),
    }
}

impl Show for Token {
    const COLUMNS: &'static [Column] = &[
        Column::new("ID"),
        Column::new("NAME"),
        Column::new("SCOPES"),
        Column::new("NAMESPACES"),
        Column::new("STATE"),
        Column::new("EXPIRES"),
        Column::new("USED"),
        Column::wide("CREATED"),
        Column::wide("ISSUED BY"),
    ];

    fn name(&self) -> String {
        self.id.to_string()
    }

    fn row(&self, look: &Look) -> Vec<Cell> {
        vec![
            plain(self.id.to_string()),
            plain(&self.name),
            scopes(&self.scopes),
            plain(self.namespaces.join(",")),
            token_state(self, look),
            plain(look.age(self.expires_at)),
            plain(look.age_of(self.last_used_at)),
            plain(look.age(self.created_at)),
            plain(text(self.issued_by)),
        ]
    }
}

impl Show for Identity {
    const COLUMNS: &'static [Column] =
        &[Column::new("TOKEN"), Column::new("SCOPES"), Column::new("SELECTORS"), Column::new("NAMESPACES")];

    fn name(&self) -> String {
        self.token.name.clone()
    }

    fn row(&self, _: &Look) -> Vec<Cell> {
        vec![
            plain(&self.token.name),
            scopes(&self.token.scopes),
            plain(self.token.namespaces.join(", ")),
            plain(self.namespaces.join(", ")),
        ]
    }

    fn facts(&self, look: &Look) -> Vec<(&'static str, Cell)> {
        let titles = Self::COLUMNS.iter().map(|column| column.title);
        let mut facts: Vec<_> = titles.zip(self.row(look)).collect();
        facts.push(("ID", plain(self.token.id.to_string())));
        facts.push(("EXPIRES", plain(look.instant(self.token.expires_at))));
        facts
    }
}

impl Show for NamespaceInfo {
    const COLUMNS: &'static [Column] = &[
        Column::new("NAME"),
        Column::new("TESTS"),
        Column::new("MAX QUEUED"),
        Column::new("MAX RUNNING"),
        Column::new("RUNS"),
        Column::new("LOGS"),
        Column::new("ARTIFACTS"),
        Column::wide("MAX BYTES"),
        Column::wide("RUNS KEPT"),
        Column::wide("LOGS KEPT"),
        Column::new("CREATED"),
    ];

    fn name(&self) -> String {
        self.name.to_string()
    }

    fn row(&self, look: &Look) -> Vec<Cell> {
        let quota = |quota: Option<i64>| plain(quota.map_or_else(|| "none".to_owned(), |n| n.to_string()));
        vec![
            plain(self.name.as_str()),
            plain(self.tests.to_string()),
            quota(self.quotas.max_queued.map(Into::into)),
            quota(self.quotas.max_running.map(Into::into)),
            plain(self.usage.runs.to_string()),
            plain(format!("{}B", self.usage.log_bytes)),
            plain(format!("{}B", self.usage.artifact_bytes)),
            quota(self.quotas.max_bytes),
            plain(format!("{}d", self.retention.runs_days)),
            plain(format!("{}d", self.retention.logs_days)),
            plain(look.age(self.created_at)),
        ]
    }
}

impl Show for Upcoming {
    const COLUMNS: &'static [Column] =
        &[Column::new("AT"), Column::new("LOCAL"), Column::new("IN"), Column::new("NOTE")];

    fn name(&self) -> String {
        Look { now: self.at, exact: true }.age(self.at)
    }

    fn row(&self, look: &Look) -> Vec<Cell> {
        let age = look.age(self.at);
        vec![
            plain(Look { exact: true, ..*look }.age(self.at)),
            plain(&self.local),
            plain(age.strip_prefix("in ").unwrap_or(&age)),
            Cell::new(self.note.as_deref().unwrap_or_default(), Tint::Warn),
        ]
    }
}
