//! `ilm`: what to do with an incoming label, by the label itself.
//!
//! One worker or two have a map each, with their counters next to the actions, so a packet touches a quarter of a cache line that no other
//! worker writes. More workers have one map of actions, and counters of their own.
//!
//! ```text
//! word 0  kind 3 | version 9 | new label 20 | next hop slot 32    swap, swap_push
//!         kind 3 | TTL mode 8 | 21 | next hop slot 32             php, pop_local
//!         kind 3 | TTL mode 8 | 37 | VRF 16                       pop_vrf, pop_next without VRF
//!      1  packets and bytes, as in `packed`
//!
//! pushed  15 | version 9 | pushed label of odd versions 20 | of even versions 20        of all workers, elsewhere
//! ```
//!
//! The second label of `swap_push` is in a word of its own, which takes memory only where there is one: what
//! is changed goes where the one before it is not, so a worker that has read the first word finds the label that belongs to it, unless it was
//! changed twice meanwhile, which the versions tell.

use std::num::NonZeroU16;
use std::sync::Arc;

use svpn_dpdk::OutOfMemory;

use super::packed::Halves;
use super::words::{DenseWords, SparseWords};
use crate::entries::CounterData;
use crate::sync::{AtomicBool, AtomicU64, Ordering};

/// Words of a label where its counter lies next to its action.
const ENTRY: usize = 2;
/// As many workers have a map each: two misses of the cache for a packet cost more than 16 bytes for a label.
const APART: u16 = 2;
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

/// A label's first word, and where its packets are counted.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Found<'a> {
    bits: u64,
    counter: &'a AtomicU64,
}

impl Found<'_> {
    /// The new label and the slot of the next hop, of a label that is replaced.
    #[inline]
    #[allow(clippy::cast_possible_truncation, reason = "each part is cut to its width")]
    pub(crate) fn swap(self) -> Option<(u32, u32)> {
        (self.bits >> KIND_SHIFT == SWAP).then_some(((self.bits >> 32 & LABEL) as u32, self.bits as u32))
    }

    /// The VRF and the TTL mode, of a label that is removed to route what is below.
    #[inline]
    #[allow(clippy::cast_possible_truncation, reason = "each part is cut to its width")]
    pub(crate) fn pop_vrf(self) -> Option<(u16, u8)> {
        (self.bits >> KIND_SHIFT == POP_VRF).then_some((self.bits as u16, (self.bits >> TTL_MODE_SHIFT) as u8))
    }
}

/// What a worker does with labels, and its counters.
#[derive(Debug)]
pub(crate) struct LabelMap {
    /// Actions and counters by turns, or counters alone.
    words: DenseWords,
    /// The actions, where all workers have the same.
    actions: Option<Arc<DenseWords>>,
    halves: Halves,
    pushed: Arc<SparseWords>,
    /// Whether there ever was a `swap_push`, and it is worth while to fetch a word of `pushed`.
    pushes: AtomicBool,
}

impl LabelMap {
    /// Labels are 0 to 2²⁰ − 1.
    pub(crate) const LABELS: u32 = 1 << 20;

    /// The maps of so many workers, for labels below `labels`.
    pub(crate) fn for_workers(labels: u32, workers: NonZeroU16) -> Result<Vec<Arc<Self>>, OutOfMemory> {
        let labels = labels as usize;
        let pushed = Arc::new(SparseWords::new(labels)?);
        let actions = if workers.get() > APART { Some(Arc::new(DenseWords::new(labels)?)) } else { None };
        let words = labels * if actions.is_some() { 1 } else { ENTRY };
        let map = |_| {
            Ok(Arc::new(Self {
                words: DenseWords::new(words)?,
                actions: actions.clone(),
                halves: Halves::new(labels)?,
                pushed: Arc::clone(&pushed),
                pushes: AtomicBool::new(false),
            }))
        };
        (0..workers.get()).map(map).collect()
    }

    #[inline]
    pub(crate) fn prefetch(&self, label: u32) {
        match &self.actions {
            None => self.words.prefetch(label as usize * ENTRY),
            Some(actions) => {
                actions.prefetch(label as usize);
                self.words.prefetch(label as usize);
            }
        }
        if self.pushes.load(Ordering::Relaxed) {
            self.pushed.prefetch(label as usize);
        }
    }

