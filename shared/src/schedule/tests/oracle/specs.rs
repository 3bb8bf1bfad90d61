//! Lines for the oracles: some by hand, around the hours at which clocks jump, and any number that a seed makes.

use std::collections::BTreeSet;

use super::super::super::*;

/// Lines that name times of day, with lists and ranges.
const FIXED: [&str; 18] = [
    "30 2 * * *",
    "0 0 * * *",
    "0 3 * * *",
    "15 2 * * *",
    "59 23 * * *",
    "1 0 * * *",
    "0,30 2 * * *",
    "0,15,45 0,1,2,3 * * *",
    "0-59 2 * * *",
    "30 0-23 * * *",
    "0 0,12 * * *",
    "45 1 * * 0",
    "30 2 * * 7",
    "30 0 * * 5",
    "0 9 * * 5",
    "30 2 1,8,31 * 0",
    "5 0 1 * *",
    "30 23 */2 * 1-5",
];

/// Lines that follow the time that passes.
const OTHERS: [&str; 18] = [
    "* * * * *",
    "*/15 * * * *",
    "*/7 * * * *",
    "0 * * * *",
    "30 * * * *",
    "0-59/20 * * * *",
    "0 */2 * * *",
    "30 1-23/2 * * *",
    "*/30 2 * * *",
    "*/10 1,2 * * *",
    "50-59/3 0-3 * * *",
    "* 0 * * *",
    "*/20 1 * * 0",
    "* 2 1-7 * 0",
    "*/15 23 */3 * *",
    "7 */5 29 2-11/3 1-5",
    "10,20,*/30 3 * 3,10 *",
    "0 0-23/1 * * 6,7",
];

/// Days counted within their month: those on which most clocks jump, and the end of the month.
const COUNTED: [&str; 14] = [
    "30 2 * * 0L",
    "30 2 * * 7#2",
    "15,45 1-3 * 3,11 0#1,0#2",
    "*/20 1-3 * * 7L",
    "*/30 0-2 * * 0#1",
    "0 0 * * 5L",
    "30 0 * * 4L,5L",
    "0 0 L * *",
    "30 23 30,L * *",
    "*/15 0,23 L * 0#1",
    "59 2 */2 * 0L,1#5",
    "0 9 * 4,9,10 7#1",
    "0 3 1,L */2 6L",
    "* 2 * * 0#5",
];

/// Returns the lines made by hand.
pub(super) fn by_hand() -> impl Iterator<Item = String> {
    FIXED.into_iter().chain(OTHERS).chain(COUNTED).map(str::to_owned)
}

/// What the lines may hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Dialect {
    /// Everything but names and `H`.
    Full,
    /// What `croner` means by it the same as we do: times of day without a list or a range, and no day field that
    /// begins with a `*` and has more.
    Croner,
}

/// True when `croner` means the same by the line.
pub(super) fn is_for_croner(spec: &str) -> bool {
    let fields: Vec<&str> = spec.split(' ').collect();
    let follows_the_clock = fields[..2].iter().any(|field| field.contains(['*', '/']));
    let is_single = fields[..2].iter().all(|field| !field.contains([',', '-']));
    let narrows = |field: &str| field.len() > 1 && field.starts_with('*');
    (follows_the_clock || is_single) && (!narrows(fields[2]) || fields[4] == "*") && !narrows(fields[4])
}

/// Random numbers that a seed repeats (SplitMix64).
pub(super) struct Dice(u64);

impl Dice {
    /// Makes dice; `TSTR_FAULT_SEED` replaces the test's own seed. Which it is, is printed when the test fails.
    pub(super) fn seeded(own: u64) -> Self {
        let seed = std::env::var("TSTR_FAULT_SEED").ok().and_then(|seed| seed.parse().ok()).unwrap_or(own);
        eprintln!("seed {seed} (TSTR_FAULT_SEED={seed} repeats it)");
        Self(seed)
    }

    /// Returns a number below `end`.
    pub(super) fn below(&mut self, end: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((mixed ^ (mixed >> 31)) % end as u64) as usize
    }

    fn pick<T: Copy>(&mut self, from: &[T]) -> T {
        from[self.below(from.len())]
    }

