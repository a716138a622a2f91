//! Headers of a packet as arrays of fixed size: one check opens all of them, and what is read or written within needs none.

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
        // this Mbuf refers to; the N bytes are within it, and an array of bytes has no alignment.
        Some(unsafe { &*raw.buf_addr.cast::<u8>().add(start).cast::<[u8; N]>() })
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

        // More than there is, and no change.
        assert!(mbuf.around::<1>(0, 127).is_none() && mbuf.around::<1>(103, 1).is_none() && mbuf.around::<200>(102, 0).is_some());
        assert!(mbuf.around::<2000>(102, 0).is_none());
        assert!(mbuf.reface(103, 0).is_none() && mbuf.reface(0, 127).is_none() && mbuf.reface(usize::MAX, 0).is_none());
        assert_eq!((mbuf.len(), mbuf.headroom()), (102, 126));
        mbuf.reface(102, 228).unwrap();
        assert_eq!((mbuf.len(), mbuf.headroom()), (228, 0));
    }
}
