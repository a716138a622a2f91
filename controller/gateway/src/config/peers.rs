//! Other providers: their gateways, and the links to them.

use std::collections::HashSet;
use std::net::{IpAddr, Ipv4Addr};

use ipnet::IpNet;
use serde::Deserialize;
use svpn_contract::wire::{MacAddr, Mtu, PortId};
use svpn_sip::config::{Carrier, ListenAddress, PeerConfig, Peering};
use svpn_vpn::network::{CrossingSpec, Item, NniSpec};
use svpn_vpn::request::{CeName, VpnName};
use toml::Spanned;

use super::error::{ConfigError, Place, Span};
use super::file::File;
use super::units::{Rate, maybe_number, number, text, texts};

/// `[[peer]]`
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Peer {
    pub(crate) domain: String,
    /// Where its gateway is.
    #[serde(deserialize_with = "text")]
    pub(crate) sip: ListenAddress,
    /// Where its requests come from besides.
    #[serde(default)]
    pub(crate) from: Vec<IpAddr>,
}

/// `[[nni]]`
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Nni {
    /// The same at both providers.
    pub(crate) name: String,
    /// The domain of a `[[peer]]`.
    pub(crate) peer: String,
    pub(crate) router: String,
    #[serde(deserialize_with = "number")]
    pub(crate) port: PortId,
    #[serde(deserialize_with = "text")]
    pub(crate) mac: MacAddr,
    #[serde(deserialize_with = "text")]
    pub(crate) peer_mac: MacAddr,
    pub(crate) capacity: Rate,
    /// Whether nothing is to cross it.
    #[serde(default)]
    pub(crate) drained: bool,
    #[serde(default)]
    pub(crate) metric: Option<u32>,
    #[serde(default, deserialize_with = "maybe_number")]
    pub(crate) mtu: Option<Mtu>,
    /// What the peer's applications may ask.
    pub(crate) contract: String,
    #[serde(default)]
    pub(crate) vpns: Vec<Crossing>,
}

/// `{ vpn = "vpn-a", there = "acme", prefixes = ["10.3.0.0/24"] }`
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Crossing {
    pub(crate) vpn: String,
    /// The peer's name of it, where it has another.
    #[serde(default)]
    pub(crate) there: Option<String>,
    #[serde(deserialize_with = "texts")]
    pub(crate) prefixes: Vec<IpNet>,
}

impl Crossing {
    fn names(&self) -> (VpnName, VpnName) {
        (VpnName(self.vpn.clone()), VpnName(self.there.as_ref().unwrap_or(&self.vpn).clone()))
    }
}

/// All that the domain makes of a link, by what it calls them.
pub(super) fn items(nni: &Nni) -> Vec<Item> {
    let crossing = |each: &Crossing| Item::Attachment { ce: nni.name.clone(), vpn: each.vpn.clone() };
    let named = [Item::Link(nni.name.clone()), Item::Router(nni.name.clone())];
    nni.vpns.iter().map(crossing).chain(named).collect()
}

/// What the domain knows of a link.
pub(super) fn nni(nni: &Nni) -> NniSpec {
    let crossing = |each: &Crossing| CrossingSpec { vpn: VpnName(each.vpn.clone()), prefixes: each.prefixes.clone() };
    NniSpec {
        name: nni.name.clone(),
        router: nni.router.clone(),
        port: nni.port,
        mac: nni.mac,
        peer_mac: nni.peer_mac,
        capacity: nni.capacity.0,
        metric: nni.metric,
        mtu: nni.mtu,
        contract: nni.contract.clone(),
        vpns: nni.vpns.iter().map(crossing).collect(),
    }
}

/// What signalling knows of the peers.
pub(super) fn peering(file: &File, place: &impl Fn(Option<Span>) -> Place) -> Result<Peering, ConfigError> {
    let wrong = |span, reason: String| ConfigError::Wrong { place: place(Some(span)), reason };
    let mut domains = HashSet::from([file.provider.domain.to_ascii_lowercase()]);
    for found in &file.peers {
        let domain = &found.get_ref().domain;
        if !is_name(domain) || !domains.insert(domain.to_ascii_lowercase()) {
            return Err(wrong(found.span(), format!("{domain:?} is no domain, or is there twice: expected one of a provider's own")));
        }
    }
    for link in &file.nnis {
        let nni = link.get_ref();
        if !file.peers.iter().any(|peer| peer.get_ref().domain == nni.peer) {
            return Err(wrong(link.span(), format!("there is no peer {:?}: expected the domain of a [[peer]]", nni.peer)));
        }
        // It goes into addresses.
        if !is_name(&nni.name) {
            return Err(wrong(link.span(), format!("{:?} is no name of a link: expected letters, digits, hyphens and dots", nni.name)));
        }
        if let Some(vpn) = nni.vpns.iter().map(|each| each.names().1).find(|vpn| !is_name(&vpn.0)) {
            return Err(wrong(link.span(), format!("{:?} is no VPN of a domain: expected letters, digits, hyphens and dots", vpn.0)));
        }
    }
    let mut peers = Vec::new();
    for found in &file.peers {
        peers.push(read_peer(file, found.get_ref()).map_err(|reason| wrong(found.span(), reason))?);
    }
    Ok(Peering { peers, ..Peering::default() })
}

fn read_peer(file: &File, peer: &Peer) -> Result<PeerConfig, String> {
    let links: Vec<_> = file.nnis.iter().map(Spanned::get_ref).filter(|nni| nni.peer == peer.domain).collect();
    if links.is_empty() {
        return Err(format!("there is no link to {}: expected an [[nni]] with this peer", peer.domain));
    }
    if peer.sip.address.ip() == IpAddr::V4(Ipv4Addr::UNSPECIFIED) {
        return Err(format!("{} is nobody's address: expected where the peer's gateway is", peer.sip));
    }
    if matches!(peer.sip.carrier, Carrier::Ws | Carrier::Wss) {
        return Err(format!(
            "{} is no address of a gateway's: expected udp:, tcp: or tls:, for WebSockets are opened by applications only",
            peer.sip
        ));
    }
    let mut vpns: Vec<(VpnName, VpnName)> = Vec::new();
    for names in links.iter().flat_map(|link| link.vpns.iter().map(Crossing::names)) {
        if vpns.contains(&names) {
            continue;
        }
        if vpns.iter().any(|known| known.0 == names.0 || known.1 == names.1) {
            return Err(format!("VPN {} and {} of {} have two names", names.0.0, names.1.0, peer.domain));
        }
        vpns.push(names);
    }
    let nnis = links.iter().map(|link| CeName(link.name.clone())).collect();
    Ok(PeerConfig { domain: peer.domain.clone(), address: peer.sip, from: peer.from.clone(), nnis, vpns })
}

fn is_name(text: &str) -> bool {
    let inside = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.');
    !text.is_empty() && text.bytes().all(inside) && !text.starts_with(['-', '.']) && !text.ends_with(['-', '.'])
}
