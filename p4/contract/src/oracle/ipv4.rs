//! IPv4 (RFC 791): the checks of its header, `flow_v4`, `flow_acl_v4`, `session` and `route_v4`.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use super::attachment::Side;
use super::frame::{ETHERTYPE_IPV4, ETHERTYPE_IPV6, ETHERTYPE_MPLS, Frame, be16};
use super::output::Packet;
use super::tunnel::TunnelUse;
use super::{Sent, Stop, Walk, labels};
use crate::tables::{Entry, FlowAclV4Action, FlowV4Action, FlowV4Key, Reason, RouteV4Action, SessionAction, SessionKey};
use crate::wire::{Colour, L4Port, Protocol, SessionId};

/// The byte of the TTL in an IPv4 header.
pub(super) const TTL: usize = 8;
const CHECKSUM: usize = 10;
/// The protocols whose first four bytes are two ports: TCP, UDP, SCTP.
const WITH_PORTS: [u8; 3] = [6, 17, 132];
/// The next header of an IPv6 fragment header (RFC 8200 section 4.5).
const FRAGMENT: u8 = 44;

/// What tells one flow from another. Packets of protocols without ports, and every fragment, have ports 0.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct FiveTuple {
    /// Source address.
    pub src: IpAddr,
    /// Destination address.
    pub dst: IpAddr,
    /// Protocol; in IPv6 the first next header, or the one behind a fragment header that is first.
    pub proto: Protocol,
    /// Source port.
    pub sport: L4Port,
    /// Destination port.
    pub dport: L4Port,
}

impl FiveTuple {
    /// Of the packet in a frame, through at most four labels; `None` where there is none to be seen.
    pub(super) fn of_frame(frame: &Frame<'_>) -> Option<Self> {
        match frame.ethertype {
            ETHERTYPE_IPV4 => Self::of_ipv4(frame.payload),
            ETHERTYPE_IPV6 => Self::of_ipv6(frame.payload),
            ETHERTYPE_MPLS => {
                let inner = labels::inner(frame.payload)?;
                match inner.first()? >> 4 {
                    4 => Self::of_ipv4(inner),
                    6 => Self::of_ipv6(inner),
                    _ => None,
                }
            }
            _ => None,
        }
    }

    fn of_ipv4(packet: &[u8]) -> Option<Self> {
        let header_length = usize::from(packet.first()? & 0x0f) * 4;
        let total_length = usize::from(be16(packet, 2));
        if header_length < 20 || packet.len() < header_length || total_length < header_length {
            return None;
        }
        let address = |at: usize| Ipv4Addr::from(<[u8; 4]>::try_from(&packet[at..at + 4]).unwrap_or_default());
        let fragment = be16(packet, 6) & 0x3fff != 0;
        let l4 = &packet[header_length..total_length.min(packet.len())];
        Some(Self::new(address(12).into(), address(16).into(), packet[9], if fragment { &[] } else { l4 }))
    }

    fn of_ipv6(packet: &[u8]) -> Option<Self> {
        if packet.len() < 40 {
            return None;
        }
        let address = |at: usize| Ipv6Addr::from(<[u8; 16]>::try_from(&packet[at..at + 16]).unwrap_or_default());
        let l4 = &packet[40..packet.len().min(40 + usize::from(be16(packet, 4)))];
        let (src, dst) = (address(8).into(), address(24).into());
        match packet[6] {
            FRAGMENT if l4.len() >= 8 => Some(Self::new(src, dst, l4[0], &[])),
            proto => Some(Self::new(src, dst, proto, l4)),
        }
    }

    fn new(src: IpAddr, dst: IpAddr, proto: u8, l4: &[u8]) -> Self {
        let ports = WITH_PORTS.contains(&proto) && l4.len() >= 4;
        let port = |at: usize| L4Port::new(if ports { be16(l4, at) } else { 0 }).unwrap_or_default();
        Self { src, dst, proto: Protocol::new(proto).unwrap_or_default(), sport: port(0), dport: port(2) }
    }

    pub(super) fn ipv4(&self) -> Option<(Ipv4Addr, Ipv4Addr)> {
        match (self.src, self.dst) {
            (IpAddr::V4(src), IpAddr::V4(dst)) => Some((src, dst)),
            _ => None,
        }
    }
}

/// The one's complement sum (RFC 1071).
fn sum(words: impl IntoIterator<Item = u16>) -> u16 {
    words.into_iter().fold(0, |sum, word| {
        let (sum, carry) = sum.overflowing_add(word);
        sum + u16::from(carry)
    })
}

/// Writes a TTL and updates the checksum by equation 3 of RFC 1624: HC' = ~(~HC + ~m + m').
pub(super) fn set_ttl(packet: &mut [u8], ttl: u8) {
    let before = be16(packet, TTL);
    packet[TTL] = ttl;
    let after = be16(packet, TTL);
    let checksum = !sum([!be16(packet, CHECKSUM), !before, after]);
    packet[CHECKSUM..CHECKSUM + 2].copy_from_slice(&checksum.to_be_bytes());
}

