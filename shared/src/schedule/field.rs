//! The grammar of one crontab field: `*`, numbers, names, ranges, steps, `H`, counted days, and lists of them.
//!
//! Every field is read here although the `cron` crate could read most of them: the crate counts weekdays
//! differently, accepts forms crontab does not know, and cannot tell people which column is wrong.
//! What a field means for dates is left to [`super::line`].

use std::fmt;

use super::ScheduleError;
use super::counted::CountedDay;
use super::spread::Places;

const MONTHS: [&str; 12] = ["JAN", "FEB", "MAR", "APR", "MAY", "JUN", "JUL", "AUG", "SEP", "OCT", "NOV", "DEC"];
const WEEKDAYS: [&str; 7] = ["SUN", "MON", "TUE", "WED", "THU", "FRI", "SAT"];

/// One of the five fields of a crontab line, in the order in which they are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CronField {
    /// 0 to 59.
    Minute,
    /// 0 to 23.
    Hour,
    /// 1 to 31.
    DayOfMonth,
    /// 1 to 12, or JAN to DEC.
    Month,
    /// 0 to 7 where both 0 and 7 are Sunday, or SUN to SAT.
    DayOfWeek,
}

impl CronField {
    /// The smallest value the field takes.
    fn low(self) -> u8 {
        match self {
            Self::Minute | Self::Hour | Self::DayOfWeek => 0,
            Self::DayOfMonth | Self::Month => 1,
        }
    }

    /// The largest value the field takes.
    fn high(self) -> u8 {
        match self {
            Self::Minute => 59,
            Self::Hour => 23,
            Self::DayOfMonth => 31,
            Self::Month => 12,
            Self::DayOfWeek => 7,
        }
    }

    /// The range in which an `H` of the field falls; every month has the days 1 to 28.
    fn spread(self) -> (u8, u8) {
        match self {
            Self::DayOfMonth => (1, 28),
            Self::DayOfWeek => (0, 6),
            Self::Minute | Self::Hour | Self::Month => (self.low(), self.high()),
        }
    }

    /// The names the field takes; the first stands for [`CronField::low`].
    fn names(self) -> &'static [&'static str] {
        match self {
            Self::Minute | Self::Hour | Self::DayOfMonth => &[],
            Self::Month => &MONTHS,
            Self::DayOfWeek => &WEEKDAYS,
        }
    }
}

impl fmt::Display for CronField {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Minute => "minute",
            Self::Hour => "hour",
            Self::DayOfMonth => "day-of-month",
            Self::Month => "month",
            Self::DayOfWeek => "day-of-week",
        })
    }
}

/// The values of one field, and how they were written where that changes their meaning.
#[derive(Debug, Clone)]
pub(super) struct Values {
    field: CronField,
    items: Vec<Item>,
    /// Bit n is set when n is a value; Sunday is bit 0 only.
    set: u64,
    /// Days whose numbers differ from month to month, each once.
    counted: Vec<CountedDay>,
    /// It begins with a `*`.
    leads_with_star: bool,
    /// There is an `H` in it.
    spreads: bool,
}

/// One entry of a field's list: a value, a range, or all values, the last two perhaps with a step.
#[derive(Debug, Clone, Copy)]
struct Item {
    first: u8,
    last: u8,
    step: Option<u8>,
    star: bool,
}

impl Values {
    /// Reads one field. `column` is where `text` begins in the line, counted from 1; `places` is where an `H` falls.
    pub(super) fn parse(field: CronField, text: &str, column: usize, places: Places) -> Result<Self, ScheduleError> {
        let (mut items, mut counted) = (Vec::new(), Vec::new());
        let mut item_column = column;
        for item in text.split(',') {
            let read = match CountedDay::parse(field, item) {
                Some(day) => day.map(|day| counted.push(day)),
                None => Item::parse(field, item, places).map(|item| items.push(item)),
            };
            read.map_err(|reason| ScheduleError::BadField {
                field,
                text: text.to_owned(),
                column: item_column,
                reason,
            })?;
            item_column += item.chars().count() + 1;
        }
        counted.sort_unstable();
        counted.dedup();
        let set = items.iter().flat_map(|item| item.values()).fold(0, |set, value| set | 1 << value);
        let set = match field {
            CronField::DayOfWeek => (set | set >> 7) & 0b111_1111,
            CronField::Minute | CronField::Hour | CronField::DayOfMonth | CronField::Month => set,
        };
        let spreads = text.split(',').any(|item| spread_of(item).is_some());
        Ok(Self { field, items, set, counted, leads_with_star: text.starts_with('*'), spreads })
    }

