//! `flow_acl_v4` and `flow_acl_v6`: tuple space search. Entries with the same masks share a hash table, so a look-up costs one probe for each
//! different combination of masks (hosts, sites, subnets: a few), not one for each entry; and it ends as soon as no combination left
//! has a priority as high as what was found.

use std::collections::HashMap;
use std::net::{Ipv4Addr, Ipv6Addr};

use svpn_contract::wire::L4Port;
use svpn_contract::{FlowAclV4Key, FlowAclV6Key, Priority, Range};

use super::exact::ExactMap;
use super::flow::FlowKey;
use super::flow_v6::FlowKeyV6;
use super::hash::Seed;

/// Words that are matched by masks, of IPv4: addresses; VRF and protocol.
const WORDS_V4: usize = 2;
/// Of IPv6: two of each address; VRF and protocol.
pub(crate) const WORDS_V6: usize = 5;

/// An entry: what it matches, when it was inserted, and its session.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Rule<const W: usize> {
    mask: [u64; W],
    value: [u64; W],
    candidate: Candidate,
}

/// All entries, immutable.
#[derive(Debug, Default)]
pub(crate) struct Classifier<const W: usize = WORDS_V4> {
    /// By falling highest priority.
    tuples: Box<[Tuple<W>]>,
}

/// The entries of one combination of masks.
#[derive(Debug)]
struct Tuple<const W: usize> {
    mask: [u64; W],
    highest: i32,
    /// From a masked key to the first and the number of its candidates.
    buckets: ExactMap<W>,
    candidates: Box<[Candidate]>,
}

/// An entry, once addresses, protocol and VRF match. Sorted, best first, within its bucket.
#[derive(Debug, Clone, Copy)]
struct Candidate {
    priority: i32,
    /// Of equal priorities the smaller number wins.
    sequence: u64,
    sport: (u16, u16),
    dport: (u16, u16),
    session: u32,
}

/// VRF and protocol in a word.
fn vrf_and_protocol(vrf: u16, protocol: u8) -> u64 {
    u64::from(vrf) << 8 | u64::from(protocol)
}

/// What of an IPv4 key is matched by masks: everything but the ports.
fn words_v4(vrf: u16, src: Ipv4Addr, dst: Ipv4Addr, protocol: u8) -> [u64; WORDS_V4] {
    [u64::from(src.to_bits()) << 32 | u64::from(dst.to_bits()), vrf_and_protocol(vrf, protocol)]
}

impl Rule<WORDS_V4> {
    /// An entry of `flow_acl_v4`. Of equal priorities the smaller sequence number wins.
    pub(crate) fn v4(key: &FlowAclV4Key, sequence: u64, session: u32) -> Self {
        Self {
            mask: words_v4(key.vrf.mask.get(), key.src.mask, key.dst.mask, key.proto.mask.get()),
            value: words_v4(key.vrf.value.get(), key.src.value, key.dst.value, key.proto.value.get()),
            candidate: Candidate::new(key.priority, sequence, [key.sport, key.dport], session),
        }
    }
}

/// Of an IPv6 key.
fn words_v6(vrf: u16, src: Ipv6Addr, dst: Ipv6Addr, protocol: u8) -> [u64; WORDS_V6] {
    // The words of a flow without its ports.
    let [addresses @ .., rest] = FlowKeyV6::new(vrf, src.to_bits(), dst.to_bits(), protocol, 0).words();
    let [source_high, source_low, destination_high, destination_low] = addresses;
    [source_high, source_low, destination_high, destination_low, rest >> 32]
}

impl Rule<WORDS_V6> {
    /// An entry of `flow_acl_v6`. Of equal priorities the smaller sequence number wins.
    pub(crate) fn v6(key: &FlowAclV6Key, sequence: u64, session: u32) -> Self {
        Self {
            mask: words_v6(key.vrf.mask.get(), key.src.mask, key.dst.mask, key.proto.mask.get()),
            value: words_v6(key.vrf.value.get(), key.src.value, key.dst.value, key.proto.value.get()),
            candidate: Candidate::new(key.priority, sequence, [key.sport, key.dport], session),
        }
    }
}

impl Candidate {
    fn new(priority: Priority, sequence: u64, ports: [Range<L4Port>; 2], session: u32) -> Self {
        let [sport, dport] = ports.map(|range| (range.low.get(), range.high.get()));
        Self { priority: priority.get(), sequence, sport, dport, session }
    }

