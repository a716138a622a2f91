//! What the live sessions of one contract have together, over time.

use std::collections::BTreeMap;
use std::time::SystemTime;

use crate::admission::Interval;
use crate::network::Contract;
use crate::request::{BitRate, Refusal};

use super::Rates;

/// What the live sessions of one contract have together, at every instant.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Account {
    /// What there is before the first step; [`Account::advance`] moves it on.
    before: Sum,
    /// From each instant on, up to the next.
    steps: BTreeMap<SystemTime, Sum>,
}

/// So many sessions, and so much rate.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
struct Sum {
    sessions: u32,
    rates: Rates,
}

impl Sum {
    fn with(self, rates: Rates) -> Self {
        Self { sessions: self.sessions + 1, rates: self.rates.plus(rates) }
    }

    fn without(self, rates: Rates) -> Self {
        let less = |sum: BitRate, rate: BitRate| BitRate(sum.0.saturating_sub(rate.0));
        let rates = Rates {
            from_caller: less(self.rates.from_caller, rates.from_caller),
            from_callee: less(self.rates.from_callee, rates.from_callee),
        };
        Self { sessions: self.sessions.saturating_sub(1), rates }
    }
}

impl Account {
    /// Adds a session.
    ///
    /// # Errors
    /// [`Refusal::Forbidden`] with the figures, when at any instant the contract allows no more sessions or not that much rate.
    pub fn enter(&mut self, contract: &Contract, rates: Rates, interval: Interval) -> Result<(), Refusal> {
        for sum in self.sums(interval) {
            allowed(contract, sum, rates)?;
        }
        self.change(interval, |sum| sum.with(rates));
        Ok(())
    }

    /// Adds a session that was there before a restart, whatever the contract allows now.
    pub fn restore(&mut self, rates: Rates, interval: Interval) {
        self.change(interval, |sum| sum.with(rates));
    }

    /// Takes a session away that was added with these rates for this interval.
    pub fn leave(&mut self, rates: Rates, interval: Interval) {
        self.change(interval, |sum| sum.without(rates));
    }

    /// A session has other terms from now on.
    ///
    /// # Errors
    /// [`Refusal::Forbidden`] when the contract does not allow them; nothing changed.
    pub fn change_terms(&mut self, contract: &Contract, before: (Rates, Interval), after: (Rates, Interval)) -> Result<(), Refusal> {
        self.leave(before.0, before.1);
        let entered = self.enter(contract, after.0, after.1);
        if entered.is_err() {
            self.restore(before.0, before.1);
        }
        entered
    }

    /// Says what time it is: what is past is forgotten.
    pub fn advance(&mut self, now: SystemTime) {
        while let Some(step) = self.steps.first_entry().filter(|step| *step.key() <= now) {
            self.before = step.remove();
        }
    }

    fn at(&self, instant: SystemTime) -> Sum {
        self.steps.range(..=instant).next_back().map_or(self.before, |(_, sum)| *sum)
    }

    fn sums(&self, interval: Interval) -> impl Iterator<Item = Sum> {
        let later = self.steps.range(interval.start()..).take_while(move |(at, _)| interval.stop().is_none_or(|stop| **at < stop));
        std::iter::once(self.at(interval.start())).chain(later.map(|(_, sum)| *sum))
    }

    fn change(&mut self, interval: Interval, change: impl Fn(Sum) -> Sum) {
        let ends = [Some(interval.start()), interval.stop()];
        for end in ends.into_iter().flatten() {
            let sum = self.at(end);
            self.steps.entry(end).or_insert(sum);
        }
        let inside = self.steps.range_mut(interval.start()..);
        for (_, sum) in inside.take_while(|(at, _)| interval.stop().is_none_or(|stop| **at < stop)) {
            *sum = change(*sum);
        }
        // Inside, steps that differed still do; at the ends they may have become equal.
        for end in ends.into_iter().flatten() {
            let before = self.steps.range(..end).next_back().map_or(self.before, |(_, sum)| *sum);
            if self.steps.get(&end) == Some(&before) {
                self.steps.remove(&end);
            }
        }
    }
}

