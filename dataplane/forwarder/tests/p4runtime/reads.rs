//! Reading back what was written.

use std::collections::HashSet;

use p4runtime_proto::p4::v1 as proto;
use p4runtime_proto::p4::v1::entity::Entity;
use p4runtime_proto::p4::v1::table_action::Type as ActionType;
use p4runtime_proto::p4::v1::update::Type;
use p4runtime_proto::p4::v1::write_request::Atomicity;
use proptest::prelude::*;
use proptest::strategy::ValueTree as _;
use proptest::test_runner::TestRunner;
use svpn_contract::wire::{PortId, Protocol, SessionId};
use svpn_contract::{
    Counting, Entry, EntryKey, FlowAclV4Action, FlowAclV4Entry, FlowAclV4Key, IlmKey, NexthopKey, Priority, Range, Reason, SessionKey,
    TABLES, Ternary, counter,
};
use tonic::{Code, Status};

use crate::pipeline::network;
use crate::support::{NO_PORT, Server, codes, errors, sizes, sorted};
use crate::writes::{ZERO, count, label, session, update};

fn of_table(id: u32) -> proto::TableEntry {
    proto::TableEntry { table_id: id, ..Default::default() }
}

/// Entries with values from the whole of their widths, as many of each table as a small router takes.
fn anything() -> Vec<Entry> {
    let mut runner = TestRunner::deterministic();
    let (mut keys, mut entries) = (HashSet::new(), Vec::new());
    for _ in 0..400 {
        let mut entry = any::<Entry>().new_tree(&mut runner).expect("an entry can be made").current();
        match &mut entry {
            Entry::Session(entry) => {
                let small = entry.key.session.get() % sizes().session;
                entry.key.session = SessionId::new(small).unwrap();
            }
            Entry::Tunnel(entry) => entry.action.members.iter_mut().for_each(|member| member.watch_port = there(member.watch_port)),
            Entry::Nexthop(entry) => entry.action.members.iter_mut().for_each(|member| member.watch_port = there(member.watch_port)),
            _ => {}
        }
        if keys.insert(entry.key()) {
            entries.push(entry);
        }
    }
    entries
}

fn there(port: Option<PortId>) -> Option<PortId> {
    port.filter(|port| *port != NO_PORT)
}

#[tokio::test]
async fn every_kind_of_entry_is_read_as_it_was_written() {
    let server = Server::start().await;
    let mut primary = server.primary().await;
    let entries = anything();
    let kinds: HashSet<u32> = entries.iter().map(|entry| entry.key().table_id()).collect();
    assert_eq!(kinds.len(), TABLES.len());
    primary.insert(&entries).await;
    assert_eq!(sorted(primary.all().await), sorted(entries.clone()));
    for table in TABLES {
        let expected: Vec<_> = entries.iter().filter(|entry| entry.key().table_id() == table.id).cloned().collect();
        assert_eq!(sorted(primary.entries(of_table(table.id)).await.unwrap()), sorted(expected), "{}", table.name);
    }
    for entry in &entries {
        let wanted = entry.key().encode();
        // A key that matches everything selects its priority, or the whole table.
        if !wanted.r#match.is_empty() {
            assert_eq!(primary.entries(wanted).await.unwrap(), std::slice::from_ref(entry));
        }
    }
}

/// The code of the one entity that is not read.
pub(crate) fn refusal<T: std::fmt::Debug>(answer: Result<T, Status>) -> Code {
    codes(&answer.unwrap_err())[0]
}

/// The others are read before the error comes.
#[tokio::test]
async fn one_bad_entity_does_not_spoil_the_rest() {
    let server = Server::start().await;
    let mut primary = server.primary().await;
    primary.insert(&[session(1), label(20)]).await;
    let wanted = [of_table(SessionKey::TABLE_ID), of_table(5), of_table(IlmKey::TABLE_ID)];
    let entities = wanted.into_iter().map(|entry| proto::Entity { entity: Some(Entity::TableEntry(entry)) }).collect();
    let request = proto::ReadRequest { device_id: crate::support::DEVICE, entities, role: String::new() };
    let mut answers = primary.client.read(request).await.unwrap().into_inner();
    assert_eq!(answers.message().await.unwrap().unwrap().entities.len(), 2);
    let failed = answers.message().await.unwrap_err();
    assert_eq!(codes(&failed), [Code::Ok, Code::InvalidArgument, Code::Ok]);
    assert!(errors(&failed)[1].1.starts_with("entity 1: there is no table 0x00000005"), "{failed}");
    assert!(failed.message().starts_with("1 of 3 entities cannot be read"), "{failed}");
}

