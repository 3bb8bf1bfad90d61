//! Enumerations: numbers on the wire, and a few that stand there as their word.

use tstr_shared::analysis::diff::LineChange;
use tstr_shared::artifacts::{NoteWhy, ReportMode};
use tstr_shared::compare::FileChange;
use tstr_shared::concurrency::{ConcurrencyPolicy, Overflow};
use tstr_shared::error::Invalid;
use tstr_shared::explain::{Verdict, Why};
use tstr_shared::lease::LeaseState;
use tstr_shared::ledger::{LedgerOutcome, LedgerReason};
use tstr_shared::logs::{LogStatus, Stream};
use tstr_shared::output::OutputSource;
use tstr_shared::permission::Scope;
use tstr_shared::report::CaseStatus;
use tstr_shared::run::{Reason, RunResult, RunState, Trigger};
use tstr_shared::runner::RunnerState;
use tstr_shared::schedule::CatchUp;
use tstr_shared::summary::Interval;
use tstr_shared::testdef::{Change, Network, Priority, Pull};

use crate::v1 as pb;

/// A value of the domain that stands on the wire as the number of an enumeration.
pub trait Word: Sized {
    /// The enumeration.
    type Message: TryFrom<i32> + Into<i32> + From<Self>;

    /// Returns the value of an enumerator; `None` for UNSPECIFIED.
    fn of(message: Self::Message) -> Option<Self>;
}

/// Makes the number of a value.
pub fn number<D: Word>(value: D) -> i32 {
    D::Message::from(value).into()
}

/// Reads the number at `place`; `None` for UNSPECIFIED.
///
/// # Errors
///
/// Refuses a number that the enumeration does not have.
pub fn word<D: Word>(place: &str, number: i32) -> Result<Option<D>, Invalid> {
    match D::Message::try_from(number) {
        Ok(message) => Ok(D::of(message)),
        Err(_) => Err(Invalid::one(place, format!("{number} has no meaning here"))),
    }
}

macro_rules! numbers {
    ($($name:ident { $($one:ident),+ })+) => {
        $(
            impl From<$name> for pb::$name {
                fn from(value: $name) -> Self {
                    match value { $($name::$one => Self::$one),+ }
                }
            }

            impl Word for $name {
                type Message = pb::$name;
                fn of(message: pb::$name) -> Option<Self> {
                    match message {
                        pb::$name::Unspecified => None,
                        $(pb::$name::$one => Some(Self::$one)),+
                    }
                }
            }
        )+

        #[cfg(test)]
        mod number_tests {
            use super::*;

            #[test]
            fn every_number_of_the_wire_has_its_value_and_the_next_has_none() {
                $({
                    let known = [$($name::$one),+];
                    for value in known {
                        assert_eq!(word::<$name>("/x", number(value)), Ok(Some(value)));
                    }
                    assert_eq!(word::<$name>("/x", 0), Ok(None));
                    let beyond = i32::try_from(known.len()).unwrap() + 1;
                    assert_eq!(word::<$name>("/x", beyond).unwrap_err().errors[0].pointer, "/x");
                    assert!(word::<$name>("/x", -1).is_err());
                })+
            }
        }
    };
}

numbers! {
    Scope { Admin, Control, Data, Runner }
    Priority { Urgent, High, Normal, Low }
    Network { None, Outbound }
    Pull { Missing, Always, Never }
    ReportMode { Auto, Required, None }
    CatchUp { None, Last, All }
    ConcurrencyPolicy { Allow, Forbid, Queue, Replace }
    Overflow { Oldest, Newest }
    RunState { Queued, Leased, Running, Finished }
    RunResult { Pass, Fail, Error, TimedOut, Cancelled }
    Stream { Stdout, Stderr }
    LeaseState { Held, CancelRequested, Gone }
    CaseStatus { Pass, Fail, Error, Skip }
    Interval { Hour, Day, Week }
}

/// A value of the domain that stands on the wire as a text, the same as in JSON.
pub(super) trait Text: Copy + 'static {
    const ALL: &'static [Self];
    fn text(self) -> &'static str;
}

