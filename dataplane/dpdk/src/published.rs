//! One current value, replaced by a control thread while workers read it.

use std::ptr::NonNull;
use std::sync::Arc;

use crate::reclaim::{Domain, Online, Reclaimer};
use crate::sync::{AtomicPtr, Ordering};

/// The writer's end: replaces the value.
#[derive(Debug)]
pub struct Publisher<T: Send + Sync + 'static> {
    slot: Arc<Slot<T>>,
}

/// A reader's end: the value as last published. Clones read the same.
#[derive(Debug)]
pub struct Published<T: Send + Sync + 'static> {
    slot: Arc<Slot<T>>,
}

/// Where the current value is.
// Invariant: `current` came from Box::into_raw, is valid, and is changed only by the one Publisher, which hands the old value to
// `domain` after it is unlinked; T is Send because it is dropped by another thread than made it, and Sync because readers share it.
#[derive(Debug)]
struct Slot<T: Send + Sync + 'static> {
    current: AtomicPtr<T>,
    domain: Arc<Domain>,
}

impl<T: Send + Sync + 'static> Publisher<T> {
    /// Publishes a first value to the readers of `reclaimer`.
    pub fn new(reclaimer: &Reclaimer, value: Box<T>) -> Self {
        let current = AtomicPtr::new(Box::into_raw(value));
        Self { slot: Arc::new(Slot { current, domain: Arc::clone(reclaimer.domain()) }) }
    }

    /// A reader's end.
    pub fn subscribe(&self) -> Published<T> {
        Published { slot: Arc::clone(&self.slot) }
    }

    /// Replaces the value. Readers find the new one from their next [`Published::read`] on; the old one is dropped by
    /// [`Reclaimer::reclaim`] when no reader can hold it.
    pub fn publish(&mut self, value: Box<T>) {
        // Release: who finds the pointer finds the value. Acquire: the old value may come from another thread's `publish`.
        let old = self.slot.current.swap(Box::into_raw(value), Ordering::AcqRel);
        // SAFETY: `old` came from Box::into_raw, so it is not null; it is unlinked, and the only Publisher gives it up once.
        // References to it were borrowed from readers that are online, or from this Publisher, which `&mut` excludes.
        unsafe { self.slot.domain.retire(NonNull::new_unchecked(old)) };
    }

    /// The current value.
    pub fn get(&self) -> &T {
        // SAFETY: the value is valid until it is retired, for which `publish` needs this Publisher exclusively.
        unsafe { &*self.slot.current.load(Ordering::Acquire) }
    }
}

impl<T: Send + Sync + 'static> Published<T> {
    /// The current value, until `online` next announces that it holds no reference.
    ///
    /// # Panics
    /// If `online` is a reader of another [`Reclaimer`] than the value was published with.
    #[inline]
    pub fn read<'a>(&'a self, online: &'a Online<'_>) -> &'a T {
        assert!(online.is_in(&self.slot.domain), "the reader belongs to another reclaimer");
        let current = self.slot.current.load(Ordering::Acquire);
        // SAFETY: the value was current while this reader was online, so it is retired, if at all, in a grace period that ends
        // only after this reader is quiescent or offline, for which `online` must not be borrowed (see `reclaim`). If it stays
        // current, it lives as long as the slot, which `self` keeps.
        unsafe { &*current }
    }
}

impl<T: Send + Sync + 'static> Clone for Published<T> {
    fn clone(&self) -> Self {
        Self { slot: Arc::clone(&self.slot) }
    }
}

impl<T: Send + Sync + 'static> Drop for Slot<T> {
    fn drop(&mut self) {
        // Whoever had the other ends let go of them before.
        let current = self.current.load(Ordering::Relaxed);
        // SAFETY: `current` came from Box::into_raw; references to it borrow a Publisher or Published, of which there is none left.
        drop(unsafe { Box::from_raw(current) });
    }
}

#[cfg(test)]
mod tests {
    use std::num::NonZeroU16;
    use std::sync::Arc;
    use std::sync::atomic::{AtomicBool, AtomicU64};
    use std::thread;

    use super::*;

    /// A value whose words are equal while it lives, and which counts its end.
    struct Snapshot {
        words: [u64; 16],
        dropped: Arc<AtomicU64>,
    }

