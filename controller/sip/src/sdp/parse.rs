//! What offer and answer have in common, and the answer.

use std::net::IpAddr;

use sdp_types::{AddrType, Attribute, Media, Session};
use svpn_vpn::request::{Answer, MediaEnd, Transport};

use super::{MAX_BODY, MAX_MEDIA, MediumError, SdpError};

/// Reads a session description.
pub(crate) fn parse(body: &[u8]) -> Result<Session, SdpError> {
    if body.len() > MAX_BODY {
        return Err(SdpError::TooLong);
    }
    let session = Session::parse(body).map_err(|error| SdpError::Syntax(error.to_string()))?;
    if session.medias.len() > MAX_MEDIA {
        return Err(SdpError::TooManyMedia);
    }
    Ok(session)
}

/// Whether both describe the same, whatever version they say they are.
pub(crate) fn same(one: &Session, other: &Session) -> bool {
    let mut other = other.clone();
    other.origin.sess_version = one.origin.sess_version;
    *one == other
}

/// What a medium's `proto` rides on.
pub(super) fn transport(proto: &str) -> Result<Transport, MediumError> {
    let proto = proto.to_ascii_uppercase();
    match proto.split('/').next() {
        Some("UDP" | "RTP" | "UDPTL") => Ok(Transport::Udp),
        Some("TCP") => Ok(Transport::Tcp),
        Some("SCTP") => Ok(Transport::Sctp),
        _ => Err(MediumError::Transport(proto)),
    }
}

/// The address and port of a medium; the session's `c=` serves where it has none.
pub(super) fn end(session: &Session, medium: &Media) -> Result<MediaEnd, MediumError> {
    if medium.num_ports.is_some_and(|ports| ports != 1) {
        return Err(MediumError::PortRange);
    }
    let connection = match medium.connections.as_slice() {
        [] => session.connection.as_ref().ok_or(MediumError::NoConnection)?,
        [connection] => connection,
        [_, second, ..] => return Err(MediumError::Address(second.connection_address.clone())),
    };
    let text = &connection.connection_address;
    let address: IpAddr = text.parse().map_err(|_| MediumError::Address(text.clone()))?;
    let (version, nobody) = match address {
        IpAddr::V4(address) => (AddrType::Ip4, address.is_broadcast()),
        // Addresses of links, and of IPv4 written as IPv6, are in no VPN.
        IpAddr::V6(address) => (AddrType::Ip6, address.is_unicast_link_local() || address.to_ipv4_mapped().is_some()),
    };
    if address.is_unspecified() || address.is_multicast() || nobody || connection.addrtype != version {
        return Err(MediumError::Address(text.clone()));
    }
    Ok(MediaEnd { address, port: medium.port })
}

/// The value of the first attribute of that name, in the medium or else in the session.
pub(super) fn attribute<'a>(session: &'a Session, medium: &'a Media, names: &[&str]) -> Option<&'a Attribute> {
    let wanted = |attribute: &&Attribute| names.iter().any(|name| attribute.attribute.eq_ignore_ascii_case(name));
    medium.attributes.iter().find(wanted).or_else(|| session.attributes.iter().find(wanted))
}

/// The callee's ends, for the media of the offer that had a port, in their order.
pub(crate) fn read_answer(offer: &Session, body: &[u8]) -> Result<(Session, Answer), SdpError> {
    let answer = parse(body)?;
    if answer.medias.len() != offer.medias.len() {
        return Err(SdpError::MediaCount { offered: offer.medias.len(), answered: answer.medias.len() });
    }
    let mut media = Vec::new();
    for (index, (offered, answered)) in offer.medias.iter().zip(&answer.medias).enumerate() {
        if offered.port == 0 {
            continue;
        }
        let wrong = |error| SdpError::Medium(index + 1, error);
        if answered.port == 0 {
            media.push(None);
            continue;
        }
        if transport(&answered.proto).map_err(wrong)? != transport(&offered.proto).map_err(wrong)? {
            return Err(wrong(MediumError::TransportChanged));
        }
        media.push(Some(end(&answer, answered).map_err(wrong)?));
    }
    if media.iter().all(Option::is_none) {
        return Err(SdpError::AllRefused);
    }
    Ok((answer, Answer { media }))
}
