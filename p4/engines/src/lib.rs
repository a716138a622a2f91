//! Engines of the pipeline contract under test: started, cabled, driven and held against the oracle.
//!
//! An [`Engine`] is a router's program in a network namespace of its own, with a cable in every port and a controller at its
//! P4Runtime. What a test puts into a cable the engine receives, and what it sends comes out, byte for byte as on a wire.
//! [`conformance::check`] sends the same entries and frames through an engine and through the oracle and names the first difference; [`Unreached`] tells what of the contract that has left out.
//!
//! A namespace is entered by a thread and has no name; programs are killed by the kernel when the thread that started them ends. So
//! nothing of it outlives a test, whatever way that ends. Making one needs root.
//!
//! - `tun-rs` opens TAP devices. A cable is one of these, and not a veth pair with a packet socket, because the kernel takes the tag off
//!   a frame that a packet socket receives;
//! - `nix` makes namespaces, waits for several cables at once, and keeps what a program says in memory;
//! - `tonic` and `p4runtime-proto` speak to the engine, `svpn-contract` says what it should do.

mod cables;
pub mod conformance;
mod controller;
mod engine;
mod namespace;
mod process;
mod reach;
mod smallest;

pub use cables::{CableError, Cables, Undeliverable, deliverable};
pub use controller::{Cell, Controller, ControllerError};
pub use engine::{Engine, StartError};
pub use namespace::{Namespace, NamespaceError};
pub use process::{Process, ProcessError};
pub use reach::Unreached;
pub use smallest::smallest;
