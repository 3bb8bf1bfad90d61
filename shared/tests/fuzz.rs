//! Hostile bytes for every reader: seeds from what real frameworks wrote, changed by the rules of their syntax, from a
//! seed that is printed, so that a find can be found again.
//!
//! Each reader gets a few seconds; `TSTR_FUZZ_SECS` gives each of them more, and `TSTR_FUZZ_SEED` another beginning
//! (`just fuzz`). What is asserted of every input: no panic; time in proportion to its length; memory that is bounded
//! (this binary counts its allocations, so each test here must be a process of its own, as nextest has it); every case
//! counted once; and the same outcome however the bytes come.

use std::io::{BufRead, BufReader};
use std::ops::ControlFlow;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use peak_alloc::PeakAlloc;
use tstr_shared::ids::TestId;
use tstr_shared::output::records::{RECORD_END, RECORD_START, RecordParser};
use tstr_shared::output::{MAX_KEYS, MAX_OUTPUT_BYTES, MAX_OUTPUT_NOTES, metrics, values};
use tstr_shared::report::{Counts, Event, Format, Limits, ReadOptions, Report, detect, read, sniff};

// ------------------------------------------------------------------------------------------------------ allocations

/// Counts what the process holds, and the most that it held since it was asked.
#[global_allocator]
static HELD: PeakAlloc = PeakAlloc;

/// Does something, and returns with it how long it took and how many bytes more were held at once. What takes longer
/// than `allowed` is tried again: a machine that does something else is not what is looked for.
fn measured<T>(allowed: Duration, work: impl Fn() -> T) -> (T, Duration, usize) {
    let mut tries = 0;
    loop {
        let before = HELD.current_usage();
        HELD.reset_peak_usage();
        let started = Instant::now();
        let result = work();
        let took = started.elapsed();
        tries += 1;
        if took <= allowed || tries == 3 {
            return (result, took, HELD.peak_usage().saturating_sub(before));
        }
    }
}

// ----------------------------------------------------------------------------------------------------------- chance

/// SplitMix64: the same numbers from the same seed, on every machine.
struct Chance(u64);

impl Chance {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// A number below `end`, or 0.
    fn below(&mut self, end: usize) -> usize {
        if end == 0 { 0 } else { (self.next() % end as u64) as usize }
    }

    fn of<'a>(&mut self, words: &[&'a [u8]]) -> &'a [u8] {
        words[self.below(words.len())]
    }
}

/// How long each test goes on, and where its chance begins.
fn budget() -> (Duration, u64) {
    let number = |name: &str| std::env::var(name).ok().and_then(|text| text.parse::<u64>().ok());
    let seed = number("TSTR_FUZZ_SEED").unwrap_or(1);
    eprintln!("TSTR_FUZZ_SEED={seed}");
    (Duration::from_secs(number("TSTR_FUZZ_SECS").unwrap_or(10)), seed)
}

// ---------------------------------------------------------------------------------------------------------- mutation

