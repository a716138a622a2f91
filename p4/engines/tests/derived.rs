//! BMv2 does what p4testgen derived from the P4 program that runs on it. Needs root, and `simple_switch_grpc` on the PATH.
//!
//! What p4testgen expects the oracle's own tests hold against the oracle; here BMv2 is held against it, counters and all.

use std::collections::BTreeMap;
use std::time::Duration;

use svpn_contract::generators::{Derived, Origin, PORTS, derived};
use svpn_contract::oracle::Outcome;
use svpn_contract::packet::PacketOut;
use svpn_contract::wire::PortId;
use svpn_contract::{Entry, Reason, Update};
use svpn_engines::conformance::{Step, check};
use svpn_engines::{Engine, deliverable};

/// Why a case cannot be tried.
fn left_out(case: &Derived) -> Option<&'static str> {
    let (Origin::Port(_, frame) | Origin::Controller(PacketOut { frame, .. })) = &case.origin;
    // The frame behind all others is punted for this reason, and must be seen.
    let polices_the_last = |entry: &Entry| matches!(entry, Entry::PuntPolicer(entry) if entry.key.reason == Reason::Lldp);
    if deliverable(frame).is_err() {
        Some("the kernel delivers no such frame")
    } else if case.entries.iter().any(polices_the_last) {
        Some("LLDP is policed, which shows that a router is done")
    } else {
        None
    }
}

fn try_case(bmv2: &mut Engine, case: &Derived) -> Result<(), String> {
    match &case.origin {
        Origin::Port(port, frame) => {
            let updates = case.entries.iter().cloned().map(Update::Insert).collect();
            let steps = [Step::Write(updates), Step::Frames(vec![(*port, frame.clone())])];
            check(bmv2, &steps).map_err(|difference| difference.to_string())
        }
        Origin::Controller(packet) => {
            bmv2.controller.packet_out(packet.clone()).map_err(|error| error.to_string())?;
            let received = bmv2.cables.receive(1, Duration::from_secs(10)).map_err(|error| error.to_string())?;
            let sent: Vec<Outcome> = received.into_iter().map(|(port, frame)| Outcome::Sent { port, frame }).collect();
            if sent == [case.outcome.clone()] { Ok(()) } else { Err(format!("{packet:02x?} came out as {sent:02x?}")) }
        }
    }
}

#[test]
fn bmv2_does_what_the_p4_program_says() {
    if !Engine::has_bmv2() {
        eprintln!("SKIPPED: simple_switch_grpc is not on the PATH, so nothing was held against BMv2");
        return;
    }
    let ports = PORTS.map(|number| PortId::new(number).expect("it fits"));
    let mut bmv2 = Engine::bmv2(&ports).unwrap_or_else(|error| panic!("{error}"));
    let (mut replayed, mut skipped, mut failed) = (0, BTreeMap::<_, u32>::new(), Vec::new());
    for case in derived().unwrap_or_else(|error| panic!("{error}")) {
        if let Some(reason) = left_out(&case) {
            *skipped.entry(reason).or_default() += 1;
            continue;
        }
        replayed += 1;
        failed.extend(try_case(&mut bmv2, &case).err().map(|difference| format!("case {}: {difference}", case.number)));
        assert!(bmv2.ended().is_none(), "BMv2 died of case {} and said: {}", case.number, bmv2.said());
    }
    println!("{replayed} cases replayed; left out: {skipped:?}");
    assert!(failed.is_empty(), "{} of {replayed} cases:\n{}", failed.len(), failed.join("\n"));
    assert!(replayed > 0);
}
