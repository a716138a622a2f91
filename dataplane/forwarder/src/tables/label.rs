//! `ilm`: what to do with an incoming label, by the label itself.
//!
//! Each worker has a map of its own with its counters next to the actions, so a packet touches half a cache line that no other
//! worker writes.
//!
//! ```text
//! word 0  kind 3 | version 9 | new label 20 | next hop slot 32    swap, swap_push
//!         kind 3 | TTL mode 8 | 21 | next hop slot 32             php, pop_local
//!         kind 3 | TTL mode 8 | 37 | VRF 16                       pop_vrf, pop_next without VRF
//!      1  packets    2  bytes
//!      3  15 | version 9 | pushed label of odd versions 20 | of even versions 20
//! ```
//!
//! The second label of `swap_push` is in a word of its own: one that is changed goes where the one before it is not, so a worker that has
//! read the first word finds the label that belongs to it, unless it was changed twice meanwhile, which the versions tell.

use svpn_dpdk::OutOfMemory;

use super::counters::add;
use super::words::DenseWords;
use crate::entries::CounterData;

/// Words of a label.
const ENTRY: usize = 4;
/// The word of labels that `swap_push` pushes.
const PUSHED: usize = 3;
const KIND_SHIFT: u32 = 61;
const TTL_MODE_SHIFT: u32 = 53;
/// In the first word.
const VERSION_SHIFT: u32 = 52;
/// In the word of pushed labels.
const LAST_SHIFT: u32 = 40;
const VERSIONS: u64 = 0x1ff;
/// After so many versions, twice in a round, every worker has to have been quiescent: one that is as slow as can be then has a version
/// that does not come before the next time.
const QUIESCENT: u64 = 0x100;
const LABEL_BITS: u32 = 20;
const LABEL: u64 = (1 << LABEL_BITS) - 1;

const SWAP: u64 = 1;
const PHP: u64 = 2;
const POP_VRF: u64 = 3;
const SWAP_PUSH: u64 = 4;
const POP_LOCAL: u64 = 5;
const POP_NEXT: u64 = 6;

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
    /// Replaces it and puts another above it.
    SwapPush {
        /// The new label.
        label: u32,
        /// The one above it.
        l2: u32,
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
    /// Removes it; what is below is IP and leaves for a next hop.
    PopLocal {
        /// Slot of the next hop.
        nexthop: u32,
        /// 0 uniform, else pipe.
        ttl_mode: u8,
    },
    /// Removes it; the label below is acted upon.
    PopNext {
        /// 0 uniform, else pipe.
        ttl_mode: u8,
    },
}

impl LabelAction {
    /// The first word, without a version.
    fn bits(self) -> u64 {
        let popping = |kind: u64, ttl_mode: u8, rest: u64| kind << KIND_SHIFT | u64::from(ttl_mode) << TTL_MODE_SHIFT | rest;
        let swapping = |kind: u64, label: u32, nexthop: u32| kind << KIND_SHIFT | (u64::from(label) & LABEL) << 32 | u64::from(nexthop);
        match self {
            Self::Swap { label, nexthop } => swapping(SWAP, label, nexthop),
            Self::SwapPush { label, nexthop, .. } => swapping(SWAP_PUSH, label, nexthop),
            Self::Php { nexthop, ttl_mode } => popping(PHP, ttl_mode, nexthop.into()),
            Self::PopVrf { vrf, ttl_mode } => popping(POP_VRF, ttl_mode, vrf.into()),
            Self::PopLocal { nexthop, ttl_mode } => popping(POP_LOCAL, ttl_mode, nexthop.into()),
            Self::PopNext { ttl_mode } => popping(POP_NEXT, ttl_mode, 0),
        }
    }

    /// Of the first word; `l2` is asked for where there is one, and says if it does not belong to this word any more.
    #[inline]
    #[allow(clippy::cast_possible_truncation, reason = "each part is cut to its width")]
    fn from_bits(bits: u64, l2: impl FnOnce(u64) -> Result<u32, Changed>) -> Result<Option<Self>, Changed> {
        let (ttl_mode, nexthop, label) = ((bits >> TTL_MODE_SHIFT) as u8, bits as u32, (bits >> 32 & LABEL) as u32);
        Ok(Some(match bits >> KIND_SHIFT {
            SWAP => Self::Swap { label, nexthop },
            PHP => Self::Php { nexthop, ttl_mode },
            POP_VRF => Self::PopVrf { vrf: bits as u16, ttl_mode },
            SWAP_PUSH => Self::SwapPush { label, l2: l2(bits >> VERSION_SHIFT & VERSIONS)?, nexthop },
            POP_LOCAL => Self::PopLocal { nexthop, ttl_mode },
            POP_NEXT => Self::PopNext { ttl_mode },
            _ => return Ok(None),
        }))
    }
}

/// The pushed label of a version was overwritten.
struct Changed;

/// The pushed label of a version, from the word of pushed labels.
#[inline]
#[allow(clippy::cast_possible_truncation, reason = "a label has 20 bits")]
fn pushed(word: u64, version: u64) -> Result<u32, Changed> {
    let later = (word >> LAST_SHIFT).wrapping_sub(version) & VERSIONS;
    if later > 1 {
        return Err(Changed);
    }
    Ok((word >> pushed_shift(version) & LABEL) as u32)
}

