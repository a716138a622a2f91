//! The calendar: what is reserved on each direction of each link, per class, over time.
//!
//! For no instant does the sum of reservations exceed what a link offers. Each directed link has a step function of its load, a
//! breakpoint wherever the load changes; a reservation adds to the steps within its interval and leaves no breakpoint behind when it
//! is cancelled. The past is forgotten as it passes, so sessions that started long ago cost nothing.

#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::time::SystemTime;

use svpn_contract::wire::Class;

use crate::request::BitRate;
use crate::topology::{DirectedLinkId, Topology};

/// From an instant on, up to but without another; or for good. Never empty.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Interval {
    start: SystemTime,
    stop: Option<SystemTime>,
}

/// An interval that ends before it begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the interval ends before it begins")]
pub struct EmptyInterval;

impl Interval {
    /// From `start` on, up to but without `stop`; `None` = for good.
    ///
    /// # Errors
    /// [`EmptyInterval`] when nothing lies between.
    pub fn new(start: SystemTime, stop: Option<SystemTime>) -> Result<Self, EmptyInterval> {
        if stop.is_some_and(|stop| stop <= start) { Err(EmptyInterval) } else { Ok(Self { start, stop }) }
    }

    /// The first instant.
    pub fn start(self) -> SystemTime {
        self.start
    }

    /// The first instant after; `None` = it never ends.
    pub fn stop(self) -> Option<SystemTime> {
        self.stop
    }

    /// What is left of it from an instant on.
    fn from(self, instant: SystemTime) -> Option<Self> {
        Self::new(self.start.max(instant), self.stop).ok()
    }
}

/// Room that is taken. Only [`Calendar::cancel`] gives it back, so it cannot be given back twice.
#[derive(Debug, PartialEq, Eq)]
#[must_use = "the room stays taken until it is cancelled"]
pub struct Booking {
    interval: Interval,
    class: Class,
    demands: Vec<(DirectedLinkId, BitRate)>,
}

impl Booking {
    /// When it holds.
    pub fn interval(&self) -> Interval {
        self.interval
    }

    /// What it takes of which link.
    pub fn demands(&self) -> &[(DirectedLinkId, BitRate)] {
        &self.demands
    }
}

/// Why there is no room.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the link has room for {fits} bit/s of the {asked} bit/s asked", fits = .fits.0, asked = .asked.0)]
pub struct Denial {
    /// The link that is full.
    pub link: DirectedLinkId,
    /// The first stretch of the interval in which it is too full.
    pub interval: Interval,
    /// The most that would have fitted throughout.
    pub fits: BitRate,
    /// What was asked of it.
    pub asked: BitRate,
}

/// The reservations on every directed link.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Calendar {
    ledgers: Vec<Ledger>,
    /// What came before is over, and forgotten.
    horizon: SystemTime,
}

/// What one directed link has promised.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Ledger {
    capacity: u64,
    /// From each instant on, up to the next: bit/s promised to each class. Before the first: nothing.
    steps: BTreeMap<SystemTime, Load>,
    /// Before this instant nothing is known any more.
    floor: SystemTime,
}

type Load = [u64; 8];

impl Calendar {
    /// An empty calendar for the links of a network.
    pub fn new(topology: &Topology) -> Self {
        let empty = |capacity| Ledger { capacity, steps: BTreeMap::new(), floor: SystemTime::UNIX_EPOCH };
        Self { ledgers: topology.links().map(|(_, link)| empty(link.capacity.0)).collect(), horizon: SystemTime::UNIX_EPOCH }
    }

    /// Says what time it is: what is past is forgotten, and can be neither asked nor reserved any more. A clock that was set back
    /// is heard only when it has caught up.
    pub fn advance(&mut self, now: SystemTime) {
        self.horizon = self.horizon.max(now);
    }

    /// The least that is free on a link at any instant of an interval.
    ///
    /// # Panics
    /// If the link belongs to another topology.
    pub fn available(&self, link: DirectedLinkId, interval: Interval) -> BitRate {
        let ledger = &self.ledgers[link.index()];
        BitRate(interval.from(self.horizon).map_or(ledger.capacity, |interval| ledger.free(interval)))
    }

    /// Whether a link has room throughout an interval.
    ///
    /// # Errors
    /// [`Denial`] says when not, and how much it has.
    ///
    /// # Panics
    /// If the link belongs to another topology.
    pub fn room(&self, link: DirectedLinkId, interval: Interval, asked: BitRate) -> Result<(), Denial> {
        let denial = |(interval, fits)| Denial { link, interval, fits: BitRate(fits), asked };
        interval.from(self.horizon).map_or(Ok(()), |interval| self.ledgers[link.index()].room(interval, asked.0).map_err(denial))
    }

