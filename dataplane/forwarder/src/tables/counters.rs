//! Counters: each worker has its own, which it alone writes, so counting takes no atomic read-modify-write; reading sums them up.

use svpn_contract::Reason;
use svpn_dpdk::OutOfMemory;

use super::packed::Halves;
use super::words::{DenseWords, SparseWords, Words};
use crate::entries::CounterData;
use crate::sync::Ordering;

impl CounterData {
    /// The sum of two.
    #[must_use]
    pub(crate) fn plus(self, other: Self) -> Self {
        Self { packets: self.packets.wrapping_add(other.packets), bytes: self.bytes.wrapping_add(other.bytes) }
    }

    /// What is left without `other`.
    #[must_use]
    pub(crate) fn minus(self, other: Self) -> Self {
        Self { packets: self.packets.wrapping_sub(other.packets), bytes: self.bytes.wrapping_sub(other.bytes) }
    }
}

/// A worker's counters of sessions, tunnels and drops. Labels are counted in the worker's label map.
#[derive(Debug)]
pub(crate) struct WorkerCounters {
    /// Two words for each session, as in `packed`: of what is carried, and of what is discarded.
    sessions: DenseWords,
    carried: Halves,
    discarded: Halves,
    /// Two words for each tunnel slot.
    tunnels: SparseWords,
    /// Two words for each reason.
    drops: SparseWords,
}

/// Words of a session.
const SESSION: usize = 2;

impl WorkerCounters {
    pub(crate) fn new(sessions: u32, tunnel_slots: u32) -> Result<Self, OutOfMemory> {
        Ok(Self {
            sessions: DenseWords::new(sessions as usize * SESSION)?,
            carried: Halves::new(sessions as usize)?,
            discarded: Halves::new(sessions as usize)?,
            tunnels: SparseWords::new(tunnel_slots as usize * 2)?,
            drops: SparseWords::new(512)?,
        })
    }

    pub(crate) fn session(&self, session: u32) -> CounterData {
        self.carried.read(&self.sessions, session as usize * SESSION, session as usize)
    }

    pub(crate) fn session_discards(&self, session: u32) -> CounterData {
        self.discarded.read(&self.sessions, session as usize * SESSION + 1, session as usize)
    }

    pub(crate) fn tunnel(&self, slot: u32) -> CounterData {
        let place = slot as usize * 2;
        CounterData { packets: self.tunnels.load(place), bytes: self.tunnels.load(place + 1) }
    }

    pub(crate) fn drops(&self, reason: Reason) -> CounterData {
        let place = reason as usize * 2;
        CounterData { packets: self.drops.load(place), bytes: self.drops.load(place + 1) }
    }

    /// Sets the carried count of a session to zero; no worker may be counting it.
    pub(crate) fn clear_session(&self, session: u32) {
        self.carried.clear(&self.sessions, session as usize * SESSION, session as usize);
    }

    /// Sets a tunnel slot to zero; no worker may be counting it.
    pub(crate) fn clear_tunnel(&self, slot: u32) {
        self.tunnels.store(slot as usize * 2, 0);
        self.tunnels.store(slot as usize * 2 + 1, 0);
    }

    /// Fetches the line of a session.
    #[inline]
    pub(crate) fn prefetch_session(&self, session: u32) {
        self.sessions.prefetch(session as usize * SESSION);
    }
}

/// The right to count: the one worker has it whose counters these are.
#[derive(Debug)]
pub(crate) struct Counting(std::sync::Arc<WorkerCounters>);

impl Counting {
    pub(crate) fn new(counters: std::sync::Arc<WorkerCounters>) -> Self {
        Self(counters)
    }

    #[inline]
    pub(crate) fn prefetch_session(&self, session: u32) {
        self.0.prefetch_session(session);
    }

    #[inline]
    pub(crate) fn session(&mut self, session: u32, bytes: u32) {
        self.0.carried.add(&self.0.sessions, session as usize * SESSION, session as usize, bytes);
    }

    #[inline]
    pub(crate) fn session_discard(&mut self, session: u32, bytes: u32) {
        self.0.discarded.add(&self.0.sessions, session as usize * SESSION + 1, session as usize, bytes);
    }

    #[inline]
    pub(crate) fn tunnel(&mut self, slot: u32, bytes: u32) {
        add(&self.0.tunnels, slot as usize * 2, bytes);
    }

    #[inline]
    pub(crate) fn drop(&mut self, reason: Reason, bytes: u32) {
        add(&self.0.drops, reason as usize * 2, bytes);
    }
}

/// Adds one packet to the two words at `place`, which nobody else writes.
#[inline]
fn add<K>(words: &Words<K>, place: usize, bytes: u32) {
    if let Some([packets, sum]) = words.block(place) {
        packets.store(packets.load(Ordering::Relaxed).wrapping_add(1), Ordering::Relaxed);
        sum.store(sum.load(Ordering::Relaxed).wrapping_add(u64::from(bytes)), Ordering::Relaxed);
    }
}
