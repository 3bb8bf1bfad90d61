//! The words of JUnit XML, and what stands in for characters.

use std::borrow::Cow;

use crate::report::case::CaseStatus;

/// An element that means something.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Element {
    Suites,
    Suite,
    Case,
    /// Why a case, or a suite, failed or was skipped.
    Finding(CaseStatus),
    /// An attempt that failed before the case passed.
    Flaky(CaseStatus),
    /// An attempt that failed after the case had failed.
    Rerun(CaseStatus),
    StackTrace,
    Stdout,
    Stderr,
    Properties,
    Property,
    Other(String),
}

impl Element {
    pub(super) fn of(name: &str) -> Self {
        match name {
            "testsuites" => Self::Suites,
            "testsuite" => Self::Suite,
            "testcase" => Self::Case,
            "failure" => Self::Finding(CaseStatus::Fail),
            "error" => Self::Finding(CaseStatus::Error),
            "skipped" => Self::Finding(CaseStatus::Skip),
            "flakyFailure" => Self::Flaky(CaseStatus::Fail),
            "flakyError" => Self::Flaky(CaseStatus::Error),
            "rerunFailure" => Self::Rerun(CaseStatus::Fail),
            "rerunError" => Self::Rerun(CaseStatus::Error),
            "stackTrace" => Self::StackTrace,
            "system-out" => Self::Stdout,
            "system-err" => Self::Stderr,
            "properties" => Self::Properties,
            "property" => Self::Property,
            other => Self::Other(super::super::text::cut(other, 200).0.to_owned()),
        }
    }
}

/// Returns the character that `&name;` stands for: one of the five that XML knows, or a number.
///
/// A number that is no character is U+FFFD; `None` is a name that is not known.
pub(super) fn character(name: &str) -> Option<char> {
    Some(match name {
        "lt" => '<',
        "gt" => '>',
        "amp" => '&',
        "apos" => '\'',
        "quot" => '"',
        _ => {
            let digits = name.strip_prefix('#')?;
            let code = match digits.strip_prefix(['x', 'X']) {
                Some(digits) if digits.bytes().all(|b| b.is_ascii_hexdigit()) => u32::from_str_radix(digits, 16),
                None if digits.bytes().all(|b| b.is_ascii_digit()) => digits.parse(),
                _ => return None,
            };
            if digits.trim_start_matches(['x', 'X']).is_empty() {
                return None;
            }
            code.ok().and_then(char::from_u32).unwrap_or('\u{fffd}')
        }
    })
}

/// Returns the value of an attribute with its references replaced, and the first name that is not known.
pub(super) fn expand(value: &str) -> (Cow<'_, str>, Option<&str>) {
    if !value.contains('&') {
        return (Cow::Borrowed(value), None);
    }
    let (mut out, mut unknown, mut rest) = (String::with_capacity(value.len()), None, value);
    while let Some(start) = rest.find('&') {
        out.push_str(&rest[..start]);
        rest = &rest[start..];
        // No name is longer, but a number may have zeros in front.
        let window = super::super::text::cut(rest, 64).0;
        let end = window[1..].find([';', '&']).map(|at| at + 1).filter(|&at| window.as_bytes()[at] == b';');
        match end.map(|end| (end, character(&rest[1..end]))) {
            Some((end, Some(character))) => {
                out.push(character);
                rest = &rest[end + 1..];
            }
            Some((end, None)) => {
                unknown = unknown.or(Some(&rest[1..end]));
                out.push('&');
                rest = &rest[1..];
            }
            None => {
                out.push('&');
                rest = &rest[1..];
            }
        }
    }
    out.push_str(rest);
    (Cow::Owned(out), unknown)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn references_stand_for_characters() {
        assert_eq!(expand("a&lt;b&#65;&#x1F600;&#0000066;"), ("a<bA\u{1f600}B".into(), None));
        assert_eq!(expand("&#xD800;&#1114112;&#99999999999;"), ("\u{fffd}\u{fffd}\u{fffd}".into(), None));
    }

    #[test]
    fn what_is_no_reference_stands_for_itself() {
        assert_eq!(expand("a & b &lol; &#; &#x; &#xZ; &amp"), ("a & b &lol; &#; &#x; &#xZ; &amp".into(), Some("lol")));
        assert_eq!(expand("?a=1&b=2;"), ("?a=1&b=2;".into(), Some("b=2")));
    }
}
