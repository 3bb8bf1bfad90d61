//! Failures that are the same, and failures that are not.

use chrono::{DateTime, TimeDelta};
use proptest::prelude::*;

use super::*;

fn print(kind: &str, message: &str, trace: &str) -> Printed {
    Fingerprinter::new().print(&FailureText { kind, message, trace })
}

fn message(message: &str) -> Fingerprint {
    print("", message, "").fingerprint
}

#[test]
fn a_fingerprint_never_changes_while_its_version_stays() {
    let printed = print("AssertionError", "expected 3, got 4", "");
    assert_eq!(printed.normal, "AssertionError\nexpected <n>, got <n>");
    // `printf 'tstr-fingerprint-1\0AssertionError\nexpected <n>, got <n>' | sha256sum | head -c 32`
    assert_eq!(printed.fingerprint.to_string(), "32e7e3d0b3458a618fe757e6e1984a51");
    let json = serde_json::to_string(&printed.fingerprint).unwrap();
    assert_eq!(serde_json::from_str::<Fingerprint>(&json).unwrap(), printed.fingerprint);
    assert!("+123456789012345678901234567890a".parse::<Fingerprint>().is_err() && "ä".parse::<Fingerprint>().is_err());
}

#[test]
fn python_traces_differ_by_function_and_not_by_line_or_folder() {
    let trace = |root: &str, line: u32, function: &str| {
        format!(
            "Traceback (most recent call last):\n  File \"{root}/tests/test_cart.py\", line {line}, in test_total\n    \
             assert total() == 3\n  File \"{root}/shop/cart.py\", line {}, in {function}\n    return x\nKeyError: 'price'\n",
            line + 7
        )
    };
    let print = |root, line, function| print("KeyError", "'price'", &trace(root, line, function));
    assert_eq!(print("/home/ci/build-17", 12, "total"), print("/srv/work", 40, "total"));
    assert_ne!(print("/srv/work", 12, "total"), print("/srv/work", 12, "tax"));
    let normal = print("/srv/work", 12, "total").normal;
    assert!(normal.contains("\n  File \"cart.py\", line <n>, in total"), "{normal}");
}

#[test]
fn frames_of_many_languages_are_known() {
    for (one, other) in [
        ("\tat shop.Cart.total(Cart.java:12)", "\tat shop.Cart.total(Cart.java:99)"),
        ("    at total (/srv/a/cart.js:1:2)", "    at total (/home/b/cart.js:3:40)"),
        ("\t/srv/a/cart.go:12 +0x1d", "\t/home/b/cart.go:13 +0xff"),
        (
            "  12: shop::cart::total\n             at ./src/cart.rs:1:2",
            "   3: shop::cart::total\n at ./src/cart.rs:9:9",
        ),
        ("#0  0x00007f01 in total () at /srv/a/cart.c:12", "#1  0x00005501 in total () at /home/b/cart.c:13"),
        ("/srv/a/cart_test.cc:12: Failure", "/home/b/cart_test.cc:100: Failure"),
    ] {
        let (one, other) = (print("E", "it broke", one), print("E", "it broke", other));
        assert_eq!(one, other);
        assert!(one.normal.lines().count() > 2, "no frame was found: {}", one.normal);
    }
    assert_ne!(
        print("E", "m", "\tat shop.Cart.total(Cart.java:12)"),
        print("E", "m", "\tat shop.Cart.tax(Cart.java:12)")
    );
}

#[test]
fn without_a_message_the_trace_speaks() {
    let one = print("", "", "panicked: no such key\n   0: rust_begin_unwind\n");
    assert_eq!(one.normal, "\npanicked: no such key\n  <n>: rust_begin_unwind");
    assert_ne!(one, print("", "", "panicked: overflow\n   0: rust_begin_unwind\n"));
}

#[test]
fn colours_gaps_and_long_tails_do_not_matter() {
    assert_eq!(message("\u{1b}[31mit\u{1b}[0m  broke\r\n"), message("it broke"));
    let long = |tail: &str| message(&format!("{}{tail}", "x".repeat(MAX_LINE)));
    assert_eq!(long("a"), long("b"));
    let many = |tail: &str| message(&format!("{}{tail}", "line\n".repeat(MAX_MESSAGE_LINES)));
    assert_eq!(many("a"), many("b"));
    print("", &"ä".repeat(MAX_TEXT), &"\u{1b}".repeat(MAX_TEXT));
}

#[test]
fn groups_say_since_when_and_in_how_many_runs() {
    let moment = |day: i64| {
        let at = DateTime::from_timestamp(1_767_225_600, 0).unwrap() + TimeDelta::days(day);
        Moment { at, run_id: RunId::at(at, 0) }
    };
    let failed = |day, message| Failed { moment: moment(day), text: FailureText { message, ..FailureText::default() } };
    let failures = [
        failed(3, "got 4"),
        failed(1, "got 5"),
        failed(1, "got 6"),
        failed(9, "gone"),
        failed(2, "got 7"),
        failed(8, "gone"),
    ];
    let groups = group(&Fingerprinter::new(), failures);
    let told: Vec<_> = groups.iter().map(|one| (one.example.as_str(), one.failures, one.runs.len())).collect();
    assert_eq!(told, [("got 5", 4, 3), ("gone", 2, 2)]);
    assert_eq!((groups[0].first, groups[0].last), (moment(1), moment(3)));
    assert_eq!(group(&Fingerprinter::new(), []), []);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    #[test]
    fn what_differs_from_run_to_run_does_not_count(
        numbers in any::<[(u32, u32); 2]>(), ids in any::<[u128; 2]>(), secs in any::<[u32; 2]>(), words in "[a-z]{3,8}",
    ) {
        let text = |index: usize| {
            let (one, other) = numbers[index];
            let at = DateTime::from_timestamp(i64::from(secs[index]), 0).unwrap();
            format!(
                "{at:?} {words}: {one} of {other} rows, run {}, object at {:#x}, took {}.{}ms in /tmp/tmp{:08x}/out.txt",
                uuid::Uuid::from_u128(ids[index]), ids[index] as u64, one % 1000, other % 10, one,
            )
        };
        prop_assert_eq!(message(&text(0)), message(&text(1)));
    }

    #[test]
    fn other_words_are_another_failure(one in "[g-z]{4,12}( [g-z]{1,9}){0,3}", other in "[g-z]{4,12}( [g-z]{1,9}){0,3}") {
        prop_assert_eq!(message(&one) == message(&other), one == other);
    }

    #[test]
    fn any_text_has_a_fingerprint(kind in "\\PC{0,20}", message in "(?s).{0,200}", trace in "(?s).{0,200}") {
        prop_assert_eq!(print(&kind, &message, &trace), print(&kind, &message, &trace));
    }
}
