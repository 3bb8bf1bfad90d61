//! Logs and configurations that differ, the hardest and the largest among them.

use proptest::prelude::*;
use serde_json::json;

use super::*;
use crate::analysis::mask::Extent;
use crate::analysis::random::SplitMix64;

fn compared(before: &str, after: &str) -> LogDiff {
    logs(before, after, &Masker::new(Extent::TimesAndIds), &Shown::default())
}

/// Writes a difference as `diff -u` does.
fn text(diff: &LogDiff) -> String {
    let mut text = String::new();
    for hunk in &diff.hunks {
        text += &format!("@@ {} {}\n", hunk.before_line, hunk.after_line);
        for line in &hunk.lines {
            let sign = match line.change {
                LineChange::Same => ' ',
                LineChange::Removed => '-',
                LineChange::Added => '+',
            };
            text += &format!("{sign}{}\n", line.text);
        }
    }
    text
}

#[test]
fn times_and_ids_are_no_difference_and_counts_are() {
    let before = "2026-03-01T12:00:00Z start 0190e0a2-7c3a-7000-8000-0123456789ab\n\
                  12:00:01 connect 127.0.0.1:4711\r\n12:00:02 read 10 rows in 5ms\n12:00:03 done\n";
    let after = "2026-03-02T08:00:00Z start 0190e0a2-7c3a-7000-8000-ba9876543210\n\
                 08:00:01 connect 127.0.0.1:5822\n08:00:02 read 9 rows in 7ms\n08:00:03 done\n";
    let diff = compared(before, after);
    assert_eq!((diff.same, diff.removed, diff.added), (3, 1, 1));
    let expected = "@@ 1 1\n 2026-03-02T08:00:00Z start 0190e0a2-7c3a-7000-8000-ba9876543210\n \
                    08:00:01 connect 127.0.0.1:5822\n-12:00:02 read 10 rows in 5ms\n+08:00:02 read 9 rows in 7ms\n \
                    08:00:03 done\n";
    assert_eq!(text(&diff), expected);
    assert_eq!(compared(before, before), LogDiff { same: 4, ..LogDiff::default() });
    assert_eq!(compared("", ""), LogDiff::default());
    assert_eq!(compared("", "a\nb").added, 2);
}

#[test]
fn changes_that_lie_apart_are_hunks_of_their_own() {
    let before: Vec<String> = (0..40).map(|line| format!("line {line}")).collect();
    let mut after = before.clone();
    after[5] = "changed".into();
    after.remove(30);
    let diff = compared(&before.join("\n"), &after.join("\n"));
    let starts: Vec<_> = diff.hunks.iter().map(|hunk| (hunk.before_line, hunk.after_line, hunk.lines.len())).collect();
    assert_eq!(starts, [(3, 3, 8), (28, 28, 7)]);
}

#[test]
fn what_is_not_compared_and_what_is_not_shown_is_told() {
    let long = "x\n".repeat(MAX_LINES + 7);
    let diff = compared(&long, "x\n");
    assert_eq!((diff.same, diff.removed, diff.before_cut, diff.after_cut), (1, MAX_LINES as u32 - 1, 7, 0));
    let shown: usize = diff.hunks.iter().map(|hunk| hunk.lines.len()).sum();
    assert_eq!((shown, diff.hidden), (2000, MAX_LINES as u32 - 2000));
    assert_eq!(compared(&"ä".repeat(600), "").hunks[0].lines[0].text.chars().count(), 500);
}

