//! The control thread's end of the routes.

use std::collections::BTreeMap;
use std::sync::Arc;

use svpn_dpdk::Reclaimer;

use super::{BLOCK_SHIFT, Node, PREFIXES_SHIFT, Route, RouteTable, STRIDE, TOP_BITS, TOP_LEVELS, WORTH_A_TOP};
use crate::tables::blocks::{Block, Blocks};

/// The arena has no words left.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct NoWords;

/// Largest block: 16 children and 15 prefixes.
const LARGEST: u32 = 31;
/// Words that one change may need: a block on each of nine levels.
const MOST_WORDS: u32 = 9 * LARGEST;

/// The one writer of the routes. The trie is also the list of them: nothing else remembers a route.
#[derive(Debug)]
pub(crate) struct RouteWriter {
    table: Arc<RouteTable>,
    blocks: Blocks,
    /// Of tops.
    tops: Blocks,
    routes: usize,
    /// Those that have routes.
    vrfs: BTreeMap<u16, Vrf>,
}

/// What there is to know of a VRF.
#[derive(Debug, Default)]
struct Vrf {
    routes: usize,
    top: Option<Block>,
}

/// Where a node's word is.
#[derive(Debug, Clone, Copy)]
enum Place {
    Root(u16),
    Arena(usize),
}

/// A prefix: the address bits, zero behind them, and how many count.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Prefix {
    pub(crate) address: u32,
    pub(crate) length: u32,
}

impl Prefix {
    /// Levels above the node that has the prefix.
    fn depth(self) -> u32 {
        self.length / STRIDE
    }

    /// The bit of the prefix in its node.
    fn position(self) -> u32 {
        let length = self.length % STRIDE;
        let bits = if length == 0 { 0 } else { bits_at(self.address, self.depth()) >> (STRIDE - length) };
        (1 << length) - 1 + bits
    }
}

/// The four address bits of a level.
fn bits_at(address: u32, level: u32) -> u32 {
    address << (level * STRIDE) >> (32 - STRIDE)
}

/// The word of a top for an address.
fn top_word(top: Block, address: u32) -> usize {
    (top.first as usize) << TOP_BITS | (address >> (32 - TOP_BITS)) as usize
}

/// A node taken apart.
struct Parts {
    children: [u64; 16],
    prefixes: [u64; 15],
}

impl RouteWriter {
    pub(crate) fn new(table: Arc<RouteTable>, routes: u32) -> Self {
        let (blocks, tops) = (Blocks::new(RouteTable::arena_words(routes), LARGEST), Blocks::new(RouteTable::tops(routes), 1));
        Self { table, blocks, tops, routes: 0, vrfs: BTreeMap::new() }
    }

    /// Routes there are.
    pub(crate) fn len(&self) -> usize {
        self.routes
    }

    /// The route of exactly this prefix.
    pub(crate) fn get(&self, vrf: u16, prefix: Prefix) -> Option<Route> {
        let mut node = self.load(Place::Root(vrf));
        for level in 0..prefix.depth() {
            node = self.load(Place::Arena(node.child(bits_at(prefix.address, level))?));
        }
        Route::from_bits(self.table.arena.load(node.route(prefix.position())?))
    }

    /// Adds or replaces a route. On an error nothing has changed.
    pub(crate) fn set(&mut self, vrf: u16, prefix: Prefix, route: Route) -> Result<(), NoWords> {
        let mut place = Place::Root(vrf);
        let mut level = 0;
        // Down to the node of the prefix, or the last one above it.
        while level < prefix.depth()
            && let Some(child) = self.load(place).child(bits_at(prefix.address, level))
        {
            place = Place::Arena(child);
            level += 1;
        }
        let node = self.load(place);
        if level == prefix.depth()
            && let Some(word) = node.route(prefix.position())
        {
            // Release: who finds the route finds what it names.
            self.table.arena.store_release(word, route.bits());
            return Ok(());
        }
        if self.blocks.untouched() < MOST_WORDS {
            return Err(NoWords);
        }
        // The nodes that are missing, from the bottom up, and then the one that was there.
        let mut below = None;
        for missing in (level + 1..=prefix.depth()).rev() {
            let mut parts = Parts::nothing();
            parts.add(prefix, missing, below, route);
            below = Some(self.build(&parts)?);
        }
        let mut parts = self.take_apart(node);
        parts.add(prefix, level, below, route);
        let replacement = self.build(&parts)?;
        self.replace(place, node, replacement);
        self.routes += 1;
        let entry = self.vrfs.entry(vrf).or_default();
        entry.routes += 1;
        if entry.top.is_some() {
            self.note_top(vrf, prefix);
        } else if entry.routes >= WORTH_A_TOP
            && let Some(top) = self.tops.take(1)
        {
            entry.top = Some(top);
            self.fill_top(top, Place::Root(vrf), 0, 0);
            self.table.top_of.store_release(usize::from(vrf), u64::from(top.first) + 1);
        }
        Ok(())
    }

