//! `ilm`: what to do with an incoming label, by the label itself.
//!
//! Each worker has a map of its own with its counters next to the actions, so a packet touches half a cache line that no other
//! worker writes.
//!
//! ```text
//! word 0  kind 2 | new label 20 | 10 | next hop slot 32      swap
//!         kind 2 | TTL mode 8   | 22 | next hop slot 32      php
//!         kind 2 | TTL mode 8   | 38 | VRF 16                pop_vrf
//!      1  packets    2  bytes    3  unused
//! ```

use svpn_dpdk::OutOfMemory;

use super::counters::add;
use super::words::DenseWords;
use crate::entries::CounterData;

/// Words of a label.
const ENTRY: usize = 4;
const KIND_SHIFT: u32 = 62;

/// What to do with a label.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum LabelAction {
    /// Replaces it.
    Swap {
        /// The new label.
        label: u32,
        /// Slot of the next hop.
        nexthop: u32,
    },
    /// Removes it.
    Php {
        /// Slot of the next hop.
        nexthop: u32,
        /// 0 uniform, else pipe.
        ttl_mode: u8,
    },
    /// Removes it and routes what is below.
    PopVrf {
        /// In this VRF.
        vrf: u16,
        /// 0 uniform, else pipe.
        ttl_mode: u8,
    },
}

impl LabelAction {
    fn bits(self) -> u64 {
        match self {
            Self::Swap { label, nexthop } => 1 << KIND_SHIFT | u64::from(label) << 42 | u64::from(nexthop),
            Self::Php { nexthop, ttl_mode } => 2 << KIND_SHIFT | u64::from(ttl_mode) << 54 | u64::from(nexthop),
            Self::PopVrf { vrf, ttl_mode } => 3 << KIND_SHIFT | u64::from(ttl_mode) << 54 | u64::from(vrf),
        }
    }

    #[inline]
    #[allow(clippy::cast_possible_truncation, reason = "each part is cut to its width")]
    fn from_bits(bits: u64) -> Option<Self> {
        let ttl_mode = (bits >> 54) as u8;
        match bits >> KIND_SHIFT {
            0 => None,
            1 => Some(Self::Swap { label: (bits >> 42) as u32 & 0xf_ffff, nexthop: bits as u32 }),
            2 => Some(Self::Php { nexthop: bits as u32, ttl_mode }),
            _ => Some(Self::PopVrf { vrf: bits as u16, ttl_mode }),
        }
    }
}

/// One worker's label map.
#[derive(Debug)]
pub(crate) struct LabelMap(DenseWords);

impl LabelMap {
    /// A map of labels 0 to 2²⁰ − 1.
    pub(crate) const LABELS: u32 = 1 << 20;

    pub(crate) fn new(labels: u32) -> Result<Self, OutOfMemory> {
        Ok(Self(DenseWords::new(labels as usize * ENTRY)?))
    }

    #[inline]
    pub(crate) fn prefetch(&self, label: u32) {
        self.0.prefetch(label as usize * ENTRY);
    }

    #[inline]
    pub(crate) fn get(&self, label: u32) -> Option<LabelAction> {
        LabelAction::from_bits(self.0.load_acquire(label as usize * ENTRY))
    }

    pub(crate) fn set(&self, label: u32, action: LabelAction) {
        self.0.store_release(label as usize * ENTRY, action.bits());
    }

    pub(crate) fn clear(&self, label: u32) {
        self.0.store(label as usize * ENTRY, 0);
    }

    /// Counts a packet; for the worker whose map it is.
    #[inline]
    pub(crate) fn count(&self, label: u32, bytes: u32) {
        add(&self.0, label as usize * ENTRY + 1, bytes);
    }

    pub(crate) fn counter(&self, label: u32) -> CounterData {
        let place = label as usize * ENTRY + 1;
        CounterData { packets: self.0.load(place), bytes: self.0.load(place + 1) }
    }

    /// Sets a label's counter to zero; the worker may not be counting it.
    pub(crate) fn clear_counter(&self, label: u32) {
        self.0.store(label as usize * ENTRY + 1, 0);
        self.0.store(label as usize * ENTRY + 2, 0);
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn actions() -> impl Strategy<Value = LabelAction> {
        prop_oneof![
            (0..1_u32 << 20, any::<u32>()).prop_map(|(label, nexthop)| LabelAction::Swap { label, nexthop }),
            (any::<u32>(), any::<u8>()).prop_map(|(nexthop, ttl_mode)| LabelAction::Php { nexthop, ttl_mode }),
            (any::<u16>(), any::<u8>()).prop_map(|(vrf, ttl_mode)| LabelAction::PopVrf { vrf, ttl_mode }),
        ]
    }

    proptest! {
        #[test]
        fn an_action_survives_its_word(action in actions(), label in 0..16_u32) {
            let map = LabelMap::new(16).unwrap();
            map.set(label, action);
            map.count(label, 60);
            map.count(label, 1500);
            prop_assert_eq!(map.get(label), Some(action));
            prop_assert_eq!(map.counter(label), CounterData { packets: 2, bytes: 1560 });
            map.clear(label);
            map.clear_counter(label);
            prop_assert_eq!((map.get(label), map.counter(label)), (None, CounterData::default()));
            prop_assert_eq!(map.get(16), None);
        }
    }
}
