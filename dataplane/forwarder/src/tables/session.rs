//! `session`: a cache line for each, by its id.
//!
//! ```text
//! word 0  what to do, see below          4  a byte's duration, committed rate
//!      1  when the peak bucket is full    5  the peak bucket's depth, in time
//!      2  when the committed one is       6  the committed bucket's
//!      3  a byte's duration, peak rate    7  unused
//!
//! word 0  present 1 | meter 2 | peak frozen 1 | committed frozen 1 | 4 | class 3 | VPN label 20 | tunnel slot 32
//! ```

use std::sync::atomic::{AtomicU64, Ordering};

use svpn_contract::wire::{Class, Colour, Label};
use svpn_dpdk::OutOfMemory;

use super::carry::Carry;
use super::meter::{self, Bucket, Buckets, Sharing};
use super::words::{DenseWords, LINE};

const PRESENT: u64 = 1 << 63;
const METER_SHIFT: u32 = 61;
const PEAK_FROZEN: u64 = 1 << 60;
const COMMITTED_FROZEN: u64 = 1 << 59;

/// How a session is policed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Policing {
    /// Not at all.
    None = 0,
    /// By the peak bucket alone: the committed one always holds the same.
    OneBucket = 1,
    /// By both buckets.
    TwoBuckets = 2,
}

/// The sessions, as workers see them.
#[derive(Debug)]
pub(crate) struct SessionTable {
    lines: DenseWords,
    sharing: Sharing,
}

impl SessionTable {
    pub(crate) fn new(sessions: u32, sharing: Sharing) -> Result<Self, OutOfMemory> {
        Ok(Self { lines: DenseWords::new(sessions as usize * LINE)?, sharing })
    }

    #[inline]
    pub(crate) fn prefetch(&self, session: u32) {
        self.lines.prefetch(session as usize * LINE);
    }

    /// Where a session's packets go; `None` if there is no such session.
    #[inline]
    pub(crate) fn carry(&self, session: u32) -> Option<Carry> {
        let word = self.lines.load_acquire(session as usize * LINE);
        (word & PRESENT != 0).then(|| Carry::from_bits(word))
    }

    /// The colour of a session's packet.
    #[inline]
    pub(crate) fn meter(&self, session: u32, bytes: u32, now: u64) -> Colour {
        let Some(line) = self.lines.line(session as usize * LINE) else { return Colour::GREEN };
        let [action, peak_at, committed_at, peak_cost, committed_cost, peak_burst, committed_burst, _] = line;
        let load = |word: &AtomicU64| word.load(Ordering::Relaxed);
        let action = load(action);
        let policing = action >> METER_SHIFT & 3;
        if policing == Policing::None as u64 {
            return Colour::GREEN;
        }
        let bytes = u64::from(bytes);
        let peak = Bucket { cost: load(peak_cost), burst: load(peak_burst), frozen: action & PEAK_FROZEN != 0 };
        let conformance = meter::spend(peak_at, &peak, bytes, now, self.sharing);
        meter::colour(conformance, || {
            if policing == Policing::OneBucket as u64 {
                return conformance;
            }
            let committed = Bucket { cost: load(committed_cost), burst: load(committed_burst), frozen: action & COMMITTED_FROZEN != 0 };
            meter::spend(committed_at, &committed, bytes, now, self.sharing)
        })
    }

    /// Makes the buckets of a session full, with new numbers.
    pub(crate) fn configure(&self, session: u32, buckets: &Buckets, now: u64) {
        let line = session as usize * LINE;
        let full = |bucket: &Bucket| if bucket.frozen { 0 } else { now };
        self.lines.store(line + 3, buckets.peak.cost);
        self.lines.store(line + 4, buckets.committed.cost);
        self.lines.store(line + 5, buckets.peak.burst);
        self.lines.store(line + 6, buckets.committed.burst);
        self.lines.store(line + 1, full(&buckets.peak));
        self.lines.store(line + 2, full(&buckets.committed));
    }

    /// What a session does, from now on.
    pub(crate) fn set(&self, session: u32, carry: Carry, buckets: Option<&Buckets>) {
        let policing = match buckets {
            None => Policing::None,
            Some(buckets) if buckets.are_one() => Policing::OneBucket,
            Some(_) => Policing::TwoBuckets,
        };
        let flag = |flag: u64, bucket: fn(&Buckets) -> Bucket| if buckets.is_some_and(|all| bucket(all).frozen) { flag } else { 0 };
        let frozen = flag(PEAK_FROZEN, |all| all.peak) | flag(COMMITTED_FROZEN, |all| all.committed);
        self.lines.store_release(session as usize * LINE, PRESENT | (policing as u64) << METER_SHIFT | frozen | carry.bits());
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

    const CARRY: Carry = Carry { tunnel: u32::MAX, vpn_label: 0xf_ffff, class: 7 };

    #[test]
    fn a_session_is_there_from_set_to_clear() {
        let table = SessionTable::new(3, Sharing::OneWorker).unwrap();
        table.set(2, CARRY, None);
        assert_eq!((table.carry(2), table.carry(1), table.carry(3)), (Some(CARRY), None, None));
        assert_eq!(table.meter(2, u32::MAX, 0), Colour::GREEN);
        table.clear(2);
        assert_eq!(table.carry(2), None);
    }

    #[test]
    fn one_bucket_serves_for_two_that_are_equal() {
        let clock = meter::Hertz::new(1000).unwrap();
        let config = |cburst| MeterConfig { cir: 1000, cburst, pir: 1000, pburst: 100 };
        let table = SessionTable::new(2, Sharing::ManyWorkers).unwrap();
        for (session, cburst, second) in [(0, 100, Colour::RED), (1, 50, Colour::YELLOW)] {
            let buckets = Buckets::new(config(cburst), clock);
            table.configure(session, &buckets, 0);
            table.set(session, CARRY, Some(&buckets));
            assert_eq!(table.carry(session), Some(CARRY));
            let size = if cburst == 100 { 60 } else { 50 };
            assert_eq!(table.meter(session, size, 0), Colour::GREEN);
            assert_eq!(table.meter(session, size, 0), second);
            // A tenth of a second fills both.
            assert_eq!(table.meter(session, size, meter::moment(100)), Colour::GREEN);
        }
    }
}