    /// Copies all nodes of a top's level below this place into it.
    fn fill_top(&self, top: Block, place: Place, level: u32, address: u32) {
        let node = self.load(place);
        if level == TOP_LEVELS {
            self.table.tops.store_release(top_word(top, address), node.0);
            return;
        }
        for bits in 0..16_u32 {
            if let Some(child) = node.child(bits) {
                self.fill_top(top, Place::Arena(child), level + 1, address | bits << (32 - STRIDE) >> (level * STRIDE));
            }
        }
    }

    /// Copies the node on the way to a prefix that a VRF's top has, if it has one, after a change. Shorter prefixes are not in a top.
    fn note_top(&self, vrf: u16, prefix: Prefix) {
        let Some(top) = self.vrfs.get(&vrf).and_then(|vrf| vrf.top) else { return };
        if prefix.depth() < TOP_LEVELS {
            return;
        }
        let root = self.load(Place::Root(vrf));
        let below = |node: Node, level| Some(self.load(Place::Arena(node.child(bits_at(prefix.address, level))?)));
        let node = (0..TOP_LEVELS).try_fold(root, below).unwrap_or(Node::NOTHING);
        self.table.tops.store_release(top_word(top, prefix.address), node.0);
    }

    /// Removes a route; whether it was there.
    pub(crate) fn remove(&mut self, vrf: u16, prefix: Prefix) -> bool {
        if self.get(vrf, prefix).is_none() {
            return false;
        }
        // The path to the prefix, and the lowest node of it that keeps something.
        let mut path = vec![Place::Root(vrf)];
        for level in 0..prefix.depth() {
            let node = self.load(path[path.len() - 1]);
            if let Some(child) = node.child(bits_at(prefix.address, level)) {
                path.push(Place::Arena(child));
            }
        }
        let keeps = |(level, place): &(usize, &Place)| *level == 0 || self.load(**place).words() > 1;
        let (level, place) = path.iter().enumerate().rev().find(keeps).map_or((0, path[0]), |(level, place)| (level, *place));
        let gone: Vec<Node> = path[level + 1..].iter().map(|place| self.load(*place)).collect();
        let node = self.load(place);
        let mut parts = self.take_apart(node);
        let level = u32::try_from(level).unwrap_or_default();
        if level == prefix.depth() {
            parts.prefixes[prefix.position() as usize] = 0;
        } else {
            parts.children[bits_at(prefix.address, level) as usize] = 0;
        }
        // One block, smaller than the one it replaces: there is always room, or the route stays.
        let Ok(replacement) = self.build(&parts) else { return false };
        self.replace(place, node, replacement);
        for node in gone {
            self.retire(node);
        }
        self.note_top(vrf, prefix);
        self.routes -= 1;
        if let Some(entry) = self.vrfs.get_mut(&vrf) {
            entry.routes -= 1;
            if entry.routes == 0 {
                // All words of the top are zero again.
                self.table.top_of.store(usize::from(vrf), 0);
                entry.top.into_iter().for_each(|top| self.tops.retire(top));
                self.vrfs.remove(&vrf);
            }
        }
        true
    }