#[tokio::test]
async fn what_is_not_there_is_not_found() {
    let server = Server::start().await;
    let mut primary = server.primary().await;
    primary.insert(&[session(1)]).await;
    assert_eq!(primary.entries(session(2).key().encode()).await.unwrap(), []);
    let direct =
        |entry: Entry| Entity::DirectCounterEntry(proto::DirectCounterEntry { table_entry: Some(entry.key().encode()), data: None });
    assert_eq!(refusal(primary.read(vec![direct(session(2))]).await), Code::NotFound);
    let meter =
        |entry: Entry| Entity::DirectMeterEntry(proto::DirectMeterEntry { table_entry: Some(entry.key().encode()), ..Default::default() });
    assert_eq!(refusal(primary.read(vec![meter(session(2))]).await), Code::NotFound);
    assert_eq!(refusal(primary.read(vec![meter(label(20))]).await), Code::InvalidArgument);
    assert_eq!(refusal(primary.read(vec![Entity::TableEntry(of_table(5))]).await), Code::InvalidArgument);
    let request = proto::ReadRequest { device_id: crate::support::DEVICE, entities: vec![proto::Entity::default()], role: String::new() };
    let mut answers = primary.client.read(request).await.unwrap().into_inner();
    assert_eq!(codes(&answers.message().await.unwrap_err()), [Code::InvalidArgument]);
    let member = |action_profile_id| Entity::ActionProfileMember(proto::ActionProfileMember { action_profile_id, ..Default::default() });
    assert_eq!(refusal(primary.read(vec![member(5)]).await), Code::InvalidArgument);
    assert_eq!(refusal(primary.read(vec![Entity::RegisterEntry(proto::RegisterEntry::default())]).await), Code::Unimplemented);
}

#[tokio::test]
async fn counters_and_meters_are_told_when_asked_for() {
    let server = Server::start().await;
    let mut primary = server.primary().await;
    let counted = proto::TableEntry { counter_data: Some(count(3, 300)), ..session(1).encode() };
    primary.write(Atomicity::ContinueOnError, vec![update(Type::Insert, Entity::TableEntry(counted))]).await.unwrap();
    primary.insert(&[label(20)]).await;
    let read = primary.read(vec![Entity::TableEntry(of_table(SessionKey::TABLE_ID))]).await.unwrap();
    let Entity::TableEntry(plain) = &read[0] else { panic!("no table entry") };
    assert_eq!((&plain.counter_data, &plain.meter_config), (&None, &None));
    let wanted = proto::TableEntry { counter_data: ZERO, meter_config: Some(proto::MeterConfig::default()), ..Default::default() };
    let read = primary.read(vec![Entity::TableEntry(wanted.clone())]).await.unwrap();
    let mut told: Vec<_> = read
        .iter()
        .map(|entity| match entity {
            Entity::TableEntry(entry) => (entry.counter_data, entry.meter_config.map(|meter| meter.pburst)),
            other => panic!("no table entry: {other:?}"),
        })
        .collect();
    told.sort_by_key(|(_, burst)| *burst);
    assert_eq!(told, [(ZERO, None), (Some(count(3, 300)), Some(4))]);
    // A table without them has none to tell.
    for wanted in [
        proto::TableEntry { meter_config: Some(proto::MeterConfig::default()), ..of_table(IlmKey::TABLE_ID) },
        proto::TableEntry { counter_data: ZERO, ..of_table(NexthopKey::TABLE_ID) },
    ] {
        assert_eq!(refusal(primary.read(vec![Entity::TableEntry(wanted)]).await), Code::InvalidArgument);
    }
    let counters = primary.read(vec![Entity::DirectCounterEntry(proto::DirectCounterEntry::default())]).await.unwrap();
    let direct =
        |entry: Entry, data| Entity::DirectCounterEntry(proto::DirectCounterEntry { table_entry: Some(entry.key().encode()), data });
    let expected = [direct(session(1), Some(count(3, 300))), direct(label(20), ZERO)];
    assert!(counters.len() == 2 && expected.iter().all(|entity| counters.contains(entity)), "{counters:?}");
    let meters = primary.read(vec![Entity::DirectMeterEntry(proto::DirectMeterEntry::default())]).await.unwrap();
    assert_eq!(
        meters,
        [Entity::DirectMeterEntry(proto::DirectMeterEntry {
            table_entry: Some(session(1).key().encode()),
            config: session(1).encode().meter_config,
            counter_data: None,
        })]
    );
}

