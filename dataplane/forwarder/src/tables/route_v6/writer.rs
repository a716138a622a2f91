//! The control thread's end of the IPv6 routes.

use std::collections::BTreeMap;
use std::sync::Arc;

use svpn_dpdk::Reclaimer;

use super::{BLOCK_SHIFT, INNER, LONGEST_PATH, Node, PREFIXES_SHIFT, Path, Route, RouteTableV6, STRIDE, UNIT};
use crate::tables::blocks::{Block, Blocks};

/// The arena has no units left.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct NoUnits;

/// Largest block: 16 children and 15 prefixes.
const LARGEST: u32 = 24;

/// A prefix: the address bits, zero behind them, and how many count.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct PrefixV6 {
    pub(crate) address: u128,
    pub(crate) length: u32,
}

impl PrefixV6 {
    /// Digits above the node that has the prefix.
    fn depth(self) -> u32 {
        self.length / STRIDE
    }

    /// The bit of the prefix in its node.
    fn position(self) -> u32 {
        let length = self.length % STRIDE;
        let bits = if length == 0 { 0 } else { digit(self.address, self.depth()) >> (STRIDE - length) };
        (1 << length) - 1 + bits
    }
}

/// The four address bits at a place.
#[allow(clippy::cast_possible_truncation, reason = "four bits are left")]
fn digit(address: u128, place: u32) -> u32 {
    (address << (place * STRIDE) >> (128 - STRIDE)) as u32
}

impl Path {
    /// The path of no digits.
    const EMPTY: Self = Self(INNER);

    /// Digits of the path.
    fn digits(self) -> u32 {
        self.bits() / STRIDE
    }

    #[allow(clippy::cast_possible_truncation, reason = "four bits are left")]
    fn digit(self, place: u32) -> u32 {
        (self.0 << (place * STRIDE) >> (64 - STRIDE)) as u32
    }

    /// `count` digits of an address, from one place on; no leaf's.
    fn of(address: u128, place: u32, count: u32) -> Self {
        (place..place + count).fold(Self::EMPTY, |path, place| path.with(digit(address, place)))
    }

    /// With one digit more, which there is room for.
    fn with(self, digit: u32) -> Self {
        let count = u64::from(self.digits());
        let bits = self.0 & !0xff | u64::from(digit) << (60 - count * u64::from(STRIDE));
        Self(bits | (count + 1) << 4 | self.0 & INNER)
    }

    /// The digits from one place to another; of the same kind of node.
    fn part(self, digits: std::ops::Range<u32>) -> Self {
        digits.fold(Self::EMPTY, |part, place| part.with(self.digit(place))).of_kind(self)
    }

    /// This path to the kind of node the other leads to.
    fn of_kind(self, other: Self) -> Self {
        Self(self.0 & !INNER | other.0 & INNER)
    }

    fn to_leaf(self, position: u32) -> Self {
        Self(self.0 & !INNER | u64::from(position))
    }

    fn to_inner(self) -> Self {
        Self(self.0 | INNER)
    }
}

/// A node or leaf with the path to it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Child {
    word: u64,
    path: Path,
}

impl Child {
    const NOTHING: Self = Self { word: 0, path: Path::EMPTY };

    /// The node, if it is no leaf.
    fn node(self) -> Option<Node> {
        self.path.leaf().is_none().then_some(Node(self.word))
    }
}

/// A node taken apart.
struct Parts {
    children: [Child; 16],
    prefixes: [u64; 15],
}

impl Parts {
    fn nothing() -> Self {
        Self { children: [Child::NOTHING; 16], prefixes: [0; 15] }
    }

    /// The only child, if there is nothing else.
    fn only_child(&self) -> Option<(u32, Child)> {
        let mut there = (0..).zip(self.children).filter(|(_, child)| child.word != 0);
        let first = there.next()?;
        (there.next().is_none() && self.prefixes.iter().all(|route| *route == 0)).then_some(first)
    }

    /// The only prefix, if there is nothing else.
    fn only_prefix(&self) -> Option<(u32, u64)> {
        let mut there = (0..).zip(self.prefixes).filter(|(_, route)| *route != 0);
        let first = there.next()?;
        (there.next().is_none() && self.children.iter().all(|child| child.word == 0)).then_some(first)
    }
}

