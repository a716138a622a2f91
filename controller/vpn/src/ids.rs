//! Numbers to give out and take back: labels, tunnels, sessions.
//!
//! A number that was given back waits until every other free number has had its turn. Packets with an old label may still be under
//! way, and a write may still be on its way to a router; with the longest possible pause between two uses neither can end up in
//! another customer's VPN.

use std::collections::{HashSet, VecDeque};
use std::ops::RangeInclusive;

/// Every number is in use.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("all numbers from {first} to {last} are in use")]
pub struct Exhausted {
    /// The first number of the range.
    pub first: u32,
    /// The last.
    pub last: u32,
}

/// A number that somebody has, or that is not of the pool.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("number {0} is not free")]
pub struct NotFree(pub u32);

/// A range of numbers, each in use or free.
#[derive(Debug, Clone)]
pub struct Pool {
    range: RangeInclusive<u32>,
    /// The next number that was never used; `None` when there is none left.
    fresh: Option<u32>,
    /// Numbers given back, the one that waits longest in front.
    waiting: VecDeque<u32>,
    used: HashSet<u32>,
}

impl Pool {
    /// A pool of the numbers of a range, all free.
    pub fn new(range: RangeInclusive<u32>) -> Self {
        let fresh = (!range.is_empty()).then(|| *range.start());
        Self { range, fresh, waiting: VecDeque::new(), used: HashSet::new() }
    }

    /// A number that is in nobody's use.
    ///
    /// # Errors
    /// [`Exhausted`] when all are in use.
    pub fn take(&mut self) -> Result<u32, Exhausted> {
        while let Some(number) = self.fresh {
            self.fresh = (number < *self.range.end()).then(|| number + 1);
            if self.used.insert(number) {
                return Ok(number);
            }
        }
        let number = self.waiting.pop_front().ok_or(Exhausted { first: *self.range.start(), last: *self.range.end() })?;
        self.used.insert(number);
        Ok(number)
    }

    /// Takes this number, which was in use before a restart, in a pool of which none was given back yet.
    ///
    /// # Errors
    /// [`NotFree`] when somebody has it, or it is not of this pool.
    pub fn restore(&mut self, number: u32) -> Result<(), NotFree> {
        if self.range.contains(&number) && self.used.insert(number) { Ok(()) } else { Err(NotFree(number)) }
    }

    /// Takes a number back.
    ///
    /// # Panics
    /// If it is not in use: two owners of one number would be the worst there is, so the mistake must not go on.
    pub fn give_back(&mut self, number: u32) {
        assert!(self.used.remove(&number), "{number} was given back but is not in use");
        // What was in use before a restart may still be ahead of the numbers that were never used.
        if self.fresh.is_none_or(|fresh| number < fresh) {
            self.waiting.push_back(number);
        }
    }

    /// The numbers in use.
    pub fn used(&self) -> &HashSet<u32> {
        &self.used
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn no_number_has_two_owners_and_none_leaks(first in 0..5_u32, size in 1..12_u32, steps in prop::collection::vec(any::<(bool, usize)>(), 0..100)) {
            let last = first + size - 1;
            let mut pool = Pool::new(first..=last);
            let mut owned = Vec::new();
            for (take, which) in steps {
                if take {
                    match pool.take() {
                        Ok(number) => {
                            prop_assert!((first..=last).contains(&number) && !owned.contains(&number));
                            owned.push(number);
                        }
                        Err(none) => {
                            prop_assert_eq!(none, Exhausted { first, last });
                            prop_assert_eq!(owned.len(), size as usize);
                        }
                    }
                } else if !owned.is_empty() {
                    pool.give_back(owned.swap_remove(which % owned.len()));
                }
                prop_assert_eq!(pool.used(), &owned.iter().copied().collect::<HashSet<_>>());
            }
            owned.drain(..).for_each(|number| pool.give_back(number));
            let all: HashSet<_> = std::iter::from_fn(|| pool.take().ok()).collect();
            prop_assert_eq!(all, (first..=last).collect());
        }

        #[test]
        fn a_number_given_back_waits_for_all_others(size in 2..20_u32, turns in 1..50_u32) {
            let mut pool = Pool::new(1..=size);
            for _ in 0..turns {
                let number = pool.take().unwrap();
                pool.give_back(number);
                let others: Vec<_> = (1..size).map(|_| pool.take().unwrap()).collect();
                prop_assert!(!others.contains(&number));
                for other in others {
                    pool.give_back(other);
                }
            }
        }
    }

    proptest! {
        #[test]
        fn after_a_restart_no_number_has_two_owners(before in prop::collection::btree_set(1..=12_u32, 0..8), steps in prop::collection::vec(any::<(bool, usize)>(), 0..60)) {
            let mut pool = Pool::new(1..=12);
            for &number in &before {
                pool.restore(number).unwrap();
                prop_assert_eq!(pool.restore(number), Err(NotFree(number)));
            }
            let mut owned: Vec<_> = before.into_iter().collect();
            for (take, which) in steps {
                if take {
                    if let Ok(number) = pool.take() {
                        prop_assert!((1..=12).contains(&number) && !owned.contains(&number));
                        owned.push(number);
                    } else {
                        prop_assert_eq!(owned.len(), 12);
                    }
                } else if !owned.is_empty() {
                    pool.give_back(owned.swap_remove(which % owned.len()));
                }
            }
            owned.drain(..).for_each(|number| pool.give_back(number));
            let all: HashSet<_> = std::iter::from_fn(|| pool.take().ok()).collect();
            prop_assert_eq!(all, (1..=12).collect());
        }
    }

    #[test]
    fn what_is_not_of_the_pool_is_not_restored() {
        assert_eq!(Pool::new(1..=5).restore(6), Err(NotFree(6)));
    }

    #[test]
    fn the_last_number_there_is_can_be_had() {
        let mut pool = Pool::new(u32::MAX - 1..=u32::MAX);
        assert_eq!([pool.take(), pool.take()], [Ok(u32::MAX - 1), Ok(u32::MAX)]);
        assert!(pool.take().is_err());
        #[allow(clippy::reversed_empty_ranges, reason = "an empty range is what is tested")]
        let mut empty = Pool::new(2..=1);
        assert!(empty.take().is_err());
    }

    #[test]
    #[should_panic(expected = "3 was given back but is not in use")]
    fn a_number_is_given_back_once() {
        Pool::new(1..=5).give_back(3);
    }
}
