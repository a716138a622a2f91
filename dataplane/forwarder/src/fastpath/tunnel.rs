//! `tunnel`: the labels or the delivery header a packet gets.

use svpn_contract::Reason;

use super::ilm::BOTTOM;
use super::packet::{Batch, LABELS, Packet};
use super::parse::{ETHERTYPE_IPV6, ETHERTYPE_MPLS};
use super::{View, ip, selector};
use crate::tables::counters::Counting;
use crate::tables::tunnel::{Encapsulation, Transport, TunnelMember};

/// RFC 3032: a VPN label of 3 stands for no label.
const IMPLICIT_NULL: u32 = 3;

/// Chooses a member of every packet's tunnel, and fetches it.
#[inline(never)]
pub(super) fn choose(batch: &mut Batch, view: &View<'_>, counting: &mut Counting) {
    let Batch { packets, keys_v6, tunnels, .. } = batch;
    tunnels.retain(|index| {
        let packet = &mut packets[index];
        let hash = || match packet.ethertype {
            ETHERTYPE_IPV6 => selector::of_key_v6(keys_v6[index], view.tables.tunnel_seed),
            _ => selector::of_key(packet.key, view.tables.tunnel_seed),
        };
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

/// Notes what every packet that enters a tunnel gets in front.
#[inline(never)]
pub(super) fn enter(batch: &mut Batch, view: &View<'_>) {
    let Batch { packets, labels, tunnels, nexthops, .. } = batch;
    for index in tunnels.iter() {
        let packet = &mut packets[index];
        let member = TunnelMember::from_line(view.tables.tunnel.line(packet.subject));
        view.tables.nexthop.prefetch(member.nexthop);
        let fix = u32::from(packet.tc) << 9 | u32::from(pushed_ttl(packet, member.ttl_mode));
        labels[index] = match &member.encapsulation {
            Encapsulation::Labels(transport) => push(packet, transport, fix),
            Encapsulation::GreV4(_) | Encapsulation::GreV6(_) => {
                // The line is read again when the header is written.
                packet.delivery = packet.subject;
                push(packet, &Transport::NONE, fix)
            }
        };
        ip::set_ttl(packet, packet.ttl.wrapping_sub(1));
        packet.subject = member.nexthop;
        nexthops.push(index);
    }
}

/// The TTL of what is put in front of a packet, which itself leaves with its TTL decremented.
#[inline]
pub(super) fn pushed_ttl(packet: &Packet, ttl_mode: u8) -> u8 {
    if ttl_mode == 0 { packet.ttl.wrapping_sub(1) } else { ttl_mode }
}

/// The labels of a packet: those of the tunnel above the VPN label, if there is one.
#[inline]
fn push(packet: &mut Packet, transport: &Transport, fix: u32) -> [u32; LABELS] {
    let [outer, middle, inner] = transport.entries.map(|entry| entry | fix);
    let (stack, pushed) = if packet.vpn_label == IMPLICIT_NULL {
        ([0, outer, middle, inner | BOTTOM], transport.labels)
    } else {
        ([outer, middle, inner, packet.vpn_label << 12 | fix | BOTTOM], transport.labels + 1)
    };
    packet.pushed = pushed;
    if pushed > 0 {
        packet.ethertype = ETHERTYPE_MPLS;
    }
    stack.map(u32::to_be)
}
