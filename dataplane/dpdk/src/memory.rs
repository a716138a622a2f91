//! Memory for large tables.

use std::alloc::{Layout, alloc, dealloc};
use std::ffi::c_void;
use std::num::NonZeroUsize;
use std::ops::{Deref, DerefMut};
use std::ptr::NonNull;
use std::slice;

use bytemuck::Zeroable;
use nix::sys::mman::{MapFlags, MmapAdvise, ProtFlags, madvise, mmap_anonymous, munmap};
use svpn_dpdk_sys as sys;
use thiserror::Error;

use crate::eal::Eal;

/// What kind of memory a table is in. Random access to a large table costs much less through large pages.
#[derive(Debug, Clone, Copy)]
pub enum Backing {
    /// The system's, in transparent large pages where it has them.
    System,
    /// As [`Backing::System`], but taken page by page when first touched: for what is rarely as full as it can be.
    SystemWhenTouched,
    /// The EAL's own, in hugepages if it has them, on NUMA node `socket` or, if `None`, any. Not beyond what the EAL was given.
    Eal {
        /// Proof that there is an EAL.
        eal: Eal,
        /// NUMA node.
        socket: Option<u32>,
    },
}

/// There is not so much memory.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error("no memory for {count} elements of {size} bytes")]
pub struct OutOfMemory {
    /// Elements asked for.
    pub count: usize,
    /// Bytes of one.
    pub size: usize,
}

/// A fixed number of elements, all zero at first, at the start of a cache line; for elements of atomics, shared between threads.
// Invariant: `first` points to `count` initialised elements in memory this owns, taken as `source` says.
#[derive(Debug)]
pub struct LargeSlice<T> {
    first: NonNull<T>,
    count: usize,
    source: Source,
}

/// How memory is to be given back.
#[derive(Debug)]
enum Source {
    System(Layout),
    Mapped {
        start: NonNull<c_void>,
        bytes: NonZeroUsize,
    },
    Eal,
    /// No bytes.
    Nothing,
}

// SAFETY: owns its elements, as a Vec does.
unsafe impl<T: Send> Send for LargeSlice<T> {}
// SAFETY: gives shared references to its elements, as a Vec does.
unsafe impl<T: Sync> Sync for LargeSlice<T> {}

impl<T: Zeroable> LargeSlice<T> {
    const CACHE_LINE: usize = 64;
    const LARGE_PAGE: usize = 2 << 20;

    /// `count` elements of zero.
    pub fn zeroed(count: usize, backing: Backing) -> Result<Self, OutOfMemory> {
        const { assert!(!std::mem::needs_drop::<T>(), "elements are given back without being dropped") };
        let out_of_memory = OutOfMemory { count, size: size_of::<T>() };
        let layout = Layout::array::<T>(count).and_then(|layout| layout.align_to(Self::CACHE_LINE)).map_err(|_| out_of_memory)?;
        if layout.size() == 0 {
            return Ok(Self { first: NonNull::dangling(), count, source: Source::Nothing });
        }
        let (memory, source) = match backing {
            // Less than a large page would take one all the same.
            Backing::SystemWhenTouched if layout.size() >= Self::LARGE_PAGE => Self::from_mapping(layout).ok_or(out_of_memory)?,
            Backing::System | Backing::SystemWhenTouched => Self::from_system(layout),
            Backing::Eal { socket, .. } => (Self::from_eal(layout, socket), Source::Eal),
        };
        // All bits zero are a T (Zeroable), `count` times.
        let first = NonNull::new(memory.cast()).ok_or(out_of_memory)?;
        Ok(Self { first, count, source })
    }

    /// Zeroed memory, or null.
    fn from_system(layout: Layout) -> (*mut u8, Source) {
        // Only what starts at a large page's boundary can be in one.
        let layout = match layout.align_to(Self::LARGE_PAGE) {
            Ok(aligned) if layout.size() >= Self::LARGE_PAGE => aligned,
            _ => layout,
        };
        // SAFETY: the layout has a size.
        let memory = unsafe { alloc(layout) };
        if let Some(address) = NonNull::new(memory.cast::<c_void>()) {
            if layout.align() == Self::LARGE_PAGE {
                let whole_pages = layout.size() / Self::LARGE_PAGE * Self::LARGE_PAGE;
                // A wish; a system without large pages refuses it, and nothing is lost but time.
                // SAFETY: these bytes were just allocated; MADV_HUGEPAGE does not change content.
                let _ = unsafe { madvise(address, whole_pages, MmapAdvise::MADV_HUGEPAGE) };
            }
            // SAFETY: `layout.size()` bytes were just allocated. Writing them after the advice makes the pages large.
            unsafe { memory.write_bytes(0, layout.size()) };
        }
        (memory, Source::System(layout))
    }

