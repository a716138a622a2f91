//! Which packets are a session's.

use std::collections::BTreeMap;
use std::net::Ipv4Addr;

use ipnet::Ipv4Net;
use svpn_contract::wire::{L4Port, Protocol, SessionId};
use svpn_contract::{
    Entry, EntryKey, FlowAclV4Action, FlowAclV4Entry, FlowAclV4Key, FlowV4Action, FlowV4Entry, FlowV4Key, Priority, Range, Ternary,
};

use crate::network::Circuit;
use crate::request::{MediaEnd, Transport};

/// `match=hosts` is narrower than `match=sites`, so it goes before; `match=ports` has a table of its own that goes before both.
const HOSTS: Priority = match Priority::new(200) {
    Some(priority) => priority,
    None => unreachable!(),
};
const SITES: Priority = match Priority::new(100) {
    Some(priority) => priority,
    None => unreachable!(),
};

/// One direction of a session: where its packets come from and where they go.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Way<'a> {
    pub(crate) session: SessionId,
    pub(crate) from: &'a Circuit,
    pub(crate) to: &'a Circuit,
}

/// One medium in one direction.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Flow {
    pub(crate) transport: Transport,
    pub(crate) from: MediaEnd,
    pub(crate) to: MediaEnd,
}

/// `match=ports`: the 5-tuples. A sender sends from where it receives (RFC 4961).
pub(crate) fn flows(way: Way<'_>, media: &[Flow]) -> Vec<Entry> {
    distinct(media.iter().map(|flow| {
        let key = FlowV4Key {
            vrf: way.from.vrf,
            src: flow.from.address,
            dst: flow.to.address,
            proto: protocol(flow.transport),
            sport: port(flow.from.port),
            dport: port(flow.to.port),
        };
        let action = FlowV4Action::Assign { session: way.session };
        FlowV4Entry { key, action, idle_timeout: None }.into()
    }))
}

/// `match=hosts`: everything from one address to the other.
pub(crate) fn hosts(way: Way<'_>, media: &[Flow]) -> Vec<Entry> {
    let exact = |flow: &Flow| (Ternary::exact(flow.from.address), Ternary::exact(flow.to.address));
    distinct(media.iter().map(|flow| between(way, exact(flow), HOSTS)))
}

/// `match=sites`: everything from the prefixes behind one CE to those behind the other.
pub(crate) fn sites(way: Way<'_>) -> Vec<Entry> {
    let pairs = way.from.prefixes.iter().flat_map(|src| way.to.prefixes.iter().map(move |dst| (within(*src), within(*dst))));
    distinct(pairs.map(|pair| between(way, pair, SITES)))
}

fn within(prefix: Ipv4Net) -> Ternary<Ipv4Addr> {
    Ternary { value: prefix.network(), mask: prefix.netmask() }
}

fn between(way: Way<'_>, (src, dst): (Ternary<Ipv4Addr>, Ternary<Ipv4Addr>), priority: Priority) -> Entry {
    let key = FlowAclV4Key {
        vrf: Ternary::exact(way.from.vrf),
        src,
        dst,
        proto: Ternary::any(),
        sport: Range::any(),
        dport: Range::any(),
        priority,
    };
    FlowAclV4Entry { key, action: FlowAclV4Action::Assign { session: way.session } }.into()
}

/// Two media may well be one flow.
fn distinct(entries: impl Iterator<Item = Entry>) -> Vec<Entry> {
    entries.map(|entry| (entry.key(), entry)).collect::<BTreeMap<EntryKey, Entry>>().into_values().collect()
}

fn protocol(transport: Transport) -> Protocol {
    // As wide as what it is made of.
    Protocol::new(transport.protocol_number()).unwrap_or(Protocol::MAX)
}

fn port(number: u16) -> L4Port {
    L4Port::new(number).unwrap_or(L4Port::MAX)
}
