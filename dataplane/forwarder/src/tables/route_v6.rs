//! `route_v6`: longest prefix match, a trie of four bits a level for each VRF as in [`super::route`], where a node names the address bits
//! that lead to it: levels without a choice are skipped, so a search takes about as many steps as there are forks on its way.
//!
//! ```text
//! root:   | node word |                                    one for each VRF
//! node:   | block 32 | 1 | prefixes 15 | children 16 |     0 = nothing below
//!         | path bits 56, from the top | digits 4 | 15 |
//! leaf:   | route |                                        a node of one prefix and no children needs no block
//!         | path bits 56, from the top | digits 4 | position of the prefix 4 |
//! block:  | node of each child, in order, 2 words | route of each prefix, in order | 1 unused if there is an odd number of them |
//! ```
//!
//! An address's next digits (of four bits, at most 14) must be those of the path; then bits and positions are as in [`super::route`].
//! The second word of a node is never changed where workers see it: a node whose path changes is written into a new block of the node
//! above. So one store of the first word replaces a node, and workers see all that is below before or after a change.

mod writer;

use svpn_dpdk::OutOfMemory;

use super::route::{MATCHING, Route, STRIDE};
use super::words::SparseWords;

pub(crate) use writer::{NoUnits, PrefixV6, RouteWriterV6};

/// Words of a node, and units of which blocks are made: both words of a node are then in one cache line.
const UNIT: usize = 2;
/// Units reserved for each route; it needs six of its own at most.
const UNITS_PER_ROUTE: usize = 16;
/// VRFs.
const ROOTS: usize = 1 << 16;
const PREFIXES_SHIFT: u32 = 16;
const BLOCK_SHIFT: u32 = 32;
/// Most digits of a path.
const LONGEST_PATH: u32 = 14;
/// In place of a leaf's position: a node with a block.
const INNER: u64 = 0xf;

/// A node's first word, if it has a block.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Node(u64);

impl Node {
    #[inline]
    fn children(self) -> u64 {
        self.0 & 0xffff
    }

    #[inline]
    fn prefixes(self) -> u64 {
        self.0 >> PREFIXES_SHIFT & 0x7fff
    }

    /// The block's first unit.
    #[inline]
    #[allow(clippy::cast_possible_truncation, reason = "the upper half")]
    fn block(self) -> usize {
        (self.0 >> BLOCK_SHIFT) as u32 as usize
    }

    /// The unit of a child.
    #[inline]
    fn child(self, digit: u32) -> Option<usize> {
        let before = self.children() & ((1 << digit) - 1);
        (self.children() >> digit & 1 != 0).then(|| self.block() + before.count_ones() as usize)
    }

    /// The word of a prefix's route.
    #[inline]
    fn route(self, position: u32) -> Option<usize> {
        let before = self.prefixes() & ((1 << position) - 1);
        let first = (self.block() + self.children().count_ones() as usize) * UNIT;
        (self.prefixes() >> position & 1 != 0).then(|| first + before.count_ones() as usize)
    }

    /// Units of the block.
    fn units(self) -> u32 {
        self.children().count_ones() + self.prefixes().count_ones().div_ceil(2)
    }
}

/// A node's second word.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Path(u64);

impl Path {
    /// Address bits of the path.
    #[inline]
    #[allow(clippy::cast_possible_truncation, reason = "four of the low bits")]
    fn bits(self) -> u32 {
        (self.0 as u32 & 0xf0) >> 2
    }

    /// Whether an address goes on like this.
    #[inline]
    #[allow(clippy::cast_possible_truncation, reason = "the upper half")]
    fn leads_to(self, rest: u128) -> bool {
        let differences = (rest >> 64) as u64 ^ self.0;
        // No digits: nothing is left of the differences after both shifts.
        differences >> 1 >> (63 - self.bits()) == 0
    }

    /// The position of a leaf's only prefix.
    #[inline]
    #[allow(clippy::cast_possible_truncation, reason = "the lowest bits")]
    fn leaf(self) -> Option<u32> {
        (self.0 & INNER != INNER).then_some(self.0 as u32 & 0xf)
    }
}

