//! `TSTR_METRICS`, and artifacts that are named `*.lp` or `*.influx`: numbers, in a subset of the line protocol of InfluxDB.
//!
//! ```text
//! # comment
//! requests,method=get,code=200 count=12i,seconds=0.25
//! ```
//!
//! A line is a measurement, tags that belong to its identity, and fields with numbers (`1.5`, `2i`, `3u`, `-1e3`). The
//! same field of the same measurement with the same tags is summed over all lines. Texts and truth values are no
//! numbers, and a time stamp says nothing that the run does not say: both are noted, and not kept. A backslash stands
//! before a comma, a space, an equals sign or a backslash that is meant as such.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::{OutputNote, note, shown, whole_lines};

/// The most series of an attempt.
pub const MAX_SERIES: usize = 1000;
/// The most tags of a series.
pub const MAX_TAGS: usize = 20;
/// The longest name of a measurement, a field or a tag, and the longest value of a tag, in bytes.
pub const MAX_WORD: usize = 256;

/// What a number is about: its identity from run to run.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Series {
    /// The measurement.
    pub measurement: String,
    /// The tags.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub tags: BTreeMap<String, String>,
    /// The field.
    pub field: String,
}

/// The numbers of an attempt.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Metrics {
    /// The sum under each series; always finite.
    pub values: BTreeMap<Series, f64>,
    /// What was not understood or not kept.
    pub notes: Vec<OutputNote>,
}

/// Reads the file. What is beyond [`MAX_OUTPUT_BYTES`] is not read; a line that is cut there is not kept.
pub fn parse(bytes: &[u8]) -> Metrics {
    parse_of(bytes, bytes.len() as u64)
}

/// Reads a file of which these bytes, its first, were taken over; it has `size` of them.
pub fn parse_of(bytes: &[u8], size: u64) -> Metrics {
    let mut metrics = Metrics::default();
    let bytes = whole_lines(bytes, size, &mut metrics.notes);
    for (number, line) in (1..).zip(bytes.split(|&b| b == b'\n')) {
        let Ok(line) = std::str::from_utf8(line) else {
            note(&mut metrics.notes, "the line is no UTF-8", Some(number));
            continue;
        };
        let line = line.trim();
        if !line.is_empty()
            && !line.starts_with('#')
            && let Err(message) = metrics.line(line, number)
        {
            note(&mut metrics.notes, message, Some(number));
        }
    }
    metrics
}

impl Metrics {
    /// Adds the numbers of a file among the artifacts to those that are there, as if its lines stood behind theirs.
    pub(super) fn merge(&mut self, path: &str, other: Self) {
        for OutputNote { message, line, .. } in other.notes {
            note(&mut self.notes, format!("{}: {message}", crate::report::clean(path)), line);
        }
        for (series, value) in other.values {
            self.add(series, value, None);
        }
    }

    fn line(&mut self, line: &str, number: u64) -> Result<(), String> {
        let mut parts = split(line, ' ', true).into_iter().filter(|part| !part.is_empty());
        let head = parts.next().unwrap_or("");
        let fields = parts.next().ok_or("a measurement and its fields, with a space between them, are expected")?;
        if let Some(rest) = parts.next() {
            let what =
                if rest.bytes().all(|b| b.is_ascii_digit() || b == b'-') { "a time stamp" } else { "what follows" };
            note(&mut self.notes, format!("{what} is not kept: '{}'", shown(rest)), Some(number));
        }
        let mut names = split(head, ',', false).into_iter();
        let measurement = word(names.next().unwrap_or(""))?;
        let mut tags = BTreeMap::new();
        for tag in names {
            let (key, value) = pair(tag)?;
            if tags.insert(word(key)?, word(value)?).is_some() {
                return Err(format!("the tag '{}' stands twice", shown(key)));
            }
        }
        if tags.len() > MAX_TAGS {
            return Err(format!("at most {MAX_TAGS} tags, these are {}", tags.len()));
        }
        for field in split(fields, ',', true) {
            let (name, value) = pair(field)?;
            let series = Series { measurement: measurement.clone(), tags: tags.clone(), field: word(name)? };
            match parse_number(value) {
                Some(value) => self.add(series, value, Some(number)),
                None => {
                    let message = format!("'{}' of '{}' is no number, and is not kept", shown(value), shown(name));
                    note(&mut self.notes, message, Some(number));
                }
            }
        }
        Ok(())
    }

    fn add(&mut self, series: Series, value: f64, line: Option<u64>) {
        if self.values.len() >= MAX_SERIES && !self.values.contains_key(&series) {
            let message =
                format!("'{}' is not kept: there are {MAX_SERIES} series already", shown(&series.measurement));
            return note(&mut self.notes, message, line);
        }
        let sum = self.values.entry(series).or_default();
        if (*sum + value).is_finite() {
            *sum += value;
        } else {
            note(&mut self.notes, "the sum is too large, and stays as it was", line);
        }
    }
}

