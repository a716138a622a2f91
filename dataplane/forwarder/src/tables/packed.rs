//! A counter of packets and bytes in one word, which one worker writes: half the memory of two words, and one store a packet.
//!
//! ```text
//! word:   | bytes 40 | packets 24 |                              both come round
//! halves: | half rounds of bytes 32 | of packets 32 |            a word elsewhere, looked for once in 2²³ packets
//! ```
//!
//! The lowest bit of a number of half rounds is the highest bit of what is in the word, so whoever reads the two sees if one of them is older,
//! and the count is exact at every moment: the word is stored first, so the half rounds are never more than one behind.

use super::words::{SparseWords, Words};
use crate::entries::CounterData;
use crate::sync::{AtomicU64, Ordering};

/// Bits of packets in the word.
const PACKETS: u32 = 24;
/// Bits of bytes, above them. No frame has as many bytes as half a round.
const BYTES: u32 = 40;
const TOP_OF_PACKETS: u64 = 1 << (PACKETS - 1);
const TOP_OF_BYTES: u64 = 1 << (PACKETS + BYTES - 1);

/// The half rounds of one worker's counters. The words lie where the packets are looked up anyway.
#[derive(Debug)]
pub(crate) struct Halves(SparseWords);

impl Halves {
    /// For so many counters. Takes memory only for those, by the page, that come round.
    pub(crate) fn new(counters: usize) -> Result<Self, svpn_dpdk::OutOfMemory> {
        Ok(Self(SparseWords::new(counters)?))
    }

    /// Counts a packet with the word at `place`, whose half rounds are number `counter`; for the one worker whose words these are.
    #[inline]
    pub(crate) fn add<K>(&self, words: &Words<K>, place: usize, counter: usize, bytes: u32) {
        let Some([word]) = words.block(place) else { return };
        self.add_to(word, counter, bytes);
    }

    /// The same with a word that was found already.
    #[inline]
    pub(crate) fn add_to(&self, word: &AtomicU64, counter: usize, bytes: u32) {
        let before = word.load(Ordering::Relaxed);
        let after = before.wrapping_add((u64::from(bytes) << PACKETS) + 1);
        if (before ^ after) & (TOP_OF_PACKETS | TOP_OF_BYTES) == 0 {
            word.store(after, Ordering::Release);
        } else {
            self.go_round(word, before, after, counter);
        }
    }

    /// Stores a word of which a part has gone half a round on, or on and beyond.
    #[cold]
    fn go_round(&self, word: &AtomicU64, before: u64, after: u64, counter: usize) {
        // What packets carry into bytes as they come round is no byte.
        let carried = before & !(u64::MAX << PACKETS) == !(u64::MAX << PACKETS);
        let after = if carried { after.wrapping_sub(1 << PACKETS) } else { after };
        word.store(after, Ordering::Release);
        let [packets, bytes] = split(self.0.load(counter));
        let turned = |top: u64| u32::from((before ^ after) & top != 0);
        let [packets, bytes] = [packets.wrapping_add(turned(TOP_OF_PACKETS)), bytes.wrapping_add(turned(TOP_OF_BYTES))];
        // Release: who reads these half rounds finds the word no older.
        self.0.store_release(counter, u64::from(bytes) << 32 | u64::from(packets));
    }

    /// What was counted, at one moment.
    pub(crate) fn read<K>(&self, words: &Words<K>, place: usize, counter: usize) -> CounterData {
        loop {
            let halves = self.0.load_acquire(counter);
            let word = words.load_acquire(place);
            // The word is of a time between two moments in which these were the half rounds, or the worker was about to store them.
            if self.0.load(counter) == halves {
                let [packets, bytes] = split(halves);
                return CounterData {
                    packets: whole(packets, word & !(u64::MAX << PACKETS), PACKETS),
                    bytes: whole(bytes, word >> PACKETS, BYTES),
                };
            }
        }
    }

    /// Sets a counter to zero; no worker may be counting it.
    pub(crate) fn clear<K>(&self, words: &Words<K>, place: usize, counter: usize) {
        words.store(place, 0);
        if self.0.load(counter) != 0 {
            self.0.store(counter, 0);
        }
    }
}

/// Half rounds of packets and of bytes.
#[allow(clippy::cast_possible_truncation, reason = "the halves of the word")]
fn split(halves: u64) -> [u32; 2] {
    [halves as u32, (halves >> 32) as u32]
}

/// The number whose lowest `bits` are `low`, after so many half rounds, or one more.
fn whole(halves: u32, low: u64, bits: u32) -> u64 {
    let behind = (u64::from(halves) ^ low >> (bits - 1)) & 1;
    (u64::from(halves) + behind) >> 1 << bits | low
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::tables::words::DenseWords;

    #[test]
    fn what_comes_round_is_counted_on() {
        let (words, halves) = (DenseWords::new(2).unwrap(), Halves::new(1).unwrap());
        let read = || halves.read(&words, 1, 0);
        let (mut packets, mut bytes) = (0_u64, 0_u64);
        // Packets come round several times, and so do bytes: each is as long as can be.
        for round in 0..18_000_000_u64 {
            let length = if round % 3 == 0 { u32::MAX } else { 64 };
            halves.add(&words, 1, 0, length);
            (packets, bytes) = (packets + 1, bytes + u64::from(length));
            if round % 4099 == 0 || packets & 0x7f_ffff < 2 {
                assert_eq!(read(), CounterData { packets, bytes });
            }
        }
        assert_eq!(read(), CounterData { packets, bytes });
        assert!(bytes >> BYTES > 3 && packets >> PACKETS == 1);
        assert_eq!(words.load(0), 0);
        halves.clear(&words, 1, 0);
        assert_eq!(read(), CounterData::default());
    }

    proptest! {
        #[test]
        fn the_count_is_that_of_all_packets(
            start in (0..1_u64 << 50, 0..1_u64 << 60),
            lengths in prop::collection::vec(any::<u32>(), 0..50),
        ) {
            let (words, halves) = (DenseWords::new(1).unwrap(), Halves::new(1).unwrap());
            let (mut packets, mut bytes) = start;
            // As if so much had been counted before.
            words.store(0, bytes << PACKETS | packets & !(u64::MAX << PACKETS));
            halves.0.store(0, bytes >> (BYTES - 1) << 32 | packets >> (PACKETS - 1));
            for length in lengths {
                halves.add(&words, 0, 0, length);
                (packets, bytes) = (packets + 1, bytes + u64::from(length));
                prop_assert_eq!(halves.read(&words, 0, 0), CounterData { packets, bytes });
            }
        }

        /// The moment between the two stores, of each kind of turn.
        #[test]
        fn half_rounds_that_are_one_behind_do_not_matter(packets in 1..4_u64, bytes in 1..4_u64) {
            let (words, halves) = (DenseWords::new(1).unwrap(), Halves::new(1).unwrap());
            let (packets, bytes) = (packets << (PACKETS - 1), bytes << (BYTES - 1));
            words.store(0, bytes << PACKETS | packets & !(u64::MAX << PACKETS));
            for (late_packets, late_bytes) in [(0, 0), (1, 0), (0, 1), (1, 1)] {
                halves.0.store(0, ((bytes >> (BYTES - 1)) - late_bytes) << 32 | ((packets >> (PACKETS - 1)) - late_packets));
                prop_assert_eq!(halves.read(&words, 0, 0), CounterData { packets, bytes });
            }
        }
    }
}