macro_rules! texts {
    ($($name:ident { $($one:ident = $text:literal),+ })+) => {$(
        impl Text for $name {
            const ALL: &'static [Self] = &[$(Self::$one),+];
            fn text(self) -> &'static str {
                match self { $(Self::$one => $text),+ }
            }
        }
    )+};
}

texts! {
    LogStatus { Open = "open", Complete = "complete", Truncated = "truncated", Incomplete = "incomplete" }
    RunnerState { Live = "live", Draining = "draining", Offline = "offline" }
    Change { Created = "created", Updated = "updated", Unchanged = "unchanged" }
}

impl Text for Reason {
    const ALL: &'static [Self] = Reason::ALL;
    fn text(self) -> &'static str {
        self.word()
    }
}

impl Text for NoteWhy {
    const ALL: &'static [Self] = NoteWhy::ALL;
    fn text(self) -> &'static str {
        self.word()
    }
}

impl Text for FileChange {
    const ALL: &'static [Self] = FileChange::ALL;
    fn text(self) -> &'static str {
        self.word()
    }
}

impl Text for LineChange {
    const ALL: &'static [Self] = LineChange::ALL;
    fn text(self) -> &'static str {
        self.word()
    }
}

impl Text for OutputSource {
    const ALL: &'static [Self] = OutputSource::ALL;
    fn text(self) -> &'static str {
        self.word()
    }
}

impl Text for LedgerOutcome {
    const ALL: &'static [Self] = LedgerOutcome::ALL;
    fn text(self) -> &'static str {
        self.word()
    }
}

impl Text for LedgerReason {
    const ALL: &'static [Self] = LedgerReason::ALL;
    fn text(self) -> &'static str {
        self.word()
    }
}

impl Text for Why {
    const ALL: &'static [Self] = Why::ALL;
    fn text(self) -> &'static str {
        self.word()
    }
}

impl Text for Verdict {
    const ALL: &'static [Self] = Verdict::ALL;
    fn text(self) -> &'static str {
        self.word()
    }
}

impl Text for Trigger {
    const ALL: &'static [Self] = Trigger::ALL;
    fn text(self) -> &'static str {
        self.word()
    }
}

/// Reads the word at `place`.
pub(super) fn read<D: Text>(place: &str, text: &str) -> Result<D, Invalid> {
    let found = D::ALL.iter().copied().find(|one| one.text() == text);
    found.ok_or_else(|| {
        let known: Vec<_> = D::ALL.iter().map(|one| one.text()).collect();
        Invalid::one(place, format!("must be one of {}", known.join(", ")))
    })
}

/// Reads the word at `place`; `None` when it is empty.
pub(super) fn read_optional<D: Text>(place: &str, text: &str) -> Result<Option<D>, Invalid> {
    if text.is_empty() { Ok(None) } else { read(place, text).map(Some) }
}

/// Writes a word; empty when there is none.
pub(super) fn write_optional<D: Text>(value: Option<D>) -> String {
    value.map(D::text).unwrap_or_default().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_are_those_of_json() {
        fn check<D: Text + PartialEq + std::fmt::Debug>(json: impl Fn(D) -> serde_json::Value) {
            for one in D::ALL {
                assert_eq!(json(*one), one.text());
                assert_eq!(read::<D>("/x", one.text()), Ok(*one));
            }
            assert_eq!(read::<D>("/x", "").unwrap_err().errors[0].pointer, "/x");
            assert_eq!(read_optional::<D>("/x", ""), Ok(None));
        }
        check::<LogStatus>(|one| serde_json::to_value(one).unwrap());
        check::<RunnerState>(|one| serde_json::to_value(one).unwrap());
        check::<Change>(|one| serde_json::to_value(one).unwrap());
        check::<Reason>(|one| serde_json::to_value(one).unwrap());
        check::<Trigger>(|one| serde_json::to_value(one).unwrap());
        check::<Why>(|one| serde_json::to_value(one).unwrap());
        check::<Verdict>(|one| serde_json::to_value(one).unwrap());
        check::<FileChange>(|one| serde_json::to_value(one).unwrap());
        check::<LineChange>(|one| serde_json::to_value(one).unwrap());
        check::<OutputSource>(|one| serde_json::to_value(one).unwrap());
        check::<NoteWhy>(|one| serde_json::to_value(one).unwrap());
    }
}
