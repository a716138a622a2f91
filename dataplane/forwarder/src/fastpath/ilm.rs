//! `ilm`: what to do with an incoming label (RFC 3031, RFC 3032), and how TTL crosses a pop (RFC 3443).
//!
//! ```text
//! label stack entry: label 20 | TC 3 | bottom of stack 1 | TTL 8
//! ```

use svpn_contract::Reason;
use svpn_dpdk::{Burst, Mbuf};

use super::packet::{Batch, Packet};
use super::parse::{ETHERTYPE_IPV4, ETHERTYPE_IPV6, ETHERTYPE_MPLS, HEAD};
use super::{BURST, View, ip};
use crate::tables::label::LabelAction;
use crate::tables::small::Side;

/// Bytes of a label stack entry.
pub(super) const LABEL: usize = 4;
pub(super) const BOTTOM: u32 = 1 << 8;
const TTL: u32 = 0xff;

/// The top label, if it is one that can be looked up.
#[inline]
pub(super) fn classify(mbuf: &Mbuf, head: &[u8; HEAD], packet: &mut Packet, side: Side, view: &View<'_>) -> Result<(), Reason> {
    if side != Side::Core {
        return Err(Reason::MplsOnAttachment);
    }
    let start = usize::from(packet.network);
    if mbuf.len() < start + LABEL {
        return Err(Reason::FrameTruncated);
    }
    let Some(word) = head.get(start..).and_then(<[u8]>::first_chunk::<LABEL>) else { return Err(Reason::FrameTruncated) };
    let entry = u32::from_be_bytes(*word);
    let label = entry >> 12;
    if label < FIRST_UNRESERVED {
        return Err(reserved(label));
    }
    view.labels.prefetch(label);
    packet.subject = entry;
    Ok(())
}

const FIRST_UNRESERVED: u32 = 16;

#[cold]
fn reserved(label: u32) -> Reason {
    match label {
        1 | 13 | 14 => Reason::MplsAlert,
        _ => Reason::ReservedLabel,
    }
}

/// What comes after a label.
enum Next {
    /// What is below is routed.
    Route,
    /// The packet leaves; the subject is the next hop's slot.
    Nexthop,
}

/// Looks all labels up, and counts them.
#[inline]
pub(super) fn look_up(batch: &mut Batch, burst: &Burst<BURST>, view: &View<'_>) {
    let Batch { packets, ilm, routes, nexthops, .. } = batch;
    for index in ilm.iter() {
        let packet = &mut packets[index];
        let Some(mbuf) = burst.get(index) else { continue };
        match act(mbuf, packet, view) {
            Ok(Next::Nexthop) => {
                view.tables.nexthop.prefetch(packet.subject);
                nexthops.push(index);
            }
            Ok(Next::Route) => {
                view.tables.route_v4.prefetch(packet.vrf);
                routes.push(index);
            }
            Err(reason) => packet.stop(reason),
        }
    }
}

/// Does what the label says.
#[inline]
fn act(mbuf: &Mbuf, packet: &mut Packet, view: &View<'_>) -> Result<Next, Reason> {
    let entry = packet.subject;
    let action = view.labels.get(entry >> 12).ok_or(Reason::UnknownLabel)?;
    view.labels.count(entry >> 12, packet.length);
    if let LabelAction::PopVrf { vrf, .. } = action {
        if entry & BOTTOM == 0 {
            return Err(Reason::BadLabelStack);
        }
        packet.vrf = vrf;
    }
    if entry & TTL <= 1 {
        return Err(Reason::TtlExpired);
    }
    match action {
        LabelAction::Swap { label, nexthop } => {
            packet.start = packet.network;
            packet.ethertype = ETHERTYPE_MPLS;
            packet.word = (label << 12 | ((entry & 0xfff) - 1)).to_be_bytes();
            packet.subject = nexthop;
            Ok(Next::Nexthop)
        }
        LabelAction::Php { nexthop, ttl_mode } => {
            packet.start = packet.network + LABEL as u16;
            packet.subject = nexthop;
            expose(mbuf, packet, entry, ttl_mode)?;
            Ok(Next::Nexthop)
        }
        LabelAction::PopVrf { ttl_mode, .. } => {
            packet.start = packet.network + LABEL as u16;
            let ceiling = if ttl_mode == 0 { ttl(entry) } else { u8::MAX };
            let window = mbuf.window(usize::from(packet.start)).ok_or(Reason::IpTruncated)?;
            ip::check(mbuf, window, packet, ceiling)?;
            Ok(Next::Route)
        }
    }
}

/// The TTL of a label stack entry.
#[inline]
fn ttl(entry: u32) -> u8 {
    let [.., ttl] = entry.to_be_bytes();
    ttl
}

/// What a pop of the last label but one hop exposes at `packet.start` leaves; its TTL is at most the label's.
#[inline]
fn expose(mbuf: &Mbuf, packet: &mut Packet, entry: u32, ttl_mode: u8) -> Result<(), Reason> {
    let start = usize::from(packet.start);
    let rest = (packet.length as usize).saturating_sub(start);
    let there = mbuf.len().saturating_sub(start);
    let exposed: &[u8; 12] = mbuf.window(start).ok_or(Reason::UnknownPayload)?;
    let nibble = if there == 0 { 0 } else { exposed[0] >> 4 };
    let ceiling = if ttl_mode == 0 { ttl(entry) - 1 } else { u8::MAX };
    let [w0, w1, w2, w3, x0, x1, x2, x3, word @ ..] = *exposed;
    match (entry & BOTTOM != 0, nibble) {
        (false, _) if rest >= LABEL => {
            packet.ethertype = ETHERTYPE_MPLS;
            packet.word = [w0, w1, w2, w3.min(ceiling)];
        }
        (false, _) => return Err(Reason::BadLabelStack),
        (true, 4) if rest >= ip::HEADER => {
            packet.ethertype = ETHERTYPE_IPV4;
            packet.place = ip::TTL as u8;
            packet.word = if word[0] > ceiling { ip::with_ttl(word, ceiling) } else { word };
        }
        (true, 6) if rest >= ip::HEADER_V6 => {
            packet.ethertype = ETHERTYPE_IPV6;
            packet.place = 4;
            packet.word = [x0, x1, x2, x3.min(ceiling)];
        }
        (true, _) => return Err(Reason::UnknownPayload),
    }
    Ok(())
}
