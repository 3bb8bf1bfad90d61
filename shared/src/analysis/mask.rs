//! Masks the parts of a text that differ from run to run: times, ids, addresses, temporary paths, numbers.
//!
//! One regular expression finds what is to be masked, the first of its alternatives that matches at a place; the time is
//! linear in the length of the text. A mask says what it stands for (`<time>`), so that a text with a time differs from
//! one with an id. Masking a masked text changes nothing.

use std::borrow::Cow;

use regex::Regex;

const MONTH: &str = "(?:Jan|Feb|Mar|Apr|May|Jun|Jul|Aug|Sep|Oct|Nov|Dec)";
const CLOCK: &str = "[0-9]{1,2}:[0-9]{2}:[0-9]{2}(?:[.,][0-9]+)?";
const ZONE: &str = "(?: ?(?:Z|UTC|GMT|[+-][0-9]{2}:?[0-9]{2})(?-u:\\b))?";
const UNIT: &str = "(?:ns|us|µs|μs|ms|s|m|h|d)";
/// What may stand in a part of a path.
const PART: &str = r#"[^\s/\\:;,"'`()<>\[\]{}]+"#;

/// What a text is masked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Extent {
    /// To compare logs: times, durations, ids, addresses and temporary paths. Other numbers are what is compared.
    TimesAndIds,
    /// To tell failures apart: these and every number.
    Numbers,
}

/// Masks texts.
#[derive(Debug, Clone)]
pub struct Masker {
    any: Regex,
    /// Each alternative alone, in the order of their precedence, and what it is masked with.
    kinds: Vec<(Regex, &'static str)>,
}

impl Masker {
    /// Makes a masker. It compiles regular expressions, so keep it.
    pub fn new(extent: Extent) -> Self {
        let mut kinds = vec![
            (uuid(), "<id>"),
            (time(), "<time>"),
            // Before numbers and hashes, which it contains.
            ("(?-u:\\b)0[xX][0-9a-fA-F]+(?-u:\\b)".to_owned(), "<address>"),
            ("(?-u:\\b)(?:[0-9]{1,3}\\.){3}[0-9]{1,3}(?::[0-9]{1,5})?(?-u:\\b)".to_owned(), "<ip>"),
            ("localhost:[0-9]{1,5}(?-u:\\b)".to_owned(), "<ip>"),
            (duration(), "<duration>"),
            (temporary(), "<tmp>"),
            // A ULID, and hexadecimal hashes and ids; `masked` lets words like `deadbeef` be.
            ("(?-u:\\b)[0-7][0-9A-HJKMNP-TV-Z]{25}(?-u:\\b)".to_owned(), "<id>"),
            ("(?-u:\\b)(?:[0-9a-f]{8,}|[0-9A-F]{8,})(?-u:\\b)".to_owned(), "<id>"),
            ("(?-u:\\b)pid[=: ][0-9]+".to_owned(), "<pid>"),
        ];
        if extent == Extent::Numbers {
            kinds.push(("[0-9]+(?:[.,][0-9]+)*(?:[eE][+-]?[0-9]+)?".to_owned(), "<n>"));
        }
        let compile = |pattern: &str| Regex::new(pattern).expect("the patterns are fixed, and tests compile them");
        let any = kinds.iter().map(|(pattern, _)| format!("(?:{pattern})")).collect::<Vec<_>>().join("|");
        let alone = kinds.iter().map(|(pattern, mask)| (compile(&format!("\\A(?:{pattern})\\z")), *mask)).collect();
        Self { any: compile(&any), kinds: alone }
    }

    /// Returns the text with what differs from run to run masked.
    pub fn mask<'t>(&self, text: &'t str) -> Cow<'t, str> {
        // Everything that is masked has a digit in it, or stands in a temporary folder.
        if !text.bytes().any(|byte| byte.is_ascii_digit()) && !text.contains(['/', '\\']) {
            return Cow::Borrowed(text);
        }
        let mut masked = String::new();
        let mut done = 0;
        for found in self.any.find_iter(text) {
            let Some(mask) = self.mask_of(found.as_str()) else { continue };
            masked.push_str(&text[done..found.start()]);
            masked.push_str(mask);
            done = found.end();
        }
        if done == 0 {
            return Cow::Borrowed(text);
        }
        masked.push_str(&text[done..]);
        Cow::Owned(masked)
    }

    /// Returns what stands for a part that was found, unless it is a word after all.
    fn mask_of(&self, found: &str) -> Option<&'static str> {
        let (_, mask) = self.kinds.iter().find(|(kind, _)| kind.is_match(found))?;
        let has = |of: fn(&u8) -> bool| found.bytes().any(|byte| of(&byte));
        if *mask == "<id>" && !has(u8::is_ascii_digit) {
            return None;
        }
        if *mask == "<id>" && !has(u8::is_ascii_alphabetic) {
            // A long number, which only counts where numbers do.
            return self.kinds.iter().any(|(_, mask)| *mask == "<n>").then_some("<n>");
        }
        Some(mask)
    }
}

fn uuid() -> String {
    let hex = |count: u8| format!("[0-9a-fA-F]{{{count}}}");
    format!("(?-u:\\b){}(?-u:\\b)", [8, 4, 4, 4, 12].map(hex).join("-"))
}

