//! `ilm`: what to do with an incoming label (RFC 3031, RFC 3032), and how TTL crosses a pop (RFC 3443).
//!
//! ```text
//! label stack entry: label 20 | TC 3 | bottom of stack 1 | TTL 8
//! ```
//!
//! A label that is popped can leave another one to be acted upon, so the list is worked off in turns, of which most packets need one.

use svpn_contract::Reason;
use svpn_dpdk::{Burst, Mbuf};

use super::ip::Version;
use super::packet::{Batch, First, Packet};
use super::parse::{ETHERNET, ETHERTYPE_IPV4, ETHERTYPE_IPV6, ETHERTYPE_MPLS, HEAD, UNTAGGED};
use super::{BURST, View, ip, ipv6, nexthop};
use crate::tables::flow_v6::FlowKeyV6;
use crate::tables::label::{Found, LabelAction};
use crate::tables::small::Side;

/// Bytes of a label stack entry.
pub(super) const LABEL: usize = 4;
pub(super) const BOTTOM: u32 = 1 << 8;
/// As far as a pop moves the start of a packet.
const STEP: u16 = 4;
const TRAFFIC_CLASS: u32 = 7 << 9;
const FIRST_UNRESERVED: u32 = 16;
const IPV4_EXPLICIT_NULL: u32 = 0;
const IPV6_EXPLICIT_NULL: u32 = 2;
/// Where the four bytes of an IPv4 header begin that hold TTL and checksum.
const IPV4_TTL: u8 = 8;
/// Labels of a frame that are acted upon at most.
const MOST_TURNS: usize = 4;

/// An untagged frame whose top label is none of the reserved ones.
#[inline(always)]
#[allow(clippy::inline_always, reason = "a loop's straight way: a call for each packet would cost a third of it")]
pub(super) fn read_plainly(mbuf: &Mbuf, head: &[u8; HEAD], view: &View<'_>) -> Option<Packet> {
    let [_, _, _, _, _, _, _, _, _, _, _, _, _, _, e0, e1, e2, e3, ..] = *head;
    let entry = u32::from_be_bytes([e0, e1, e2, e3]);
    if entry >> 12 < FIRST_UNRESERVED || mbuf.len() < ETHERNET + LABEL {
        return None;
    }
    view.labels.prefetch(entry >> 12);
    let start = UNTAGGED.network;
    Some(Packet { subject: entry, ttl: e3, first: First::Label, start, ..Packet::new(super::length(mbuf)) })
}

/// The top label, if it is one that is acted upon.
pub(super) fn classify(mbuf: &Mbuf, head: &[u8; HEAD], start: u16, packet: &mut Packet, side: Side, view: &View<'_>) -> Result<(), Reason> {
    if side != Side::Core {
        return Err(Reason::MplsOnAttachment);
    }
    let word = head.get(usize::from(start)..).and_then(<[u8]>::first_chunk);
    begin(mbuf, *word.ok_or(Reason::FrameTruncated)?, start, packet, view)
}

/// The label stack entry at `start`, where the packet begins, which is `word` if the frame goes on so far, if it is one that is acted upon.
pub(super) fn begin(mbuf: &Mbuf, word: [u8; LABEL], start: u16, packet: &mut Packet, view: &View<'_>) -> Result<(), Reason> {
    if mbuf.len() < usize::from(start) + LABEL {
        return Err(Reason::FrameTruncated);
    }
    take_turn(packet, u32::from_be_bytes(word), u8::MAX, view)
}

/// The turn of the label stack entry at `packet.start`, whose TTL is at most `ceiling`.
#[inline]
fn take_turn(packet: &mut Packet, entry: u32, ceiling: u8, view: &View<'_>) -> Result<(), Reason> {
    let label = entry >> 12;
    if label < FIRST_UNRESERVED {
        reserved(label)?;
    }
    view.labels.prefetch(label);
    packet.subject = entry;
    packet.ttl = ttl(entry).min(ceiling);
    packet.first = First::Label;
    packet.place = 0;
    Ok(())
}