const NUMBERS: &[&[u8]] = &[
    b"0",
    b"-1",
    b"1e999",
    b"-0.0",
    b"nan",
    b"inf",
    b"18446744073709551616",
    b"1,234.5",
    b"1.797e308",
    b"99999999999999999999999",
    b"0x10",
    b"\xc2\xbd",
];
const TEXTS: &[&[u8]] = &[
    b"\0",
    b"\xff\xfe",
    b"\xed\xa0\x80",
    b"\xef\xbb\xbf",
    b"\xf4\x90\x80\x80",
    b"\xc3",
    b"\r",
    b"\r\n",
    b"\n",
    b"\x1b[31m",
    b"\\",
    b"\"",
    b"'",
    b"\x1c\x1e",
    b"\x1e\x1c",
    b" ",
    b"\t",
    b"\xe2\x80\xae",
];
const XML: &[&[u8]] = &[
    b"<testsuites>",
    b"</testsuites>",
    b"<testsuite name='a'>",
    b"</testsuite>",
    b"<testcase name='n' classname='c'>",
    b"</testcase>",
    b"<testcase/>",
    b"<failure message='m'>",
    b"</failure>",
    b"<error/>",
    b"<skipped type='todo'/>",
    b"<flakyFailure>",
    b"<rerunError>",
    b"<stackTrace>",
    b"<system-out>",
    b"</system-out>",
    b"<properties>",
    b"<property name='go.version' value='1'/>",
    b"<property name='testId' value='t'/>",
    b"<![CDATA[",
    b"]]>",
    b"<!--",
    b"-->",
    b"<?xml version='1.0' encoding='utf-16'?>",
    b"<!DOCTYPE a [<!ENTITY a '&a;&a;'>]>",
    b"&a;",
    b"&#x0;",
    b"&#1114112;",
    b"&",
    b"<",
    b">",
    b"/>",
    b"='",
    b" name='x'",
    b" time='",
    b" status='notrun'",
    b"[[ATTACHMENT|../../x]]",
    b"<a:b xmlns:a='c'>",
];
const JSON: &[&[u8]] = &[
    b"{",
    b"}",
    b"[",
    b"]",
    b",",
    b":",
    b"\"",
    b"null",
    b"true",
    b"\"name\":",
    b"\"status\":\"failed\"",
    b"\"status\":\"other\"",
    b"\"rawStatus\":\"todo\"",
    b"\"retryAttempts\":[",
    b"\"tests\":[",
    b"\"results\":{",
    b"\"suite\":",
    b"\"extra\":{\"tstr\":\"{}\"}",
    b"\"flaky\":true",
    b"\"retries\":",
    b"\"\\ud800\"",
    b"\\u0000",
    b"\"reportFormat\":\"CTRF\"",
    b"\"stdout\":[\"x\"],",
];
const TAP: &[&[u8]] = &[
    b"ok 1 - a\n",
    b"not ok\n",
    b"not ok 3 - b # TODO\n",
    b"ok # SKIP {\n",
    b"    ",
    b"  ---\n",
    b"  ...\n",
    b"# Subtest: s\n",
    b"}\n",
    b" {\n",
    b"1..3\n",
    b"1..0 # SKIP x\n",
    b"TAP version 13\n",
    b"TAP version 99\n",
    b"Bail out! x\n",
    b"  tstr: '{}'\n",
    b"  duration_ms: 1e9\n",
    b"  message: |2-\n",
    b" # time=1ms",
    b" # timeout after 1s",
    b"\\#",
    b"1..18446744073709551615\n",
    b"pragma +strict\n",
];
const LINES: &[&[u8]] = &[
    b"a=b\n",
    b"a<<END\n",
    b"END\n",
    b"{\"a\": 1}\n",
    b"{\"a\": [",
    b"m,t=u f=1i\n",
    b"m f=1.5,g=-2i 1700000000\n",
    b"# x\n",
    b",",
    b"=",
    b" ",
    b"\\ ",
    b"\\,",
    b"\x1c\x1e",
    b"\x1e\x1c",
    b":",
    b"key:value",
    b"\"t\"",
    b"i",
    b"u",
];

/// Changes bytes: by words of their syntax, by pieces of themselves and of others, and by chance alone.
fn mutate(chance: &mut Chance, seeds: &[Vec<u8>], words: &[&[u8]]) -> Vec<u8> {
    let mut bytes = if seeds.is_empty() { Vec::new() } else { seeds[chance.below(seeds.len())].clone() };
    // Short inputs are changed more thoroughly in the same time.
    if bytes.len() > 4000 && chance.below(8) > 0 {
        let from = if chance.below(2) == 0 { 0 } else { chance.below(bytes.len() - 2000) };
        bytes = bytes[from..(from + 500 + chance.below(3500)).min(bytes.len())].to_vec();
    }
    for _ in 0..=chance.below(12) {
        let at = chance.below(bytes.len() + 1);
        let end = (at + chance.below(40)).min(bytes.len());
        match chance.below(12) {
            0 => drop(bytes.drain(at..end)),
            1 => bytes.truncate(at),
            2 => drop(bytes.splice(at..end, chance.of(NUMBERS).iter().copied())),
            3 => drop(bytes.splice(at..at, chance.of(TEXTS).iter().copied())),
            4 | 5 => drop(bytes.splice(at..at, chance.of(words).iter().copied())),
            6 => drop(bytes.splice(at..end, chance.of(words).iter().copied())),
            7 => {
                // The same word many times: depth, and lists without an end.
                let word = chance.of(words).repeat(1 + chance.below(300));
                bytes.splice(at..at, word);
            }
            8 => {
                let piece = bytes[at..end].to_vec();
                let to = chance.below(bytes.len() + 1);
                bytes.splice(to..to, piece);
            }
            9 => {
                // A line or tag of another file.
                let other = seeds.get(chance.below(seeds.len())).map(Vec::as_slice).unwrap_or_default();
                let from = chance.below(other.len());
                let piece = &other[from..(from + chance.below(400)).min(other.len())];
                bytes.splice(at..at, piece.iter().copied());
            }
            10 if at < bytes.len() => bytes[at] ^= 1 << chance.below(8),
            _ if at < bytes.len() => {
                // Two pieces of the file change places.
                let to = chance.below(bytes.len());
                bytes.swap(at, to);
            }
            _ => {}
        }
    }
    if chance.below(40) == 0 {
        bytes = String::from_utf8_lossy(&bytes).encode_utf16().flat_map(u16::to_le_bytes).collect();
        bytes.splice(0..0, *b"\xff\xfe");
    }
    bytes
}

