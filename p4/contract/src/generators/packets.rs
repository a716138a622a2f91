//! IP packets, GRE and label stacks of the small world, most of them sound.

use super::random::Random;
use super::world::{Flow, any_flow, gre_ends, host_v4, host_v6, label};

/// What a packet is made of with everything that can be wrong with it.
pub(super) struct Packets<'a> {
    pub(super) random: &'a mut Random,
    /// How many packets are around this one: GRE in GRE in GRE is enough.
    pub(super) depth: u8,
}

/// What goes into an IP packet.
struct Load {
    flow: Flow,
    /// What is behind the IP header and its options or extensions.
    bytes: Vec<u8>,
    /// How much of that the length field of the header leaves out.
    left_out: usize,
}

/// The one's complement of the one's complement sum of a header (RFC 791, RFC 1071), its checksum field taken as zero.
fn checksum(header: &[u8]) -> u16 {
    let words = header.chunks_exact(2).enumerate().filter(|(index, _)| *index != 5);
    let sum: u32 = words.map(|(_, word)| u32::from(word[0]) << 8 | u32::from(word[1])).sum();
    let folded = (sum & 0xffff) + (sum >> 16);
    !u16::try_from((folded & 0xffff) + (folded >> 16)).unwrap_or_default()
}

/// A length field; what does not fit is not asked for.
fn length_field(length: usize) -> [u8; 2] {
    u16::try_from(length).unwrap_or(u16::MAX).to_be_bytes()
}

