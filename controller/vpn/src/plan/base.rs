//! What every router holds as long as it is in service, sessions or none.

use std::collections::{BTreeMap, HashMap};
use std::net::IpAddr;

use ipnet::IpNet;
use svpn_contract::wire::{Label, NextHopId, PortId, VlanId, VrfId};
use svpn_contract::{
    ArpResponderAction, ArpResponderEntry, ArpResponderKey, AttachmentAction, AttachmentEntry, AttachmentKey, Choice, Entry, IlmAction,
    IlmEntry, IlmKey, NexthopAction, NexthopEntry, NexthopKey, Prefix, RouteV4Action, RouteV4Entry, RouteV4Key, RouteV6Action,
    RouteV6Entry, RouteV6Key, StationAction, StationEntry, StationKey,
};

use super::Planned;
use super::numbers::{NoNumber, Numbers};
use crate::durable::{LinkWay, NumberHolder};
use crate::network::{Circuit, Network, RouterId};
use crate::topology::{DirectedLink, DirectedLinkId};

const UNTAGGED: VlanId = match VlanId::new(0) {
    Ok(vlan) => vlan,
    Err(_) => unreachable!(),
};

/// The numbers that never change.
#[derive(Debug, Clone)]
pub(crate) struct Base {
    /// Of each directed link: the next hop of its first router.
    links: Vec<NextHopId>,
    /// Of each circuit: the next hop to its CE.
    circuits: Vec<NextHopId>,
    /// What a PE pops to reach a VRF.
    vpn_labels: HashMap<(RouterId, VrfId), Label>,
}

/// The numbers of before a restart.
pub(crate) type Kept = BTreeMap<NumberHolder, u32>;

impl Base {
    /// Takes its numbers: those it had before a restart, and for what is new others, in the order of the configuration.
    pub(crate) fn new(network: &Network, numbers: &mut Numbers, kept: &Kept) -> Result<Self, NoNumber> {
        let mut had = Had { numbers, kept, restored: BTreeMap::new() };
        for (holder, router) in holders(network) {
            had.restore(holder, router);
        }
        let links =
            network.topology().links().map(|(id, link)| had.next_hop(&link_holder(network, id), link.from)).collect::<Result<_, _>>()?;
        let circuits = network.circuits().iter().map(|circuit| had.next_hop(&circuit_holder(network, circuit), circuit.router));
        let circuits = circuits.collect::<Result<_, _>>()?;
        let mut vpn_labels = HashMap::new();
        for circuit in own_circuits(network) {
            let place = (circuit.router, circuit.vrf);
            if let std::collections::hash_map::Entry::Vacant(vacant) = vpn_labels.entry(place) {
                vacant.insert(had.label(&label_holder(network, circuit), circuit.router)?);
            }
        }
        Ok(Self { links, circuits, vpn_labels })
    }

    /// Every number that lasts, and whose it is.
    pub(crate) fn numbers(&self, network: &Network) -> Kept {
        let links = network.topology().links().map(|(id, _)| (link_holder(network, id), self.next_hop(id).get()));
        let circuits = network.circuits().iter().zip(&self.circuits);
        let hops = circuits.map(|(circuit, hop)| (circuit_holder(network, circuit), hop.get()));
        let labels = own_circuits(network).map(|circuit| (label_holder(network, circuit), self.vpn_label(circuit).get()));
        links.chain(hops).chain(labels).collect()
    }

    pub(crate) fn next_hop(&self, link: DirectedLinkId) -> NextHopId {
        self.links[link.index()]
    }

    /// The label by which a circuit's PE knows its VRF.
    pub(crate) fn vpn_label(&self, circuit: &Circuit) -> Label {
        // Every circuit's place got one.
        self.vpn_labels[&(circuit.router, circuit.vrf)]
    }

    /// Every entry, grouped by router; on each router what lets packets in comes last.
    pub(crate) fn entries(&self, network: &Network) -> Planned {
        let mut planned = Planned::new();
        for (router, _) in network.routers() {
            let mut entries = Vec::new();
            self.core(network, router, &mut entries);
            self.circuits(network, router, &mut entries);
            let (doors, rooms): (Vec<_>, Vec<_>) = entries.into_iter().partition(|entry| matches!(entry, Entry::Attachment(_)));
            let mut seen = std::collections::HashSet::new();
            let entries = rooms.into_iter().chain(doors).filter(|entry| seen.insert(entry.key()));
            planned.extend(entries.map(|entry| (router, entry)));
        }
        planned
    }

    fn core(&self, network: &Network, at: RouterId, entries: &mut Vec<Entry>) {
        for (id, link) in network.topology().links().filter(|(_, link)| link.from == at) {
            entries.push(over_link(self.next_hop(id), link));
            entries.push(StationEntry { key: StationKey { port: link.port, dst_mac: link.src_mac }, action: StationAction::Accept }.into());
            entries.push(attachment(link.port, UNTAGGED, UNTAGGED, AttachmentAction::ToCore));
        }
    }

    fn circuits(&self, network: &Network, at: RouterId, entries: &mut Vec<Entry>) {
        for (circuit, &next_hop) in network.circuits().iter().zip(&self.circuits).filter(|(circuit, _)| circuit.router == at) {
            entries.push(to_ce(next_hop, circuit));
            let routes = circuit.prefixes.iter().map(|prefix| local_route(circuit.vrf, *prefix, next_hop));
            entries.extend(routes);
            entries.push(pop(self.vpn_label(circuit), circuit.vrf, network));
            let station = StationKey { port: circuit.port, dst_mac: circuit.mac };
            entries.push(StationEntry { key: station, action: StationAction::Accept }.into());
            entries.extend(arp_responders(circuit));
            entries.push(attachment(circuit.port, circuit.vlan, circuit.inner_vlan, AttachmentAction::ToVrf { vrf: circuit.vrf }));
        }
    }
}