    /// All routes, by VRF.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (u16, Prefix, Route)> + '_ {
        self.vrfs.keys().flat_map(|&vrf| {
            let mut found = Vec::new();
            self.collect(self.load(Place::Root(vrf)), 0, 0, &mut found);
            found.into_iter().map(move |(prefix, route)| (vrf, prefix, route))
        })
    }

    /// Makes words free that no worker reads any more.
    pub(crate) fn publish(&mut self, reclaimer: &Reclaimer) {
        self.blocks.publish(reclaimer, |_| {});
        self.tops.publish(reclaimer, |_| {});
    }

    fn collect(&self, node: Node, level: u32, address: u32, found: &mut Vec<(Prefix, Route)>) {
        for length in 0..STRIDE {
            for bits in 0..1_u32 << length {
                let route = node.route((1 << length) - 1 + bits).map(|word| self.table.arena.load(word));
                if let Some(route) = route.and_then(Route::from_bits) {
                    let length = level * STRIDE + length;
                    // A prefix of no bits has nothing to shift in.
                    let address = if bits == 0 { address } else { address | bits << (32 - length) };
                    found.push((Prefix { address, length }, route));
                }
            }
        }
        for bits in 0..16_u32 {
            if let Some(child) = node.child(bits) {
                let address = address | bits << (32 - STRIDE) >> (level * STRIDE);
                self.collect(self.load(Place::Arena(child)), level + 1, address, found);
            }
        }
    }

    fn load(&self, place: Place) -> Node {
        match place {
            Place::Root(vrf) => Node(self.table.roots.load(usize::from(vrf))),
            Place::Arena(word) => Node(self.table.arena.load(word)),
        }
    }

    /// Replaces a node for the workers, and gives up its block.
    fn replace(&mut self, place: Place, old: Node, new: Node) {
        match place {
            Place::Root(vrf) => self.table.roots.store_release(usize::from(vrf), new.0),
            Place::Arena(word) => self.table.arena.store_release(word, new.0),
        }
        self.retire(old);
    }

    fn retire(&mut self, node: Node) {
        self.blocks.retire(Block { first: u32::try_from(node.block()).unwrap_or_default(), units: node.words() });
    }

    fn take_apart(&self, node: Node) -> Parts {
        let mut parts = Parts::nothing();
        for (bits, child) in (0..).zip(&mut parts.children) {
            *child = node.child(bits).map_or(0, |word| self.table.arena.load(word));
        }
        for (position, route) in (0..).zip(&mut parts.prefixes) {
            *route = node.route(position).map_or(0, |word| self.table.arena.load(word));
        }
        parts
    }

    /// A node in a block of its own.
    fn build(&mut self, parts: &Parts) -> Result<Node, NoWords> {
        let bitmap = |words: &[u64]| words.iter().rev().fold(0_u64, |bits, word| bits << 1 | u64::from(*word != 0));
        let (children, prefixes) = (bitmap(&parts.children), bitmap(&parts.prefixes));
        let words = children.count_ones() + prefixes.count_ones();
        if words == 0 {
            return Ok(Node::NOTHING);
        }
        let block = self.blocks.take(words).ok_or(NoWords)?;
        let contents = parts.children.iter().chain(&parts.prefixes).filter(|word| **word != 0);
        for (word, content) in (block.first as usize..).zip(contents) {
            self.table.arena.store(word, *content);
        }
        Ok(Node(u64::from(block.first) << BLOCK_SHIFT | prefixes << PREFIXES_SHIFT | children))
    }
}

impl Parts {
    fn nothing() -> Self {
        Self { children: [0; 16], prefixes: [0; 15] }
    }