    /// A mapping of its own, which the kernel fills with zeros when it is touched.
    fn from_mapping(layout: Layout) -> Option<(*mut u8, Source)> {
        // Room to start at a large page's boundary.
        let bytes = NonZeroUsize::new(layout.size().checked_add(Self::LARGE_PAGE)?)?;
        // Most of it may never be needed.
        let flags = MapFlags::MAP_PRIVATE | MapFlags::MAP_NORESERVE;
        // SAFETY: a new private mapping, wherever the kernel has room, takes nothing from anybody.
        let start = unsafe { mmap_anonymous(None, bytes, ProtFlags::PROT_READ | ProtFlags::PROT_WRITE, flags) }.ok()?;
        // A wish, as in `from_system`.
        // SAFETY: these bytes were just mapped; MADV_HUGEPAGE does not change content.
        let _ = unsafe { madvise(start, bytes.get(), MmapAdvise::MADV_HUGEPAGE) };
        let address = start.cast::<u8>().as_ptr();
        // SAFETY: less than a large page is skipped, and the mapping has a large page more than the layout's size.
        let first = unsafe { address.add(address.addr().next_multiple_of(Self::LARGE_PAGE) - address.addr()) };
        Some((first, Source::Mapped { start, bytes }))
    }

    /// Zeroed memory, or null.
    fn from_eal(layout: Layout, socket: Option<u32>) -> *mut u8 {
        let Ok(align) = u32::try_from(layout.align()) else { return std::ptr::null_mut() };
        // -1 is SOCKET_ID_ANY.
        let socket = socket.map_or(Ok(-1), i32::try_from);
        let Ok(socket) = socket else { return std::ptr::null_mut() };
        // SAFETY: the EAL is initialised (Backing::Eal holds it); the type's name is a C string that is not kept.
        unsafe { sys::rte_zmalloc_socket(c"svpn".as_ptr(), layout.size(), align, socket) }.cast()
    }
}

impl<T> Deref for LargeSlice<T> {
    type Target = [T];

    #[inline]
    fn deref(&self) -> &[T] {
        // SAFETY: by the invariant; changes need `&mut self` or are made through atomics.
        unsafe { slice::from_raw_parts(self.first.as_ptr(), self.count) }
    }
}

impl<T> DerefMut for LargeSlice<T> {
    #[inline]
    fn deref_mut(&mut self) -> &mut [T] {
        // SAFETY: by the invariant; `&mut self` excludes other references.
        unsafe { slice::from_raw_parts_mut(self.first.as_ptr(), self.count) }
    }
}

impl<T> Drop for LargeSlice<T> {
    fn drop(&mut self) {
        let memory = self.first.as_ptr().cast::<u8>();
        match self.source {
            // SAFETY: allocated with this layout; T needs no drop.
            Source::System(layout) => unsafe { dealloc(memory, layout) },
            // SAFETY: mapped with these numbers, and nothing else is in it. It cannot fail for a whole mapping.
            Source::Mapped { start, bytes } => drop(unsafe { munmap(start, bytes.get()) }),
            // SAFETY: from rte_zmalloc_socket; any thread may free it.
            Source::Eal => unsafe { sys::rte_free(memory.cast()) },
            Source::Nothing => (),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slices_are_zero_aligned_and_as_long_as_asked() {
        let counts = [0, 1, 7, 1000, (2 << 20) / 8, 1_000_000];
        let backings = [Backing::System, Backing::SystemWhenTouched];
        for (count, backing) in counts.into_iter().flat_map(|count| backings.map(|backing| (count, backing))) {
            let mut slice = LargeSlice::<u64>::zeroed(count, backing).unwrap();
            assert_eq!(slice.len(), count);
            assert!(slice.iter().all(|&word| word == 0));
            if count > 0 {
                assert_eq!(slice.as_ptr() as usize % 64, 0);
                slice[count - 1] = 7;
                assert_eq!(slice.last(), Some(&7));
            }
        }
    }

    #[test]
    fn too_much_is_an_error() {
        for count in [usize::MAX, usize::MAX / 8, isize::MAX as usize / 8 - 1] {
            for backing in [Backing::System, Backing::SystemWhenTouched] {
                assert_eq!(LargeSlice::<u64>::zeroed(count, backing).unwrap_err(), OutOfMemory { count, size: 8 });
            }
        }
    }
}
