//! `vrf_policer` and `punt_policer`: a meter for each VRF, in bytes, and for each reason, in packets. A line of `police` each, by its number.
//!
//! Only an entry with a meter is seen by workers: without one everything is green, as it is without an entry.

use svpn_contract::wire::Colour;
use svpn_dpdk::OutOfMemory;

use super::meter::{Buckets, Sharing};
use super::police;
use super::words::{LINE, SparseWords};

/// The meters, as workers see them.
#[derive(Debug)]
pub(crate) struct PolicerTable {
    lines: SparseWords,
    sharing: Sharing,
}

impl PolicerTable {
    /// Numbers of VRFs.
    pub(crate) const VRFS: usize = 1 << 16;
    /// Numbers of reasons.
    pub(crate) const REASONS: usize = 1 << 8;

    /// A table for numbers below `numbers`.
    pub(crate) fn new(numbers: usize, sharing: Sharing) -> Result<Self, OutOfMemory> {
        Ok(Self { lines: SparseWords::new(numbers * LINE)?, sharing })
    }

    /// Fetches the line of a number.
    #[inline]
    pub(crate) fn prefetch(&self, number: u16) {
        self.lines.prefetch(usize::from(number) * LINE);
    }

    /// The colour of an amount: bytes, or one packet. `now` is a moment of the meters' time base.
    #[inline]
    pub(crate) fn colour(&self, number: u16, amount: u32, now: u64) -> Colour {
        let line = self.lines.line(usize::from(number) * LINE);
        line.map_or(Colour::GREEN, |line| police::colour(line, amount, now, self.sharing))
    }

    /// Makes the buckets of a number full, with new numbers.
    pub(crate) fn configure(&self, number: u16, buckets: &Buckets, now: u64) {
        police::configure(&self.lines, usize::from(number) * LINE, buckets, now);
    }

    /// How a number is policed, from now on; `None`: not at all.
    pub(crate) fn set(&self, number: u16, buckets: Option<&Buckets>) {
        self.lines.store_release(usize::from(number) * LINE, police::flags(buckets));
    }

    /// Keeps a bucket that is hardly ever used right over months.
    pub(crate) fn refresh(&self, number: u16, now: u64) {
        police::refresh(&self.lines, usize::from(number) * LINE, now);
    }
}

#[cfg(test)]
mod tests {
    use svpn_contract::MeterConfig;

    use super::*;
    use crate::tables::meter::{Hertz, Timebase};

    #[test]
    fn a_number_is_policed_from_set_to_cleared() {
        let timebase = Timebase::new(Hertz::new(1_000).unwrap());
        let table = PolicerTable::new(PolicerTable::REASONS, Sharing::ManyWorkers).unwrap();
        let buckets = Buckets::new(MeterConfig { cir: 10, cburst: 1, pir: 10, pburst: 2 }, timebase);
        let colours = |number: u16, now: u64| [(); 4].map(|()| table.colour(number, 1, timebase.moment(now)));
        assert_eq!(colours(255, 0), [Colour::GREEN; 4]);
        table.configure(255, &buckets, timebase.moment(0));
        table.set(255, Some(&buckets));
        table.prefetch(255);
        assert_eq!(colours(255, 0), [Colour::GREEN, Colour::YELLOW, Colour::RED, Colour::RED]);
        // A tenth of a second brings a packet to each bucket.
        assert_eq!(colours(255, 100), [Colour::GREEN, Colour::RED, Colour::RED, Colour::RED]);
        assert_eq!((colours(254, 0), colours(256, 0)), ([Colour::GREEN; 4], [Colour::GREEN; 4]));
        table.set(255, None);
        assert_eq!(colours(255, 100), [Colour::GREEN; 4]);
    }
}
