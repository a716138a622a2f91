//! How much of a month's quota is used.

use std::time::SystemTime;

use super::{Rates, UtcOffset};
use crate::admission::Interval;
use crate::durable::Period;
use crate::network::Contract;
use crate::request::Refusal;

const BITS_IN_MEGABIT_HOUR: u128 = 1_000_000 * 3600;

/// How much a contract's sessions used in a month (UTC), of those that ended in it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Usage {
    /// Year × 12 + month − 1.
    pub month: u32,
    /// Bytes carried.
    pub bytes: u64,
    /// Rate times time, both ways.
    pub reserved_bits: u128,
}

impl Usage {
    /// What it is in the month of an instant: a month that has passed is forgotten.
    #[must_use]
    pub fn at(self, now: SystemTime) -> Self {
        let month = UtcOffset::default().month(now);
        if month == self.month { self } else { Self { month, ..Self::default() } }
    }

    /// Adds a session that ended, with what it had while it carried packets.
    #[must_use]
    pub fn with(self, periods: &[Period], ended: SystemTime, bytes: u64) -> Self {
        let month = self.at(ended);
        let reserved = periods.iter().enumerate().map(|(index, period)| {
            let until = periods.get(index + 1).map_or(ended, |next| next.since);
            bits(period.from_caller.0, period.from_callee.0, period.since, until)
        });
        Self { month: month.month, bytes: month.bytes.saturating_add(bytes), reserved_bits: month.reserved_bits + reserved.sum::<u128>() }
    }

    /// Whether a contract's quota has something left for a session; for one with a stop time, for all that it reserves.
    ///
    /// # Errors
    /// [`Refusal::Forbidden`] with the figures.
    pub fn allows(self, contract: &Contract, rates: Rates, interval: Interval, now: SystemTime) -> Result<(), Refusal> {
        let used = self.at(now);
        let quota = contract.options.quota;
        if let Some(most) = quota.bytes.filter(|most| used.bytes >= *most) {
            return Err(Refusal::Forbidden(format!(
                "contract {} has {most} bytes a month, and {} were carried",
                contract.name, used.bytes
            )));
        }
        let Some(most) = quota.megabit_hours else { return Ok(()) };
        let asked = interval.stop().map_or(1, |stop| bits(rates.from_caller.0, rates.from_callee.0, interval.start(), stop));
        if used.reserved_bits + asked <= u128::from(most) * BITS_IN_MEGABIT_HOUR {
            return Ok(());
        }
        Err(Refusal::Forbidden(format!(
            "contract {} has {most} Mbit/s·h a month: {} are used, and {} more were asked",
            contract.name,
            used.reserved_bits / BITS_IN_MEGABIT_HOUR,
            asked.div_ceil(BITS_IN_MEGABIT_HOUR)
        )))
    }
}

fn bits(there: u64, back: u64, from: SystemTime, until: SystemTime) -> u128 {
    let length = until.duration_since(from).unwrap_or_default().as_millis();
    (u128::from(there) + u128::from(back)) * length / 1000
}

#[cfg(test)]
mod tests {
    use super::super::tests::{contract, rates};
    use super::*;
    use crate::testing::at;

    const HOUR: u64 = 3600;
    const MEGA: u64 = 1_000_000;

    fn period(since: u64, rate: u64) -> Period {
        Period { since: at(since), class: 5, from_caller: crate::request::BitRate(rate), from_callee: crate::request::BitRate(0) }
    }

    #[test]
    fn a_month_is_used_up_and_another_begins() {
        let mut contract = contract(1, 1);
        contract.options.quota.megabit_hours = Some(10);
        let hour = |from: u64| Interval::new(at(from), Some(at(from + HOUR))).unwrap();
        let used = Usage::default().with(&[period(0, 4 * MEGA), period(HOUR, 2 * MEGA)], at(2 * HOUR), 700);
        assert_eq!((used.bytes, used.reserved_bits), (700, 6 * BITS_IN_MEGABIT_HOUR));
        let asked = |mega, now| used.allows(&contract, rates(mega * MEGA, 0), hour(now), at(now));
        assert_eq!(asked(4, 2 * HOUR), Ok(()));
        let told = "forbidden: contract gold has 10 Mbit/s·h a month: 6 are used, and 5 more were asked";
        assert_eq!(asked(5, 2 * HOUR).unwrap_err().to_string(), told);
        assert_eq!(asked(10, 31 * 24 * HOUR), Ok(()), "the next month");
        contract.options.quota.bytes = Some(700);
        let told = "forbidden: contract gold has 700 bytes a month, and 700 were carried";
        assert_eq!(used.allows(&contract, rates(1, 0), hour(0), at(0)).unwrap_err().to_string(), told);
        contract.options.quota.bytes = Some(701);
        assert_eq!(used.allows(&contract, rates(1, 0), hour(0), at(0)), Ok(()));
    }
}
