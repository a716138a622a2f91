//! `nexthop`: the last look-up, and all changes to the frame.

use svpn_contract::Reason;
use svpn_dpdk::Mbuf;

use super::ilm::LABEL;
use super::{Packet, Stop, View, ip, selector};
use crate::tables::nexthop::{Header, NexthopMember};

/// What is to be done to a frame so that it can leave.
#[derive(Debug, Clone, Copy)]
pub(super) struct Departure {
    /// Slot of the next hop.
    pub(super) nexthop: u32,
    /// Where the packet begins in the frame as received: what is before is removed.
    pub(super) start: u16,
    /// What the packet is, with the labels it gets.
    pub(super) ethertype: u16,
    /// What changes in the packet.
    pub(super) edit: Edit,
}

/// A change in a packet.
#[derive(Debug, Clone, Copy)]
pub(super) enum Edit {
    /// None.
    Nothing,
    /// The label stack entry it begins with.
    Label(u32),
    /// The TTL of the IPv4 header it begins with, and the checksum.
    Ipv4Ttl(u8),
    /// One byte, so far from its beginning.
    Byte { place: u16, value: u8 },
}

/// Sends a packet off, with labels in front, the outermost first: returns the port, the frame being as it leaves. Where it cannot leave
/// the frame is as it was received.
#[inline]
pub(super) fn leave(mbuf: &mut Mbuf, packet: &Packet, departure: &Departure, labels: &[u32], view: View<'_>) -> Result<u16, Stop> {
    let hash = || selector::of_frame(mbuf.data(), packet, view.tables.nexthop_seed);
    let line = view.tables.nexthop.choose(departure.nexthop, hash).ok_or(Stop(Reason::NoNexthop))?;
    let member = NexthopMember::from_line(line);
    let pushed = labels.len() * LABEL;
    let bytes = (packet.length as usize).saturating_sub(usize::from(departure.start)) + pushed;
    if bytes > usize::from(member.mtu) {
        return Err(too_big(mbuf.data(), packet));
    }
    available(member.port, view)?;
    edit(mbuf.data_mut(), departure);
    write_header(mbuf, usize::from(departure.start), &member.header, labels, departure.ethertype)?;
    Ok(member.port)
}

/// Fails where nothing can leave by a port.
#[inline]
pub(super) fn available(port: u16, view: View<'_>) -> Result<(), Stop> {
    if view.tables.up.contains(port) { Ok(()) } else { Err(Stop(Reason::PortUnavailable)) }
}

/// What does not fit: the controller tells the sender if the packet must not be fragmented on its way (RFC 1191, RFC 8200 section 5).
fn too_big(frame: &[u8], packet: &Packet) -> Stop {
    let whole = selector::inner(frame, packet).is_some_and(|start| ip::must_stay_whole(frame, start, packet.length as usize));
    if whole { Stop(Reason::TooBig) } else { Stop(Reason::TooBigDrop) }
}

#[inline]
fn edit(frame: &mut [u8], departure: &Departure) {
    let start = usize::from(departure.start);
    match departure.edit {
        Edit::Nothing => {}
        Edit::Label(entry) => {
            if let Some(place) = frame.get_mut(start..).and_then(<[u8]>::first_chunk_mut::<LABEL>) {
                *place = entry.to_be_bytes();
            }
        }
        Edit::Ipv4Ttl(ttl) => ip::set_ttl(frame, start, ttl),
        Edit::Byte { place, value } => {
            if let Some(byte) = frame.get_mut(start + usize::from(place)) {
                *byte = value;
            }
        }
    }
}

/// Replaces what is before `start` by Ethernet, tags and labels.
#[inline]
pub(super) fn write_header(mbuf: &mut Mbuf, start: usize, header: &Header, labels: &[u32], ethertype: u16) -> Result<(), Stop> {
    let needed = header.length() + labels.len() * LABEL;
    let moved = if needed > start { mbuf.prepend(needed - start) } else { mbuf.trim_front(start - needed) };
    // A buffer has 128 bytes of headroom, and 16 are the most that are needed, unless a driver has used them.
    if moved.is_none() {
        return Err(Stop(Reason::PortUnavailable));
    }
    let frame = mbuf.data_mut();
    header.write(frame, ethertype);
    for (index, entry) in labels.iter().enumerate() {
        let at = header.length() + index * LABEL;
        if let Some(place) = frame.get_mut(at..).and_then(<[u8]>::first_chunk_mut::<LABEL>) {
            *place = entry.to_be_bytes();
        }
    }
    Ok(())
}
