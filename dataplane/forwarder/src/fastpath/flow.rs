//! `flow_v4` and `flow_acl_v4`: which session a customer's packet belongs to.

use super::View;
use super::packet::Batch;
use crate::tables::counters::Counting;

/// Finds the session of every flow; a packet of none is routed.
#[inline]
pub(super) fn look_up(batch: &mut Batch, view: &View<'_>, counting: &Counting) {
    let Batch { packets, hashes, flows, routes, sessions, .. } = batch;
    for index in flows.iter() {
        let packet = &mut packets[index];
        let session = view.tables.flow_v4.find(packet.key, hashes[index]).or_else(|| view.small.flow_acl_v4.find(packet.key));
        if let Some(session) = session {
            view.tables.session.prefetch(session);
            counting.prefetch_session(session);
            packet.subject = session;
            sessions.push(index);
        } else {
            view.tables.route_v4.prefetch(packet.vrf);
            routes.push(index);
        }
    }
}
