//! One packet.

use std::marker::PhantomData;
use std::ptr::NonNull;
use std::slice;

use svpn_dpdk_sys as sys;
use thiserror::Error;

/// One packet, owned: its memory returns to its pool when this is dropped.
///
/// A packet is one segment, or a chain of them where a driver received a frame larger than one buffer.
/// Everything here but [`Mbuf::total_len`], [`Mbuf::segments`] and what makes a chain is about the first segment. It holds the
/// headers; where a driver has split them, [`Mbuf::gather`] brings them together.
///
/// ```text
/// buffer: | headroom | data ........ | tailroom |
///                    ^ data()[0]     ^ data()[len()]
/// ```
// Invariant: points to a live mbuf, head of its chain, of a pool that is never freed (see `Pool`), that
// nothing else refers to; headroom + len <= buffer length, in each segment.
#[repr(transparent)]
pub struct Mbuf(NonNull<sys::rte_mbuf>);

// SAFETY: a pool may be given back to from any thread (rte_mempool: threads without an lcore id bypass
// the per-lcore caches), and an Mbuf is the only reference to its memory.
unsafe impl Send for Mbuf {}
// SAFETY: a shared Mbuf only allows reading, and nothing in an rte_mbuf changes on reading.
unsafe impl Sync for Mbuf {}

/// The buffer has too little room left for the bytes asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error("{needed} bytes do not fit into the buffer's {room}")]
pub struct NoRoom {
    /// Bytes asked for.
    pub needed: usize,
    /// Bytes there are.
    pub room: usize,
}

impl Mbuf {
    /// # Safety
    /// The invariant of [`Mbuf`] holds for `mbuf`, and the caller gives up the reference.
    pub(crate) unsafe fn from_raw(mbuf: NonNull<sys::rte_mbuf>) -> Self {
        Self(mbuf)
    }

    /// The bytes of the first segment.
    #[inline]
    pub fn data(&self) -> &[u8] {
        // SAFETY: by the invariant, data_len bytes from data_off lie in the segment's buffer, which is
        // mapped (hence initialised) memory that only this Mbuf refers to.
        unsafe { slice::from_raw_parts(self.data_pointer(), self.len()) }
    }

    /// The bytes of the first segment, to change.
    #[inline]
    pub fn data_mut(&mut self) -> &mut [u8] {
        // SAFETY: as in `data`; the reference is exclusive because `self` is.
        unsafe { slice::from_raw_parts_mut(self.data_pointer(), self.len()) }
    }

    /// Bytes in the first segment.
    #[inline]
    pub fn len(&self) -> usize {
        usize::from(self.raw().data_len)
    }

    /// Whether the first segment has no bytes.
    #[inline]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Bytes of the whole packet, over all segments.
    #[inline]
    pub fn total_len(&self) -> usize {
        self.raw().pkt_len as usize
    }

    /// Whether the packet has more than one segment.
    #[inline]
    pub fn is_chained(&self) -> bool {
        // Unlike the pointer to the next segment, this is in the cache line that is read anyway.
        self.raw().nb_segs > 1
    }