/// Of the reserved labels, explicit null is acted upon.
#[cold]
fn reserved(label: u32) -> Result<(), Reason> {
    match label {
        IPV4_EXPLICIT_NULL | IPV6_EXPLICIT_NULL => Ok(()),
        1 | 13 | 14 => Err(Reason::MplsAlert),
        _ => Err(Reason::ReservedLabel),
    }
}

/// What comes after a label.
enum Next {
    /// What is below is routed.
    Route(Version),
    /// The packet leaves; the subject is the next hop's slot.
    Nexthop,
    /// It is the turn of the label below.
    Label,
}

/// Acts upon all labels.
#[inline(never)]
pub(super) fn look_up(batch: &mut Batch, burst: &mut Burst<BURST>, view: &View<'_>) {
    let turn = std::mem::take(&mut batch.ilm);
    for index in turn.iter() {
        let Some(mbuf) = burst.get_mut(index) else { continue };
        if !act_plainly(index, mbuf, batch, view) {
            take(index, mbuf, batch, 1, view);
        }
    }
    for turn in 2..=MOST_TURNS {
        if batch.ilm.is_empty() {
            return;
        }
        let again = std::mem::take(&mut batch.ilm);
        for index in again.iter() {
            let Some(mbuf) = burst.get(index) else { continue };
            take(index, mbuf, batch, turn, view);
        }
    }
}

/// What most packets are for, in one go. Whether it was that; if not, nothing has changed.
#[inline(always)]
#[allow(clippy::inline_always, reason = "a loop's straight way: a call for each packet would cost a third of it")]
fn act_plainly(index: usize, mbuf: &mut Mbuf, batch: &mut Batch, view: &View<'_>) -> bool {
    let packet = &mut batch.packets[index % BURST];
    if packet.subject >> 12 < FIRST_UNRESERVED || packet.ttl <= 1 {
        return false;
    }
    let Some(found) = view.labels.find(packet.subject >> 12) else { return false };
    if let Some((label, nexthop)) = found.swap() {
        return swap_plainly(mbuf, packet, (label, nexthop), found, view);
    }
    pop_plainly(index, mbuf, batch, found, view)
}

/// A label that is replaced, and a next hop of one member. Next hops are few, so that their lines are near, and a frame that only gets another
/// label leaves here.
#[inline(always)]
#[allow(clippy::inline_always, reason = "as above")]
fn swap_plainly(mbuf: &mut Mbuf, packet: &mut Packet, (label, nexthop): (u32, u32), found: Found<'_>, view: &View<'_>) -> bool {
    let Some(line) = view.nexthops.sole(nexthop) else { return false };
    let (entry, length) = (packet.subject, packet.length);
    let word = swapped(entry, label, packet.ttl);
    if let Some(port) = nexthop::relabel(mbuf, (packet.start, length), line, word, view) {
        packet.leave_by(port);
    } else {
        packet.ethertype = ETHERTYPE_MPLS;
        packet.word = word;
        packet.subject = line;
    }
    view.labels.count_found(found, entry >> 12, length);
    true
}

/// The end of a tunnel: the last label is removed, and IPv4 without options is routed. Whether it was that.
#[inline(never)]
fn pop_plainly(index: usize, mbuf: &Mbuf, batch: &mut Batch, found: Found<'_>, view: &View<'_>) -> bool {
    let Some((vrf, ttl_mode)) = found.pop_vrf() else { return false };
    let packet = &mut batch.packets[index % BURST];
    let (entry, start, length) = (packet.subject, packet.start + STEP, packet.length);
    let Some(window) = mbuf.window(usize::from(start)) else { return false };
    if entry & BOTTOM == 0 || mbuf.len() != mbuf.total_len() {
        return false;
    }
    let available = mbuf.len().saturating_sub(usize::from(start));
    let before = std::mem::replace(&mut packet.vrf, vrf);
    if !ip::read_plainly(window, available, packet, ceiling(ttl_mode, packet.ttl)) {
        packet.vrf = before;
        return false;
    }
    packet.start = start;
    packet.first = First::Ip;
    view.tables.route_v4.prefetch(vrf, packet.key.destination());
    batch.routes.push(index);
    view.labels.count_found(found, entry >> 12, length);
    true
}

