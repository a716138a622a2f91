//! `marking` and `tunnel`: colour to traffic class and DSCP, and what is put before a packet.

use super::frame::ETHERTYPE_MPLS;
use super::gre::{Delivery, Ends};
use super::ip::Ip;
use super::labels::StackEntry;
use super::nexthop::Packet;
use super::{Sent, Stop, Walk};
use crate::tables::{Entry, MarkingAction, MarkingKey, Reason, TunnelAction, TunnelKey};
use crate::wire::{Class, Colour, Dscp, GreKey, Label, NextHopId, TrafficClass, TtlMode, TunnelId};

/// Which tunnel, and how.
#[derive(Debug, Clone, Copy)]
pub(super) struct TunnelUse {
    pub(super) tunnel: TunnelId,
    pub(super) vpn_label: Label,
    pub(super) class: Class,
    pub(super) colour: Colour,
}

/// What a tunnel is made of.
enum Means {
    /// Labels above the VPN label, the outermost first.
    Lsp(Vec<Label>),
    /// GRE between two addresses.
    Gre(Ends, GreKey),
}

/// What a tunnel's action says: its means, where it leaves, and the TTL of what is put before the packet.
fn means(action: TunnelAction) -> (Means, NextHopId, TtlMode) {
    match action {
        TunnelAction::Lsp0 { nexthop, ttl_mode } => (Means::Lsp(vec![]), nexthop, ttl_mode),
        TunnelAction::Lsp1 { l1, nexthop, ttl_mode } => (Means::Lsp(vec![l1]), nexthop, ttl_mode),
        TunnelAction::Lsp2 { l1, l2, nexthop, ttl_mode } => (Means::Lsp(vec![l1, l2]), nexthop, ttl_mode),
        TunnelAction::Lsp3 { l1, l2, l3, nexthop, ttl_mode } => (Means::Lsp(vec![l1, l2, l3]), nexthop, ttl_mode),
        TunnelAction::GreV4 { src, dst, key, nexthop, ttl_mode } => (Means::Gre(Ends::V4(src, dst), key), nexthop, ttl_mode),
        TunnelAction::GreV6 { src, dst, key, nexthop, ttl_mode } => (Means::Gre(Ends::V6(src, dst), key), nexthop, ttl_mode),
    }
}

/// Labels over a packet; without any, the packet as it is.
fn labelled(labels: &[Label], tc: TrafficClass, ttl: u8, ip: &Ip<'_>) -> Packet {
    let mut bytes = Vec::new();
    for (index, label) in labels.iter().enumerate() {
        bytes.extend(StackEntry { label: *label, tc, bottom: index + 1 == labels.len(), ttl }.write());
    }
    bytes.extend(ip.forwarded());
    let ethertype = if labels.is_empty() { ip.family.ethertype() } else { ETHERTYPE_MPLS };
    Packet { ethertype, bytes }
}

impl Walk<'_> {
    fn marking(&self, class: Class, colour: Colour) -> Result<(TrafficClass, Dscp), Stop> {
        match self.oracle.tables.find(&MarkingKey { class, colour }.into()) {
            Some(Entry::Marking(entry)) => match entry.action {
                MarkingAction::Mark { tc, dscp } => Ok((tc, dscp)),
                MarkingAction::Discard => Err(Stop::Drop(Reason::MarkingDiscard)),
            },
            _ if colour == Colour::RED => Err(Stop::Drop(Reason::RedDiscard)),
            _ => Ok((TrafficClass::new(class.get()).unwrap_or_default(), Dscp::new(class.get() << 3).unwrap_or_default())),
        }
    }

    /// Sends a packet into a tunnel.
    pub(super) fn tunnel(&mut self, ip: &Ip<'_>, into: TunnelUse) -> Result<Sent, Stop> {
        let (tc, dscp) = self.marking(into.class, into.colour)?;
        let key = TunnelKey { tunnel: into.tunnel }.into();
        let missing = Stop::Drop(Reason::NoTunnel);
        let Some(Entry::Tunnel(entry)) = self.oracle.tables.find(&key) else { return Err(missing) };
        let action = self.choose(key, &entry.action).ok_or(missing)?;
        self.effects.counted.push(key);
        let (means, nexthop, ttl_mode) = means(action);
        let ttl = if ttl_mode == TtlMode::UNIFORM { ip.ttl - 1 } else { ttl_mode.get() };
        let vpn = (into.vpn_label != Label::IMPLICIT_NULL).then_some(into.vpn_label);
        let packet = match means {
            Means::Lsp(transport) => {
                let labels: Vec<Label> = transport.into_iter().chain(vpn).collect();
                labelled(&labels, tc, ttl, ip)
            }
            Means::Gre(ends, key) => {
                let labels: Vec<Label> = vpn.into_iter().collect();
                let covered = labels.len() * 4 + ip.length;
                Delivery { ends, key, dscp, ttl }.encapsulate(&labelled(&labels, tc, ttl, ip), covered)
            }
        };
        self.nexthop(Some(ip.bytes), nexthop, &packet)
    }
}
