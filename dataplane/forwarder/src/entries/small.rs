//! The entries of the small tables.

use std::collections::BTreeMap;
use std::sync::Arc;

use svpn_contract::wire::SessionId;
use svpn_contract::{
    ArpResponderAction, ArpResponderEntry, ArpResponderKey, AttachmentAction, AttachmentEntry, AttachmentKey, Entry, FlowAclV4Action,
    FlowAclV4Entry, FlowAclV4Key, FlowAclV6Action, FlowAclV6Entry, FlowAclV6Key, MarkingAction, MarkingEntry, MarkingKey, StationAction,
    StationEntry, StationKey,
};
use svpn_dpdk::{Published, Publisher, Reclaimer};

use super::{ApplyError, Write, admit};
use crate::tables::TableSizes;
use crate::tables::acl::{Classifier, Rule};
use crate::tables::exact::ExactMap;
use crate::tables::hash::Seed;
use crate::tables::small::{Marking, MarkingTable, Side, SmallTables, key, mac_word};

/// Entries of one small table, and whether workers see them as they are.
#[derive(Debug)]
pub(super) struct SmallTable<K, A> {
    entries: BTreeMap<K, A>,
    size: u32,
    changed: bool,
}

impl<K: Ord + Copy, A> SmallTable<K, A> {
    fn new(size: u32) -> Self {
        Self { entries: BTreeMap::new(), size, changed: false }
    }

    pub(super) fn write(&mut self, write: Write, key: K, action: A) -> Result<(), ApplyError> {
        admit(write, self.entries.contains_key(&key), self.entries.len(), self.size)?;
        self.entries.insert(key, action);
        self.changed = true;
        Ok(())
    }

    pub(super) fn delete(&mut self, key: &K) -> Result<(), ApplyError> {
        self.entries.remove(key).ok_or(ApplyError::NotFound)?;
        self.changed = true;
        Ok(())
    }

    pub(super) fn get(&self, key: &K) -> Option<&A> {
        self.entries.get(key)
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (K, &A)> + '_ {
        self.entries.iter().map(|(key, action)| (*key, action))
    }

    pub(super) fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether there is something to publish; from now on there is not.
    fn take_change(&mut self) -> bool {
        std::mem::take(&mut self.changed)
    }
}

/// A classifier's entry and when it was inserted: the earlier of two with the same priority wins.
#[derive(Debug, Clone, Copy)]
pub(super) struct AclAction {
    pub(super) session: SessionId,
    sequence: u64,
}

impl AclAction {
    pub(super) fn v4(&self) -> FlowAclV4Action {
        FlowAclV4Action::Assign { session: self.session }
    }

    pub(super) fn v6(&self) -> FlowAclV6Action {
        FlowAclV6Action::Assign { session: self.session }
    }
}

impl<K: Ord + Copy> SmallTable<K, AclAction> {
    /// Writes a classifier's entry; `inserted` counts those that were inserted.
    fn write_acl(&mut self, write: Write, key: K, session: SessionId, inserted: &mut u64) -> Result<(), ApplyError> {
        let sequence = self.get(&key).map_or(*inserted, |old| old.sequence);
        self.write(write, key, AclAction { session, sequence })?;
        *inserted += u64::from(write == Write::Insert);
        Ok(())
    }
}

/// The entries of the small tables, and what workers see of them.
#[derive(Debug)]
pub(super) struct SmallEntries {
    pub(super) attachment: SmallTable<AttachmentKey, AttachmentAction>,
    pub(super) station: SmallTable<StationKey, StationAction>,
    pub(super) arp_responder: SmallTable<ArpResponderKey, ArpResponderAction>,
    pub(super) marking: SmallTable<MarkingKey, MarkingAction>,
    pub(super) flow_acl_v4: SmallTable<FlowAclV4Key, AclAction>,
    pub(super) flow_acl_v6: SmallTable<FlowAclV6Key, AclAction>,
    inserted: u64,
    seed: Seed,
    publisher: Publisher<SmallTables>,
}

impl SmallEntries {
    pub(super) fn new(sizes: &TableSizes, seed: Seed, reclaimer: &Reclaimer) -> Self {
        let nothing = || Arc::new(ExactMap::new(seed, std::iter::empty()));
        let tables = SmallTables {
            attachments: nothing(),
            stations: nothing(),
            arp_responder: nothing(),
            flow_acl_v4: Arc::default(),
            flow_acl_v6: Arc::default(),
            marking: MarkingTable::new(),
        };
        Self {
            attachment: SmallTable::new(sizes.attachment),
            station: SmallTable::new(sizes.station),
            arp_responder: SmallTable::new(sizes.arp_responder),
            // As many as there are keys.
            marking: SmallTable::new(32),
            flow_acl_v4: SmallTable::new(sizes.flow_acl_v4),
            flow_acl_v6: SmallTable::new(sizes.flow_acl_v6),
            inserted: 0,
            seed,
            publisher: Publisher::new(reclaimer, Box::new(tables)),
        }
    }