/// The one writer of the routes. The trie is also the list of them: nothing else remembers a route.
#[derive(Debug)]
pub(crate) struct RouteWriterV6 {
    table: Arc<RouteTableV6>,
    blocks: Blocks,
    /// Blocks taken and given up by the change that is being made: all of it happens, or nothing.
    taken: Vec<Block>,
    given_up: Vec<Block>,
    routes: usize,
    /// How many each VRF has that has any.
    vrfs: BTreeMap<u16, usize>,
}

impl RouteWriterV6 {
    pub(crate) fn new(table: Arc<RouteTableV6>, routes: u32) -> Self {
        let blocks = Blocks::new(RouteTableV6::arena_units(routes), LARGEST);
        Self { table, blocks, taken: Vec::new(), given_up: Vec::new(), routes: 0, vrfs: BTreeMap::new() }
    }

    /// Routes there are.
    pub(crate) fn len(&self) -> usize {
        self.routes
    }

    /// The route of exactly this prefix.
    pub(crate) fn get(&self, vrf: u16, prefix: PrefixV6) -> Option<Route> {
        let (mut child, mut at) = (self.root(vrf), 0);
        loop {
            let depth = at + child.path.digits();
            if depth > prefix.depth() || common(child.path, prefix, at) < child.path.digits() {
                return None;
            }
            let Some(node) = child.node() else {
                let found = depth == prefix.depth() && child.path.leaf() == Some(prefix.position());
                return if found { Route::from_bits(child.word) } else { None };
            };
            if depth == prefix.depth() {
                return Route::from_bits(self.table.arena.load(node.route(prefix.position())?));
            }
            child = self.child(node.child(digit(prefix.address, depth))?);
            at = depth + 1;
        }
    }

    /// Adds or replaces a route. On an error nothing has changed.
    pub(crate) fn set(&mut self, vrf: u16, prefix: PrefixV6, route: Route) -> Result<(), NoUnits> {
        let there = self.get(vrf, prefix).is_some();
        let old = self.root(vrf);
        let new = self.insert(old, 0, prefix, route.bits(), Kind::Root);
        self.finish(vrf, old, new)?;
        if !there {
            self.routes += 1;
            *self.vrfs.entry(vrf).or_default() += 1;
        }
        Ok(())
    }

    /// Removes a route; whether it was there. On an error nothing has changed.
    pub(crate) fn remove(&mut self, vrf: u16, prefix: PrefixV6) -> Result<bool, NoUnits> {
        if self.get(vrf, prefix).is_none() {
            return Ok(false);
        }
        let old = self.root(vrf);
        let new = self.take(old, 0, prefix, Kind::Root);
        self.finish(vrf, old, new)?;
        self.routes -= 1;
        if let Some(routes) = self.vrfs.get_mut(&vrf) {
            *routes -= 1;
            if *routes == 0 {
                self.vrfs.remove(&vrf);
            }
        }
        Ok(true)
    }

    /// Ends a change. Workers have seen nothing of it, or all but the root.
    fn finish(&mut self, vrf: u16, old: Child, new: Result<Child, NoUnits>) -> Result<(), NoUnits> {
        match new {
            Ok(new) => {
                if new != old {
                    self.table.roots.store_release(usize::from(vrf), new.word);
                }
                self.taken.clear();
                self.given_up.drain(..).for_each(|block| self.blocks.retire(block));
                Ok(())
            }
            Err(error) => {
                self.given_up.clear();
                self.taken.drain(..).for_each(|block| self.blocks.give_back(block));
                Err(error)
            }
        }
    }

