//! Durations as people write them: `15s`, `1h30m`; always answered in seconds, `"900s"`.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use serde::{Deserialize, Serialize};

/// A duration in whole seconds.
///
/// Read from numbers with a unit (`d`, `h`, `m`, `s`), largest first, each at most once: `90s`, `1h30m`, `1d`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Seconds(pub u32);

impl Seconds {
    /// Makes a duration of minutes.
    pub const fn minutes(minutes: u32) -> Self {
        Self(minutes * 60)
    }

    /// Makes a duration of hours.
    pub const fn hours(hours: u32) -> Self {
        Self(hours * 3600)
    }

    /// Returns it as a standard duration.
    pub const fn duration(self) -> Duration {
        Duration::from_secs(self.0 as u64)
    }
}

impl fmt::Display for Seconds {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}s", self.0)
    }
}

impl FromStr for Seconds {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let fault = || format!("'{text}' is not a duration; write for instance 15s, 10m or 1h30m");
        let (mut rest, mut total, mut last) = (text, 0u64, u64::MAX);
        if text.is_empty() {
            return Err(fault());
        }
        while !rest.is_empty() {
            let digits = rest.len() - rest.trim_start_matches(|c: char| c.is_ascii_digit()).len();
            let number: u64 = rest[..digits].parse().map_err(|_| fault())?;
            let unit = match rest[digits..].chars().next() {
                Some('d') => 86_400,
                Some('h') => 3_600,
                Some('m') => 60,
                Some('s') => 1,
                _ => return Err(fault()),
            };
            if unit >= last {
                return Err(fault());
            }
            last = unit;
            total = number.checked_mul(unit).and_then(|part| total.checked_add(part)).ok_or_else(fault)?;
            rest = &rest[digits + 1..];
        }
        u32::try_from(total).map(Self).map_err(|_| format!("'{text}' is too long a duration"))
    }
}

impl Serialize for Seconds {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Seconds {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

#[cfg(feature = "schema")]
impl schemars::JsonSchema for Seconds {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Duration".into()
    }
    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        schemars::json_schema!({
            "type": "string",
            "description": "A duration such as 15s, 10m or 1h30m; answers are in seconds, for instance 900s.",
            "pattern": r"^(?=.)([0-9]+d)?([0-9]+h)?([0-9]+m)?([0-9]+s)?$",
            "examples": ["900s"],
        })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn people_may_mix_units_from_large_to_small() {
        for (text, seconds) in
            [("15s", 15), ("10m", 600), ("1h30m", 5400), ("1d", 86_400), ("1d2h3m4s", 93_784), ("0s", 0)]
        {
            assert_eq!(text.parse(), Ok(Seconds(seconds)), "{text}");
        }
    }

    #[test]
    fn anything_else_is_refused_with_the_text() {
        for text in ["", "15", "s", "1.5h", "-1s", "1m1h", "1s1s", "1 s", "15S", "1ms", "99999999999999999999s", "136y"]
        {
            let fault = text.parse::<Seconds>().unwrap_err();
            assert!(fault.contains(text), "{fault}");
        }
    }

    proptest! {
        #[test]
        fn what_is_written_is_read_back(seconds: u32) {
            prop_assert_eq!(Seconds(seconds).to_string().parse(), Ok(Seconds(seconds)));
        }
        #[test]
        fn parsing_never_panics(text in "\\PC{0,40}") {
            let _ = text.parse::<Seconds>();
        }
    }
}
