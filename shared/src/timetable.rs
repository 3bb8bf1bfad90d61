//! When the tests of a namespace run by themselves, over some days: who runs when, and where many begin at once.

use chrono::{DateTime, Duration, DurationRound, Timelike, Utc};
use serde::{Deserialize, Serialize};

use crate::error::Invalid;
use crate::ids::TestId;
use crate::schedule::Schedule;

/// The longest time that is told at once, in days.
pub const MOST_DAYS: i64 = 8;
/// How far from now it may be, in days.
const FAR: i64 = 366;
/// How many instants of a test are told one by one.
pub const MOST_INSTANTS: usize = 100;
/// How many instants are counted for one answer: where there are more, the page ends with the test that they were reached in.
pub const MOST_COUNTED: usize = 100_000;

/// From when to when.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Days {
    /// The beginning of an hour.
    pub from: DateTime<Utc>,
    /// Not beyond this.
    pub to: DateTime<Utc>,
}

impl Days {
    /// Reads what was asked for: seven days from now on unless it is said.
    ///
    /// # Errors
    /// It is far from now, ends before it begins, or is longer than is told at once.
    pub fn of(from: Option<DateTime<Utc>>, to: Option<DateTime<Utc>>, now: DateTime<Utc>) -> Result<Self, Invalid> {
        let from = from.unwrap_or(now);
        let from = from.duration_trunc(Duration::hours(1)).unwrap_or(from);
        let to = match to {
            Some(to) => to,
            None => from.checked_add_signed(Duration::days(7)).unwrap_or(from),
        };
        if (from - now).abs() > Duration::days(FAR) {
            return Err(Invalid::one("from", format!("it is more than {FAR} days from now")));
        }
        if to <= from {
            return Err(Invalid::one("to", "it must be after from"));
        }
        if to - from > Duration::days(MOST_DAYS) {
            return Err(Invalid::one("to", format!("it is more than {MOST_DAYS} days after from")));
        }
        Ok(Self { from, to })
    }

    fn hours(self) -> usize {
        let millis = (self.to - self.from).num_milliseconds();
        usize::try_from(millis.div_euclid(3_600_000) + i64::from(millis % 3_600_000 > 0)).unwrap_or_default()
    }
}

/// A test that runs by itself.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct TimetableTest {
    /// The test.
    pub test_id: TestId,
    /// Its name.
    pub name: String,
    /// Its line.
    pub cron_schedule: String,
    /// The same in words.
    pub description: String,
    /// The time zone it is read in.
    pub time_zone: String,
    /// The schedule makes no runs while the test is paused; the instants are those that it would have.
    pub paused: bool,
    /// How many instants it has in this time.
    pub count: u64,
    /// The first of them, at most 100.
    pub instants: Vec<DateTime<Utc>>,
}

/// When the tests of a namespace run by themselves.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Timetable {
    /// From when on it is told: the beginning of an hour.
    pub from: DateTime<Utc>,
    /// Until when, exclusively.
    pub to: DateTime<Utc>,
    /// The tests with a schedule, by their names.
    pub items: Vec<TimetableTest>,
    /// How many instants of these tests lie in each hour; those that are paused left out.
    pub by_hour: Vec<u64>,
    /// How many lie in each minute of any hour, from 0 to 59: where many begin at once.
    pub by_minute: Vec<u64>,
    /// What to ask for to read on; absent at the end. Counts of pages add up.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next_page_token: Option<String>,
}

impl Timetable {
    /// Begins one.
    pub fn new(days: Days) -> Self {
        Self {
            from: days.from,
            to: days.to,
            items: Vec::new(),
            by_hour: vec![0; days.hours()],
            by_minute: vec![0; 60],
            next_page_token: None,
        }
    }

    /// Adds a test; returns how many instants were counted.
    pub fn add(&mut self, test: (TestId, &str), schedule: &Schedule, paused: bool) -> usize {
        let (mut count, mut instants) = (0, Vec::new());
        let mut before = self.from - Duration::milliseconds(1);
        while let Some(at) = schedule.next_after(before).filter(|at| *at < self.to) {
            if instants.len() < MOST_INSTANTS {
                instants.push(at);
            }
            if !paused {
                let hour = usize::try_from((at - self.from).num_hours()).unwrap_or_default();
                self.by_hour.get_mut(hour).into_iter().for_each(|sum| *sum += 1);
                self.by_minute.get_mut(at.minute() as usize).into_iter().for_each(|sum| *sum += 1);
            }
            (count, before) = (count + 1, at);
        }
        self.items.push(TimetableTest {
            test_id: test.0,
            name: test.1.to_owned(),
            cron_schedule: schedule.spec().to_owned(),
            description: schedule.describe(),
            time_zone: schedule.time_zone().to_string(),
            paused,
            count: count as u64,
            instants,
        });
        count
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> DateTime<Utc> {
        text.parse().unwrap()
    }

    #[test]
    fn a_week_is_told_by_test_by_hour_and_by_minute() {
        let now = at("2026-01-01T00:00:00Z");
        let days = Days::of(Some(at("2026-03-02T10:20:00Z")), Some(at("2026-03-03T10:20:00Z")), now).unwrap();
        assert_eq!(days.from, at("2026-03-02T10:00:00Z"));
        let mut table = Timetable::new(days);
        assert_eq!((table.by_hour.len(), table.by_minute.len()), (25, 60));
        let id = TestId(uuid::Uuid::nil());
        let hourly = Schedule::parse("0 * * * *", None).unwrap();
        assert_eq!(table.add((id, "a"), &hourly, false), 25);
        assert_eq!(table.add((id, "b"), &Schedule::parse("*/5 * * * *", None).unwrap(), true), 292);
        assert_eq!(table.items[0].instants.first(), Some(&days.from));
        assert_eq!((table.items[1].count, table.items[1].instants.len()), (292, MOST_INSTANTS));
        assert_eq!(table.by_hour, vec![1; 25]);
        assert_eq!((table.by_minute[0], table.by_minute[5]), (25, 0));
    }

    #[test]
    fn what_cannot_be_told_names_its_field() {
        let now = at("2026-03-02T10:20:00Z");
        let week = Days::of(None, None, now).unwrap();
        assert_eq!(week.to - week.from, Duration::days(7));
        for to in ["2026-03-02T09:00:00Z", "2026-03-20T00:00:00Z"] {
            assert_eq!(Days::of(None, Some(at(to)), now).unwrap_err().errors[0].pointer, "to", "{to}");
        }
        assert!(Days::of(Some(DateTime::<Utc>::MAX_UTC), None, now).is_err());
        assert!(Days::of(Some(DateTime::<Utc>::MIN_UTC), Some(now), now).is_err());
    }
}
