//! Values of key fields and parameters as numbers and as P4Runtime's byte strings (P4Runtime specification, "Bytestrings").

use std::net::{Ipv4Addr, Ipv6Addr};

use crate::error::ValueError;
use crate::tables::{Prefix, Range, Reason, Ternary};
use crate::wire::{
    Class, Colour, Dscp, GreKey, L4Port, Label, MacAddr, Mtu, NextHopId, PortId, Protocol, SessionId, TrafficClass, TtlMode, TunnelId,
    VlanId, VrfId,
};

/// What a field holds: a number of a fixed width of at most 128 bits, and its byte string.
pub trait Value: Copy + Eq {
    /// Its width in bits, at most 128.
    const BITS: u32;

    /// The value of a number that has no more than [`Self::BITS`] bits; what a larger one gives is not defined.
    fn from_bits(bits: u128) -> Self;

    /// The number.
    fn bits(&self) -> u128;

    /// The canonical byte string: the shortest one.
    fn to_bytes(&self) -> Vec<u8> {
        let bytes = self.bits().to_be_bytes();
        let first = bytes.iter().position(|byte| *byte != 0).unwrap_or(bytes.len() - 1);
        bytes[first..].to_vec()
    }

    /// From a byte string of any length.
    ///
    /// # Errors
    /// [`ValueError::Empty`], [`ValueError::TooWide`] for a number that has more bits than the field, or [`ValueError::Unnamed`] for one
    /// that is no member of the field's enum.
    fn from_bytes(bytes: &[u8]) -> Result<Self, ValueError> {
        read(bytes, Self::BITS).map(Self::from_bits)
    }
}

/// The number of a byte string, if it has no more than so many bits.
fn read(bytes: &[u8], bits: u32) -> Result<u128, ValueError> {
    if bytes.is_empty() {
        return Err(ValueError::Empty);
    }
    let mut value = 0_u128;
    for byte in bytes {
        if value >> 120 != 0 {
            return Err(ValueError::TooWide { bits });
        }
        value = value << 8 | u128::from(*byte);
    }
    if value > ones(bits) { Err(ValueError::TooWide { bits }) } else { Ok(value) }
}

/// As many low bits set.
pub(crate) const fn ones(bits: u32) -> u128 {
    if bits == 0 { 0 } else { u128::MAX >> (128 - bits) }
}

macro_rules! value {
    ($($name:ident),*) => {$(
        impl Value for $name {
            const BITS: u32 = $name::BITS;

            fn from_bits(bits: u128) -> Self {
                // `bits` has at most BITS bits: that is what the caller checked, so this never falls back.
                u64::try_from(bits).ok().and_then(|bits| Self::try_from(bits).ok()).unwrap_or($name::MAX)
            }

            fn bits(&self) -> u128 {
                u128::from(self.get())
            }
        }
    )*};
}

value!(
    Class,
    Colour,
    Dscp,
    GreKey,
    L4Port,
    Label,
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

impl Value for Ipv4Addr {
    const BITS: u32 = 32;

    fn from_bits(bits: u128) -> Self {
        #[allow(clippy::cast_possible_truncation, reason = "an address has 32 bits, and so has what is handed in")]
        Self::from(bits as u32)
    }

    fn bits(&self) -> u128 {
        u128::from(u32::from(*self))
    }
}

impl Value for Ipv6Addr {
    const BITS: u32 = 128;

    fn from_bits(bits: u128) -> Self {
        Self::from(bits)
    }

    fn bits(&self) -> u128 {
        u128::from(*self)
    }
}

impl Value for Reason {
    const BITS: u32 = 8;

    fn from_bits(bits: u128) -> Self {
        u8::try_from(bits).ok().and_then(Self::from_number).unwrap_or(Self::None)
    }

    fn bits(&self) -> u128 {
        u128::from(*self as u8)
    }

    fn from_bytes(bytes: &[u8]) -> Result<Self, ValueError> {
        let number = read(bytes, Self::BITS)?;
        let named = u8::try_from(number).ok().and_then(Self::from_number);
        named.ok_or(ValueError::Unnamed { number })
    }
}

impl Value for MacAddr {
    const BITS: u32 = 48;

    fn from_bits(bits: u128) -> Self {
        let [.., first, second, third, fourth, fifth, sixth] = bits.to_be_bytes();
        Self([first, second, third, fourth, fifth, sixth])
    }

    fn bits(&self) -> u128 {
        u64::from(*self).into()
    }
}

impl<V: Value> Prefix<V> {
    /// Every value.
    pub fn any() -> Self {
        Self { value: V::from_bits(0), length: 0 }
    }

    /// Whether a value matches.
    pub fn matches(&self, value: V) -> bool {
        let below = V::BITS.saturating_sub(u32::from(self.length));
        (value.bits() ^ self.value.bits()) & !ones(below) == 0
    }
}

impl<V: Value> Ternary<V> {
    /// Exactly this value.
    pub fn exact(value: V) -> Self {
        Self { value, mask: V::from_bits(ones(V::BITS)) }
    }

    /// Every value.
    pub fn any() -> Self {
        Self { value: V::from_bits(0), mask: V::from_bits(0) }
    }

    /// Whether a value matches.
    pub fn matches(&self, value: V) -> bool {
        value.bits() & self.mask.bits() == self.value.bits()
    }
}

impl<V: Value> Range<V> {
    /// Every value.
    pub fn any() -> Self {
        Self { low: V::from_bits(0), high: V::from_bits(ones(V::BITS)) }
    }

    /// Exactly this value.
    pub fn exact(value: V) -> Self {
        Self { low: value, high: value }
    }

    /// Whether a value matches.
    pub fn matches(&self, value: V) -> bool {
        (self.low.bits()..=self.high.bits()).contains(&value.bits())
    }
}
