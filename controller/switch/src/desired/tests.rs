//! The way from any tables to any others, walked by a router that sends each step's changes in an order of its own.

use std::num::NonZeroU32;

use proptest::prelude::*;
use proptest::sample::subsequence;
use svpn_contract::wire::{Class, Label, NextHopId, PortId, SessionId, TtlMode, TunnelId, VlanId, VrfId};
use svpn_contract::{
    Choice, DecodeError, FlowV4Action, FlowV4Entry, FlowV4Key, IlmAction, IlmEntry, IlmKey, Member, NexthopAction, NexthopEntry,
    NexthopKey, SessionAction, SessionEntry, SessionKey, TunnelAction, TunnelEntry, TunnelKey,
};

use super::*;

const IDS: u32 = 4;

fn nexthop(id: u32, port: u16) -> Entry {
    let action = NexthopAction::Rewrite {
        port: PortId::new(port).unwrap(),
        src_mac: svpn_contract::wire::MacAddr::default(),
        dst_mac: svpn_contract::wire::MacAddr::default(),
        vlan: VlanId::default(),
        inner_vlan: VlanId::default(),
        mtu: svpn_contract::wire::Mtu::new(1500).unwrap(),
    };
    NexthopEntry { key: NexthopKey { nexthop: NextHopId::new(id).unwrap() }, action: Choice::only(action) }.into()
}

fn tunnel(id: u32, members: &[u32]) -> Entry {
    let lsp = |id: &u32| TunnelAction::Lsp0 { nexthop: NextHopId::new(*id).unwrap(), ttl_mode: TtlMode::UNIFORM };
    let member = |id| Member { action: lsp(id), weight: NonZeroU32::MIN, watch_port: None };
    let action = Choice { members: members.iter().map(member).collect() };
    TunnelEntry { key: TunnelKey { tunnel: TunnelId::new(id).unwrap() }, action }.into()
}

fn session(id: u32, tunnel: u32, class: u8) -> Entry {
    let action = SessionAction::Carry {
        tunnel: TunnelId::new(tunnel).unwrap(),
        vpn_label: Label::new(100).unwrap(),
        class: Class::new(class).unwrap(),
    };
    SessionEntry { key: SessionKey { session: SessionId::new(id).unwrap() }, action, meter: None }.into()
}

fn ilm(label: u32, nexthop: u32) -> Entry {
    let action = IlmAction::Swap { label: Label::new(200).unwrap(), nexthop: NextHopId::new(nexthop).unwrap() };
    IlmEntry { key: IlmKey { label: Label::new(label + 16).unwrap() }, action }.into()
}

fn flow(sport: u32, session: u32) -> Entry {
    let key = FlowV4Key {
        vrf: VrfId::new(1).unwrap(),
        src: [10, 0, 0, 1].into(),
        dst: [10, 0, 0, 2].into(),
        proto: svpn_contract::wire::Protocol::new(17).unwrap(),
        sport: svpn_contract::wire::L4Port::new(u16::try_from(sport).unwrap()).unwrap(),
        dport: svpn_contract::wire::L4Port::new(5000).unwrap(),
    };
    FlowV4Entry { key, action: FlowV4Action::Assign { session: SessionId::new(session).unwrap() }, idle_timeout: None }.into()
}

/// The entries that an entry needs to be there.
fn needs(entry: &Entry) -> Vec<EntryKey> {
    let nexthop_key = |nexthop: &NextHopId| EntryKey::from(NexthopKey { nexthop: *nexthop });
    match entry {
        Entry::Tunnel(tunnel) => {
            let members = tunnel.action.members.iter();
            let nexthops = members.map(|member| match &member.action {
                TunnelAction::Lsp0 { nexthop, .. } => nexthop_key(nexthop),
                other => panic!("no test makes {other:?}"),
            });
            nexthops.collect()
        }
        Entry::Session(session) => {
            let SessionAction::Carry { tunnel, .. } = session.action;
            vec![TunnelKey { tunnel }.into()]
        }
        Entry::Ilm(ilm) => match &ilm.action {
            IlmAction::Swap { nexthop, .. } => vec![nexthop_key(nexthop)],
            other => panic!("no test makes {other:?}"),
        },
        Entry::FlowV4(flow) => {
            let FlowV4Action::Assign { session } = flow.action;
            vec![SessionKey { session }.into()]
        }
        _ => Vec::new(),
    }
}

