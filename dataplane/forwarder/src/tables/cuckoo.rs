//! A hash table from keys of `W` words to 32 bits, with one writer and readers that take no lock: the flows.
//!
//! A cuckoo hash: a key has two buckets with room for two entries each, and a bucket knows whether an entry that belongs to it is in the
//! other one. Both entries share a cache line if they fit, otherwise each has its own and the lines are neighbours:
//!
//! ```text
//! W = 2:  | address | hit | tag | address | hit | tag | entries elsewhere | unused |            8 bytes each
//! W = 5:  | 4 words of addresses | hit | tag | entries elsewhere | unused |   | 4 words of addresses | hit | tag | unused ×2 |
//! hit:    | last hit 32, in ticks of the table's clock | value 32 |
//! tag:    | the key's last word 56 | version 7 | present 1 |
//! ```
//!
//! One control thread writes, workers read without a lock. A place is changed only while its tag says that it is not present, and its
//! version rises each time it is used again, so a reader that finds the same tag after it has read the rest has read one entry.
//! A version that comes round is used only after every worker was quiescent. An entry that is moved is in both places for a moment; a
//! reader that finds nothing while an entry was moved looks again. A hit is noted as in [`super::flow`].

mod writer;

use svpn_dpdk::OutOfMemory;

use super::hash::Seed;
use super::ticks::{Hit, Ticker};
use super::words::{LINE, SparseWords};
use crate::sync::{AtomicU64, Ordering, fence};

pub(crate) use writer::CuckooWriter;

/// Entries in a bucket.
const ENTRIES: usize = 2;
const PRESENT: u64 = 1;

/// The table, as workers see it. The last word of a key has 56 bits.
#[derive(Debug)]
pub(crate) struct Cuckoo<const W: usize> {
    words: SparseWords,
    /// An even number, so that each bucket has a neighbour.
    buckets: u32,
    seed: Seed,
    /// How many entries were moved.
    moves: AtomicU64,
    /// What hits are noted by.
    pub(crate) ticker: Ticker,
}

/// A value found, or not, or a place that changed meanwhile.
enum Probe {
    Found(u32),
    Other,
}

impl<const W: usize> Cuckoo<W> {
    /// Where value and last hit are in an entry; the address words are before it.
    const HIT: usize = W - 1;
    const TAG: usize = W;
    /// Words from one entry to the next.
    const STRIDE: usize = if ENTRIES * (W + 1) < LINE { W + 1 } else { LINE };
    /// The word of a bucket, in its first line, that counts the entries that are in their other bucket.
    const ELSEWHERE: usize = if ENTRIES * (W + 1) < LINE { ENTRIES * (W + 1) } else { W + 1 };
    /// Words of a bucket.
    const BUCKET: usize = {
        assert!(Self::ELSEWHERE < LINE, "an entry and the count of those elsewhere share a line");
        (ENTRIES * Self::STRIDE).next_multiple_of(LINE)
    };

    /// A table of so many buckets. Insertions find a place while no more than eight places in ten are taken.
    pub(crate) fn new(buckets: u32, seed: Seed) -> Result<Self, OutOfMemory> {
        let buckets = buckets.clamp(2, u32::MAX - 1).next_multiple_of(2);
        Ok(Self {
            words: SparseWords::new(buckets as usize * Self::BUCKET)?,
            buckets,
            seed,
            moves: AtomicU64::new(0),
            ticker: Ticker::default(),
        })
    }

    #[inline]
    pub(crate) fn hash(&self, key: [u64; W]) -> u64 {
        self.seed.hash_words(key)
    }

    /// Fetches where nearly all entries are: the first bucket, and the first line of the second.
    #[inline]
    pub(crate) fn prefetch(&self, hash: u64) {
        let [first, second] = self.buckets(hash);
        self.words.prefetch(first as usize * Self::BUCKET);
        if Self::BUCKET > LINE {
            self.words.prefetch(first as usize * Self::BUCKET + LINE);
        }
        self.words.prefetch(second as usize * Self::BUCKET);
    }

    /// The value of a key.
    #[inline]
    pub(crate) fn find(&self, key: [u64; W], hash: u64) -> Option<u32> {
        loop {
            let moves = self.moves.load(Ordering::Acquire);
            let [first, second] = self.buckets(hash);
            if let Probe::Found(value) = self.probe(first, &key) {
                return Some(value);
            }
            if self.words.load_acquire(first as usize * Self::BUCKET + Self::ELSEWHERE) != 0
                && let Probe::Found(value) = self.probe(second, &key)
            {
                return Some(value);
            }
            fence(Ordering::Acquire);
            if self.moves.load(Ordering::Relaxed) == moves {
                return None;
            }
        }
    }

    /// A key's two buckets, which differ.
    #[inline]
    #[allow(clippy::cast_possible_truncation, reason = "a half of the hash times the buckets, without its low half, is below the buckets")]
    fn buckets(&self, hash: u64) -> [u32; 2] {
        let reduce = |half: u64| ((half * u64::from(self.buckets)) >> 32) as u32;
        let (first, second) = (reduce(hash & u64::from(u32::MAX)), reduce(hash >> 32));
        [first, if second == first { first ^ 1 } else { second }]
    }

    #[inline]
    fn probe(&self, bucket: u32, key: &[u64; W]) -> Probe {
        for entry in 0..ENTRIES {
            let place = bucket as usize * Self::BUCKET + entry * Self::STRIDE;
            loop {
                let tag = self.words.load_acquire(place + Self::TAG);
                if tag & PRESENT == 0 || tag >> 8 != key[W - 1] || !self.has_addresses(place, key) {
                    break;
                }
                let hit = self.words.load(place + Self::HIT);
                // What was read before this fence is no newer than the tag read after it.
                fence(Ordering::Acquire);
                if self.words.load(place + Self::TAG) == tag {
                    let (read, now) = (Hit::from_word(hit), self.ticker.now());
                    if read.last != now {
                        self.words.replace(place + Self::HIT, hit, Hit { last: now, ..read }.word());
                    }
                    return Probe::Found(read.value);
                }
            }
        }
        Probe::Other
    }

    #[inline]
    fn has_addresses(&self, place: usize, key: &[u64; W]) -> bool {
        let differences = key[..W - 1].iter().enumerate().fold(0, |all, (index, word)| all | (word ^ self.words.load(place + index)));
        differences == 0
    }
}
