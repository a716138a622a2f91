//! `tunnel`: the labels a packet gets.

use svpn_contract::Reason;
use svpn_contract::wire::Colour;
use svpn_dpdk::Mbuf;

use super::ilm::BOTTOM;
use super::nexthop::{self, Departure, Edit};
use super::parse::{ETHERTYPE_IPV4, ETHERTYPE_MPLS};
use super::{Packet, Stop, View, marking, selector};
use crate::tables::carry::Carry;
use crate::tables::counters::Counting;
use crate::tables::tunnel::TunnelMember;

/// RFC 3032: a VPN label of 3 stands for no label.
const IMPLICIT_NULL: u32 = 3;

/// Sends an IPv4 packet off through a tunnel: returns the port.
#[inline]
pub(super) fn enter(
    mbuf: &mut Mbuf,
    packet: &Packet,
    carry: Carry,
    colour: Colour,
    view: View<'_>,
    counting: &mut Counting,
) -> Result<u16, Stop> {
    let tc = marking::traffic_class(carry.class, colour, view)?;
    let hash = || selector::of_key(packet.key, view.tables.tunnel_seed);
    let line = view.tables.tunnel.choose(carry.tunnel, hash).ok_or(Stop(Reason::NoTunnel))?;
    let member = TunnelMember::from_line(line);
    counting.tunnel(carry.tunnel, packet.length);
    let ttl = packet.ttl.wrapping_sub(1);
    let fix = u32::from(tc) << 9 | u32::from(if member.ttl_mode == 0 { ttl } else { member.ttl_mode });
    let vpn = (carry.vpn_label != IMPLICIT_NULL).then_some(carry.vpn_label << 12 | fix | BOTTOM);
    let edit = Edit::Ipv4Ttl(ttl);
    let departure = Departure { nexthop: member.nexthop, start: packet.ip, ethertype: ETHERTYPE_MPLS, edit };
    match (member.transport, vpn) {
        (Some(transport), Some(vpn)) => nexthop::leave(mbuf, packet, &departure, &[transport | fix, vpn], view),
        (Some(transport), None) => nexthop::leave(mbuf, packet, &departure, &[transport | fix | BOTTOM], view),
        (None, Some(vpn)) => nexthop::leave(mbuf, packet, &departure, &[vpn], view),
        (None, None) => nexthop::leave(mbuf, packet, &Departure { ethertype: ETHERTYPE_IPV4, ..departure }, &[], view),
    }
}
