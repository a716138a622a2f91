//! `flow_v4`, `flow_v6`, `flow_acl_v4` and `flow_acl_v6`: which session a customer's packet belongs to.

use super::View;
use super::packet::{Batch, Ceiling, List, Packet};
use crate::tables::counters::Counting;

/// Finds the session of every flow; a packet of none is routed.
#[inline(never)]
pub(super) fn look_up(batch: &mut Batch, view: &View<'_>, counting: &Counting) {
    let Batch { packets, keys_v6, hashes, flows, flows_v6, routes, routes_v6, sessions, .. } = batch;
    for index in flows.iter() {
        let packet = &mut packets[index];
        if let Some(session) = view.tables.flow_v4.find(packet.key, hashes[index]).or_else(|| view.small.flow_acl_v4.find(packet.key)) {
            begin(session, index, packet, sessions, view, counting);
        } else {
            limit(packet, view);
            view.tables.route_v4.prefetch(packet.vrf, packet.key.destination());
            routes.push(index);
        }
    }
    for index in flows_v6.iter() {
        let (packet, key) = (&mut packets[index], keys_v6[index]);
        if let Some(session) = view.tables.flow_v6.find(key, hashes[index]).or_else(|| view.small.flow_acl_v6.find(key)) {
            begin(session, index, packet, sessions, view, counting);
        } else {
            limit(packet, view);
            view.tables.route_v6.prefetch(packet.vrf);
            routes_v6.push(index);
        }
    }
}

/// Notes that a packet has no session, and fetches its ceiling.
#[inline]
fn limit(packet: &mut Packet, view: &View<'_>) {
    packet.ceiling = Ceiling::Vrf;
    view.tables.vrf_policer.prefetch(packet.vrf);
}

/// Notes a packet's session, and fetches it.
#[inline]
fn begin(session: u32, index: usize, packet: &mut Packet, sessions: &mut List, view: &View<'_>, counting: &Counting) {
    view.tables.session.prefetch(session);
    counting.prefetch_session(session);
    packet.subject = session;
    sessions.push(index);
}
