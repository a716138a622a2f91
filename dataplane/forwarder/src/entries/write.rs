//! Writing entries.

use svpn_contract::wire::{NextHopId, TunnelId};
use svpn_contract::{
    Entry, EntryKey, FlowV4Action, FlowV4Entry, FlowV4Key, IlmAction, IlmEntry, IlmKey, NexthopEntry, NexthopKey, PuntPolicerAction,
    PuntPolicerEntry, RouteV4Action, RouteV4Entry, RouteV4Key, SessionAction, SessionEntry, SessionKey, TunnelEntry, TunnelKey, Update,
    VrfPolicerAction, VrfPolicerEntry,
};

use super::groups::{Group, Groups, NotSet};
use super::names::NoSlot;
use super::{ApplyError, Entries, Write, admit, full, quiesce};
use crate::tables::carry::Carry;
use crate::tables::flow::FlowKey;
use crate::tables::label::LabelAction;
use crate::tables::meter::Buckets;
use crate::tables::route::{Prefix, Route};
use crate::tables::{session, tunnel};

impl Entries {
    /// Applies one update.
    ///
    /// # Errors
    /// [`ApplyError`] says why nothing has changed.
    pub fn apply(&mut self, update: &Update) -> Result<(), ApplyError> {
        match update {
            Update::Insert(entry) => self.write(Write::Insert, entry),
            Update::Modify(entry) => self.write(Write::Modify, entry),
            Update::Delete(key) => self.delete(key),
        }
    }

    fn write(&mut self, write: Write, entry: &Entry) -> Result<(), ApplyError> {
        match entry {
            Entry::Attachment(entry) => self.small.attachment.write(write, entry.key, entry.action),
            Entry::Station(entry) => self.small.station.write(write, entry.key, entry.action),
            Entry::ArpResponder(entry) => self.small.arp_responder.write(write, entry.key, entry.action),
            Entry::Marking(entry) => self.small.marking.write(write, entry.key, entry.action),
            Entry::FlowAclV4(entry) => self.small.write_acl_v4(write, entry),
            Entry::FlowAclV6(entry) => self.small.write_acl_v6(write, entry),
            Entry::FlowV6(entry) => self.write_flow_v6(write, entry),
            Entry::RouteV6(entry) => self.write_route_v6(write, entry),
            Entry::FlowV4(entry) => self.write_flow(write, entry),
            Entry::Session(entry) => self.write_session(write, entry),
            Entry::RouteV4(entry) => self.write_route(write, entry),
            Entry::Tunnel(entry) => self.write_tunnel(write, entry),
            Entry::Ilm(entry) => self.write_label(write, entry),
            Entry::Nexthop(entry) => self.write_nexthop(write, entry),
            Entry::VrfPolicer(entry) => self.write_vrf_policer(write, entry),
            Entry::PuntPolicer(entry) => self.write_punt_policer(write, entry),
            Entry::GreIngressV4(entry) => self.gre.write_v4(write, entry, &self.reclaimer),
            Entry::GreIngressV6(entry) => self.gre.write_v6(write, entry, &self.reclaimer),
        }
    }

    fn delete(&mut self, key: &EntryKey) -> Result<(), ApplyError> {
        match key {
            EntryKey::Attachment(key) => self.small.attachment.delete(key),
            EntryKey::Station(key) => self.small.station.delete(key),
            EntryKey::ArpResponder(key) => self.small.arp_responder.delete(key),
            EntryKey::Marking(key) => self.small.marking.delete(key),
            EntryKey::FlowAclV4(key) => self.small.flow_acl_v4.delete(key),
            EntryKey::FlowAclV6(key) => self.small.flow_acl_v6.delete(key),
            EntryKey::FlowV6(key) => self.delete_flow_v6(*key),
            EntryKey::RouteV6(key) => self.delete_route_v6(*key),
            EntryKey::FlowV4(key) => self.delete_flow(*key),
            EntryKey::Session(key) => self.delete_session(*key),
            EntryKey::RouteV4(key) => self.delete_route(*key),
            EntryKey::Tunnel(key) => self.delete_tunnel(*key),
            EntryKey::Ilm(key) => self.delete_label(*key),
            EntryKey::Nexthop(key) => self.delete_nexthop(*key),
            EntryKey::VrfPolicer(key) => self.vrf_policers.delete(key.vrf.get()).inspect(|()| self.departed.add((*key).into())),
            EntryKey::PuntPolicer(key) => self.punt_policers.delete(key.reason as u16).inspect(|()| self.departed.add((*key).into())),
            EntryKey::GreIngressV4(key) => self.gre.delete_v4(key),
            EntryKey::GreIngressV6(key) => self.gre.delete_v6(key),
        }
    }

