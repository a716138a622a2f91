//! What p4testgen derived from the P4 program.

use std::collections::BTreeSet;

use p4runtime_proto::p4::config::v1::Preamble;
use p4runtime_proto::p4::config::v1::action_ref::Scope;
use p4runtime_proto::p4::v1::table_action::Type as ActionType;
use svpn_contract::generators::{Origin, PORTS, derived};

use super::*;

/// What a frame of a single router whose links are up and whose queues are empty does not come to.
const OTHER_REASONS: [Reason; 5] =
    [Reason::None, Reason::WorkerQueueFull, Reason::PortUnavailable, Reason::TransmitQueueFull, Reason::PuntQueueFull];

#[test]
fn the_oracle_does_what_the_p4_program_says() {
    let (mut replayed, mut packet_outs, mut failed) = (0, 0, Vec::new());
    for case in derived().unwrap_or_else(|error| panic!("{error}")) {
        let Origin::Port(ingress, frame) = &case.origin else {
            packet_outs += 1;
            continue;
        };
        let mut oracle = Oracle::new(PORTS.map(port));
        for entry in &case.entries {
            oracle.apply(&Update::Insert(entry.clone())).expect("every key is there once");
        }
        let possible = oracle.possible(*ingress, frame, NOW);
        if possible != [case.outcome.clone()] {
            failed.push(format!("case {}: expected is {:02x?}, the oracle has {possible:02x?}", case.number, case.outcome));
        }
        replayed += 1;
    }
    println!("{replayed} cases replayed; left out: {packet_outs} packet-outs, of which the oracle knows nothing");
    assert!(failed.is_empty(), "{} of {replayed} cases:\n{}", failed.len(), failed.join("\n"));
    assert!(replayed > 0);
}

/// Every reason, every table and every action.
#[test]
fn what_was_derived_comes_to_everything() {
    let info = p4info();
    let id = |preamble: Option<&Preamble>| preamble.map(|preamble| preamble.id).unwrap_or_default();
    let mut reasons: BTreeSet<Reason> = Reason::ALL.iter().copied().filter(|reason| !OTHER_REASONS.contains(reason)).collect();
    let mut tables: BTreeSet<u32> = info.tables.iter().map(|table| id(table.preamble.as_ref())).collect();
    let references = info.tables.iter().flat_map(|table| &table.action_refs);
    let mut actions: BTreeSet<u32> = references.filter(|action| action.scope() != Scope::DefaultOnly).map(|action| action.id).collect();
    for case in derived().unwrap_or_else(|error| panic!("{error}")) {
        match &case.outcome {
            Outcome::Dropped(reason) => drop(reasons.remove(reason)),
            Outcome::Punt(packet) => drop(reasons.remove(&packet.reason)),
            Outcome::Sent { .. } => {}
        }
        for entry in case.entries.iter().map(Entry::encode) {
            tables.remove(&entry.table_id);
            let action = match entry.action.and_then(|action| action.r#type) {
                Some(ActionType::Action(action)) => action,
                Some(ActionType::ActionProfileActionSet(mut set)) => {
                    set.action_profile_actions.remove(0).action.expect("a member has an action")
                }
                other => panic!("no table takes {other:?}"),
            };
            actions.remove(&action.action_id);
        }
    }
    let all = reasons.is_empty() && tables.is_empty() && actions.is_empty();
    assert!(all, "nothing comes to {reasons:?}, nor to the tables {tables:x?}, nor to the actions {actions:x?}");
}
