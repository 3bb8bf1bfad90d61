//! Numbers as test frameworks write them.

use super::limits::MAX_DURATION_MS;

/// Reads a duration in seconds as milliseconds, rounded to the nearest.
///
/// Understands exponents (`1E-07`), groups of thousands (`1,234.5`), a comma for the point (`0,25`), and the units `s`
/// and `ms`. Empty text is no duration. Fails for what is no number, negative, or longer than a year.
pub(super) fn seconds(text: &str) -> Result<Option<u64>, String> {
    let text = text.trim();
    if text.is_empty() {
        return Ok(None);
    }
    let bad = || format!("'{}' is no duration in seconds", shorten(text));
    let (digits, scale) = match (text.strip_suffix("ms"), text.strip_suffix('s')) {
        (Some(digits), _) => (digits.trim_end(), 1.0),
        (None, Some(digits)) => (digits.trim_end(), 1000.0),
        (None, None) => (text, 1000.0),
    };
    let value: f64 = plain(digits).and_then(|plain| plain.parse().ok()).ok_or_else(bad)?;
    milliseconds(value * scale).map(Some).ok_or_else(bad)
}

/// Rounds milliseconds; nothing when they are negative, not finite, or more than a year.
pub(super) fn milliseconds(value: f64) -> Option<u64> {
    // What is less than nothing by less than half a millisecond is a clock that was read twice.
    let rounded = value.round();
    (rounded.is_finite() && rounded >= 0.0 && rounded <= MAX_DURATION_MS as f64).then_some(rounded as u64)
}

/// Returns a number with only a point in it, and nothing that the parser would take for infinity.
fn plain(text: &str) -> Option<String> {
    if text.is_empty() || text.len() > 64 || !text.bytes().all(|b| b.is_ascii_digit() || b"+-.,eE".contains(&b)) {
        return None;
    }
    let (commas, point) = (text.matches(',').count(), text.rfind('.'));
    Some(match (commas, point, text.rfind(',')) {
        (0, ..) => text.to_owned(),
        // 1.234,5
        (1, Some(point), Some(comma)) if comma > point => text.replace('.', "").replace(',', "."),
        // 1,234.5 and 1,234,567
        (_, Some(_), _) => text.replace(',', ""),
        (2.., None, _) => text.replace(',', ""),
        // 1,234 is a thousand; 0,234 and 1,5 are less than two.
        (1, None, Some(comma)) => {
            let (whole, part) = (&text[..comma], &text[comma + 1..]);
            match part.len() == 3
                && whole.trim_start_matches(['+', '-']) != "0"
                && part.bytes().all(|b| b.is_ascii_digit())
            {
                true => text.replace(',', ""),
                false => text.replace(',', "."),
            }
        }
        (1, None, None) => return None,
    })
}

/// Reads a count. Empty text is none. Fails for what is no whole number from 0.
pub(super) fn count(text: &str) -> Result<Option<u64>, String> {
    let text = text.trim();
    if text.is_empty() {
        return Ok(None);
    }
    let digits = text.strip_suffix(".0").unwrap_or(text).replace(',', "");
    digits.parse().map(Some).map_err(|_| format!("'{}' is no count", shorten(text)))
}

/// Returns at most forty characters of a text, for a message.
pub(super) fn shorten(text: &str) -> String {
    let cut = text.char_indices().nth(40).map_or(text.len(), |(at, _)| at);
    let shown: String = text[..cut].chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
    if cut < text.len() { format!("{shown}…") } else { shown }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_read_as_frameworks_write_them() {
        for (text, ms) in [
            ("1.5", 1500),
            ("0", 0),
            ("1E-07", 0),
            ("1e3", 1_000_000),
            ("1,234.5", 1_234_500),
            ("1,234,567", 1_234_567_000),
            ("1.234,5", 1_234_500),
            ("0,25", 250),
            ("0,125", 125),
            ("1,5", 1500),
            ("1,234", 1_234_000),
            (".5", 500),
            ("0.0005", 1),
            ("0.0004", 0),
            ("12ms", 12),
            ("1.5 s", 1500),
            (" 2 ", 2000),
            ("+1", 1000),
            ("-0.0001", 0),
        ] {
            assert_eq!(seconds(text), Ok(Some(ms)), "{text}");
        }
        assert_eq!(seconds("  "), Ok(None));
    }

    #[test]
    fn what_is_no_duration_is_named() {
        for text in ["-1", "NaN", "inf", "1e99", "many", "1..2", "1:02", "٣", ",", "-", "e", "99999999999"] {
            assert!(seconds(text).is_err(), "{text}");
        }
    }

    #[test]
    fn counts_are_whole_numbers() {
        assert_eq!(count("12"), Ok(Some(12)));
        assert_eq!(count("1,200"), Ok(Some(1200)));
        assert_eq!(count("3.0"), Ok(Some(3)));
        assert_eq!(count(""), Ok(None));
        assert!(["many", "-1", "1.5", "99999999999999999999"].iter().all(|text| count(text).is_err()));
    }
}
