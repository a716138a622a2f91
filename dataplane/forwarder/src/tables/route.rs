//! `route_v4`: longest prefix match, a trie of four bits a level for each VRF (after Eatherton's tree bitmap).
//!
//! A node is one word, so one store replaces it, and workers see the routes below it all before or all after a change:
//!
//! ```text
//! node:  | block 32 | 1 | prefixes 15 | children 16 |        0 = nothing below
//! block: | node of each child, in order | route of each prefix, in order |     words of the arena
//! ```
//!
//! Bit `n` of `children`: there is a child for the next four address bits `n`. Bit `2ˡ − 1 + p` of `prefixes`: there is a route for the
//! `l` (0 to 3) next address bits `p`. A /32 is the prefix of no bits of a ninth node.
//!
//! A VRF that has many routes has a *top* as well: for each value of the first sixteen address bits a copy of the node for what follows them,
//! so that most searches begin four levels down. A search that finds nothing there begins again at the root: shorter prefixes are only there.
//!
//! ```text
//! route: | kind 4 | 5 | class 3 | VPN label 20 | tunnel or next hop slot 32 |
//! ```

mod writer;

use svpn_dpdk::OutOfMemory;

use super::carry::Carry;
use super::words::SparseWords;

pub(crate) use writer::{Prefix, RouteWriter};

/// Address bits of a level.
pub(super) const STRIDE: u32 = 4;
/// Levels that a top leaves out, and the address bits of them.
const TOP_LEVELS: u32 = 4;
const TOP_BITS: u32 = TOP_LEVELS * STRIDE;
/// Routes of a VRF that are worth a top.
const WORTH_A_TOP: usize = 512;
/// Routes a table has for each top: a top is no more than 128 bytes for each.
const ROUTES_PER_TOP: u32 = 4096;
/// Words reserved for each route: no more than nine nodes are a route's own.
const WORDS_PER_ROUTE: usize = 32;
/// VRFs.
const ROOTS: usize = 1 << 16;
const PREFIXES_SHIFT: u32 = 16;
const BLOCK_SHIFT: u32 = 32;
/// For the next four address bits: the prefixes of a node that match.
pub(super) const MATCHING: [u64; 16] = {
    let mut masks = [0; 16];
    let mut bits = 0;
    while bits < 16 {
        masks[bits] = 1 | 1 << (1 + (bits >> 3)) | 1 << (3 + (bits >> 2)) | 1 << (7 + (bits >> 1));
        bits += 1;
    }
    masks
};

/// What a route does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Route {
    /// Into a tunnel.
    ViaTunnel(Carry),
    /// To a next hop, by its slot.
    Local(u32),
    /// To the controller.
    Receive,
    /// Nowhere.
    Discard,
}

const KIND_SHIFT: u32 = 60;

impl Route {
    pub(super) fn bits(self) -> u64 {
        match self {
            Self::ViaTunnel(carry) => 1 << KIND_SHIFT | carry.bits(),
            Self::Local(slot) => 2 << KIND_SHIFT | u64::from(slot),
            Self::Receive => 3 << KIND_SHIFT,
            Self::Discard => 4 << KIND_SHIFT,
        }
    }

    #[inline]
    #[allow(clippy::cast_possible_truncation, reason = "a slot is the low half")]
    pub(super) fn from_bits(bits: u64) -> Option<Self> {
        match bits >> KIND_SHIFT {
            1 => Some(Self::ViaTunnel(Carry::from_bits(bits))),
            2 => Some(Self::Local(bits as u32)),
            3 => Some(Self::Receive),
            4 => Some(Self::Discard),
            _ => None,
        }
    }
}

/// A node's word.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Node(u64);

impl Node {
    const NOTHING: Self = Self(0);

    #[inline]
    fn children(self) -> u64 {
        self.0 & 0xffff
    }

    #[inline]
    fn prefixes(self) -> u64 {
        self.0 >> PREFIXES_SHIFT & 0x7fff
    }

    #[inline]
    #[allow(clippy::cast_possible_truncation, reason = "the upper half")]
    fn block(self) -> usize {
        (self.0 >> BLOCK_SHIFT) as u32 as usize
    }

    /// The word of a child's node.
    #[inline]
    fn child(self, bits: u32) -> Option<usize> {
        let before = self.children() & ((1 << bits) - 1);
        (self.children() >> bits & 1 != 0).then(|| self.block() + before.count_ones() as usize)
    }

    /// The word of a prefix's route.
    #[inline]
    fn route(self, prefix: u32) -> Option<usize> {
        let before = self.prefixes() & ((1 << prefix) - 1);
        (self.prefixes() >> prefix & 1 != 0).then(|| self.block() + (self.children().count_ones() + before.count_ones()) as usize)
    }

    /// Words of the block.
    fn words(self) -> u32 {
        self.children().count_ones() + self.prefixes().count_ones()
    }
}

/// The routes, as workers see them.
#[derive(Debug)]
pub(crate) struct RouteTable {
    roots: SparseWords,
    arena: SparseWords,
    /// The tops, one behind the other.
    tops: SparseWords,
    /// By VRF, the number of its top + 1; 0 for none.
    top_of: SparseWords,
}

impl RouteTable {
    /// A table for so many routes.
    pub(crate) fn new(routes: u32) -> Result<Self, OutOfMemory> {
        Ok(Self {
            roots: SparseWords::new(ROOTS)?,
            arena: SparseWords::new(Self::arena_words(routes) as usize)?,
            tops: SparseWords::new((Self::tops(routes) as usize) << TOP_BITS)?,
            top_of: SparseWords::new(if Self::tops(routes) == 0 { 0 } else { ROOTS })?,
        })
    }

