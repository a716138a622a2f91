//! One thread's way in or out of a port.

use std::sync::Arc;

use svpn_dpdk_sys as sys;
use thiserror::Error;

use super::Running;
use crate::burst::Burst;

/// Why a queue was not handed out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum TakeQueueError {
    /// The port was started with fewer queues.
    #[error("queue {queue} does not exist: the port has {count}")]
    NoSuchQueue {
        /// The number asked for.
        queue: u16,
        /// Queues there are.
        count: u16,
    },
    /// The queue has an owner, or had one.
    #[error("queue {queue} was taken before")]
    Taken {
        /// The number asked for.
        queue: u16,
    },
}

/// A receive queue of a running port. Whoever has it is the only one who polls it; the port runs as long as it exists.
// Invariant: the only RxQueue of this port and number; number < the queues the port was configured with. Not Sync is not
// needed for soundness, since polling takes `&mut self`.
#[derive(Debug)]
pub struct RxQueue {
    port: Arc<Running>,
    queue: u16,
}

/// A transmit queue of a running port. Whoever has it is the only one who sends on it; the port runs as long as it exists.
// Invariant: as for RxQueue.
#[derive(Debug)]
pub struct TxQueue {
    port: Arc<Running>,
    queue: u16,
}

impl RxQueue {
    /// # Safety
    /// The port has this queue, and no other `RxQueue` of it exists or will.
    pub(super) unsafe fn new(port: Arc<Running>, queue: u16) -> Self {
        Self { port, queue }
    }

    /// Number of the queue's port.
    pub fn port(&self) -> u16 {
        self.port.id
    }

    /// Number of the queue.
    pub fn queue(&self) -> u16 {
        self.queue
    }

    /// Adds received packets to `burst` until it is full or no more are there; returns how many. Does not wait.
    ///
    /// Hand in an empty burst of at least 32: several NICs' vector drivers receive nothing into less.
    #[inline]
    pub fn recv<const N: usize>(&mut self, burst: &mut Burst<N>) -> usize {
        let (elements, room) = burst.free_elements();
        let room = u16::try_from(room).unwrap_or(u16::MAX);
        // SAFETY: rte_eth_rx_burst needs a started port (`Running` stops it only after the last queue is gone), a
        // configured queue that no other thread polls (invariant, `&mut self`), and an array with room for `room`
        // pointers. It fills the first `received` with mbufs that the caller owns.
        unsafe {
            let received = sys::svpn_eth_rx_burst(self.port.id, self.queue, elements, room);
            burst.grow(usize::from(received));
            usize::from(received)
        }
    }
}

impl TxQueue {
    /// # Safety
    /// The port has this queue, and no other `TxQueue` of it exists or will.
    pub(super) unsafe fn new(port: Arc<Running>, queue: u16) -> Self {
        Self { port, queue }
    }

    /// Number of the queue's port.
    pub fn port(&self) -> u16 {
        self.port.id
    }

    /// Number of the queue.
    pub fn queue(&self) -> u16 {
        self.queue
    }

    /// Sends packets from the front of `burst` and returns how many. Those the queue had no room for stay in `burst`, in
    /// order; the caller tries again or drops them. Does not wait.
    #[inline]
    pub fn send<const N: usize>(&mut self, burst: &mut Burst<N>) -> usize {
        let (elements, count) = burst.elements();
        let count = u16::try_from(count).unwrap_or(u16::MAX);
        // SAFETY: rte_eth_tx_burst needs a started port (see `recv`), a configured queue that no other thread uses (invariant,
        // `&mut self`) and `count` mbufs that the caller owns. It takes the first `sent` of them over.
        unsafe {
            let sent = usize::from(sys::svpn_eth_tx_burst(self.port.id, self.queue, elements, count));
            burst.remove_front(sent);
            sent
        }
    }
}