    impl Snapshot {
        fn new(version: u64, dropped: &Arc<AtomicU64>) -> Box<Self> {
            Box::new(Self { words: [version; 16], dropped: Arc::clone(dropped) })
        }
    }

    impl Drop for Snapshot {
        fn drop(&mut self) {
            // Visible to a reader that still looks.
            self.words[3] = u64::MAX;
            self.dropped.fetch_add(1, Ordering::Relaxed);
        }
    }

    fn reclaimer() -> Reclaimer {
        Reclaimer::new(NonZeroU16::new(4).unwrap())
    }

    #[test]
    fn a_value_lives_until_its_readers_are_quiescent() {
        let dropped = Arc::new(AtomicU64::new(0));
        let count = || dropped.load(Ordering::Relaxed);
        let mut reclaimer = reclaimer();
        let mut publisher = Publisher::new(&reclaimer, Snapshot::new(1, &dropped));
        let table = publisher.subscribe();
        let mut reader = reclaimer.reader().unwrap();
        let mut online = reader.online();
        let first = table.read(&online);
        publisher.publish(Snapshot::new(2, &dropped));
        assert_eq!((first.words[0], table.read(&online).words[0], publisher.get().words[0]), (1, 2, 2));
        assert_eq!((reclaimer.reclaim(), count()), (0, 0));
        online.quiescent();
        assert_eq!((reclaimer.reclaim(), count()), (1, 1));
        assert_eq!(table.read(&online).words, [2; 16]);
        // The publisher's end is not the value's.
        drop(publisher);
        assert_eq!(table.read(&online).words, [2; 16]);
        drop(table);
        assert_eq!(count(), 2);
    }

    #[test]
    fn retired_values_are_dropped_with_their_domain() {
        let dropped = Arc::new(AtomicU64::new(0));
        let reclaimer = reclaimer();
        let mut publisher = Publisher::new(&reclaimer, Snapshot::new(1, &dropped));
        publisher.publish(Snapshot::new(2, &dropped));
        drop(reclaimer);
        publisher.publish(Snapshot::new(3, &dropped));
        assert_eq!(dropped.load(Ordering::Relaxed), 0);
        drop(publisher);
        assert_eq!(dropped.load(Ordering::Relaxed), 3);
    }

    #[test]
    #[should_panic(expected = "another reclaimer")]
    fn a_reader_of_another_reclaimer_is_refused() {
        let (own, other) = (reclaimer(), reclaimer());
        let table = Publisher::new(&own, Box::new(1)).subscribe();
        let mut reader = other.reader().unwrap();
        table.read(&reader.online());
    }

    /// Readers that come and go against a publisher that never rests.
    #[test]
    fn readers_see_whole_living_values_that_only_get_newer() {
        const VERSIONS: u64 = 50_000;
        let dropped = Arc::new(AtomicU64::new(0));
        let mut reclaimer = reclaimer();
        let mut publisher = Publisher::new(&reclaimer, Snapshot::new(0, &dropped));
        let done = Arc::new(AtomicBool::new(false));
        let readers: Vec<_> = (0..3)
            .map(|_| {
                let (table, done) = (publisher.subscribe(), Arc::clone(&done));
                let mut reader = reclaimer.reader().unwrap();
                thread::spawn(move || {
                    let mut last = 0;
                    while !done.load(Ordering::Relaxed) {
                        let mut online = reader.online();
                        for _ in 0..50 {
                            for _ in 0..4 {
                                let value = table.read(&online);
                                thread::yield_now();
                                assert_eq!(value.words, [value.words[0]; 16]);
                                assert!(value.words[0] >= last);
                                last = value.words[0];
                            }
                            online.quiescent();
                        }
                    }
                })
            })
            .collect();
        for version in 1..=VERSIONS {
            publisher.publish(Snapshot::new(version, &dropped));
            reclaimer.reclaim();
        }
        done.store(true, Ordering::Relaxed);
        for reader in readers {
            reader.join().unwrap();
        }
        reclaimer.reclaim();
        assert_eq!((dropped.load(Ordering::Relaxed), reclaimer.pending()), (VERSIONS, 0));
        drop(publisher);
        assert_eq!(dropped.load(Ordering::Relaxed), VERSIONS + 1);
    }
}