#[tokio::test]
async fn cells_are_read_one_by_one_or_all_at_once() {
    let server = Server::start().await;
    let mut primary = server.primary().await;
    let cell = |counter_id, index: i64, data| proto::CounterEntry { counter_id, index: Some(proto::Index { index }), data };
    let no_route = i64::from(Reason::NoRoute as u8);
    let cells = [cell(counter::SESSION_DISCARDS, 63, Some(count(2, 200))), cell(counter::DROPS, no_route, Some(count(5, 500)))];
    let updates = cells.iter().map(|cell| update(Type::Modify, Entity::CounterEntry(*cell))).collect();
    primary.write(Atomicity::ContinueOnError, updates).await.unwrap();
    for expected in &cells {
        let wanted = Entity::CounterEntry(proto::CounterEntry { data: None, ..*expected });
        assert_eq!(primary.read(vec![wanted]).await.unwrap(), [Entity::CounterEntry(*expected)]);
    }
    let all = primary.read(vec![Entity::CounterEntry(proto::CounterEntry::default())]).await.unwrap();
    assert_eq!(all.len(), 64 + 256);
    let set: Vec<_> = all.iter().filter(|entity| matches!(entity, Entity::CounterEntry(entry) if entry.data != ZERO)).cloned().collect();
    assert_eq!(set, cells.map(Entity::CounterEntry));
    let drops = Entity::CounterEntry(proto::CounterEntry { counter_id: counter::DROPS, ..Default::default() });
    assert_eq!(primary.read(vec![drops]).await.unwrap().len(), 256);
    let beyond = Entity::CounterEntry(cell(counter::SESSION_DISCARDS, 64, None));
    assert_eq!(refusal(primary.read(vec![beyond]).await), Code::OutOfRange);
    // All cells at once are set to zero.
    let reset = |counter_id| update(Type::Modify, Entity::CounterEntry(proto::CounterEntry { counter_id, index: None, data: ZERO }));
    primary.write(Atomicity::ContinueOnError, vec![reset(counter::DROPS), reset(counter::SESSION_DISCARDS)]).await.unwrap();
    let all = primary.read(vec![Entity::CounterEntry(proto::CounterEntry::default())]).await.unwrap();
    assert!(all.iter().all(|entity| matches!(entity, Entity::CounterEntry(entry) if entry.data == ZERO)));
}

fn acl(proto: u8, priority: i32) -> Entry {
    let key = FlowAclV4Key {
        vrf: Ternary::any(),
        src: Ternary::any(),
        dst: Ternary::any(),
        proto: if proto == 0 { Ternary::any() } else { Ternary::exact(Protocol::new(proto).unwrap()) },
        sport: Range::any(),
        dport: Range::any(),
        priority: Priority::new(priority).unwrap(),
    };
    FlowAclV4Entry { key, action: FlowAclV4Action::Assign { session: SessionId::default() } }.into()
}