// ----------------------------------------------------------------------------------------------------------- reports

/// The stored reports that real frameworks wrote, of one kind of file.
fn seeds(ending: &str) -> Vec<Vec<u8>> {
    let root = PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../tests/data/reports"));
    let mut files: Vec<PathBuf> = std::fs::read_dir(root)
        .expect("tests/data/reports is there")
        .flat_map(|tool| {
            std::fs::read_dir(tool.expect("it is listed").path())
                .expect("it is a folder")
                .map(|file| file.expect("it is listed").path())
                .collect::<Vec<_>>()
        })
        .filter(|path| path.extension().is_some_and(|it| it == ending) && !path.ends_with("expected.json"))
        .collect();
    files.sort();
    assert!(!files.is_empty());
    files.iter().map(|path| std::fs::read(path).expect("it can be read")).collect()
}

/// What came out of a report, with the cases counted by us.
fn outcome(format: Format, input: impl BufRead, limits: Limits) -> (Vec<Event>, Counts, Report) {
    let options = ReadOptions { limits, ..ReadOptions::new(TestId(uuid::Uuid::from_u128(7))) };
    let (mut events, mut counts) = (Vec::new(), Counts::default());
    let report = read(format, input, &options, &mut |event| {
        if let Event::Case(case) = &event {
            counts.add(case);
        }
        events.push(event);
        ControlFlow::Continue(())
    });
    (events, counts, report.expect("bytes in memory can be read"))
}

/// Seconds that an input of this length may take, in a debug build on a machine that does more beside it.
fn allowed(length: usize) -> Duration {
    Duration::from_millis(500) + Duration::from_micros(40 * length as u64)
}

fn fuzz_reader(format: Format, ending: &str, words: &[&[u8]]) {
    let (time, seed) = budget();
    let seeds = seeds(ending);
    let mut chance = Chance(seed);
    let started = Instant::now();
    let (mut inputs, mut all_cases, mut whole) = (0_u64, 0_u64, 0_u64);
    while started.elapsed() < time {
        let bytes = mutate(&mut chance, &seeds, words);
        let limits = match chance.below(4) {
            0 => Limits { cases: 5, depth: 4, text: 100, case_text: 300, file_bytes: 3000 },
            _ => Limits::default(),
        };
        let (nothing, took, most) = measured(allowed(bytes.len()), || {
            let options = ReadOptions { limits, ..ReadOptions::new(TestId(uuid::Uuid::from_u128(7))) };
            read(format, &bytes[..], &options, &mut |_| ControlFlow::Continue(()))
        });
        let report = nothing.expect("bytes in memory can be read");
        let shown =
            || format!("input {inputs} of seed {seed}: {}", String::from_utf8_lossy(&bytes[..bytes.len().min(3000)]));
        assert!(took <= allowed(bytes.len()), "{took:?} for {} bytes, {}", bytes.len(), shown());
        // A case is kept at a time: some copies of the input, and the tables of what was seen.
        assert!(most <= (2 << 20) + 40 * bytes.len(), "{most} bytes for {}, {}", bytes.len(), shown());

        let (events, counts, again) = outcome(format, &bytes[..], limits);
        assert_eq!(again, report, "twice the same, {}", shown());
        assert_eq!(counts, report.counted, "{}", shown());
        assert_eq!(
            counts.cases,
            counts.passed + counts.failed + counts.errors + counts.skipped + counts.disabled,
            "{}",
            shown()
        );
        assert!(report.cases_over_limit == 0 || counts.cases == limits.cases, "{}", shown());
        assert!(report.complete || report.has_errors(), "{}", shown());
        let notes = events.iter().filter(|event| matches!(event, Event::Note(_))).count() as u64;
        assert!(notes <= report.notes.values().sum(), "{}", shown());

        let largest = if chance.below(2) == 0 { 8 } else { 5000 };
        let piece = 1 + chance.below(largest);
        let pieces = outcome(format, BufReader::with_capacity(piece, &bytes[..]), limits);
        assert_eq!(pieces, (events, counts, again), "in pieces of {piece}, {}", shown());

        detect(&format!("x-ctrf.{ending}"), &bytes);
        sniff(&bytes);
        inputs += 1;
        all_cases += report.counted.cases;
        whole += u64::from(report.complete);
    }
    eprintln!("{inputs} inputs, {whole} of them whole, {all_cases} cases");
    assert!(inputs > 20 && all_cases > 0, "{inputs} inputs and {all_cases} cases are nothing");
}

