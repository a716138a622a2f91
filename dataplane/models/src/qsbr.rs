//! DPDK's `rte_rcu_qsbr`, written out: the steps and orders of `rte_rcu_qsbr.h`, with the interface of `dataplane/dpdk/src/qsbr.rs`.

use std::num::NonZeroU16;

use crate::sync::{AtomicBool, AtomicU64, Ordering, fence};

/// A reader that is offline has this in place of a token.
const OFFLINE: u64 = 0;
const FIRST_TOKEN: u64 = 1;

/// A token, and a counter for each of the readers there can be.
#[derive(Debug)]
pub(crate) struct Qsbr {
    token: AtomicU64,
    readers: Box<[Counter]>,
}

#[derive(Debug)]
struct Counter {
    registered: AtomicBool,
    seen: AtomicU64,
}

impl Qsbr {
    pub(crate) fn new(readers: NonZeroU16) -> Self {
        let counter = |_| Counter { registered: AtomicBool::new(false), seen: AtomicU64::new(OFFLINE) };
        Self { token: AtomicU64::new(FIRST_TOKEN), readers: (0..readers.get()).map(counter).collect() }
    }

    pub(crate) fn register(&self, reader: u32) {
        self.reader(reader).registered.store(true, Ordering::Release);
    }

    pub(crate) fn unregister(&self, reader: u32) {
        self.reader(reader).registered.store(false, Ordering::Release);
    }

    pub(crate) fn online(&self, reader: u32) {
        let token = self.token.load(Ordering::Relaxed);
        self.reader(reader).seen.store(token, Ordering::Relaxed);
        fence(Ordering::SeqCst);
    }

    pub(crate) fn offline(&self, reader: u32) {
        self.reader(reader).seen.store(OFFLINE, Ordering::Release);
    }

    pub(crate) fn quiescent(&self, reader: u32) {
        let token = self.token.load(Ordering::Acquire);
        let seen = &self.reader(reader).seen;
        if seen.load(Ordering::Relaxed) != token {
            seen.store(token, Ordering::Release);
        }
    }

    pub(crate) fn start(&self) -> u64 {
        self.token.fetch_add(1, Ordering::Release) + 1
    }

    pub(crate) fn is_over(&self, token: u64) -> bool {
        self.readers.iter().filter(|reader| reader.registered.load(Ordering::Acquire)).all(|reader| {
            let seen = reader.seen.load(Ordering::Acquire);
            seen == OFFLINE || seen >= token
        })
    }

    fn reader(&self, reader: u32) -> &Counter {
        &self.readers[reader as usize]
    }
}
