//! Reading entries back.

use std::net::Ipv4Addr;

use svpn_contract::wire::{Class, L4Port, Label, Protocol, SessionId, TtlMode, VrfId};
use svpn_contract::{
    ArpResponderEntry, ArpResponderKey, AttachmentEntry, AttachmentKey, Entry, EntryKey, FlowAclV4Entry, FlowAclV4Key, FlowAclV6Entry,
    FlowAclV6Key, FlowV4Action, FlowV4Entry, FlowV4Key, FlowV6Key, GreIngressV4Key, GreIngressV6Key, IlmAction, IlmEntry, IlmKey,
    MarkingEntry, MarkingKey, MeterConfig, NexthopEntry, NexthopKey, Prefix as WirePrefix, PuntPolicerAction, PuntPolicerEntry,
    PuntPolicerKey, Reason, RouteV4Action, RouteV4Entry, RouteV4Key, RouteV6Key, SessionAction, SessionEntry, SessionKey, StationEntry,
    StationKey, TunnelEntry, TunnelKey, VrfPolicerAction, VrfPolicerEntry, VrfPolicerKey,
};

use super::Entries;
use super::write::{flow_key, route_key};
use crate::tables::carry::Carry;
use crate::tables::flow::FlowKey;
use crate::tables::label::LabelAction;
use crate::tables::route::{Prefix, Route};

impl Entries {
    /// The entry of a key.
    pub fn get(&self, key: &EntryKey) -> Option<Entry> {
        match *key {
            EntryKey::Attachment(key) => self.small.attachment.get(&key).map(|action| AttachmentEntry { key, action: *action }.into()),
            EntryKey::Station(key) => self.small.station.get(&key).map(|action| StationEntry { key, action: *action }.into()),
            EntryKey::ArpResponder(key) => {
                self.small.arp_responder.get(&key).map(|action| ArpResponderEntry { key, action: *action }.into())
            }
            EntryKey::Marking(key) => self.small.marking.get(&key).map(|action| MarkingEntry { key, action: *action }.into()),
            EntryKey::FlowAclV4(key) => self.small.flow_acl_v4.get(&key).map(|acl| FlowAclV4Entry { key, action: acl.v4() }.into()),
            EntryKey::FlowAclV6(key) => self.small.flow_acl_v6.get(&key).map(|acl| FlowAclV6Entry { key, action: acl.v6() }.into()),
            EntryKey::FlowV6(key) => self.get_flow_v6(key),
            EntryKey::RouteV6(key) => self.get_route_v6(key),
            EntryKey::FlowV4(key) => self.flows.get(flow_key(&key)).map(|session| self.flow(key, session)),
            EntryKey::Session(key) => self.session(key),
            EntryKey::RouteV4(key) => {
                let (vrf, prefix) = route_key(key);
                self.routes.get(vrf, prefix).map(|route| self.route(key, route))
            }
            EntryKey::Tunnel(key) => {
                self.tunnels.get(key.tunnel.get()).map(|group| TunnelEntry { key, action: group.choice.clone() }.into())
            }
            EntryKey::Ilm(key) => self.label(key.label.get()).map(|action| self.label_entry(key, action)),
            EntryKey::Nexthop(key) => {
                self.nexthops.get(key.nexthop.get()).map(|group| NexthopEntry { key, action: group.choice.clone() }.into())
            }
            EntryKey::VrfPolicer(key) => self.vrf_policers.get(key.vrf.get(), vrf_policer),
            EntryKey::PuntPolicer(key) => self.punt_policers.get(key.reason as u16, |_, meter| punt_policer(key.reason, meter)),
            EntryKey::GreIngressV4(key) => self.gre.get_v4(&key),
            EntryKey::GreIngressV6(key) => self.gre.get_v6(&key),
        }
    }

