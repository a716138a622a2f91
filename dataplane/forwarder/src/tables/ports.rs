//! Which ports frames can leave by.

use svpn_contract::wire::PortId;

use crate::sync::{AtomicU64, Ordering};

/// A bit for each port number.
#[derive(Debug, Default)]
pub(crate) struct PortSet([AtomicU64; 8]);

impl PortSet {
    #[inline]
    pub(crate) fn contains(&self, port: u16) -> bool {
        let word = self.0.get(usize::from(port >> 6));
        word.is_some_and(|word| word.load(Ordering::Relaxed) >> (port & 63) & 1 != 0)
    }

    /// Adds a port; whether it was not in before.
    pub(crate) fn insert(&self, port: PortId) -> bool {
        self.word(port).fetch_or(Self::bit(port), Ordering::Relaxed) & Self::bit(port) == 0
    }

    /// Removes a port; whether it was in before.
    pub(crate) fn remove(&self, port: PortId) -> bool {
        self.word(port).fetch_and(!Self::bit(port), Ordering::Relaxed) & Self::bit(port) != 0
    }

    fn word(&self, port: PortId) -> &AtomicU64 {
        &self.0[usize::from(port.get() >> 6)]
    }

    fn bit(port: PortId) -> u64 {
        1 << (port.get() & 63)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ports_come_and_go_one_by_one() {
        let set = PortSet::default();
        let port = |number| PortId::new(number).unwrap();
        assert!(set.insert(port(511)) && !set.insert(port(511)) && set.insert(port(0)));
        assert!(set.contains(511) && set.contains(0) && !set.contains(64) && !set.contains(512));
        assert!(set.remove(port(511)) && !set.remove(port(511)) && !set.contains(511));
    }
}