fn allowed(contract: &Contract, sum: Sum, rates: Rates) -> Result<(), Refusal> {
    if sum.sessions >= contract.max_sessions {
        return Err(Refusal::Forbidden(format!(
            "contract {} allows {} sessions at one time, and {} are up",
            contract.name, contract.max_sessions, sum.sessions
        )));
    }
    let then = sum.rates.plus(rates);
    for (way, used, asked, then) in [
        ("from caller to callee", sum.rates.from_caller, rates.from_caller, then.from_caller),
        ("from callee to caller", sum.rates.from_callee, rates.from_callee, then.from_callee),
    ] {
        if then > contract.max_rate && asked.0 > 0 {
            return Err(Refusal::Forbidden(format!(
                "contract {} allows {} bit/s {way}: {} are in use, and {} more were asked with headers",
                contract.name, contract.max_rate.0, used.0, asked.0
            )));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::tests::{contract, rates};
    use super::*;
    use crate::testing::at;

    fn forever() -> Interval {
        Interval::new(at(0), None).unwrap()
    }

    #[test]
    fn the_figures_are_told() {
        let contract = contract(100, 2);
        let mut account = Account::default();
        account.enter(&contract, rates(60, 10), forever()).unwrap();
        let before = account.clone();
        let refused = account.enter(&contract, rates(41, 10), forever()).unwrap_err();
        assert!(matches!(refused, Refusal::Forbidden(_)));
        let told = "forbidden: contract gold allows 100 bit/s from caller to callee: 60 are in use, and 41 more were asked with headers";
        assert_eq!(refused.to_string(), told);
        let refused = account.enter(&contract, rates(0, 91), forever()).unwrap_err();
        assert!(refused.to_string().contains("from callee to caller: 10 are in use"));
        assert_eq!(account, before);
        account.enter(&contract, rates(40, 90), forever()).unwrap();
        let refused = account.enter(&contract, rates(0, 0), forever()).unwrap_err();
        assert_eq!(refused.to_string(), "forbidden: contract gold allows 2 sessions at one time, and 2 are up");
    }

    #[derive(Debug, Clone)]
    struct Asked {
        rates: Rates,
        from: u64,
        length: Option<u64>,
    }

    fn asked() -> impl Strategy<Value = Asked> {
        let length = prop::option::of(1..20_u64);
        (0..40_u64, 0..40_u64, 0..30_u64, length).prop_map(|(there, back, from, length)| Asked { rates: rates(there, back), from, length })
    }

    proptest! {
        #[test]
        fn an_account_never_exceeds_its_contract(steps in prop::collection::vec((asked(), any::<usize>(), 0..3_u8), 0..60)) {
            let contract = contract(100, 5);
            let (mut account, mut live) = (Account::default(), Vec::<(Rates, Interval)>::new());
            let at_one_time = |live: &[(Rates, Interval)], instant| {
                let there = live.iter().filter(|(_, interval)| {
                    interval.start() <= instant && interval.stop().is_none_or(|stop| instant < stop)
                });
                there.fold(Sum::default(), |sum, (rates, _)| sum.with(*rates))
            };
            for (asked, which, step) in steps {
                let interval = Interval::new(at(asked.from), asked.length.map(|length| at(asked.from + length))).unwrap();
                let among = which % live.len().max(1);
                let others: Vec<_> = if step == 1 && !live.is_empty() {
                    live.iter().enumerate().filter(|(index, _)| *index != among).map(|(_, live)| *live).collect()
                } else {
                    live.clone()
                };
                let inside = (0..60).map(at).filter(|&instant| interval.start() <= instant && interval.stop().is_none_or(|stop| instant < stop));
                let fits = inside.map(|instant| at_one_time(&others, instant)).all(|sum| allowed(&contract, sum, asked.rates).is_ok());
                match step {
                    0 if !live.is_empty() => {
                        let (rates, interval) = live.swap_remove(among);
                        account.leave(rates, interval);
                    }
                    1 if !live.is_empty() => {
                        let changed = account.change_terms(&contract, live[among], (asked.rates, interval));
                        prop_assert_eq!(changed.is_ok(), fits);
                        if fits {
                            live[among] = (asked.rates, interval);
                        }
                    }
                    _ => {
                        prop_assert_eq!(account.enter(&contract, asked.rates, interval).is_ok(), fits);
                        if fits {
                            live.push((asked.rates, interval));
                        }
                    }
                }
                for instant in (0..60).map(at) {
                    prop_assert_eq!(account.at(instant), at_one_time(&live, instant));
                }
            }
            // The past leaves nothing but what goes on.
            account.advance(at(100));
            prop_assert!(account.steps.is_empty());
            prop_assert_eq!(account.before, at_one_time(&live, at(100)));
        }
    }
}
