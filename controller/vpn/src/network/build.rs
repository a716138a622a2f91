//! From what a configuration says to a network that hangs together.

use std::collections::HashMap;
use std::net::IpAddr;

use ipnet::IpNet;
use svpn_contract::wire::{Label, MacAddr, Mtu, PortId, VlanId, VrfId};

use super::spec::{AttachmentSpec, ClassSpec, GroupSpec, NetworkSpec, RouterSpec};
use super::{Circuit, ContractId, InvalidNetwork, Item, Network, Router, RouterId, peers};
use crate::durable::TunnelOrigin;
use crate::request::{ApplicationId, CeName, IpVersion, VpnName};
use crate::topology::{Names, Topology};

/// The smallest packet every IPv4 link must carry whole (RFC 791 section 3.2).
const MIN_MTU: u16 = 68;
/// The same of IPv6 (RFC 8200 section 5).
const MIN_MTU_V6: u16 = 1280;
/// IEEE 802.1Q reserves the last VLAN identifier.
const RESERVED_VLAN: u16 = 4095;

pub(super) fn build(mut spec: NetworkSpec) -> Result<Network, InvalidNetwork> {
    let last_session = spec.last_session.unwrap_or(NetworkSpec::DEFAULT_LAST_SESSION);
    if last_session == 0 {
        return Err(InvalidNetwork::NoSessions);
    }
    let own_routers = spec.routers.len();
    peers::expand(&mut spec)?;
    let mut checker = Checker::default();
    let mean_packets = mean_packets(&spec.classes)?;
    let routers = checker.routers(spec.routers)?;
    let links = checker.links(spec.links)?;
    let policies = spec.vpns.iter().map(|vpn| (vpn.name.clone(), vpn.policy.clone())).collect();
    let premade = spec.vpns.iter().filter(|vpn| vpn.tunnels == TunnelOrigin::Premade).map(|vpn| vpn.name.clone()).collect();
    let vpns = checker.vpns(spec.vpns.into_iter().map(|vpn| (vpn.name, vpn.vrf)))?;
    let circuits = checker.circuits(spec.attachments)?;
    let topology = Topology::new(routers.len(), links, std::mem::take(&mut checker.affinities), std::mem::take(&mut checker.risks));
    let contracts = checker.contracts(spec.contracts, &topology)?;
    let nnis = checker.nnis(&spec.nnis)?;
    let mut applications = HashMap::new();
    let mut accepts = HashMap::new();
    for application in spec.applications {
        accepts.insert(application.id.clone(), application.accepts);
        checker.application(&mut applications, application.id, application.contract)?;
    }
    all_known(&accepts, &applications)?;
    let groups = groups(spec.groups, &applications)?;
    let circuit_of = circuits.iter().enumerate().map(|(index, circuit)| ((circuit.ce.clone(), circuit.vpn.clone()), index)).collect();
    Ok(Network {
        ttl: spec.ttl,
        last_session,
        mean_packets,
        topology,
        routers,
        own_routers,
        nnis,
        vpns,
        circuits,
        contracts,
        applications,
        policies,
        premade,
        groups,
        accepts,
        circuit_of,
    })
}

/// Whoever is accepted is there.
fn all_known(
    accepts: &HashMap<ApplicationId, Vec<ApplicationId>>,
    applications: &HashMap<ApplicationId, ContractId>,
) -> Result<(), InvalidNetwork> {
    let mut named = accepts.iter().flat_map(|(callee, callers)| callers.iter().map(move |caller| (callee, caller)));
    match named.find(|(_, caller)| !applications.contains_key(caller)) {
        None => Ok(()),
        Some((callee, caller)) => {
            Err(InvalidNetwork::Missing { item: Item::Application(callee.to_string()), missing: Item::Application(caller.to_string()) })
        }
    }
}

/// Of each application the groups it is in.
fn groups(
    specs: Vec<GroupSpec>,
    applications: &HashMap<ApplicationId, ContractId>,
) -> Result<HashMap<ApplicationId, Vec<String>>, InvalidNetwork> {
    let mut groups: HashMap<ApplicationId, Vec<String>> = HashMap::new();
    let mut seen = std::collections::HashSet::new();
    for spec in specs {
        let item = named(Item::Group(spec.name.clone()), &spec.name)?;
        if !seen.insert(spec.name.clone()) {
            return Err(InvalidNetwork::Duplicate(item));
        }
        for member in spec.members {
            if !applications.contains_key(&member) {
                return Err(InvalidNetwork::Missing { item, missing: Item::Application(member.to_string()) });
            }
            groups.entry(member).or_default().push(spec.name.clone());
        }
    }
    Ok(groups)
}

fn mean_packets(specs: &[ClassSpec]) -> Result<[u16; 8], InvalidNetwork> {
    let mut mean_packets = [None; 8];
    for spec in specs {
        let item = Item::Class(spec.class);
        if spec.mean_packet == 0 {
            return Err(InvalidNetwork::Zero { item, quantity: "the mean packet" });
        }
        if mean_packets[usize::from(spec.class.get())].replace(spec.mean_packet).is_some() {
            return Err(InvalidNetwork::Duplicate(item));
        }
    }
    Ok(mean_packets.map(|mean| mean.unwrap_or(ClassSpec::DEFAULT_MEAN_PACKET)))
}