    /// The bytes of each segment, in order.
    #[inline]
    pub fn segments(&self) -> Segments<'_> {
        Segments { next: Some(self.0), mbuf: PhantomData }
    }

    /// Number of the port that received the packet; meaningless for a packet made here.
    #[inline]
    pub fn port(&self) -> u16 {
        self.raw().port
    }

    /// The number that goes with the packet; of one just received or made, any.
    #[inline]
    pub fn tag(&self) -> u64 {
        // SAFETY: by the invariant the mbuf is live.
        unsafe { sys::svpn_mbuf_tag(self.0.as_ptr()) }
    }

    /// Gives the packet a number that goes with it from thread to thread, until a queue receives or sends it.
    #[inline]
    pub fn set_tag(&mut self, tag: u64) {
        // SAFETY: as in `raw_mut`; without offload flags, which this crate never sets, no driver reads these bits.
        unsafe { sys::svpn_mbuf_set_tag(self.0.as_ptr(), tag) }
    }

    /// Free bytes before the data.
    #[inline]
    pub fn headroom(&self) -> usize {
        usize::from(self.raw().data_off)
    }

    /// Free bytes after the data of the first segment.
    #[inline]
    pub fn tailroom(&self) -> usize {
        let raw = self.raw();
        usize::from(raw.buf_len.saturating_sub(raw.data_off).saturating_sub(raw.data_len))
    }

    /// Adds `count` bytes, of any content, before the data and returns them. `None`, and no change, if
    /// there is less headroom.
    #[inline]
    pub fn prepend(&mut self, count: usize) -> Option<&mut [u8]> {
        let raw = self.raw_mut();
        let short = u16::try_from(count).ok()?;
        raw.data_off = raw.data_off.checked_sub(short)?;
        // No overflow: data_off + data_len, which is kept, is at most buf_len; pkt_len by the same bytes.
        raw.data_len = raw.data_len.wrapping_add(short);
        raw.pkt_len = raw.pkt_len.wrapping_add(u32::from(short));
        self.data_mut().get_mut(..count)
    }

    /// Removes `count` bytes at the front of the first segment and returns the remaining ones. `None`, and no
    /// change, if there are fewer.
    #[inline]
    pub fn trim_front(&mut self, count: usize) -> Option<&mut [u8]> {
        let raw = self.raw_mut();
        let short = u16::try_from(count).ok()?;
        raw.data_len = raw.data_len.checked_sub(short)?;
        // No overflow: data_off + data_len is kept; pkt_len >= data_len.
        raw.data_off = raw.data_off.wrapping_add(short);
        raw.pkt_len = raw.pkt_len.wrapping_sub(u32::from(short));
        Some(self.data_mut())
    }

    /// Adds `count` bytes, of any content, after the data and returns them. `None`, and no change, if there is
    /// less tailroom or the packet is chained.
    #[inline]
    pub fn append(&mut self, count: usize) -> Option<&mut [u8]> {
        if self.is_chained() || count > self.tailroom() {
            return None;
        }
        let old = self.len();
        let raw = self.raw_mut();
        let short = u16::try_from(count).ok()?;
        // No overflow: count <= tailroom, so data_off + data_len stays at most buf_len.
        raw.data_len = raw.data_len.wrapping_add(short);
        raw.pkt_len = raw.pkt_len.wrapping_add(u32::from(short));
        self.data_mut().get_mut(old..)
    }

    /// Removes `count` bytes at the end and returns the remaining ones. `None`, and no change, if there are fewer
    /// or the packet is chained.
    #[inline]
    pub fn trim_back(&mut self, count: usize) -> Option<&mut [u8]> {
        if self.is_chained() {
            return None;
        }
        let raw = self.raw_mut();
        let short = u16::try_from(count).ok()?;
        raw.data_len = raw.data_len.checked_sub(short)?;
        raw.pkt_len = raw.pkt_len.wrapping_sub(u32::from(short));
        Some(self.data_mut())
    }

    /// Makes `frame` the whole packet, with the usual headroom before it. Further segments are given back.
    ///
    /// # Errors
    /// [`NoRoom`] if `frame` is larger than one buffer holds; the packet is then as before.
    pub fn set_data(&mut self, frame: &[u8]) -> Result<(), NoRoom> {
        let raw = self.raw_mut();
        let headroom = u16::try_from(sys::RTE_PKTMBUF_HEADROOM).unwrap_or(u16::MAX).min(raw.buf_len);
        let room = usize::from(raw.buf_len - headroom);
        let length = match u16::try_from(frame.len()) {
            Ok(length) if usize::from(length) <= room => length,
            _ => return Err(NoRoom { needed: frame.len(), room }),
        };
        if let Some(rest) = NonNull::new(raw.next) {
            raw.next = std::ptr::null_mut();
            raw.nb_segs = 1;
            // SAFETY: the rest of the chain was owned through this head, is unlinked from it, and is a
            // chain of its own to rte_pktmbuf_free, which follows `next` only.
            unsafe { sys::svpn_pktmbuf_free(rest.as_ptr()) };
        }
        raw.data_off = headroom;
        raw.data_len = length;
        raw.pkt_len = u32::from(length);
        self.data_mut().copy_from_slice(frame);
        Ok(())
    }

    /// Puts another packet's segments behind this packet's.
    ///
    /// # Errors
    /// The other packet, if the whole would have more than 65,535 segments or 2³² bytes; this one is then as before.
    pub fn chain(&mut self, tail: Self) -> Result<(), Self> {
        let (segments, bytes) = (self.raw().nb_segs, self.raw().pkt_len);
        let (Some(segments), Some(bytes)) = (segments.checked_add(tail.raw().nb_segs), bytes.checked_add(tail.raw().pkt_len)) else {
            return Err(tail);
        };
        // SAFETY: the chain of `self` is live and owned, and ends where there is no next segment; the tail's reference is given up
        // below, so that each segment has one owner, this head.
        unsafe {
            let mut last = self.0;
            while let Some(next) = NonNull::new(last.as_ref().next) {
                last = next;
            }
            last.as_mut().next = tail.0.as_ptr();
        }
        std::mem::forget(tail);
        let raw = self.raw_mut();
        (raw.nb_segs, raw.pkt_len) = (segments, bytes);
        Ok(())
    }

    /// Makes the first `count` bytes of the packet, or all if it has fewer, lie in the first segment: copies what is missing from the
    /// segments behind it, and gives back those that are empty then.
    ///
    /// # Errors
    /// [`NoRoom`] if the first segment has too little tailroom; the packet is then as before.
    pub fn gather(&mut self, count: usize) -> Result<(), NoRoom> {
        let missing = count.min(self.total_len()).saturating_sub(self.len());
        let room = self.tailroom();
        if missing > room {
            return Err(NoRoom { needed: missing, room });
        }
        let mut missing = u16::try_from(missing).map_err(|_| NoRoom { needed: missing, room })?;
        while missing > 0
            && let Some(mut next) = NonNull::new(self.raw().next)
        {
            // SAFETY: `next` is a live segment that belongs to this head alone. `moved` bytes lie in its buffer, and there is tailroom
            // for them in the first segment's, which is another. A segment that is unlinked is a chain of its own to rte_pktmbuf_free.
            unsafe {
                let from = next.as_mut();
                let moved = missing.min(from.data_len);
                let source = from.buf_addr.cast::<u8>().add(usize::from(from.data_off));
                std::ptr::copy_nonoverlapping(source, self.data_pointer().add(self.len()), usize::from(moved));
                // No overflow: `moved` is at most data_len, and data_off + data_len, which is kept, at most buf_len.
                from.data_off = from.data_off.wrapping_add(moved);
                from.data_len = from.data_len.wrapping_sub(moved);
                let empty = from.data_len == 0;
                let raw = self.raw_mut();
                // No overflow: within the tailroom; pkt_len stays.
                raw.data_len = raw.data_len.wrapping_add(moved);
                missing -= moved;
                if empty {
                    raw.next = std::mem::replace(&mut from.next, std::ptr::null_mut());
                    raw.nb_segs = raw.nb_segs.wrapping_sub(1);
                    from.nb_segs = 1;
                    sys::svpn_pktmbuf_free(next.as_ptr());
                }
            }
        }
        Ok(())
    }

    /// Asks the processor to fetch the start of the data into its nearest cache.
    #[inline]
    pub fn prefetch_data(&self) {
        crate::prefetch::prefetch_pointer(self.data_pointer());
    }

    #[inline]
    pub(crate) fn raw(&self) -> &sys::rte_mbuf {
        // SAFETY: by the invariant the mbuf is live and not written to while `self` is borrowed.
        unsafe { self.0.as_ref() }
    }

    #[inline]
    pub(crate) fn raw_mut(&mut self) -> &mut sys::rte_mbuf {
        // SAFETY: by the invariant the mbuf is live and referred to by nothing but `self`.
        unsafe { self.0.as_mut() }
    }

    #[inline]
    fn data_pointer(&self) -> *mut u8 {
        let raw = self.raw();
        // SAFETY: by the invariant data_off is within the buffer that starts at buf_addr.
        unsafe { raw.buf_addr.cast::<u8>().add(usize::from(raw.data_off)) }
    }
}

