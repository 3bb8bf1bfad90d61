//! What all readers share: cases get their identity, their place among those that repeat it, and their count; notes are
//! handed over until there are too many of a kind.

use std::collections::HashMap;
use std::ops::ControlFlow;

use super::case::{Case, CaseStatus, Repeat, Suite};
use super::identity::CaseId;
use super::limits::{MAX_NOTE, MAX_NOTES, MAX_SUITES};
use super::note::{Note, NoteCode, Position};
use super::reconcile::Counts;
use super::source::Remark;
use super::text;
use super::{Event, Format, Limits, ReadOptions, Report, Sink};

pub(super) struct Intake<'a, 'b> {
    options: &'a ReadOptions,
    sink: &'a mut Sink<'b>,
    seen: HashMap<CaseId, Seen>,
    /// What is known of the report so far.
    pub(super) report: Report,
    /// The producer is known to write each attempt as a case of its own.
    pub(super) repeats_are_retries: bool,
    stopped: bool,
}

/// The last case with an identity.
struct Seen {
    ordinal: u32,
    status: CaseStatus,
    place: Place,
}

/// Where in the report a case stands: in which of its suites, which may share their names.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Place {
    /// In the suite with this number.
    Suite(u64),
    /// In a format that has words of its own for retries, so that what is repeated is none.
    Elsewhere,
}

impl<'a, 'b> Intake<'a, 'b> {
    pub(super) fn new(format: Format, options: &'a ReadOptions, sink: &'a mut Sink<'b>) -> Self {
        Self {
            options,
            sink,
            seen: HashMap::new(),
            report: Report::new(format),
            repeats_are_retries: false,
            stopped: false,
        }
    }

    pub(super) fn limits(&self) -> &'a Limits {
        &self.options.limits
    }

    /// Tells whether whoever takes the cases wants no more.
    pub(super) fn is_stopped(&self) -> bool {
        self.stopped
    }

    pub(super) fn note(&mut self, code: NoteCode, message: impl AsRef<str>, at: Option<Position>) {
        let count = self.report.notes.entry(code).or_default();
        *count += 1;
        if *count > MAX_NOTES {
            return;
        }
        let message = text::clean(text::cut(message.as_ref(), MAX_NOTE).0).into_owned();
        let note = Note { code, message, line: at.map(|at| at.line), byte: at.map(|at| at.byte) };
        self.send(Event::Note(note));
    }

    /// Notes what a source has to say about the bytes.
    pub(super) fn remarks(&mut self, remarks: &[Remark]) {
        for remark in remarks {
            match remark {
                Remark::Replaced(count, first) => {
                    let message = format!("{count} places are no text in the file's encoding, and were replaced");
                    self.note(NoteCode::Encoding, message, Some(*first));
                }
                Remark::Encoding(message) => self.note(NoteCode::Encoding, message, None),
                Remark::TooLarge => {
                    let message =
                        format!("the file has more than {} bytes: the rest was not read", self.limits().file_bytes);
                    self.note(NoteCode::TooLarge, message, None);
                }
            }
        }
    }

    /// Hands a case over, and counts it in the counts of its suite.
    pub(super) fn case(&mut self, mut case: Case, suite: &mut Counts, place: Place, at: Option<Position>) {
        if self.report.counted.cases >= self.limits().cases {
            self.report.cases_over_limit += 1;
            if self.report.cases_over_limit == 1 {
                let message = format!("more than {} cases: the rest is counted, and not kept", self.limits().cases);
                self.note(NoteCode::TooManyCases, message, at);
            }
            return;
        }
        if case.key.name.is_empty() {
            self.note(NoteCode::NoName, "a case has no name", at);
        }
        if case.fit() {
            let message = format!("'{}' has so many failures that their messages are cut", shown(&case));
            self.note(NoteCode::Cut, message, at);
        }
        case.id = case.key.id(self.options.test, &self.options.volatile);
        self.tell_repeats(&mut case, place);
        if case.repeat == Repeat::Ambiguous {
            let message = format!("'{}' comes again, as #{}", shown(&case), case.ordinal);
            self.note(NoteCode::Ambiguous, message, at);
        }
        suite.add(&case);
        self.report.counted.add(&case);
        self.send(Event::Case(Box::new(case)));
    }

    /// Says whether a case is the first of its identity, a retry, or one that cannot be told from another.
    fn tell_repeats(&mut self, case: &mut Case, place: Place) {
        let status = case.status;
        let Some(seen) = self.seen.get_mut(&case.id) else {
            self.seen.insert(case.id, Seen { ordinal: 1, status, place });
            return;
        };
        // Suites of the same name may be the same tests in another browser: a pass there is no retry of a failure here.
        let is_same_place = place == seen.place && place != Place::Elsewhere;
        let passes_now = is_same_place && case.key.is_full() && status == CaseStatus::Pass;
        if seen.status.is_failure() && (self.repeats_are_retries || passes_now) {
            case.repeat = Repeat::Retry;
            case.flaky |= status == CaseStatus::Pass;
        } else {
            case.repeat = Repeat::Ambiguous;
            seen.ordinal += 1;
        }
        case.ordinal = seen.ordinal;
        (seen.status, seen.place) = (status, place);
    }

    pub(super) fn suite(&mut self, suite: Suite) {
        self.report.suites += 1;
        if self.report.suites > MAX_SUITES {
            if self.report.suites == MAX_SUITES + 1 {
                let message = format!("more than {MAX_SUITES} suites: the rest is counted, and not kept");
                self.note(NoteCode::TooMany, message, None);
            }
            return;
        }
        self.send(Event::Suite(Box::new(suite)));
    }

    fn send(&mut self, event: Event) {
        if !self.stopped {
            self.stopped = matches!((self.sink)(event), ControlFlow::Break(()));
        }
    }

    pub(super) fn finish(mut self, complete: bool) -> Report {
        self.report.complete = complete && !self.stopped;
        self.report
    }
}

fn shown(case: &Case) -> &str {
    text::cut(&case.key.name, 200).0
}