    /// All routes, by VRF.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (u16, PrefixV6, Route)> + '_ {
        self.vrfs.keys().flat_map(|&vrf| {
            let mut found = Vec::new();
            self.collect(self.root(vrf), 0, 0, &mut found);
            found.into_iter().map(move |(prefix, route)| (vrf, prefix, route))
        })
    }

    /// Makes units free that no worker reads any more.
    pub(crate) fn publish(&mut self, reclaimer: &Reclaimer) {
        self.blocks.publish(reclaimer, |_| {});
    }

    fn root(&self, vrf: u16) -> Child {
        Child { word: self.table.roots.load(usize::from(vrf)), path: Path::EMPTY }
    }

    fn child(&self, unit: usize) -> Child {
        Child { word: self.table.arena.load(unit * UNIT), path: Path(self.table.arena.load(unit * UNIT + 1)) }
    }

    /// The node with a route more, whose path begins at digit `at`. What is below it may have been replaced in its place.
    fn insert(&mut self, old: Child, at: u32, prefix: PrefixV6, route: u64, kind: Kind) -> Result<Child, NoUnits> {
        let common = common(old.path, prefix, at);
        let depth = at + common;
        if common < old.path.digits() {
            // The way forks, or the prefix ends, on the path: a node in between.
            let mut parts = Parts::nothing();
            let below = old.path.part(common + 1..old.path.digits());
            parts.children[old.path.digit(common) as usize] = Child { word: old.word, path: below };
            self.add(&mut parts, depth, prefix, route)?;
            return self.build(&parts, old.path.part(0..common), kind);
        }
        if let Some(node) = old.node() {
            if depth == prefix.depth() {
                if let Some(word) = node.route(prefix.position()) {
                    // Release: who finds the route finds what it names.
                    self.table.arena.store_release(word, route);
                    return Ok(old);
                }
            } else if let Some(unit) = node.child(digit(prefix.address, depth)) {
                let before = self.child(unit);
                let after = self.insert(before, depth + 1, prefix, route, Kind::Inner)?;
                return self.put_below(old, node, digit(prefix.address, depth), (before, after), kind);
            }
        }
        let mut parts = self.take_apart(old);
        self.add(&mut parts, depth, prefix, route)?;
        let new = self.build(&parts, old.path, kind)?;
        self.retire(old);
        Ok(new)
    }

    /// Adds a route to a node at `depth` that has nothing where it belongs, or replaces one.
    fn add(&mut self, parts: &mut Parts, depth: u32, prefix: PrefixV6, route: u64) -> Result<(), NoUnits> {
        if depth == prefix.depth() {
            parts.prefixes[prefix.position() as usize] = route;
        } else {
            parts.children[digit(prefix.address, depth) as usize] = self.chain(depth + 1, prefix, route)?;
        }
        Ok(())
    }

    /// A leaf, and as many nodes above it as its path from digit `at` needs.
    fn chain(&mut self, at: u32, prefix: PrefixV6, route: u64) -> Result<Child, NoUnits> {
        let digits = prefix.depth() - at;
        if digits <= LONGEST_PATH {
            return Ok(Child { word: route, path: Path::of(prefix.address, at, digits).to_leaf(prefix.position()) });
        }
        let mut parts = Parts::nothing();
        self.add(&mut parts, at + LONGEST_PATH, prefix, route)?;
        self.build(&parts, Path::of(prefix.address, at, LONGEST_PATH), Kind::Inner)
    }

    /// The node without a route that is there, whose path begins at digit `at`.
    fn take(&mut self, old: Child, at: u32, prefix: PrefixV6, kind: Kind) -> Result<Child, NoUnits> {
        let depth = at + old.path.digits();
        let Some(node) = old.node() else { return Ok(Child::NOTHING) };
        if depth < prefix.depth()
            && let Some(unit) = node.child(digit(prefix.address, depth))
        {
            let before = self.child(unit);
            let after = self.take(before, depth + 1, prefix, Kind::Inner)?;
            return self.put_below(old, node, digit(prefix.address, depth), (before, after), kind);
        }
        let mut parts = self.take_apart(old);
        parts.prefixes[prefix.position() as usize] = 0;
        let new = self.build(&parts, old.path, kind)?;
        self.retire(old);
        Ok(new)
    }

    /// The node with a child changed: in its place, if the way to it is the same. That is the last step of a change, if it is one.
    fn put_below(&mut self, old: Child, node: Node, digit: u32, change: (Child, Child), kind: Kind) -> Result<Child, NoUnits> {
        let (before, after) = change;
        if after.word != 0 && after.path == before.path {
            if let Some(unit) = node.child(digit)
                && after.word != before.word
            {
                self.table.arena.store_release(unit * UNIT, after.word);
            }
            return Ok(old);
        }
        let mut parts = self.take_apart(old);
        parts.children[digit as usize] = after;
        let new = self.build(&parts, old.path, kind)?;
        self.retire(old);
        Ok(new)
    }

    /// Gives up a node's block, once the change is made.
    fn retire(&mut self, child: Child) {
        if let Some(node) = child.node() {
            self.given_up.push(Block { first: u32::try_from(node.block()).unwrap_or_default(), units: node.units() });
        }
    }

    fn take_apart(&self, child: Child) -> Parts {
        let mut parts = Parts::nothing();
        match (child.node(), child.path.leaf()) {
            (Some(node), _) => {
                for (digit, child) in (0..).zip(&mut parts.children) {
                    *child = node.child(digit).map_or(Child::NOTHING, |unit| self.child(unit));
                }
                for (position, route) in (0..).zip(&mut parts.prefixes) {
                    *route = node.route(position).map_or(0, |word| self.table.arena.load(word));
                }
            }
            (None, position) => parts.prefixes[position.unwrap_or_default() as usize] = child.word,
        }
        parts
    }

    /// A node in a block of its own, if it needs one.
    fn build(&mut self, parts: &Parts, path: Path, kind: Kind) -> Result<Child, NoUnits> {
        if kind == Kind::Inner {
            if let Some((position, route)) = parts.only_prefix() {
                return Ok(Child { word: route, path: path.to_leaf(position) });
            }
            if let Some((digit, child)) = parts.only_child()
                && path.digits() + 1 + child.path.digits() <= LONGEST_PATH
            {
                let all = (0..child.path.digits()).fold(path.with(digit), |all, place| all.with(child.path.digit(place)));
                return Ok(Child { word: child.word, path: all.of_kind(child.path) });
            }
        }
        let bitmap =
            |there: &mut dyn Iterator<Item = bool>| (0..).zip(there).fold(0_u64, |bits, (bit, there)| bits | u64::from(there) << bit);
        let children = bitmap(&mut parts.children.iter().map(|child| child.word != 0));
        let prefixes = bitmap(&mut parts.prefixes.iter().map(|route| *route != 0));
        let node = Node(prefixes << PREFIXES_SHIFT | children);
        if node.0 == 0 {
            return Ok(Child::NOTHING);
        }
        let block = self.blocks.take(node.units()).ok_or(NoUnits)?;
        self.taken.push(block);
        let children = parts.children.iter().filter(|child| child.word != 0).flat_map(|child| [child.word, child.path.0]);
        let routes = parts.prefixes.iter().copied().filter(|route| *route != 0);
        for (word, content) in (block.first as usize * UNIT..).zip(children.chain(routes)) {
            self.table.arena.store(word, content);
        }
        Ok(Child { word: u64::from(block.first) << BLOCK_SHIFT | node.0, path: path.to_inner() })
    }

    fn collect(&self, child: Child, at: u32, above: u128, found: &mut Vec<(PrefixV6, Route)>) {
        let count = child.path.digits();
        let place = |digit: u32, depth: u32| u128::from(digit) << (128 - STRIDE) >> (depth * STRIDE);
        let address = (0..count).fold(above, |address, index| address | place(child.path.digit(index), at + index));
        let depth = at + count;
        let parts = self.take_apart(child);
        for (position, word) in (0_u32..).zip(parts.prefixes) {
            if let Some(route) = Route::from_bits(word) {
                let length = (position + 1).ilog2();
                // A prefix of no bits has nothing to shift in, and may be behind the last one.
                let bits = position + 1 - (1 << length);
                let address = if bits == 0 { address } else { address | place(bits << (STRIDE - length), depth) };
                found.push((PrefixV6 { address, length: depth * STRIDE + length }, route));
            }
        }
        for (digit, child) in (0..).zip(parts.children) {
            if child.word != 0 {
                self.collect(child, depth + 1, address | place(digit, depth), found);
            }
        }
    }
}

/// Where a node is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    /// At the top of a VRF, where there is no path and no leaf.
    Root,
    /// Below another.
    Inner,
}

/// How many digits of a path, which begins at digit `at`, a prefix has as well.
fn common(path: Path, prefix: PrefixV6, at: u32) -> u32 {
    let most = path.digits().min(prefix.depth() - at);
    (0..most).take_while(|index| path.digit(*index) == digit(prefix.address, at + index)).count().try_into().unwrap_or(most)
}

#[cfg(test)]
mod tests;
