//! `tunnel`: the labels a packet gets.

use svpn_contract::Reason;

use super::ilm::BOTTOM;
use super::packet::{Batch, LABELS, Packet};
use super::parse::ETHERTYPE_MPLS;
use super::{View, ip, selector};
use crate::tables::counters::Counting;
use crate::tables::tunnel::TunnelMember;

/// RFC 3032: a VPN label of 3 stands for no label.
const IMPLICIT_NULL: u32 = 3;

/// Chooses a member of every packet's tunnel, and fetches it.
#[inline]
pub(super) fn choose(batch: &mut Batch, view: &View<'_>, counting: &mut Counting) {
    let Batch { packets, tunnels, .. } = batch;
    tunnels.retain(|index| {
        let packet = &mut packets[index];
        let hash = || selector::of_key(packet.key, view.tables.tunnel_seed);
        let Some(line) = view.tables.tunnel.choose(packet.subject, hash) else {
            packet.stop(Reason::NoTunnel);
            return false;
        };
        counting.tunnel(packet.subject, packet.length);
        view.tables.tunnel.prefetch_line(line);
        packet.subject = line;
        true
    });
}

/// Makes the labels of every packet that enters a tunnel.
#[inline]
pub(super) fn enter(batch: &mut Batch, view: &View<'_>) {
    let Batch { packets, labels, tunnels, nexthops, .. } = batch;
    for index in tunnels.iter() {
        let packet = &mut packets[index];
        let member = TunnelMember::from_line(view.tables.tunnel.line(packet.subject));
        view.tables.nexthop.prefetch(member.nexthop);
        labels[index] = push(packet, &member);
        packet.subject = member.nexthop;
        nexthops.push(index);
    }
}

/// The labels of an IPv4 packet, which leaves with its TTL decremented.
#[inline]
fn push(packet: &mut Packet, member: &TunnelMember) -> [u32; LABELS] {
    let ttl = packet.ttl.wrapping_sub(1);
    packet.word = ip::with_ttl(packet.word, ttl);
    let fix = u32::from(packet.tc) << 9 | u32::from(if member.ttl_mode == 0 { ttl } else { member.ttl_mode });
    let vpn = (packet.vpn_label != IMPLICIT_NULL).then_some(packet.vpn_label << 12 | fix | BOTTOM);
    let (outer, inner) = match (member.transport, vpn) {
        (Some(transport), Some(vpn)) => (Some(transport | fix), vpn),
        (Some(transport), None) => (None, transport | fix | BOTTOM),
        (None, Some(vpn)) => (None, vpn),
        // Plain IP leaves.
        (None, None) => return [0; LABELS],
    };
    packet.ethertype = ETHERTYPE_MPLS;
    packet.pushed = 1 + u8::from(outer.is_some());
    [0, 0, outer.unwrap_or(0).to_be(), inner.to_be()]
}
