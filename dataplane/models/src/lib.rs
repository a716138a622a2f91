//! The lock-free structures of the dataplane, tried in every order that the memory model allows.
//!
//! `tables`, `reclaim` and `published` are the dataplane's own files, compiled here a second time over [loom](https://docs.rs/loom)'s atomics
//! in place of the standard library's (`sync`). So what is tried is the code that runs, and a change of it is tried with the next test run. The
//! usual way to do so, `--cfg loom`, would have to build `tokio` and `tonic` below the forwarder with it as well, which do not work then.
//!
//! What lies in DPDK is written out: `qsbr` is `rte_rcu_qsbr` as its header has it, order by order; `memory` stands for large pages.
//!
//! A model is a function here and a test in `tests/`. It makes a table, starts the threads, and holds what they see against what they may
//! see; `loom` runs it once for each order of their steps and each value that a load may return. Limits, as loom has them: an order in
//! which a load returns what is stored only later does not occur, a sequentially consistent load or store is taken for acquire or release, and of
//! a store and an exchange at the same time it does not say which was last, though the exchange does.
//!
//! `loom`: it explores executions under the C11 memory model, exhaustively up to a bound.

// The unit tests of the modules compiled here are for the real thing; where all targets are asked for, so is this crate with its own.
#![cfg(not(test))]

extern crate self as svpn_dpdk;

pub mod entries;
mod memory;
#[allow(clippy::missing_panics_doc, reason = "to panic is what a model does")]
pub mod models;
#[path = "../../dpdk/src/published.rs"]
#[allow(dead_code, reason = "what no model needs")]
mod published;
mod qsbr;
#[path = "../../dpdk/src/reclaim.rs"]
#[allow(dead_code, reason = "what no model needs")]
mod reclaim;
mod sync;
#[path = "../../forwarder/src/tables/mod.rs"]
#[allow(dead_code, unused_imports, reason = "what no model needs")]
pub mod tables;

// What the tables take from svpn-dpdk.
pub use memory::{Backing, LargeSlice, OutOfMemory, prefetch_read};
pub use published::{Published, Publisher};
pub use reclaim::{GracePeriod, Online, Reader, Reclaimer, TooManyReaders};
