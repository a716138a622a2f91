//! Sending for workers that have no transmit queue of their own on a port: they hand their packets to one that has.
//!
//! What is to be counted if a packet is not sent after all goes with it, as its tag.

use svpn_dpdk::{Burst, RingReceiver, RingSender, TxQueue};

use crate::fastpath::{About, BURST, FastPath, Outlet};
use crate::operations::load::LoadWriter;

/// Where a worker's packets for one port go.
#[derive(Debug)]
pub(crate) enum Exit {
    /// Nowhere any more.
    Closed,
    /// A queue of its own.
    Device(TxQueue),
    /// Another worker, which has one.
    Worker(RingSender),
}

impl Exit {
    /// Sends what is in the outlet; what there is no room for stays. Returns how many packets left by the device. Does not wait.
    #[inline]
    pub(super) fn send(&mut self, outlet: &mut Outlet) -> usize {
        match self {
            Self::Closed => 0,
            Self::Device(queue) => queue.send(&mut outlet.burst),
            Self::Worker(ring) => {
                for index in 0..outlet.burst.len() {
                    let about = outlet.unsent().get(index).copied();
                    if let (Some(about), Some(mbuf)) = (about, outlet.burst.get_mut(index)) {
                        mbuf.set_tag(about.to_tag());
                    }
                }
                ring.send(&mut outlet.burst);
                0
            }
        }
    }

    /// Lets the other worker know that nothing more comes.
    pub(super) fn close(&mut self) {
        if matches!(self, Self::Worker(_)) {
            *self = Self::Closed;
        }
    }
}

/// Packets of another worker's, for a port on which this one has a queue.
#[derive(Debug)]
pub(crate) struct Relay {
    /// Which of this worker's exits they are for.
    exit: usize,
    ring: RingReceiver,
}

impl Relay {
    pub(crate) fn new(exit: usize, ring: RingReceiver) -> Self {
        Self { exit, ring }
    }

    /// Sends a burst of them; returns how many there were. What the queue has no room for is dropped and counted, as if its own worker had sent
    /// it.
    pub(super) fn pass(&mut self, exits: &mut [Exit], fastpath: &mut FastPath, load: &mut LoadWriter) -> usize {
        let mut burst: Burst<BURST> = Burst::new();
        let count = self.ring.recv(&mut burst);
        if count == 0 {
            return 0;
        }
        if let Some(Exit::Device(queue)) = exits.get_mut(self.exit) {
            load.sent(queue.send(&mut burst));
        }
        for mbuf in &burst {
            fastpath.not_transmitted(&[About::from_tag(mbuf.tag())]);
        }
        count
    }

    /// Whether no more will come, once the ring is found empty.
    pub(super) fn is_closed(&self) -> bool {
        self.ring.is_closed()
    }
}
