//! The descriptions the gateway sends: the caller's offer to the callee, the callee's answer to the caller.
//!
//! Both keep the media as they are, since data flows between the ends and not through the gateway, but say `o=` of the gateway and lack who
//! wrote them (`e=`, `p=`, `u=`).

use std::net::{IpAddr, Ipv4Addr};

use super::preconditions;
use sdp_types::{Attribute, Bandwidth as BandwidthLine, Origin, Session};
use svpn_vpn::request::{Bandwidth, Class, IpVersion, Medium, Terms, Transport};

/// UDP header, which `b=AS` counts besides that of IP and `b=TIAS` does not, in bytes.
const UDP_HEADER: u64 = 8;
/// TCP header without options, likewise.
const TCP_HEADER: u64 = 20;
/// SCTP common and DATA chunk header, likewise.
const SCTP_HEADERS: u64 = 28;

/// Who the gateway says wrote a description.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct OriginIdentity {
    /// One per call.
    pub(crate) id: u64,
    /// One more for every other description told to the same end (RFC 3264 section 8).
    pub(crate) version: u64,
    /// The gateway.
    pub(crate) address: IpAddr,
}

/// The offer as the callee gets it.
pub(crate) fn offer_for_callee(offer: &Session, origin: OriginIdentity) -> Vec<u8> {
    let mut offer = anonymous(offer, origin);
    preconditions::fulfil(&mut offer);
    serialize(&offer)
}

/// The offer as the caller gets it back with 580: what of its preconditions failed.
pub(crate) fn failed_offer(offer: &Session, origin: OriginIdentity) -> Vec<u8> {
    let mut offer = anonymous(offer, origin);
    preconditions::fail(&mut offer);
    serialize(&offer)
}

/// The offer as another provider's gateway gets it: with the class that the caller's contract has said, which the peer does not know.
pub(crate) fn offer_for_peer(offer: &Session, class: Class, origin: OriginIdentity) -> Vec<u8> {
    let mut offer = anonymous(offer, origin);
    offer.attributes.push(attribute("svpn", &format!("class={class}")));
    serialize(&offer)
}

/// The answer as the caller gets it: with the terms granted.
pub(crate) fn answer_for_caller(answer: &Session, offer: &Session, media: &[Medium], terms: &Terms, origin: OriginIdentity) -> Vec<u8> {
    let mut answer = anonymous(answer, origin);
    let foreign = |attribute: &Attribute| !attribute.attribute.to_ascii_lowercase().starts_with("svpn");
    answer.attributes.retain(foreign);
    preconditions::fulfil_answer(&mut answer, offer);
    answer.bandwidths.clear();
    answer.attributes.extend(granted(terms));
    let mut asked = media.iter();
    for (offered, answered) in offer.medias.iter().zip(&mut answer.medias) {
        answered.attributes.retain(foreign);
        let medium = if offered.port == 0 { None } else { asked.next() };
        let Some(medium) = medium.filter(|_| answered.port != 0) else {
            continue;
        };
        answered.bandwidths = granted_bandwidth(medium);
        let packets = packets_per_second(medium.bandwidth);
        answered.attributes.retain(|attribute| !attribute.attribute.eq_ignore_ascii_case("maxprate"));
        answered.attributes.extend(packets.map(|packets| attribute("maxprate", &packets.to_string())));
    }
    serialize(&answer)
}

fn granted(terms: &Terms) -> Vec<Attribute> {
    let list = |numbers: &[u32]| {
        let texts: Vec<String> = numbers.iter().map(u32::to_string).collect();
        texts.join(" ")
    };
    let mut attributes =
        vec![attribute("svpn", &format!("class={}", terms.class)), attribute("svpn-session", &terms.session.0.to_string())];
    if !terms.tunnels.is_empty() {
        attributes.push(attribute("svpn-tunnel", &list(&terms.tunnels)));
    }
    if !terms.labels.is_empty() {
        attributes.push(attribute("svpn-label", &list(&terms.labels)));
    }
    attributes.extend(terms.cost.as_deref().map(|cost| attribute("svpn-cost", cost)));
    attributes
}

/// `b=` as granted: what was asked for in the caller's own measure, and in TIAS where it can be told.
fn granted_bandwidth(medium: &Medium) -> Vec<BandwidthLine> {
    let line = |kind: &str, bandwidth: u64| BandwidthLine { bwtype: kind.to_owned(), bandwidth };
    match medium.bandwidth {
        Bandwidth::TransportIndependent { rate, .. } => vec![line("TIAS", rate.0)],
        Bandwidth::ApplicationSpecific { rate, packets_per_second } => {
            let transport = match medium.transport {
                Transport::Udp => UDP_HEADER,
                Transport::Tcp => TCP_HEADER,
                Transport::Sctp => SCTP_HEADERS,
            };
            let headers = 8 * (IpVersion::of(medium.caller.address).header() + transport);
            let without = packets_per_second
                .and_then(|packets| packets.checked_mul(headers))
                .and_then(|headers| rate.0.checked_sub(headers))
                .filter(|rate| *rate > 0);
            let mut lines = vec![line("AS", rate.0 / 1000)];
            lines.extend(without.map(|rate| line("TIAS", rate)));
            lines
        }
    }
}

fn packets_per_second(bandwidth: Bandwidth) -> Option<u64> {
    match bandwidth {
        Bandwidth::TransportIndependent { packets_per_second, .. } | Bandwidth::ApplicationSpecific { packets_per_second, .. } => {
            packets_per_second
        }
    }
}

fn attribute(name: &str, value: &str) -> Attribute {
    Attribute { attribute: name.to_owned(), value: Some(value.chars().filter(|character| !character.is_control()).collect()) }
}

fn anonymous(session: &Session, origin: OriginIdentity) -> Session {
    let mut session = session.clone();
    session.origin = Origin::with_ip_addr(origin.id, origin.version, printable(origin.address));
    session.origin.set_username("svpn-gateway");
    session.uri = None;
    session.emails.clear();
    session.phones.clear();
    session
}

/// An address that can stand in `o=`.
fn printable(address: IpAddr) -> IpAddr {
    match address {
        IpAddr::V6(address) => address.to_ipv4_mapped().map_or(IpAddr::V6(address), IpAddr::V4),
        IpAddr::V4(Ipv4Addr::UNSPECIFIED) => IpAddr::V4(Ipv4Addr::LOCALHOST),
        IpAddr::V4(address) => IpAddr::V4(address),
    }
}

/// A description as it is on the wire.
pub(crate) fn serialize(session: &Session) -> Vec<u8> {
    let mut body = Vec::new();
    // Writing to a Vec cannot fail.
    if let Err(error) = session.write(&mut body) {
        tracing::error!(%error, "session description not written");
    }
    body
}
