//! [`Arbitrary`] for what the contract's types are made of, and for all of those.

#![allow(clippy::pedantic, reason = "the greater part is generated code")]

use std::net::{Ipv4Addr, Ipv6Addr};
use std::num::NonZeroU32;
use std::time::Duration;

use proptest::arbitrary::{Arbitrary, any};
use proptest::strategy::{BoxedStrategy, Just, Strategy, Union};
use proptest::{collection, option, prop_oneof, sample};

use crate::tables::*;
use crate::value::{Value, ones};
use crate::wire::*;

/// A number of so many bits; small ones, zero and the largest more often than others.
fn number(bits: u32) -> impl Strategy<Value = u128> {
    let largest = ones(bits);
    prop_oneof![4 => 0..=largest, 2 => 0..=largest.min(32), 1 => Just(0), 1 => Just(largest)]
}

macro_rules! arbitrary {
    ($($name:ident),*) => {$(
        impl Arbitrary for $name {
            type Parameters = ();
            type Strategy = BoxedStrategy<Self>;

            fn arbitrary_with((): ()) -> Self::Strategy {
                number(<Self as Value>::BITS).prop_map(<Self as Value>::from_bits).boxed()
            }
        }
    )*};
}

arbitrary!(
    Class,
    Colour,
    Dscp,
    GreKey,
    L4Port,
    Label,
    MacAddr,
    Mtu,
    NextHopId,
    PortId,
    Protocol,
    SessionId,
    TrafficClass,
    TtlMode,
    TunnelId,
    VlanId,
    VrfId
);

impl Arbitrary for Reason {
    type Parameters = ();
    type Strategy = BoxedStrategy<Self>;

    fn arbitrary_with((): ()) -> Self::Strategy {
        sample::select(Self::ALL).boxed()
    }
}

impl Arbitrary for Priority {
    type Parameters = ();
    type Strategy = BoxedStrategy<Self>;

    fn arbitrary_with((): ()) -> Self::Strategy {
        (1..=i32::MAX).prop_filter_map("positive", Self::new).boxed()
    }
}

impl<V: Value + std::fmt::Debug + 'static> Arbitrary for Prefix<V> {
    type Parameters = ();
    type Strategy = BoxedStrategy<Self>;

    fn arbitrary_with((): ()) -> Self::Strategy {
        let prefix = |(bits, length): (u128, u32)| {
            let value = V::from_bits(bits & !ones(V::BITS - length));
            // A width is at most 128.
            Self { value, length: length as u8 }
        };
        (number(V::BITS), 0..=V::BITS).prop_map(prefix).boxed()
    }
}

impl<V: Value + std::fmt::Debug + 'static> Arbitrary for Ternary<V> {
    type Parameters = ();
    type Strategy = BoxedStrategy<Self>;

    fn arbitrary_with((): ()) -> Self::Strategy {
        let ternary = |(bits, mask): (u128, u128)| Self { value: V::from_bits(bits & mask), mask: V::from_bits(mask) };
        (number(V::BITS), number(V::BITS)).prop_map(ternary).boxed()
    }
}

impl<V: Value + std::fmt::Debug + 'static> Arbitrary for Range<V> {
    type Parameters = ();
    type Strategy = BoxedStrategy<Self>;

    fn arbitrary_with((): ()) -> Self::Strategy {
        let range = |(one, other): (u128, u128)| Self { low: V::from_bits(one.min(other)), high: V::from_bits(one.max(other)) };
        (number(V::BITS), number(V::BITS)).prop_map(range).boxed()
    }
}

impl<A: Arbitrary + 'static> Arbitrary for Member<A> {
    type Parameters = ();
    type Strategy = BoxedStrategy<Self>;

    fn arbitrary_with((): ()) -> Self::Strategy {
        // The wire carries a weight as a signed number.
        let weight = (1..=i32::MAX as u32).prop_filter_map("positive", NonZeroU32::new);
        (any::<A>(), weight, option::of(any::<PortId>()))
            .prop_map(|(action, weight, watch_port)| Self { action, weight, watch_port })
            .boxed()
    }
}

impl<A: Arbitrary + 'static> Arbitrary for Choice<A> {
    type Parameters = ();
    type Strategy = BoxedStrategy<Self>;

    fn arbitrary_with((): ()) -> Self::Strategy {
        collection::vec(any::<Member<A>>(), 1..=4).prop_map(|members| Self { members }).boxed()
    }
}

impl Arbitrary for MeterConfig {
    type Parameters = ();
    type Strategy = BoxedStrategy<Self>;

    fn arbitrary_with((): ()) -> Self::Strategy {
        // The wire carries rates and bursts as signed numbers.
        let figure = || number(63).prop_map(|figure| figure as u64);
        (figure(), figure(), figure(), figure())
            .prop_map(|(one, other, cburst, pburst)| Self { cir: one.min(other), pir: one.max(other), cburst, pburst })
            .boxed()
    }
}

/// A time-out that the wire can carry: it has 63 bits of nanoseconds, and none is zero.
fn idle_timeout() -> impl Strategy<Value = Option<Duration>> {
    option::of((1..=ones(63) as u64).prop_map(Duration::from_nanos))
}

include!(concat!(env!("OUT_DIR"), "/arbitrary.rs"));
