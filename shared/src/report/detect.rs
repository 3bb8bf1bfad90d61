//! Telling reports from other artifacts by name and first bytes.

use std::path::Path;

use super::Format;

/// How many bytes of a file's beginning [`detect`] wants to see.
pub const DETECT_BYTES: usize = 16 << 10;

/// What an artifact is, when it is something that tstr reads.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ReportKind {
    /// A report of cases.
    Cases(Format),
    /// Metrics in line protocol, which [`output::metrics`](crate::output::metrics) reads.
    Metrics,
}

/// Tells what a file is.
///
/// - `*.xml` whose root element is `testsuites` or `testsuite`, in UTF-8, UTF-16 or anything that resembles ASCII
/// - `*ctrf*.json` with `"reportFormat": "CTRF"`
/// - `*.tap`, by its name alone
/// - `*.lp` and `*.influx`, by their names alone
///
/// Names are compared without regard to case; folders do not matter. `head` are the first [`DETECT_BYTES`] of the file,
/// or all of a shorter one. Whether the report is valid shows when it is read.
pub fn detect(path: &str, head: &[u8]) -> Option<ReportKind> {
    let name = Path::new(path).file_name()?.to_str()?.to_ascii_lowercase();
    match name.rsplit_once('.')?.1 {
        "xml" => is_junit(&narrow(head)).then_some(ReportKind::Cases(Format::Junit)),
        "json" => (name.contains("ctrf") && is_ctrf(&narrow(head))).then_some(ReportKind::Cases(Format::Ctrf)),
        "tap" => Some(ReportKind::Cases(Format::Tap)),
        "lp" | "influx" => Some(ReportKind::Metrics),
        _ => None,
    }
}

/// Tells whether [`detect`] could find cases in a file of this name.
pub fn may_be_report(path: &str) -> bool {
    let Some(name) = Path::new(path).file_name().and_then(|name| name.to_str()) else { return false };
    let name = name.to_ascii_lowercase();
    match name.rsplit_once('.') {
        Some((_, "xml" | "tap")) => true,
        Some((_, "json")) => name.contains("ctrf"),
        _ => false,
    }
}

/// Tells what a file is by its first bytes alone, for one that somebody named as a report.
pub fn sniff(head: &[u8]) -> Option<Format> {
    let head = narrow(head);
    if is_junit(&head) {
        return Some(Format::Junit);
    }
    if head.trim_ascii_start().starts_with(b"{") {
        return is_ctrf(&head).then_some(Format::Ctrf);
    }
    is_tap(&head).then_some(Format::Tap)
}

/// Tells whether the first line that is no comment is one of TAP.
fn is_tap(head: &[u8]) -> bool {
    let line =
        head.split(|&b| b == b'\n').map(<[u8]>::trim_ascii).find(|line| !line.is_empty() && !line.starts_with(b"#"));
    line.and_then(|line| std::str::from_utf8(line).ok()).is_some_and(super::tap::is_line)
}

/// Returns the bytes of what is ASCII in a text of UTF-8 or UTF-16, without a byte order mark.
fn narrow(head: &[u8]) -> Vec<u8> {
    let bytes =
        head.strip_prefix(b"\xef\xbb\xbf").or(head.strip_prefix(b"\xff\xfe")).or(head.strip_prefix(b"\xfe\xff"));
    bytes.unwrap_or(head).iter().copied().filter(|&b| b != 0).collect()
}

fn is_junit(head: &[u8]) -> bool {
    let mut rest = head.trim_ascii_start();
    loop {
        let end: &[u8] = match rest {
            [b'<', b'?', ..] => b"?>",
            [b'<', b'!', b'-', b'-', ..] => b"-->",
            // Of document types only those without entities of their own are looked past.
            [b'<', b'!', ..] => b">",
            _ => break,
        };
        let Some(at) = rest.windows(end.len()).position(|window| window == end) else { return false };
        rest = rest[at + end.len()..].trim_ascii_start();
    }
    let Some(tag) = rest.strip_prefix(b"<") else { return false };
    let length = tag.iter().position(|b| b.is_ascii_whitespace() || matches!(b, b'>' | b'/')).unwrap_or(tag.len());
    let name = &tag[..length];
    let local = name.iter().rposition(|&b| b == b':').map_or(name, |colon| &name[colon + 1..]);
    matches!(local, b"testsuites" | b"testsuite") && length < tag.len()
}

