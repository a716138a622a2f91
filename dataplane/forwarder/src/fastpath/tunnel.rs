//! `tunnel`: the labels or the delivery header a packet gets.

use svpn_contract::Reason;
use svpn_dpdk::Mbuf;

use super::ilm::BOTTOM;
use super::nexthop::Stack;
use super::packet::{Fate, Packet};
use super::parse::ETHERTYPE_MPLS;
use super::{View, delivery, nexthop, selector};
use crate::tables::counters::Counting;
use crate::tables::delivery::Delivery;
use crate::tables::flow_v6::FlowKeyV6;
use crate::tables::tunnel::{Transport, TunnelMember, pair};
use crate::tables::words::LINE;

/// RFC 3032: a VPN label of 3 stands for no label.
const IMPLICIT_NULL: u32 = 3;

/// Sends a packet into a tunnel: chooses a member of the one with this slot, which counts it, and fetches the member's line. `hash` is asked
/// for only where there is a choice.
#[inline(always)]
#[allow(clippy::inline_always, reason = "a loop's straight way: a call for each packet would cost a third of it")]
pub(super) fn choose(
    packet: &mut Packet,
    slot: u32,
    hash: impl FnOnce(&Packet) -> u32,
    view: &View<'_>,
    counting: &mut Counting,
) -> Result<(), Reason> {
    let line = view.tunnels.choose(slot, || hash(packet)).ok_or(Reason::NoTunnel)?;
    view.tunnels.prefetch_line(line);
    counting.tunnel(slot, packet.length);
    packet.subject = line;
    packet.fate = Fate::Enter;
    Ok(())
}

/// Of an IPv4 packet whose header was read: what chooses a tunnel's member.
#[inline]
pub(super) fn hash_v4(packet: &Packet, view: &View<'_>) -> u32 {
    selector::of_key(packet.key, view.tables.tunnel_seed)
}

/// The same of an IPv6 packet.
#[inline]
pub(super) fn hash_v6(key: FlowKeyV6, view: &View<'_>) -> u32 {
    selector::of_key_v6(key, view.tables.tunnel_seed)
}

/// Sends a packet off through the tunnel whose line is its subject: returns the port, the frame being as it leaves. Where it cannot leave the
/// frame is as it was received.
#[inline(always)]
#[allow(clippy::inline_always, reason = "a loop's straight way: a call for each packet would cost a third of it")]
pub(super) fn leave(mbuf: &mut Mbuf, packet: &mut Packet, view: &View<'_>) -> Result<u16, Reason> {
    let words = view.tunnels.line(packet.subject);
    let (slot, ttl_mode) = TunnelMember::way(words);
    // Most get labels, one of them of a VPN, and have one next hop.
    if packet.label != IMPLICIT_NULL
        && let Some(transport) = Transport::from_words(words)
        && let Some(nexthop) = view.nexthops.sole(slot)
    {
        let stack = push(packet, &transport, pushed_ttl(packet, ttl_mode));
        packet.ethertype = ETHERTYPE_MPLS;
        return nexthop::leave(mbuf, packet, nexthop, Some(stack), view);
    }
    leave_otherwise(mbuf, packet, view)
}

/// [`leave`] for any tunnel.
#[inline(never)]
fn leave_otherwise(mbuf: &mut Mbuf, packet: &mut Packet, view: &View<'_>) -> Result<u16, Reason> {
    let line: [u64; LINE] = view.tunnels.line(packet.subject);
    let [first, second, third, fourth, ..] = line;
    let (slot, ttl_mode) = TunnelMember::way([first, second, third, fourth]);
    let nexthop = nexthop::choose(mbuf, packet, slot, view)?;
    let ttl = pushed_ttl(packet, ttl_mode);
    let has_label = packet.label != IMPLICIT_NULL;
    let Some(transport) = Transport::from_words([first, second, third, fourth]) else {
        let label = has_label.then(|| last(packet, ttl));
        if has_label {
            packet.ethertype = ETHERTYPE_MPLS;
        }
        return delivery::leave(mbuf, packet, nexthop, &Delivery::from_line(line), (label, ttl), view);
    };
    let stack = if has_label { push(packet, &transport, ttl) } else { push_transport(packet, &transport, ttl) };
    if stack.labels > 0 {
        packet.ethertype = ETHERTYPE_MPLS;
    }
    nexthop::leave(mbuf, packet, nexthop, Some(stack), view)
}

/// The TTL of what is put in front of a packet, which itself leaves with its TTL decremented.
#[inline]
fn pushed_ttl(packet: &Packet, ttl_mode: u8) -> u8 {
    if ttl_mode == 0 { packet.ttl.wrapping_sub(1) } else { ttl_mode }
}

/// What the entries of all labels have in common, in the order of the wire.
#[inline]
fn common(packet: &Packet, ttl: u8) -> u32 {
    (u32::from(packet.tc) << 9 | u32::from(ttl)).to_be()
}

/// The entry of the VPN label, in the order of the wire.
#[inline]
fn last(packet: &Packet, ttl: u8) -> u32 {
    (packet.label << 12 | BOTTOM).to_be() | common(packet, ttl)
}

/// The labels of a packet: those of the tunnel above the VPN label.
#[inline]
fn push(packet: &Packet, transport: &Transport, ttl: u8) -> Stack {
    let [upper, lower] = transport.entries;
    let common = common(packet, ttl);
    let entries = [upper | pair(common, common), lower | pair(common, last(packet, ttl))];
    Stack { entries, labels: transport.labels + 1 }
}

/// The same where there is no VPN label: the tunnel's innermost is the last, in whose place the VPN label would be.
fn push_transport(packet: &Packet, transport: &Transport, ttl: u8) -> Stack {
    let common = common(packet, ttl);
    let [outer, middle, inner] = transport.labels_of_wire().map(|entry| entry | common);
    Stack { entries: [pair(0, outer), pair(middle, inner | BOTTOM.to_be())], labels: transport.labels }
}
