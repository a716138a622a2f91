//! `marking` and `tunnel`: colour to traffic class, and the labels to push.

use super::frame::{ETHERTYPE_IPV4, ETHERTYPE_MPLS, Frame};
use super::ipv4::TTL;
use super::labels::StackEntry;
use super::output::Packet;
use super::{Sent, Stop, Walk};
use crate::tables::{Entry, MarkingAction, MarkingKey, Reason, TunnelAction, TunnelKey};
use crate::wire::{Class, Colour, Label, TrafficClass, TtlMode, TunnelId};

/// Which tunnel, and how.
#[derive(Debug, Clone, Copy)]
pub(super) struct TunnelUse {
    pub(super) tunnel: TunnelId,
    pub(super) vpn_label: Label,
    pub(super) class: Class,
    pub(super) colour: Colour,
}

impl Walk<'_> {
    fn marking(&self, class: Class, colour: Colour) -> Result<TrafficClass, Stop> {
        match self.oracle.tables.find(&MarkingKey { class, colour }.into()) {
            Some(Entry::Marking(entry)) => match entry.action {
                MarkingAction::Mark { tc, .. } => Ok(tc),
                MarkingAction::Discard => Err(Stop::Drop(Reason::MarkingDiscard)),
            },
            _ if colour == Colour::RED => Err(Stop::Drop(Reason::RedDiscard)),
            _ => Ok(TrafficClass::new(class.get()).unwrap_or_default()),
        }
    }

    /// Sends an IPv4 packet, its TTL already decremented, into a tunnel.
    pub(super) fn tunnel(&mut self, frame: &Frame<'_>, ip: &[u8], into: TunnelUse) -> Result<Sent, Stop> {
        let tc = self.marking(into.class, into.colour)?;
        let key = TunnelKey { tunnel: into.tunnel }.into();
        let missing = Stop::Drop(Reason::NoTunnel);
        let Some(Entry::Tunnel(entry)) = self.oracle.tables.find(&key) else { return Err(missing) };
        let action = self.choose(key, &entry.action).ok_or(missing)?;
        self.effects.counted.push(key);
        let (transport, nexthop, ttl_mode) = match action {
            TunnelAction::Lsp0 { nexthop, ttl_mode } => (vec![], nexthop, ttl_mode),
            TunnelAction::Lsp1 { l1, nexthop, ttl_mode } => (vec![l1], nexthop, ttl_mode),
            TunnelAction::Lsp2 { l1, l2, nexthop, ttl_mode } => (vec![l1, l2], nexthop, ttl_mode),
            TunnelAction::Lsp3 { l1, l2, l3, nexthop, ttl_mode } => (vec![l1, l2, l3], nexthop, ttl_mode),
            TunnelAction::GreV4 { .. } | TunnelAction::GreV6 { .. } => return Err(missing),
        };
        let vpn = (into.vpn_label != Label::IMPLICIT_NULL).then_some(into.vpn_label);
        let ttl = if ttl_mode == TtlMode::UNIFORM { ip[TTL] } else { ttl_mode.get() };
        let labels: Vec<Label> = transport.into_iter().chain(vpn).collect();
        let mut bytes = Vec::new();
        for (index, label) in labels.iter().enumerate() {
            bytes.extend(StackEntry { label: *label, tc, bottom: index + 1 == labels.len(), ttl }.write());
        }
        bytes.extend(ip);
        let ethertype = if labels.is_empty() { ETHERTYPE_IPV4 } else { ETHERTYPE_MPLS };
        self.nexthop(frame, nexthop, &Packet { ethertype, bytes })
    }
}
