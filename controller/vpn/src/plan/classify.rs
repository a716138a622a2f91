//! Which packets are a session's.

use std::collections::BTreeMap;
use std::net::IpAddr;

use ipnet::IpNet;
use svpn_contract::wire::{L4Port, Protocol, SessionId};
use svpn_contract::{
    Entry, EntryKey, FlowAclV4Action, FlowAclV4Entry, FlowAclV4Key, FlowAclV6Action, FlowAclV6Entry, FlowAclV6Key, FlowV4Action,
    FlowV4Entry, FlowV4Key, FlowV6Action, FlowV6Entry, FlowV6Key, Priority, Range, Ternary,
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
    distinct(media.iter().filter_map(|flow| {
        let (vrf, session, proto) = (way.from.vrf, way.session, protocol(flow.transport));
        let [sport, dport] = [flow.from, flow.to].map(|end| port(end.port));
        match (flow.from.address, flow.to.address) {
            (IpAddr::V4(src), IpAddr::V4(dst)) => {
                let key = FlowV4Key { vrf, src, dst, proto, sport, dport };
                Some(FlowV4Entry { key, action: FlowV4Action::Assign { session }, idle_timeout: None }.into())
            }
            (IpAddr::V6(src), IpAddr::V6(dst)) => {
                let key = FlowV6Key { vrf, src, dst, proto, sport, dport };
                Some(FlowV6Entry { key, action: FlowV6Action::Assign { session }, idle_timeout: None }.into())
            }
            _ => None,
        }
    }))
}

/// `match=hosts`: everything from one address to the other.
pub(crate) fn hosts(way: Way<'_>, media: &[Flow]) -> Vec<Entry> {
    distinct(media.iter().filter_map(|flow| between(way, flow.from.address.into(), flow.to.address.into(), HOSTS)))
}

/// `match=sites`: everything from the prefixes behind one CE to those behind the other.
pub(crate) fn sites(way: Way<'_>) -> Vec<Entry> {
    let pairs = way.from.prefixes.iter().flat_map(|src| way.to.prefixes.iter().map(move |dst| (*src, *dst)));
    distinct(pairs.filter_map(|(src, dst)| between(way, src, dst, SITES)))
}

/// Everything from one prefix to another; nothing where one is of IPv4 and the other of IPv6.
fn between(way: Way<'_>, src: IpNet, dst: IpNet, priority: Priority) -> Option<Entry> {
    let (vrf, proto, session) = (Ternary::exact(way.from.vrf), Ternary::any(), way.session);
    let (sport, dport) = (Range::any(), Range::any());
    match (src, dst) {
        (IpNet::V4(src), IpNet::V4(dst)) => {
            let [src, dst] = [src, dst].map(|prefix| Ternary { value: prefix.network(), mask: prefix.netmask() });
            let key = FlowAclV4Key { vrf, src, dst, proto, sport, dport, priority };
            Some(FlowAclV4Entry { key, action: FlowAclV4Action::Assign { session } }.into())
        }
        (IpNet::V6(src), IpNet::V6(dst)) => {
            let [src, dst] = [src, dst].map(|prefix| Ternary { value: prefix.network(), mask: prefix.netmask() });
            let key = FlowAclV6Key { vrf, src, dst, proto, sport, dport, priority };
            Some(FlowAclV6Entry { key, action: FlowAclV6Action::Assign { session } }.into())
        }
        _ => None,
    }
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
