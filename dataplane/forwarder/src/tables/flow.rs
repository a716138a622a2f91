//! `flow_v4`: from a 5-tuple to a session, one cache line for most packets.
//!
//! A cuckoo hash: a key has two buckets of one cache line each, with room for two flows, and there are as many buckets as flows.
//! Nine of ten flows are then in their first bucket, and a bucket knows whether a flow that belongs to it is in the other one.
//!
//! ```text
//! bucket: | addresses | hit | tag | addresses | hit | tag | flows elsewhere | unused |     8 bytes each
//! hit:    | last hit 32, in ticks of the table's clock | session 32 |
//! tag:    | VRF 16 | protocol 8 | source port 16 | destination port 16 | version 7 | present 1 |
//! ```
//!
//! One control thread writes, workers read without a lock. A place is changed only while its tag says that it is not present, and its
//! version rises each time it is used again, so a reader that finds the same tag after it has read the rest has read one flow.
//! A version that comes round is used only after every worker was quiescent. A flow that is moved is in both places for a moment; a
//! reader that finds nothing while a flow was moved looks again.
//!
//! A reader notes when it has found a flow, once for each tick of a coarse clock: most packets only see that it is noted already.

mod writer;

use svpn_dpdk::OutOfMemory;

use super::hash::Seed;
use super::ticks::{Hit, Ticker};
use super::words::{DenseWords, LINE};
use crate::sync::{AtomicU64, Ordering, fence};

pub(crate) use writer::FlowWriter;

const ADDRESSES: usize = 0;
const HIT: usize = 1;
const TAG: usize = 2;
/// Words of a flow.
const ENTRY: usize = 3;
/// Flows in a bucket.
const ENTRIES: usize = 2;
/// The word that counts the flows of this bucket that are in their other one.
const ELSEWHERE: usize = ENTRY * ENTRIES;
const PRESENT: u64 = 1;

/// A key as the table keeps it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct FlowKey {
    /// Source and destination.
    pub(crate) addresses: u64,
    /// VRF, protocol, source port, destination port, in the low 56 bits.
    pub(crate) rest: u64,
}

impl FlowKey {
    #[inline]
    pub(crate) fn new(vrf: u16, addresses: u64, protocol: u8, ports: u32) -> Self {
        Self { addresses, rest: u64::from(vrf) << 40 | u64::from(protocol) << 32 | u64::from(ports) }
    }

    /// The destination address.
    #[inline]
    #[allow(clippy::cast_possible_truncation, reason = "the low half")]
    pub(crate) fn destination(self) -> u32 {
        self.addresses as u32
    }

    /// Protocol and ports: what of the key a 5-tuple has beside the addresses.
    #[inline]
    pub(crate) fn protocol_and_ports(self) -> u64 {
        self.rest & 0xff_ffff_ffff
    }
}

/// The flows, as workers see them.
#[derive(Debug)]
pub(crate) struct FlowTable {
    words: DenseWords,
    mask: u32,
    seed: Seed,
    /// How many flows were moved.
    moves: AtomicU64,
    /// What hits are noted by.
    pub(crate) ticker: Ticker,
}

/// A flow found, or not, or a place that changed meanwhile.
enum Probe {
    Found(u32),
    Other,
}

impl FlowTable {
    /// Buckets there are at least. Flows that have too few buckets among them do not all find a place, though the table is half empty: now
    /// and then some of 32 flows in 32 buckets are such, of 1,024 in as many practically never.
    const FEWEST: u32 = 1024;

    /// A table for `flows` flows.
    pub(crate) fn new(flows: u32, seed: Seed) -> Result<Self, OutOfMemory> {
        let buckets = flows.max(Self::FEWEST).checked_next_power_of_two().unwrap_or(1 << 31);
        let words = DenseWords::new(buckets as usize * LINE)?;
        Ok(Self { words, mask: buckets - 1, seed, moves: AtomicU64::new(0), ticker: Ticker::default() })
    }

    #[inline]
    pub(crate) fn hash(&self, key: FlowKey) -> u64 {
        self.seed.hash([key.addresses, key.rest])
    }

    /// Fetches both buckets of a key: to wait for the second, where one of ten is, costs more than to fetch it for all.
    #[inline]
    pub(crate) fn prefetch(&self, hash: u64) {
        for bucket in self.buckets(hash) {
            self.words.prefetch(bucket as usize * LINE);
        }
    }

    /// The session of a flow.
    #[inline]
    pub(crate) fn find(&self, key: FlowKey, hash: u64) -> Option<u32> {
        loop {
            let moves = self.moves.load(Ordering::Acquire);
            let [first, second] = self.buckets(hash);
            if let Probe::Found(session) = self.probe(first, key) {
                return Some(session);
            }
            if self.words.load_acquire(first as usize * LINE + ELSEWHERE) != 0
                && let Probe::Found(session) = self.probe(second, key)
            {
                return Some(session);
            }
            fence(Ordering::Acquire);
            if self.moves.load(Ordering::Relaxed) == moves {
                return None;
            }
        }
    }

    /// A key's two buckets, which differ.
    #[inline]
    #[allow(clippy::cast_possible_truncation, reason = "the halves of the hash")]
    fn buckets(&self, hash: u64) -> [u32; 2] {
        let first = hash as u32 & self.mask;
        let second = (hash >> 32) as u32 & self.mask;
        [first, if second == first { first ^ 1 } else { second }]
    }

    #[inline]
    fn probe(&self, bucket: u32, key: FlowKey) -> Probe {
        let Some(line) = self.words.part::<LINE>(bucket as usize) else { return Probe::Other };
        // Which of the two it is nobody can predict, so it is computed and not branched upon; what is there is looked at only then.
        let second = (line[ENTRY + TAG].load(Ordering::Relaxed) >> 8 == key.rest)
            & (line[ENTRY + ADDRESSES].load(Ordering::Relaxed) == key.addresses);
        let place = usize::from(second) * ENTRY;
        match self.probe_place([&line[place + ADDRESSES], &line[place + HIT], &line[place + TAG]], key) {
            // While a place is used again it may have been the first after all.
            Probe::Other if second => self.probe_place([&line[ADDRESSES], &line[HIT], &line[TAG]], key),
            probe => probe,
        }
    }

    #[inline]
    fn probe_place(&self, [addresses, hit, tag]: [&AtomicU64; ENTRY], key: FlowKey) -> Probe {
        loop {
            let before = tag.load(Ordering::Acquire);
            if before & PRESENT == 0 || before >> 8 != key.rest || addresses.load(Ordering::Relaxed) != key.addresses {
                return Probe::Other;
            }
            let word = hit.load(Ordering::Relaxed);
            // What was read before this fence is no newer than the tag read after it.
            fence(Ordering::Acquire);
            if tag.load(Ordering::Relaxed) == before {
                let (read, now) = (Hit::from_word(word), self.ticker.now());
                if read.last != now {
                    note(hit, word, Hit { last: now, ..read });
                }
                return Probe::Found(read.value);
            }
        }
    }
}

/// Notes a hit, unless somebody has meanwhile, who had a newer word.
#[cold]
fn note(hit: &AtomicU64, read: u64, noted: Hit) {
    let _ = hit.compare_exchange(read, noted.word(), Ordering::Relaxed, Ordering::Relaxed);
}
