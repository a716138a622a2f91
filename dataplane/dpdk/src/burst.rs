//! Up to a fixed number of packets.

use std::mem::MaybeUninit;
use std::ops::{Deref, DerefMut};
use std::ptr::{self, NonNull};

use svpn_dpdk_sys as sys;

use crate::mbuf::Mbuf;

/// Up to `N` packets in order, without allocation; what queues receive and send in one call.
///
/// It dereferences to a slice of [`Mbuf`], so packets are read, changed and swapped in place. Packets that are still
/// in it when it is dropped or cleared return to their pools together, which costs less than one by one:
/// collect packets to drop in a burst of their own.
// Invariant: the first `len` elements of `mbufs` are initialised, len <= N. An Mbuf has the layout of
// `*mut rte_mbuf`, so `mbufs` is the array that rx and tx burst functions take.
pub struct Burst<const N: usize = 64> {
    mbufs: [MaybeUninit<Mbuf>; N],
    len: usize,
}

impl<const N: usize> Burst<N> {
    /// Packets that fit.
    pub const CAPACITY: usize = {
        assert!(N > 0 && N <= u16::MAX as usize, "a queue takes at most 65535 packets at once");
        N
    };

    /// A burst without packets.
    #[inline]
    pub const fn new() -> Self {
        Self { mbufs: [const { MaybeUninit::uninit() }; N], len: 0 }
    }

    /// Whether no further packet fits.
    #[inline]
    pub fn is_full(&self) -> bool {
        self.len == Self::CAPACITY
    }

    /// Further packets that fit.
    #[inline]
    pub fn room(&self) -> usize {
        Self::CAPACITY - self.len
    }

    /// Adds a packet at the end.
    ///
    /// # Errors
    /// The packet itself if the burst is full.
    #[inline]
    pub fn push(&mut self, mbuf: Mbuf) -> Result<(), Mbuf> {
        match self.mbufs.get_mut(self.len) {
            Some(place) => {
                place.write(mbuf);
                self.len += 1;
                Ok(())
            }
            None => Err(mbuf),
        }
    }

    /// Takes the last packet.
    #[inline]
    pub fn pop(&mut self) -> Option<Mbuf> {
        self.len = self.len.checked_sub(1)?;
        // SAFETY: this element was the last of the initialised ones, and `len` no longer covers it.
        Some(unsafe { self.mbufs[self.len].assume_init_read() })
    }

    /// Takes packet `index` and closes the gap; the others keep their order. `None` if there is no such packet.
    #[inline]
    pub fn take(&mut self, index: usize) -> Option<Mbuf> {
        if index >= self.len {
            return None;
        }
        // SAFETY: `index` is one of the `len` initialised elements; it is moved out, those after it move one down,
        // and `len` no longer covers the last.
        unsafe {
            let place = self.mbufs.as_mut_ptr().add(index);
            let mbuf = place.read().assume_init();
            ptr::copy(place.add(1), place, self.len - index - 1);
            self.len -= 1;
            Some(mbuf)
        }
    }

    /// Takes all packets, in order. Those the iterator is not asked for are dropped with it.
    #[inline]
    pub fn drain(&mut self) -> Drain<'_, N> {
        let end = self.len;
        // From here the iterator owns the elements; if it is leaked, so are they.
        self.len = 0;
        Drain { burst: self, next: 0, end }
    }

    /// Takes the packets from `index` on into a burst of their own; this one keeps those before it. Takes none if
    /// there are not so many.
    #[inline]
    #[must_use]
    pub fn split_off(&mut self, index: usize) -> Self {
        let mut tail = Self::new();
        if index < self.len {
            tail.len = self.len - index;
            // SAFETY: elements index..len are initialised and move to `tail`, which has the same capacity; `len` is
            // cut so that this burst no longer covers them.
            unsafe { ptr::copy_nonoverlapping(self.mbufs.as_ptr().add(index), tail.mbufs.as_mut_ptr(), tail.len) };
            self.len = index;
        }
        tail
    }

    /// Moves packets from the front of `other` to the end of this burst until it is full or `other` is empty.
    #[inline]
    pub fn fill_from<const M: usize>(&mut self, other: &mut Burst<M>) {
        let count = self.room().min(other.len);
        // SAFETY: `other` has `count` initialised elements in front, this burst has room for as many behind its own,
        // and two exclusive borrows do not overlap. `remove_front` and `len` record the move.
        unsafe {
            ptr::copy_nonoverlapping(other.mbufs.as_ptr(), self.mbufs.as_mut_ptr().add(self.len), count);
            other.remove_front(count);
        }
        self.len += count;
    }

    /// Gives all packets back to their pools.
    #[inline]
    pub fn clear(&mut self) {
        let end = self.len;
        self.len = 0;
        // SAFETY: the elements before `end` are initialised, and `len` no longer covers them.
        unsafe { free_range(&mut self.mbufs, 0, end) }
    }

    /// The free elements, as the array a receive or allocation function fills.
    #[inline]
    pub(crate) fn free_elements(&mut self) -> (*mut *mut sys::rte_mbuf, usize) {
        let room = self.room();
        // SAFETY: len <= N, so the pointer is within the array or one past its end.
        (unsafe { self.mbufs.as_mut_ptr().add(self.len) }.cast(), room)
    }

    /// # Safety
    /// The first `count` of [`Burst::free_elements`] were filled with mbufs for which the invariant of [`Mbuf`] holds and
    /// that the caller gives up.
    #[inline]
    pub(crate) unsafe fn grow(&mut self, count: usize) {
        self.len += count;
    }

    /// The packets, as the array a send function takes.
    #[inline]
    pub(crate) fn elements(&mut self) -> (*mut *mut sys::rte_mbuf, usize) {
        (self.mbufs.as_mut_ptr().cast(), self.len)
    }

    /// Forgets the first `count` packets; the others move up.
    ///
    /// # Safety
    /// `count` is at most the number of packets, and the first `count` were moved out.
    #[inline]
    pub(crate) unsafe fn remove_front(&mut self, count: usize) {
        let first = self.mbufs.as_mut_ptr();
        let left = self.len - count;
        if count > 0 && left > 0 {
            // SAFETY: count + left = len elements are initialised; the last `left` of them move to the front.
            unsafe { ptr::copy(first.add(count), first, left) };
        }
        self.len = left;
    }
}

