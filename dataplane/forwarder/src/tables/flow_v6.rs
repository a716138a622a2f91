//! `flow_v6`: from an IPv6 5-tuple to a session, by a [`Cuckoo`] hash of five words.

use std::sync::Arc;

use svpn_dpdk::OutOfMemory;

use super::cuckoo::{Cuckoo, CuckooWriter};
use super::hash::Seed;
use super::ticks::Ticker;

/// A key as the table keeps it: both halves of source and destination; VRF 16, protocol 8, source and destination port 16 each.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct FlowKeyV6([u64; Self::WORDS]);

impl FlowKeyV6 {
    const WORDS: usize = 5;

    #[inline]
    pub(crate) fn new(vrf: u16, source: u128, destination: u128, protocol: u8, ports: u32) -> Self {
        let [source, destination] = [halves(source), halves(destination)];
        let rest = u64::from(vrf) << 40 | u64::from(protocol) << 32 | u64::from(ports);
        Self([source[0], source[1], destination[0], destination[1], rest])
    }

    /// All that flows and the classifier match: VRF, protocol and ports are the last.
    #[inline]
    pub(crate) fn words(self) -> [u64; 5] {
        self.0
    }

    /// Source address.
    #[inline]
    pub(crate) fn source(self) -> u128 {
        u128::from(self.0[0]) << 64 | u128::from(self.0[1])
    }

    /// Destination address.
    #[inline]
    pub(crate) fn destination(self) -> u128 {
        u128::from(self.0[2]) << 64 | u128::from(self.0[3])
    }

    /// VRF, protocol, source port, destination port, in the low 56 bits, as in [`super::flow::FlowKey`].
    #[inline]
    pub(crate) fn rest(self) -> u64 {
        self.0[4]
    }
}

/// Both halves of an address, the upper first.
#[inline]
#[allow(clippy::cast_possible_truncation, reason = "the halves of the address")]
fn halves(address: u128) -> [u64; 2] {
    [(address >> 64) as u64, address as u64]
}

/// The flows, as workers see them.
#[derive(Debug)]
pub(crate) struct FlowTableV6(Arc<Cuckoo<{ FlowKeyV6::WORDS }>>);

impl FlowTableV6 {
    /// A table for `flows` flows. Each has a line for itself, so it is filled higher than IPv4's: eight places in ten.
    pub(crate) fn new(flows: u32, seed: Seed) -> Result<Self, OutOfMemory> {
        let buckets = u32::try_from(u64::from(flows) * 5 / 8 + 16).unwrap_or(u32::MAX);
        Ok(Self(Arc::new(Cuckoo::new(buckets, seed)?)))
    }

    #[inline]
    pub(crate) fn hash(&self, key: FlowKeyV6) -> u64 {
        self.0.hash(key.0)
    }

    #[inline]
    pub(crate) fn prefetch(&self, hash: u64) {
        self.0.prefetch(hash);
    }

    /// The session of a flow.
    #[inline]
    pub(crate) fn find(&self, key: FlowKeyV6, hash: u64) -> Option<u32> {
        self.0.find(key.0, hash)
    }

    /// What hits are noted by.
    pub(crate) fn ticker(&self) -> &Ticker {
        &self.0.ticker
    }
}

/// The one writer of the flows.
#[derive(Debug)]
pub(crate) struct FlowWriterV6(CuckooWriter<{ FlowKeyV6::WORDS }>);

/// The table has no place for this flow.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct NoPlace;

impl FlowWriterV6 {
    pub(crate) fn new(table: &FlowTableV6) -> Self {
        Self(CuckooWriter::new(Arc::clone(&table.0)))
    }

    /// Flows there are.
    pub(crate) fn len(&self) -> usize {
        self.0.len()
    }

    /// The session of a flow.
    pub(crate) fn get(&self, key: FlowKeyV6) -> Option<u32> {
        self.0.get(key.0)
    }

    /// The tick in which a flow was hit last, or inserted.
    pub(crate) fn last_hit(&self, key: FlowKeyV6) -> Option<u32> {
        self.0.last_hit(key.0)
    }

    /// Changes the session of a flow that is there.
    pub(crate) fn modify(&mut self, key: FlowKeyV6, session: u32) -> bool {
        self.0.modify(key.0, session)
    }

    /// Adds a flow that is not there. `quiesce` waits until every worker has been quiescent.
    pub(crate) fn insert(&mut self, key: FlowKeyV6, session: u32, quiesce: impl FnMut()) -> Result<(), NoPlace> {
        self.0.insert(key.0, session, quiesce).map_err(|_| NoPlace)
    }

    /// Removes a flow; whether it was there.
    pub(crate) fn remove(&mut self, key: FlowKeyV6) -> bool {
        self.0.remove(key.0)
    }

    /// All flows, in no order.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (FlowKeyV6, u32)> + '_ {
        self.0.iter().map(|(key, session)| (FlowKeyV6(key), session))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn a_key_keeps_all_of_the_tuple(vrf: u16, source: u128, destination: u128, protocol: u8, ports: u32) {
            let key = FlowKeyV6::new(vrf, source, destination, protocol, ports);
            prop_assert_eq!((key.source(), key.destination()), (source, destination));
            prop_assert_eq!(key.rest(), crate::tables::flow::FlowKey::new(vrf, 0, protocol, ports).rest);
            let table = FlowTableV6::new(4, Seed::derive(1, 1)).unwrap();
            let mut writer = FlowWriterV6::new(&table);
            prop_assert_eq!(writer.insert(key, ports, || {}), Ok(()));
            prop_assert_eq!(table.find(key, table.hash(key)), Some(ports));
            prop_assert_eq!(writer.iter().collect::<Vec<_>>(), vec![(key, ports)]);
            let other = FlowKeyV6::new(vrf ^ 1, source, destination, protocol, ports);
            prop_assert_eq!(table.find(other, table.hash(other)), None);
        }
    }
}
