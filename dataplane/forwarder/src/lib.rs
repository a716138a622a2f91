//! P4Runtime server with a DPDK poll-mode pipeline behind it.
//!
//! A frame's way, and where to read it:
//!
//! - `worker` polls receive queues and hands each burst to the fast path;
//! - [`fastpath`] is the pipeline, one burst read top to bottom: classify all, look up all, apply all;
//! - [`tables`] is what the fast path reads: hash, trie, meters, counters, ready rewrites;
//! - [`entries`] is what the controller wrote, and the only writer of the tables;
//! - [`router`] ties ports, workers and tables together, and is what a service is built on;
//! - [`p4runtime`] is that service;
//! - [`operations`] is what people see of a running router: telemetry and metrics.
//!
//! `crossbeam-queue` carries frames between workers and control threads: bounded, lock-free, without system calls. `tokio`
//! (its channel only) hands punted frames to the service. `netlink-sys`, `netlink-packet-core` and `netlink-packet-route` ask the kernel for the
//! links of the interfaces that ports are built on, whose numbers `nix` knows.

pub mod entries;
pub mod fastpath;
pub mod operations;
pub mod p4runtime;
pub mod router;
mod sync;
pub mod tables;
mod worker;

pub use entries::{ApplyError, CounterData, Entries, SessionCount, TableUsage};
pub use operations::load::LoadReading;
pub use router::{
    Distribution, Idle, PacketBuffers, PortReport, PortSetup, Router, RouterConfig, SendError, StartError, StopError, WorkerReport,
};
pub use tables::TableSizes;
