//! The same as proptest's strategies.

use std::fmt::Debug;

use proptest::strategy::{Just, NewTree, Strategy};
use proptest::test_runner::TestRunner;

use super::random::Random;
use super::{entries, frames};
use crate::tables::Entry;
use crate::update::Update;
use crate::wire::PortId;

/// Makes a value of the runner's random numbers, or of a fuzzer's bytes that stand in for them. It does not shrink: other numbers make
/// something else, not something smaller.
#[derive(Debug, Clone, Copy)]
struct Made<T>(fn(&mut Random) -> T);

impl<T: Clone + Debug> Strategy for Made<T> {
    type Tree = Just<T>;
    type Value = T;

    fn new_tree(&self, runner: &mut TestRunner) -> NewTree<Self> {
        Ok(Just(Random::borrow(runner.rng(), self.0)))
    }
}

/// A router's entries, each key once, most of which refer to others that are there.
pub fn network() -> impl Strategy<Value = Vec<Entry>> {
    Made(entries::network)
}

/// Inserts, modifications and deletions, many of which a router has to refuse.
pub fn changes() -> impl Strategy<Value = Vec<Update>> {
    Made(entries::changes)
}

/// A frame and the port it comes in on, from the world of [`network`]: most hit something; some are cut, tagged, fragmented, expired or
/// otherwise at an edge.
pub fn arrival() -> impl Strategy<Value = (PortId, Vec<u8>)> + Clone {
    Made(frames::arrival)
}
