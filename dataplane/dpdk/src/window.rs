//! Headers of a packet as arrays of fixed size: one check opens all of them, and what is read or written within needs none.

use std::hint::assert_unchecked;

use crate::mbuf::Mbuf;
use crate::prefetch::prefetch_pointer;

impl Mbuf {
    /// `N` bytes of the buffer, from `at` bytes behind the start of the data on. `None` if the buffer ends before.
    ///
    /// It may reach beyond the data: what is behind the data's end is of any content, so compare with [`Mbuf::len`] what is used.
    #[inline]
    pub fn window<const N: usize>(&self, at: usize) -> Option<&[u8; N]> {
        let raw = self.raw();
        // By the invariant the data starts within the buffer.
        let room = usize::from(raw.buf_len - raw.data_off);
        if at > room || room - at < N {
            return None;
        }
        let start = usize::from(raw.data_off) + at;
        // SAFETY: by the invariant buf_len bytes from buf_addr are the segment's buffer, mapped (hence initialised) memory that only
        // this Mbuf refers to; the N bytes are within it, and an array of bytes has no alignment. A buffer is not at null, which the
        // compiler does not know: it would compare for `None`.
        unsafe {
            let first = raw.buf_addr.cast::<u8>().add(start);
            assert_unchecked(!first.is_null());
            Some(&*first.cast::<[u8; N]>())
        }
    }

    /// `N` bytes of the buffer, of which `before` are in front of the data's byte number `at`: headroom and headers, to be written
    /// over before [`Mbuf::reface`]. `None` if the buffer has not so many before or behind, or the data ends before `at`.
    #[inline]
    pub fn around<const N: usize>(&mut self, at: usize, before: usize) -> Option<&mut [u8; N]> {
        let raw = self.raw_mut();
        let start = (usize::from(raw.data_off) + at).checked_sub(before)?;
        if at > usize::from(raw.data_len) || start + N > usize::from(raw.buf_len) {
            return None;
        }
        // SAFETY: as in `window`; the reference is exclusive because `self` is.
        Some(unsafe { &mut *raw.buf_addr.cast::<u8>().add(start).cast::<[u8; N]>() })
    }

    /// Replaces the first `removed` bytes of the data by the `added` bytes of the buffer before those that are left. `None`, and no
    /// change, if there are not so many.
    #[inline]
    pub fn reface(&mut self, removed: usize, added: usize) -> Option<()> {
        let raw = self.raw_mut();
        let (removed, added) = (u16::try_from(removed).ok()?, u16::try_from(added).ok()?);
        let left = raw.data_len.checked_sub(removed)?;
        // No overflow: data_off + data_len is at most buf_len, and so is the end of the bytes left.
        raw.data_off = (raw.data_off + removed).checked_sub(added)?;
        raw.data_len = left + added;
        raw.pkt_len = raw.pkt_len.wrapping_sub(u32::from(removed)).wrapping_add(u32::from(added));
        Some(())
    }

    /// [`Mbuf::around`] and [`Mbuf::reface`] at once: replaces the first `removed` bytes of the data by the `added` bytes that end where the
    /// data left begins, and opens `N` bytes of the buffer, `before` of them in front of that place, for the new ones to be written. `None`,
    /// and no change, if one of the two cannot be, or more than `before` are to be added.
    #[inline]
    #[allow(clippy::cast_possible_truncation, reason = "both are at most buf_len")]
    pub fn replace_front<const N: usize>(&mut self, removed: usize, before: usize, added: usize) -> Option<&mut [u8; N]> {
        let raw = self.raw_mut();
        let length = usize::from(raw.data_len);
        let place = usize::from(raw.data_off).wrapping_add(removed);
        // The first excludes that `place` has wrapped.
        if removed > length || added > before || place < before || place - before + N > usize::from(raw.buf_len) {
            return None;
        }
        // Both are at most buf_len: data_off + data_len is, and `added` bytes lie before `place`.
        raw.data_off = (place - added) as u16;
        raw.data_len = (length - removed + added) as u16;
        raw.pkt_len = raw.pkt_len.wrapping_add(added as u32).wrapping_sub(removed as u32);
        // SAFETY: as in `around`.
        unsafe {
            let first = raw.buf_addr.cast::<u8>().add(place - before);
            assert_unchecked(!first.is_null());
            Some(&mut *first.cast::<[u8; N]>())
        }
    }

    /// Asks the processor to fetch what says where the data is; before [`Mbuf::prefetch_data`], which needs it.
    #[inline]
    pub fn prefetch(&self) {
        prefetch_pointer(std::ptr::from_ref(self.raw()).cast());
    }
}

#[cfg(test)]
mod tests {
    use crate::{Eal, EalOptions, Pool, PoolConfig};

    #[test]
    fn a_new_face_takes_the_old_ones_place() {
        let eal = Eal::init(&EalOptions::virtual_devices(64)).unwrap();
        let pool = Pool::new(eal, "window", PoolConfig { mbufs: 63, cache: 0, ..PoolConfig::default() }).unwrap();
        let frame: Vec<u8> = (0..100).collect();
        let mut mbuf = pool.alloc_with(&frame).unwrap();
        assert_eq!(mbuf.window::<4>(30).unwrap(), &[30, 31, 32, 33]);
        assert!(mbuf.window::<1>(2047).is_some() && mbuf.window::<2>(2047).is_none());

        let around: &mut [u8; 24] = mbuf.around(18, 20).unwrap();
        assert_eq!(around[2..], frame[..22]);
        around[..20].fill(0xee);
        mbuf.reface(18, 20).unwrap();
        assert_eq!(mbuf.data(), [&[0xee; 20][..], &frame[18..]].concat());
        assert_eq!((mbuf.len(), mbuf.total_len(), mbuf.headroom()), (102, 102, 126));

        // Both at once.
        let front: &mut [u8; 30] = mbuf.replace_front(20, 24, 18).unwrap();
        assert_eq!(front[24..], frame[18..24]);
        front[6..24].fill(0xdd);
        assert_eq!(mbuf.data(), [&[0xdd; 18][..], &frame[18..]].concat());
        assert_eq!((mbuf.len(), mbuf.total_len(), mbuf.headroom()), (100, 100, 128));
        assert!(mbuf.replace_front::<1>(101, 0, 0).is_none() && mbuf.replace_front::<1>(usize::MAX, 0, 0).is_none());
        assert!(mbuf.replace_front::<1>(0, 4, 5).is_none() && mbuf.replace_front::<1>(0, 129, 1).is_none());
        assert!(mbuf.replace_front::<2000>(100, 0, 0).is_none());
        mbuf.replace_front::<1>(18, 20, 20).unwrap();

        // More than there is, and no change.
        assert!(mbuf.around::<1>(0, 127).is_none() && mbuf.around::<1>(103, 1).is_none() && mbuf.around::<200>(102, 0).is_some());
        assert!(mbuf.around::<2000>(102, 0).is_none());
        assert!(mbuf.reface(103, 0).is_none() && mbuf.reface(0, 127).is_none() && mbuf.reface(usize::MAX, 0).is_none());
        assert_eq!((mbuf.len(), mbuf.headroom()), (102, 126));
        mbuf.reface(102, 228).unwrap();
        assert_eq!((mbuf.len(), mbuf.headroom()), (228, 0));
    }
}