/// Acts upon any label.
#[inline(never)]
fn take(index: usize, mbuf: &Mbuf, batch: &mut Batch, turn: usize, view: &View<'_>) {
    let Batch { packets, keys_v6, ilm, routes, routes_v6, .. } = batch;
    let packet = &mut packets[index % BURST];
    match act(mbuf, packet, &mut keys_v6[index % BURST], turn, view) {
        Ok(Next::Nexthop) => nexthop::take(mbuf, packet, view),
        Ok(Next::Route(Version::V4)) => {
            view.tables.route_v4.prefetch(packet.vrf, packet.key.destination());
            routes.push(index);
        }
        Ok(Next::Route(Version::V6)) => {
            view.tables.route_v6.prefetch(packet.vrf);
            routes_v6.push(index);
        }
        Ok(Next::Label) => ilm.push(index),
        Err(reason) => packet.stop(reason),
    }
}

/// Does what the label whose turn it is says, and counts it.
#[inline]
fn act(mbuf: &Mbuf, packet: &mut Packet, key_v6: &mut FlowKeyV6, turn: usize, view: &View<'_>) -> Result<Next, Reason> {
    let entry = packet.subject;
    if entry >> 12 < FIRST_UNRESERVED {
        return explicit_null(mbuf, packet, key_v6, turn, view);
    }
    let action = view.labels.get(entry >> 12).ok_or(Reason::UnknownLabel)?;
    view.labels.count(entry >> 12, packet.length);
    let fits = match action {
        LabelAction::PopVrf { .. } | LabelAction::PopLocal { .. } => entry & BOTTOM != 0,
        LabelAction::PopNext { .. } => entry & BOTTOM == 0 && turn < MOST_TURNS && goes_on(mbuf, packet),
        LabelAction::Swap { .. } | LabelAction::SwapPush { .. } | LabelAction::Php { .. } => true,
    };
    if !fits {
        return Err(Reason::BadLabelStack);
    }
    if let LabelAction::PopVrf { vrf, .. } = action {
        packet.vrf = vrf;
    }
    if packet.ttl <= 1 {
        return Err(Reason::TtlExpired);
    }
    let ttl = packet.ttl - 1;
    match action {
        LabelAction::Swap { label, nexthop } => {
            swap(packet, label, nexthop);
            Ok(Next::Nexthop)
        }
        LabelAction::SwapPush { label, l2, nexthop } => {
            swap(packet, label, nexthop);
            packet.label = l2 << 12 | entry & TRAFFIC_CLASS | u32::from(ttl);
            packet.pushed = 1;
            Ok(Next::Nexthop)
        }
        LabelAction::Php { nexthop, ttl_mode } => {
            packet.start += STEP;
            expose(mbuf, packet, entry, ceiling(ttl_mode, ttl))?;
            packet.subject = nexthop;
            Ok(Next::Nexthop)
        }
        LabelAction::PopVrf { ttl_mode, .. } => {
            pop(packet);
            Ok(Next::Route(ip::check_either(mbuf, packet, key_v6, ceiling(ttl_mode, packet.ttl))?))
        }
        LabelAction::PopLocal { nexthop, ttl_mode } => {
            pop(packet);
            ip::check_either(mbuf, packet, key_v6, ceiling(ttl_mode, packet.ttl))?;
            local(packet, nexthop)
        }
        LabelAction::PopNext { ttl_mode } => below(mbuf, packet, ceiling(ttl_mode, ttl), view),
    }
}

/// The most the TTL of what a pop exposes can be.
#[inline]
fn ceiling(ttl_mode: u8, ttl: u8) -> u8 {
    if ttl_mode == 0 { ttl } else { u8::MAX }
}

/// The TTL of a label stack entry.
#[inline]
fn ttl(entry: u32) -> u8 {
    let [.., ttl] = entry.to_be_bytes();
    ttl
}

/// A label stack entry with another label, in the order of the wire; TC and S stay.
#[inline]
fn swapped(entry: u32, label: u32, ttl: u8) -> [u8; LABEL] {
    (label << 12 | entry & (TRAFFIC_CLASS | BOTTOM) | u32::from(ttl.wrapping_sub(1))).to_be_bytes()
}

/// Replaces the label.
#[inline]
fn swap(packet: &mut Packet, label: u32, nexthop: u32) {
    packet.ethertype = ETHERTYPE_MPLS;
    packet.word = swapped(packet.subject, label, packet.ttl);
    packet.subject = nexthop;
}

