//! Readers for the values of flags.

use std::time::Duration;

use chrono::{DateTime, Utc};
use clap::builder::{PossibleValuesParser, TypedValueParser};
use serde_json::{Map, Value};
use tstr_shared::duration::Seconds;
use tstr_shared::run::{RunResult, RunState};

/// Reads `key=value`.
pub fn pair(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some(("", _)) => Err("the key is missing; write key=value".to_owned()),
        Some((key, value)) => Ok((key.to_owned(), value.to_owned())),
        None => Err("write key=value".to_owned()),
    }
}

/// Makes a JSON object of pairs; a key must not stand twice.
pub fn object(pairs: &[(String, String)]) -> Result<Value, String> {
    let mut object = Map::new();
    for (key, value) in pairs {
        if object.insert(key.clone(), Value::String(value.clone())).is_some() {
            return Err(format!("'{key}' is given twice"));
        }
    }
    Ok(Value::Object(object))
}

/// Writes a pair as a parameter has it.
pub fn joined(pair: &(String, String)) -> String {
    format!("{}={}", pair.0, pair.1)
}

/// Reads a duration such as `90s` or `1h30m`.
pub fn duration(text: &str) -> Result<Duration, String> {
    text.parse::<Seconds>().map(Seconds::duration)
}

/// Reads an instant, or a duration that says how long ago it was.
pub fn ago(text: &str) -> Result<DateTime<Utc>, String> {
    instant(text, |now, away| now - away)
}

/// Reads an instant, or a duration that says how far ahead it is.
pub fn ahead(text: &str) -> Result<DateTime<Utc>, String> {
    instant(text, |now, away| now + away)
}

fn instant(text: &str, at: impl Fn(DateTime<Utc>, Duration) -> DateTime<Utc>) -> Result<DateTime<Utc>, String> {
    if let Ok(instant) = DateTime::parse_from_rfc3339(text) {
        return Ok(instant.to_utc());
    }
    duration(text)
        .map(|away| at(Utc::now(), away))
        .map_err(|_| "write an instant such as 2026-03-01T10:00:00Z, or a duration such as 90s or 1h30m".to_owned())
}

/// Reads a state of a run.
pub fn state() -> impl TypedValueParser<Value = RunState> {
    PossibleValuesParser::new(RunState::ALL.iter().map(|state| state.word())).try_map(|word| word.parse::<RunState>())
}

/// Reads a result of a run.
pub fn result() -> impl TypedValueParser<Value = RunResult> {
    PossibleValuesParser::new(RunResult::ALL.iter().map(|result| result.word()))
        .try_map(|word| word.parse::<RunResult>())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pairs_need_a_key_and_may_have_an_empty_value() {
        assert_eq!(pair("a=b=c"), Ok(("a".into(), "b=c".into())));
        assert_eq!(pair("a="), Ok(("a".into(), String::new())));
        assert!(pair("a").is_err() && pair("=b").is_err());
        assert!(object(&[("a".into(), "1".into()), ("a".into(), "2".into())]).is_err());
    }

    #[test]
    fn instants_are_exact_or_relative() {
        let exact = ago("2026-03-01T11:00:00+01:00").unwrap();
        assert_eq!(exact.to_rfc3339(), "2026-03-01T10:00:00+00:00");
        assert!(ago("1h").unwrap() < Utc::now() && ahead("1h").unwrap() > Utc::now());
        assert!(ago("yesterday").unwrap_err().contains("2026-03-01T10:00:00Z"));
    }
}
