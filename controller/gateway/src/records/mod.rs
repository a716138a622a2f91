//! What the gateway keeps, as text: for people, and for programs that bill.

use serde::Serialize;
use svpn_store::ReadError;
use svpn_vpn::durable::{Fact, SessionRecord};

use crate::config::RecordsConfig;

/// Which records.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Listing {
    /// What is billed, in the order in which the sessions ended.
    Charges,
    /// The sessions that are not over, whole.
    Sessions,
    /// The tunnels.
    Tunnels,
    /// What was done to links and routers at run time.
    Network,
}

/// The records of a kind, an object of JSON a line.
///
/// # Errors
/// [`ReadError`] when they cannot be read.
pub async fn list(records: &RecordsConfig, listing: Listing) -> Result<Vec<String>, ReadError> {
    let RecordsConfig { database, gateway } = records;
    if listing == Listing::Charges {
        return Ok(svpn_store::charges(database, gateway).await?.iter().map(line).collect());
    }
    let facts = svpn_store::look(database, gateway).await?.facts;
    let chosen = facts.iter().filter_map(|fact| match (listing, fact) {
        (Listing::Sessions, Fact::Session(record)) => Some(line::<SessionRecord>(record)),
        (Listing::Tunnels, Fact::Tunnel(record)) => Some(line(record)),
        (Listing::Network, Fact::Link(record)) => Some(line(record)),
        (Listing::Network, Fact::RouterDown(_)) => Some(line(fact)),
        _ => None,
    });
    Ok(chosen.collect())
}

/// Texts, numbers and lists always have a form in JSON.
fn line<T: Serialize>(record: &T) -> String {
    serde_json::to_string(record).unwrap_or_default()
}
