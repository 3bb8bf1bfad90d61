//! One line of TAP.

/// What a line is, without its indentation.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Line<'a> {
    /// `TAP version 14`
    Version(&'a str),
    /// `1..5 # SKIP reason`: how many there will be, and why there are none.
    Plan {
        last: u64,
        first: u64,
        skip: Option<&'a str>,
    },
    /// `not ok 3 - description # TODO reason`
    Point(Point),
    /// `# Subtest: name`
    Subtest(&'a str),
    /// Any other comment, without its `#`.
    Comment(&'a str),
    /// `Bail out! reason`
    BailOut(&'a str),
    /// `pragma +strict`
    Pragma,
    /// `}` behind a subtest in braces.
    BraceEnd,
    Other,
}

/// A test point.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Point {
    pub(super) is_ok: bool,
    pub(super) number: Option<u64>,
    pub(super) description: String,
    pub(super) directive: Option<(Directive, String)>,
    pub(super) duration_ms: Option<f64>,
    /// A subtest in braces follows.
    pub(super) opens_brace: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Directive {
    Skip,
    Todo,
}

impl<'a> Line<'a> {
    /// Reads a line; with `escapes`, a backslash stands before a backslash as well as before `#`.
    pub(super) fn parse(text: &'a str, escapes: bool) -> Self {
        let text = text.trim();
        if let Some(comment) = text.strip_prefix('#') {
            let comment = comment.strip_prefix(' ').unwrap_or(comment);
            return match comment.trim_start().strip_prefix("Subtest:") {
                Some(name) => Self::Subtest(name.trim()),
                None => Self::Comment(comment),
            };
        }
        if let Some(rest) = word(text, "TAP version") {
            return Self::Version(rest);
        }
        if text.len() >= 9 && text.is_char_boundary(9) && text[..9].eq_ignore_ascii_case("bail out!") {
            return Self::BailOut(text[9..].trim());
        }
        if let Some(rest) = word(text, "not ok") {
            return Self::Point(Point { is_ok: false, ..point(rest, escapes) });
        }
        if let Some(rest) = word(text, "ok") {
            return Self::Point(Point { is_ok: true, ..point(rest, escapes) });
        }
        if word(text, "pragma").is_some() {
            return Self::Pragma;
        }
        match text {
            "}" => Self::BraceEnd,
            _ => plan(text).unwrap_or(Self::Other),
        }
    }
}

/// Returns what comes behind a word that stands alone.
fn word<'a>(text: &'a str, word: &str) -> Option<&'a str> {
    let rest = text.strip_prefix(word)?;
    (rest.is_empty() || rest.starts_with([' ', '\t'])).then(|| rest.trim_start())
}

fn plan(text: &str) -> Option<Line<'_>> {
    let (numbers, comment) = text.split_once('#').map_or((text, None), |(numbers, comment)| (numbers, Some(comment)));
    let (first, last) = numbers.trim().split_once("..")?;
    let skip = comment.map(|comment| {
        let comment = comment.trim();
        directive(comment).map_or(comment, |(_, reason)| reason)
    });
    Some(Line::Plan { first: first.parse().ok()?, last: last.parse().ok()?, skip })
}

fn point(rest: &str, escapes: bool) -> Point {
    let digits = rest.bytes().take_while(u8::is_ascii_digit).count();
    let (number, rest) = match rest[..digits].parse() {
        Ok(number) if rest[digits..].is_empty() || rest[digits..].starts_with([' ', '\t']) => {
            (Some(number), &rest[digits..])
        }
        _ => (None, rest),
    };
    let rest = rest.trim_start();
    let rest = word(rest, "-").unwrap_or(rest).trim_end();
    let (described, directive) = split_directive(rest);
    // What is skipped has no subtest: a brace behind it belongs to the reason.
    let (described, opens_brace) = match described.strip_suffix('{') {
        Some(before) if directive.is_none() && (before.is_empty() || before.ends_with(' ')) => {
            (before.trim_end(), true)
        }
        _ => (described, false),
    };
    let (described, duration_ms) = split_time(without_timeout(described));
    let directive = directive.map(|(directive, reason)| (directive, reason.to_owned()));
    Point { is_ok: false, number, description: unescape(described, escapes), directive, duration_ms, opens_brace }
}

/// Splits at the first `# SKIP` or `# TODO`.
fn split_directive(text: &str) -> (&str, Option<(Directive, &str)>) {
    for (at, _) in text.match_indices('#') {
        let before = &text[..at];
        let is_escaped = before.bytes().rev().take_while(|&b| b == b'\\').count() % 2 == 1;
        if !is_escaped
            && (before.is_empty() || before.ends_with([' ', '\t']))
            && let Some(found) = directive(text[at + 1..].trim())
        {
            return (before.trim_end(), Some(found));
        }
    }
    (text, None)
}

