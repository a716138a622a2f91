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
        let number = if let Some(number) = self.fresh {
            self.fresh = (number < *self.range.end()).then(|| number + 1);
            number
        } else {
            self.waiting.pop_front().ok_or(Exhausted { first: *self.range.start(), last: *self.range.end() })?
        };
        self.used.insert(number);
        Ok(number)
    }

    /// Takes a number back.
    ///
    /// # Panics
    /// If it is not in use: two owners of one number would be the worst there is, so the mistake must not go on.
    pub fn give_back(&mut self, number: u32) {
        assert!(self.used.remove(&number), "{number} was given back but is not in use");
        self.waiting.push_back(number);
    }

    /// The numbers in use.
    pub fn used(&self) -> &HashSet<u32> {
        &self.used
    }
}