/// What has been seen so far, to find what is there twice and what is not there.
#[derive(Default)]
pub(super) struct Checker {
    routers: HashMap<String, RouterId>,
    pub(super) links: HashMap<String, Item>,
    pub(super) affinities: Names,
    pub(super) risks: Names,
    /// Ports taken by links.
    pub(super) core_ports: HashMap<(RouterId, PortId), Item>,
    vpns: HashMap<VpnName, VrfId>,
    vrfs: HashMap<VrfId, Item>,
    circuits: HashMap<(RouterId, PortId, VlanId, VlanId), Item>,
    attached: HashMap<(CeName, VpnName), Item>,
    responders: HashMap<(RouterId, PortId, VlanId, IpAddr), (Item, MacAddr)>,
    prefixes: HashMap<VpnName, Vec<(IpNet, Item)>>,
    /// What routers have for GRE.
    pub(super) gre: Vec<(IpNet, Item)>,
    pub(super) contracts: HashMap<String, ContractId>,
}

impl Checker {
    fn routers(&mut self, specs: Vec<RouterSpec>) -> Result<Vec<Router>, InvalidNetwork> {
        let mut routers = Vec::with_capacity(specs.len());
        for (index, spec) in (0..).zip(specs) {
            let item = named(Item::Router(spec.name.clone()), &spec.name)?;
            if self.routers.insert(spec.name.clone(), RouterId(index)).is_some() {
                return Err(InvalidNetwork::Duplicate(item));
            }
            let (first, last) = spec.labels.unwrap_or((Label::FIRST_UNRESERVED, Label::MAX));
            if first < Label::FIRST_UNRESERVED || first > last {
                return Err(InvalidNetwork::Labels { item, first, last });
            }
            let gre = self.gre(&item, &spec.gre)?;
            routers.push(Router { name: spec.name, first_label: first, last_label: last, gre });
        }
        Ok(routers)
    }

    pub(super) fn router(&self, item: &Item, name: &str) -> Result<RouterId, InvalidNetwork> {
        self.routers
            .get(name)
            .copied()
            .ok_or_else(|| InvalidNetwork::Missing { item: item.clone(), missing: Item::Router(name.to_owned()) })
    }

    fn vpns(&mut self, specs: impl Iterator<Item = (VpnName, VrfId)>) -> Result<Vec<(VpnName, VrfId)>, InvalidNetwork> {
        let mut vpns = Vec::new();
        for (name, vrf) in specs {
            let item = named(Item::Vpn(name.0.clone()), &name.0)?;
            if self.vpns.insert(name.clone(), vrf).is_some() {
                return Err(InvalidNetwork::Duplicate(item));
            }
            if vrf.get() == 0 {
                return Err(InvalidNetwork::ProviderVrf { item });
            }
            if let Some(first) = self.vrfs.insert(vrf, item.clone()) {
                return Err(InvalidNetwork::VrfInUse { vrf, first, second: item });
            }
            vpns.push((name, vrf));
        }
        Ok(vpns)
    }

    pub(super) fn vrf(&self, item: &Item, name: &VpnName) -> Result<VrfId, InvalidNetwork> {
        self.vpns.get(name).copied().ok_or_else(|| InvalidNetwork::Missing { item: item.clone(), missing: Item::Vpn(name.0.clone()) })
    }

    fn circuits(&mut self, specs: Vec<AttachmentSpec>) -> Result<Vec<Circuit>, InvalidNetwork> {
        specs.into_iter().map(|spec| self.circuit(spec)).collect()
    }

    fn circuit(&mut self, spec: AttachmentSpec) -> Result<Circuit, InvalidNetwork> {
        let item = Item::Attachment { ce: spec.ce.0.clone(), vpn: spec.vpn.0.clone() };
        let item = named(item, &spec.ce.0)?;
        if self.attached.insert((spec.ce.clone(), spec.vpn.clone()), item.clone()).is_some() {
            return Err(InvalidNetwork::Duplicate(item));
        }
        let vrf = self.vrf(&item, &spec.vpn)?;
        let router = self.router(&item, &spec.router)?;
        unicast(&item, spec.mac)?;
        unicast(&item, spec.ce_mac)?;
        for &address in &spec.addresses {
            let broadcast = matches!(address, IpAddr::V4(address) if address.is_broadcast());
            if address.is_unspecified() || address.is_multicast() || broadcast {
                return Err(InvalidNetwork::Address { item, address });
            }
        }
        self.circuit_port(&item, router, &spec)?;
        self.circuit_prefixes(&item, &spec)?;
        let mtu = checked_mtu(&item, spec.mtu.unwrap_or(AttachmentSpec::DEFAULT_MTU))?;
        if mtu.get() < MIN_MTU_V6 && spec.prefixes.iter().any(|prefix| prefix.addr().is_ipv6()) {
            return Err(InvalidNetwork::MtuForIpv6 { item, mtu });
        }
        let mut prefixes = spec.prefixes;
        prefixes.sort_unstable();
        Ok(Circuit {
            ce: spec.ce,
            vpn: spec.vpn,
            vrf,
            router,
            port: spec.port,
            vlan: spec.vlan,
            inner_vlan: spec.inner_vlan,
            mac: spec.mac,
            addresses: spec.addresses,
            ce_mac: spec.ce_mac,
            prefixes,
            mtu,
        })
    }

