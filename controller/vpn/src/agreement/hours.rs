//! Hours of the day and days of the week, at a fixed offset from UTC.

use std::fmt;
use std::time::{Duration, SystemTime};

use jiff::tz::Offset;
use jiff::{Timestamp, civil};

const DAY: u64 = 86_400;

/// Some days of the week.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Days(u8);

impl Days {
    /// Every day.
    pub const ALL: Self = Self(0x7f);

    /// None of them, to begin with.
    pub const NONE: Self = Self(0);

    /// These and one more: 0 is Monday, 6 Sunday; what is beyond counts on.
    #[must_use]
    pub const fn with(self, day: u8) -> Self {
        Self(self.0 | 1 << (day % 7))
    }

    fn has(self, day: u8) -> bool {
        self.0 >> day & 1 == 1
    }
}

/// The same stretch of some days, in minutes after midnight: from the first up to but without the second.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Hours {
    days: Days,
    from: u16,
    until: u16,
}

/// Hours that end before they begin, or beyond midnight.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("hours run from 00:00 to 24:00, the end after the beginning")]
pub struct NoHours;

impl Hours {
    /// A stretch of some days, in minutes after midnight.
    ///
    /// # Errors
    /// [`NoHours`] when the end is not after the beginning, or after midnight.
    pub const fn new(days: Days, from: u16, until: u16) -> Result<Self, NoHours> {
        if from < until && until <= 24 * 60 { Ok(Self { days, from, until }) } else { Err(NoHours) }
    }
}

/// How far local time is ahead of UTC, in minutes; negative to the west.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct UtcOffset(pub i16);

/// A day in local time.
struct Day {
    /// Its first instant.
    start: SystemTime,
    /// 0 is Monday.
    of_week: u8,
}

impl UtcOffset {
    /// The day that has an instant; `None` beyond the years 0 to 9999.
    fn day(self, instant: SystemTime) -> Option<Day> {
        let offset = Offset::from_seconds(i32::from(self.0) * 60).ok()?;
        let local = offset.to_datetime(Timestamp::try_from(instant).ok()?);
        let midnight = offset.to_timestamp(civil::DateTime::from_parts(local.date(), civil::Time::midnight())).ok()?;
        let of_week = u8::try_from(local.weekday().to_monday_zero_offset()).unwrap_or(0);
        Some(Day { start: midnight.into(), of_week })
    }

    /// The month that has an instant: year × 12 + month − 1; 0 beyond reckoning.
    pub fn month(self, instant: SystemTime) -> u32 {
        let local = Offset::from_seconds(i32::from(self.0) * 60).ok().zip(Timestamp::try_from(instant).ok());
        local.map_or(0, |(offset, instant)| {
            let date = offset.to_datetime(instant).date();
            u32::try_from(i32::from(date.year()) * 12 + i32::from(date.month()) - 1).unwrap_or(0)
        })
    }
}

/// Stretches of the week; none at all = always.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Schedule {
    /// Where local time is.
    pub offset: UtcOffset,
    /// The stretches.
    pub hours: Vec<Hours>,
}

impl Schedule {
    /// Whether it has an instant.
    pub fn covers(&self, instant: SystemTime) -> bool {
        self.hours.is_empty() || self.covered_until(instant).is_some()
    }

    /// The first instant of a stretch of time that it has not.
    pub fn gap(&self, from: SystemTime, until: SystemTime) -> Option<SystemTime> {
        let mut here = from;
        while !self.hours.is_empty() && here < until {
            match self.covered_until(here) {
                Some(end) => here = end,
                None => return Some(here),
            }
        }
        None
    }

    /// The end of the hours that have an instant.
    fn covered_until(&self, instant: SystemTime) -> Option<SystemTime> {
        let day = self.offset.day(instant)?;
        let ends = self.hours.iter().filter_map(|hours| {
            let (start, end) = hours.on(&day)?;
            (start <= instant && instant < end).then_some(end)
        });
        ends.max()
    }
}

/// `mon tue 08:00-17:30`, as contracts say it.
impl fmt::Display for Hours {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let days = (0..).zip(["mon", "tue", "wed", "thu", "fri", "sat", "sun"]).filter(|(day, _)| self.days.has(*day));
        for (_, name) in days {
            write!(f, "{name} ")?;
        }
        let [from, until] = [self.from, self.until].map(|minute| (minute / 60, minute % 60));
        write!(f, "{:02}:{:02}-{:02}:{:02}", from.0, from.1, until.0, until.1)
    }
}