/// Logs of 100 000 lines that are hard to compare: nothing in common, another order, few different lines.
#[test]
#[expect(clippy::print_stdout, reason = "the times are what is to be read")]
fn the_largest_and_hardest_logs_are_compared_in_bounded_time() {
    let mut random = SplitMix64::new(3);
    let mut log = |line: &dyn Fn(usize, &mut SplitMix64) -> String| -> String {
        (0..MAX_LINES).map(|index| line(index, &mut random) + "\n").collect()
    };
    let ordered = log(&|index, _| format!("12:00:01.{index:06} step {index} of test took {index}ms"));
    let mut lines: Vec<&str> = ordered.lines().collect();
    SplitMix64::new(4).shuffle(&mut lines);
    let shuffled = lines.join("\n");
    let foreign = log(&|index, _| format!("other {index}"));
    let edited = log(&|index, random| format!("step {} of test", if random.chance(0.1) { 0 } else { index }));
    let edited_again = log(&|index, random| format!("step {} of test", if random.chance(0.1) { 0 } else { index }));
    let [few, few_again] = [(); 2].map(|()| log(&|_, random| format!("word {}", random.below(3))));
    for (name, before, after) in [
        ("nothing in common", &ordered, &foreign),
        ("another order", &ordered, &shuffled),
        ("a tenth edited", &edited, &edited_again),
        ("three different lines", &few, &few_again),
    ] {
        let started = std::time::Instant::now();
        let diff = compared(before, after);
        println!("{name}: {:?}, {} same", started.elapsed(), diff.same);
        assert_eq!((diff.same + diff.removed, diff.same + diff.added), (MAX_LINES as u32, MAX_LINES as u32), "{name}");
        assert!(started.elapsed().as_secs() < 60, "{name}: {:?}", started.elapsed());
    }
}

#[test]
fn configurations_differ_by_pointer() {
    let before =
        json!({"image": "a:1", "env": {"A/B": "1", "C": "2"}, "args": ["x", "y"], "limits": {"cpu": 1}, "n": null});
    let after = json!({"n": 0, "args": ["x", "z", "w"], "env": {"C": "2", "D~": "3"}, "image": "a:2", "limits": 5});
    let changes: Vec<_> =
        configs(&before, &after).into_iter().map(|change| (change.pointer, change.before, change.after)).collect();
    let expected = [
        ("/image", Some(json!("a:1")), Some(json!("a:2"))),
        ("/env/A~1B", Some(json!("1")), None),
        ("/env/D~0", None, Some(json!("3"))),
        ("/args/1", Some(json!("y")), Some(json!("z"))),
        ("/args/2", None, Some(json!("w"))),
        ("/limits", Some(json!({"cpu": 1})), Some(json!(5))),
        ("/n", Some(json!(null)), Some(json!(0))),
    ];
    assert_eq!(changes, expected.map(|(pointer, before, after)| (pointer.to_owned(), before, after)));
    assert_eq!(configs(&before, &before), []);
    assert_eq!(configs(&json!(1), &json!(2))[0].pointer, "");
}

#[test]
fn a_null_is_a_value_also_when_it_was_stored() {
    let changes = configs(&json!({"a": null}), &json!({"b": null}));
    let stored = serde_json::to_string(&changes).unwrap();
    assert_eq!(stored, r#"[{"pointer":"/a","before":null},{"pointer":"/b","after":null}]"#);
    assert_eq!(serde_json::from_str::<Vec<ValueChange>>(&stored).unwrap(), changes);
}

#[test]
fn deep_documents_are_compared_without_a_deep_stack() {
    let deep = |end: Value| (0..2000).fold(end, |inside, _| Value::Array(vec![inside]));
    let changes = configs(&deep(json!(1)), &deep(json!(2)));
    assert_eq!((changes.len(), changes[0].pointer.len()), (1, 4000));
}

proptest! {
    /// Taking away what was removed and putting in what was added makes the log after of the log before.
    #[test]
    fn a_difference_leads_from_the_one_to_the_other(before in "([abc]\n){0,30}", after in "([abc]\n){0,30}") {
        let all = Shown { context: 1000, max_lines: 1000, max_chars: 10 };
        let diff = logs(&before, &after, &Masker::new(Extent::TimesAndIds), &all);
        let side = |without: LineChange| -> String {
            let lines = diff.hunks.iter().flat_map(|hunk| &hunk.lines).filter(|line| line.change != without);
            lines.map(|line| format!("{}\n", line.text)).collect()
        };
        if before == after {
            prop_assert_eq!(&diff.hunks, &[]);
        } else {
            prop_assert_eq!((side(LineChange::Added), side(LineChange::Removed)), (before, after));
        }
    }
}
