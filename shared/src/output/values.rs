//! `TSTR_OUTPUT`: values under keys.
//!
//! ```text
//! version=1.2.3
//! log<<END_7f3a
//! several
//! lines
//! END_7f3a
//! {"cases": 12, "ratio": 0.5, "tags": ["a", "b"]}
//! ```
//!
//! A line `key=value` is a text, taken as it stands. `key<<DELIMITER` is a text of all lines up to the one that is the
//! delimiter and nothing else; choose one that the text cannot hold. Where that line is missing, nothing behind the key is
//! kept. A line that begins with `{` is a JSON object, of
//! which each field is a value with its JSON type. Empty lines do not matter. The last value under a key wins.

use serde_json::{Map, Value};

use super::{ResultData, note, shown, whole_lines};

/// Reads the file. What is beyond [`MAX_OUTPUT_BYTES`] is not read; a line that is cut there is not kept.
///
/// Lines end in `\n` or `\r\n`. Bytes that are not UTF-8 are replaced, with a note.
pub fn parse(bytes: &[u8]) -> ResultData {
    parse_of(bytes, bytes.len() as u64)
}

/// Reads a file of which these bytes, its first, were taken over; it has `size` of them.
pub fn parse_of(bytes: &[u8], size: u64) -> ResultData {
    let mut data = ResultData::default();
    let bytes = whole_lines(bytes, size, &mut data.notes);
    let text = String::from_utf8_lossy(bytes);
    if matches!(text, std::borrow::Cow::Owned(_)) {
        note(&mut data.notes, "bytes that are no UTF-8 were replaced", None);
    }
    let text = text.strip_prefix('\u{feff}').unwrap_or(&text);
    let mut lines = (1..).zip(text.lines());
    while let Some((number, line)) = lines.next() {
        if line.trim().is_empty() {
            continue;
        }
        if line.starts_with('{') {
            object(&mut data, line, number);
            continue;
        }
        match (line.find('='), line.find("<<")) {
            (equals, Some(at)) if equals.is_none_or(|equals| at < equals) => {
                let (key, delimiter) = (&line[..at], &line[at + 2..]);
                match heredoc(&mut lines, delimiter) {
                    Some(value) => data.put(key, Value::String(value), Some(number)),
                    None => {
                        let message = format!(
                            "'{}' and what follows are not kept: no line is '{}'",
                            shown(key),
                            shown(delimiter)
                        );
                        note(&mut data.notes, message, Some(number));
                    }
                }
            }
            (Some(equals), _) => data.put(&line[..equals], line[equals + 1..].into(), Some(number)),
            (None, _) => {
                note(
                    &mut data.notes,
                    format!("'{}' is neither key=value, key<<DELIMITER nor JSON", shown(line)),
                    Some(number),
                );
            }
        }
    }
    data
}

/// Takes the lines up to the delimiter; nothing when there is none, or it never comes.
fn heredoc<'a>(lines: &mut impl Iterator<Item = (u64, &'a str)>, delimiter: &str) -> Option<String> {
    let mut value = String::new();
    if delimiter.is_empty() {
        return None;
    }
    for (count, (_, line)) in lines.enumerate() {
        if line == delimiter {
            return Some(value);
        }
        if count > 0 {
            value.push('\n');
        }
        value.push_str(line);
    }
    None
}

fn object(data: &mut ResultData, line: &str, number: u64) {
    match serde_json::from_str::<Map<String, Value>>(line) {
        Ok(fields) => fields.into_iter().for_each(|(key, value)| data.put(&key, value, Some(number))),
        Err(error) => note(&mut data.notes, format!("no JSON object: {}", shown(&error.to_string())), Some(number)),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::super::MAX_OUTPUT_BYTES;
    use super::*;

    fn values(text: &str) -> Value {
        let data = parse(text.as_bytes());
        assert_eq!(data.notes, [], "{text}");
        serde_json::to_value(data.values).unwrap()
    }

    #[test]
    fn lines_blocks_and_objects_are_values() {
        let text = "a=1\n\nurl=http://x?y=z\nempty=\nlog<<END\none\n\nk=v\nEND\n{\"n\": 12, \"list\": [true, null], \"o\": {\"x\": 0.5}}\n";
        let expected = json!({"a": "1", "url": "http://x?y=z", "empty": "", "log": "one\n\nk=v", "n": 12, "list": [true, null], "o": {"x": 0.5}});
        assert_eq!(values(text), expected);
        assert_eq!(values("a=1\r\nb<<E\r\nx\r\nE\r\n"), json!({"a": "1", "b": "x"}));
        assert_eq!(values("b<<E\nE"), json!({"b": ""}));
        assert_eq!(values("shift=a<<2"), json!({"shift": "a<<2"}));
    }

    #[test]
    fn the_last_value_wins() {
        assert_eq!(values("a=1\na=2\n{\"a\": 3}\n"), json!({"a": 3}));
    }

    #[test]
    fn what_is_not_understood_is_named_with_its_line() {
        let data = parse(b"ok=1\nnonsense\n9=x\n{broken\n{\"a b\": 1}\n[1]\nlog<<END\nnever\n");
        let lines: Vec<_> = data.notes.iter().map(|note| note.line).collect();
        assert_eq!(lines, [Some(2), Some(3), Some(4), Some(5), Some(6), Some(7)], "{:?}", data.notes);
        assert_eq!(data.values.len(), 1);
        assert_eq!(parse(b"a<<\nx\n").notes.len(), 2, "a delimiter is needed");
    }

    #[test]
    fn bytes_that_are_no_text_are_replaced_and_said() {
        let data = parse(b"a=\xff\n");
        assert_eq!(data.values["a"], "\u{fffd}");
        assert_eq!(data.notes.len(), 1);
    }

    #[test]
    fn what_is_past_the_limit_is_cut_at_a_line_and_said() {
        let mut bytes = b"a=1\nbig=".to_vec();
        bytes.resize(MAX_OUTPUT_BYTES + 10, b'x');
        let data = parse(&bytes);
        assert_eq!(data.values.len(), 1);
        assert!(data.notes[0].message.contains("of which 4 are read"), "{:?}", data.notes);
    }

    proptest! {
        #[test]
        fn any_bytes_are_borne(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
            parse(&bytes);
        }

        #[test]
        fn what_is_written_is_read(pairs in proptest::collection::btree_map("[a-z_][a-z0-9_.-]{0,8}", "[^\n\r]{0,20}", 0..8)) {
            let text: String = pairs.iter().map(|(key, value)| format!("{key}={value}\n")).collect();
            let text = text.replace('\0', "");
            let data = parse(text.as_bytes());
            prop_assert_eq!(data.values.len(), pairs.len());
        }
    }
}
