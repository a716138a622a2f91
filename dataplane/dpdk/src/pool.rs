//! Packet memory.

use std::ffi::{CString, c_int};
use std::ptr::NonNull;

use svpn_dpdk_sys as sys;
use thiserror::Error;

use crate::burst::Burst;
use crate::eal::Eal;
use crate::errno::Errno;
use crate::mbuf::{Mbuf, NoRoom};

/// Memory for a fixed number of packets, which any thread may take from and give back to.
///
/// A pool lives until the process ends: packets refer to it from driver rings and other threads' caches, so there
/// is no moment at which giving its memory back could be proven safe, and a forwarder needs its pools
/// as long as it runs. Copies of a `Pool` are the same pool.
// Invariant: a pool made by rte_pktmbuf_pool_create, never freed.
#[derive(Clone, Copy)]
pub struct Pool(NonNull<sys::rte_mempool>);

// SAFETY: rte_mempool is made for use by many threads at once; its functions used here (get, put, count) are
// multi-producer, multi-consumer safe.
unsafe impl Send for Pool {}
// SAFETY: as above.
unsafe impl Sync for Pool {}

/// What a pool is made of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PoolConfig {
    /// Number of packet buffers. 2ⁿ − 1 wastes least.
    pub mbufs: u32,
    /// Buffers each worker may keep for itself, at most 512 and two thirds of `mbufs`.
    pub cache: u32,
    /// Largest frame one buffer holds, in bytes, after [`PoolConfig::HEADROOM`].
    pub frame_bytes: u16,
    /// NUMA node whose memory is used; `None`: any.
    pub socket: Option<u32>,
}

impl PoolConfig {
    /// Bytes in front of each frame, for headers to be prepended.
    pub const HEADROOM: usize = sys::RTE_PKTMBUF_HEADROOM as usize;
}

impl Default for PoolConfig {
    /// 8191 buffers of 2 KiB, 256 per worker.
    fn default() -> Self {
        Self { mbufs: 8191, cache: 256, frame_bytes: 2048, socket: None }
    }
}

/// Why a pool was not made.
#[derive(Debug, Error)]
pub enum PoolError {
    /// The name is empty, longer than 25 bytes or holds a NUL.
    #[error("pool name {0:?} is empty, longer than 25 bytes or holds a NUL")]
    Name(String),
    /// A pool has this name.
    #[error("a pool named {0:?} exists")]
    Exists(String),
    /// The numbers contradict each other or DPDK's limits.
    #[error("DPDK makes no such pool: {0:?}")]
    Config(PoolConfig),
    /// The EAL's memory does not hold the pool.
    #[error("not enough EAL memory for {0:?}; give the EAL more or reserve more hugepages")]
    Memory(PoolConfig),
    /// Any other refusal.
    #[error("pool {name:?} not made: {errno}")]
    Refused {
        /// The pool's name.
        name: String,
        /// DPDK's reason.
        errno: Errno,
    },
}

/// A pool has fewer free buffers than asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error("the pool has too few free packet buffers")]
pub struct PoolExhausted;

impl Pool {
    const NAME_BYTES: usize = sys::SVPN_MEMPOOL_NAME_SIZE as usize - 1;

    /// Makes a pool. `name` is for DPDK's own tools and must be the only one.
    pub fn new(_eal: Eal, name: &str, config: PoolConfig) -> Result<Self, PoolError> {
        let bad_name = || PoolError::Name(name.to_owned());
        if name.is_empty() || name.len() > Self::NAME_BYTES {
            return Err(bad_name());
        }
        let c_name = CString::new(name).map_err(|_| bad_name())?;
        let buffer = usize::from(config.frame_bytes) + PoolConfig::HEADROOM;
        let buffer = u16::try_from(buffer).map_err(|_| PoolError::Config(config))?;
        let socket = match config.socket {
            // -1 is SOCKET_ID_ANY.
            None => -1,
            Some(socket) => c_int::try_from(socket).map_err(|_| PoolError::Config(config))?,
        };
        // SAFETY: the EAL is initialised, `c_name` is a C string that is copied; the pool has no private area.
        let pool = unsafe { sys::rte_pktmbuf_pool_create(c_name.as_ptr(), config.mbufs, config.cache, 0, buffer, socket) };
        NonNull::new(pool).map(Self).ok_or_else(|| {
            let errno = Errno::last();
            if errno.is(nix::errno::Errno::EEXIST) {
                PoolError::Exists(name.to_owned())
            } else if errno.is(nix::errno::Errno::EINVAL) {
                PoolError::Config(config)
            } else if errno.is(nix::errno::Errno::ENOMEM) || errno.is(nix::errno::Errno::ENOBUFS) {
                PoolError::Memory(config)
            } else {
                PoolError::Refused { name: name.to_owned(), errno }
            }
        })
    }