impl Drop for Mbuf {
    fn drop(&mut self) {
        // SAFETY: by the invariant this is the only reference to a live chain; it ends here.
        unsafe { sys::svpn_pktmbuf_free(self.0.as_ptr()) }
    }
}

impl std::fmt::Debug for Mbuf {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter
            .debug_struct("Mbuf")
            .field("port", &self.port())
            .field("total_len", &self.total_len())
            .field("data", &self.data())
            .finish()
    }
}

/// Iterator over the bytes of each segment; made by [`Mbuf::segments`].
#[derive(Debug)]
pub struct Segments<'a> {
    next: Option<NonNull<sys::rte_mbuf>>,
    mbuf: PhantomData<&'a Mbuf>,
}

impl<'a> Iterator for Segments<'a> {
    type Item = &'a [u8];

    fn next(&mut self) -> Option<&'a [u8]> {
        let segment = self.next?;
        // SAFETY: `segment` belongs to the chain of an Mbuf borrowed for 'a; by its invariant the segment
        // is live and unchanged for 'a, and its data lies in its buffer.
        unsafe {
            let raw = segment.as_ref();
            self.next = NonNull::new(raw.next);
            let data = raw.buf_addr.cast::<u8>().add(usize::from(raw.data_off));
            Some(slice::from_raw_parts(data, usize::from(raw.data_len)))
        }
    }
}
