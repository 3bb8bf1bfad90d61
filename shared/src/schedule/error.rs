//! Why a crontab line or a time zone is refused, in words for the person who wrote it.

use chrono_tz::{TZ_VARIANTS, Tz};

use super::{CronField, MAX_SPEC_CHARS};

/// Why a schedule was refused. The message names the input and, where there is one, the column.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ScheduleError {
    /// The line holds nothing but blanks or a time zone prefix.
    #[error("the cron line is empty, five fields are needed, such as */5 * * * *")]
    Empty,
    /// The line is longer than [`MAX_SPEC_CHARS`].
    #[error("the cron line has {length} characters, {MAX_SPEC_CHARS} are allowed")]
    TooLong {
        /// The length of the line, in characters.
        length: usize,
    },
    /// The line does not have five fields.
    #[error(
        "the cron line {spec:?} has {found} fields, five are needed: minute hour day-of-month month day-of-week{hint}",
        hint = if *found > 5 { "; seconds and years are not supported" } else { "" }
    )]
    FieldCount {
        /// The line.
        spec: String,
        /// How many fields it has.
        found: usize,
    },
    /// A word with `@` is unknown, not supported, or not alone.
    #[error("{word:?} {reason}")]
    Shortcut {
        /// The word.
        word: String,
        /// What is wrong with it; continues the sentence that the word begins.
        reason: &'static str,
    },
    /// A field cannot be read.
    #[error("{field} field {text:?}, column {column}: {reason}")]
    BadField {
        /// Which of the five.
        field: CronField,
        /// The field as written.
        text: String,
        /// Where in the line the faulty entry begins, counted from 1.
        column: usize,
        /// What is wrong with it.
        reason: String,
    },
    /// The line names no time at all, such as 30 February, or only times that the zone's clock leaves out.
    #[error("the cron line {spec:?} never happens")]
    Never {
        /// The line.
        spec: String,
    },
    /// The line names no time during five or more years in a row.
    #[error("the cron line {spec:?} can pause for five years or longer")]
    TooRare {
        /// The line.
        spec: String,
    },
    /// The line names a time often enough for some places of its `H`, and not for others.
    #[error("the cron line {spec:?} never happens, or hardly ever, where H falls on some of its values")]
    Unplaceable {
        /// The line.
        spec: String,
    },
    /// The `cron` crate refuses what we accepted; no such line is known.
    #[error("the cron line {spec:?} is not understood: {reason}")]
    Refused {
        /// The line.
        spec: String,
        /// What the crate says.
        reason: String,
    },
    /// The prefix of the line names no time zone we know.
    #[error("{}", unknown_zone(name))]
    UnknownPrefixZone {
        /// The name behind `CRON_TZ=` or `TZ=`.
        name: String,
    },
    /// `time_zone` names no time zone we know.
    #[error("{}", unknown_zone(name))]
    UnknownZone {
        /// The name, cut to 64 characters.
        name: String,
    },
    /// The prefix of the line and `time_zone` name different zones.
    #[error("the cron line says {prefix} but the time zone says {time_zone}, name only one of them")]
    ZoneConflict {
        /// The zone of the line's prefix.
        prefix: Tz,
        /// The zone beside the line.
        time_zone: Tz,
    },
}

impl ScheduleError {
    /// Returns the name of the input that is wrong: `cron_schedule` or `time_zone`.
    #[must_use]
    pub fn field(&self) -> &'static str {
        match self {
            Self::Empty
            | Self::TooLong { .. }
            | Self::FieldCount { .. }
            | Self::Shortcut { .. }
            | Self::BadField { .. }
            | Self::Never { .. }
            | Self::TooRare { .. }
            | Self::Unplaceable { .. }
            | Self::Refused { .. }
            | Self::UnknownPrefixZone { .. } => "cron_schedule",
            Self::UnknownZone { .. } | Self::ZoneConflict { .. } => "time_zone",
        }
    }
}

fn unknown_zone(name: &str) -> String {
    let meant = TZ_VARIANTS.iter().map(|zone| zone.name()).find(|known| known.eq_ignore_ascii_case(name.trim()));
    let hint = match meant {
        Some(known) => format!("did you mean {known}"),
        None => "use an IANA name such as Europe/Paris".to_owned(),
    };
    format!("unknown time zone {name:?}, {hint}")
}
