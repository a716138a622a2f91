//! When entries were hit last, by a coarse clock: about a second for each tick.

use crate::sync::{AtomicU32, Ordering};

/// A coarse clock that control threads set and workers read: its line changes once a second.
#[derive(Debug, Default)]
pub(crate) struct Ticker(AtomicU32);

impl Ticker {
    /// Ticks since some moment; they wrap after more than a hundred years.
    #[inline]
    pub(crate) fn now(&self) -> u32 {
        self.0.load(Ordering::Relaxed)
    }

    pub(crate) fn set(&self, now: u32) {
        self.0.store(now, Ordering::Relaxed);
    }
}

/// An entry's value, and the tick in which it was hit last. Both are one word, so that they change together.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Hit {
    pub(crate) value: u32,
    pub(crate) last: u32,
}

impl Hit {
    #[inline]
    #[allow(clippy::cast_possible_truncation, reason = "the halves of the word")]
    pub(crate) fn from_word(word: u64) -> Self {
        Self { value: word as u32, last: (word >> 32) as u32 }
    }

    #[inline]
    pub(crate) fn word(self) -> u64 {
        u64::from(self.last) << 32 | u64::from(self.value)
    }
}