    pub(super) fn subscribe(&self) -> Published<SmallTables> {
        self.publisher.subscribe()
    }

    pub(super) fn write_acl_v4(&mut self, write: Write, entry: &FlowAclV4Entry) -> Result<(), ApplyError> {
        let FlowAclV4Action::Assign { session } = entry.action;
        self.flow_acl_v4.write_acl(write, entry.key, session, &mut self.inserted)
    }

    pub(super) fn write_acl_v6(&mut self, write: Write, entry: &FlowAclV6Entry) -> Result<(), ApplyError> {
        let FlowAclV6Action::Assign { session } = entry.action;
        self.flow_acl_v6.write_acl(write, entry.key, session, &mut self.inserted)
    }

    /// The tables that have changed, made anew.
    pub(super) fn publish(&mut self) {
        let mut tables = self.publisher.get().clone();
        let seed = self.seed;
        let mut changed = false;
        if self.attachment.take_change() {
            tables.attachments = Arc::new(attachments(seed, &self.attachment.entries));
            changed = true;
        }
        if self.station.take_change() {
            let word = |key: &StationKey| (key::station(key.port.get(), mac_word(key.dst_mac.0)), 0);
            tables.stations = Arc::new(ExactMap::new(seed, self.station.entries.keys().map(word)));
            changed = true;
        }
        if self.arp_responder.take_change() {
            tables.arp_responder = Arc::new(arp_responder(seed, &self.arp_responder.entries));
            changed = true;
        }
        if self.marking.take_change() {
            tables.marking = marking(&self.marking.entries);
            changed = true;
        }
        if self.flow_acl_v4.take_change() {
            let rule = |(key, acl): (_, &AclAction)| Rule::v4(&key, acl.sequence, acl.session.get());
            tables.flow_acl_v4 = Arc::new(Classifier::new(seed, self.flow_acl_v4.iter().map(rule)));
            changed = true;
        }
        if self.flow_acl_v6.take_change() {
            let rule = |(key, acl): (_, &AclAction)| Rule::v6(&key, acl.sequence, acl.session.get());
            tables.flow_acl_v6 = Arc::new(Classifier::new(seed, self.flow_acl_v6.iter().map(rule)));
            changed = true;
        }
        if changed {
            self.publisher.publish(Box::new(tables));
        }
    }

    pub(super) fn attachments(&self) -> impl Iterator<Item = Entry> + '_ {
        self.attachment.iter().map(|(key, action)| AttachmentEntry { key, action: *action }.into())
    }

    pub(super) fn stations(&self) -> impl Iterator<Item = Entry> + '_ {
        self.station.iter().map(|(key, action)| StationEntry { key, action: *action }.into())
    }

    pub(super) fn arp_responders(&self) -> impl Iterator<Item = Entry> + '_ {
        self.arp_responder.iter().map(|(key, action)| ArpResponderEntry { key, action: *action }.into())
    }

    pub(super) fn markings(&self) -> impl Iterator<Item = Entry> + '_ {
        self.marking.iter().map(|(key, action)| MarkingEntry { key, action: *action }.into())
    }

    pub(super) fn acls_v4(&self) -> impl Iterator<Item = Entry> + '_ {
        self.flow_acl_v4.iter().map(|(key, acl)| FlowAclV4Entry { key, action: acl.v4() }.into())
    }

    pub(super) fn acls_v6(&self) -> impl Iterator<Item = Entry> + '_ {
        self.flow_acl_v6.iter().map(|(key, acl)| FlowAclV6Entry { key, action: acl.v6() }.into())
    }
}

fn attachments(seed: Seed, entries: &BTreeMap<AttachmentKey, AttachmentAction>) -> ExactMap {
    let word = |(key, action): (&AttachmentKey, &AttachmentAction)| {
        let side = match action {
            AttachmentAction::ToVrf { vrf } => Side::Attachment(vrf.get()),
            AttachmentAction::ToCore => Side::Core,
        };
        (key::attachment(key.port.get(), key.vlan.get(), key.inner_vlan.get()), side.bits())
    };
    ExactMap::new(seed, entries.iter().map(word))
}

fn arp_responder(seed: Seed, entries: &BTreeMap<ArpResponderKey, ArpResponderAction>) -> ExactMap {
    let word = |(key, action): (&ArpResponderKey, &ArpResponderAction)| {
        let ArpResponderAction::Reply { mac } = action;
        (key::arp_responder(key.port.get(), key.vlan.get(), u32::from(key.target)), u64::from(*mac))
    };
    ExactMap::new(seed, entries.iter().map(word))
}

fn marking(entries: &BTreeMap<MarkingKey, MarkingAction>) -> MarkingTable {
    let mut table = MarkingTable::new();
    for (key, action) in entries {
        let marking = match action {
            MarkingAction::Mark { tc, dscp } => Marking::Mark { tc: tc.get(), dscp: dscp.get() },
            MarkingAction::Discard => Marking::Discard,
        };
        table.set(key.class, key.colour, marking);
    }
    table
}