    fn circuit_port(&mut self, item: &Item, router: RouterId, spec: &AttachmentSpec) -> Result<(), InvalidNetwork> {
        if spec.vlan.get() == RESERVED_VLAN || spec.inner_vlan.get() == RESERVED_VLAN {
            return Err(InvalidNetwork::ReservedVlan { item: item.clone() });
        }
        if spec.vlan.get() == 0 && spec.inner_vlan.get() != 0 {
            return Err(InvalidNetwork::InnerVlanAlone { item: item.clone() });
        }
        // A port of the core takes labels; a customer on it could name them.
        if let Some(first) = self.core_ports.get(&(router, spec.port)) {
            return Err(InvalidNetwork::PortInUse {
                router: spec.router.clone(),
                port: spec.port,
                first: first.clone(),
                second: item.clone(),
            });
        }
        let circuit = (router, spec.port, spec.vlan, spec.inner_vlan);
        if let Some(first) = self.circuits.insert(circuit, item.clone()) {
            return Err(InvalidNetwork::CircuitInUse {
                router: spec.router.clone(),
                port: spec.port,
                vlan: spec.vlan,
                inner_vlan: spec.inner_vlan,
                first,
                second: item.clone(),
            });
        }
        // The router answers ARP by port and outer tag: circuits that differ in the inner tag only must agree.
        for &address in &spec.addresses {
            match self.responders.insert((router, spec.port, spec.vlan, address), (item.clone(), spec.mac)) {
                Some((first, mac)) if mac != spec.mac => return Err(InvalidNetwork::ArpConflict { first, second: item.clone(), address }),
                _ => {}
            }
        }
        Ok(())
    }

    fn circuit_prefixes(&mut self, item: &Item, spec: &AttachmentSpec) -> Result<(), InvalidNetwork> {
        if spec.prefixes.is_empty() {
            return Err(InvalidNetwork::NoPrefixes { item: item.clone() });
        }
        let versions = spec.prefixes.iter().map(|prefix| IpVersion::of(prefix.addr()));
        let unanswered = |version: &IpVersion| spec.addresses.iter().all(|address| IpVersion::of(*address) != *version);
        if let Some(version) = versions.into_iter().find(unanswered) {
            return Err(InvalidNetwork::NoAddress { item: item.clone(), version });
        }
        let known = self.prefixes.entry(spec.vpn.clone()).or_default();
        for &prefix in &spec.prefixes {
            if prefix != prefix.trunc() {
                return Err(InvalidNetwork::HostBits { item: item.clone(), prefix });
            }
            let overlaps = |other: &IpNet| other.contains(&prefix) || prefix.contains(other);
            if let Some((other, first)) = known.iter().find(|(other, _)| overlaps(other)) {
                return Err(InvalidNetwork::PrefixesOverlap {
                    first: first.clone(),
                    second: item.clone(),
                    prefixes: Box::new([*other, prefix]),
                });
            }
            known.push((prefix, item.clone()));
        }
        Ok(())
    }

    fn application(
        &self,
        applications: &mut HashMap<ApplicationId, ContractId>,
        id: ApplicationId,
        contract: String,
    ) -> Result<(), InvalidNetwork> {
        let item = named(Item::Application(id.to_string()), &id.name)?;
        self.vrf(&item, &id.vpn)?;
        let Some(&contract) = self.contracts.get(&contract) else {
            return Err(InvalidNetwork::Missing { item, missing: Item::Contract(contract) });
        };
        if applications.insert(id, contract).is_some() {
            return Err(InvalidNetwork::Duplicate(item));
        }
        Ok(())
    }
}

pub(super) fn named(item: Item, name: &str) -> Result<Item, InvalidNetwork> {
    if name.is_empty() { Err(InvalidNetwork::Unnamed(item)) } else { Ok(item) }
}

pub(super) fn unicast(item: &Item, mac: MacAddr) -> Result<(), InvalidNetwork> {
    let group = mac.0[0] & 1 == 1;
    if group || mac == MacAddr::default() {
        return Err(InvalidNetwork::Mac { item: item.clone(), mac });
    }
    Ok(())
}

pub(super) fn checked_mtu(item: &Item, mtu: Mtu) -> Result<Mtu, InvalidNetwork> {
    if mtu.get() < MIN_MTU { Err(InvalidNetwork::Mtu { item: item.clone(), mtu }) } else { Ok(mtu) }
}
