//! `session`: a cache line for each, by its id.
//!
//! ```text
//! word 0     present 1 | how it polices 4 | 4 | class 3 | VPN label 20 | tunnel slot 32
//!      1..6  the meter, as in `police`
//!      7     unused
//! ```

use svpn_contract::wire::{Class, Colour, Label};
use svpn_dpdk::OutOfMemory;

use super::carry::Carry;
use super::meter::{Buckets, Sharing};
use super::police;
use super::words::{DenseWords, LINE};
use crate::sync::{AtomicU64, Ordering};

const PRESENT: u64 = 1 << 63;

/// The sessions, as workers see them.
#[derive(Debug)]
pub(crate) struct SessionTable {
    lines: DenseWords,
    sharing: Sharing,
}

/// A session that is there.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Session<'a> {
    /// Where its packets go.
    pub(crate) carry: Carry,
    line: &'a [AtomicU64; LINE],
}

impl Session<'_> {
    /// The colour of a packet of the session, whose table's meters are shared so.
    #[inline]
    pub(crate) fn meter(self, bytes: u32, now: u64, sharing: Sharing) -> Colour {
        police::colour(self.line, bytes, now, sharing)
    }
}

impl SessionTable {
    pub(crate) fn new(sessions: u32, sharing: Sharing) -> Result<Self, OutOfMemory> {
        Ok(Self { lines: DenseWords::new(sessions as usize * LINE)?, sharing })
    }

    #[inline]
    pub(crate) fn prefetch(&self, session: u32) {
        self.lines.prefetch(session as usize * LINE);
    }

    /// A session; `None` if there is no such.
    #[inline]
    pub(crate) fn get(&self, session: u32) -> Option<Session<'_>> {
        let line = self.lines.part(session as usize)?;
        let word = line[0].load(Ordering::Acquire);
        (word & PRESENT != 0).then(|| Session { carry: Carry::from_bits(word), line })
    }

    /// Where a session's packets go; `None` if there is no such session.
    pub(crate) fn carry(&self, session: u32) -> Option<Carry> {
        self.get(session).map(|session| session.carry)
    }

    /// Who uses the meters.
    #[inline]
    pub(crate) fn sharing(&self) -> Sharing {
        self.sharing
    }

    /// Makes the buckets of a session full, with new numbers.
    pub(crate) fn configure(&self, session: u32, buckets: &Buckets, now: u64) {
        police::configure(&self.lines, session as usize * LINE, buckets, now);
    }

    /// What a session does, from now on.
    pub(crate) fn set(&self, session: u32, carry: Carry, buckets: Option<&Buckets>) {
        self.lines.store_release(session as usize * LINE, PRESENT | police::flags(buckets) | carry.bits());
    }

    /// Keeps buckets that are hardly ever used right over months.
    pub(crate) fn refresh(&self, session: u32, now: u64) {
        police::refresh(&self.lines, session as usize * LINE, now);
    }

    /// The session is no more.
    pub(crate) fn clear(&self, session: u32) {
        self.lines.store(session as usize * LINE, 0);
    }
}

/// The parts of [`Carry`] as they come from the contract.
pub(crate) fn carry(slot: u32, vpn_label: Label, class: Class) -> Carry {
    Carry { tunnel: slot, vpn_label: vpn_label.get(), class: class.get() }
}

#[cfg(test)]
mod tests {
    use svpn_contract::MeterConfig;

    use super::*;
    use crate::tables::meter::{Hertz, Timebase};

    const CARRY: Carry = Carry { tunnel: u32::MAX, vpn_label: 0xf_ffff, class: 7 };

    #[test]
    fn a_session_is_there_from_set_to_clear() {
        let table = SessionTable::new(3, Sharing::OneWorker).unwrap();
        table.set(2, CARRY, None);
        assert_eq!((table.carry(2), table.carry(1), table.carry(3)), (Some(CARRY), None, None));
        assert_eq!(table.get(2).unwrap().meter(u32::MAX, 0, Sharing::OneWorker), Colour::GREEN);
        table.clear(2);
        assert_eq!(table.carry(2), None);
    }

    #[test]
    fn one_bucket_serves_for_two_that_are_equal() {
        let timebase = Timebase::new(Hertz::new(1000).unwrap());
        let config = |cburst| MeterConfig { cir: 1000, cburst, pir: 1000, pburst: 100 };
        let table = SessionTable::new(2, Sharing::ManyWorkers).unwrap();
        for (session, cburst, second) in [(0, 100, Colour::RED), (1, 50, Colour::YELLOW)] {
            let buckets = Buckets::new(config(cburst), timebase);
            table.configure(session, &buckets, 0);
            table.set(session, CARRY, Some(&buckets));
            let found = table.get(session).unwrap();
            assert_eq!(found.carry, CARRY);
            let size = if cburst == 100 { 60 } else { 50 };
            assert_eq!(found.meter(size, 0, Sharing::ManyWorkers), Colour::GREEN);
            assert_eq!(found.meter(size, 0, Sharing::ManyWorkers), second);
            // A tenth of a second fills both.
            assert_eq!(found.meter(size, timebase.moment(100), Sharing::ManyWorkers), Colour::GREEN);
        }
    }
}