/// Tables in which every entry finds what it needs: ids are few, so two of them overlap in all ways.
fn tables() -> impl Strategy<Value = Vec<Entry>> {
    let ids = || subsequence((0..IDS).collect::<Vec<_>>(), 1..=IDS as usize);
    (ids(), ids(), ids(), any::<u64>()).prop_map(|(nexthops, tunnels, sessions, seed)| {
        // Each choice takes other bits of the seed.
        let pick = |from: &[u32], turn: u32| from[usize::try_from(seed.rotate_right(turn * 3) % from.len() as u64).unwrap()];
        let turn = |id: u32, table: u32| id + table * IDS;
        let mut entries: Vec<Entry> = nexthops.iter().map(|id| nexthop(*id, u16::try_from(seed >> id & 1).unwrap())).collect();
        entries.extend(tunnels.iter().map(|id| tunnel(*id, &[pick(&nexthops, turn(*id, 1)), pick(&nexthops, turn(*id, 2))])));
        entries.extend(sessions.iter().map(|id| session(*id, pick(&tunnels, turn(*id, 3)), (seed >> 7 & 1) as u8)));
        entries.extend(nexthops.iter().map(|id| ilm(*id, pick(&nexthops, turn(*id, 4)))));
        entries.extend(sessions.iter().map(|id| flow(*id, pick(&sessions, turn(*id, 5)))));
        entries
    })
}

/// A table entry of a table that no contract knows.
fn foreign(id: u32) -> Foreign {
    let entry = proto::TableEntry { table_id: id, idle_timeout_ns: 5, ..Default::default() };
    Foreign { entry, reason: DecodeError::UnknownTable { id } }
}

#[derive(Default)]
struct Router {
    entries: HashMap<EntryKey, Entry>,
    foreign: usize,
}

impl Router {
    fn carry_out(&mut self, change: &Change) {
        match change {
            Change::Update(Update::Insert(entry)) => {
                assert_eq!(self.entries.insert(entry.key(), entry.clone()), None, "inserted what is there");
            }
            Change::Update(Update::Modify(entry)) => {
                let old = self.entries.insert(entry.key(), entry.clone());
                assert!(old.is_some_and(|old| old != *entry), "modified what is not there, or is so already");
            }
            Change::Update(Update::Delete(key)) => assert!(self.entries.remove(key).is_some(), "deleted what is not there"),
            Change::Remove(_) => self.foreign -= 1,
        }
        for entry in self.entries.values() {
            for key in needs(entry) {
                assert!(self.entries.contains_key(&key), "after {change:?}, {entry:?} lacks {key:?}");
            }
        }
    }
}

proptest! {
    #[test]
    fn plan_leads_from_any_tables_to_any_others(
        actual in tables(),
        wanted in tables(),
        foreigners in 0usize..3,
        backwards in any::<bool>(),
    ) {
        let desired: Desired = wanted.into_iter().collect();
        let mut router = Router { entries: actual.iter().map(|entry| (entry.key(), entry.clone())).collect(), foreign: foreigners };
        let snapshot = Snapshot { entries: actual, foreign: (0..foreigners).map(|_| foreign(1)).collect() };
        for mut step in desired.plan(snapshot) {
            if backwards {
                step.reverse();
            }
            for change in &step {
                router.carry_out(change);
            }
        }
        prop_assert_eq!(&router.entries, &desired.entries);
        prop_assert_eq!(router.foreign, 0);
    }

    #[test]
    fn plan_for_tables_as_desired_is_empty(tables in tables()) {
        let desired: Desired = tables.iter().cloned().collect();
        let plan = desired.plan(Snapshot { entries: tables, foreign: Vec::new() });
        prop_assert!(plan.is_empty());
    }

    /// Whatever part of a write was carried out, its inverse leads back.
    #[test]
    fn inverse_leads_back(before in tables(), wanted in tables(), carried_out in any::<u64>()) {
        let desired: Desired = before.iter().cloned().collect();
        let target: Desired = wanted.into_iter().collect();
        let plan = target.plan(Snapshot { entries: before, foreign: Vec::new() });
        let updates = plan.into_iter().flatten().map(|change| match change {
            Change::Update(update) => update,
            Change::Remove(foreign) => panic!("{foreign:?} was not in the tables"),
        });
        let some: Vec<_> = updates.enumerate().filter(|(index, _)| carried_out >> (index % 64) & 1 == 1).map(|(_, update)| update).collect();
        let mut router = Desired { entries: desired.entries.clone() };
        router.apply(&some);
        router.apply(&desired.inverse(some.iter()));
        prop_assert_eq!(router.entries, desired.entries);
    }
}

#[test]
fn inverse_of_two_updates_of_one_entry_is_one() {
    let (old, new) = (nexthop(1, 1), nexthop(1, 2));
    let desired: Desired = [old.clone()].into_iter().collect();
    let updates = [Update::Delete(old.key()), Update::Insert(new)];
    assert_eq!(desired.inverse(updates.iter()), [Update::Modify(old)]);
}

#[test]
fn removing_a_foreign_entry_names_only_its_key() {
    let update = Change::Remove(Box::new(foreign(7))).encode();
    let entry = proto::TableEntry { table_id: 7, ..Default::default() };
    let entity = proto::Entity { entity: Some(Entity::TableEntry(entry)) };
    assert_eq!(update, proto::Update { r#type: Type::Delete.into(), entity: Some(entity) });
}

#[test]
fn constant_foreign_entry_is_left_alone() {
    let mut constant = foreign(7);
    constant.entry.is_const = true;
    assert!(Desired::default().plan(Snapshot { entries: Vec::new(), foreign: vec![constant] }).is_empty());
}