    /// Adds what leads to a prefix: its route on its own level, a child above it.
    fn add(&mut self, prefix: Prefix, level: u32, child: Option<Node>, route: Route) {
        match child {
            Some(child) => self.children[bits_at(prefix.address, level) as usize] = child.0,
            None => self.prefixes[prefix.position() as usize] = route.bits(),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::num::NonZeroU16;

    use proptest::prelude::*;

    use super::*;
    use crate::tables::carry::Carry;

    fn routes(size: u32) -> (Arc<RouteTable>, RouteWriter) {
        let table = Arc::new(RouteTable::new(size).unwrap());
        (Arc::clone(&table), RouteWriter::new(table, size))
    }

    fn find(table: &RouteTable, vrf: u16, address: u32) -> Option<Route> {
        let mut walk = table.start(vrf, address);
        while table.step(&mut walk) {}
        if walk.has_to_begin_again() {
            walk = table.start_at_root(vrf, address);
            while table.step(&mut walk) {}
        }
        table.end(&mut walk);
        table.route(&walk)
    }

    fn mask(length: u32) -> u32 {
        u32::MAX.checked_shl(32 - length).unwrap_or(0)
    }

    fn prefixes() -> impl Strategy<Value = Prefix> {
        // Addresses that share long prefixes, and any.
        let address = prop_oneof![any::<u32>(), (0..16_u32, 0..32_u32).prop_map(|(low, shift)| 0x0a00_0000 ^ low.rotate_right(shift))];
        (address, 0..=32_u32).prop_map(|(address, length)| Prefix { address: address & mask(length), length })
    }

    fn route() -> impl Strategy<Value = Route> {
        prop_oneof![
            (any::<u32>(), 0..1_u32 << 20, 0..8_u8).prop_map(|(tunnel, vpn_label, class)| Route::ViaTunnel(Carry {
                tunnel,
                vpn_label,
                class
            })),
            any::<u32>().prop_map(Route::Local),
            Just(Route::Receive),
            Just(Route::Discard),
        ]
    }

    type Model = BTreeMap<(u16, u32, u32), Route>;

    fn naive(model: &Model, vrf: u16, address: u32) -> Option<Route> {
        (0..=32).rev().find_map(|length| model.get(&(vrf, length, address & mask(length))).copied())
    }

    #[test]
    fn a_deleted_table_gives_its_words_back() {
        let reclaimer = Reclaimer::new(NonZeroU16::MIN);
        let (table, mut writer) = routes(1);
        let prefix = Prefix { address: 0x0a01_0203, length: 32 };
        for _ in 0..1000 {
            writer.set(7, prefix, Route::Receive).unwrap();
            assert_eq!(find(&table, 7, prefix.address), Some(Route::Receive));
            assert!(writer.remove(7, prefix));
            writer.publish(&reclaimer);
        }
        assert_eq!((find(&table, 7, prefix.address), writer.len()), (None, 0));
        assert!(!writer.remove(7, prefix));
    }

    /// Enough routes of VRF 0 for a top, far from those of the tests.
    fn enough_for_a_top() -> impl Iterator<Item = Prefix> {
        (0..u32::try_from(WORTH_A_TOP).unwrap()).map(|number| Prefix { address: 0xc000_0000 | number << 8, length: 24 })
    }

    #[test]
    fn a_top_is_there_as_long_as_there_are_routes_and_is_used_again() {
        let reclaimer = Reclaimer::new(NonZeroU16::MIN);
        let (table, mut writer) = routes(1000);
        for vrf in [3, 4, 3] {
            let long = Prefix { address: 0x0a01_0000, length: 16 };
            writer.set(vrf, long, Route::Local(1)).unwrap();
            for prefix in enough_for_a_top() {
                assert_eq!(table.top_word(vrf, 0).is_some(), writer.vrfs[&vrf].routes >= WORTH_A_TOP);
                writer.set(vrf, prefix, Route::Local(1)).unwrap();
            }
            assert_eq!(table.top_word(vrf, 0x0001_ffff), Some(1));
            assert_eq!((find(&table, vrf, 0x0a01_ffff), find(&table, vrf, 0xc000_0101)), (Some(Route::Local(1)), Some(Route::Local(1))));
            assert_eq!(find(&table, vrf, 0x0a00_ffff), None);
            let all: Vec<Prefix> = writer.iter().map(|(_, prefix, _)| prefix).collect();
            assert!(all.into_iter().all(|prefix| writer.remove(vrf, prefix)));
            assert_eq!((table.top_word(vrf, 0), find(&table, vrf, 0x0a01_ffff)), (None, None));
            assert!((0..1 << TOP_BITS).all(|word| table.tops.load(word) == 0));
            writer.publish(&reclaimer);
        }
    }

    proptest! {
        #[test]
        fn it_finds_the_longest_prefix_as_a_search_of_all_does(
            with_top: bool,
            steps in prop::collection::vec((0..5_u8, 0..2_u16, prefixes(), route()), 0..120),
            asked in prop::collection::vec((0..2_u16, prefixes()), 40),
        ) {
            let (table, mut writer) = routes(1000);
            let mut model = Model::new();
            for prefix in enough_for_a_top().filter(|_| with_top) {
                writer.set(0, prefix, Route::Discard).unwrap();
                model.insert((0, prefix.length, prefix.address), Route::Discard);
            }
            prop_assert_eq!(table.top_word(0, 0).is_some(), with_top);
            for (step, vrf, prefix, route) in steps {
                // Deletions mostly of what is there.
                let there = model.keys().nth(usize::from(step) * 3).copied();
                match (step, there) {
                    (3, Some((vrf, length, address))) => {
                        prop_assert_eq!(writer.remove(vrf, Prefix { address, length }), true);
                        model.remove(&(vrf, length, address));
                    }
                    (4, _) => {
                        let gone = model.remove(&(vrf, prefix.length, prefix.address)).is_some();
                        prop_assert_eq!(writer.remove(vrf, prefix), gone);
                    }
                    _ => {
                        prop_assert_eq!(writer.set(vrf, prefix, route), Ok(()));
                        model.insert((vrf, prefix.length, prefix.address), route);
                    }
                }
                prop_assert_eq!(writer.len(), model.len());
            }
            let near = model.keys().flat_map(|&(vrf, length, address)| [(vrf, address), (vrf, address | !mask(length)), (vrf, address ^ 1)]);
            for (vrf, address) in near.chain(asked.iter().map(|(vrf, prefix)| (*vrf, prefix.address))) {
                prop_assert_eq!(find(&table, vrf, address), naive(&model, vrf, address), "{} {:x}", vrf, address);
            }
            for (vrf, prefix) in asked {
                prop_assert_eq!(writer.get(vrf, prefix), model.get(&(vrf, prefix.length, prefix.address)).copied());
            }
            let listed: Model = writer.iter().map(|(vrf, prefix, route)| ((vrf, prefix.length, prefix.address), route)).collect();
            prop_assert_eq!(listed, model);
        }
    }
}