impl Packets<'_> {
    pub(super) fn ttl(&mut self) -> u8 {
        let any = self.random.any();
        self.random.weighted(&[(20, 64), (1, 0), (2, 1), (4, 2), (2, 3), (2, 255), (2, any)])
    }

    /// Something was damaged on its way: cut, bits flipped, bytes behind it.
    pub(super) fn damaged(&mut self, mut bytes: Vec<u8>) -> Vec<u8> {
        if !self.random.once_in(8) || bytes.is_empty() {
            return bytes;
        }
        match self.random.within(0..8) {
            0 => bytes.truncate(self.random.within(0..bytes.len())),
            1 => bytes.truncate(self.random.within(0..bytes.len().min(64))),
            2 => {
                let place = self.random.within(0..bytes.len());
                bytes[place] ^= self.random.within(1..=255);
            }
            // One of the first bytes, where versions and lengths are.
            3 | 4 => {
                let place = self.random.within(0..bytes.len().min(12));
                bytes[place] ^= 1 << self.random.within(0..8);
            }
            _ => {
                let count = self.random.within(1..46);
                bytes.extend(self.random.bytes(count));
            }
        }
        bytes
    }

    /// What TCP, UDP and anything else carries: mostly little, at times about as much as a link takes, once in a while a jumbo frame.
    fn fill(&mut self) -> Vec<u8> {
        let length = match self.random.within(0..100) {
            0..78 => self.random.within(0..70),
            78..84 => self.random.within(70..260),
            84..96 => 1500_usize.saturating_sub(self.random.within(0..25) * 4 + self.random.pick(&[0, 0, 0, 1, 3])),
            96..98 => self.random.within(260..1600),
            98 => 1280_usize.saturating_sub(self.random.within(0..80)),
            _ => 8_900_usize.saturating_sub(self.random.within(0..400)),
        };
        // Bytes that are told apart, without asking for a random number for each.
        let start = self.random.any::<u8>();
        (0..length).map(|index| start.wrapping_add(index.to_be_bytes()[7])).collect()
    }

    fn load(&mut self) -> Load {
        let mut flow = any_flow(self.random);
        if self.depth < 2 && self.random.once_in(12) {
            flow.proto = 47;
        }
        let bytes = match flow.proto {
            47 if self.depth < 2 => return self.gre(),
            6 | 17 | 132 => {
                let mut bytes = [flow.sport.to_be_bytes(), flow.dport.to_be_bytes()].concat();
                bytes.extend(self.fill());
                // Ports cut short.
                if self.random.once_in(30) {
                    bytes.truncate(self.random.within(0..=4));
                }
                bytes
            }
            _ => self.fill(),
        };
        let left_out = if self.random.once_in(16) { self.random.within(0..=bytes.len()) } else { 0 };
        Load { flow, bytes, left_out }
    }

    /// GRE between two of the ends there are, and what it carries.
    fn gre(&mut self) -> Load {
        let ends = gre_ends(self.random);
        let mut flow = Flow { src: ends.src, dst: ends.dst, proto: 47, sport: 0, dport: 0 };
        if self.random.once_in(12) {
            flow = Flow { proto: 47, ..any_flow(self.random) };
        }
        let keyed = (ends.key != 0) != self.random.once_in(12);
        let mut flags = self.random.pick(&[0, 0, 0, 0x8000, 0x1000, 0x9000]) | if keyed { 0x2000 } else { 0 };
        if self.random.once_in(8) {
            // Source routing, reserved bits, another version; each alone, or all of it at random.
            flags ^= match self.random.within(0..8_u16) {
                0 | 1 => 0x4000,
                2 | 3 => 1 << self.random.within(0..3),
                4 | 5 => 1 << self.random.within(3..12),
                _ => self.random.any::<u16>(),
            };
        }
        let (protocol, payload) = self.gre_payload();
        let mut bytes = [flags.to_be_bytes(), protocol.to_be_bytes()].concat();
        for (bit, word) in [(0x8000, self.random.any()), (0x2000, ends.key), (0x1000, self.random.any())] {
            if flags & bit != 0 {
                bytes.extend(word.to_be_bytes());
            }
        }
        let header = bytes.len();
        bytes.extend(payload);
        // The delivery header's length may end within GRE, or anywhere behind it.
        let left_out = match self.random.within(0..24) {
            0 => bytes.len() - self.random.within(0..=header),
            1 => self.random.within(0..=bytes.len()),
            _ => 0,
        };
        Load { flow, bytes, left_out }
    }

    fn gre_payload(&mut self) -> (u16, Vec<u8>) {
        let mut inner = Packets { random: self.random, depth: self.depth + 1 };
        let (protocol, payload) = match inner.random.within(0..10) {
            0..3 => (0x0800, inner.ipv4()),
            3..6 => (0x86dd, inner.ipv6()),
            6..9 => (0x8847, inner.labels()),
            _ => (inner.random.pick(&[0x0800, 0x86dd, 0x8847, 0x6558]), inner.fill()),
        };
        if self.random.once_in(24) { (self.random.pick(&[0x0800, 0x86dd, 0x8847, 0x8848, 0x6558]), payload) } else { (protocol, payload) }
    }

    /// An IPv4 packet.
    pub(super) fn ipv4(&mut self) -> Vec<u8> {
        let load = self.load();
        let options = if self.random.once_in(8) { self.random.within(0..=10_u8) } else { 0 };
        let header_length = 20 + usize::from(options) * 4;
        // None, don't fragment, first fragment, later fragments, the reserved bit.
        let fragments = self.random.weighted(&[(10, 0_u16), (8, 0x4000), (1, 0x2000), (1, 0x00b9), (1, 0x6001), (1, 0x8000)]);
        let mut bytes = Vec::with_capacity(header_length + load.bytes.len());
        bytes.extend([0x45 + options, self.random.any()]);
        bytes.extend(length_field(header_length + load.bytes.len() - load.left_out));
        bytes.extend(self.random.any::<[u8; 2]>());
        bytes.extend(fragments.to_be_bytes());
        bytes.extend([self.ttl(), load.flow.proto, 0, 0]);
        bytes.extend(host_v4(load.flow.src).octets());
        bytes.extend(host_v4(load.flow.dst).octets());
        // No operation (RFC 791).
        bytes.resize(header_length, 1);
        if self.random.once_in(40) {
            // A checksum that comes to zero has two forms in one's complement; this identification makes it come to that.
            bytes[4..6].fill(0);
            let identification = checksum(&bytes);
            bytes[4..6].copy_from_slice(&identification.to_be_bytes());
            bytes[10..12].fill(0xff);
        } else {
            let sum = checksum(&bytes);
            bytes[10..12].copy_from_slice(&sum.to_be_bytes());
        }
        bytes.extend(load.bytes);
        self.damaged(bytes)
    }

    /// An IPv6 packet.
    pub(super) fn ipv6(&mut self) -> Vec<u8> {
        let load = self.load();
        let (next, extensions) = self.extensions(load.flow.proto);
        let whole = extensions.len() + load.bytes.len();
        // The header's length may end within the extensions too.
        let length = if self.random.once_in(20) { self.random.within(0..=extensions.len()) } else { whole - load.left_out };
        let mut bytes = Vec::with_capacity(40 + whole);
        bytes.extend((6 << 28 | self.random.any::<u32>() >> 4).to_be_bytes());
        bytes.extend(length_field(length));
        bytes.extend([next, self.ttl()]);
        bytes.extend(host_v6(load.flow.src).octets());
        bytes.extend(host_v6(load.flow.dst).octets());
        bytes.extend(extensions);
        bytes.extend(load.bytes);
        self.damaged(bytes)
    }

    /// Extension headers (RFC 8200 section 4) before a protocol: the first next header, and their bytes.
    fn extensions(&mut self, proto: u8) -> (u8, Vec<u8>) {
        // Hop-by-hop options, routing, destination options: eight bytes of padding each.
        let other = |next: u8| [next, 0, 1, 4, 0, 0, 0, 0];
        let kind = self.random.pick(&[0, 43, 60]);
        match self.random.within(0..20) {
            0..12 => (proto, vec![]),
            12 | 13 => (44, self.fragment_header(proto).to_vec()),
            14 => (44, self.fragment_header(kind).into_iter().chain(other(proto)).collect()),
            15 => (kind, other(44).into_iter().chain(self.fragment_header(proto)).collect()),
            16 => (44, self.fragment_header(44).into_iter().chain(self.fragment_header(proto)).collect()),
            17 => (44, vec![]),
            _ => (kind, other(proto).to_vec()),
        }
    }

    fn fragment_header(&mut self, next: u8) -> [u8; 8] {
        // All of it, the first, in the middle, the last.
        let [high, low] = self.random.pick(&[0_u16, 1, 0x0011, 0x0b40]).to_be_bytes();
        let [a, b, c, d] = self.random.any();
        [next, 0, high, low, a, b, c, d]
    }

    /// One to six labels over a packet.
    pub(super) fn labels(&mut self) -> Vec<u8> {
        let depth = self.random.weighted(&[(40, 1), (30, 2), (12, 3), (8, 4), (7, 5), (2, 6)]);
        let (mut bytes, mut last) = (Vec::new(), 0);
        for number in 1..=depth {
            last = match self.random.within(0..40) {
                0..32 => label(self.random).get(),
                32..35 => 0,
                35..38 => 2,
                38 => self.random.within(0..16),
                _ => self.random.any::<u32>() >> 12,
            };
            let (tc, bottom) = (self.random.within(0..8_u32), u32::from(number == depth));
            bytes.extend((last << 12 | tc << 9 | bottom << 8 | u32::from(self.ttl())).to_be_bytes());
        }
        let explicit = matches!(last, 0 | 2) && !self.random.once_in(12);
        let payload = match self.random.within(0..20) {
            // About as much as a header, of something that says it is one.
            0 => {
                let length = self.random.within(0..48);
                [vec![self.random.pick(&[0x45, 0x60, 0x50])], self.random.bytes(length)].concat()
            }
            1..=10 if !explicit => self.ipv4(),
            _ if explicit && last == 0 => self.ipv4(),
            _ => self.ipv6(),
        };
        bytes.extend(payload);
        self.damaged(bytes)
    }
}
