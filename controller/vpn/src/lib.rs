//! The domain: sessions, topology, admission, labels, plans; no I/O.
//!
//! It knows no socket, and no clock it was not handed. A gateway builds a [`network::Network`] from its configuration and drives a
//! [`domain::Domain`]; the rest is what that is made of, each usable alone.
//!
//! Other people's work: `petgraph` finds shortest paths, `ipnet` knows prefixes, `jiff` dates, `serde` gives facts a form for the disk.

pub mod admission;
pub mod agreement;
pub mod demand;
pub mod domain;
pub mod durable;
pub mod encapsulation;
pub mod ids;
pub mod network;
pub mod paths;
pub mod plan;
pub mod price;
pub mod request;
pub mod session;
#[cfg(test)]
mod testing;
pub mod topology;

pub use domain::{
    Admission, AnswerError, Answered, Begun, ClockStep, Domain, Due, Effects, NotNow, Release, RestoreError, Restored, Summary,
};
pub use network::{InvalidNetwork, Network, NetworkSpec, RouterId};
pub use plan::Step;
