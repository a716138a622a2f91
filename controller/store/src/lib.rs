//! Durable state and records.
//!
//! A gateway's [`Journal`] takes changes, a transaction at a time, and tells when they are on the disk; only then may their effect leave
//! the machine. [`open`] gives back what was kept, so that a gateway that was killed goes on where it was. A session's charge record is
//! written in the transaction that ends it, so that it is neither lost nor doubled.
//!
//! `sqlx` speaks to SQLite, which is built in, and to PostgreSQL, by one set of statements; `serde_json` writes the bodies of rows and
//! `jiff` times, as RFC 3339 has them. `fail` names the points at which tests kill the gateway, in builds for such tests.

mod batch;
mod change;
mod database;
mod journal;
mod record;
mod store;

pub use change::Change;
pub use database::OpenError;
pub use journal::{AppendError, Commit, Journal, Writer};
pub use record::{ChargeRecord, CountersRead, Timestamp, Traffic};
pub use store::{Kept, ReadError, charges, look, open};