    /// Tops of a table for so many routes.
    fn tops(routes: u32) -> u32 {
        if (routes as usize) < WORTH_A_TOP { 0 } else { routes.div_ceil(ROUTES_PER_TOP) }
    }

    /// The word of a VRF's top that an address's search begins with, if the VRF has one.
    #[inline]
    #[allow(clippy::cast_possible_truncation, reason = "tops are numbered by less than 32 bits")]
    fn top_word(&self, vrf: u16, address: u32) -> Option<usize> {
        let number = (self.top_of.load_acquire(usize::from(vrf)) as usize).checked_sub(1)?;
        Some(number << TOP_BITS | (address >> (32 - TOP_BITS)) as usize)
    }

    /// Words for the nodes and routes, four chains of nodes at least.
    fn arena_words(routes: u32) -> u32 {
        u32::try_from(routes as usize * WORDS_PER_ROUTE + 1024).unwrap_or(u32::MAX)
    }

    /// Fetches what an address's search begins with.
    #[inline]
    pub(crate) fn prefetch(&self, vrf: u16, address: u32) {
        match self.top_word(vrf, address) {
            Some(word) => self.tops.prefetch(word),
            None => self.roots.prefetch(usize::from(vrf)),
        }
    }

    /// Begins to search an address's longest prefix, or of some VRFs the longest of sixteen bits and more.
    #[inline]
    pub(crate) fn start(&self, vrf: u16, address: u32) -> Walk {
        let Some(word) = self.top_word(vrf, address) else { return self.start_at_root(vrf, address) };
        let mut walk = Walk { rest: address << TOP_BITS, from: From::Top, ..Walk::default() };
        self.pass(&mut walk, Node(self.tops.load_acquire(word)));
        walk
    }

    /// Begins to search the longest of all prefixes: where a search that did not begin here has found nothing.
    #[inline]
    pub(crate) fn start_at_root(&self, vrf: u16, address: u32) -> Walk {
        let mut walk = Walk { rest: address, from: From::Root, ..Walk::default() };
        self.pass(&mut walk, Node(self.roots.load_acquire(usize::from(vrf))));
        walk
    }

    /// Goes down one level; whether there was one.
    #[inline]
    pub(crate) fn step(&self, walk: &mut Walk) -> bool {
        if walk.next == NOWHERE {
            return false;
        }
        self.pass(walk, Node(self.arena.load_acquire(walk.next as usize)));
        true
    }

    /// The route of the longest prefix, of a search that has ended.
    #[inline]
    pub(crate) fn route(&self, walk: &Walk) -> Option<Route> {
        Route::from_bits(self.arena.load_acquire(walk.next as usize))
    }

    /// Ends a search after its last step, and fetches the route of the longest prefix.
    #[inline]
    #[allow(clippy::cast_possible_truncation, reason = "blocks are named by 32 bits")]
    pub(crate) fn end(&self, walk: &mut Walk) {
        walk.next = walk.best().map_or(NOWHERE, |word| word as u32);
        self.arena.prefetch(walk.next as usize);
    }

    /// Notes a node's prefixes that match, and fetches the node after it.
    #[inline]
    #[allow(clippy::cast_possible_truncation, reason = "blocks are named by 32 bits")]
    fn pass(&self, walk: &mut Walk, node: Node) {
        // Behind the last bit are zeros: a /32 is the prefix of no bits of its node, which has no children.
        let bits = walk.rest >> (32 - STRIDE);
        walk.rest <<= STRIDE;
        let matching = (node.prefixes() & MATCHING[bits as usize & 0xf]) as u32;
        // Which of them is longest, and where its route is, is worked out once, at the end.
        walk.best = Node(std::hint::select_unpredictable(matching != 0, node.0, walk.best.0));
        walk.matching = std::hint::select_unpredictable(matching != 0, matching, walk.matching);
        walk.next = node.child(bits).map_or(NOWHERE, |word| word as u32);
        self.arena.prefetch(walk.next as usize);
    }
}

/// The search of one address. Those of a burst go down together, so that what one waits for arrives while the others are worked on.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Walk {
    /// The word of the next node; of a search that has ended, of the route.
    next: u32,
    /// The address bits of the levels to come.
    rest: u32,
    /// The last node that had a prefix that matches.
    best: Node,
    /// Its prefixes that match.
    matching: u32,
    from: From,
}

/// Where a search began.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum From {
    Root,
    /// Four levels down: shorter prefixes were not seen.
    Top,
}

impl Default for Walk {
    fn default() -> Self {
        Self { next: NOWHERE, rest: 0, best: Node::NOTHING, matching: 0, from: From::Root }
    }
}

impl Walk {
    /// Whether there is another level.
    #[inline]
    pub(crate) fn goes_on(&self) -> bool {
        self.next != NOWHERE
    }

    /// Whether there may be a prefix that this search has not seen and would be the longest.
    #[inline]
    pub(crate) fn has_to_begin_again(&self) -> bool {
        self.matching == 0 && self.from == From::Top
    }

    /// The word of the longest prefix's route.
    #[inline]
    fn best(&self) -> Option<usize> {
        self.best.route(self.matching.checked_ilog2()?)
    }
}

/// No word: the arena ends before.
const NOWHERE: u32 = u32::MAX;