    #[inline]
    pub(crate) fn get(&self, label: u32) -> Option<LabelAction> {
        loop {
            // What has changed twice since the first word was read has changed the first word too.
            let l2 = |version| pushed(self.pushed.load_acquire(label as usize), version);
            let bits = match &self.actions {
                None => self.words.load_acquire(label as usize * ENTRY),
                Some(actions) => actions.load_acquire(label as usize),
            };
            if let Ok(action) = LabelAction::from_bits(bits, l2) {
                return action;
            }
        }
    }

    /// A label's action and counter, for those who ask for what most labels do; `None` for no label.
    #[inline]
    pub(crate) fn find(&self, label: u32) -> Option<Found<'_>> {
        Some(match &self.actions {
            None => {
                let [action, counter] = self.words.part(label as usize)?;
                Found { bits: action.load(Ordering::Acquire), counter }
            }
            Some(actions) => {
                let [counter] = self.words.part(label as usize)?;
                Found { bits: actions.load_acquire(label as usize), counter }
            }
        })
    }

    /// Counts a packet of a label that was found; for the worker whose map it is.
    #[inline]
    pub(crate) fn count_found(&self, found: Found<'_>, label: u32, bytes: u32) {
        self.halves.add_to(found.counter, label as usize, bytes);
    }

    /// Counts a packet; for the worker whose map it is.
    #[inline]
    pub(crate) fn count(&self, label: u32, bytes: u32) {
        self.halves.add(&self.words, self.counter_place(label), label as usize, bytes);
    }

    pub(crate) fn counter(&self, label: u32) -> CounterData {
        self.halves.read(&self.words, self.counter_place(label), label as usize)
    }

    /// Sets a label's counter to zero; the worker may not be counting it.
    pub(crate) fn clear_counter(&self, label: u32) {
        self.halves.clear(&self.words, self.counter_place(label), label as usize);
    }

    #[inline]
    fn counter_place(&self, label: u32) -> usize {
        if self.actions.is_none() { label as usize * ENTRY + 1 } else { label as usize }
    }

    /// Replaces the first word of a label, with all that was stored before.
    fn replace(&self, label: u32, bits: u64) {
        match &self.actions {
            None => self.words.store_release(label as usize * ENTRY, bits),
            Some(actions) => actions.store_release(label as usize, bits),
        }
    }
}

/// The one writer of all workers' maps.
#[derive(Debug)]
pub(crate) struct LabelWriter(Vec<Arc<LabelMap>>);

impl LabelWriter {
    /// The writer of maps that were made together.
    pub(crate) fn new(maps: Vec<Arc<LabelMap>>) -> Self {
        Self(maps)
    }

    /// What workers do with a label: all the same.
    pub(crate) fn get(&self, label: u32) -> Option<LabelAction> {
        self.0.first()?.get(label)
    }

    /// Says what to do with a label, there or not. `quiesce` waits until every worker has been quiescent.
    pub(crate) fn set(&mut self, label: u32, action: LabelAction, quiesce: impl FnOnce()) {
        let mut bits = action.bits();
        if let LabelAction::SwapPush { l2, .. } = action {
            bits |= self.push(label, l2, quiesce) << VERSION_SHIFT;
        }
        self.0.iter().for_each(|map| map.replace(label, bits));
    }

    pub(crate) fn clear(&mut self, label: u32) {
        self.0.iter().for_each(|map| map.replace(label, 0));
    }

