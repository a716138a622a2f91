//! A load over time.
//!
//! A load is constant but for steps, so it is kept as its steps: when, and by how much. A rate that is added to a stretch of time is then
//! two steps, however long the stretch. The steps are the leaves of a B+ tree, whose inner nodes know of each child the sum of its steps and
//! the highest and the lowest of its partial sums. With the sums up to a child these are the highest and the lowest load within it, so
//! that most questions need to look at two children of each level, whatever the number of steps: sums are carried along on the way down
//! and nothing of a stretch is touched when its load changes.

#[cfg(test)]
mod tests;
mod tree;

use super::interval::{NEVER, Tick};
use tree::Node;

/// A load over time: constant but for steps.
#[derive(Debug, Clone, Default)]
pub(super) struct Timeline {
    /// Before the first step.
    base: i64,
    root: Node,
}

impl Timeline {
    /// Changes the load from a tick on.
    pub(super) fn step(&mut self, at: Tick, change: i64) {
        self.root.step(at, change);
    }

    /// Changes the load before the first step.
    pub(super) fn raise(&mut self, change: i64) {
        self.base += change;
    }

    /// The load at a tick.
    fn at(&self, tick: Tick) -> i64 {
        self.base + self.root.sum_until(tick)
    }

    /// The highest load within a span.
    pub(super) fn peak(&self, from: Tick, to: Tick) -> i64 {
        self.root.peak(self.base, from, to).map_or_else(|| self.at(from), |peak| peak.max(self.at(from)))
    }

    /// The first tick within a span at which the load is above a threshold.
    pub(super) fn first_above(&self, threshold: i64, from: Tick, to: Tick) -> Option<Tick> {
        if self.at(from) > threshold { Some(from) } else { self.root.first_above(self.base, threshold, from, to) }
    }

    /// The last step, or start, within a span from which on the load is above a threshold.
    pub(super) fn last_above(&self, threshold: i64, from: Tick, to: Tick) -> Option<Tick> {
        self.root.last_above(self.base, threshold, from, to).or_else(|| (self.at(from) > threshold).then_some(from))
    }

    /// The first tick from one on at which the load is at most a threshold.
    pub(super) fn first_within(&self, threshold: i64, from: Tick) -> Option<Tick> {
        if self.at(from) <= threshold { Some(from) } else { self.root.first_within(self.base, threshold, from, NEVER) }
    }

    /// Forgets the steps up to a tick, which were before.
    pub(super) fn forget(&mut self, until: Tick) {
        self.base += self.root.forget(until);
    }

    /// The load from a tick on: that at the tick, and every step after.
    pub(super) fn onward(&self, from: Tick) -> (i64, Vec<(Tick, i64)>) {
        let mut steps = Vec::new();
        self.root.collect(from, &mut steps);
        (self.at(from), steps)
    }
}
