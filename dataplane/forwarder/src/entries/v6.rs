//! The entries of the big IPv6 tables, `flow_v6` and `route_v6`; `flow_acl_v6` is one of the small ones.

use std::net::Ipv6Addr;
use std::sync::Arc;

use svpn_contract::wire::{L4Port, Protocol, SessionId, VrfId};
use svpn_contract::{
    Entry, FlowV6Action, FlowV6Entry, FlowV6Key, Prefix as WirePrefix, RouteV4Action, RouteV6Action, RouteV6Entry, RouteV6Key,
};
use svpn_dpdk::Reclaimer;

use super::{ApplyError, Entries, Write, admit, full, quiesce};
use crate::tables::flow_v6::{FlowKeyV6, FlowWriterV6};
use crate::tables::route::Route;
use crate::tables::route_v6::{NoUnits, PrefixV6, RouteWriterV6};
use crate::tables::{TableSizes, Tables};

/// What is known of IPv6.
#[derive(Debug)]
pub(super) struct EntriesV6 {
    flows: FlowWriterV6,
    routes: RouteWriterV6,
}

impl EntriesV6 {
    pub(super) fn new(tables: &Tables, sizes: &TableSizes) -> Self {
        Self { flows: FlowWriterV6::new(&tables.flow_v6), routes: RouteWriterV6::new(Arc::clone(&tables.route_v6), sizes.route_v6) }
    }

    /// Entries of `flow_v6`.
    pub(super) fn flow_count(&self) -> usize {
        self.flows.len()
    }

    /// Entries of `route_v6`.
    pub(super) fn route_count(&self) -> usize {
        self.routes.len()
    }

    pub(super) fn publish(&mut self, reclaimer: &Reclaimer) {
        self.routes.publish(reclaimer);
    }

    /// Changes the routes; a change that finds no room waits until what was given up can be used again.
    fn change_routes<T>(&mut self, reclaimer: &Reclaimer, change: impl Fn(&mut RouteWriterV6) -> Result<T, NoUnits>) -> Result<T, NoUnits> {
        change(&mut self.routes).or_else(|NoUnits| {
            self.routes.publish(reclaimer);
            quiesce(reclaimer);
            self.routes.publish(reclaimer);
            change(&mut self.routes)
        })
    }
}

impl Entries {
    pub(super) fn write_flow_v6(&mut self, write: Write, entry: &FlowV6Entry) -> Result<(), ApplyError> {
        let FlowV6Action::Assign { session } = entry.action;
        let key = flow_key(&entry.key);
        let flows = &mut self.v6.flows;
        admit(write, flows.get(key).is_some(), flows.len(), self.sizes.flow_v6)?;
        match write {
            Write::Insert => {
                let inserted = flows.insert(key, session.get(), || quiesce(&self.reclaimer));
                inserted.map_err(|_| full(self.sizes.flow_v6))?;
            }
            Write::Modify => drop(flows.modify(key, session.get())),
        }
        self.set_idle_timeout(entry.key.into(), entry.idle_timeout);
        Ok(())
    }

    pub(super) fn delete_flow_v6(&mut self, key: FlowV6Key) -> Result<(), ApplyError> {
        if !self.v6.flows.remove(flow_key(&key)) {
            return Err(ApplyError::NotFound);
        }
        self.set_idle_timeout(key.into(), None);
        Ok(())
    }

    pub(super) fn write_route_v6(&mut self, write: Write, entry: &RouteV6Entry) -> Result<(), ApplyError> {
        let (vrf, prefix) = route_key(entry.key);
        let size = self.sizes.route_v6;
        let old = self.v6.routes.get(vrf, prefix);
        admit(write, old.is_some(), self.v6.routes.len(), size)?;
        let route = self.refer_route(as_v4(entry.action)).map_err(|_| full(size))?;
        if self.v6.change_routes(&self.reclaimer, |routes| routes.set(vrf, prefix, route)).is_err() {
            self.release_route(route);
            return Err(full(size));
        }
        if let Some(old) = old {
            self.release_route(old);
        }
        Ok(())
    }

