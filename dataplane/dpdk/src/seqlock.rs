//! A sequence lock over words: one writer, many readers, no reader sees half a write.
//!
//! After H.-J. Boehm, "Can seqlocks get along with programming language memory models?" (2012): data is read and written as relaxed
//! atomic words, so nothing is a data race, and fences order them against the sequence number, which is odd during a write.

use std::sync::atomic::{AtomicU64, Ordering, fence};

/// A word shared between threads. The second implementation is the model checker's.
pub(crate) trait Word {
    /// Atomic load.
    fn load(&self, order: Ordering) -> u64;
    /// Atomic store.
    fn store(&self, value: u64, order: Ordering);
    /// Memory fence.
    fn fence(order: Ordering);
    /// Between two looks at a sequence that is odd.
    fn pause();
}

impl Word for AtomicU64 {
    #[inline]
    fn load(&self, order: Ordering) -> u64 {
        Self::load(self, order)
    }

    #[inline]
    fn store(&self, value: u64, order: Ordering) {
        Self::store(self, value, order);
    }

    #[inline]
    fn fence(order: Ordering) {
        fence(order);
    }

    #[inline]
    fn pause() {
        std::hint::spin_loop();
    }
}

/// Writes one slot. The caller is the slot's only writer.
#[inline]
pub(crate) fn write<W: Word>(sequence: &W, words: &[W], values: impl Iterator<Item = u64>) {
    // Only this thread changes it.
    let before = sequence.load(Ordering::Relaxed);
    sequence.store(before.wrapping_add(1), Ordering::Relaxed);
    // A reader that sees any word below, with its own fence, sees the odd sequence.
    W::fence(Ordering::Release);
    for (word, value) in words.iter().zip(values) {
        word.store(value, Ordering::Relaxed);
    }
    // A reader that sees this sequence sees all words.
    sequence.store(before.wrapping_add(2), Ordering::Release);
}

/// Reads one slot: hands `take` each word with its index, and all of them again if a write came between. What was handed last
/// is one write's.
#[inline]
pub(crate) fn read<W: Word>(sequence: &W, words: &[W], mut take: impl FnMut(usize, u64)) {
    loop {
        let before = sequence.load(Ordering::Acquire);
        if before.is_multiple_of(2) {
            for (index, word) in words.iter().enumerate() {
                take(index, word.load(Ordering::Relaxed));
            }
            // If any word was of a later write, the sequence below is not `before`.
            W::fence(Ordering::Acquire);
            if sequence.load(Ordering::Relaxed) == before {
                return;
            }
        }
        W::pause();
    }
}

#[cfg(test)]
mod tests {
    use loom::sync::Arc;
    use loom::sync::atomic::AtomicU64 as Modelled;

    use super::*;

    impl Word for Modelled {
        fn load(&self, order: Ordering) -> u64 {
            Self::load(self, order)
        }

        fn store(&self, value: u64, order: Ordering) {
            Self::store(self, value, order);
        }

        fn fence(order: Ordering) {
            loom::sync::atomic::fence(order);
        }

        fn pause() {
            loom::thread::yield_now();
        }
    }

    type Slot = Arc<(Modelled, [Modelled; 2])>;

    fn read_pair(slot: &Slot) -> [u64; 2] {
        let mut pair = [u64::MAX; 2];
        read(&slot.0, &slot.1, |index, word| pair[index] = word);
        pair
    }

    /// A slot, and a thread that makes `writes` writes of it: pairs of 1, of 2 and so on.
    fn slot_being_written(writes: u64) -> (Slot, loom::thread::JoinHandle<()>) {
        let slot: Slot = Arc::new((Modelled::new(0), [Modelled::new(0), Modelled::new(0)]));
        let written = Arc::clone(&slot);
        let thread = loom::thread::spawn(move || {
            for value in 1..=writes {
                write(&written.0, &written.1, [value; 2].into_iter());
            }
        });
        (slot, thread)
    }

    /// Runs `test` in every interleaving in which threads interrupt each other at most three times, with every reordering that the
    /// memory model allows. Without that bound both tests below pass too, but take half a minute.
    fn check(test: impl Fn() + Sync + Send + 'static) {
        let mut model = loom::model::Builder::new();
        model.preemption_bound = Some(3);
        model.check(test);
    }

    #[test]
    fn no_interleaving_shows_half_a_write() {
        check(|| {
            let (slot, thread) = slot_being_written(2);
            let pair = read_pair(&slot);
            assert_eq!(pair[0], pair[1]);
            thread.join().unwrap();
        });
    }

    #[test]
    fn no_later_read_is_older() {
        check(|| {
            let (slot, thread) = slot_being_written(1);
            let (first, second) = (read_pair(&slot), read_pair(&slot));
            assert!(first[0] <= second[0] && second[0] == second[1], "{first:?} {second:?}");
            thread.join().unwrap();
            assert_eq!(read_pair(&slot), [1, 1]);
        });
    }
}