/// Where the pushed label of a version is.
#[inline]
fn pushed_shift(version: u64) -> u32 {
    if version & 1 == 0 { 0 } else { LABEL_BITS }
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
        let place = label as usize * ENTRY;
        loop {
            // What has changed twice since the first word was read has changed the first word too.
            let l2 = |version| pushed(self.0.load_acquire(place + PUSHED), version);
            if let Ok(action) = LabelAction::from_bits(self.0.load_acquire(place), l2) {
                return action;
            }
        }
    }

    /// Says what to do with a label, there or not. `quiesce` waits until every worker has been quiescent.
    pub(crate) fn set(&self, label: u32, action: LabelAction, quiesce: impl FnOnce()) {
        let place = label as usize * ENTRY;
        let mut bits = action.bits();
        if let LabelAction::SwapPush { l2, .. } = action {
            let before = self.0.load(place + PUSHED);
            let version = (before >> LAST_SHIFT).wrapping_add(1) & VERSIONS;
            if version.is_multiple_of(QUIESCENT) {
                // A worker might still look for the label of a version that comes round.
                quiesce();
            }
            let shift = pushed_shift(version);
            let kept = before & (LABEL << LABEL_BITS | LABEL) & !(LABEL << shift);
            self.0.store_release(place + PUSHED, version << LAST_SHIFT | kept | (u64::from(l2) & LABEL) << shift);
            bits |= version << VERSION_SHIFT;
        }
        self.0.store_release(place, bits);
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
    use std::num::NonZeroU16;

    use proptest::prelude::*;
    use svpn_dpdk::Reclaimer;

    use super::*;

    fn actions() -> impl Strategy<Value = LabelAction> {
        let label = || 0..1_u32 << 20;
        prop_oneof![
            (label(), any::<u32>()).prop_map(|(label, nexthop)| LabelAction::Swap { label, nexthop }),
            (label(), label(), any::<u32>()).prop_map(|(label, l2, nexthop)| LabelAction::SwapPush { label, l2, nexthop }),
            (any::<u32>(), any::<u8>()).prop_map(|(nexthop, ttl_mode)| LabelAction::Php { nexthop, ttl_mode }),
            (any::<u16>(), any::<u8>()).prop_map(|(vrf, ttl_mode)| LabelAction::PopVrf { vrf, ttl_mode }),
            (any::<u32>(), any::<u8>()).prop_map(|(nexthop, ttl_mode)| LabelAction::PopLocal { nexthop, ttl_mode }),
            any::<u8>().prop_map(|ttl_mode| LabelAction::PopNext { ttl_mode }),
        ]
    }

    proptest! {
        #[test]
        fn an_action_survives_its_words_whatever_was_there(actions in prop::collection::vec(actions(), 1..8), label in 0..16_u32) {
            let map = LabelMap::new(16).unwrap();
            for action in actions {
                map.set(label, action, || {});
                prop_assert_eq!(map.get(label), Some(action));
            }
            map.count(label, 60);
            map.count(label, 1500);
            prop_assert_eq!(map.counter(label), CounterData { packets: 2, bytes: 1560 });
            map.clear(label);
            map.clear_counter(label);
            prop_assert_eq!((map.get(label), map.counter(label)), (None, CounterData::default()));
            prop_assert_eq!(map.get(16), None);
        }
    }

    #[test]
    fn versions_come_round_only_after_everybody_was_quiescent_twice() {
        let map = LabelMap::new(1).unwrap();
        let mut waits = 0;
        for l2 in 0..2048 {
            map.set(0, LabelAction::SwapPush { label: 16, l2, nexthop: 1 }, || waits += 1);
            assert_eq!(map.get(0), Some(LabelAction::SwapPush { label: 16, l2, nexthop: 1 }));
        }
        assert_eq!(waits, 8);
    }

    #[test]
    fn a_pushed_label_is_not_taken_for_another_versions() {
        let map = LabelMap::new(1).unwrap();
        let set = |l2| map.set(0, LabelAction::SwapPush { label: 16, l2, nexthop: 1 }, || {});
        set(100);
        let version = map.0.load(0) >> VERSION_SHIFT & VERSIONS;
        for (l2, expected) in [(200, Some(100)), (300, None), (400, None)] {
            set(l2);
            assert_eq!(pushed(map.0.load(PUSHED), version).ok(), expected);
        }
    }

    /// Both labels and the next hop are of one change, always.
    #[test]
    fn a_reader_sees_whole_changes() {
        const CHANGES: u32 = 20_000;
        let map = LabelMap::new(1).unwrap();
        let reclaimer = Reclaimer::new(NonZeroU16::MIN);
        let mut reader = reclaimer.reader().unwrap();
        let change = |number: u32| LabelAction::SwapPush { label: number, l2: number ^ 0xf_ffff, nexthop: number };
        let quiesce = || {
            let period = reclaimer.start();
            while !reclaimer.is_over(period) {
                std::thread::yield_now();
            }
        };
        map.set(0, change(0), quiesce);
        std::thread::scope(|scope| {
            let reader = scope.spawn(|| {
                let mut online = reader.online();
                let mut last = 0;
                while last < CHANGES {
                    let Some(LabelAction::SwapPush { label, l2, nexthop }) = map.get(0) else { panic!("there is no other") };
                    assert_eq!((label, l2), (nexthop, nexthop ^ 0xf_ffff));
                    assert!(nexthop >= last);
                    last = nexthop;
                    online.quiescent();
                }
            });
            (1..=CHANGES).for_each(|number| map.set(0, change(number), quiesce));
            reader.join().unwrap();
        });
    }
}