    /// Takes an empty packet with the usual headroom.
    #[inline]
    pub fn alloc(self) -> Result<Mbuf, PoolExhausted> {
        // SAFETY: the pool is live; what rte_pktmbuf_alloc returns is a reset mbuf of one segment that the caller owns.
        unsafe {
            let mbuf = sys::svpn_pktmbuf_alloc(self.0.as_ptr());
            NonNull::new(mbuf).map(|mbuf| Mbuf::from_raw(mbuf)).ok_or(PoolExhausted)
        }
    }

    /// Takes a packet and fills it.
    pub fn alloc_with(self, frame: &[u8]) -> Result<Mbuf, AllocWithError> {
        let mut mbuf = self.alloc()?;
        mbuf.set_data(frame)?;
        Ok(mbuf)
    }

    /// Takes as many buffers as a frame needs, one behind the other, and fills them.
    pub fn alloc_chain(self, frame: &[u8]) -> Result<Mbuf, PoolExhausted> {
        let mut parts = frame.chunks(self.frame_bytes().max(1));
        // A part is no larger than a buffer.
        let fill = |part| self.alloc_with(part).map_err(|_| PoolExhausted);
        let mut head = fill(parts.next().unwrap_or_default())?;
        for part in parts {
            head.chain(fill(part)?).map_err(|_| PoolExhausted)?;
        }
        Ok(head)
    }

    /// Adds `count` empty packets to `burst`, or none.
    ///
    /// # Errors
    /// [`PoolExhausted`] if the pool has fewer; `count` beyond the burst's room asks for that room.
    #[inline]
    pub fn alloc_bulk<const N: usize>(self, burst: &mut Burst<N>, count: usize) -> Result<(), PoolExhausted> {
        let (elements, room) = burst.free_elements();
        let count = count.min(room);
        // SAFETY: the pool is live, `elements` has room for `count` pointers, and on success (0) all are filled with reset
        // mbufs of one segment that the caller owns. count <= N <= u16::MAX.
        unsafe {
            if sys::svpn_pktmbuf_alloc_bulk(self.0.as_ptr(), elements, u32::try_from(count).unwrap_or(0)) != 0 {
                return Err(PoolExhausted);
            }
            burst.grow(count);
        }
        Ok(())
    }

    /// Largest frame one buffer holds, in bytes, after [`PoolConfig::HEADROOM`].
    pub fn frame_bytes(self) -> usize {
        // SAFETY: the pool is live and was made by rte_pktmbuf_pool_create, which stores the size in it.
        let buffer = unsafe { sys::svpn_pktmbuf_data_room_size(self.0.as_ptr()) };
        usize::from(buffer).saturating_sub(PoolConfig::HEADROOM)
    }

    /// Buffers of the pool, free or not.
    pub fn size(self) -> u32 {
        // SAFETY: the pool is live, and its size is constant.
        unsafe { sys::svpn_mempool_size(self.0.as_ptr()) }
    }

    /// Free buffers, those in the workers' caches included. A snapshot: other threads go on.
    pub fn available(self) -> u32 {
        // SAFETY: the pool is live; the count only reads it.
        unsafe { sys::rte_mempool_avail_count(self.0.as_ptr()) }
    }

    pub(crate) fn as_ptr(self) -> *mut sys::rte_mempool {
        self.0.as_ptr()
    }
}

impl std::fmt::Debug for Pool {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("Pool").field("available", &self.available()).finish_non_exhaustive()
    }
}

/// Why [`Pool::alloc_with`] made no packet.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum AllocWithError {
    /// No buffer is free.
    #[error(transparent)]
    Exhausted(#[from] PoolExhausted),
    /// The frame is larger than a buffer.
    #[error(transparent)]
    NoRoom(#[from] NoRoom),
}
