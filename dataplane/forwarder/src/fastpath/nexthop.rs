//! `nexthop`: the last look-up, and all changes to the frame.

use svpn_contract::Reason;
use svpn_dpdk::{Burst, Mbuf};

use super::ilm::LABEL;
use super::packet::{Batch, LABELS, Packet};
use super::{BURST, View, ip, selector};
use crate::tables::nexthop::{HEADER, NexthopMember};

/// Chooses a member of every packet's next hop, and fetches it.
#[inline(never)]
pub(super) fn choose(batch: &mut Batch, burst: &Burst<BURST>, view: &View<'_>) {
    let Batch { packets, nexthops, .. } = batch;
    for index in nexthops.iter() {
        let packet = &mut packets[index];
        let hash = || burst.get(index).map_or(0, |mbuf| selector::of_frame(mbuf.data(), packet, view.tables.nexthop_seed));
        if let Some(line) = view.tables.nexthop.choose(packet.subject, hash) {
            view.tables.nexthop.prefetch_line(line);
            packet.subject = line;
        } else {
            packet.stop(Reason::NoNexthop);
        }
    }
}

/// Bytes of all labels that a packet may get.
const STACK: usize = LABELS * LABEL;
/// What is written of a buffer at most: Ethernet with its tags, labels, and the start of the packet behind them.
const BEFORE: usize = HEADER + STACK;
const AROUND: usize = BEFORE + BEHIND;
/// What is written of the packet itself is in so many bytes.
pub(super) const BEHIND: usize = 16;

/// Sends a packet off: returns the port, the frame being as it leaves. Where it cannot leave the frame is as it was received.
///
/// The places of what is written do not depend on how much of it there is: labels end where the packet begins, Ethernet and its tags end
/// where the labels begin. What is in front of them is headroom.
#[inline]
pub(super) fn leave(mbuf: &mut Mbuf, packet: &Packet, labels: [u32; LABELS], view: &View<'_>) -> Result<u16, Reason> {
    let member = NexthopMember::from_line(view.tables.nexthop.line(packet.subject));
    let start = usize::from(packet.start);
    let pushed = (usize::from(packet.pushed) * LABEL).min(STACK);
    let bytes = (packet.length as usize).saturating_sub(start) + pushed;
    if bytes > usize::from(member.mtu) {
        return Err(too_big(mbuf.data(), packet));
    }
    available(member.port, view)?;
    // A buffer has 128 bytes of headroom, unless a driver has used them.
    let front: Option<&mut [u8; AROUND]> = mbuf.replace_front(start, BEFORE, member.header.length() + pushed);
    let around = front.ok_or(Reason::PortUnavailable)?;
    for (place, entry) in around[HEADER..BEFORE].as_chunks_mut::<LABEL>().0.iter_mut().zip(labels) {
        *place = entry.to_ne_bytes();
    }
    write_word(around, packet);
    let ethernet = STACK - pushed;
    around[ethernet..ethernet + HEADER].copy_from_slice(&member.header.with(packet.ethertype));
    Ok(member.port)
}

/// Writes the four bytes of the packet that change; the packet is the last [`BEHIND`] bytes.
#[inline]
pub(super) fn write_word<const N: usize>(around: &mut [u8; N], packet: &Packet) {
    if let Some(behind) = around.last_chunk_mut::<BEHIND>() {
        let place = usize::from(packet.place & 0xf).min(BEHIND - packet.word.len());
        behind[place..place + packet.word.len()].copy_from_slice(&packet.word);
    }
}

/// Fails where nothing can leave by a port.
#[inline]
pub(super) fn available(port: u16, view: &View<'_>) -> Result<(), Reason> {
    if view.tables.up.contains(port) { Ok(()) } else { Err(Reason::PortUnavailable) }
}

/// What does not fit: the controller tells the sender if the packet must not be fragmented on its way (RFC 1191, RFC 8200 section 5).
#[cold]
pub(super) fn too_big(frame: &[u8], packet: &Packet) -> Reason {
    let whole = selector::inner(frame, packet).is_some_and(|start| ip::must_stay_whole(frame, start, packet.length as usize));
    if whole { Reason::TooBig } else { Reason::TooBigDrop }
}
