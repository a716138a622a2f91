//! DPDK's `rte_rcu_qsbr`, as it is: tokens and readers' counters. What they are good for is in `reclaim`.

use std::alloc::{Layout, alloc, dealloc, handle_alloc_error};
use std::num::NonZeroU16;
use std::ptr::NonNull;

use svpn_dpdk_sys as sys;

/// A token, and a counter for each of the readers there can be.
// Invariant: `rcu` is an rte_rcu_qsbr in memory of `layout`, initialised for `readers` threads and freed with this.
#[derive(Debug)]
pub(crate) struct Qsbr {
    rcu: NonNull<sys::rte_rcu_qsbr>,
    layout: Layout,
    readers: u32,
}

// SAFETY: every function of rte_rcu_qsbr used here may be called by several threads at once: what they share are atomic counters. Two that
// report for one reader at a time would make a wrong count, which is for `reclaim` to exclude, and touch nothing else.
unsafe impl Send for Qsbr {}
// SAFETY: as above.
unsafe impl Sync for Qsbr {}

impl Qsbr {
    /// For readers 0 to `readers` − 1, none of them registered.
    pub(crate) fn new(readers: NonZeroU16) -> Self {
        let readers = u32::from(readers.get());
        // SAFETY: a computation; it fails only for 0 threads.
        let size = unsafe { sys::rte_rcu_qsbr_get_memsize(readers) };
        // rte_rcu_qsbr_init wants a cache line; 128 is the largest line DPDK knows. Layouts of less than 2²⁴ bytes are valid.
        let layout = Layout::from_size_align(size, 128).unwrap_or(Layout::new::<u128>());
        // SAFETY: the layout has a size: rte_rcu_qsbr is no empty struct.
        let memory = unsafe { alloc(layout) };
        let Some(rcu) = NonNull::new(memory.cast()) else { handle_alloc_error(layout) };
        // SAFETY: `rcu` has the size and the alignment for `readers`; initialising writes all of it.
        unsafe { sys::rte_rcu_qsbr_init(rcu.as_ptr(), readers) };
        Self { rcu, layout, readers }
    }

    /// Reader `reader` can go online from now on.
    pub(crate) fn register(&self, reader: u32) {
        self.check(reader);
        // SAFETY: the reader is below the number that `rcu` was initialised for.
        unsafe { sys::rte_rcu_qsbr_thread_register(self.rcu.as_ptr(), reader) };
    }

    /// Reader `reader` is offline for good.
    pub(crate) fn unregister(&self, reader: u32) {
        self.check(reader);
        // SAFETY: as in `register`.
        unsafe { sys::rte_rcu_qsbr_thread_unregister(self.rcu.as_ptr(), reader) };
    }

    /// Checks wait for the reader from now on. It is registered, and nobody else reports for it at the same time.
    pub(crate) fn online(&self, reader: u32) {
        self.check(reader);
        // SAFETY: as in `register`.
        unsafe { sys::svpn_rcu_qsbr_thread_online(self.rcu.as_ptr(), reader) };
    }

    /// No check waits for the reader any more. As [`Qsbr::online`].
    pub(crate) fn offline(&self, reader: u32) {
        self.check(reader);
        // SAFETY: as in `register`.
        unsafe { sys::svpn_rcu_qsbr_thread_offline(self.rcu.as_ptr(), reader) };
    }

    /// No check of a token made before waits for the reader any more. As [`Qsbr::online`]; the reader is online.
    #[inline]
    pub(crate) fn quiescent(&self, reader: u32) {
        self.check(reader);
        // SAFETY: as in `register`.
        unsafe { sys::svpn_rcu_qsbr_quiescent(self.rcu.as_ptr(), reader) };
    }

    /// A new token, with release order.
    pub(crate) fn start(&self) -> u64 {
        // SAFETY: `rcu` is initialised.
        unsafe { sys::svpn_rcu_qsbr_start(self.rcu.as_ptr()) }
    }

    /// Whether every reader that is online has reported since `token` was made. Does not wait.
    pub(crate) fn is_over(&self, token: u64) -> bool {
        // SAFETY: `rcu` is initialised; without waiting, the check only reads counters.
        unsafe { sys::svpn_rcu_qsbr_check(self.rcu.as_ptr(), token, false) == 1 }
    }

    /// # Panics
    /// If there is no such reader.
    #[inline]
    fn check(&self, reader: u32) {
        assert!(reader < self.readers, "there are {} readers", self.readers);
    }
}

impl Drop for Qsbr {
    fn drop(&mut self) {
        // SAFETY: allocated by `new` with this layout; nobody refers to it any more.
        unsafe { dealloc(self.rcu.as_ptr().cast(), self.layout) }
    }
}
