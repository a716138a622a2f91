//! Memory that one control thread writes and workers read.

use std::marker::PhantomData;

use svpn_dpdk::{Backing, LargeSlice, OutOfMemory, prefetch_read};

use crate::sync::{AtomicU64, Ordering};

/// Words in a cache line.
pub(crate) const LINE: usize = 8;

/// An array of words that starts at a cache line, all zero at first.
///
/// A word outside the array reads as zero, which every table takes for "nothing", and writing it changes nothing: the fast path
/// has no way to panic.
#[derive(Debug)]
pub(crate) struct Words<K> {
    memory: LargeSlice<AtomicU64>,
    kind: PhantomData<K>,
}

/// Words in large pages, for what is as large as it is full.
pub(crate) type DenseWords = Words<Dense>;

/// Words in large pages of which untouched ones take no memory, for what is rarely as full as it can be.
pub(crate) type SparseWords = Words<Sparse>;

/// All of the memory is taken at the start.
#[derive(Debug)]
pub(crate) enum Dense {}

/// Memory is taken where it is used.
#[derive(Debug)]
pub(crate) enum Sparse {}

impl DenseWords {
    pub(crate) fn new(count: usize) -> Result<Self, OutOfMemory> {
        Ok(Self { memory: LargeSlice::zeroed(count, Backing::System)?, kind: PhantomData })
    }
}

impl SparseWords {
    pub(crate) fn new(count: usize) -> Result<Self, OutOfMemory> {
        Ok(Self { memory: LargeSlice::zeroed(count, Backing::SystemWhenTouched)?, kind: PhantomData })
    }
}

impl<K> Words<K> {
    /// The words, for a loop that has to do with many of them.
    #[inline]
    pub(crate) fn view(&self) -> WordsView<'_> {
        WordsView(&self.memory)
    }

    /// A word that needs no others to go with it.
    #[inline]
    pub(crate) fn load(&self, index: usize) -> u64 {
        self.view().load(index)
    }

    /// A word that leads to others: they are at least as new as it.
    #[inline]
    pub(crate) fn load_acquire(&self, index: usize) -> u64 {
        self.view().load_acquire(index)
    }

    #[inline]
    pub(crate) fn store(&self, index: usize, value: u64) {
        if let Some(word) = self.memory.get(index) {
            word.store(value, Ordering::Relaxed);
        }
    }

    /// Stores a word that leads to others, which were stored before.
    #[inline]
    pub(crate) fn store_release(&self, index: usize, value: u64) {
        if let Some(word) = self.memory.get(index) {
            word.store(value, Ordering::Release);
        }
    }

    /// Stores a word in place of the one that was read, unless that has changed meanwhile.
    #[inline]
    pub(crate) fn replace(&self, index: usize, read: u64, value: u64) {
        if let Some(word) = self.memory.get(index) {
            // Who was faster had a newer word.
            let _ = word.compare_exchange(read, value, Ordering::Relaxed, Ordering::Relaxed);
        }
    }

    /// A cache line's words, from the one at `index`.
    #[inline]
    pub(crate) fn line(&self, index: usize) -> Option<&[AtomicU64; LINE]> {
        self.view().block(index)
    }

    /// `N` words from the one at `index`: one check for all.
    #[inline]
    pub(crate) fn block<const N: usize>(&self, index: usize) -> Option<&[AtomicU64; N]> {
        self.view().block(index)
    }

    /// The `number`th `N` words: as [`Words::block`] of `number * N`, but one comparison instead of two.
    #[inline]
    pub(crate) fn part<const N: usize>(&self, number: usize) -> Option<&[AtomicU64; N]> {
        self.view().part(number)
    }

    /// Fetches the line of a word.
    #[inline]
    pub(crate) fn prefetch(&self, index: usize) {
        self.view().prefetch(index);
    }
}

/// The words of a [`Words`], to be kept in registers.
#[derive(Debug, Clone, Copy)]
pub(crate) struct WordsView<'a>(&'a [AtomicU64]);

impl<'a> WordsView<'a> {
    /// [`Words::load`].
    #[inline]
    pub(crate) fn load(self, index: usize) -> u64 {
        self.0.get(index).map_or(0, |word| word.load(Ordering::Relaxed))
    }

    /// [`Words::load_acquire`].
    #[inline]
    pub(crate) fn load_acquire(self, index: usize) -> u64 {
        self.0.get(index).map_or(0, |word| word.load(Ordering::Acquire))
    }

    /// [`Words::block`].
    #[inline]
    pub(crate) fn block<const N: usize>(self, index: usize) -> Option<&'a [AtomicU64; N]> {
        self.0.get(index..)?.first_chunk()
    }

    /// [`Words::part`].
    #[inline]
    pub(crate) fn part<const N: usize>(self, number: usize) -> Option<&'a [AtomicU64; N]> {
        self.0.as_chunks().0.get(number)
    }

    /// [`Words::prefetch`].
    #[inline]
    pub(crate) fn prefetch(self, index: usize) {
        if let Some(word) = self.0.get(index) {
            prefetch_read(word);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check<K>(words: &Words<K>) {
        assert_eq!(std::ptr::from_ref(words.line(0).unwrap()).addr() % 64, 0);
        assert!((0..100).all(|index| words.load(index) == 0));
        words.store_release(99, 7);
        assert_eq!(words.load_acquire(99), 7);
        words.store(usize::MAX / 2, 1);
        assert_eq!(words.load(usize::MAX / 2), 0);
        assert!(words.line(92).is_some());
        assert!(words.part::<4>(24).is_some_and(|part| part[3].load(Ordering::Relaxed) == 7) && words.part::<4>(25).is_none());
        assert!(words.part::<8>(11).is_some() && words.part::<8>(12).is_none());
    }

    #[test]
    fn words_start_at_a_line_are_zero_and_end() {
        check(&DenseWords::new(100).unwrap());
        check(&SparseWords::new(100).unwrap());
    }
}