fn directive(comment: &str) -> Option<(Directive, &str)> {
    let length = comment.bytes().take_while(u8::is_ascii_alphabetic).count();
    let word = comment[..length].to_ascii_lowercase();
    let directive = match word.as_str() {
        "todo" => Directive::Todo,
        // Some write `# skipped` or `# Skip:`.
        "skip" | "skipped" => Directive::Skip,
        _ => return None,
    };
    Some((directive, comment[length..].trim_start_matches(':').trim()))
}

/// Leaves out what bats writes behind the description of a test that took too long, and of no other: `# timeout after 1s`.
fn without_timeout(text: &str) -> &str {
    const MARK: &str = " # timeout after ";
    let is_time =
        |time: &str| time.strip_suffix('s').is_some_and(|n| !n.is_empty() && n.bytes().all(|b| b.is_ascii_digit()));
    match text.rfind(MARK) {
        Some(at) if is_time(&text[at + MARK.len()..]) => text[..at].trim_end(),
        _ => text,
    }
}

/// Splits off a time that somebody writes behind the description.
fn split_time(text: &str) -> (&str, Option<f64>) {
    let found = ["# time=", "# in ", " in "].iter().find_map(|mark| {
        let at = text.rfind(mark)?;
        let time = text[at + mark.len()..].trim();
        let (number, scale) = match time.strip_suffix("ms") {
            Some(number) => (number, 1.0),
            // "in 5s" may well be a part of a name.
            None if mark.starts_with('#') => (time.strip_suffix('s')?, 1000.0),
            None => return None,
        };
        let number: f64 = number.trim().parse().ok()?;
        (number.is_finite() && number >= 0.0).then(|| (text[..at].trim_end(), number * scale))
    });
    found.map_or((text, None), |(text, time)| (text, Some(time)))
}

fn unescape(text: &str, escapes: bool) -> String {
    if !text.contains('\\') {
        return text.to_owned();
    }
    let (mut out, mut chars) = (String::with_capacity(text.len()), text.chars().peekable());
    while let Some(c) = chars.next() {
        match chars.peek() {
            Some('#') if c == '\\' => {}
            Some('\\') if c == '\\' && escapes => {
                out.push('\\');
                chars.next();
            }
            _ => out.push(c),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn point_of(text: &str) -> Point {
        match Line::parse(text, true) {
            Line::Point(point) => point,
            other => panic!("{text}: {other:?}"),
        }
    }

    #[test]
    fn test_points_are_taken_apart() {
        let point = point_of("not ok 3 - a name # TODO not yet");
        assert_eq!((point.is_ok, point.number, point.description.as_str()), (false, Some(3), "a name"));
        assert_eq!(point.directive, Some((Directive::Todo, "not yet".into())));
        for (text, description) in [
            ("ok", ""),
            ("ok 1", ""),
            ("ok 1 name", "name"),
            ("ok - name", "name"),
            ("ok 2nd thing", "2nd thing"),
            ("ok 1 - - dash", "- dash"),
            (r"ok 1 - a \# b", "a # b"),
            (r"ok 1 - a \\ b", r"a \ b"),
            ("ok 1 - issue #5", "issue #5"),
            ("ok 1 - x # skip", "x"),
            ("ok 1 - x # Skipped: why", "x"),
            ("ok 1 # SKIP why", ""),
            (r"ok 1 - a \# skip", "a # skip"),
            ("ok 1 - x in 12ms", "x"),
            ("ok 1 - x # in 12 ms", "x"),
            ("ok 1 - x # time=1.5ms", "x"),
            ("ok 1 - waits in 5s", "waits in 5s"),
            ("not ok 1 x # timeout after 1s", "x"),
            ("not ok 1 x # timeout after all", "x # timeout after all"),
            ("ok 1 - x # skipping is not a word of it", "x # skipping is not a word of it"),
        ] {
            assert_eq!(point_of(text).description, description, "{text}");
        }
        assert_eq!(point_of("ok 1 - x # time=2s").duration_ms, Some(2000.0));
        assert!(point_of("ok 1 - x # time=2ms {").opens_brace);
        assert_eq!(point_of("ok 1 - x # SKIP {").directive, Some((Directive::Skip, "{".into())));
    }

    #[test]
    fn other_lines_are_told_apart() {
        assert_eq!(Line::parse("1..5", true), Line::Plan { first: 1, last: 5, skip: None });
        assert_eq!(
            Line::parse("1..0 # SKIP no network", true),
            Line::Plan { first: 1, last: 0, skip: Some("no network") }
        );
        assert_eq!(Line::parse("# Subtest: a b", true), Line::Subtest("a b"));
        assert_eq!(Line::parse("#   indented", true), Line::Comment("  indented"));
        assert_eq!(Line::parse("Bail out! fire", true), Line::BailOut("fire"));
        assert_eq!(Line::parse("TAP version 13", true), Line::Version("13"));
        for other in ["okay", "notok", "1..", "a..b", "1...5", "", "{", "Bail out", "éééééééé"] {
            assert_eq!(Line::parse(other, true), Line::Other, "{other}");
        }
    }
}
