//! The Rust types and the P4Info say the same.

use std::collections::{BTreeMap, BTreeSet};

use p4runtime_proto::p4::config::v1::action_ref::Scope;
use p4runtime_proto::p4::config::v1::match_field::{Match, MatchType};
use p4runtime_proto::p4::config::v1::meter_spec::Unit;
use p4runtime_proto::p4::config::v1::{MeterSpec, Preamble, Table};
use p4runtime_proto::p4::v1 as proto;
use p4runtime_proto::p4::v1::field_match::FieldMatchType;
use p4runtime_proto::p4::v1::table_action::Type as ActionType;
use proptest::prelude::*;
use proptest::strategy::ValueTree;
use proptest::test_runner::TestRunner;
use svpn_contract::{Counting, Entry, Metering, Reason, TABLES, p4info};

/// Enough entries that every action of every table is among them; the runner's seed is fixed, so they are the same each time.
fn samples() -> Vec<proto::TableEntry> {
    let mut runner = TestRunner::deterministic();
    let strategy = any::<Entry>();
    (0..6_000).map(|_| strategy.new_tree(&mut runner).expect("an entry can be made").current().encode()).collect()
}

fn actions(entry: &proto::TableEntry) -> Vec<proto::Action> {
    match entry.action.clone().and_then(|action| action.r#type).expect("an entry has an action") {
        ActionType::Action(action) => vec![action],
        ActionType::ActionProfileActionSet(set) => set.action_profile_actions.into_iter().filter_map(|member| member.action).collect(),
        other => panic!("no table takes {other:?}"),
    }
}

fn id(preamble: Option<&Preamble>) -> u32 {
    preamble.expect("an object has a preamble").id
}

fn matched(kind: &FieldMatchType) -> MatchType {
    match kind {
        FieldMatchType::Exact(_) => MatchType::Exact,
        FieldMatchType::Lpm(_) => MatchType::Lpm,
        FieldMatchType::Ternary(_) => MatchType::Ternary,
        FieldMatchType::Range(_) => MatchType::Range,
        other => panic!("no table matches by {other:?}"),
    }
}

#[test]
fn every_table_and_action_has_its_type() {
    let info = p4info();
    let mut expected = BTreeSet::new();
    for table in &info.tables {
        let of_entries = table.action_refs.iter().filter(|action| action.scope() != Scope::DefaultOnly);
        expected.extend(of_entries.map(|action| (id(table.preamble.as_ref()), action.id)));
    }
    let seen = samples().iter().flat_map(|entry| actions(entry).into_iter().map(|action| (entry.table_id, action.action_id))).collect();
    assert_eq!(expected, seen);
}

#[test]
fn every_field_and_parameter_has_its_type() {
    let info = p4info();
    let tables: BTreeMap<u32, &Table> = info.tables.iter().map(|table| (id(table.preamble.as_ref()), table)).collect();
    let mut fields_seen = BTreeSet::new();
    for entry in samples() {
        let table = tables[&entry.table_id];
        for field in &entry.r#match {
            let known = table.match_fields.iter().find(|known| known.id == field.field_id).expect("the table has the field");
            let kind = field.field_match_type.as_ref().expect("a field has a match");
            assert_eq!(known.r#match, Some(Match::MatchType(matched(kind).into())), "{}", known.name);
            fields_seen.insert((entry.table_id, field.field_id));
        }
        for action in actions(&entry) {
            let known = info.actions.iter().find(|known| id(known.preamble.as_ref()) == action.action_id).expect("the action is known");
            let expected: Vec<u32> = known.params.iter().map(|param| param.id).collect();
            assert_eq!(action.params.iter().map(|param| param.param_id).collect::<Vec<_>>(), expected);
        }
        assert_eq!(matches!(entry.action.and_then(|action| action.r#type), Some(ActionType::Action(_))), table.implementation_id == 0);
    }
    let all = tables.iter().flat_map(|(id, table)| table.match_fields.iter().map(|field| (*id, field.id))).collect();
    assert_eq!(fields_seen, all);
}

/// The widest value of every field and parameter fills its width exactly, and one bit more is refused.
#[test]
fn widths_are_those_of_the_p4info() {
    let info = p4info();
    let ones = |bits: i32| (u128::MAX >> (128 - bits)).to_be_bytes().to_vec();
    // One bit more than 128 is one byte more.
    let wider = |bits: i32| 1_u128.checked_shl(bits.unsigned_abs()).map_or([&[1][..], &[0; 16]].concat(), |one| one.to_be_bytes().to_vec());
    let mut checked = BTreeSet::new();
    for entry in samples() {
        for (place, action) in actions(&entry).into_iter().enumerate() {
            let known = info.actions.iter().find(|known| id(known.preamble.as_ref()) == action.action_id).expect("the action is known");
            for (index, param) in known.params.iter().enumerate() {
                if !checked.insert((entry.table_id, action.action_id, param.id)) {
                    continue;
                }
                let with = |value: Vec<u8>| {
                    let mut changed = entry.clone();
                    let action = match changed.action.as_mut().and_then(|action| action.r#type.as_mut()) {
                        Some(ActionType::Action(action)) => action,
                        Some(ActionType::ActionProfileActionSet(set)) => {
                            set.action_profile_actions[place].action.as_mut().expect("an action")
                        }
                        other => panic!("no table takes {other:?}"),
                    };
                    action.params[index].value = value;
                    Entry::decode(&changed)
                };
                assert!(with(ones(param.bitwidth)).is_ok(), "{}", param.name);
                assert!(with(wider(param.bitwidth)).is_err(), "{}", param.name);
            }
        }
    }
}

#[test]
fn facts_are_those_of_the_p4info() {
    let info = p4info();
    assert_eq!(info.tables.len(), TABLES.len());
    for (table, facts) in info.tables.iter().zip(TABLES) {
        let preamble = table.preamble.as_ref().expect("a table has a preamble");
        assert_eq!((preamble.id, preamble.alias.as_str(), table.size), (facts.id, facts.name, i64::try_from(facts.size).expect("small")));
        let counts = info.direct_counters.iter().any(|counter| counter.direct_table_id == facts.id);
        assert_eq!(counts, facts.counting == Counting::Direct);
        let meter = info.direct_meters.iter().find(|meter| meter.direct_table_id == facts.id);
        let metering = match meter.and_then(|meter| meter.spec.as_ref()).map(MeterSpec::unit) {
            Some(Unit::Bytes) => Metering::Bytes,
            Some(Unit::Packets) => Metering::Packets,
            Some(other) => panic!("no meter measures {other:?}"),
            None => Metering::None,
        };
        assert_eq!(metering, facts.metering);
    }
    let reasons = &info.type_info.expect("types").serializable_enums["Reason"].members;
    let names: Vec<_> = reasons.iter().map(|member| (member.name.to_lowercase(), member.value[0])).collect();
    assert_eq!(names, Reason::ALL.iter().map(|reason| (reason.name().to_owned(), *reason as u8)).collect::<Vec<_>>());
}
