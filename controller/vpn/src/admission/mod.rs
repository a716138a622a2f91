//! The calendar: what is reserved on each direction of each link, per pool of classes, over time.
//!
//! For no instant does the sum of reservations exceed what a link, or a pool of it, offers. What is asked is a [`Claim`], what was
//! given a [`Booking`]. The past is forgotten as it passes, so sessions that started long ago cost nothing.
//!
//! When a link offers less than before ([`Calendar::follow`]), more may be promised than there is: then nothing new gets in there,
//! and [`Calendar::displaced`] says who has to go elsewhere.

mod claim;
mod classes;
mod displaced;
mod interval;
mod ledger;
mod pool;
#[cfg(test)]
mod tests;
mod timeline;

use std::time::SystemTime;

use crate::request::BitRate;
use crate::topology::{DirectedLinkId, Topology};

pub use claim::{Booking, Claim, Holder, Standing};
pub use classes::ClassSet;
pub use interval::{EmptyInterval, Interval};
use interval::{Span, Tick, instant, tick};
use ledger::{Ledger, Shortage};
pub use pool::{Part, Pool, Share};

/// Why there is no room.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the link has room for {fits} bit/s of the {asked} bit/s asked", fits = .fits.0, asked = .asked.0)]
pub struct Denial {
    /// The link that is full; of several, the one that lacks most.
    pub link: DirectedLinkId,
    /// The classes of the pool that is full: [`ClassSet::ALL`] when it is the whole link.
    pub pool: ClassSet,
    /// The first stretch of the interval in which it is too full.
    pub interval: Interval,
    /// The most that would have fitted throughout.
    pub fits: BitRate,
    /// What was asked of it.
    pub asked: BitRate,
    /// The first start at which all that was asked would fit, on every link, for the same time; `None` = never, as things stand.
    pub next_start: Option<SystemTime>,
}

/// More than can be counted was promised on a link: more than 2^62 - 1 bit/s.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("more is booked than can be counted")]
pub struct Uncountable {
    /// The link.
    pub link: DirectedLinkId,
}

/// The reservations on every directed link.
#[derive(Debug, Clone)]
pub struct Calendar {
    ledgers: Vec<Ledger>,
    /// What came before is over, and forgotten.
    horizon: Tick,
}

impl PartialEq for Calendar {
    /// Whether both promise the same, from when the later of the two thinks it is.
    fn eq(&self, other: &Self) -> bool {
        let now = self.horizon.max(other.horizon);
        let alike = self.ledgers.iter().zip(&other.ledgers).all(|(one, other)| one.same(other, now));
        self.ledgers.len() == other.ledgers.len() && alike
    }
}

impl Eq for Calendar {}

impl Calendar {
    /// An empty calendar for the links of a network.
    pub fn new(topology: &Topology) -> Self {
        let ledgers = topology.links().map(|(id, link)| Ledger::new(topology.offers(id), &link.pools)).collect();
        Self { ledgers, horizon: 0 }
    }

    /// Says what time it is: what is past is forgotten, and can be neither asked nor reserved any more. A clock that was set back
    /// is heard only when it has caught up.
    pub fn advance(&mut self, now: SystemTime) {
        self.horizon = self.horizon.max(tick(now));
    }

    /// Takes over what the links offer now. Returns those that offer less than before: there [`Calendar::displaced`] may find some.
    pub fn follow(&mut self, topology: &Topology) -> Vec<DirectedLinkId> {
        let mut less = Vec::new();
        for ((id, _), ledger) in topology.links().zip(&mut self.ledgers) {
            let (before, now) = (ledger.capacity(), topology.offers(id));
            if before != now {
                ledger.set_capacity(now);
            }
            if now < before {
                less.push(id);
            }
        }
        less
    }

    /// The least that is free on a link at any instant of an interval, whatever the class.
    ///
    /// # Panics
    /// If the link belongs to another topology.
    pub fn available(&self, link: DirectedLinkId, interval: Interval) -> BitRate {
        // What is in no pool but the whole link.
        self.room(link, ClassSet::default(), interval)
    }

    /// The most that classes can have on a link throughout an interval.
    ///
    /// # Panics
    /// If the link belongs to another topology.
    pub fn room(&self, link: DirectedLinkId, classes: ClassSet, interval: Interval) -> BitRate {
        let ledger = &self.ledgers[link.index()];
        self.ahead(interval).map_or(ledger.capacity(), |span| BitRate(ledger.room(classes, span)))
    }

    /// Whether classes can have a rate on a link throughout an interval.
    ///
    /// # Panics
    /// If the link belongs to another topology.
    pub fn has_room(&self, link: DirectedLinkId, classes: ClassSet, interval: Interval, rate: BitRate) -> bool {
        self.ahead(interval).is_none_or(|span| self.ledgers[link.index()].holds(classes, span, rate.0))
    }

