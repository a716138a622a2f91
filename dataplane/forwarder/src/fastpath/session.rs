//! `session`: whether a customer's packet is within its session's rate.

use svpn_contract::Reason;

use super::packet::{Batch, Packet};
use super::parse::ETHERTYPE_IPV6;
use super::{View, marking, tunnel};
use crate::tables::counters::Counting;
use crate::tables::meter::Sharing;

/// Counts and meters every session's packets, and sends them into their tunnels. An expired one is neither counted nor metered.
#[inline(never)]
pub(super) fn carry(batch: &mut Batch, view: &View<'_>, counting: &mut Counting) {
    // Two loops, as one worker's meters need less.
    match view.tables.session.sharing() {
        Sharing::OneWorker => carry_each(batch, Sharing::OneWorker, view, counting),
        Sharing::ManyWorkers => carry_each(batch, Sharing::ManyWorkers, view, counting),
    }
}

#[inline(always)]
#[allow(clippy::inline_always, reason = "a loop, with how meters are shared known to the compiler")]
fn carry_each(batch: &mut Batch, sharing: Sharing, view: &View<'_>, counting: &mut Counting) {
    let Batch { packets, keys_v6, sessions, .. } = batch;
    for index in sessions.iter() {
        let packet = &mut packets[index];
        let hash = |packet: &Packet| match packet.ethertype {
            ETHERTYPE_IPV6 => tunnel::hash_v6(keys_v6[index], view),
            _ => tunnel::hash_v4(packet, view),
        };
        let carried = match police(packet, sharing, view, counting) {
            Ok(slot) => tunnel::choose(packet, slot, hash, view, counting),
            Err(reason) => Err(reason),
        };
        if let Err(reason) = carried {
            packet.stop(reason);
        }
    }
}

/// The slot of the tunnel that a packet goes into.
#[inline(always)]
#[allow(clippy::inline_always, reason = "a loop's straight way: a call for each packet would cost a third of it")]
fn police(packet: &mut Packet, sharing: Sharing, view: &View<'_>, counting: &mut Counting) -> Result<u32, Reason> {
    if packet.ttl <= 1 {
        return Err(Reason::TtlExpired);
    }
    let session = packet.subject;
    let line = view.tables.session.get(session).ok_or(Reason::NoSession)?;
    packet.session = session;
    let length = packet.length;
    counting.session(session, length);
    let colour = line.meter(length, view.now, sharing);
    marking::mark(packet, line.carry.class, colour, view)?;
    packet.label = line.carry.vpn_label;
    Ok(line.carry.tunnel)
}
