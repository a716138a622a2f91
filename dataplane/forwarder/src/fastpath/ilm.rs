//! `ilm`: what to do with an incoming label (RFC 3031, RFC 3032), and how TTL crosses a pop (RFC 3443).
//!
//! ```text
//! label stack entry: label 20 | TC 3 | bottom of stack 1 | TTL 8
//! ```

use svpn_contract::Reason;

use super::nexthop::{Departure, Edit};
use super::parse::{ETHERTYPE_IPV4, ETHERTYPE_IPV6, ETHERTYPE_MPLS, be32};
use super::{Classified, Decided, Found, Packet, Stop, View, ip};
use crate::tables::label::LabelAction;
use crate::tables::small::Side;

/// Bytes of a label stack entry.
pub(super) const LABEL: usize = 4;
pub(super) const BOTTOM: u32 = 1 << 8;
const TTL: u32 = 0xff;

/// The top label, if it is one that can be looked up.
#[inline]
pub(super) fn classify(frame: &[u8], packet: &Packet, side: Side, view: View<'_>) -> Result<Classified, Stop> {
    if side != Side::Core {
        return Err(Stop(Reason::MplsOnAttachment));
    }
    let entry = be32(frame, usize::from(packet.network)).ok_or(Stop(Reason::FrameTruncated))?;
    match entry >> 12 {
        1 | 13 | 14 => Err(Stop(Reason::MplsAlert)),
        0..16 => Err(Stop(Reason::ReservedLabel)),
        label => {
            view.labels.prefetch(label);
            Ok(Classified::Label(entry))
        }
    }
}

/// Looks a label up, and counts it.
#[inline]
pub(super) fn look_up(frame: &[u8], packet: &mut Packet, entry: u32, view: View<'_>) -> Result<Found, Stop> {
    let action = view.labels.get(entry >> 12).ok_or(Stop(Reason::UnknownLabel))?;
    view.labels.count(entry >> 12, packet.length);
    if let LabelAction::PopVrf { vrf, .. } = action {
        if entry & BOTTOM == 0 {
            return Err(Stop(Reason::BadLabelStack));
        }
        packet.vrf = vrf;
    }
    if entry & TTL <= 1 {
        return Err(Stop(Reason::TtlExpired));
    }
    match action {
        LabelAction::Swap { label, nexthop } => {
            let edit = Edit::Label(label << 12 | ((entry & 0xfff) - 1));
            Ok(Found::Decided(Decided::Leave(Departure { nexthop, start: packet.network, ethertype: ETHERTYPE_MPLS, edit })))
        }
        LabelAction::Php { nexthop, ttl_mode } => php(frame, packet, entry, nexthop, ttl_mode),
        LabelAction::PopVrf { ttl_mode, .. } => {
            packet.ip = packet.network + 4;
            let ceiling = if ttl_mode == 0 { ttl(entry) } else { u8::MAX };
            ip::check(frame, packet, ceiling)?;
            Ok(ip::start(packet, view))
        }
    }
}

/// The TTL of a label stack entry.
#[inline]
fn ttl(entry: u32) -> u8 {
    let [.., ttl] = entry.to_be_bytes();
    ttl
}

/// Pops the top label; what it exposes leaves for the next hop.
#[inline]
fn php(frame: &[u8], packet: &Packet, entry: u32, nexthop: u32, ttl_mode: u8) -> Result<Found, Stop> {
    let start = packet.network + 4;
    let rest = (packet.length as usize).saturating_sub(usize::from(start));
    let exposed = frame.get(usize::from(start)..).unwrap_or_default();
    let nibble = exposed.first().map(|first| first >> 4);
    // How far from the start the TTL is.
    let (ethertype, place) = match (entry & BOTTOM != 0, nibble) {
        (false, _) if rest >= LABEL => (ETHERTYPE_MPLS, 3),
        (false, _) => return Err(Stop(Reason::BadLabelStack)),
        (true, Some(4)) if rest >= ip::HEADER => (ETHERTYPE_IPV4, 8),
        (true, Some(6)) if rest >= ip::HEADER_V6 => (ETHERTYPE_IPV6, 7),
        (true, _) => return Err(Stop(Reason::UnknownPayload)),
    };
    let own = exposed.get(place).copied().unwrap_or(0);
    let ceiling = ttl(entry) - 1;
    let edit = if ttl_mode != 0 || own <= ceiling {
        Edit::Nothing
    } else if ethertype == ETHERTYPE_IPV4 {
        Edit::Ipv4Ttl(ceiling)
    } else {
        Edit::Byte { place: u16::try_from(place).unwrap_or_default(), value: ceiling }
    };
    Ok(Found::Decided(Decided::Leave(Departure { nexthop, start, ethertype, edit })))
}