    fn write_flow(&mut self, write: Write, entry: &FlowV4Entry) -> Result<(), ApplyError> {
        let FlowV4Action::Assign { session } = entry.action;
        let key = flow_key(&entry.key);
        let writer = &mut self.flows;
        admit(write, writer.get(key).is_some(), writer.len(), self.sizes.flow_v4)?;
        match write {
            Write::Insert => {
                let inserted = writer.insert(key, session.get(), || quiesce(&self.reclaimer));
                inserted.map_err(|_| full(self.sizes.flow_v4))?;
            }
            Write::Modify => drop(writer.modify(key, session.get())),
        }
        self.set_idle_timeout(entry.key.into(), entry.idle_timeout);
        Ok(())
    }

    fn delete_flow(&mut self, key: FlowV4Key) -> Result<(), ApplyError> {
        if !self.flows.remove(flow_key(&key)) {
            return Err(ApplyError::NotFound);
        }
        self.set_idle_timeout(key.into(), None);
        Ok(())
    }

    fn write_session(&mut self, write: Write, entry: &SessionEntry) -> Result<(), ApplyError> {
        let session = entry.key.session.get();
        if session >= self.sizes.session {
            return Err(self.out_of_range(entry.key.session));
        }
        let old = self.tables.session.carry(session);
        admit(write, old.is_some(), self.sessions.count, self.sizes.session)?;
        let SessionAction::Carry { tunnel, vpn_label, class } = entry.action;
        let slot = self.tunnel_names.refer(tunnel.get()).map_err(|_| full(self.sizes.session))?;
        if old.is_none() {
            self.start_counter(entry.key.into());
            self.sessions.count += 1;
        }
        let buckets = entry.meter.map(|meter| Buckets::new(meter, self.tables.timebase));
        let place = session as usize;
        if self.sessions.meters.len() <= place {
            self.sessions.meters.resize(place + 1, None);
        }
        if let Some(buckets) = buckets
            && (old.is_none() || self.sessions.meters[place] != entry.meter)
        {
            self.tables.session.configure(session, &buckets, self.now());
            if old.is_some() {
                self.sessions.reconfigured.push((session, buckets));
            }
        }
        self.sessions.meters[place] = entry.meter;
        self.tables.session.set(session, session::carry(slot, vpn_label, class), buckets.as_ref());
        if let Some(old) = old {
            self.tunnel_names.release(old.tunnel);
        }
        Ok(())
    }

    fn delete_session(&mut self, key: SessionKey) -> Result<(), ApplyError> {
        let session = key.session.get();
        let old = self.tables.session.carry(session).ok_or(ApplyError::NotFound)?;
        self.tables.session.clear(session);
        self.tunnel_names.release(old.tunnel);
        self.sessions.meters[session as usize] = None;
        self.sessions.reconfigured.retain(|(reconfigured, _)| *reconfigured != session);
        self.sessions.count -= 1;
        self.stop_counter(key.into());
        Ok(())
    }

    fn write_route(&mut self, write: Write, entry: &RouteV4Entry) -> Result<(), ApplyError> {
        let (vrf, prefix) = route_key(entry.key);
        let old = self.routes.get(vrf, prefix);
        admit(write, old.is_some(), self.routes.len(), self.sizes.route_v4)?;
        let size = self.sizes.route_v4;
        let route = self.refer_route(entry.action).map_err(|_| full(size))?;
        if self.routes.set(vrf, prefix, route).is_err() {
            self.release_route(route);
            return Err(full(size));
        }
        if let Some(old) = old {
            self.release_route(old);
        }
        Ok(())
    }

    fn delete_route(&mut self, key: RouteV4Key) -> Result<(), ApplyError> {
        let (vrf, prefix) = route_key(key);
        let old = self.routes.get(vrf, prefix).ok_or(ApplyError::NotFound)?;
        if !self.routes.remove(vrf, prefix) {
            // There was no room for the node without it, and nothing has changed.
            return Err(full(self.sizes.route_v4));
        }
        self.release_route(old);
        Ok(())
    }

