//! What has to be done now and then: pass punted frames on, watch links, free memory.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use crossbeam_queue::ArrayQueue;
use svpn_contract::packet::PacketIn;
use svpn_contract::wire::{PortId, VrfId};
use tokio::sync::mpsc;

use super::links::Links;
use super::lock;
use super::ports::RunningPort;
use crate::entries::{Entries, PortState};
use crate::worker::Punted;

/// How often punted frames are passed on: workers cannot wake a thread without a system call.
const PUNTS: Duration = Duration::from_millis(1);
/// How many rounds of it there are between two looks at the links: a failed one is noticed within 10 ms.
const ROUNDS: u32 = 10;

/// The housekeeping thread.
#[derive(Debug)]
pub(super) struct Keeper {
    entries: Arc<Mutex<Entries>>,
    ports: Arc<[RunningPort]>,
    links: Links,
    /// The state of each port as the tables have it.
    states: Vec<Option<PortState>>,
    punted: Arc<ArrayQueue<Punted>>,
    controller: mpsc::Sender<PacketIn>,
}

impl Keeper {
    pub(super) fn new(
        entries: Arc<Mutex<Entries>>,
        ports: Arc<[RunningPort]>,
        links: Links,
        punted: Arc<ArrayQueue<Punted>>,
        controller: mpsc::Sender<PacketIn>,
    ) -> Self {
        let states = ports.iter().map(|_| None).collect();
        Self { entries, ports, links, states, punted, controller }
    }

    pub(super) fn run(mut self, stop: &AtomicBool) {
        let mut round = 0_u32;
        while !stop.load(Ordering::Acquire) {
            self.pass_on();
            if round.is_multiple_of(ROUNDS) {
                self.watch();
            }
            round = round.wrapping_add(1);
            std::thread::sleep(PUNTS);
        }
        self.pass_on();
    }

    /// Passes frames on as long as the controller takes them. What it does not take stays in the queue, and when that is full the
    /// workers drop and count.
    fn pass_on(&self) {
        while !self.punted.is_empty() {
            let Ok(permit) = self.controller.try_reserve() else { return };
            let Some(punted) = self.punted.pop() else { return };
            permit.send(packet_in(&punted));
        }
    }

    /// Tells the tables which links have changed, and lets them free what is no longer read.
    fn watch(&mut self) {
        let mut changes = Vec::new();
        for (port, known) in self.ports.iter().zip(&mut self.states) {
            let state = port.state(&mut self.links);
            if known.replace(state) != Some(state) {
                changes.push((port.number, state));
            }
        }
        if changes.is_empty() {
            // Whoever holds the entries publishes when done.
            if let Ok(mut entries) = self.entries.try_lock() {
                entries.publish();
            }
            return;
        }
        let mut entries = lock(&self.entries);
        for (port, state) in changes {
            entries.set_port_state(port, state);
        }
        entries.publish();
    }
}

/// A punted frame with its bytes, from all segments.
fn packet_in((mbuf, punt): &Punted) -> PacketIn {
    let mut frame = Vec::with_capacity(mbuf.total_len());
    mbuf.segments().for_each(|segment| frame.extend_from_slice(segment));
    PacketIn {
        ingress_port: PortId::new(punt.port).unwrap_or_default(),
        reason: punt.reason,
        vrf: VrfId::new(punt.vrf).unwrap_or_default(),
        frame,
    }
}
