//! Prefetch hints.

/// Asks the processor to fetch the cache line at the start of `object` into its nearest cache.
///
/// A hint: it never faults and changes nothing but time. It does nothing on processors for which Rust has
/// no stable prefetch.
#[inline]
pub fn prefetch_read<T: ?Sized>(object: &T) {
    prefetch_pointer(std::ptr::from_ref(object).cast());
}

/// [`prefetch_read`] of an address, which need not be one of an object.
#[inline]
pub(crate) fn prefetch_pointer(address: *const u8) {
    #[cfg(target_arch = "x86_64")]
    // SAFETY: PREFETCHT0 is part of the x86-64 baseline and does not fault, whatever the address.
    unsafe {
        use std::arch::x86_64::{_MM_HINT_T0, _mm_prefetch};
        _mm_prefetch::<_MM_HINT_T0>(address.cast());
    }
    #[cfg(not(target_arch = "x86_64"))]
    let _ = address;
}
