//! Handing packets from one thread to another: DPDK's `rte_ring` with one producer and one consumer, without locks or system calls.

use std::alloc::{Layout, alloc_zeroed, dealloc, handle_alloc_error};
use std::ffi::c_int;
use std::num::NonZeroU16;
use std::ptr::NonNull;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use svpn_dpdk_sys as sys;

use crate::burst::Burst;

/// Makes a ring that holds up to `capacity` packets: its two ends, each for one thread. Packets come out in the order they went in; those
/// that are still in it when both ends are gone return to their pools.
#[allow(clippy::must_use_candidate, reason = "the ends are must_use")]
pub fn ring(capacity: NonZeroU16) -> (RingSender, RingReceiver) {
    let ring = Arc::new(Ring::new(capacity));
    (RingSender { ring: Arc::clone(&ring) }, RingReceiver { ring })
}

/// The end that packets go in at. Whoever has it is the ring's only producer.
// Invariant: the only RingSender of its ring.
#[must_use]
#[derive(Debug)]
pub struct RingSender {
    ring: Arc<Ring>,
}

/// The end that packets come out of. Whoever has it is the ring's only consumer.
// Invariant: the only RingReceiver of its ring.
#[must_use]
#[derive(Debug)]
pub struct RingReceiver {
    ring: Arc<Ring>,
}

impl RingSender {
    /// Hands over packets from the front of `burst` and returns how many. Those there was no room for stay in `burst`, in order. Does not wait.
    #[inline]
    pub fn send<const N: usize>(&mut self, burst: &mut Burst<N>) -> usize {
        let (elements, count) = burst.elements();
        let count = u32::try_from(count).unwrap_or(u32::MAX);
        // SAFETY: the ring is initialised for one producer, which is this (invariant, `&mut self`); `elements` are `count` mbufs that
        // the caller owns, and the ring owns the first `sent` of them from here on.
        unsafe {
            let sent = sys::svpn_ring_sp_enqueue_burst(self.ring.rte.as_ptr(), elements, count) as usize;
            burst.remove_front(sent);
            sent
        }
    }
}

impl Drop for RingSender {
    fn drop(&mut self) {
        // After everything this end has sent.
        self.ring.closed.store(true, Ordering::Release);
    }
}

impl RingReceiver {
    /// Adds packets to `burst` until it is full or no more are there; returns how many. Does not wait.
    #[inline]
    pub fn recv<const N: usize>(&mut self, burst: &mut Burst<N>) -> usize {
        let (elements, room) = burst.free_elements();
        let room = u32::try_from(room).unwrap_or(u32::MAX);
        // SAFETY: the ring is initialised for one consumer, which is this (invariant, `&mut self`); `elements` has room for `room`
        // pointers, and the first `received` are mbufs that the sender gave up.
        unsafe {
            let received = sys::svpn_ring_sc_dequeue_burst(self.ring.rte.as_ptr(), elements, room) as usize;
            burst.grow(received);
            received
        }
    }

    /// Whether the sender is gone. What [`RingReceiver::recv`] finds after this was true is all there will ever be.
    pub fn is_closed(&self) -> bool {
        self.ring.closed.load(Ordering::Acquire)
    }
}

/// What both ends share.
// Invariant: `rte` is an rte_ring in memory of `layout`, initialised for one producer and one consumer, whose elements are mbufs that the
// ring owns; freed with this.
#[derive(Debug)]
struct Ring {
    rte: NonNull<sys::rte_ring>,
    layout: Layout,
    closed: AtomicBool,
}

// SAFETY: an rte_ring is made to be used by two threads at once, one at each end, and what is in it (mbufs, see `Mbuf`) is Send.
unsafe impl Send for Ring {}
// SAFETY: as above; the ends, of which there is one each, reach it through `&mut`.
unsafe impl Sync for Ring {}

impl Ring {
    /// What DPDK aligns a ring to: two cache lines, for those that prefetch in pairs.
    const ALIGN: usize = 128;

    fn new(capacity: NonZeroU16) -> Self {
        // A ring of exact size has one element more, rounded up.
        let elements = (u32::from(capacity.get()) + 1).next_power_of_two();
        // SAFETY: only computes; a power of two below 2^31 has a size.
        let bytes = unsafe { sys::rte_ring_get_memsize(elements) };
        let layout = usize::try_from(bytes).ok().and_then(|bytes| Layout::from_size_align(bytes, Self::ALIGN).ok());
        let layout = layout.expect("a ring of 16 bits has a size");
        // SAFETY: a ring has a size above 0.
        let memory = unsafe { alloc_zeroed(layout) };
        let Some(rte) = NonNull::new(memory.cast()) else { handle_alloc_error(layout) };
        let flags = sys::RING_F_SP_ENQ | sys::RING_F_SC_DEQ | sys::RING_F_EXACT_SZ;
        // SAFETY: `rte` has the bytes that DPDK asked for, aligned to its cache lines; the name is a C string that is copied.
        let code: c_int = unsafe { sys::rte_ring_init(rte.as_ptr(), c"svpn".as_ptr(), u32::from(capacity.get()), flags) };
        assert_eq!(code, 0, "the name, the size and the flags are DPDK's own");
        Self { rte, layout, closed: AtomicBool::new(false) }
    }
}

impl Drop for Ring {
    fn drop(&mut self) {
        let mut left: Burst<64> = Burst::new();
        loop {
            let (elements, room) = left.free_elements();
            // SAFETY: both ends are gone, so this is the only consumer; as in `recv`.
            let received = unsafe { sys::svpn_ring_sc_dequeue_burst(self.rte.as_ptr(), elements, u32::try_from(room).unwrap_or(0)) };
            if received == 0 {
                break;
            }
            // SAFETY: as in `recv`.
            unsafe { left.grow(received as usize) };
            left.clear();
        }
        // SAFETY: allocated with this layout; nobody refers to it any more.
        unsafe { dealloc(self.rte.as_ptr().cast(), self.layout) }
    }
}
