//! Counters: each worker has its own, which it alone writes, so counting takes no atomic read-modify-write; reading sums them up.

use std::sync::atomic::Ordering;

use svpn_contract::Reason;
use svpn_dpdk::OutOfMemory;

use super::words::{DenseWords, SparseWords};
use crate::entries::CounterData;

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
    /// Four words for each session: packets and bytes carried, packets and bytes discarded.
    sessions: DenseWords,
    /// Two words for each tunnel slot.
    tunnels: SparseWords,
    /// Two words for each reason.
    drops: SparseWords,
}

/// Words of a session.
const SESSION: usize = 4;

impl WorkerCounters {
    pub(crate) fn new(sessions: u32, tunnel_slots: u32) -> Result<Self, OutOfMemory> {
        Ok(Self {
            sessions: DenseWords::new(sessions as usize * SESSION)?,
            tunnels: SparseWords::new(tunnel_slots as usize * 2)?,
            drops: SparseWords::new(512)?,
        })
    }

    pub(crate) fn session(&self, session: u32) -> CounterData {
        let place = session as usize * SESSION;
        CounterData { packets: self.sessions.load(place), bytes: self.sessions.load(place + 1) }
    }

    pub(crate) fn session_discards(&self, session: u32) -> CounterData {
        let place = session as usize * SESSION + 2;
        CounterData { packets: self.sessions.load(place), bytes: self.sessions.load(place + 1) }
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
        self.sessions.store(session as usize * SESSION, 0);
        self.sessions.store(session as usize * SESSION + 1, 0);
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
        add(&self.0.sessions, session as usize * SESSION, bytes);
    }

    #[inline]
    pub(crate) fn session_discard(&mut self, session: u32, bytes: u32) {
        add(&self.0.sessions, session as usize * SESSION + 2, bytes);
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
pub(crate) fn add<K>(words: &super::words::Words<K>, place: usize, bytes: u32) {
    if let Some([packets, sum]) = words.block(place) {
        packets.store(packets.load(Ordering::Relaxed).wrapping_add(1), Ordering::Relaxed);
        sum.store(sum.load(Ordering::Relaxed).wrapping_add(u64::from(bytes)), Ordering::Relaxed);
    }
}