fn is_ctrf(head: &[u8]) -> bool {
    const KEY: &[u8] = b"\"reportFormat\"";
    head.windows(KEY.len()).enumerate().filter(|(_, window)| *window == KEY).any(|(at, _)| {
        let value = head[at + KEY.len()..].trim_ascii_start().strip_prefix(b":").map(<[u8]>::trim_ascii_start);
        value.is_some_and(|value| value.starts_with(b"\"CTRF\""))
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn reports_are_known_by_name_and_root() {
        let junit = Some(ReportKind::Cases(Format::Junit));
        for head in [
            "<testsuites>",
            "<testsuite name='a'/>",
            "<?xml version='1.0'?>\n<!-- by <x> -->\n<testsuite>",
            "\u{feff}<testsuites/>",
            "<!DOCTYPE testsuites><testsuites>",
            "<j:testsuite xmlns:j='u'>",
        ] {
            assert_eq!(detect("a/b/TEST-x.XML", head.as_bytes()), junit, "{head}");
        }
        let wide: Vec<u8> = "\u{feff}<testsuite >".encode_utf16().flat_map(u16::to_le_bytes).collect();
        assert_eq!(detect("x.xml", &wide), junit);
        let ctrf = r#"{ "reportFormat" : "CTRF", "specVersion": "1.0.0" }"#.as_bytes();
        assert_eq!(detect("out/My-CTRF-report.json", ctrf), Some(ReportKind::Cases(Format::Ctrf)));
        assert_eq!(detect("x.tap", b""), Some(ReportKind::Cases(Format::Tap)));
        assert_eq!(
            (detect("m.lp", b""), detect("m.influx", b"")),
            (Some(ReportKind::Metrics), Some(ReportKind::Metrics))
        );
    }

    #[test]
    fn reports_are_known_by_their_beginning_alone() {
        assert_eq!(sniff(b" <testsuite >"), Some(Format::Junit));
        assert_eq!(sniff(r#" {"reportFormat":"CTRF"}"#.as_bytes()), Some(Format::Ctrf));
        for head in ["TAP version 14\n", "# a comment\n1..3\n", "ok 1 - x\n", "\nnot ok\n", "Bail out!\n"] {
            assert_eq!(sniff(head.as_bytes()), Some(Format::Tap), "{head}");
        }
        for head in ["", "hello", "<html>", "{}", "[1]", "okay\n1..3\n", "\u{1}\u{2}", "}\n", "pragma once"] {
            assert_eq!(sniff(head.as_bytes()), None, "{head}");
        }
    }

    #[test]
    fn other_files_are_left_alone() {
        for (path, head) in [
            ("x.xml", "<html>"),
            ("x.xml", "<testsuitesque>"),
            ("x.xml", ""),
            ("x.xml", "<testsuite"),
            ("x.xml", "<!-- never ended"),
            ("coverage.xml", "<coverage><testsuite>"),
            ("x.txt", "<testsuite>"),
            ("ctrf.json", "{}"),
            ("report.json", r#"{"reportFormat":"CTRF"}"#),
            ("ctrf.json", r#"{"reportFormat":"other"}"#),
            ("xml", "<testsuite>"),
            ("", ""),
            ("a/..", ""),
        ] {
            assert_eq!(detect(path, head.as_bytes()), None, "{path} {head}");
        }
    }

    proptest! {
        #[test]
        fn any_bytes_are_borne(name in ".{0,8}\\.(xml|json|tap)", head in proptest::collection::vec(any::<u8>(), 0..200)) {
            detect(&name, &head);
            sniff(&head);
        }
    }
}