    /// True when an `H` stands in the field.
    pub(super) fn spreads(&self) -> bool {
        self.spreads
    }

    /// True when the field holds every value it can, however that was written.
    pub(super) fn is_all(&self) -> bool {
        let count = match self.field {
            CronField::DayOfWeek => 7,
            field => u32::from(field.high() - field.low()) + 1,
        };
        self.set.count_ones() == count
    }

    /// True when the field begins with `*`; such a day field narrows the other one instead of adding to it.
    pub(super) fn leads_with_star(&self) -> bool {
        self.leads_with_star
    }

    /// True when the field says «every» rather than «at»: it has a `*` or a step somewhere.
    pub(super) fn is_elapsed(&self) -> bool {
        self.items.iter().any(|item| item.star || item.step.is_some())
    }

    /// Returns the days of the field that are counted within their month, in the order in which people read them.
    pub(super) fn counted(&self) -> &[CountedDay] {
        &self.counted
    }

    /// True when the field names `value`, which of a weekday is 0 for Sunday.
    pub(super) fn has(&self, value: u32) -> bool {
        self.set & 1 << value != 0
    }

    /// Returns the values in ascending order; Sunday is 0. Counted days are not among them.
    pub(super) fn iter(&self) -> impl Iterator<Item = u8> + use<> {
        let set = self.set;
        (0..=59).filter(move |value| set & 1 << value != 0)
    }

    /// Returns the field in the `cron` crate's words, which has none for counted days.
    ///
    /// The crate counts weekdays from 1 = Sunday and knows no 0, so weekdays go to it by name.
    pub(super) fn to_crate(&self) -> String {
        if self.is_all() {
            return "*".to_owned();
        }
        let words: Vec<String> = match self.field {
            CronField::DayOfWeek => self.iter().map(|day| WEEKDAYS[usize::from(day)].to_owned()).collect(),
            CronField::Minute | CronField::Hour | CronField::DayOfMonth | CronField::Month => {
                self.items.iter().map(ToString::to_string).collect()
            }
        };
        words.join(",")
    }
}

impl Item {
    /// Reads one entry; the error is the reason, in words.
    fn parse(field: CronField, text: &str, places: Places) -> Result<Self, String> {
        if let Some(rest) = spread_of(text) {
            return Self::parse_spread(field, rest, places);
        }
        if let Some(reason) = not_supported(text) {
            return Err(reason);
        }
        let (range, step) = match text.split_once('/') {
            Some((range, step)) => (range, Some(parse_step(field, step)?)),
            None => (text, None),
        };
        if range == "*" {
            return Ok(Self { first: field.low(), last: field.high(), step, star: true });
        }
        let Some((from, to)) = range.split_once('-') else {
            let value = parse_value(field, range)?;
            return match step {
                None => Ok(Self::plain(value, value, None)),
                Some(step) => {
                    Err(format!("a step needs * or a range, such as {range}-{high}/{step}", high = field.high()))
                }
            };
        };
        let first = parse_value(field, from)?;
        let last = match parse_value(field, to)? {
            // FRI-SUN means what it says: as the end of a range, SUN is 7.
            0 if field == CronField::DayOfWeek && to.eq_ignore_ascii_case("SUN") && first > 0 => 7,
            last => last,
        };
        if first > last {
            return Err(format!(
                "the range {range} runs backwards, write it as two: {from}-{high},{low}-{to}",
                high = field.high(),
                low = field.low()
            ));
        }
        Ok(Self::plain(first, last, step))
    }

