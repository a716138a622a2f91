//! What the gateway keeps, as text: for people, and for programs that bill.
//!
//! Nearly every listing is a view: of the sessions, tunnels and links in the store, of the configuration, or of both.

mod agreements;
mod sessions;
#[cfg(test)]
mod tests;

use serde::Serialize;
use svpn_store::{Kept, ReadError};
use svpn_vpn::durable::Fact;

use crate::config::Config;
use sessions::Held;

/// Which records.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Listing {
    /// SIP session to VPN tunnel: the tunnel and the links of each way of a session.
    SessionTunnels,
    /// SIP component to VPN group: the addresses of record in each VPN and in each closed user group.
    ComponentGroups,
    /// Status of sessions and tunnels: how far a session has come, which of a tunnel's ways work.
    Status,
    /// Many SIP sessions to one VPN tunnel: all that ride each tunnel.
    TunnelSessions,
    /// Session quality of service to that of the VPN: what was asked by SIP, and class, TC and rate in the network.
    Qos,
    /// Session address to VPN address: media and CEs, and the ports, tags, VRFs and prefixes they are found at.
    Addresses,
    /// Session control to VPN control: the two SIP dialogs of a session, and the routers that are programmed for it.
    Control,
    /// Security policy to VPN service: what contracts, VPNs and closed user groups allow.
    Policies,
    /// What is billed, in the order in which the sessions ended.
    Charges,
    /// Application to VPN: whose contract pays for it, and the CEs it may register at.
    Applications,
    /// Where applications are reached; also what has expired since the gateway looked last.
    Registrations,
    /// The sessions that are not over, whole.
    Sessions,
    /// The tunnels, whole.
    Tunnels,
    /// What was done to links and routers at run time.
    Network,
}

/// The records of a kind, an object of JSON a line.
///
/// # Errors
/// [`ReadError`] when they cannot be read.
pub async fn list(config: &Config, listing: Listing) -> Result<Vec<String>, ReadError> {
    let (database, gateway) = (&config.records.database, &config.records.gateway);
    match listing {
        Listing::Charges => return Ok(svpn_store::charges(database, gateway).await?.iter().map(line).collect()),
        Listing::ComponentGroups => return Ok(lines(agreements::component_groups(config))),
        Listing::Policies => return Ok(lines(agreements::policies(config))),
        Listing::Applications => return Ok(lines(agreements::applications(config))),
        _ => {}
    }
    Ok(view(config, &svpn_store::look(database, gateway).await?, listing))
}

/// The listings of what is kept.
fn view(config: &Config, kept: &Kept, listing: Listing) -> Vec<String> {
    let held = Held::new(config, kept);
    match listing {
        Listing::SessionTunnels => lines(held.session_tunnels()),
        Listing::Status => lines(held.status()),
        Listing::TunnelSessions => lines(held.tunnel_sessions()),
        Listing::Qos => lines(held.qos()),
        Listing::Addresses => lines(held.addresses()),
        Listing::Control => lines(held.control()),
        Listing::Registrations => lines(held.registrations()),
        _ => kept.facts.iter().filter_map(|fact| whole(fact, listing)).collect(),
    }
}

/// A fact as it is kept, where it is one of a listing.
fn whole(fact: &Fact, listing: Listing) -> Option<String> {
    match (listing, fact) {
        (Listing::Sessions, Fact::Session(record)) => Some(line(record)),
        (Listing::Tunnels, Fact::Tunnel(record)) => Some(line(record)),
        (Listing::Network, Fact::Link(record)) => Some(line(record)),
        (Listing::Network, Fact::RouterDown(_)) => Some(line(fact)),
        _ => None,
    }
}

fn lines(records: Vec<serde_json::Value>) -> Vec<String> {
    records.into_iter().map(|record| line(&record)).collect()
}

/// Texts, numbers and lists always have a form in JSON.
fn line<T: Serialize>(record: &T) -> String {
    serde_json::to_string(record).unwrap_or_default()
}
