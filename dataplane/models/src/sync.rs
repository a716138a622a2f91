//! loom's atomics under the standard library's names.

use std::sync::OnceLock;

pub(crate) use loom::sync::atomic::{AtomicBool, AtomicPtr, AtomicU32, Ordering, fence};
pub(crate) use loom::sync::{Mutex, MutexGuard};
pub(crate) use loom::thread::yield_now;

/// A word of a table, which has many, of which a model uses few.
///
/// loom knows of a word that was made one by one; of one that was made with many it knows from when it is first written, and before it is a
/// constant. A word that several threads use is written before they start, or loom says that it was made without their knowledge.
#[derive(Debug, Default)]
pub(crate) struct AtomicU64 {
    first: u64,
    used: OnceLock<loom::sync::atomic::AtomicU64>,
}

impl AtomicU64 {
    pub(crate) fn new(first: u64) -> Self {
        Self { first, used: OnceLock::from(loom::sync::atomic::AtomicU64::new(first)) }
    }

    fn used(&self) -> &loom::sync::atomic::AtomicU64 {
        self.used.get_or_init(|| loom::sync::atomic::AtomicU64::new(self.first))
    }

    pub(crate) fn load(&self, order: Ordering) -> u64 {
        self.used.get().map_or(self.first, |word| word.load(order))
    }

    pub(crate) fn store(&self, value: u64, order: Ordering) {
        self.used().store(value, order);
    }

    pub(crate) fn compare_exchange(&self, read: u64, value: u64, success: Ordering, failure: Ordering) -> Result<u64, u64> {
        self.used().compare_exchange(read, value, success, failure)
    }

    pub(crate) fn compare_exchange_weak(&self, read: u64, value: u64, success: Ordering, failure: Ordering) -> Result<u64, u64> {
        self.used().compare_exchange_weak(read, value, success, failure)
    }

    pub(crate) fn fetch_add(&self, value: u64, order: Ordering) -> u64 {
        self.used().fetch_add(value, order)
    }

    pub(crate) fn fetch_or(&self, value: u64, order: Ordering) -> u64 {
        self.used().fetch_or(value, order)
    }

    pub(crate) fn fetch_and(&self, value: u64, order: Ordering) -> u64 {
        self.used().fetch_and(value, order)
    }
}

impl AtomicU64 {
    /// Says that the word is no more: loom panics if there could be an access at the same time.
    pub(crate) fn end(&mut self) {
        if let Some(word) = self.used.get_mut() {
            word.with_mut(|_| ());
        }
    }
}
