//! What one directed link has promised.

use super::interval::{NEVER, Span, Tick};
use super::timeline::Timeline;
use super::{ClassSet, Pool};
use crate::request::BitRate;

/// The most bit/s a sum is counted to: twice that still fits the numbers it is counted in.
const MOST: u64 = (1 << 62) - 1;

/// What one directed link has promised, pool by pool.
#[derive(Debug, Clone)]
pub(super) struct Ledger {
    capacity: BitRate,
    /// The whole link first.
    pools: Box<[Account]>,
    /// Up to here the past is forgotten.
    floor: Tick,
}

#[derive(Debug, Clone)]
struct Account {
    pool: Pool,
    limit: i64,
    load: Timeline,
}

/// Where room is missing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Shortage {
    /// The pool that has least.
    pub(super) pool: ClassSet,
    /// The first stretch in which it has too little.
    pub(super) span: Span,
    /// The most that it has throughout.
    pub(super) fits: u64,
}

impl Ledger {
    pub(super) fn new(capacity: BitRate, pools: &[Pool]) -> Self {
        let all = std::iter::once(&Pool::WHOLE_LINK).chain(pools);
        let pools = all.map(|&pool| Account { pool, limit: limit(pool, capacity), load: Timeline::default() }).collect();
        Self { capacity, pools, floor: 0 }
    }

    pub(super) fn capacity(&self) -> BitRate {
        self.capacity
    }

    pub(super) fn set_capacity(&mut self, capacity: BitRate) {
        self.capacity = capacity;
        for account in &mut self.pools {
            account.limit = limit(account.pool, capacity);
        }
    }

    /// The pools that classes are in. The whole link is one of them, even where there are no classes.
    fn of(&self, classes: ClassSet) -> impl Iterator<Item = &Account> {
        self.pools
            .iter()
            .enumerate()
            .filter(move |(index, account)| *index == 0 || account.pool.classes.meets(classes))
            .map(|(_, account)| account)
    }

    /// The most that classes can have throughout a span; negative when more is promised than there is.
    fn margin(&self, classes: ClassSet, span: Span) -> i64 {
        self.of(classes).map(|account| account.limit - account.load.peak(span.from, span.to)).min().unwrap_or(0)
    }

    /// The most that classes can have throughout a span.
    pub(super) fn room(&self, classes: ClassSet, span: Span) -> u64 {
        self.margin(classes, span).max(0).unsigned_abs()
    }

    /// Whether a rate fits throughout a span.
    pub(super) fn holds(&self, classes: ClassSet, span: Span, rate: u64) -> bool {
        rate == 0 || i128::from(rate) <= i128::from(self.margin(classes, span))
    }

    /// Whether more is promised to pools of some classes than there is, at any instant of a span.
    pub(super) fn overcommitted(&self, classes: ClassSet, span: Span) -> bool {
        self.margin(classes, span) < 0
    }

    /// Why a rate does not fit, if it does not.
    pub(super) fn shortage(&self, classes: ClassSet, span: Span, rate: u64) -> Option<Shortage> {
        if rate == 0 {
            return None;
        }
        let margin = |account: &&Account| account.limit - account.load.peak(span.from, span.to);
        let least = self.of(classes).map(|account| (margin(&account), account)).min_by_key(|&(margin, _)| margin);
        let (fits, account) = least.filter(|(margin, _)| i128::from(rate) > i128::from(*margin))?;
        let threshold = account.threshold(rate);
        let from = account.load.first_above(threshold, span.from, span.to).unwrap_or(span.from);
        let to = account.load.first_within(threshold, from).map_or(span.to, |within| within.min(span.to));
        Some(Shortage { pool: account.pool.classes, span: Span { from, to }, fits: fits.max(0).unsigned_abs() })
    }

    /// Moves a start on to the first after which a rate may fit for a length, as far as one pool can tell: the same start, when
    /// it fits; `None` when it never does.
    pub(super) fn next_start(&self, classes: ClassSet, start: Tick, length: Option<u64>, rate: u64) -> Option<Tick> {
        if rate == 0 {
            return Some(start);
        }
        let mut start = start;
        for account in self.of(classes) {
            if i128::from(rate) > i128::from(account.limit) {
                return None;
            }
            let threshold = account.threshold(rate);
            let stop = length.map_or(NEVER, |length| start.saturating_add(length));
            if let Some(last) = account.load.last_above(threshold, start, stop) {
                start = account.load.first_within(threshold, last)?;
            }
        }
        Some(start)
    }

    /// Whether a rate more can be counted at all.
    pub(super) fn countable(&self, span: Span, rate: u64) -> bool {
        let peak = self.pools.first().map_or(0, |whole| whole.load.peak(span.from, span.to).unsigned_abs());
        rate <= MOST && peak + rate <= MOST
    }

    /// Whether two promise the same from a tick on.
    pub(super) fn same(&self, other: &Self, from: Tick) -> bool {
        let pools = self.pools.iter().zip(&other.pools);
        let alike = |(one, other): (&Account, &Account)| {
            (one.pool, one.limit) == (other.pool, other.limit) && one.load.onward(from) == other.load.onward(from)
        };
        self.capacity == other.capacity && self.pools.len() == other.pools.len() && pools.into_iter().all(alike)
    }

    /// Takes room, whether there is any or not.
    pub(super) fn add(&mut self, classes: ClassSet, span: Span, rate: u64) {
        // No more than `MOST`, or it would not have been let in.
        self.change(classes, span, rate.cast_signed());
    }

    /// Gives room back.
    pub(super) fn remove(&mut self, classes: ClassSet, span: Span, rate: u64) {
        self.change(classes, span, -rate.cast_signed());
    }

    fn change(&mut self, classes: ClassSet, span: Span, change: i64) {
        if change == 0 {
            return;
        }
        let floor = self.floor;
        for (_, account) in self.pools.iter_mut().enumerate().filter(|(index, account)| *index == 0 || account.pool.classes.meets(classes))
        {
            if span.from <= floor {
                account.load.raise(change);
            } else {
                account.load.step(span.from, change);
            }
            if span.to != NEVER {
                account.load.step(span.to, -change);
            }
        }
    }

    /// Forgets what came before.
    pub(super) fn forget(&mut self, horizon: Tick) {
        if horizon > self.floor {
            self.floor = horizon;
            self.pools.iter_mut().for_each(|account| account.load.forget(horizon));
        }
    }
}

#[cfg(test)]
impl Ledger {
    /// How many steps are kept, in all pools.
    pub(super) fn steps(&self) -> usize {
        self.pools.iter().map(|account| account.load.onward(0).1.len()).sum()
    }
}

impl Account {
    /// The load up to which a rate still fits.
    fn threshold(&self, rate: u64) -> i64 {
        self.limit.saturating_sub(i64::try_from(rate).unwrap_or(i64::MAX))
    }
}

fn limit(pool: Pool, capacity: BitRate) -> i64 {
    pool.share.of(capacity).0.min(MOST).cast_signed()
}
