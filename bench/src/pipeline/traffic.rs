//! The packets: a head that all have, and a random sequence of patches.

use std::fmt;

use rand::rngs::StdRng;
use rand::{RngExt as _, SeedableRng as _};
use svpn_dpdk::{Burst, Mbuf};
use svpn_forwarder::fastpath::BURST;

use super::scenario::{self, Scenario};

/// Bytes of a frame that are written; what follows is whatever is in the buffer.
const HEAD: usize = SHORTEST_FRAME as usize;
/// Bytes of the shortest frame that can be asked for.
pub(crate) const SHORTEST_FRAME: u16 = 64;
/// Bytes of the longest frame that can be asked for.
pub(crate) const LONGEST_FRAME: u16 = 1500;
const ETHERNET: usize = 14;
const LABEL: usize = 4;
const IPV4: usize = 20;
/// Bytes of GRE with a key.
const GRE: usize = 8;
const UDP: u8 = 17;
const PROTOCOL_GRE: u8 = 47;

/// The sizes of a scenario's frames.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FrameSizes {
    /// All have so many bytes.
    One(u16),
    /// 64, 570 and 1400 bytes, 7 to 4 to 1.
    Imix,
}

/// What is in Ethernet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Payload {
    /// UDP over IPv4.
    Udp,
    /// The same with one label in front.
    LabelledUdp,
    /// The same in GRE over IPv4, with a key.
    UdpInGre,
}

impl FrameSizes {
    /// The sizes of twelve frames in a row.
    fn pattern(self) -> [u16; 12] {
        match self {
            Self::One(bytes) => [bytes; 12],
            Self::Imix => [64, 570, 64, 64, 570, 64, 1400, 64, 570, 64, 570, 64],
        }
    }

    /// The longest of them, in bytes.
    pub fn longest(self) -> u16 {
        self.pattern().into_iter().max().unwrap_or(0)
    }

    /// Their mean, in bytes.
    pub fn mean(self) -> u16 {
        let pattern = self.pattern();
        let sum: usize = pattern.iter().copied().map(usize::from).sum();
        u16::try_from(sum / pattern.len()).unwrap_or(u16::MAX)
    }
}

impl fmt::Display for FrameSizes {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::One(bytes) => fmt::Display::fmt(bytes, formatter),
            Self::Imix => formatter.pad("mix"),
        }
    }
}

/// The entries that a worker's packets are for: every `step`th from `first`, below `entries`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Share {
    first: u32,
    step: u32,
    entries: u32,
}

impl Share {
    /// All of so many entries.
    pub fn all(entries: u32) -> Self {
        Self { first: 0, step: 1, entries }
    }

    /// The part of one of several workers; all, if there are fewer entries than workers.
    pub fn of(entries: u32, worker: u32, workers: u32) -> Self {
        if worker < workers && workers <= entries { Self { first: worker, step: workers, entries } } else { Self::all(entries) }
    }

    /// How many they are, one at least.
    fn size(self) -> u32 {
        (self.entries.saturating_sub(self.first)).div_ceil(self.step).max(1)
    }
}

/// A worker's packets, again and again.
#[derive(Debug, Clone)]
pub struct Traffic {
    /// By place in the pattern.
    heads: [Head; 12],
    patch_at: usize,
    patches: Box<[[u8; 8]]>,
    next_head: usize,
    next_patch: usize,
}

/// A frame before its patch.
#[derive(Debug, Clone, Copy)]
struct Head {
    bytes: [u8; HEAD],
    length: u16,
}

impl Traffic {
    /// So many packets for random entries of a scenario out of `share`, the same for the same seed.
    pub fn new(scenario: Scenario, share: Share, sizes: FrameSizes, packets: usize, seed: u64) -> Self {
        let mut random = StdRng::seed_from_u64(seed);
        let patches = (0..packets.max(1)).map(|_| {
            let index = random.random_range(0..share.size()) * share.step + share.first;
            scenario.patch(index, random.random())
        });
        Self {
            heads: sizes
                .pattern()
                .map(|length| Head { bytes: head(scenario.payload(), length, scenario.patch(0, 0), scenario.patch_at()), length }),
            patch_at: scenario.patch_at(),
            patches: patches.collect(),
            next_head: 0,
            next_patch: 0,
        }
    }

    /// Makes the next packets of frames that are as long as the longest, whatever is in them.
    #[inline]
    pub fn fill(&mut self, burst: &mut Burst<BURST>) {
        for mbuf in burst.iter_mut() {
            let head = &self.heads[self.next_head];
            self.next_head = if self.next_head + 1 == self.heads.len() { 0 } else { self.next_head + 1 };
            let patch = self.patches[self.next_patch];
            self.next_patch = if self.next_patch + 1 == self.patches.len() { 0 } else { self.next_patch + 1 };
            write(mbuf, head, self.patch_at, patch);
        }
    }

