//! `flow_v4`, `flow_acl_v4` and `session`: which session a customer's packet belongs to, and whether it is within its rate.

use svpn_contract::Reason;

use super::{Decided, Found, Packet, Stop, View, ip};
use crate::tables::counters::Counting;

/// The session of a flow; a packet of none is routed.
#[inline]
pub(super) fn of_flow(packet: &Packet, hash: u64, view: View<'_>, counting: &Counting) -> Found {
    let session = view.tables.flow_v4.find(packet.key, hash).or_else(|| view.small.flow_acl_v4.find(packet.key));
    if let Some(session) = session {
        view.tables.session.prefetch(session);
        counting.prefetch_session(session);
        Found::Session(session)
    } else {
        ip::start(packet, view)
    }
}

/// Counts and meters a session's packet, which then goes into its tunnel. An expired one is neither counted nor metered.
#[inline]
pub(super) fn carry(packet: &mut Packet, session: u32, view: View<'_>, now: u64, counting: &mut Counting) -> Result<Decided, Stop> {
    if packet.ttl <= 1 {
        return Err(Stop(Reason::TtlExpired));
    }
    let carry = view.tables.session.carry(session).ok_or(Stop(Reason::NoSession))?;
    view.tables.tunnel.prefetch(carry.tunnel);
    packet.session = Some(session);
    counting.session(session, packet.length);
    Ok(Decided::Tunnel(carry, view.tables.session.meter(session, packet.length, now)))
}