    /// Takes room on some links throughout an interval: on all of them or on none.
    ///
    /// # Errors
    /// [`Denial`] names the first link that has too little, when, and how much it has.
    ///
    /// # Panics
    /// If a link belongs to another topology.
    pub fn reserve(&mut self, interval: Interval, class: Class, demands: Vec<(DirectedLinkId, BitRate)>) -> Result<Booking, Denial> {
        if let Some(remaining) = interval.from(self.horizon) {
            for (done, &(link, asked)) in demands.iter().enumerate() {
                if let Err(denial) = self.room(link, remaining, asked) {
                    self.give_back(&demands[..done], remaining, class);
                    return Err(denial);
                }
                let ledger = &mut self.ledgers[link.index()];
                ledger.forget_before(self.horizon);
                ledger.change(remaining, class, |load| load + asked.0);
            }
        }
        Ok(Booking { interval, class, demands })
    }

    /// Gives room back.
    pub fn cancel(&mut self, booking: Booking) {
        let Booking { interval, class, demands } = booking;
        if let Some(remaining) = interval.from(self.horizon) {
            self.give_back(&demands, remaining, class);
        }
    }

    /// Gives back what a booking has beyond a rate on each of its links.
    pub fn reduce(&mut self, booking: &mut Booking, rate: BitRate) {
        let excess = |&(link, had): &(DirectedLinkId, BitRate)| (link, BitRate(had.0.saturating_sub(rate.0)));
        let excess: Vec<_> = booking.demands.iter().map(excess).collect();
        if let Some(remaining) = booking.interval.from(self.horizon) {
            self.give_back(&excess, remaining, booking.class);
        }
        for (_, had) in &mut booking.demands {
            *had = (*had).min(rate);
        }
    }

    fn give_back(&mut self, demands: &[(DirectedLinkId, BitRate)], remaining: Interval, class: Class) {
        for &(link, rate) in demands {
            let ledger = &mut self.ledgers[link.index()];
            ledger.forget_before(self.horizon);
            ledger.change(remaining, class, |load| load - rate.0);
        }
    }
}

impl Ledger {
    fn load_at(&self, instant: SystemTime) -> Load {
        self.steps.range(..=instant).next_back().map_or(Load::default(), |(_, load)| *load)
    }

    /// The loads within an interval, each with the instant it holds from.
    fn loads(&self, interval: Interval) -> impl Iterator<Item = (SystemTime, u64)> {
        let first = (interval.start, self.load_at(interval.start));
        let later = self
            .steps
            .range(interval.start..)
            .skip_while(move |(at, _)| **at == interval.start)
            .take_while(move |(at, _)| interval.stop.is_none_or(|stop| **at < stop))
            .map(|(at, load)| (*at, *load));
        std::iter::once(first).chain(later).map(|(at, load)| (at, load.iter().sum()))
    }

    fn free(&self, interval: Interval) -> u64 {
        self.capacity - self.loads(interval).map(|(_, load)| load).max().unwrap_or(0)
    }

    /// Says in which stretch of an interval room is missing, if it is, and how much there is throughout.
    fn room(&self, interval: Interval, rate: u64) -> Result<(), (Interval, u64)> {
        let fits = self.free(interval);
        if rate <= fits {
            return Ok(());
        }
        let too_full = |load: u64| rate > self.capacity - load;
        let mut loads = self.loads(interval).skip_while(|&(_, load)| !too_full(load));
        let start = loads.next().map_or(interval.start, |(at, _)| at);
        let stop = loads.find(|&(_, load)| !too_full(load)).map_or(interval.stop, |(at, _)| Some(at));
        Err((Interval { start, stop }, fits))
    }

    fn change(&mut self, interval: Interval, class: Class, change: impl Fn(u64) -> u64) {
        let ends = [Some(interval.start), interval.stop];
        for end in ends.into_iter().flatten() {
            let load = self.load_at(end);
            self.steps.entry(end).or_insert(load);
        }
        let inside = self.steps.range_mut(interval.start..);
        for (_, load) in inside.take_while(|(at, _)| interval.stop.is_none_or(|stop| **at < stop)) {
            let load = &mut load[usize::from(class.get())];
            *load = change(*load);
        }
        // Inside, steps that differed still do; at the ends they may have become equal.
        for end in ends.into_iter().flatten() {
            let before = self.steps.range(..end).next_back().map_or(Load::default(), |(_, load)| *load);
            if self.steps.get(&end) == Some(&before) {
                self.steps.remove(&end);
            }
        }
    }

    fn forget_before(&mut self, horizon: SystemTime) {
        if horizon <= self.floor {
            return;
        }
        let load = self.load_at(horizon);
        let mut future = self.steps.split_off(&horizon);
        if load == Load::default() {
            future.remove(&horizon);
        } else {
            future.insert(horizon, load);
        }
        self.steps = future;
        self.floor = horizon;
    }
}