/// Removes the last label.
#[inline]
fn pop(packet: &mut Packet) {
    packet.start += STEP;
    packet.first = First::Ip;
}

/// What the last label carried leaves for a next hop, without a route.
fn local(packet: &mut Packet, nexthop: u32) -> Result<Next, Reason> {
    if packet.ttl <= 1 {
        return Err(Reason::TtlExpired);
    }
    packet.subject = nexthop;
    Ok(Next::Nexthop)
}

/// Whether there is a whole label stack entry below the one at `packet.start`.
fn goes_on(mbuf: &Mbuf, packet: &Packet) -> bool {
    // Headers are in the first segment.
    mbuf.len() >= usize::from(packet.start) + 2 * LABEL
}

/// Removes a label; it is the turn of the one below.
fn below(mbuf: &Mbuf, packet: &mut Packet, ceiling: u8, view: &View<'_>) -> Result<Next, Reason> {
    if !goes_on(mbuf, packet) {
        return Err(Reason::BadLabelStack);
    }
    packet.start += STEP;
    let word = mbuf.window(usize::from(packet.start)).ok_or(Reason::BadLabelStack)?;
    take_turn(packet, u32::from_be_bytes(*word), ceiling, view)?;
    Ok(Next::Label)
}

/// Explicit null (RFC 3032 section 2.1) says only what it carries, and is popped as pipe.
#[cold]
fn explicit_null(mbuf: &Mbuf, packet: &mut Packet, key_v6: &mut FlowKeyV6, turn: usize, view: &View<'_>) -> Result<Next, Reason> {
    let entry = packet.subject;
    let last = entry & BOTTOM != 0;
    if !last && turn == MOST_TURNS {
        return Err(Reason::BadLabelStack);
    }
    if packet.ttl <= 1 {
        return Err(Reason::TtlExpired);
    }
    if !last {
        return below(mbuf, packet, u8::MAX, view);
    }
    pop(packet);
    if entry >> 12 == IPV6_EXPLICIT_NULL {
        *key_v6 = ipv6::check(mbuf, packet, u8::MAX)?;
        return Ok(Next::Route(Version::V6));
    }
    let window = mbuf.window(usize::from(packet.start)).ok_or(Reason::IpTruncated)?;
    ip::check(mbuf, window, packet, u8::MAX)?;
    Ok(Next::Route(Version::V4))
}

/// What the pop of a label exposes at `packet.start` leaves as it is, but for its TTL, which is at most `ceiling`.
#[inline]
fn expose(mbuf: &Mbuf, packet: &mut Packet, entry: u32, ceiling: u8) -> Result<(), Reason> {
    let start = usize::from(packet.start);
    let rest = (packet.length as usize).saturating_sub(start);
    let there = mbuf.len().saturating_sub(start);
    let exposed: &[u8; 12] = mbuf.window(start).ok_or(Reason::UnknownPayload)?;
    let nibble = if there == 0 { 0 } else { exposed[0] >> 4 };
    let [w0, w1, w2, w3, x0, x1, x2, x3, word @ ..] = *exposed;
    match (entry & BOTTOM != 0, nibble) {
        (false, _) if rest >= LABEL => {
            packet.first = First::LabelBelow;
            packet.ethertype = ETHERTYPE_MPLS;
            packet.word = [w0, w1, w2, w3.min(ceiling)];
        }
        (false, _) => return Err(Reason::BadLabelStack),
        (true, 4) if rest >= ip::HEADER => {
            packet.first = First::Ip;
            packet.ethertype = ETHERTYPE_IPV4;
            packet.place = IPV4_TTL;
            packet.word = if word[0] > ceiling { ip::with_ttl(word, ceiling) } else { word };
        }
        (true, 6) if rest >= ipv6::HEADER => {
            packet.first = First::Ip;
            packet.ethertype = ETHERTYPE_IPV6;
            packet.place = ipv6::WORD;
            packet.word = [x0, x1, x2, x3.min(ceiling)];
        }
        (true, _) => return Err(Reason::UnknownPayload),
    }
    Ok(())
}