    /// The entries of a table; none for an unknown table.
    pub fn iter(&self, table_id: u32) -> Box<dyn Iterator<Item = Entry> + '_> {
        match table_id {
            AttachmentKey::TABLE_ID => Box::new(self.small.attachments()),
            StationKey::TABLE_ID => Box::new(self.small.stations()),
            ArpResponderKey::TABLE_ID => Box::new(self.small.arp_responders()),
            MarkingKey::TABLE_ID => Box::new(self.small.markings()),
            FlowAclV4Key::TABLE_ID => Box::new(self.small.acls_v4()),
            FlowAclV6Key::TABLE_ID => Box::new(self.small.acls_v6()),
            FlowV6Key::TABLE_ID => Box::new(self.flows_v6()),
            RouteV6Key::TABLE_ID => Box::new(self.routes_v6()),
            FlowV4Key::TABLE_ID => Box::new(self.flows.iter().map(|(key, session)| self.flow(wire_flow_key(key), session))),
            SessionKey::TABLE_ID => Box::new(
                (0..u32::try_from(self.sessions.meters.len()).unwrap_or(u32::MAX))
                    .filter_map(|session| self.session(SessionKey { session: SessionId::new(session).unwrap_or_default() })),
            ),
            RouteV4Key::TABLE_ID => Box::new(self.routes.iter().map(|(vrf, prefix, route)| self.route(wire_route_key(vrf, prefix), route))),
            TunnelKey::TABLE_ID => Box::new(self.tunnels.iter().map(|(number, group)| {
                let key = TunnelKey { tunnel: u64::from(number).try_into().unwrap_or_default() };
                TunnelEntry { key, action: group.choice.clone() }.into()
            })),
            IlmKey::TABLE_ID => Box::new((0..self.labels.end).filter_map(|label| {
                let action = self.label(label)?;
                Some(self.label_entry(IlmKey { label: Label::new(label).ok()? }, action))
            })),
            NexthopKey::TABLE_ID => Box::new(self.nexthops.iter().map(|(number, group)| {
                let key = NexthopKey { nexthop: u64::from(number).try_into().unwrap_or_default() };
                NexthopEntry { key, action: group.choice.clone() }.into()
            })),
            VrfPolicerKey::TABLE_ID => Box::new(self.vrf_policers.iter().map(|(number, meter)| vrf_policer(number, meter))),
            PuntPolicerKey::TABLE_ID => Box::new(self.punt_policers.iter().filter_map(|(number, meter)| {
                let reason = u8::try_from(number).ok().and_then(Reason::from_number)?;
                Some(punt_policer(reason, meter))
            })),
            GreIngressV4Key::TABLE_ID => Box::new(self.gre.iter_v4()),
            GreIngressV6Key::TABLE_ID => Box::new(self.gre.iter_v6()),
            _ => Box::new(std::iter::empty()),
        }
    }

    /// Entries in a table; 0 for an unknown one.
    pub fn len(&self, table_id: u32) -> usize {
        match table_id {
            AttachmentKey::TABLE_ID => self.small.attachment.len(),
            StationKey::TABLE_ID => self.small.station.len(),
            ArpResponderKey::TABLE_ID => self.small.arp_responder.len(),
            MarkingKey::TABLE_ID => self.small.marking.len(),
            FlowAclV4Key::TABLE_ID => self.small.flow_acl_v4.len(),
            FlowAclV6Key::TABLE_ID => self.small.flow_acl_v6.len(),
            FlowV6Key::TABLE_ID => self.v6.flow_count(),
            RouteV6Key::TABLE_ID => self.v6.route_count(),
            FlowV4Key::TABLE_ID => self.flows.len(),
            SessionKey::TABLE_ID => self.sessions.count,
            RouteV4Key::TABLE_ID => self.routes.len(),
            TunnelKey::TABLE_ID => self.tunnels.len(),
            IlmKey::TABLE_ID => self.labels.count,
            NexthopKey::TABLE_ID => self.nexthops.len(),
            VrfPolicerKey::TABLE_ID => self.vrf_policers.len(),
            PuntPolicerKey::TABLE_ID => self.punt_policers.len(),
            GreIngressV4Key::TABLE_ID => self.gre.len_v4(),
            GreIngressV6Key::TABLE_ID => self.gre.len_v6(),
            _ => 0,
        }
    }

    fn flow(&self, key: FlowV4Key, session: u32) -> Entry {
        let action = FlowV4Action::Assign { session: SessionId::new(session).unwrap_or_default() };
        FlowV4Entry { key, action, idle_timeout: self.idle.get(&key.into()) }.into()
    }

    fn session(&self, key: SessionKey) -> Option<Entry> {
        let session = key.session.get();
        let Carry { tunnel, vpn_label, class } = self.tables.session.carry(session)?;
        let action = SessionAction::Carry {
            tunnel: self.tunnel_id(tunnel),
            vpn_label: Label::new(vpn_label).unwrap_or_default(),
            class: Class::new(class).unwrap_or_default(),
        };
        let meter = self.sessions.meters.get(session as usize).copied().flatten();
        Some(SessionEntry { key, action, meter }.into())
    }

    fn route(&self, key: RouteV4Key, route: Route) -> Entry {
        RouteV4Entry { key, action: self.route_action(route) }.into()
    }

    /// What a route does, in the controller's words.
    pub(super) fn route_action(&self, route: Route) -> RouteV4Action {
        match route {
            Route::ViaTunnel(Carry { tunnel, vpn_label, class }) => RouteV4Action::ViaTunnel {
                tunnel: self.tunnel_id(tunnel),
                vpn_label: Label::new(vpn_label).unwrap_or_default(),
                class: Class::new(class).unwrap_or_default(),
            },
            Route::Local(slot) => RouteV4Action::Local { nexthop: self.nexthop_id(slot) },
            Route::Receive => RouteV4Action::Receive,
            Route::Discard => RouteV4Action::Discard,
        }
    }

    fn label_entry(&self, key: IlmKey, action: LabelAction) -> Entry {
        let ttl_mode = |mode| TtlMode::new(mode).unwrap_or_default();
        let action = match action {
            LabelAction::Swap { label, nexthop } => {
                IlmAction::Swap { label: Label::new(label).unwrap_or_default(), nexthop: self.nexthop_id(nexthop) }
            }
            LabelAction::SwapPush { label, l2, nexthop } => IlmAction::SwapPush {
                label: Label::new(label).unwrap_or_default(),
                l2: Label::new(l2).unwrap_or_default(),
                nexthop: self.nexthop_id(nexthop),
            },
            LabelAction::PopLocal { nexthop, ttl_mode: mode } => {
                IlmAction::PopLocal { nexthop: self.nexthop_id(nexthop), ttl_mode: ttl_mode(mode) }
            }
            LabelAction::PopNext { ttl_mode: mode } => IlmAction::PopNext { ttl_mode: ttl_mode(mode) },
            LabelAction::Php { nexthop, ttl_mode: mode } => IlmAction::Php { nexthop: self.nexthop_id(nexthop), ttl_mode: ttl_mode(mode) },
            LabelAction::PopVrf { vrf, ttl_mode: mode } => {
                IlmAction::PopVrf { vrf: VrfId::new(vrf).unwrap_or_default(), ttl_mode: ttl_mode(mode) }
            }
        };
        IlmEntry { key, action }.into()
    }
}

