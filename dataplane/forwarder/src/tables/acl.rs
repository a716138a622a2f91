//! `flow_acl_v4`: tuple space search. Entries with the same masks share a hash table, so a look-up costs one probe for each different
//! combination of masks (hosts, sites, subnets: a few), not one for each entry; and it ends as soon as no combination left
//! has a priority as high as what was found.

use std::collections::HashMap;
use std::net::Ipv4Addr;

use svpn_contract::FlowAclV4Key;
use svpn_contract::wire::{Protocol, VrfId};

use super::exact::ExactMap;
use super::flow::FlowKey;
use super::hash::Seed;

/// An entry: what it matches, when it was inserted, and its session.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Rule {
    pub(crate) key: FlowAclV4Key,
    /// Of equal priorities the smaller number wins.
    pub(crate) sequence: u64,
    pub(crate) session: u32,
}

/// All entries, immutable.
#[derive(Debug, Default)]
pub(crate) struct Classifier {
    /// By falling highest priority.
    tuples: Box<[Tuple]>,
}

/// The entries of one combination of masks.
#[derive(Debug)]
struct Tuple {
    mask: [u64; 2],
    highest: i32,
    /// From a masked key to the first and the number of its candidates.
    buckets: ExactMap,
    candidates: Box<[Candidate]>,
}

/// An entry, once addresses, protocol and VRF match. Sorted, best first, within its bucket.
#[derive(Debug, Clone, Copy)]
struct Candidate {
    priority: i32,
    sequence: u64,
    sport: (u16, u16),
    dport: (u16, u16),
    session: u32,
}

/// What of a key is matched by masks: everything but the ports.
fn words(vrf: VrfId, src: Ipv4Addr, dst: Ipv4Addr, protocol: Protocol) -> [u64; 2] {
    [u64::from(u32::from(src)) << 32 | u64::from(u32::from(dst)), u64::from(vrf) << 8 | u64::from(protocol)]
}

impl Rule {
    fn mask(&self) -> [u64; 2] {
        let key = &self.key;
        words(key.vrf.mask, key.src.mask, key.dst.mask, key.proto.mask)
    }

    fn value(&self) -> [u64; 2] {
        let key = &self.key;
        words(key.vrf.value, key.src.value, key.dst.value, key.proto.value)
    }

    fn candidate(&self) -> Candidate {
        let key = &self.key;
        Candidate {
            priority: key.priority.get(),
            sequence: self.sequence,
            sport: (key.sport.low.get(), key.sport.high.get()),
            dport: (key.dport.low.get(), key.dport.high.get()),
            session: self.session,
        }
    }
}

impl Candidate {
    /// Smaller is better.
    fn rank(&self) -> (std::cmp::Reverse<i32>, u64) {
        (std::cmp::Reverse(self.priority), self.sequence)
    }

    #[inline]
    fn has_ports(&self, sport: u16, dport: u16) -> bool {
        (self.sport.0..=self.sport.1).contains(&sport) && (self.dport.0..=self.dport.1).contains(&dport)
    }
}

impl Classifier {
    pub(crate) fn new(seed: Seed, rules: impl Iterator<Item = Rule>) -> Self {
        let mut by_mask: HashMap<[u64; 2], HashMap<[u64; 2], Vec<Candidate>>> = HashMap::new();
        for rule in rules {
            by_mask.entry(rule.mask()).or_default().entry(rule.value()).or_default().push(rule.candidate());
        }
        let mut tuples: Vec<Tuple> = by_mask.into_iter().map(|(mask, buckets)| Tuple::new(seed, mask, buckets)).collect();
        tuples.sort_by_key(|tuple| std::cmp::Reverse(tuple.highest));
        Self { tuples: tuples.into() }
    }

    /// The session of the best entry that matches.
    #[inline]
    pub(crate) fn find(&self, key: FlowKey) -> Option<u32> {
        let whole = [key.addresses, key.rest >> 32];
        let (sport, dport) = ports(key);
        let mut best: Option<&Candidate> = None;
        for tuple in &self.tuples {
            if best.is_some_and(|best| best.priority > tuple.highest) {
                break;
            }
            let Some(bucket) = tuple.buckets.get([whole[0] & tuple.mask[0], whole[1] & tuple.mask[1]]) else { continue };
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

impl Tuple {
    fn new(seed: Seed, mask: [u64; 2], by_value: HashMap<[u64; 2], Vec<Candidate>>) -> Self {
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

/// Source and destination port of a key.
#[inline]
#[allow(clippy::cast_possible_truncation, reason = "each port is cut to its width")]
fn ports(key: FlowKey) -> (u16, u16) {
    ((key.rest >> 16) as u16, key.rest as u16)
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

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

    fn rules() -> impl Strategy<Value = Vec<Rule>> {
        let masked = || (0..4_u8, prop::sample::select(vec![0_u8, 1, 3]));
        let ends = || (0..6_u16, 0..6_u16);
        let rule = (masked(), masked(), masked(), masked(), ends(), ends(), 1..4_i32, any::<u32>());
        prop::collection::vec(rule, 0..40).prop_map(|rules| {
            let rules = rules.into_iter().zip(0..);
            let made = rules.map(|((vrf, src, dst, proto, sport, dport, priority, session), sequence)| Rule {
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

    fn naive(rules: &[Rule], asked: (u16, u32, u32, u8, u16, u16)) -> Option<u32> {
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
            let classifier = Classifier::new(Seed::derive(3, 4), rules.iter().copied());
            for asked in asked {
                let (vrf, src, dst, proto, sport, dport) = asked;
                let addresses = u64::from(src) << 32 | u64::from(dst);
                let key = FlowKey::new(vrf, addresses, proto, u32::from(sport) << 16 | u32::from(dport));
                prop_assert_eq!(classifier.find(key), naive(&rules, asked));
            }
        }
    }
}