    /// Returns one value between two, or a list of up to three values, ranges and steps.
    fn entries(&mut self, low: usize, high: usize) -> String {
        let count = self.pick(&[1, 1, 2, 3]);
        let entries: Vec<String> = (0..count)
            .map(|_| {
                let (a, b) = (low + self.below(high - low + 1), low + self.below(high - low + 1));
                match self.below(6) {
                    0 => format!("{}-{}", a.min(b), a.max(b)),
                    1 => format!("{}-{}/{}", a.min(b), a.max(b), 1 + self.below(high.min(7))),
                    _ => a.to_string(),
                }
            })
            .collect();
        entries.join(",")
    }

    /// Returns minutes and hours; hours are mostly those at which clocks jump.
    fn time(&mut self) -> String {
        let minute = match self.below(6) {
            0 => "*".to_owned(),
            1 => format!("*/{}", self.pick(&[2, 5, 7, 10, 15, 20, 30, 45])),
            2 => self.pick(&["0", "30", "59"]).to_owned(),
            _ => self.entries(0, 59),
        };
        let hour = match self.below(8) {
            0 => "*".to_owned(),
            1 => format!("*/{}", 1 + self.below(8)),
            2 => self.entries(0, 23),
            _ => self.pick(&["0", "1", "2", "3", "0-3", "1,2", "23", "2,23"]).to_owned(),
        };
        format!("{minute} {hour}")
    }

    /// Returns the field of the day of the month.
    fn month_day(&mut self) -> String {
        match self.below(8) {
            0..4 => "*".to_owned(),
            4 => format!("*/{}", 2 + self.below(10)),
            5 => "L".to_owned(),
            6 => format!("{},L", self.entries(1, 31)),
            _ => self.entries(1, 31),
        }
    }

    /// Returns the field of the day of the week.
    fn weekday(&mut self) -> String {
        let counted = |dice: &mut Self| match dice.below(3) {
            0 => format!("{}L", dice.below(8)),
            _ => format!("{}#{}", dice.pick(&[0, 0, 1, 2, 3, 4, 5, 6, 7]), 1 + dice.below(5)),
        };
        match self.below(8) {
            0..3 => "*".to_owned(),
            3 => format!("*/{}", 2 + self.below(4)),
            4 => counted(self),
            5 => format!("{},{}", counted(self), counted(self)),
            6 => format!("{},{}", self.entries(0, 7), counted(self)),
            _ => self.entries(0, 7),
        }
    }

    /// Returns so many lines that all differ, all of them valid in UTC.
    pub(super) fn lines(&mut self, dialect: Dialect, count: usize) -> Vec<String> {
        let mut lines = BTreeSet::new();
        while lines.len() < count {
            let month = match self.below(5) {
                0 => self.entries(1, 12),
                _ => "*".to_owned(),
            };
            let line = format!("{} {} {month} {}", self.time(), self.month_day(), self.weekday());
            if (dialect == Dialect::Full || is_for_croner(&line)) && Schedule::parse(&line, None).is_ok() {
                lines.insert(line);
            }
        }
        // In an order in which neighbours have nothing in common.
        let mut lines: Vec<String> = lines.into_iter().collect();
        for end in (1..lines.len()).rev() {
            lines.swap(end, self.below(end + 1));
        }
        lines
    }
}

#[test]
fn lines_are_repeated_by_their_seed_and_hold_every_kind_of_entry() {
    let lines = Dice(3).lines(Dialect::Full, 240);
    assert_eq!(lines, Dice(3).lines(Dialect::Full, 240));
    assert_ne!(lines, Dice(4).lines(Dialect::Full, 240));
    let held =
        |what: &dyn Fn(&[&str]) -> bool| lines.iter().filter(|line| what(&line.split(' ').collect::<Vec<_>>())).count();
    for (kind, found) in [
        ("fixed times", held(&|fields| !fields[..2].iter().any(|field| field.contains(['*', '/'])))),
        ("other times", held(&|fields| fields[..2].iter().any(|field| field.contains(['*', '/'])))),
        ("the last day", held(&|fields| fields[2].contains('L'))),
        ("the last weekday", held(&|fields| fields[4].contains('L'))),
        ("the nth weekday", held(&|fields| fields[4].contains('#'))),
        ("either day", held(&|fields| !fields[2].starts_with('*') && !fields[4].starts_with('*'))),
        ("both days", held(&|fields| fields[2].starts_with("*/") && fields[4] != "*")),
        ("lists", held(&|fields| fields.iter().any(|field| field.contains(',')))),
        ("ranges", held(&|fields| fields.iter().any(|field| field.contains('-')))),
        ("months", held(&|fields| fields[3] != "*")),
    ] {
        assert!(found >= 10, "{found} lines hold {kind}");
    }
}
