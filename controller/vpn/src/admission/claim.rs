//! What is asked of the calendar, and what was given.

use std::time::SystemTime;

use super::{ClassSet, Interval};
use crate::request::BitRate;
use crate::topology::DirectedLinkId;

/// What is asked of the calendar: a rate on each of some links, throughout an interval.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Claim {
    interval: Interval,
    classes: ClassSet,
    /// By link, each once.
    demands: Vec<(DirectedLinkId, BitRate)>,
}

impl Claim {
    /// A claim of a class, or of several at once: then it counts in every pool of any of them. A link that is named twice is asked for
    /// the sum.
    pub fn new(interval: Interval, classes: impl Into<ClassSet>, mut demands: Vec<(DirectedLinkId, BitRate)>) -> Self {
        demands.sort_unstable_by_key(|&(link, _)| link);
        demands.dedup_by(|(link, rate), (kept, sum)| {
            let same = link == kept;
            if same {
                sum.0 = sum.0.saturating_add(rate.0);
            }
            same
        });
        Self { interval, classes: classes.into(), demands }
    }

    /// When.
    pub fn interval(&self) -> Interval {
        self.interval
    }

    /// Of which classes.
    pub fn classes(&self) -> ClassSet {
        self.classes
    }

    /// How much of which link, by link, each once.
    pub fn demands(&self) -> &[(DirectedLinkId, BitRate)] {
        &self.demands
    }

    /// How much of a link.
    pub fn on(&self, link: DirectedLinkId) -> BitRate {
        self.demands.binary_search_by_key(&link, |&(link, _)| link).map_or(BitRate(0), |place| self.demands[place].1)
    }

    /// A claim that has room for either of two at any moment: what a session holds while it changes from one to the other.
    #[must_use]
    pub fn cover(&self, other: &Self) -> Self {
        let of_both = self.demands.iter().map(|&(link, rate)| (link, rate.max(other.on(link))));
        let of_other = other.demands.iter().copied().filter(|&(link, _)| !self.has(link));
        Self::new(self.interval.cover(other.interval), self.classes.with(other.classes), of_both.chain(of_other).collect())
    }

    /// What two claims have in common: nothing where they do not meet in time or class.
    #[must_use]
    pub fn common(&self, other: &Self) -> Self {
        let classes = self.classes.common(other.classes);
        let interval = self.interval.common(other.interval).filter(|_| !classes.is_empty());
        let demands = if interval.is_some() { self.demands.as_slice() } else { &[] };
        let demands = demands.iter().map(|&(link, rate)| (link, rate.min(other.on(link)))).filter(|(_, rate)| rate.0 > 0).collect();
        Self { interval: interval.unwrap_or(self.interval), classes, demands }
    }

    fn has(&self, link: DirectedLinkId) -> bool {
        self.demands.binary_search_by_key(&link, |&(link, _)| link).is_ok()
    }

    /// Whether it takes no more of a link, at any instant and of any pool, than another.
    pub(crate) fn within(&self, other: &Self, link: DirectedLinkId) -> bool {
        let smaller = self.on(link) <= other.on(link);
        smaller && other.interval.contains(self.interval) && other.classes.with(self.classes) == other.classes
    }
}

/// Room that is taken. Only [`super::Calendar::cancel`] gives it back, so it cannot be given back twice.
#[derive(Debug, PartialEq, Eq)]
#[must_use = "the room stays taken until it is cancelled"]
pub struct Booking(pub(super) Claim);

impl Booking {
    /// What it holds.
    pub fn claim(&self) -> &Claim {
        &self.0
    }
}

/// Who gives way first, when not all can stay: the least important, and of those the youngest.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Standing {
    /// Higher is more important.
    pub priority: u8,
    /// Since when it has been there.
    pub since: SystemTime,
}

impl PartialOrd for Standing {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Standing {
    /// The least gives way first.
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        self.priority.cmp(&other.priority).then(other.since.cmp(&self.since))
    }
}

/// A booking, and whose it is.
#[derive(Debug, Clone, Copy)]
pub struct Holder<'a, K> {
    /// Whose it is.
    pub key: K,
    /// When it gives way.
    pub standing: Standing,
    /// What it holds.
    pub booking: &'a Booking,
}