    /// Smaller is better.
    fn rank(&self) -> (std::cmp::Reverse<i32>, u64) {
        (std::cmp::Reverse(self.priority), self.sequence)
    }

    #[inline]
    fn has_ports(&self, sport: u16, dport: u16) -> bool {
        (self.sport.0..=self.sport.1).contains(&sport) && (self.dport.0..=self.dport.1).contains(&dport)
    }
}

impl Classifier<WORDS_V4> {
    /// The session of the best entry that matches.
    #[inline]
    pub(crate) fn find(&self, key: FlowKey) -> Option<u32> {
        self.search([key.addresses, key.rest >> 32], ports(key.rest))
    }
}

impl Classifier<WORDS_V6> {
    /// The session of the best entry that matches.
    #[inline]
    pub(crate) fn find(&self, key: FlowKeyV6) -> Option<u32> {
        let [addresses @ .., rest] = key.words();
        let [source_high, source_low, destination_high, destination_low] = addresses;
        self.search([source_high, source_low, destination_high, destination_low, rest >> 32], ports(rest))
    }
}

impl<const W: usize> Classifier<W> {
    pub(crate) fn new(seed: Seed, rules: impl Iterator<Item = Rule<W>>) -> Self {
        let mut by_mask: HashMap<[u64; W], HashMap<[u64; W], Vec<Candidate>>> = HashMap::new();
        for rule in rules {
            by_mask.entry(rule.mask).or_default().entry(rule.value).or_default().push(rule.candidate);
        }
        let mut tuples: Vec<Tuple<W>> = by_mask.into_iter().map(|(mask, buckets)| Tuple::new(seed, mask, buckets)).collect();
        tuples.sort_by_key(|tuple| std::cmp::Reverse(tuple.highest));
        Self { tuples: tuples.into() }
    }

    #[inline]
    fn search(&self, whole: [u64; W], (sport, dport): (u16, u16)) -> Option<u32> {
        let mut best: Option<&Candidate> = None;
        for tuple in &self.tuples {
            if best.is_some_and(|best| best.priority > tuple.highest) {
                break;
            }
            let Some(bucket) = tuple.buckets.get(std::array::from_fn(|word| whole[word] & tuple.mask[word])) else { continue };
            let found = tuple.bucket(bucket).iter().find(|candidate| candidate.has_ports(sport, dport));
            if let Some(found) = found
                && best.is_none_or(|best| found.rank() < best.rank())
            {
                best = Some(found);
            }
        }
        best.map(|best| best.session)
    }
}

impl<const W: usize> Tuple<W> {
    fn new(seed: Seed, mask: [u64; W], by_value: HashMap<[u64; W], Vec<Candidate>>) -> Self {
        let mut candidates = Vec::new();
        let mut buckets = Vec::with_capacity(by_value.len());
        for (value, mut bucket) in by_value {
            bucket.sort_by_key(Candidate::rank);
            buckets.push((value, (candidates.len() as u64) << 32 | bucket.len() as u64));
            candidates.append(&mut bucket);
        }
        let highest = candidates.iter().map(|candidate| candidate.priority).max().unwrap_or_default();
        Self { mask, highest, buckets: ExactMap::new(seed, buckets.into_iter()), candidates: candidates.into() }
    }

    #[inline]
    #[allow(clippy::cast_possible_truncation, reason = "both halves were made from the numbers of entries")]
    fn bucket(&self, packed: u64) -> &[Candidate] {
        let (first, count) = ((packed >> 32) as usize, packed as u32 as usize);
        self.candidates.get(first..first + count).unwrap_or_default()
    }
}

