//! Entries of the tables with priorities. Which of two entries of the same priority wins is not defined, so a key has a priority that
//! hardly any other has: a hash of what it matches.

use std::hash::{DefaultHasher, Hash, Hasher as _};
use std::net::{Ipv4Addr, Ipv6Addr};

use super::random::Random;
use super::world::{host, host_v4, host_v6, session, value, vrf};
use crate::tables::{
    FlowAclV4Action, FlowAclV4Entry, FlowAclV4Key, FlowAclV6Action, FlowAclV6Entry, FlowAclV6Key, Priority, Range, Ternary,
};
use crate::wire::{L4Port, Protocol, VrfId};

/// What a rule says beside addresses.
#[derive(Clone, Copy, Hash)]
struct Common {
    vrf: Ternary<VrfId>,
    proto: Ternary<Protocol>,
    sport: Range<L4Port>,
    dport: Range<L4Port>,
}

/// A value with only those of its bits that count.
fn masked<V: TryFrom<u64> + Default>(number: u64, mask: u64) -> Ternary<V> {
    Ternary { value: value(number & mask), mask: value(mask) }
}

fn ports(random: &mut Random) -> Range<L4Port> {
    let (low, high) = random.pick(&[(0, 65535), (0, 65535), (0, 0), (80, 5060), (5061, 65535), (5060, 5060)]);
    Range { low: value(low), high: value(high) }
}

fn common(random: &mut Random) -> Common {
    Common {
        vrf: masked(vrf(random).get().into(), random.pick(&[0, 1, 0xffff, 0xffff])),
        proto: masked(random.pick(&[17, 6, 58, 47]), random.pick(&[0, 0, 16, 0xff])),
        sport: ports(random),
        dport: ports(random),
    }
}

/// How many of an address' last bits do not count: none, the last, a host's, all.
fn open_bits(random: &mut Random, all: u32) -> u32 {
    random.pick(&[0, 0, 1, 8, 8, all])
}

fn address_v4(random: &mut Random) -> Ternary<Ipv4Addr> {
    let mask = u32::MAX.checked_shl(open_bits(random, 32)).unwrap_or(0);
    Ternary { value: Ipv4Addr::from_bits(host_v4(host(random)).to_bits() & mask), mask: Ipv4Addr::from_bits(mask) }
}

fn address_v6(random: &mut Random) -> Ternary<Ipv6Addr> {
    let mask = u128::MAX.checked_shl(open_bits(random, 128)).unwrap_or(0);
    Ternary { value: Ipv6Addr::from_bits(host_v6(host(random)).to_bits() & mask), mask: Ipv6Addr::from_bits(mask) }
}

/// Few enough bits that an engine keeps them all.
fn priority(of: impl Hash) -> Priority {
    const BITS: u64 = 0x00ff_ffff;
    let mut hasher = DefaultHasher::new();
    of.hash(&mut hasher);
    let hash = i32::try_from(hasher.finish() & BITS).unwrap_or_default();
    Priority::new(1 + hash).unwrap_or_else(|| unreachable!("1 and no less was added"))
}

pub(super) fn flow_acl_v4(random: &mut Random) -> FlowAclV4Entry {
    let (src, dst, common) = (address_v4(random), address_v4(random), common(random));
    let Common { vrf, proto, sport, dport } = common;
    let key = FlowAclV4Key { vrf, src, dst, proto, sport, dport, priority: priority((src, dst, common)) };
    FlowAclV4Entry { key, action: FlowAclV4Action::Assign { session: session(random) } }
}

pub(super) fn flow_acl_v6(random: &mut Random) -> FlowAclV6Entry {
    let (src, dst, common) = (address_v6(random), address_v6(random), common(random));
    let Common { vrf, proto, sport, dport } = common;
    let key = FlowAclV6Key { vrf, src, dst, proto, sport, dport, priority: priority((src, dst, common)) };
    FlowAclV6Entry { key, action: FlowAclV6Action::Assign { session: session(random) } }
}
