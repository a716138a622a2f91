//! What a router tells of itself.

use std::num::NonZeroU64;
use std::time::SystemTime;

use svpn_contract::Reason;
use svpn_contract::wire::{PortId, SessionId};
use svpn_dpdk::Placement;

use super::Router;
use crate::entries::{CounterData, SessionCount};
use crate::operations::load::{Load, LoadReading};
use std::sync::Arc;

/// Reasons from it on are drops, those below it punts.
const FIRST_DROP: u8 = 32;
/// Sessions that are counted while the entries are held: some tens of microseconds.
const TURN: u32 = 4096;

/// What is known of a worker from outside.
#[derive(Debug)]
pub(super) struct Seat {
    pub(super) load: Arc<Load>,
    pub(super) placement: Placement,
    pub(super) queues: Vec<(PortId, u16)>,
}

/// When a router started.
#[derive(Debug, Clone, Copy)]
pub(super) struct Start {
    pub(super) time: SystemTime,
    /// The workers' clock then.
    pub(super) ticks: u64,
    pub(super) hertz: NonZeroU64,
}

/// State of a worker.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WorkerReport {
    /// Where it may run.
    pub placement: Placement,
    /// The receive queues it polls: ports and the numbers of their queues.
    pub queues: Vec<(PortId, u16)>,
    /// What it counted of itself.
    pub load: LoadReading,
}

impl WorkerReport {
    /// Where it may run, in words: a processor's number, or `any`.
    pub fn processor(&self) -> String {
        match self.placement {
            Placement::Anywhere => "any".to_owned(),
            Placement::Processor(processor) => processor.to_string(),
        }
    }
}

/// Packet memory.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PacketBuffers {
    /// Buffers there are.
    pub all: u32,
    /// Buffers that hold no packet.
    pub free: u32,
}

impl Router {
    /// State of every worker.
    pub fn worker_reports(&self) -> Vec<WorkerReport> {
        let report = |seat: &Seat| WorkerReport { placement: seat.placement, queues: seat.queues.clone(), load: seat.load.read() };
        self.seats.iter().map(report).collect()
    }

    /// Packets dropped, for every reason to drop one.
    pub fn drops(&self) -> Vec<(Reason, CounterData)> {
        let entries = self.entries();
        reasons(|reason| reason >= FIRST_DROP).map(|reason| (reason, entries.drops(reason))).collect()
    }

    /// Packets handed to the controller, for every reason to do so.
    pub fn punts_by_reason(&self) -> Vec<(Reason, u64)> {
        let sum = |reason| self.seats.iter().map(|seat| seat.load.punted(reason)).fold(0, u64::wrapping_add);
        reasons(|reason| 0 < reason && reason < FIRST_DROP).map(|reason| (reason, sum(reason))).collect()
    }

    /// What the sessions there are counted together. The entries are held for a few thousand at a time.
    pub fn session_totals(&self) -> SessionCount {
        let end = self.entries().session_end();
        let turns = (0..end).step_by(TURN as usize).map(|first| first..first.saturating_add(TURN));
        turns.map(|turn| self.entries().sum_sessions(turn)).fold(SessionCount::default(), SessionCount::plus)
    }

    /// The lowest ids of sessions from one on, so many at most.
    pub fn session_ids(&self, first: u32, most: usize) -> Vec<u32> {
        let end = self.entries().session_end();
        let mut ids = Vec::new();
        for first in (first..end).step_by(TURN as usize) {
            let room = most.saturating_sub(ids.len());
            if room == 0 {
                break;
            }
            let entries = self.entries();
            ids.extend(entries.session_ids(first..first.saturating_add(TURN)).take(room).map(SessionId::get));
        }
        ids
    }

    /// Packet memory.
    pub fn packet_buffers(&self) -> PacketBuffers {
        PacketBuffers { all: self.pool.size(), free: self.pool.available() }
    }

    /// Updates that controllers have asked for, by result: `OK`, or the name of a gRPC code.
    pub fn updates_by_result(&self) -> Vec<(&'static str, u64)> {
        self.updates.by_result()
    }

    /// When it started.
    pub fn started(&self) -> SystemTime {
        self.start.time
    }

    /// How long it has been running, by the workers' clock.
    pub fn uptime_ticks(&self) -> u64 {
        svpn_dpdk::tsc().wrapping_sub(self.start.ticks)
    }

    /// Ticks per second of the workers' clock.
    pub fn tsc_hz(&self) -> NonZeroU64 {
        self.start.hertz
    }
}

fn reasons(wanted: impl Fn(u8) -> bool) -> impl Iterator<Item = Reason> {
    Reason::ALL.iter().copied().filter(move |reason| wanted(*reason as u8))
}