fn vrf_policer(number: u16, meter: Option<MeterConfig>) -> Entry {
    let key = VrfPolicerKey { vrf: VrfId::new(number).unwrap_or_default() };
    VrfPolicerEntry { key, action: VrfPolicerAction::Police, meter }.into()
}

fn punt_policer(reason: Reason, meter: Option<MeterConfig>) -> Entry {
    PuntPolicerEntry { key: PuntPolicerKey { reason }, action: PuntPolicerAction::Police, meter }.into()
}

#[allow(clippy::cast_possible_truncation, reason = "each field is cut to its width")]
fn wire_flow_key(key: FlowKey) -> FlowV4Key {
    FlowV4Key {
        vrf: VrfId::new((key.rest >> 40) as u16).unwrap_or_default(),
        src: Ipv4Addr::from((key.addresses >> 32) as u32),
        dst: Ipv4Addr::from(key.addresses as u32),
        proto: Protocol::new((key.rest >> 32) as u8).unwrap_or_default(),
        sport: L4Port::new((key.rest >> 16) as u16).unwrap_or_default(),
        dport: L4Port::new(key.rest as u16).unwrap_or_default(),
    }
}

fn wire_route_key(vrf: u16, prefix: Prefix) -> RouteV4Key {
    let dst = WirePrefix { value: Ipv4Addr::from(prefix.address), length: u8::try_from(prefix.length).unwrap_or(32) };
    RouteV4Key { vrf: VrfId::new(vrf).unwrap_or_default(), dst }
}