    /// What an action does, with a reference to what it names.
    pub(super) fn refer_route(&mut self, action: RouteV4Action) -> Result<Route, NoSlot> {
        Ok(match action {
            RouteV4Action::ViaTunnel { tunnel, vpn_label, class } => {
                Route::ViaTunnel(session::carry(self.tunnel_names.refer(tunnel.get())?, vpn_label, class))
            }
            RouteV4Action::Local { nexthop } => Route::Local(self.nexthop_names.refer(nexthop.get())?),
            RouteV4Action::Receive => Route::Receive,
            RouteV4Action::Discard => Route::Discard,
        })
    }

    pub(super) fn release_route(&mut self, route: Route) {
        match route {
            Route::ViaTunnel(Carry { tunnel, .. }) => self.tunnel_names.release(tunnel),
            Route::Local(slot) => self.nexthop_names.release(slot),
            Route::Receive | Route::Discard => {}
        }
    }

    fn write_tunnel(&mut self, write: Write, entry: &TunnelEntry) -> Result<(), ApplyError> {
        let number = entry.key.tunnel.get();
        let present = self.tunnels.get(number).is_some();
        admit(write, present, self.tunnels.len(), self.tunnels.size())?;
        Groups::check(&entry.action)?;
        let size = self.tunnels.size();
        let nexthops: Vec<u32> = entry.action.members.iter().map(|member| tunnel::nexthop(&member.action).get()).collect();
        let references = self.nexthop_names.refer_all(&nexthops).map_err(|_| full(size))?;
        let Ok(slot) = self.tunnel_names.refer(number) else {
            self.nexthop_names.release_all(&references);
            return Err(full(size));
        };
        if !present {
            self.start_counter(entry.key.into());
            for worker in &self.workers {
                worker.counters.clear_tunnel(slot);
            }
        }
        let group = Group { choice: entry.action.clone(), slot, references };
        match self.tunnels.set(number, group, &self.tables.up) {
            Ok(old) => old.iter().for_each(|old| self.release_tunnel(old)),
            Err(NotSet(group)) => {
                self.release_tunnel(&group);
                return Err(full(size));
            }
        }
        Ok(())
    }

    fn delete_tunnel(&mut self, key: TunnelKey) -> Result<(), ApplyError> {
        let old = self.tunnels.remove(key.tunnel.get()).ok_or(ApplyError::NotFound)?;
        self.release_tunnel(&old);
        self.stop_counter(key.into());
        Ok(())
    }

    fn release_tunnel(&mut self, group: &Group<svpn_contract::TunnelAction>) {
        self.nexthop_names.release_all(&group.references);
        self.tunnel_names.release(group.slot);
    }

    fn write_label(&mut self, write: Write, entry: &IlmEntry) -> Result<(), ApplyError> {
        let label = entry.key.label.get();
        let old = self.label(label);
        admit(write, old.is_some(), self.labels.count, self.sizes.ilm)?;
        let mut slot = |nexthop: NextHopId| self.nexthop_names.refer(nexthop.get()).map_err(|_| full(self.sizes.ilm));
        let action = match entry.action {
            IlmAction::Swap { label, nexthop } => LabelAction::Swap { label: label.get(), nexthop: slot(nexthop)? },
            IlmAction::Php { nexthop, ttl_mode } => LabelAction::Php { nexthop: slot(nexthop)?, ttl_mode: ttl_mode.get() },
            IlmAction::SwapPush { label, l2, nexthop } => {
                LabelAction::SwapPush { label: label.get(), l2: l2.get(), nexthop: slot(nexthop)? }
            }
            IlmAction::PopLocal { nexthop, ttl_mode } => LabelAction::PopLocal { nexthop: slot(nexthop)?, ttl_mode: ttl_mode.get() },
            IlmAction::PopNext { ttl_mode } => LabelAction::PopNext { ttl_mode: ttl_mode.get() },
            IlmAction::PopVrf { vrf, ttl_mode } => LabelAction::PopVrf { vrf: vrf.get(), ttl_mode: ttl_mode.get() },
        };
        if old.is_none() {
            self.start_counter(entry.key.into());
            self.labels.count += 1;
            self.labels.end = self.labels.end.max(label + 1);
        }
        self.labels.writer.set(label, action, || quiesce(&self.reclaimer));
        if let Some(old) = old {
            self.release_label(old);
        }
        Ok(())
    }

