//! A big exact-match table whose keys may be long: one cache line for each entry, in short chains.
//!
//! ```text
//! head:  the line of a chain's first entry + 1; 0 = none           one word for each of twice as many chains as entries
//! entry: | next, like a head | value | key words | unused |        8 bytes each, one cache line
//! ```
//!
//! One control thread writes, workers read without a lock and without waiting. An entry is whole before a chain leads to it, its key never
//! changes, and its value is one word, so a worker finds the old value or the new one. An entry that is taken out still leads on to those
//! behind it; its line is used again only after every worker was quiescent.

mod writer;

use svpn_dpdk::OutOfMemory;

use super::hash::Seed;
use super::words::{LINE, SparseWords};

pub(crate) use writer::ChainedWriter;

const NEXT: usize = 0;
const VALUE: usize = 1;
const KEY: usize = 2;

/// The entries, as workers see them; keys have `WORDS` words.
#[derive(Debug)]
pub(crate) struct ChainedTable<const WORDS: usize> {
    heads: SparseWords,
    entries: SparseWords,
    mask: u32,
    seed: Seed,
}

impl<const WORDS: usize> ChainedTable<WORDS> {
    /// Lines of entries that were taken out and wait until no worker reads them, beyond the entries there can be.
    const AWAITED: u32 = 1 << 12;

    /// A table for so many entries.
    pub(crate) fn new(entries: u32, seed: Seed) -> Result<Self, OutOfMemory> {
        const { assert!(WORDS > 0 && KEY + WORDS <= LINE, "an entry is one cache line") };
        let heads = entries.saturating_mul(2).max(2).checked_next_power_of_two().unwrap_or(1 << 31);
        Ok(Self {
            heads: SparseWords::new(heads as usize)?,
            entries: SparseWords::new(Self::lines(entries) as usize * LINE)?,
            mask: heads - 1,
            seed,
        })
    }

    /// Lines of a table for so many entries.
    fn lines(entries: u32) -> u32 {
        entries.saturating_add(Self::AWAITED)
    }

    /// The hash of a key.
    #[inline]
    pub(crate) fn hash(&self, key: &[u64; WORDS]) -> u64 {
        let pairs = key.chunks(2).map(|pair| [pair.first().copied().unwrap_or(0), pair.get(1).copied().unwrap_or(0)]);
        pairs.fold(0, |hash, [first, second]| self.seed.hash([hash ^ first, second]))
    }

    /// Fetches the head of a key's chain.
    #[inline]
    pub(crate) fn prefetch(&self, hash: u64) {
        self.heads.prefetch(self.chain(hash));
    }

    /// Fetches the first entry of a key's chain, whose head is near by now.
    #[inline]
    pub(crate) fn prefetch_entry(&self, hash: u64) {
        if let Some(line) = line(self.heads.load(self.chain(hash))) {
            self.entries.prefetch(line * LINE);
        }
    }

    /// The value of a key.
    #[inline]
    pub(crate) fn find(&self, key: &[u64; WORDS], hash: u64) -> Option<u64> {
        let mut next = line(self.heads.load_acquire(self.chain(hash)));
        while let Some(entry) = next {
            if self.has(entry, key) {
                return Some(self.entries.load_acquire(entry * LINE + VALUE));
            }
            next = line(self.entries.load_acquire(entry * LINE + NEXT));
        }
        None
    }

    #[inline]
    fn has(&self, entry: usize, key: &[u64; WORDS]) -> bool {
        key.iter().zip(entry * LINE + KEY..).all(|(word, index)| self.entries.load(index) == *word)
    }

    #[inline]
    #[allow(clippy::cast_possible_truncation, reason = "the low bits are masked")]
    fn chain(&self, hash: u64) -> usize {
        (hash as u32 & self.mask) as usize
    }
}

/// The line that a head or an entry leads to.
#[inline]
#[allow(clippy::cast_possible_truncation, reason = "lines have 32-bit numbers")]
fn line(word: u64) -> Option<usize> {
    (word as usize).checked_sub(1)
}