    pub(super) fn delete_route_v6(&mut self, key: RouteV6Key) -> Result<(), ApplyError> {
        let (vrf, prefix) = route_key(key);
        let old = self.v6.routes.get(vrf, prefix).ok_or(ApplyError::NotFound)?;
        let removed = self.v6.change_routes(&self.reclaimer, |routes| routes.remove(vrf, prefix));
        removed.map_err(|_| full(self.sizes.route_v6))?;
        self.release_route(old);
        Ok(())
    }

    pub(super) fn get_flow_v6(&self, key: FlowV6Key) -> Option<Entry> {
        self.v6.flows.get(flow_key(&key)).map(|session| self.flow_v6(key, session))
    }

    pub(super) fn get_route_v6(&self, key: RouteV6Key) -> Option<Entry> {
        let (vrf, prefix) = route_key(key);
        self.v6.routes.get(vrf, prefix).map(|route| self.route_v6(key, route))
    }

    pub(super) fn last_hit_v6(&self, key: &FlowV6Key) -> Option<u32> {
        self.v6.flows.last_hit(flow_key(key))
    }

    pub(super) fn flows_v6(&self) -> impl Iterator<Item = Entry> + '_ {
        self.v6.flows.iter().map(|(key, session)| self.flow_v6(wire_flow_key(key), session))
    }

    pub(super) fn routes_v6(&self) -> impl Iterator<Item = Entry> + '_ {
        self.v6.routes.iter().map(|(vrf, prefix, route)| self.route_v6(wire_route_key(vrf, prefix), route))
    }

    fn flow_v6(&self, key: FlowV6Key, session: u32) -> Entry {
        let action = FlowV6Action::Assign { session: SessionId::new(session).unwrap_or_default() };
        FlowV6Entry { key, action, idle_timeout: self.idle.get(&key.into()) }.into()
    }

    fn route_v6(&self, key: RouteV6Key, route: Route) -> Entry {
        RouteV6Entry { key, action: as_v6(self.route_action(route)) }.into()
    }
}

/// The same action of the other table.
fn as_v4(action: RouteV6Action) -> RouteV4Action {
    match action {
        RouteV6Action::ViaTunnel { tunnel, vpn_label, class } => RouteV4Action::ViaTunnel { tunnel, vpn_label, class },
        RouteV6Action::Local { nexthop } => RouteV4Action::Local { nexthop },
        RouteV6Action::Receive => RouteV4Action::Receive,
        RouteV6Action::Discard => RouteV4Action::Discard,
    }
}

/// And back.
fn as_v6(action: RouteV4Action) -> RouteV6Action {
    match action {
        RouteV4Action::ViaTunnel { tunnel, vpn_label, class } => RouteV6Action::ViaTunnel { tunnel, vpn_label, class },
        RouteV4Action::Local { nexthop } => RouteV6Action::Local { nexthop },
        RouteV4Action::Receive => RouteV6Action::Receive,
        RouteV4Action::Discard => RouteV6Action::Discard,
    }
}

fn flow_key(key: &FlowV6Key) -> FlowKeyV6 {
    let ports = u32::from(key.sport.get()) << 16 | u32::from(key.dport.get());
    FlowKeyV6::new(key.vrf.get(), key.src.to_bits(), key.dst.to_bits(), key.proto.get(), ports)
}

#[allow(clippy::cast_possible_truncation, reason = "each field is cut to its width")]
fn wire_flow_key(key: FlowKeyV6) -> FlowV6Key {
    let rest = key.rest();
    FlowV6Key {
        vrf: VrfId::new((rest >> 40) as u16).unwrap_or_default(),
        src: Ipv6Addr::from_bits(key.source()),
        dst: Ipv6Addr::from_bits(key.destination()),
        proto: Protocol::new((rest >> 32) as u8).unwrap_or_default(),
        sport: L4Port::new((rest >> 16) as u16).unwrap_or_default(),
        dport: L4Port::new(rest as u16).unwrap_or_default(),
    }
}

fn route_key(key: RouteV6Key) -> (u16, PrefixV6) {
    (key.vrf.get(), PrefixV6 { address: key.dst.value.to_bits(), length: u32::from(key.dst.length) })
}

fn wire_route_key(vrf: u16, prefix: PrefixV6) -> RouteV6Key {
    let dst = WirePrefix { value: Ipv6Addr::from_bits(prefix.address), length: u8::try_from(prefix.length).unwrap_or(128) };
    RouteV6Key { vrf: VrfId::new(vrf).unwrap_or_default(), dst }
}