/// The numbers that were had before, on their way to whom they belong.
struct Had<'a> {
    numbers: &'a mut Numbers,
    kept: &'a Kept,
    restored: BTreeMap<NumberHolder, u32>,
}

impl Had<'_> {
    /// Takes a number that was had before; where somebody else has it by now, another will do.
    fn restore(&mut self, holder: NumberHolder, router: RouterId) {
        let Some(&number) = self.kept.get(&holder) else { return };
        let free = match holder {
            NumberHolder::VpnLabel { .. } => self.numbers.restore_label(router, number).is_some(),
            NumberHolder::Link(_) | NumberHolder::Circuit { .. } => self.numbers.restore_next_hop(router, number).is_some(),
        };
        if free {
            self.restored.insert(holder, number);
        }
    }

    fn next_hop(&mut self, holder: &NumberHolder, router: RouterId) -> Result<NextHopId, NoNumber> {
        let restored = self.restored.get(holder).and_then(|&number| NextHopId::new(number).ok());
        restored.map_or_else(|| self.numbers.take_next_hop(router), Ok)
    }

    fn label(&mut self, holder: &NumberHolder, router: RouterId) -> Result<Label, NoNumber> {
        let restored = self.restored.get(holder).and_then(|&number| Label::new(number).ok());
        restored.map_or_else(|| self.numbers.take_label(router), Ok)
    }
}

/// Where customers' edges connect to this network: what is beyond it has no label here.
fn own_circuits(network: &Network) -> impl Iterator<Item = &Circuit> {
    network.circuits().iter().filter(|circuit| network.is_own(circuit.router))
}

/// Everything that has a number of its own, each once, and the router it is a number of.
fn holders(network: &Network) -> BTreeMap<NumberHolder, RouterId> {
    let links = network.topology().links().map(|(id, link)| (link_holder(network, id), link.from));
    let hops = network.circuits().iter().map(|circuit| (circuit_holder(network, circuit), circuit.router));
    let labels = own_circuits(network).map(|circuit| (label_holder(network, circuit), circuit.router));
    links.chain(hops).chain(labels).collect()
}

fn link_holder(network: &Network, id: DirectedLinkId) -> NumberHolder {
    NumberHolder::Link(LinkWay::of(network, id))
}

fn circuit_holder(network: &Network, circuit: &Circuit) -> NumberHolder {
    let router = network.router(circuit.router).name.clone();
    NumberHolder::Circuit { router, ce: circuit.ce.clone(), vpn: circuit.vpn.clone() }
}

fn label_holder(network: &Network, circuit: &Circuit) -> NumberHolder {
    NumberHolder::VpnLabel { router: network.router(circuit.router).name.clone(), vpn: circuit.vpn.clone() }
}

fn attachment(port: PortId, vlan: VlanId, inner_vlan: VlanId, action: AttachmentAction) -> Entry {
    AttachmentEntry { key: AttachmentKey { port, vlan, inner_vlan }, action }.into()
}

fn next_hop(nexthop: NextHopId, rewrite: NexthopAction) -> Entry {
    NexthopEntry { key: NexthopKey { nexthop }, action: Choice::only(rewrite) }.into()
}

fn over_link(id: NextHopId, link: &DirectedLink) -> Entry {
    let DirectedLink { port, src_mac, dst_mac, mtu, .. } = *link;
    next_hop(id, NexthopAction::Rewrite { port, src_mac, dst_mac, vlan: UNTAGGED, inner_vlan: UNTAGGED, mtu })
}

fn to_ce(id: NextHopId, circuit: &Circuit) -> Entry {
    let Circuit { port, mac: src_mac, ce_mac: dst_mac, vlan, inner_vlan, mtu, .. } = *circuit;
    next_hop(id, NexthopAction::Rewrite { port, src_mac, dst_mac, vlan, inner_vlan, mtu })
}

fn local_route(vrf: VrfId, prefix: IpNet, nexthop: NextHopId) -> Entry {
    match prefix {
        IpNet::V4(prefix) => {
            let dst = Prefix { value: prefix.network(), length: prefix.prefix_len() };
            RouteV4Entry { key: RouteV4Key { vrf, dst }, action: RouteV4Action::Local { nexthop } }.into()
        }
        IpNet::V6(prefix) => {
            let dst = Prefix { value: prefix.network(), length: prefix.prefix_len() };
            RouteV6Entry { key: RouteV6Key { vrf, dst }, action: RouteV6Action::Local { nexthop } }.into()
        }
    }
}

fn pop(label: Label, vrf: VrfId, network: &Network) -> Entry {
    IlmEntry { key: IlmKey { label }, action: IlmAction::PopVrf { vrf, ttl_mode: network.ttl() } }.into()
}

/// For IPv4; neighbour discovery routers leave to the gateway.
fn arp_responders(circuit: &Circuit) -> impl Iterator<Item = Entry> {
    circuit.addresses.iter().filter_map(|address| {
        let IpAddr::V4(target) = *address else { return None };
        let key = ArpResponderKey { port: circuit.port, vlan: circuit.vlan, target };
        Some(ArpResponderEntry { key, action: ArpResponderAction::Reply { mac: circuit.mac } }.into())
    })
}