/// The routes, as workers see them.
#[derive(Debug)]
pub(crate) struct RouteTableV6 {
    roots: SparseWords,
    arena: SparseWords,
}

impl RouteTableV6 {
    /// A table for so many routes.
    pub(crate) fn new(routes: u32) -> Result<Self, OutOfMemory> {
        Ok(Self { roots: SparseWords::new(ROOTS)?, arena: SparseWords::new(Self::arena_units(routes) as usize * UNIT)? })
    }

    /// Units for the nodes and routes, and some more than a few large nodes need.
    fn arena_units(routes: u32) -> u32 {
        // A route is named by its word, in 32 bits.
        u32::try_from(routes as usize * UNITS_PER_ROUTE + 4096).unwrap_or(u32::MAX).min(u32::MAX / 2)
    }

    #[inline]
    pub(crate) fn prefetch(&self, vrf: u16) {
        self.roots.prefetch(usize::from(vrf));
    }

    /// Begins to search an address's longest prefix.
    #[inline]
    pub(crate) fn start(&self, vrf: u16, address: u128) -> WalkV6 {
        let mut walk = WalkV6 { rest: address, next: NOWHERE, best: NOWHERE };
        self.pass(&mut walk, Node(self.roots.load_acquire(usize::from(vrf))));
        walk
    }

    /// Goes down to the next node; whether there was one.
    #[inline]
    pub(crate) fn step(&self, walk: &mut WalkV6) -> bool {
        if walk.next == NOWHERE {
            return false;
        }
        let place = walk.next as usize * UNIT;
        let word = self.arena.load_acquire(place);
        let path = Path(self.arena.load(place + 1));
        walk.next = NOWHERE;
        if !path.leads_to(walk.rest) {
            return true;
        }
        walk.rest <<= path.bits();
        match path.leaf() {
            None => self.pass(walk, Node(word)),
            Some(position) => {
                if MATCHING[walk.digit() as usize] >> position & 1 != 0 {
                    walk.best = name(place);
                }
            }
        }
        true
    }

    /// The route of the longest prefix, after the last step.
    #[inline]
    pub(crate) fn route(&self, walk: &WalkV6) -> Option<Route> {
        if walk.best == NOWHERE { None } else { Route::from_bits(self.arena.load_acquire(walk.best as usize)) }
    }

    /// Notes a node's longest prefix, and fetches what comes after the node.
    #[inline]
    fn pass(&self, walk: &mut WalkV6, node: Node) {
        // Behind the last bit are zeros: a /128 is the prefix of no bits of its node, which has no children.
        let digit = walk.digit();
        walk.rest <<= STRIDE;
        let matching = node.prefixes() & MATCHING[digit as usize];
        if matching != 0
            && let Some(word) = node.route(matching.ilog2())
        {
            walk.best = name(word);
        }
        match node.child(digit) {
            Some(unit) => {
                walk.next = name(unit);
                self.arena.prefetch(unit * UNIT);
            }
            None => self.arena.prefetch(walk.best as usize),
        }
    }
}

/// A unit's or word's number as a walk keeps it.
#[inline]
#[allow(clippy::cast_possible_truncation, reason = "the arena has fewer than 2^32 words")]
fn name(place: usize) -> u32 {
    place as u32
}

/// The search of one address. Those of a burst go down together, so that what one waits for arrives while the others are worked on.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct WalkV6 {
    /// The address bits to come.
    rest: u128,
    /// The unit of the next node.
    next: u32,
    /// The word of the longest prefix's route so far.
    best: u32,
}

impl WalkV6 {
    #[inline]
    #[allow(clippy::cast_possible_truncation, reason = "the highest bits")]
    fn digit(&self) -> u32 {
        (self.rest >> (128 - STRIDE)) as u32
    }
}

/// No unit and no word: the arena ends before.
const NOWHERE: u32 = u32::MAX;