    fn delete_label(&mut self, key: IlmKey) -> Result<(), ApplyError> {
        let label = key.label.get();
        let old = self.label(label).ok_or(ApplyError::NotFound)?;
        self.labels.writer.clear(label);
        self.release_label(old);
        self.labels.count -= 1;
        self.stop_counter(key.into());
        Ok(())
    }

    fn release_label(&mut self, action: LabelAction) {
        match action {
            LabelAction::Swap { nexthop, .. }
            | LabelAction::SwapPush { nexthop, .. }
            | LabelAction::Php { nexthop, .. }
            | LabelAction::PopLocal { nexthop, .. } => self.nexthop_names.release(nexthop),
            LabelAction::PopVrf { .. } | LabelAction::PopNext { .. } => {}
        }
    }

    /// What workers do with a label: all the same.
    pub(super) fn label(&self, label: u32) -> Option<LabelAction> {
        self.labels.writer.get(label)
    }

    fn write_vrf_policer(&mut self, write: Write, entry: &VrfPolicerEntry) -> Result<(), ApplyError> {
        let VrfPolicerAction::Police = entry.action;
        let clock = (self.tables.timebase, self.now());
        let forgotten = || self.departed.wait_for(&entry.key.into(), &self.reclaimer);
        self.vrf_policers.write(write, entry.key.vrf.get(), entry.meter, clock, forgotten)
    }

    fn write_punt_policer(&mut self, write: Write, entry: &PuntPolicerEntry) -> Result<(), ApplyError> {
        let PuntPolicerAction::Police = entry.action;
        let clock = (self.tables.timebase, self.now());
        let forgotten = || self.departed.wait_for(&entry.key.into(), &self.reclaimer);
        self.punt_policers.write(write, entry.key.reason as u16, entry.meter, clock, forgotten)
    }

    fn write_nexthop(&mut self, write: Write, entry: &NexthopEntry) -> Result<(), ApplyError> {
        let number = entry.key.nexthop.get();
        let size = self.nexthops.size();
        admit(write, self.nexthops.get(number).is_some(), self.nexthops.len(), size)?;
        Groups::check(&entry.action)?;
        let slot = self.nexthop_names.refer(number).map_err(|_| full(size))?;
        let group = Group { choice: entry.action.clone(), slot, references: Vec::new() };
        match self.nexthops.set(number, group, &self.tables.up) {
            Ok(old) => old.iter().for_each(|old| self.nexthop_names.release(old.slot)),
            Err(NotSet(group)) => {
                self.nexthop_names.release(group.slot);
                return Err(full(size));
            }
        }
        Ok(())
    }

    fn delete_nexthop(&mut self, key: NexthopKey) -> Result<(), ApplyError> {
        let old = self.nexthops.remove(key.nexthop.get()).ok_or(ApplyError::NotFound)?;
        self.nexthop_names.release(old.slot);
        Ok(())
    }

    /// An entry that counts comes: its counter is zero, whatever its cells have counted before.
    fn start_counter(&mut self, key: EntryKey) {
        self.departed.wait_for(&key, &self.reclaimer);
        for worker in &self.workers {
            match &key {
                EntryKey::Session(key) => worker.counters.clear_session(key.session.get()),
                EntryKey::Ilm(key) => worker.labels.clear_counter(key.label.get()),
                // A tunnel's cells are those of its slot, which is not known here.
                _ => {}
            }
        }
    }

    /// An entry that counts goes.
    fn stop_counter(&mut self, key: EntryKey) {
        self.counters.direct.remove(&key);
        self.departed.add(key);
    }

    /// The number of the tunnel in a slot.
    pub(super) fn tunnel_id(&self, slot: u32) -> TunnelId {
        TunnelId::new(self.tunnel_names.number(slot)).unwrap_or_default()
    }

    /// The number of the next hop in a slot.
    pub(super) fn nexthop_id(&self, slot: u32) -> NextHopId {
        NextHopId::new(self.nexthop_names.number(slot)).unwrap_or_default()
    }
}

pub(super) fn flow_key(key: &FlowV4Key) -> FlowKey {
    let addresses = u64::from(u32::from(key.src)) << 32 | u64::from(u32::from(key.dst));
    let ports = u32::from(key.sport.get()) << 16 | u32::from(key.dport.get());
    FlowKey::new(key.vrf.get(), addresses, key.proto.get(), ports)
}

pub(super) fn route_key(key: RouteV4Key) -> (u16, Prefix) {
    (key.vrf.get(), Prefix { address: u32::from(key.dst.value), length: u32::from(key.dst.length) })
}