#[tokio::test]
async fn entries_are_filtered() {
    let server = Server::start().await;
    let mut primary = server.primary().await;
    let acls = [acl(17, 1), acl(17, 2), acl(6, 2), acl(0, 3)];
    primary.insert(&acls).await;
    let id = FlowAclV4Key::TABLE_ID;
    let priority = |priority| proto::TableEntry { priority, ..of_table(id) };
    assert_eq!(sorted(primary.entries(priority(2)).await.unwrap()), sorted(vec![acl(17, 2), acl(6, 2)]));
    assert_eq!(primary.entries(priority(3)).await.unwrap(), [acl(0, 3)]);
    let any_priority = proto::TableEntry { priority: 0, ..acl(17, 1).key().encode() };
    assert_eq!(sorted(primary.entries(any_priority).await.unwrap()), sorted(vec![acl(17, 1), acl(17, 2)]));
    let action = |action_id| Some(proto::TableAction { r#type: Some(ActionType::Action(proto::Action { action_id, params: vec![] })) });
    let network: Vec<Entry> = network().into_iter().filter(|entry| matches!(entry, Entry::Ilm(_))).collect();
    primary.insert(&network).await;
    let ids: Vec<u32> = network
        .iter()
        .filter_map(|entry| match entry.encode().action?.r#type? {
            ActionType::Action(action) => Some(action.action_id),
            _ => None,
        })
        .collect();
    let wanted = proto::TableEntry { action: action(ids[0]), ..of_table(IlmKey::TABLE_ID) };
    let selected = primary.entries(wanted).await.unwrap();
    assert_eq!(selected.len(), ids.iter().filter(|id| **id == ids[0]).count());
    let all_tables = proto::TableEntry { priority: 2, ..Default::default() };
    assert_eq!(refusal(primary.entries(all_tables).await), Code::InvalidArgument);
}

#[tokio::test]
#[allow(deprecated, reason = "controllers still send the older of the two fields")]
async fn the_controllers_own_words_come_back() {
    let server = Server::start().await;
    let mut primary = server.primary().await;
    let marked = proto::TableEntry { controller_metadata: 5, metadata: b"mine".to_vec(), ..label(20).encode() };
    primary.write(Atomicity::ContinueOnError, vec![update(Type::Insert, Entity::TableEntry(marked.clone()))]).await.unwrap();
    primary.insert(&[label(21)]).await;
    let wanted = proto::TableEntry { metadata: b"mine".to_vec(), ..of_table(IlmKey::TABLE_ID) };
    assert_eq!(primary.read(vec![Entity::TableEntry(wanted.clone())]).await.unwrap(), [Entity::TableEntry(marked)]);
    let unmarked = update(Type::Modify, Entity::TableEntry(label(20).encode()));
    primary.write(Atomicity::ContinueOnError, vec![unmarked]).await.unwrap();
    assert_eq!(primary.read(vec![Entity::TableEntry(wanted)]).await.unwrap(), []);
}

#[tokio::test]
async fn default_entries_are_read_on_request() {
    let server = Server::start().await;
    let mut primary = server.primary().await;
    let wanted = proto::TableEntry { is_default_action: true, ..of_table(IlmKey::TABLE_ID) };
    let read = primary.read(vec![Entity::TableEntry(wanted)]).await.unwrap();
    let action = proto::Action { action_id: 21_257_015, params: vec![] };
    let action = Some(proto::TableAction { r#type: Some(ActionType::Action(action)) });
    let expected = proto::TableEntry { is_default_action: true, action, ..of_table(IlmKey::TABLE_ID) };
    assert_eq!(read, [Entity::TableEntry(expected)]);
}

/// More than fits one message, so the answer is a stream of several.
#[tokio::test]
async fn long_answers_come_in_parts() {
    let server = Server::start().await;
    let mut primary = server.primary().await;
    let labels: Vec<Entry> = (16..1016).map(label).collect();
    primary.insert(&labels).await;
    assert_eq!(sorted(primary.entries(of_table(IlmKey::TABLE_ID)).await.unwrap()), labels);
    let counting = TABLES.iter().filter(|table| table.counting == Counting::Direct).count();
    assert_eq!(counting, 3);
    let keys: HashSet<EntryKey> = primary.all().await.iter().map(Entry::key).collect();
    assert_eq!(keys.len(), 1000);
}
