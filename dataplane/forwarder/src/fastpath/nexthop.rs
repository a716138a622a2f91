//! `nexthop`: the last look-up, and all changes to the frame.

use svpn_contract::Reason;
use svpn_dpdk::Mbuf;

use super::ilm::LABEL;
use super::packet::{LABELS, Packet};
use super::parse::{ETHERNET, ETHERTYPE_MPLS, UNTAGGED};
use super::{View, ip, selector};
use crate::tables::nexthop::{HEADER, NexthopMember};

/// The line of the member of the next hop with this slot that a packet leaves for.
#[inline]
pub(super) fn choose(mbuf: &Mbuf, packet: &Packet, slot: u32, view: &View<'_>) -> Result<u32, Reason> {
    let hash = || selector::of_frame(mbuf.data(), packet, view.tables.nexthop_seed);
    view.nexthops.choose(slot, hash).ok_or(Reason::NoNexthop)
}

/// Has a packet leave for the next hop whose slot is its subject, and fetches what it needs for it.
#[inline]
pub(super) fn take(mbuf: &Mbuf, packet: &mut Packet, view: &View<'_>) {
    match choose(mbuf, packet, packet.subject, view) {
        Ok(line) => {
            view.nexthops.prefetch_line(line);
            packet.subject = line;
        }
        Err(reason) => packet.stop(reason),
    }
}

/// Bytes of all labels that a packet may get.
const STACK: usize = LABELS * LABEL;
/// What is written of a buffer at most: Ethernet with its tags, labels, and the start of the packet behind them.
const BEFORE: usize = HEADER + STACK;
const AROUND: usize = BEFORE + BEHIND;
/// What is written of the packet itself is in so many bytes.
pub(super) const BEHIND: usize = 20;

/// Labels to be put in front of a packet.
#[derive(Debug, Clone, Copy)]
pub(super) struct Stack {
    /// Label stack entries, two by two in the order of the wire, of which the last are put in front.
    pub(super) entries: [u64; LABELS / 2],
    /// How many.
    pub(super) labels: u8,
}

/// Sends a packet off to the next hop with this line, behind these labels: returns the port, the frame being as
/// it leaves. Where it cannot leave the frame is as it was received.
///
/// The places of what is written do not depend on how much of it there is: labels end where the packet begins, Ethernet and its tags end
/// where the labels begin. What is in front of them is headroom.
#[inline(always)]
#[allow(clippy::inline_always, reason = "a loop's straight way: a call for each packet would cost a third of it")]
pub(super) fn leave(mbuf: &mut Mbuf, packet: &Packet, nexthop: u32, stack: Option<Stack>, view: &View<'_>) -> Result<u16, Reason> {
    let member = NexthopMember::from_line(view.nexthops.line(nexthop));
    let start = usize::from(packet.start);
    let pushed = stack.map_or(0, |stack| (usize::from(stack.labels) * LABEL).min(STACK));
    // What is behind `start`, and the labels.
    if packet.length as usize + pushed > usize::from(member.mtu) + start {
        return Err(too_big(mbuf.data(), packet));
    }
    // A buffer has 128 bytes of headroom, unless a driver has used them.
    let front: Option<&mut [u8; AROUND]> = mbuf.replace_front(start, BEFORE, member.header.length() + pushed);
    let around = front.ok_or(Reason::PortUnavailable)?;
    if let Some(Stack { entries: [upper, lower], .. }) = stack {
        around[HEADER..HEADER + STACK / 2].copy_from_slice(&upper.to_ne_bytes());
        around[HEADER + STACK / 2..BEFORE].copy_from_slice(&lower.to_ne_bytes());
    }
    write_word(around, packet);
    let ethernet = STACK - pushed;
    around[ethernet..ethernet + HEADER].copy_from_slice(&member.header.with(packet.ethertype));
    Ok(member.port)
}

/// Sends a frame of so many bytes, in which the packet begins at `start`, off to the next hop with this line, if it has no tag and gets none, and
/// its label stack entry is all that changes behind Ethernet: returns the port, the frame being as it leaves. `None`, and no change, if it is not such, or too big.
#[inline(always)]
#[allow(clippy::inline_always, reason = "a loop's straight way: a call for each packet would cost a third of it")]
pub(super) fn relabel(mbuf: &mut Mbuf, (start, length): (u16, u32), line: u32, word: [u8; LABEL], view: &View<'_>) -> Option<u16> {
    let member = NexthopMember::untagged(view.nexthops.words(line)?)?;
    if start != UNTAGGED.network || length > u32::from(member.mtu) + u32::from(UNTAGGED.network) {
        return None;
    }
    let [first, last] = member.header.untagged(ETHERTYPE_MPLS)?;
    let front: &mut [u8; ETHERNET + LABEL] = mbuf.data_mut().first_chunk_mut()?;
    front[..8].copy_from_slice(&first);
    front[ETHERNET - 8..ETHERNET].copy_from_slice(&last);
    front[ETHERNET..].copy_from_slice(&word);
    Some(member.port)
}

/// Writes the four bytes of the packet that change; the packet is the last [`BEHIND`] bytes.
#[inline]
pub(super) fn write_word<const N: usize>(around: &mut [u8; N], packet: &Packet) {
    if let Some(behind) = around.last_chunk_mut::<BEHIND>() {
        let place = usize::from(packet.place & 0xf);
        behind[place..place + packet.word.len()].copy_from_slice(&packet.word);
    }
}

/// What does not fit: the controller tells the sender if the packet must not be fragmented on its way (RFC 1191, RFC 8200 section 5).
#[cold]
pub(super) fn too_big(frame: &[u8], packet: &Packet) -> Reason {
    let whole = selector::inner(frame, packet).is_some_and(|start| ip::must_stay_whole(frame, start, packet.length as usize));
    if whole { Reason::TooBig } else { Reason::TooBigDrop }
}
