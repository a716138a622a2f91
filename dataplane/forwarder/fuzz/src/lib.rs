//! What the fuzz targets share: a forwarder and the contract's oracle side by side, and worlds of entries.
//!
//! `libfuzzer-sys` drives the targets, `proptest` makes entries with the contract's own generators.

#[path = "../../tests/twin/mod.rs"]
pub mod twin;

use std::collections::BTreeSet;
use std::sync::LazyLock;

use proptest::strategy::{Strategy, ValueTree as _};
use proptest::test_runner::{Config, RngAlgorithm, TestRng, TestRunner};
use svpn_contract::generators::network;
use svpn_contract::{Entry, MeterConfig, TABLES};

/// A value made of bytes: each mutation of them is one of the value. What the bytes do not decide is decided by others, always the same; left to
/// itself proptest would go on with zeros, and some draws refuse a zero for ever. Not for strategies with a choice between others in them: proptest
/// halves the bytes at each.
pub fn from_bytes<T: std::fmt::Debug>(strategy: &impl Strategy<Value = T>, bytes: &[u8]) -> Option<T> {
    static REST: LazyLock<Vec<u8>> = LazyLock::new(|| {
        let mut state = 1_u64;
        let next = || {
            // Knuth's linear congruential generator.
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (state >> 56) as u8
        };
        std::iter::repeat_with(next).take(MOST_BYTES).collect()
    });
    value(strategy, RngAlgorithm::PassThrough, &[bytes, &REST].concat())
}

/// More than any value takes.
const MOST_BYTES: usize = 1 << 16;

/// The entries of a world, by its number.
pub fn world(number: u32) -> Vec<Entry> {
    let mut seed = [0; 32];
    seed[..4].copy_from_slice(&number.to_le_bytes());
    value(&network(), RngAlgorithm::ChaCha, &seed).expect("a network")
}

fn value<T: std::fmt::Debug>(strategy: &impl Strategy<Value = T>, algorithm: RngAlgorithm, seed: &[u8]) -> Option<T> {
    let config = Config { failure_persistence: None, ..Config::default() };
    let mut runner = TestRunner::new_with_rng(config, TestRng::from_seed(algorithm, seed));
    strategy.new_tree(&mut runner).ok().map(|tree| tree.current())
}

/// Entries of every table and with every action that any world has, each key once. No meter stands still, so that after a while every
/// bucket is full again.
///
/// # Panics
/// If a table is missing: the generators do not know it.
pub fn every_action() -> Vec<Entry> {
    const WORLDS: u32 = 200;
    const FULL: u32 = 3;
    let mut entries: Vec<Entry> = Vec::new();
    let mut seen = BTreeSet::new();
    for (number, entry) in (0..WORLDS).flat_map(|number| world(number).into_iter().map(move |entry| (number, entry))) {
        let new = actions(&entry).iter().any(|action| !seen.contains(action));
        if (number < FULL || new) && entries.iter().all(|other| apart(other, &entry)) {
            seen.extend(actions(&entry));
            entries.push(moving(entry));
        }
    }
    for table in TABLES {
        assert!(entries.iter().any(|entry| entry.key().table_id() == table.id), "no entry of {}", table.name);
    }
    entries
}

/// Whether both can be there: keys differ, and priorities, because which of two with one priority wins is not defined.
fn apart(one: &Entry, other: &Entry) -> bool {
    let same_priority = match (one, other) {
        (Entry::FlowAclV4(one), Entry::FlowAclV4(other)) => one.key.priority == other.key.priority,
        (Entry::FlowAclV6(one), Entry::FlowAclV6(other)) => one.key.priority == other.key.priority,
        _ => false,
    };
    !same_priority && one.key() != other.key()
}

/// An entry's table and the names of its actions.
fn actions(entry: &Entry) -> Vec<(u32, String)> {
    let text = format!("{entry:?}");
    let names = text.split("action: ").skip(1).map(|rest| rest.chars().take_while(char::is_ascii_alphanumeric).collect());
    names.map(|name| (entry.key().table_id(), name)).collect()
}

/// The entry with a meter whose buckets fill.
fn moving(mut entry: Entry) -> Entry {
    let meter = match &mut entry {
        Entry::Session(entry) => &mut entry.meter,
        Entry::VrfPolicer(entry) => &mut entry.meter,
        Entry::PuntPolicer(entry) => &mut entry.meter,
        _ => return entry,
    };
    *meter = meter.map(|meter| MeterConfig { cir: meter.cir.max(LEAST_RATE), pir: meter.pir.max(LEAST_RATE), ..meter });
    entry
}

/// Bytes, or packets, per second that a meter of [`every_action`] has at least; its buckets hold no more than 4,000.
pub const LEAST_RATE: u64 = 1_000;