    /// Whether there is room for a claim.
    ///
    /// # Errors
    /// [`Denial`] says why not.
    ///
    /// # Panics
    /// If a link belongs to another topology.
    pub fn fits(&self, claim: &Claim) -> Result<(), Denial> {
        self.fits_beside(claim, None)
    }

    /// The first start, not before its own, at which there is room for all of a claim, for the same time; `None` = never, as
    /// things stand.
    ///
    /// # Panics
    /// If a link belongs to another topology.
    pub fn next_start(&self, claim: &Claim) -> Option<SystemTime> {
        let span = Span::from(claim.interval());
        let length = span.length();
        let mut start = span.from.max(self.horizon);
        loop {
            let before = start;
            for &(link, rate) in claim.demands() {
                start = self.ledgers[link.index()].next_start(claim.classes(), start, length, rate.0)?;
            }
            if start == before {
                return Some(instant(start));
            }
        }
    }

    /// Takes room: all that is claimed or nothing.
    ///
    /// # Errors
    /// [`Denial`] says why there is none; nothing changed.
    ///
    /// # Panics
    /// If a link belongs to another topology.
    pub fn reserve(&mut self, claim: Claim) -> Result<Booking, Denial> {
        self.fits(&claim)?;
        self.add(&claim);
        Ok(Booking(claim))
    }

    /// Makes another booking of one: grows, shrinks, extends, shortens or moves it, all at once or not at all. It does not stand in its own
    /// way.
    ///
    /// # Errors
    /// [`Denial`] says why there is no room; nothing changed.
    ///
    /// # Panics
    /// If a link belongs to another topology.
    pub fn change(&mut self, booking: &mut Booking, claim: Claim) -> Result<(), Denial> {
        self.remove(&booking.0);
        let verdict = self.fits_beside(&claim, Some(&booking.0));
        if verdict.is_ok() {
            booking.0 = claim;
        }
        self.add(&booking.0);
        verdict
    }

    /// Keeps of a booking what a claim says, too, and gives the rest back.
    pub fn keep(&mut self, booking: &mut Booking, claim: &Claim) {
        self.remove(&booking.0);
        booking.0 = booking.0.common(claim);
        self.add(&booking.0);
    }

    /// Gives room back.
    pub fn cancel(&mut self, booking: Booking) {
        let Booking(claim) = booking;
        self.remove(&claim);
    }

    /// Books what was booked before a restart, exactly as it was, whether it still fits or not: [`Calendar::displaced`] finds what
    /// does not.
    ///
    /// # Errors
    /// [`Uncountable`]; nothing changed.
    ///
    /// # Panics
    /// If a link belongs to another topology.
    pub fn restore(&mut self, claim: Claim) -> Result<Booking, Uncountable> {
        if let Some(span) = self.ahead(claim.interval()) {
            let countable = |&&(link, rate): &&(DirectedLinkId, BitRate)| self.ledgers[link.index()].countable(span, rate.0);
            if let Some(&(link, _)) = claim.demands().iter().find(|demand| !countable(demand)) {
                return Err(Uncountable { link });
            }
        }
        self.add(&claim);
        Ok(Booking(claim))
    }

    /// What of an interval is not past.
    fn ahead(&self, interval: Interval) -> Option<Span> {
        Span::from(interval).after(self.horizon)
    }

    /// Whether a claim fits, when what is within another is not to be asked for.
    fn fits_beside(&self, claim: &Claim, granted: Option<&Claim>) -> Result<(), Denial> {
        let Some(span) = self.ahead(claim.interval()) else { return Ok(()) };
        let mut worst: Option<(u64, DirectedLinkId, BitRate, Shortage)> = None;
        for &(link, rate) in claim.demands() {
            if granted.is_some_and(|granted| claim.within(granted, link)) {
                continue;
            }
            let Some(shortage) = self.ledgers[link.index()].shortage(claim.classes(), span, rate.0) else { continue };
            let lack = rate.0 - shortage.fits;
            if worst.as_ref().is_none_or(|&(most, ..)| lack > most) {
                worst = Some((lack, link, rate, shortage));
            }
        }
        let Some((_, link, asked, shortage)) = worst else { return Ok(()) };
        let interval = shortage.span.into();
        let (pool, fits) = (shortage.pool, BitRate(shortage.fits));
        Err(Denial { link, pool, interval, fits, asked, next_start: self.next_start(claim) })
    }

    fn add(&mut self, claim: &Claim) {
        self.each(claim, |ledger, span, rate| ledger.add(claim.classes(), span, rate));
    }

    fn remove(&mut self, claim: &Claim) {
        self.each(claim, |ledger, span, rate| ledger.remove(claim.classes(), span, rate));
    }

    fn each(&mut self, claim: &Claim, change: impl Fn(&mut Ledger, Span, u64)) {
        let Some(span) = self.ahead(claim.interval()) else { return };
        for &(link, rate) in claim.demands() {
            let ledger = &mut self.ledgers[link.index()];
            ledger.forget(self.horizon);
            change(ledger, span, rate.0);
        }
    }
}
