//! What holds for every router and every frame.

use std::collections::BTreeMap;

use proptest::prelude::*;
use svpn_contract::generators::{Case, PORTS, Step, arrival, changes, network};
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
            // What GRE brings has a header of its own, and `ilm` does not judge what is below it.
            && before[9] != 47
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
        let metered = entries.iter().any(|entry| match entry {
            Entry::Session(entry) => entry.meter.is_some(),
            Entry::VrfPolicer(entry) => entry.meter.is_some(),
            Entry::PuntPolicer(entry) => entry.meter.is_some(),
            _ => false,
        });
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

/// What cases reach, by name.
fn reached(cases: std::ops::Range<u64>) -> BTreeMap<String, usize> {
    let mut reached = BTreeMap::new();
    let mut count = |what: String| *reached.entry(what).or_insert(0) += 1;
    for seed in cases {
        let mut oracle = oracle(&[]);
        let mut now = NOW;
        for step in Case::random(seed, 400).0 {
            match step {
                Step::Write(updates) => updates.iter().for_each(|update| drop(oracle.apply(update))),
                Step::Link(port, link) => oracle.set_link(port, link),
                Step::Frames { after, frames } => {
                    now += after;
                    for (from, frame) in frames {
                        count("input".to_owned());
                        if oracle.possible(from, &frame, now).len() > 1 {
                            count("choice".to_owned());
                        }
                        match oracle.process(from, &frame, now) {
                            Outcome::Sent { frame: out, .. } => {
                                count("output".to_owned());
                                count(format!("{:?}", out.len().cmp(&frame.len())));
                            }
                            Outcome::Punt(packet) => count(format!("{:?}", packet.reason)),
                            Outcome::Dropped(reason) => count(format!("{reason:?}")),
                        }
                    }
                }
            }
        }
        for entry in oracle.entries() {
            if oracle.direct_counter(&entry.key()).is_some_and(|counted| counted.packets > 0) {
                let text = format!("{entry:?}");
                // The action of an entry that met a frame: the name before its first parameter.
                for action in text.split("action: ").skip(1).filter_map(|rest| rest.split([' ', '}']).next()) {
                    count(action.to_owned());
                }
            }
        }
    }
    reached
}

/// The generators reach what is there to be reached: every outcome that a router of the small world can have, and every action that is
/// counted. The seeds are fixed.
#[test]
fn generators_reach_every_outcome() {
    let reached = reached(0..60);
    let times = |what: &str| reached.get(what).copied().unwrap_or_default();
    assert!(times("output") * 6 >= times("input"), "only {} of {} frames left", times("output"), times("input"));
    // Queues are no matter of the contract.
    let unreachable = [Reason::None, Reason::WorkerQueueFull, Reason::TransmitQueueFull, Reason::PuntQueueFull];
    let reasons = Reason::ALL.iter().filter(|reason| !unreachable.contains(reason)).map(|reason| format!("{reason:?}"));
    let actions = ["Swap", "SwapPush", "Php", "PopVrf", "PopLocal", "PopNext", "Lsp0", "Lsp1", "Lsp2", "Lsp3", "GreV4", "GreV6", "Carry"];
    let missing: Vec<_> = reasons.chain(actions.map(str::to_owned)).filter(|what| times(what) == 0).collect();
    assert!(missing.is_empty(), "never reached: {missing:?}");
    for what in ["choice", "Less", "Equal", "Greater"] {
        assert!(times(what) > 100, "{what}: {}", times(what));
    }
}
