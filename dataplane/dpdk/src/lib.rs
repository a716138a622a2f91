//! DPDK behind safe types: EAL, pools, mbufs, bursts, ports, queues, workers, reclamation, tables.
//!
//! This is the only crate of the workspace with unsafe code written by hand. What crosses its border is
//! safe for any caller:
//!
//! - [`Eal`] proves that DPDK is initialised; everything that needs DPDK is made from it.
//! - [`Mbuf`] owns one packet, [`Burst`] owns up to a fixed number of them, and both give their packets
//!   back to the [`Pool`] they came from when dropped.
//! - [`RxQueue`] and [`TxQueue`] are `Send` but used through `&mut`, so one thread polls a queue.
//! - [`ring()`] hands packets from one thread to another, in bursts.
//! - [`Worker`] is a thread that DPDK knows, so pools serve it from its own cache.
//! - [`Publisher`] replaces small tables as a whole while workers read them, [`LargeSlice`] holds large ones; a [`Reclaimer`] frees
//!   what workers have stopped reading.
//! - [`Eal::answer_telemetry`], [`Eal::offer_capture`] and [`log_to`] are for the people who run a program.
//!
//! `nix` reads and sets CPU affinity and lists network interfaces; `bytemuck` is the proof that a table's
//! slot is plain data.

mod burst;
mod capture;
mod clock;
mod eal;
mod errno;
mod lcores;
mod log;
mod mbuf;
mod memory;
mod pool;
mod port;
mod prefetch;
mod published;
mod qsbr;
mod reclaim;
mod ring;
mod sync;
mod telemetry;
mod window;
mod worker;

pub use burst::{Burst, Drain};
pub use capture::CaptureError;
pub use clock::tsc;
pub use eal::{Eal, EalError, EalOptions, Memory, PciDevices, SharedMemory, dpdk_version};
pub use errno::Errno;
pub use log::{LogLevel, log_to};
pub use mbuf::{Mbuf, NoRoom, Segments};
pub use memory::{Backing, LargeSlice, OutOfMemory};
pub use pool::{AllocWithError, Pool, PoolConfig, PoolError, PoolExhausted};
pub use port::{
    AttachError, AttachedPort, Link, Port, PortConfig, PortError, PortSpec, PortSpecError, PortStatistics, Promiscuity, ReceiveSideScaling,
    RxQueue, Spread, TakeQueueError, TxQueue,
};
pub use prefetch::prefetch_read;
pub use published::{Published, Publisher};
pub use reclaim::{GracePeriod, Online, Reader, Reclaimer, TooManyReaders};
pub use ring::{RingReceiver, RingSender, ring};
pub use telemetry::{NoAnswer, TelemetryAnswer, TelemetryError, TelemetryValue};
pub use worker::{Placement, Worker, WorkerError, WorkerHandle};
