//! Durable records: what a customer is billed for.
//!
//! One JSON object a line, appended and synced before anyone is told that a session is over. `serde_json` writes the objects; `jiff`
//! writes times as RFC 3339 has them.

mod charges;
mod record;

pub use charges::{AppendError, ChargeLog, OpenError};
pub use record::{ChargeRecord, CountersRead, Timestamp, Traffic};
