//! What sessions cost.
//!
//! All of it is counted in whole numbers: money in millionths of the currency's unit, time in milliseconds, rates in bit/s. A line of
//! a bill is worked out exactly and then rounded to the nearest millionth, halves up; the sum is the sum of its lines.

use std::fmt;
use std::time::{Duration, SystemTime};

use serde::{Deserialize, Serialize};
use svpn_contract::wire::Class;

use crate::admission::Interval;
use crate::agreement::hours::pieces;
use crate::agreement::{Hours, Rates, UtcOffset};
use crate::durable::Period;

const MILLION: u128 = 1_000_000;
const PER_HOUR: u128 = 3_600_000;
const PERCENT: u128 = 100;
const GIGABYTE: u128 = 1_000_000_000;

/// Money: millionths of the currency's unit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize)]
pub struct Micros(pub u64);

impl fmt::Display for Micros {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{:06}", self.0 / 1_000_000, self.0 % 1_000_000)
    }
}

/// What a contract pays.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PricePlan {
    /// Its name.
    pub name: String,
    /// The currency, `EUR`.
    pub currency: String,
    /// For each session that is established, once.
    pub set_up: Micros,
    /// For classes that are not named.
    pub other_classes: ClassPrice,
    /// For some classes.
    pub classes: Vec<(Class, ClassPrice)>,
    /// At which hours bandwidth costs more or less; of several the first counts.
    pub times: Vec<TimeOfDay>,
    /// Where the hours are.
    pub offset: UtcOffset,
}

/// What a class costs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct ClassPrice {
    /// For 1 Mbit/s, reserved one way for an hour.
    pub megabit_hour: Micros,
    /// For 10^9 bytes carried.
    pub gigabyte: Micros,
}

/// Hours at which bandwidth has another price.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TimeOfDay {
    /// When.
    pub hours: Hours,
    /// How much of the price, in per cent.
    pub percent: u32,
}

/// Bytes a session carried.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Carried {
    /// From the caller to the callee.
    pub from_caller: u64,
    /// From the callee to the caller.
    pub from_callee: u64,
}

impl Carried {
    /// Both ways.
    pub fn bytes(self) -> u64 {
        self.from_caller.saturating_add(self.from_callee)
    }
}

/// What a session costs, and how that comes about.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Bill {
    /// The price plan.
    pub plan: String,
    /// The currency.
    pub currency: String,
    /// The sum of the lines.
    pub total: Micros,
    /// What it is the sum of.
    pub lines: Vec<Line>,
}

/// A line of a bill.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Line {
    /// What it is for.
    pub item: BillItem,
    /// What one of it costs.
    pub price: Micros,
    /// What it comes to.
    pub amount: Micros,
}

/// What a line of a bill is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum BillItem {
    /// The session was established.
    SetUp,
    /// Bandwidth was reserved; the price is that of 1 Mbit/s for an hour.
    Reserved {
        /// Of this class, 0 to 7.
        class: u8,
        /// At so much of the price.
        percent: u32,
        /// Rate times time, both ways: thousandths of a bit.
        millibits: u128,
    },
    /// Bytes were carried; the price is that of 10^9.
    Carried {
        /// In this class.
        class: u8,
        /// So many.
        bytes: u64,
    },
}

impl PricePlan {
    fn class(&self, class: u8) -> ClassPrice {
        self.classes.iter().find(|(known, _)| known.get() == class).map_or(self.other_classes, |(_, price)| *price)
    }

    /// What a session costs that had these terms, one after the other, until it ended, and carried so much.
    pub fn bill(&self, periods: &[Period], ended: SystemTime, carried: Carried) -> Bill {
        let mut lines = Vec::new();
        let Some(last) = periods.last() else { return self.sum(lines) };
        lines.push(Line { item: BillItem::SetUp, price: self.set_up, amount: self.set_up });
        // Reserved: class, per cent, and how much of it.
        let mut reserved: Vec<(u8, u32, u128)> = Vec::new();
        for (index, period) in periods.iter().enumerate() {
            let until = periods.get(index + 1).map_or(ended, |next| next.since);
            let rate = u128::from(period.from_caller.0) + u128::from(period.from_callee.0);
            for (length, percent) in self.stretches(period.since, until) {
                let millibits = rate * length.as_millis();
                match reserved.iter_mut().find(|(class, at, _)| (*class, *at) == (period.class, percent)) {
                    Some((_, _, sum)) => *sum += millibits,
                    None => reserved.push((period.class, percent, millibits)),
                }
            }
        }
        for (class, percent, millibits) in reserved {
            let price = self.class(class).megabit_hour;
            let amount = rounded(millibits * u128::from(price.0) * u128::from(percent), MILLION * PER_HOUR * PERCENT);
            lines.push(Line { item: BillItem::Reserved { class, percent, millibits }, price, amount });
        }
        let (class, bytes) = (last.class, carried.bytes());
        let price = self.class(class).gigabyte;
        let amount = rounded(u128::from(bytes) * u128::from(price.0), GIGABYTE);
        lines.push(Line { item: BillItem::Carried { class, bytes }, price, amount });
        self.sum(lines)
    }

    fn sum(&self, lines: Vec<Line>) -> Bill {
        let total = lines.iter().fold(0_u64, |sum, line| sum.saturating_add(line.amount.0));
        Bill { plan: self.name.clone(), currency: self.currency.clone(), total: Micros(total), lines }
    }