impl Hours {
    fn on(self, day: &Day) -> Option<(SystemTime, SystemTime)> {
        let at = |minute: u16| day.start + Duration::from_secs(u64::from(minute) * 60);
        self.days.has(day.of_week).then(|| (at(self.from), at(self.until)))
    }
}

/// Cuts a stretch of time where any of some hours begin or end: each piece with the first of them that has it.
pub(crate) fn pieces(offset: UtcOffset, hours: &[Hours], from: SystemTime, until: SystemTime) -> Vec<(Duration, Option<usize>)> {
    let mut pieces = Vec::new();
    let mut here = from;
    while here < until {
        let Some(day) = offset.day(here) else { break };
        let tomorrow = day.start + Duration::from_secs(DAY);
        let todays: Vec<_> = hours.iter().enumerate().filter_map(|(index, hours)| Some((index, hours.on(&day)?))).collect();
        let within = todays.iter().find(|(_, (start, end))| *start <= here && here < *end).map(|(index, _)| *index);
        let cuts = todays.iter().flat_map(|(_, (start, end))| [*start, *end]).filter(|cut| *cut > here);
        let end = cuts.chain([tomorrow, until]).min().unwrap_or(until);
        // From here on by how much: both are later than `from`.
        pieces.push((end.duration_since(here).unwrap_or_default(), within));
        here = end;
    }
    pieces
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// 2001-09-09 was a Sunday; 01:46:40 UTC.
    fn sunday(hour: u64) -> SystemTime {
        crate::testing::at(0) - Duration::from_secs(6400) + Duration::from_secs(hour * 3600)
    }

    fn weekdays() -> Days {
        (0..5).fold(Days::NONE, Days::with)
    }

    #[test]
    fn hours_are_local() {
        let office = |offset| Schedule { offset: UtcOffset(offset), hours: vec![Hours::new(weekdays(), 8 * 60, 17 * 60).unwrap()] };
        assert!(!office(0).covers(sunday(10)));
        assert!(office(0).covers(sunday(24 + 8)) && !office(0).covers(sunday(24 + 17)));
        // In the east it is Monday already, and eight.
        assert!(office(9 * 60).covers(sunday(23)) && !office(9 * 60).covers(sunday(24 + 8)));
        assert_eq!(office(0).gap(sunday(24 + 9), sunday(24 + 17)), None);
        assert_eq!(office(0).gap(sunday(24 + 9), sunday(24 + 18)), Some(sunday(24 + 17)));
        assert_eq!(Schedule::default().gap(sunday(0), sunday(10_000)), None);
        let always = Schedule { offset: UtcOffset(0), hours: vec![Hours::new(Days::ALL, 0, 1440).unwrap()] };
        assert_eq!(always.gap(sunday(3), sunday(1000)), None, "midnight is no gap");
        assert_eq!((UtcOffset(0).month(sunday(0)), UtcOffset(-60).month(sunday(22 * 24))), (2001 * 12 + 8, 2001 * 12 + 8));
        assert_eq!(UtcOffset(0).month(sunday(22 * 24)), 2001 * 12 + 9);
        assert_eq!(Hours::new(weekdays(), 8 * 60, 17 * 60 + 5).unwrap().to_string(), "mon tue wed thu fri 08:00-17:05");
        assert_eq!(Hours::new(Days::ALL, 60, 60), Err(NoHours));
        assert_eq!(Hours::new(Days::ALL, 60, 1441), Err(NoHours));
    }

    proptest! {
        #[test]
        fn pieces_make_up_the_whole(from in 0..400_u64, length in 0..400_u64, minutes in prop::collection::vec((0..1440_u16, 1..1440_u16, 0..7_u8), 0..4), offset in -720..720_i16) {
            let hours: Vec<_> = minutes.iter().filter_map(|&(from, length, day)| {
                Hours::new(Days::NONE.with(day).with(day + 1), from, (from + length).min(1440)).ok()
            }).collect();
            let (start, stop) = (sunday(from), sunday(from + length));
            let pieces = pieces(UtcOffset(offset), &hours, start, stop);
            let mut here = start;
            for (length, within) in pieces {
                let middle = here + length / 2;
                let day = UtcOffset(offset).day(middle).unwrap();
                let first = hours.iter().position(|hours| hours.on(&day).is_some_and(|(start, end)| start <= middle && middle < end));
                prop_assert_eq!(within, first);
                here += length;
            }
            prop_assert_eq!(here, stop.max(start));
        }
    }
}
