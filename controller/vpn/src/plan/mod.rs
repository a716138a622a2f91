//! From paths and sessions to table entries.
//!
//! A plan is a list of [`Step`]s in the order they must be written: what a packet meets last comes first, so that no packet ever finds
//! a router that is not ready for it. The same list backwards undoes it.

mod base;
mod border;
mod classify;
mod gre;
mod numbers;
mod tables;
mod tunnels;

use svpn_contract::wire::{Class, Label, SessionId, TunnelId};
use svpn_contract::{Entry, MeterConfig, SessionAction, SessionEntry, SessionKey, Update};

use crate::demand::Policer;
use crate::network::RouterId;

pub(crate) use base::{Base, Kept};
pub(crate) use border::arrival;
pub(crate) use classify::{Flow, Way, flows, hosts, sites};
pub(crate) use gre::Ends;
pub(crate) use numbers::Numbers;
pub(crate) use tables::Tables;
pub(crate) use tunnels::{Ground, Labels, Marks, Reroute, Route, Tunnel, Tunnels, give_back};

/// Updates for one router, written in one go, in their order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Step {
    /// The router.
    pub router: RouterId,
    /// What changes in its tables; never empty.
    pub updates: Vec<Update>,
}

/// Entries and where they belong, in the order they must be written.
pub(crate) type Planned = Vec<(RouterId, Entry)>;

/// The steps that write entries in this order.
pub(crate) fn insert(entries: &[(RouterId, Entry)]) -> Vec<Step> {
    steps(entries.iter().map(|(router, entry)| (*router, Update::Insert(entry.clone()))))
}

/// Consecutive updates of one router become one step.
fn steps(updates: impl IntoIterator<Item = (RouterId, Update)>) -> Vec<Step> {
    let mut steps: Vec<Step> = Vec::new();
    for (router, update) in updates {
        match steps.last_mut() {
            Some(step) if step.router == router => step.updates.push(update),
            _ => steps.push(Step { router, updates: vec![update] }),
        }
    }
    steps
}

/// The entry that carries a session from its ingress PE.
pub(crate) fn carry(session: SessionId, tunnel: TunnelId, vpn_label: Label, class: Class, policer: Policer) -> Entry {
    let Policer { bytes_per_second, burst } = policer;
    SessionEntry {
        key: SessionKey { session },
        action: SessionAction::Carry { tunnel, vpn_label, class },
        meter: Some(MeterConfig { cir: bytes_per_second, cburst: burst, pir: bytes_per_second, pburst: burst }),
    }
    .into()
}
