//! P4Runtime client: mastership, desired against actual state.
//!
//! One [`Switch`] per router. It keeps a stream to the router and bids there for mastership; when it wins it makes sure that the
//! pipeline of the contract is in service, reads the tables and writes what they lack of the desired entries, and from then on takes
//! [`Switch::write`] and [`Switch::apply`]. Whatever breaks, it comes back to that point by itself:
//!
//! ```text
//!                  stream                won                    tables as desired
//! Disconnected ─────────────▶ Backup ─────────────▶ Synchronising ─────────────────▶ Ready
//!      ▲                        ▲                        │                             │
//!      │                        └──────── demoted ───────┴─────────────────────────────┤
//!      └──────────────── stream broken, or the router does not answer ─────────────────┘
//! ```
//!
//! The desired set changes with what the router accepted, for a write is all or nothing, or with what was applied, which the router
//! gets sooner or later. Where it is not known what became of a call, the tables are read again. So a router never keeps an
//! entry that nobody wants.
//!
//! `tonic` and `p4runtime-proto` speak to the router, `svpn-contract` gives entries their types; `fnv` names a pipeline by a hash
//! that is the same in every build; `fail` names the points at which tests kill the gateway, in builds for such tests.

mod batch;
mod client;
mod counters;
mod desired;
mod election;
mod link;
mod packets;
mod pipeline;
mod read;
mod reconcile;
mod settings;
mod switch;
mod write;

pub use counters::{Count, SessionCounters};
pub use election::{ElectionId, ZeroElectionId};
pub use link::Event;
pub use packets::PacketOutError;
pub use read::{Foreign, ReadError, Snapshot, inspect};
pub use reconcile::{ReconcileError, RefusedChange, Report};
pub use settings::{Backoff, Settings};
pub use switch::{State, Switch};
pub use write::{Refusal, WriteError};