/// Source and destination port of a key's last word.
#[inline]
#[allow(clippy::cast_possible_truncation, reason = "each port is cut to its width")]
fn ports(rest: u64) -> (u16, u16) {
    ((rest >> 16) as u16, rest as u16)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use svpn_contract::wire::{L4Port, Protocol, VrfId};
    use svpn_contract::{Priority, Range, Ternary};

    use super::*;

    fn ternary<T: Copy>(value: u8, mask: u8, make: impl Fn(u8) -> T) -> Ternary<T> {
        Ternary { value: make(value & mask), mask: make(mask) }
    }

    fn range(ends: (u16, u16)) -> Range<L4Port> {
        let port = |port| L4Port::new(port).unwrap();
        Range { low: port(ends.0.min(ends.1)), high: port(ends.0.max(ends.1)) }
    }

    /// An entry with what the model needs.
    #[derive(Debug, Clone, Copy)]
    struct Entry {
        key: FlowAclV4Key,
        sequence: u64,
        session: u32,
    }

    fn rules() -> impl Strategy<Value = Vec<Entry>> {
        let masked = || (0..4_u8, prop::sample::select(vec![0_u8, 1, 3]));
        let ends = || (0..6_u16, 0..6_u16);
        let rule = (masked(), masked(), masked(), masked(), ends(), ends(), 1..4_i32, any::<u32>());
        prop::collection::vec(rule, 0..40).prop_map(|rules| {
            let rules = rules.into_iter().zip(0..);
            let made = rules.map(|((vrf, src, dst, proto, sport, dport, priority, session), sequence)| Entry {
                key: FlowAclV4Key {
                    vrf: ternary(vrf.0, vrf.1, |vrf| VrfId::new(u16::from(vrf)).unwrap()),
                    src: ternary(src.0, src.1, |src| Ipv4Addr::from(u32::from(src))),
                    dst: ternary(dst.0, dst.1, |dst| Ipv4Addr::from(u32::from(dst))),
                    proto: ternary(proto.0, proto.1, |proto| Protocol::new(proto).unwrap()),
                    sport: range(sport),
                    dport: range(dport),
                    priority: Priority::new(priority).unwrap(),
                },
                sequence,
                session,
            });
            made.collect()
        })
    }

    /// Two bits, each at one end of an address.
    fn spread(bits: u32) -> Ipv6Addr {
        Ipv6Addr::from_bits(u128::from(bits & 1) | u128::from(bits >> 1) << 127)
    }

    fn v6(key: &FlowAclV4Key) -> FlowAclV6Key {
        let address = |address: Ternary<Ipv4Addr>| Ternary { value: spread(address.value.to_bits()), mask: spread(address.mask.to_bits()) };
        let FlowAclV4Key { vrf, src, dst, proto, sport, dport, priority } = *key;
        FlowAclV6Key { vrf, src: address(src), dst: address(dst), proto, sport, dport, priority }
    }

    fn naive(rules: &[Entry], asked: (u16, u32, u32, u8, u16, u16)) -> Option<u32> {
        let (vrf, src, dst, proto, sport, dport) = asked;
        let matching = rules.iter().filter(|rule| {
            let key = &rule.key;
            key.vrf.matches(VrfId::new(vrf).unwrap())
                && key.src.matches(Ipv4Addr::from(src))
                && key.dst.matches(Ipv4Addr::from(dst))
                && key.proto.matches(Protocol::new(proto).unwrap())
                && key.sport.matches(L4Port::new(sport).unwrap())
                && key.dport.matches(L4Port::new(dport).unwrap())
        });
        matching.min_by_key(|rule| (std::cmp::Reverse(rule.key.priority), rule.sequence)).map(|rule| rule.session)
    }

    proptest! {
        #[test]
        fn it_finds_what_a_search_of_all_entries_finds(
            rules in rules(),
            asked in prop::collection::vec((0..4_u16, 0..4_u32, 0..4_u32, 0..4_u8, 0..6_u16, 0..6_u16), 30),
        ) {
            let classifier = Classifier::new(Seed::derive(3, 4), rules.iter().map(|rule| Rule::v4(&rule.key, rule.sequence, rule.session)));
            for asked in asked {
                let (vrf, src, dst, proto, sport, dport) = asked;
                let addresses = u64::from(src) << 32 | u64::from(dst);
                let key = FlowKey::new(vrf, addresses, proto, u32::from(sport) << 16 | u32::from(dport));
                prop_assert_eq!(classifier.find(key), naive(&rules, asked));
            }
        }

        #[test]
        fn ipv6_is_searched_like_ipv4(
            rules in rules(),
            asked in prop::collection::vec((0..4_u16, 0..4_u32, 0..4_u32, 0..4_u8, 0..6_u16, 0..6_u16), 30),
        ) {
            let made = rules.iter().map(|rule| Rule::v6(&v6(&rule.key), rule.sequence, rule.session));
            let classifier = Classifier::new(Seed::derive(3, 4), made);
            for asked in asked {
                let (vrf, src, dst, proto, sport, dport) = asked;
                let ports = u32::from(sport) << 16 | u32::from(dport);
                let key = FlowKeyV6::new(vrf, spread(src).to_bits(), spread(dst).to_bits(), proto, ports);
                prop_assert_eq!(classifier.find(key), naive(&rules, asked));
            }
        }
    }
}
