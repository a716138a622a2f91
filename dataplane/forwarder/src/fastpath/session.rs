//! `session`: whether a customer's packet is within its session's rate.

use svpn_contract::Reason;

use super::packet::{Batch, Packet};
use super::{View, marking};
use crate::tables::counters::Counting;

/// Counts and meters every session's packets, which then go into their tunnels. An expired one is neither counted nor metered.
#[inline(never)]
pub(super) fn carry(batch: &mut Batch, view: &View<'_>, counting: &mut Counting) {
    let Batch { packets, sessions, tunnels, .. } = batch;
    for index in sessions.iter() {
        let packet = &mut packets[index];
        match police(packet, view, counting) {
            Ok(()) => tunnels.push(index),
            Err(reason) => packet.stop(reason),
        }
    }
}

#[inline]
fn police(packet: &mut Packet, view: &View<'_>, counting: &mut Counting) -> Result<(), Reason> {
    if packet.ttl <= 1 {
        return Err(Reason::TtlExpired);
    }
    let session = packet.subject;
    let carry = view.tables.session.carry(session).ok_or(Reason::NoSession)?;
    view.tables.tunnel.prefetch(carry.tunnel);
    packet.session = session;
    counting.session(session, packet.length);
    let colour = view.tables.session.meter(session, packet.length, view.now);
    marking::mark(packet, carry.class, colour, view)?;
    packet.vpn_label = carry.vpn_label;
    packet.subject = carry.tunnel;
    Ok(())
}
