//! What holds for every router and every frame.

use std::collections::BTreeSet;

use proptest::prelude::*;
use proptest::strategy::ValueTree;
use proptest::test_runner::TestRunner;
use svpn_contract::generators::{PORTS, arrival, changes, network};
use svpn_contract::oracle::Totals;

use crate::*;

fn oracle(entries: &[Entry]) -> Oracle {
    let mut oracle = Oracle::new(PORTS.map(port));
    for entry in entries {
        insert(&mut oracle, entry.clone());
    }
    oracle
}

/// The IPv4 header behind Ethernet, two tags at most, and labels.
fn ipv4_header(frame: &[u8]) -> Option<&[u8]> {
    let mut rest = frame.get(12..)?;
    for _ in 0..2 {
        if matches!(rest, [0x81, 0x00, ..] | [0x88, 0xa8, ..]) {
            rest = rest.get(4..)?;
        }
    }
    let (ethertype, mut rest) = rest.split_first_chunk::<2>()?;
    if *ethertype == [0x88, 0x47] {
        loop {
            let (entry, below) = rest.split_first_chunk::<4>()?;
            rest = below;
            if entry[2] & 1 == 1 {
                break;
            }
        }
    } else if *ethertype != [0x08, 0x00] {
        return None;
    }
    let first = *rest.first()?;
    let length = usize::from(first & 15) * 4;
    if first >> 4 == 4 && length >= 20 { rest.get(..length) } else { None }
}

fn checksum_is_right(header: &[u8]) -> bool {
    let sum: u32 = header.chunks(2).map(|word| u32::from(word[0]) << 8 | u32::from(word[1])).sum();
    let folded = (sum & 0xffff) + (sum >> 16);
    (folded & 0xffff) + (folded >> 16) == 0xffff
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn nothing_is_lost(entries in network(), arrivals in proptest::collection::vec(arrival(), 1..60)) {
        let mut oracle = oracle(&entries);
        let mut bytes_dropped = 0;
        for (from, frame) in &arrivals {
            let possible = oracle.possible(*from, frame, NOW);
            let outcome = oracle.process(*from, frame, NOW);
            prop_assert!(possible.contains(&outcome));
            match outcome {
                Outcome::Punt(packet) => prop_assert_eq!(&packet.frame, frame),
                Outcome::Dropped(reason) => {
                    prop_assert!(reason as u8 >= 32, "{reason:?} is no drop");
                    bytes_dropped += frame.len() as u64;
                }
                Outcome::Sent { .. } => {}
            }
        }
        let Totals { inputs, outputs, punts, drops } = oracle.totals();
        prop_assert_eq!(inputs, arrivals.len() as u64);
        prop_assert_eq!(inputs, outputs + punts + drops);
        let counted: Vec<_> = Reason::ALL.iter().map(|reason| oracle.drops(*reason)).collect();
        prop_assert_eq!(counted.iter().map(|count| count.packets).sum::<u64>(), drops);
        prop_assert_eq!(counted.iter().map(|count| count.bytes).sum::<u64>(), bytes_dropped);
    }

    /// Whatever IPv4 was received with a right checksum, routed or only labelled, leaves with a right one.
    #[test]
    fn right_checksums_stay_right(entries in network(), (from, frame) in arrival()) {
        if let (Some(before), Outcome::Sent { frame: sent, .. }) = (ipv4_header(&frame), oracle(&entries).process(from, &frame, NOW))
            && checksum_is_right(before)
            && let Some(after) = ipv4_header(&sent)
        {
            prop_assert!(checksum_is_right(after), "{before:02x?} became {after:02x?}");
        }
    }

    #[test]
    fn what_was_observed_once_stays_possible(entries in network(), (from, frame) in arrival(), pick: proptest::sample::Index) {
        let mut oracle = oracle(&entries);
        let possible = oracle.possible(from, &frame, NOW);
        let observed = pick.get(&possible);
        oracle.observe(from, &frame, NOW, observed).expect("it is possible");
        // Meters may give the second packet another colour.
        let metered = entries.iter().any(|entry| matches!(entry, Entry::Session(entry) if entry.meter.is_some()));
        prop_assert!(metered || oracle.possible(from, &frame, NOW).contains(observed));
        prop_assert_eq!(oracle.totals().inputs, 1);
    }

    #[test]
    fn tables_hold_what_was_written(entries in network(), changes in changes()) {
        let mut oracle = oracle(&entries);
        for change in changes {
            let (key, there) = (change.key(), oracle.get(&change.key()).is_some());
            let applied = oracle.apply(&change).is_ok();
            match change {
                Update::Insert(entry) => {
                    prop_assert_eq!(applied, !there);
                    prop_assert!(!applied || oracle.get(&key) == Some(&entry));
                }
                Update::Modify(entry) => {
                    prop_assert_eq!(applied, there);
                    prop_assert!(!applied || oracle.get(&key) == Some(&entry));
                }
                Update::Delete(_) => {
                    prop_assert_eq!(applied, there);
                    prop_assert_eq!(oracle.get(&key), None);
                }
            }
        }
    }
}

/// The generators reach what is there to be reached: every outcome that a router of the small world can have. The seed is fixed.
#[test]
fn generators_reach_every_outcome() {
    let mut runner = TestRunner::deterministic();
    let mut reached = BTreeSet::new();
    let (mut inputs, mut outputs, mut pushed, mut chosen) = (0, 0, 0, 0);
    let (networks, arrivals) = (network(), arrival());
    for _ in 0..40 {
        let entries = networks.new_tree(&mut runner).expect("a network can be made").current();
        let mut oracle = oracle(&entries);
        for _ in 0..200 {
            let (from, frame) = arrivals.new_tree(&mut runner).expect("a frame can be made").current();
            chosen += usize::from(oracle.possible(from, &frame, NOW).len() > 1);
            match oracle.process(from, &frame, NOW) {
                Outcome::Sent { frame: out, .. } => pushed += usize::from(out.len() > frame.len()),
                Outcome::Punt(packet) => drop(reached.insert(packet.reason)),
                Outcome::Dropped(reason) => drop(reached.insert(reason)),
            }
        }
        let totals = oracle.totals();
        (inputs, outputs) = (inputs + totals.inputs, outputs + totals.outputs);
    }
    assert!(outputs * 7 >= inputs, "only {outputs} of {inputs} frames left");
    // The links of the world are always up, and queues are no matter of the contract.
    let unreachable = [Reason::None, Reason::PortUnavailable, Reason::TransmitQueueFull, Reason::PuntQueueFull];
    let missing: Vec<_> = Reason::ALL.iter().filter(|reason| !reached.contains(reason) && !unreachable.contains(reason)).collect();
    assert!(missing.is_empty(), "never reached: {missing:?}");
    assert!(pushed > 100 && chosen > 100, "{pushed} frames grew, {chosen} had a choice");
}