/// The checks of a header that is acted upon, in their order.
fn check(packet: &[u8]) -> Result<(), Reason> {
    if packet.len() < 20 {
        return Err(Reason::IpTruncated);
    }
    if packet[0] >> 4 != 4 {
        return Err(Reason::IpBadVersion);
    }
    let header_length = usize::from(packet[0] & 0x0f) * 4;
    if header_length < 20 {
        return Err(Reason::IpBadHeaderLength);
    }
    if packet.len() < header_length {
        return Err(Reason::IpTruncated);
    }
    let total_length = usize::from(be16(packet, 2));
    if total_length < header_length || total_length > packet.len() {
        return Err(Reason::IpBadLength);
    }
    if sum((0..header_length).step_by(2).map(|at| be16(packet, at))) != 0xffff {
        return Err(Reason::IpBadChecksum);
    }
    if packet[TTL] == 0 {
        return Err(Reason::IpTtlZero);
    }
    Ok(())
}

/// Where a routed packet goes.
enum Way {
    Tunnel(TunnelUse),
    Local(crate::wire::NextHopId),
}

impl Walk<'_> {
    /// `packet` begins with the IPv4 header. `ceiling` is the TTL of the label above it where the model is uniform (RFC 3443).
    pub(super) fn ipv4(&mut self, frame: &Frame<'_>, packet: &[u8], side: Side, ceiling: Option<u8>) -> Result<Sent, Stop> {
        check(packet).map_err(Stop::Drop)?;
        let ttl = packet[TTL].min(ceiling.unwrap_or(u8::MAX));
        // A header that passed the checks has a 5-tuple.
        let tuple = FiveTuple::of_ipv4(packet).ok_or(Stop::Drop(Reason::IpBadLength))?;
        self.tuple = Some(tuple);
        let session = if side == Side::Attachment { self.flow(&tuple) } else { None };
        let way = match session {
            Some(session) => Way::Tunnel(self.session(session, ttl)?),
            None => self.route(&tuple, ttl)?,
        };
        let mut ip = packet.to_vec();
        set_ttl(&mut ip, ttl - 1);
        match way {
            Way::Tunnel(into) => self.tunnel(frame, &ip, into),
            Way::Local(nexthop) => self.nexthop(frame, nexthop, &Packet { ethertype: ETHERTYPE_IPV4, bytes: ip }),
        }
    }

    /// The session of a flow.
    fn flow(&self, tuple: &FiveTuple) -> Option<SessionId> {
        let (src, dst) = tuple.ipv4()?;
        let key = FlowV4Key { vrf: self.vrf, src, dst, proto: tuple.proto, sport: tuple.sport, dport: tuple.dport };
        if let Some(Entry::FlowV4(entry)) = self.oracle.tables.find(&key.into()) {
            let FlowV4Action::Assign { session } = entry.action;
            return Some(session);
        }
        let FlowAclV4Action::Assign { session } = self.oracle.tables.flow_acl_v4(self.vrf, tuple)?.action;
        Some(session)
    }

    fn session(&mut self, session: SessionId, ttl: u8) -> Result<TunnelUse, Stop> {
        if ttl <= 1 {
            return Err(Stop::Punt(Reason::TtlExpired));
        }
        let key = SessionKey { session }.into();
        let Some(Entry::Session(entry)) = self.oracle.tables.find(&key) else {
            return Err(Stop::Drop(Reason::NoSession));
        };
        self.effects.counted.push(key);
        self.effects.session = Some(session);
        let colour = match self.oracle.meters.get(&session) {
            None => Colour::GREEN,
            Some(meter) => {
                let (colour, meter) = meter.metered(self.bytes.len() as u64, self.now);
                self.effects.metered = Some((session, meter));
                colour
            }
        };
        let SessionAction::Carry { tunnel, vpn_label, class } = entry.action;
        Ok(TunnelUse { tunnel, vpn_label, class, colour })
    }

    fn route(&self, tuple: &FiveTuple, ttl: u8) -> Result<Way, Stop> {
        let route = tuple.ipv4().and_then(|(_, dst)| self.oracle.tables.route_v4(self.vrf, dst));
        let way = match route.ok_or(Stop::Drop(Reason::NoRoute))?.action {
            RouteV4Action::Receive => return Err(Stop::Punt(Reason::Receive)),
            RouteV4Action::Discard => return Err(Stop::Drop(Reason::RouteDiscard)),
            RouteV4Action::ViaTunnel { tunnel, vpn_label, class } => {
                Way::Tunnel(TunnelUse { tunnel, vpn_label, class, colour: Colour::GREEN })
            }
            RouteV4Action::Local { nexthop } => Way::Local(nexthop),
        };
        if ttl <= 1 { Err(Stop::Punt(Reason::TtlExpired)) } else { Ok(way) }
    }
}