    /// Bytes of the longest frame.
    pub(super) fn longest(&self) -> u16 {
        self.heads.iter().map(|head| head.length).max().unwrap_or(0)
    }

    /// A whole frame, for entry `index` with the length of the `place`th in the pattern.
    pub(super) fn frame(&self, scenario: Scenario, index: u32, place: usize) -> Vec<u8> {
        let head = &self.heads[place % self.heads.len()];
        let mut frame = head.bytes.to_vec();
        frame.resize(usize::from(head.length), 0);
        let [.., any] = index.to_be_bytes();
        frame[self.patch_at..self.patch_at + 8].copy_from_slice(&scenario.patch(index, any));
        frame
    }
}

#[inline]
fn write(mbuf: &mut Mbuf, head: &Head, patch_at: usize, patch: [u8; 8]) {
    let spare = mbuf.len().saturating_sub(usize::from(head.length));
    if spare > 0 {
        mbuf.trim_back(spare);
    }
    if let Some(front) = mbuf.data_mut().first_chunk_mut::<HEAD>() {
        *front = head.bytes;
        if let Some(place) = front.get_mut(patch_at..).and_then(<[u8]>::first_chunk_mut::<8>) {
            *place = patch;
        }
    }
}

/// The start of a frame of this length, with a patch in it that makes the checksum of all.
fn head(payload: Payload, length: u16, patch: [u8; 8], patch_at: usize) -> [u8; HEAD] {
    let mut frame = [0; HEAD];
    frame[..12].copy_from_slice(&scenario::ethernet());
    let ip = match payload {
        Payload::Udp => {
            frame[12..ETHERNET].copy_from_slice(&[0x08, 0x00]);
            ETHERNET
        }
        Payload::LabelledUdp => {
            // Label 16, bottom of stack, TTL 64.
            frame[12..ETHERNET + LABEL].copy_from_slice(&[0x88, 0x47, 0x00, 0x01, 0x01, 64]);
            ETHERNET + LABEL
        }
        Payload::UdpInGre => {
            frame[12..ETHERNET].copy_from_slice(&[0x08, 0x00]);
            ETHERNET + IPV4 + GRE
        }
    };
    let bytes_from = |start: usize| length.saturating_sub(u16::try_from(start).unwrap_or_default());
    // A short frame has no room for all of UDP.
    if let Some(udp) = frame.get_mut(ip + IPV4..ip + IPV4 + 6) {
        udp[..4].copy_from_slice(&scenario::udp_ports());
        udp[4..].copy_from_slice(&bytes_from(ip + IPV4).to_be_bytes());
    }
    ipv4(&mut frame, ip, UDP, bytes_from(ip), [10, 0, 0, 1, 10, 0, 0, 2]);
    if payload == Payload::UdpInGre {
        ipv4(&mut frame, ETHERNET, PROTOCOL_GRE, bytes_from(ETHERNET), scenario::delivery_addresses());
    }
    frame[patch_at..patch_at + 8].copy_from_slice(&patch);
    checksum(&mut frame[ip..ip + IPV4]);
    frame
}

/// An IPv4 header without options, TTL 64.
fn ipv4(frame: &mut [u8; HEAD], at: usize, protocol: u8, total_length: u16, addresses: [u8; 8]) {
    let header = &mut frame[at..at + IPV4];
    header[0] = 0x45;
    header[2..4].copy_from_slice(&total_length.to_be_bytes());
    header[8..10].copy_from_slice(&[64, protocol]);
    header[12..].copy_from_slice(&addresses);
    checksum(header);
}

/// Makes the checksum of an IPv4 header right (RFC 1071).
fn checksum(header: &mut [u8]) {
    header[10..12].fill(0);
    let sum: u32 = header.as_chunks::<2>().0.iter().map(|word| u32::from(u16::from_be_bytes(*word))).sum();
    let sum = (sum & 0xffff) + (sum >> 16);
    let [.., high, low] = (!((sum & 0xffff) + (sum >> 16))).to_be_bytes();
    header[10..12].copy_from_slice(&[high, low]);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mix_is_seven_to_four_to_one() {
        let count = |bytes| FrameSizes::Imix.pattern().iter().filter(|size| **size == bytes).count();
        assert_eq!((count(64), count(570), count(1400)), (7, 4, 1));
        assert_eq!((FrameSizes::Imix.longest(), FrameSizes::Imix.mean()), (1400, 344));
        assert_eq!((FrameSizes::One(99).longest(), FrameSizes::One(99).mean()), (99, 99));
    }

    #[test]
    fn the_same_seed_makes_the_same_packets_and_another_one_others() {
        let patches = |seed| Traffic::new(Scenario::Session, Share::all(1000), FrameSizes::One(64), 100, seed).patches;
        assert_eq!(patches(1), patches(1));
        assert_ne!(patches(1), patches(2));
    }
}
