//! GRE tunnels that begin here: the delivery header in front of a packet (RFC 2784, RFC 2890, RFC 4023).

use svpn_contract::Reason;
use svpn_dpdk::Mbuf;

use super::View;
use super::ilm::LABEL;
use super::nexthop::{BEHIND, too_big, write_word};
use super::packet::Packet;
use super::parse::{ETHERTYPE_IPV4, ETHERTYPE_IPV6};
use crate::tables::delivery::{DELIVERY, Delivery, Fixes, Version};
use crate::tables::nexthop::{HEADER, NexthopMember};

/// What is written of a buffer at most: Ethernet with its tags, a delivery header, a label, and the start of the packet behind them.
const BEFORE: usize = HEADER + DELIVERY + LABEL;
const AROUND: usize = BEFORE + BEHIND;

/// Sends a packet off to the next hop with this line, in GRE behind a label if there is one, in the order of the wire: returns the port, the
/// frame being as it leaves. Where it cannot leave and the controller gets it, the frame is as it was received.
#[inline]
pub(super) fn leave(
    mbuf: &mut Mbuf,
    packet: &Packet,
    nexthop: u32,
    delivery: &Delivery,
    (label, ttl): (Option<u32>, u8),
    view: &View<'_>,
) -> Result<u16, Reason> {
    let member = NexthopMember::from_line(view.nexthops.line(nexthop));
    let start = usize::from(packet.start);
    let pushed = if label.is_some() { LABEL } else { 0 };
    let length = usize::from(delivery.length).min(DELIVERY);
    if (packet.length as usize).saturating_sub(start) + pushed + length > usize::from(member.mtu) {
        return Err(too_big(mbuf.data(), packet));
    }
    let payload = packet.bytes.saturating_add(if label.is_some() { 4 } else { 0 });
    let fixes = Fixes { dscp: packet.dscp, ttl, payload, protocol: packet.ethertype };
    let ethertype = match delivery.version {
        Version::V4 => ETHERTYPE_IPV4,
        Version::V6 => ETHERTYPE_IPV6,
    };
    let front: Option<&mut [u8; AROUND]> = mbuf.replace_front(start, BEFORE, member.header.length() + length + pushed);
    let around = front.ok_or(Reason::PortUnavailable)?;
    around[BEFORE - LABEL..BEFORE].copy_from_slice(&label.unwrap_or_default().to_ne_bytes());
    let end = BEFORE - pushed;
    let place = around.get_mut(end - DELIVERY..).and_then(<[u8]>::first_chunk_mut).ok_or(Reason::PortUnavailable)?;
    // What fits an MTU fits a length field.
    delivery.write(place, fixes).ok_or(Reason::TooBigDrop)?;
    let end = end - length;
    around[end - HEADER..end].copy_from_slice(&member.header.with(ethertype));
    write_word(around, packet);
    Ok(member.port)
}