/// RFC 3339 and its relatives, Go's log, the common log format, syslog and RFC 5322, and a clock alone.
fn time() -> String {
    let date = "[0-9]{4}[-/][0-9]{2}[-/][0-9]{2}";
    let day = "(?:(?:Mon|Tue|Wed|Thu|Fri|Sat|Sun),? )?";
    let forms = [
        format!("(?-u:\\b){date}(?:[T ]{CLOCK}{ZONE})?"),
        format!("(?-u:\\b)[0-9]{{1,2}}/{MONTH}/[0-9]{{4}}:{CLOCK} [+-][0-9]{{4}}"),
        format!("(?-u:\\b){day}{MONTH} +[0-9]{{1,2}} {CLOCK}(?: (?:[A-Z]{{3,4}} )?[0-9]{{4}})?"),
        format!("(?-u:\\b){day}[0-9]{{1,2}} {MONTH} [0-9]{{4}} {CLOCK}{ZONE}"),
        format!("(?-u:\\b){CLOCK}"),
    ];
    format!("(?:{})(?-u:\\b)", forms.join("|"))
}

/// A number and its unit, or several of them: `1.5ms`, `3 seconds`, `1m2.5s`.
fn duration() -> String {
    let number = r"[0-9]+(?:\.[0-9]+)?(?:e[+-]?[0-9]+)?";
    let words = "(?:ms|sec|secs|seconds?|min|mins|minutes?|hours?|milliseconds?|microseconds?|nanoseconds?|s)";
    format!("(?-u:\\b)(?:(?:{number}{UNIT})+|{number} ?{words})(?-u:\\b)")
}

/// The folder for temporary files, with the first part below it; the parts of macOS and Windows; and random names that
/// `mktemp` and its relatives make anywhere.
fn temporary() -> String {
    [
        format!("(?:/private)?/var/folders/{PART}/{PART}/T(?:/{PART})?"),
        format!("(?:/(?:var/)?tmp|/dev/shm|/run/user/[0-9]+)(?:/{PART})"),
        format!(r"[A-Za-z]:\\Users\\{PART}\\AppData\\Local\\Temp(?:\\{PART})?"),
        r"/\.?tmp[._-]?[A-Za-z0-9_]{6,10}(?-u:\b)".to_owned(),
    ]
    .join("|")
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn ids(text: &str) -> String {
        Masker::new(Extent::TimesAndIds).mask(text).into_owned()
    }

    fn numbers(text: &str) -> String {
        Masker::new(Extent::Numbers).mask(text).into_owned()
    }

    #[test]
    fn times_of_many_logs_are_masked() {
        for time in [
            "2026-03-01T12:00:00Z",
            "2026-03-01 12:00:00,123",
            "2026-03-01 12:00:00.123456 +0000",
            "2026-03-01T12:00:00.5+02:00",
            "2026/03/01 12:00:00",
            "2026-03-01",
            "01/Mar/2026:12:00:00 +0000",
            "Mar  1 12:00:00",
            "Sun Mar  1 12:00:00 UTC 2026",
            "Sun, 01 Mar 2026 12:00:00 GMT",
            "12:00:00.123",
        ] {
            assert_eq!(ids(&format!("[{time}] ready")), "[<time>] ready", "{time}");
        }
    }

    #[test]
    fn ids_addresses_and_durations_are_masked_and_other_numbers_are_not() {
        for (text, masked) in [
            ("run 0190e0a2-7c3a-7000-8000-0123456789ab", "run <id>"),
            ("run 01ARZ3NDEKTSV4RRFFQ69G5FAV", "run <id>"),
            ("image sha256:9f86d081884c7d65", "image sha256:<id>"),
            ("commit 3f2a9c1d in main", "commit <id> in main"),
            ("<Thing object at 0x7f3a9c001230>", "<Thing object at <address>>"),
            ("connect 127.0.0.1:43211 failed", "connect <ip> failed"),
            ("GET http://localhost:8080/x", "GET http://<ip>/x"),
            ("took 1.25s, 3 seconds, 1m2.5s, 12µs", "took <duration>, <duration>, <duration>, <duration>"),
            ("worker pid=4321 ended", "worker <pid> ended"),
            ("open /tmp/tmpab12cd/out.txt", "open <tmp>/out.txt"),
            ("open /var/folders/x1/abc_d/T/tmp.q/out.txt", "open <tmp>/out.txt"),
            (r"open C:\Users\me\AppData\Local\Temp\x1\out.txt", r"open <tmp>\out.txt"),
            ("open /build/.tmpAbC123/out.txt", "open /build<tmp>/out.txt"),
            // What is compared stays.
            ("3 of 12345678 tests failed", "3 of 12345678 tests failed"),
            ("deadbeef is a word, cafe too", "deadbeef is a word, cafe too"),
            ("version 1.2.3 of utf8", "version 1.2.3 of utf8"),
            ("no digit / at all", "no digit / at all"),
        ] {
            assert_eq!(ids(text), masked);
        }
    }

    #[test]
    fn numbers_are_masked_when_failures_are_told_apart() {
        for (text, masked) in [
            ("expected 3, got 4.5e-7", "expected <n>, got <n>"),
            ("thread-12 in worker7 (x.py:81)", "thread-<n> in worker<n> (x.py:<n>)"),
            ("1,234,567 rows", "<n> rows"),
            ("offset 12345678", "offset <n>"),
        ] {
            assert_eq!(numbers(text), masked);
        }
    }

    proptest! {
        #[test]
        fn masking_twice_changes_nothing_and_any_text_can_be_masked(text in "\\PC{0,80}|[0-9a-f:./ TZ-]{0,60}") {
            for extent in [Extent::TimesAndIds, Extent::Numbers] {
                let masker = Masker::new(extent);
                let once = masker.mask(&text).into_owned();
                prop_assert_eq!(masker.mask(&once).into_owned(), once.clone());
            }
        }
    }
}