    /// A stretch of time in pieces of one price each, in per cent.
    fn stretches(&self, from: SystemTime, until: SystemTime) -> Vec<(Duration, u32)> {
        let hours: Vec<_> = self.times.iter().map(|time| time.hours).collect();
        let percent = |within: Option<usize>| within.map_or(100, |index| self.times[index].percent);
        pieces(self.offset, &hours, from, until).into_iter().map(|(length, within)| (length, percent(within))).collect()
    }

    /// What a session will cost, before anything is carried, as `a=svpn-cost` says it: all of it where its end is known, else what an
    /// hour costs at the full price; and what it will cost to carry.
    pub fn anticipated(&self, class: Class, rates: Rates, interval: Interval) -> String {
        let period = |since| {
            let Rates { from_caller, from_callee } = rates;
            Period { since, class: class.get(), from_caller, from_callee }
        };
        let price = self.class(class.get());
        let currency = &self.currency;
        let reserved = if let Some(stop) = interval.stop() {
            format!("{} {currency}", self.bill(&[period(interval.start())], stop, Carried::default()).total)
        } else {
            let both = u128::from(rates.from_caller.0) + u128::from(rates.from_callee.0);
            let hour = rounded(both * u128::from(price.megabit_hour.0), MILLION);
            format!("{} {currency} and {hour} {currency} an hour", self.set_up)
        };
        match price.gigabyte {
            Micros(0) => reserved,
            gigabyte => format!("{reserved} and {gigabyte} {currency} per GB"),
        }
    }
}

/// To the nearest, halves up.
fn rounded(amount: u128, divisor: u128) -> Micros {
    Micros(u64::try_from((amount + divisor / 2) / divisor).unwrap_or(u64::MAX))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::agreement::Days;
    use crate::request::BitRate;
    use crate::testing::{MEGA, at, class};

    fn plan() -> PricePlan {
        // 01:46:40 on a Sunday is where the tests' time begins: from two o'clock on it is half.
        let night = TimeOfDay { hours: Hours::new(Days::ALL, 120, 360).unwrap(), percent: 50 };
        PricePlan {
            name: "standard".into(),
            currency: "EUR".into(),
            set_up: Micros(500_000),
            other_classes: ClassPrice { megabit_hour: Micros(10_000), gigabyte: Micros(20_000) },
            classes: vec![(class(0), ClassPrice { megabit_hour: Micros(1_000), gigabyte: Micros(0) })],
            times: vec![night],
            offset: UtcOffset(0),
        }
    }

    fn period(since: u64, class: u8, rate: u64) -> Period {
        Period { since: at(since), class, from_caller: BitRate(rate), from_callee: BitRate(0) }
    }

    #[test]
    fn every_line_says_how_it_comes_about() {
        // 800 s at the full price and 2800 s at half of it, at 9 Mbit/s; then 3600 s of class 0 at 1 Mbit/s, also at half.
        let periods = [period(0, 5, 9 * MEGA), period(3600, 0, MEGA)];
        let bill = plan().bill(&periods, at(7200), Carried { from_caller: 1_500_000_000, from_callee: 500_000_000 });
        let reserved = |class, percent, millibits, price, amount| Line {
            item: BillItem::Reserved { class, percent, millibits },
            price: Micros(price),
            amount: Micros(amount),
        };
        let mega = u128::from(MEGA);
        let lines = vec![
            Line { item: BillItem::SetUp, price: Micros(500_000), amount: Micros(500_000) },
            reserved(5, 100, 9 * mega * 800_000, 10_000, 20_000),
            reserved(5, 50, 9 * mega * 2_800_000, 10_000, 35_000),
            reserved(0, 50, mega * 3_600_000, 1_000, 500),
            Line { item: BillItem::Carried { class: 0, bytes: 2_000_000_000 }, price: Micros(0), amount: Micros(0) },
        ];
        assert_eq!(bill, Bill { plan: "standard".into(), currency: "EUR".into(), total: Micros(555_500), lines });
        assert_eq!(plan().bill(&[], at(1), Carried::default()).total, Micros(0), "what was never established costs nothing");
    }

    #[test]
    fn the_cost_is_told_before() {
        let rates = Rates { from_caller: BitRate(2 * MEGA), from_callee: BitRate(MEGA) };
        let interval = |stop| Interval::new(at(0), stop).unwrap();
        assert_eq!(plan().anticipated(class(5), rates, interval(Some(at(800)))), "0.506667 EUR and 0.020000 EUR per GB");
        assert_eq!(plan().anticipated(class(5), rates, interval(None)), "0.500000 EUR and 0.030000 EUR an hour and 0.020000 EUR per GB");
        assert_eq!(plan().anticipated(class(0), rates, interval(None)), "0.500000 EUR and 0.003000 EUR an hour");
    }

    proptest! {
        #[test]
        fn a_stretch_costs_what_its_parts_cost(cut in 1..100_000_u64, rest in 1..100_000_u64, rate in 0..400_000_000_000_u64) {
            let whole = plan().bill(&[period(0, 5, rate)], at(cut + rest), Carried::default());
            let parts = plan().bill(&[period(0, 5, rate), period(cut, 5, rate)], at(cut + rest), Carried::default());
            prop_assert_eq!(&whole, &parts);
            let total: u64 = whole.lines.iter().map(|line| line.amount.0).sum();
            prop_assert_eq!(whole.total.0, total);
        }
    }
}
