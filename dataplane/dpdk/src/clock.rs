//! The processor's clock.

/// Clocks since some fixed moment, [`Eal::tsc_hz`](crate::Eal::tsc_hz) of them per second, the same on all cores
/// of a machine with an invariant time stamp counter. Not ordered with the memory accesses around it.
#[inline]
pub fn tsc() -> u64 {
    // SAFETY: rte_rdtsc reads a register and has no precondition.
    unsafe { svpn_dpdk_sys::svpn_rdtsc() }
}