    /// Puts the label that is to be pushed where workers look for it with the version that is returned.
    fn push(&self, label: u32, l2: u32, quiesce: impl FnOnce()) -> u64 {
        let Some(first) = self.0.first() else { return 0 };
        let (words, place) = (&first.pushed, label as usize);
        let before = words.load(place);
        let version = (before >> LAST_SHIFT).wrapping_add(1) & VERSIONS;
        if version.is_multiple_of(QUIESCENT) {
            // A worker might still look for the label of a version that comes round.
            quiesce();
        }
        let shift = pushed_shift(version);
        let kept = before & (LABEL << LABEL_BITS | LABEL) & !(LABEL << shift);
        words.store_release(place, version << LAST_SHIFT | kept | (u64::from(l2) & LABEL) << shift);
        self.0.iter().for_each(|map| map.pushes.store(true, Ordering::Relaxed));
        version
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

    fn maps(labels: u32, workers: u16) -> (Vec<Arc<LabelMap>>, LabelWriter) {
        let maps = LabelMap::for_workers(labels, NonZeroU16::new(workers).unwrap()).unwrap();
        (maps.clone(), LabelWriter::new(maps))
    }

    proptest! {
        /// Each worker has the action, and a counter of its own; neighbours have nothing of it.
        #[test]
        fn an_action_survives_its_words_whatever_was_there(
            actions in prop::collection::vec(actions(), 1..8),
            label in 0..16_u32,
            workers in 1..5_u16,
        ) {
            let (maps, mut writer) = maps(16, workers);
            for action in actions {
                writer.set(label, action, || {});
                prop_assert_eq!(writer.get(label), Some(action));
                prop_assert!(maps.iter().all(|map| map.get(label) == Some(action)));
            }
            for (map, times) in maps.iter().zip(1..) {
                map.prefetch(label);
                (0..times).for_each(|_| map.count(label, 60));
                map.count(label, 1500);
            }
            for (map, times) in maps.iter().zip(1..) {
                prop_assert_eq!(map.counter(label), CounterData { packets: times + 1, bytes: 1500 + 60 * times });
                let others = (0..16).filter(|other| *other != label);
                prop_assert!(others.into_iter().all(|other| map.get(other).is_none() && map.counter(other) == CounterData::default()));
            }
            writer.clear(label);
            for map in maps {
                map.clear_counter(label);
                prop_assert_eq!((map.get(label), map.counter(label)), (None, CounterData::default()));
                prop_assert_eq!(map.get(16), None);
            }
        }
    }

    #[test]
    fn versions_come_round_only_after_everybody_was_quiescent_twice() {
        let (_, mut writer) = maps(1, 1);
        let mut waits = 0;
        for l2 in 0..2048 {
            writer.set(0, LabelAction::SwapPush { label: 16, l2, nexthop: 1 }, || waits += 1);
            assert_eq!(writer.get(0), Some(LabelAction::SwapPush { label: 16, l2, nexthop: 1 }));
        }
        assert_eq!(waits, 8);
    }

    #[test]
    fn a_pushed_label_is_not_taken_for_another_versions() {
        let (maps, mut writer) = maps(1, 1);
        let mut set = |l2| writer.set(0, LabelAction::SwapPush { label: 16, l2, nexthop: 1 }, || {});
        set(100);
        let version = maps[0].words.load(0) >> VERSION_SHIFT & VERSIONS;
        for (l2, expected) in [(200, Some(100)), (300, None), (400, None)] {
            set(l2);
            assert_eq!(pushed(maps[0].pushed.load(0), version).ok(), expected);
        }
    }

    /// Both labels and the next hop are of one change, always, in maps apart and in one.
    #[test]
    fn a_reader_sees_whole_changes() {
        [1, 2, 3].into_iter().for_each(read_and_change);
    }

    fn read_and_change(workers: u16) {
        const CHANGES: u32 = 8_000;
        let (maps, mut writer) = maps(1, workers);
        let reclaimer = Reclaimer::new(NonZeroU16::new(workers).unwrap());
        let change = |number: u32| LabelAction::SwapPush { label: number, l2: number ^ 0xf_ffff, nexthop: number };
        let quiesce = || {
            let period = reclaimer.start();
            while !reclaimer.is_over(period) {
                std::thread::yield_now();
            }
        };
        writer.set(0, change(0), quiesce);
        std::thread::scope(|scope| {
            for map in &maps {
                let mut reader = reclaimer.reader().unwrap();
                scope.spawn(move || {
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
            }
            (1..=CHANGES).for_each(|number| writer.set(0, change(number), quiesce));
        });
    }
}