    /// Reads what stands behind an `H`: nothing, a range in brackets, a step, or both.
    fn parse_spread(field: CronField, text: &str, places: Places) -> Result<Self, String> {
        let (low, high) = field.spread();
        let (first, last, rest) = match text.strip_prefix('(') {
            None => (low, high, text),
            Some(inner) => {
                let (range, rest) = inner.split_once(')').ok_or("the bracket behind H is not closed")?;
                let (from, to) = range.split_once('-').ok_or("H takes a range in its brackets, such as H(0-29)")?;
                (parse_value(field, from)?, parse_value(field, to)?, rest)
            }
        };
        if first > last {
            return Err(format!("the range {first}-{last} behind H runs backwards"));
        }
        if last > high && field == CronField::DayOfMonth {
            return Err(format!("H reaches up to day {high}, the last that every month has"));
        }
        // Sunday has two numbers but one place.
        let last = if field == CronField::DayOfWeek && (first, last) == (0, 7) { 6 } else { last };
        let width = last - first + 1;
        let step = match rest.strip_prefix('/') {
            Some(step) => Some(parse_step(field, step)?),
            None if rest.is_empty() => None,
            None => return Err("H stands alone, or as H(0-29), H/15 or H(0-29)/15".to_owned()),
        };
        if let Some(step) = step.filter(|step| *step > width) {
            return Err(format!("the step {step} is larger than the range {first}-{last}"));
        }
        let place = places.within(field, step.unwrap_or(width)).ok_or("H needs a test, whose id decides its place")?;
        Ok(match step {
            None => Self::plain(first + place, first + place, None),
            Some(step) => Self::plain(first + place, last, Some(step)),
        })
    }

    fn plain(first: u8, last: u8, step: Option<u8>) -> Self {
        Self { first, last, step, star: false }
    }

    fn values(self) -> impl Iterator<Item = u8> {
        (self.first..=self.last).step_by(usize::from(self.step.unwrap_or(1)))
    }
}

impl fmt::Display for Item {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.first == self.last, self.step) {
            (true, _) => write!(f, "{}", self.first),
            (false, None) => write!(f, "{}-{}", self.first, self.last),
            (false, Some(step)) => write!(f, "{}-{}/{step}", self.first, self.last),
        }
    }
}

/// Reads a number or a name of the field; the error is the reason, in words.
pub(super) fn parse_value(field: CronField, text: &str) -> Result<u8, String> {
    let (low, high) = (field.low(), field.high());
    if text.is_empty() {
        return Err("a value is missing".to_owned());
    }
    if is_number(text) {
        return parse_between(text, low, high).ok_or_else(|| format!("{text} is not between {low} and {high}"));
    }
    let names = field.names();
    (low..).zip(names).find(|(_, name)| name.eq_ignore_ascii_case(text)).map(|(value, _)| value).ok_or_else(|| {
        match names {
            [first, .., last] => {
                format!("{text:?} is neither a number nor one of the names {first} to {last}")
            }
            _ => format!("{text:?} is not a number"),
        }
    })
}

fn parse_step(field: CronField, text: &str) -> Result<u8, String> {
    if text.is_empty() {
        return Err("the step is missing".to_owned());
    }
    if !is_number(text) {
        return Err(format!("the step {text:?} is not a number"));
    }
    // A larger step would silently mean «only the first value», never what `*/90` was meant to say.
    let high = field.high();
    parse_between(text, 1, high).ok_or_else(|| format!("the step {text} is not between 1 and {high}"))
}

fn parse_between(digits: &str, low: u8, high: u8) -> Option<u8> {
    let number = digits.parse().ok()?;
    (low..=high).contains(&number).then_some(number)
}

/// True for digits only, where `parse` would also accept «+5».
pub(super) fn is_number(text: &str) -> bool {
    text.bytes().all(|byte| byte.is_ascii_digit())
}

/// Returns what stands behind the `H` of an entry; `None` where it has none. No name begins with that letter.
fn spread_of(item: &str) -> Option<&str> {
    item.strip_prefix(['H', 'h'])
}

/// Names the extensions of other crons, so that people do not hunt for a typing error.
fn not_supported(item: &str) -> Option<String> {
    if item.contains('?') {
        return Some("? is not supported, write *".to_owned());
    }
    let day = item.strip_suffix(['W', 'w'])?;
    (is_number(day) || day.eq_ignore_ascii_case("L")).then(|| "W is not supported".to_owned())
}