/// # Safety
/// Elements `from..to` are initialised, and the caller gives them up.
#[inline]
unsafe fn free_range<const N: usize>(mbufs: &mut [MaybeUninit<Mbuf>; N], from: usize, to: usize) {
    let count = to.saturating_sub(from);
    if count > 0 {
        // SAFETY: the caller owns these mbufs (layout of `*mut rte_mbuf`), and rte_pktmbuf_free_bulk takes that many.
        // count <= N <= u16::MAX.
        unsafe {
            let first = mbufs.as_mut_ptr().add(from).cast::<*mut sys::rte_mbuf>();
            sys::svpn_pktmbuf_free_bulk(first, u32::try_from(count).unwrap_or(0));
        }
    }
}

impl<const N: usize> Default for Burst<N> {
    fn default() -> Self {
        Self::new()
    }
}

impl<const N: usize> Drop for Burst<N> {
    fn drop(&mut self) {
        self.clear();
    }
}

impl<const N: usize> Deref for Burst<N> {
    type Target = [Mbuf];

    #[inline]
    fn deref(&self) -> &[Mbuf] {
        // SAFETY: the first `len` elements are initialised, and MaybeUninit<Mbuf> has the layout of Mbuf.
        unsafe { std::slice::from_raw_parts(self.mbufs.as_ptr().cast(), self.len) }
    }
}

impl<const N: usize> DerefMut for Burst<N> {
    #[inline]
    fn deref_mut(&mut self) -> &mut [Mbuf] {
        // SAFETY: as in `deref`. A caller may swap or replace packets, which leaves all initialised.
        unsafe { std::slice::from_raw_parts_mut(self.mbufs.as_mut_ptr().cast(), self.len) }
    }
}

impl<const N: usize> std::fmt::Debug for Burst<N> {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_list().entries(self.iter()).finish()
    }
}

impl<'a, const N: usize> IntoIterator for &'a Burst<N> {
    type Item = &'a Mbuf;
    type IntoIter = std::slice::Iter<'a, Mbuf>;

    fn into_iter(self) -> Self::IntoIter {
        self.iter()
    }
}

impl<'a, const N: usize> IntoIterator for &'a mut Burst<N> {
    type Item = &'a mut Mbuf;
    type IntoIter = std::slice::IterMut<'a, Mbuf>;

    fn into_iter(self) -> Self::IntoIter {
        self.iter_mut()
    }
}

/// Iterator over the packets of a burst, taken out of it; made by [`Burst::drain`].
// Invariant: elements next..end of the burst are initialised and owned by the iterator; the burst's len is 0.
#[derive(Debug)]
pub struct Drain<'a, const N: usize> {
    burst: &'a mut Burst<N>,
    next: usize,
    end: usize,
}

impl<const N: usize> Iterator for Drain<'_, N> {
    type Item = Mbuf;

    #[inline]
    fn next(&mut self) -> Option<Mbuf> {
        if self.next == self.end {
            return None;
        }
        let index = self.next;
        self.next += 1;
        // SAFETY: next..end are initialised, and `next` no longer covers this one.
        Some(unsafe { self.burst.mbufs[index].assume_init_read() })
    }

    #[inline]
    fn size_hint(&self) -> (usize, Option<usize>) {
        let left = self.end - self.next;
        (left, Some(left))
    }
}

impl<const N: usize> ExactSizeIterator for Drain<'_, N> {}

impl<const N: usize> Drop for Drain<'_, N> {
    fn drop(&mut self) {
        // SAFETY: next..end are initialised and owned by the iterator, which ends here.
        unsafe { free_range(&mut self.burst.mbufs, self.next, self.end) }
    }
}

const _: () = {
    assert!(size_of::<Mbuf>() == size_of::<*mut sys::rte_mbuf>());
    assert!(size_of::<Option<Mbuf>>() == size_of::<NonNull<sys::rte_mbuf>>());
};
