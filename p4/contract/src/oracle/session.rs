//! `flow_v4`, `flow_v6`, `flow_acl_v4`, `flow_acl_v6` and `session`: what a customer's session carries.

use std::net::IpAddr;

use super::five_tuple::FiveTuple;
use super::ip::Ip;
use super::tunnel::TunnelUse;
use super::{Sent, Stop, Walk};
use crate::tables::{
    Entry, FlowAclV4Action, FlowAclV6Action, FlowV4Action, FlowV4Key, FlowV6Action, FlowV6Key, Reason, SessionAction, SessionKey,
};
use crate::wire::SessionId;

impl Walk<'_> {
    /// The session of a flow: of the entry for just this 5-tuple, else of the best rule.
    pub(super) fn flow(&self, tuple: &FiveTuple) -> Option<SessionId> {
        let (vrf, FiveTuple { proto, sport, dport, .. }) = (self.vrf, *tuple);
        let tables = &self.oracle.tables;
        match (tuple.src, tuple.dst) {
            (IpAddr::V4(src), IpAddr::V4(dst)) => {
                if let Some(Entry::FlowV4(entry)) = tables.find(&FlowV4Key { vrf, src, dst, proto, sport, dport }.into()) {
                    let FlowV4Action::Assign { session } = entry.action;
                    return Some(session);
                }
                let FlowAclV4Action::Assign { session } = tables.flow_acl_v4(vrf, src, dst, tuple)?.action;
                Some(session)
            }
            (IpAddr::V6(src), IpAddr::V6(dst)) => {
                if let Some(Entry::FlowV6(entry)) = tables.find(&FlowV6Key { vrf, src, dst, proto, sport, dport }.into()) {
                    let FlowV6Action::Assign { session } = entry.action;
                    return Some(session);
                }
                let FlowAclV6Action::Assign { session } = tables.flow_acl_v6(vrf, src, dst, tuple)?.action;
                Some(session)
            }
            _ => None,
        }
    }

    /// Polices and counts a session's packet, and sends it into the session's tunnel.
    pub(super) fn session(&mut self, ip: &Ip<'_>, session: SessionId) -> Result<Sent, Stop> {
        if ip.ttl <= 1 {
            return Err(Stop::Punt(Reason::TtlExpired));
        }
        let key = SessionKey { session }.into();
        let Some(Entry::Session(entry)) = self.oracle.tables.find(&key) else {
            return Err(Stop::Drop(Reason::NoSession));
        };
        let SessionAction::Carry { tunnel, vpn_label, class } = entry.action;
        self.effects.counted.push(key);
        self.effects.session = Some(session);
        let colour = self.metered(key, self.bytes.len() as u64);
        self.tunnel(ip, TunnelUse { tunnel, vpn_label, class, colour })
    }
}
