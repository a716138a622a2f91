//! GRE tunnels that begin here: the delivery header in front of a packet (RFC 2784, RFC 2890, RFC 4023).

use svpn_contract::Reason;
use svpn_dpdk::Mbuf;

use super::ilm::LABEL;
use super::nexthop::{BEHIND, available, too_big, write_word};
use super::packet::Packet;
use super::parse::{ETHERTYPE_IPV4, ETHERTYPE_IPV6};
use super::{View, tunnel};
use crate::tables::delivery::{DELIVERY, Fixes};
use crate::tables::nexthop::{HEADER, NexthopMember};
use crate::tables::tunnel::{Encapsulation, TunnelMember};

/// What is written of a buffer at most: Ethernet with its tags, a delivery header, a label, and the start of the packet behind them.
const BEFORE: usize = HEADER + DELIVERY + LABEL;
const AROUND: usize = BEFORE + BEHIND;

/// Sends a packet off in GRE, behind `label` if it gets one: returns the port, the frame being as it leaves. Where it cannot leave the
/// frame is as it was received.
#[inline]
pub(super) fn leave(mbuf: &mut Mbuf, packet: &Packet, label: u32, view: &View<'_>) -> Result<u16, Reason> {
    let member = NexthopMember::from_line(view.tables.nexthop.line(packet.subject));
    let tunnel = TunnelMember::from_line(view.tables.tunnel.line(packet.delivery));
    let (delivery, ethertype) = match &tunnel.encapsulation {
        Encapsulation::GreV4(delivery) => (delivery, ETHERTYPE_IPV4),
        Encapsulation::GreV6(delivery) => (delivery, ETHERTYPE_IPV6),
        // No line changes while a burst is worked on.
        Encapsulation::Labels(_) => return Err(Reason::NoTunnel),
    };
    let start = usize::from(packet.start);
    let pushed = if packet.pushed == 0 { 0 } else { LABEL };
    let length = usize::from(delivery.length).min(DELIVERY);
    if (packet.length as usize).saturating_sub(start) + pushed + length > usize::from(member.mtu) {
        return Err(too_big(mbuf.data(), packet));
    }
    available(member.port, view)?;
    let fixes = Fixes {
        dscp: packet.dscp,
        ttl: tunnel::pushed_ttl(packet, tunnel.ttl_mode),
        payload: packet.bytes.saturating_add(if pushed == 0 { 0 } else { 4 }),
        protocol: packet.ethertype,
    };
    let header = if ethertype == ETHERTYPE_IPV4 { delivery.with_v4(fixes) } else { delivery.with_v6(fixes) };
    // What fits an MTU fits a length field.
    let header = header.ok_or(Reason::TooBigDrop)?;
    let around: &mut [u8; AROUND] = mbuf.around(start, BEFORE).ok_or(Reason::PortUnavailable)?;
    around[BEFORE - LABEL..BEFORE].copy_from_slice(&label.to_ne_bytes());
    let end = BEFORE - pushed;
    around[end - DELIVERY..end].copy_from_slice(&header);
    let end = end - length;
    around[end - HEADER..end].copy_from_slice(&member.header.with(ethertype));
    write_word(around, packet);
    mbuf.reface(start, member.header.length() + length + pushed).ok_or(Reason::PortUnavailable)?;
    Ok(member.port)
}