#[test]
fn the_reader_of_junit_bears_what_comes() {
    fuzz_reader(Format::Junit, "xml", XML);
}

#[test]
fn the_reader_of_ctrf_bears_what_comes() {
    fuzz_reader(Format::Ctrf, "json", JSON);
}

#[test]
fn the_reader_of_tap_bears_what_comes() {
    fuzz_reader(Format::Tap, "tap", TAP);
}

/// Files are named wrongly: each reader gets those of the others.
#[test]
fn readers_bear_what_is_for_another() {
    for format in [Format::Junit, Format::Ctrf, Format::Tap] {
        for bytes in ["xml", "json", "tap"].into_iter().flat_map(seeds) {
            let (_, counts, report) = outcome(format, &bytes[..], Limits::default());
            assert_eq!(counts, report.counted);
            assert!(sniff(&bytes) == Some(format) || !report.complete, "{format:?}");
        }
    }
}

// ------------------------------------------------------------------------------------------------------- result data

#[test]
fn the_parsers_of_result_data_bear_what_comes() {
    let (time, seed) = budget();
    let seeds = vec![
        b"version=1.2.3\nlog<<END_7f3a\nseveral\nlines\nEND_7f3a\n{\"cases\": 12, \"ratio\": 0.5, \"tags\": [\"a\", \"b\"]}\n".to_vec(),
        b"# comment\nrequests,method=get,code=200 count=12i,seconds=0.25\nrequests,method=get,code=200 count=1i\n".to_vec(),
        format!("x{RECORD_START}requests:12{RECORD_END}y\n{RECORD_START} a : b {RECORD_END}{RECORD_START}open").into_bytes(),
    ];
    let mut chance = Chance(seed);
    let started = Instant::now();
    let mut inputs = 0_u64;
    while started.elapsed() < time {
        let bytes = mutate(&mut chance, &seeds, LINES);
        let shown =
            || format!("input {inputs} of seed {seed}: {}", String::from_utf8_lossy(&bytes[..bytes.len().min(3000)]));
        let records = |pieces: &[usize]| {
            let mut parser = RecordParser::new();
            let mut rest = &bytes[..];
            for &piece in pieces.iter().cycle().take(bytes.len() + 1) {
                let (now, later) = rest.split_at(piece.min(rest.len()));
                parser.push(now);
                rest = later;
            }
            parser.finish()
        };
        let ((values, metrics, recorded), took, most) =
            measured(allowed(bytes.len()), || (values::parse(&bytes), metrics::parse(&bytes), records(&[bytes.len()])));
        assert!(took <= allowed(bytes.len()), "{took:?} for {} bytes, {}", bytes.len(), shown());
        assert!(most <= (2 << 20) + 60 * bytes.len(), "{most} bytes for {}, {}", bytes.len(), shown());
        for data in [&values, &recorded] {
            assert!(data.values.len() <= MAX_KEYS && data.notes.len() <= MAX_OUTPUT_NOTES + 1, "{}", shown());
        }
        assert!(metrics.values.len() <= metrics::MAX_SERIES, "{}", shown());
        let pieces: Vec<usize> = (0..5).map(|_| 1 + chance.below(6)).collect();
        assert_eq!(records(&pieces), recorded, "in pieces of {pieces:?}, {}", shown());
        inputs += 1;
    }
    eprintln!("{inputs} inputs");
    assert!(inputs > 100, "{inputs} inputs are nothing");
}

/// What is too large is not read, and not kept.
#[test]
fn result_data_that_is_too_large_is_bounded() {
    for line in [
        "a=b\n",
        "{\"a\": [[[[1]]]]}\n",
        "m,t=u f=1i\n",
        "k<<E\nx\n",
        "\x1c\x1ea:b\x1e\x1c",
        "\x1c\x1e",
        "m f=1i,g=2,h=3u\n",
    ] {
        let bytes = line.repeat(8 * MAX_OUTPUT_BYTES / line.len()).into_bytes();
        let ((), took, most) = measured(Duration::from_secs(60), || {
            values::parse(&bytes);
            metrics::parse(&bytes);
            let mut parser = RecordParser::new();
            parser.push(&bytes);
            parser.finish();
        });
        assert!(took <= Duration::from_secs(60), "{took:?} for {line:?}");
        assert!(most <= 8 * MAX_OUTPUT_BYTES, "{most} bytes for {line:?}");
    }
}