/// Splits at a sign that no backslash stands before, and that stands in no quotes where those mean something.
fn split(text: &str, sign: char, has_quotes: bool) -> Vec<&str> {
    let (mut parts, mut start, mut is_escaped, mut is_quoted) = (Vec::new(), 0, false, false);
    for (at, c) in text.char_indices() {
        match c {
            _ if is_escaped => is_escaped = false,
            '\\' => is_escaped = true,
            '"' if has_quotes => is_quoted = !is_quoted,
            _ if c == sign && !is_quoted => {
                parts.push(&text[start..at]);
                start = at + c.len_utf8();
            }
            _ => {}
        }
    }
    parts.push(&text[start..]);
    parts
}

fn pair(text: &str) -> Result<(&str, &str), String> {
    match split(text, '=', true)[..] {
        [key, value] => Ok((key, value)),
        _ => Err(format!("'{}' is not key=value", shown(text))),
    }
}

/// Tells whether a text is a name of a series: 1 to 256 bytes without control characters.
pub(super) fn is_word(word: &str) -> bool {
    !word.is_empty() && word.len() <= MAX_WORD && !word.chars().any(char::is_control)
}

fn word(text: &str) -> Result<String, String> {
    let (mut word, mut chars) = (String::new(), text.chars().peekable());
    while let Some(c) = chars.next() {
        match chars.peek() {
            Some(',' | ' ' | '=' | '\\') if c == '\\' => word.extend(chars.next()),
            _ => word.push(c),
        }
    }
    if !is_word(&word) {
        return Err(format!("'{}' is no name: 1 to {MAX_WORD} bytes without control characters", shown(text)));
    }
    Ok(word)
}

fn parse_number(text: &str) -> Option<f64> {
    let whole = text.strip_suffix('i').map(|text| text.parse::<i64>().map(|n| n as f64));
    let whole = whole.or(text.strip_suffix('u').map(|text| text.parse::<u64>().map(|n| n as f64)));
    match whole {
        Some(number) => number.ok(),
        // Rust reads "inf" and "nan" as numbers, too.
        None if text.bytes().all(|b| b.is_ascii_digit() || b"+-.eE".contains(&b)) => {
            text.parse().ok().filter(|number: &f64| number.is_finite())
        }
        None => None,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::MAX_OUTPUT_BYTES;
    use super::*;

    fn read(text: &str) -> Vec<(String, f64)> {
        let show = |series: Series| {
            let tags: String = series.tags.iter().map(|(key, value)| format!(",{key}={value}")).collect();
            format!("{}{tags} {}", series.measurement, series.field)
        };
        parse(text.as_bytes()).values.into_iter().map(|(series, value)| (show(series), value)).collect()
    }

    #[test]
    fn fields_are_numbers_of_a_series() {
        let text = "# c\ncpu value=1.5\nreq,method=get,code=200 count=12i,seconds=-2e-1\n\nbytes n=3u\r\n";
        let expected = [
            ("bytes n", 3.0),
            ("cpu value", 1.5),
            ("req,code=200,method=get count", 12.0),
            ("req,code=200,method=get seconds", -0.2),
        ];
        assert_eq!(read(text), expected.map(|(series, value)| (series.to_owned(), value)));
        assert_eq!(parse(text.as_bytes()).notes, []);
    }

    #[test]
    fn the_same_series_is_summed_whatever_the_order_of_tags() {
        assert_eq!(read("a,x=1,y=2 v=1\na,y=2,x=1 v=2\na v=4\n"), [("a v".into(), 4.0), ("a,x=1,y=2 v".into(), 3.0)]);
    }

    #[test]
    fn backslashes_stand_before_signs() {
        assert_eq!(read(r"my\ m\,x,t=a\=b\ c f\ g=1"), [("my m,x,t=a=b c f g".into(), 1.0)]);
    }

    #[test]
    fn what_is_not_kept_is_said() {
        for text in [
            "a",
            "a v",
            "a v=",
            "a v=true",
            "a v=\"x y\"",
            "a v=nan",
            "a v=1.5i",
            "a,b v=1",
            "a,b= v=1",
            " =1",
            "a,b=1,b=2 v=1",
            "a v=1=2",
        ] {
            let metrics = parse(text.as_bytes());
            assert_eq!((metrics.values.len(), metrics.notes.len()), (0, 1), "{text} {metrics:?}");
        }
        let stamped = parse(b"a v=1 1465839830100400200");
        assert_eq!((stamped.values.len(), stamped.notes.len()), (1, 1));
        let mixed = parse(b"a s=\"x, y\",v=1\n\xff\na v=1e308\na v=1e308");
        assert_eq!((mixed.values.len(), mixed.notes.len()), (1, 3), "{mixed:?}");
    }

    #[test]
    fn series_past_the_limit_are_noted() {
        let text: String = (0..MAX_SERIES + 2).map(|n| format!("m{n} v=1\n")).collect();
        let metrics = parse(format!("{text}m0 v=1\n").as_bytes());
        assert_eq!((metrics.values.len(), metrics.notes.len()), (MAX_SERIES, 2));
        let long = parse(&[b"a v=1\n".as_slice(), &vec![b'x'; MAX_OUTPUT_BYTES]].concat());
        assert_eq!((long.values.len(), long.notes.len()), (1, 1));
    }

    proptest! {
        #[test]
        fn any_text_is_borne_and_sums_are_finite(text in "[a-c,=\\\\ \"0-9eiu.\n-]{0,80}") {
            prop_assert!(parse(text.as_bytes()).values.values().all(|value| value.is_finite()));
        }
    }
}
