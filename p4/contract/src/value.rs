//! Values of key fields and parameters as numbers and as P4Runtime's byte strings (P4Runtime specification, "Bytestrings").

use std::net::Ipv4Addr;

use crate::error::ValueError;
use crate::tables::{Prefix, Range, Ternary};
use crate::wire::{
    Class, Colour, Dscp, L4Port, Label, MacAddr, Mtu, NextHopId, PortId, Protocol, SessionId, TrafficClass, TtlMode, TunnelId, VlanId,
    VrfId,
};

/// What a field holds: a number of a fixed width of at most 64 bits, and its byte string.
pub trait Value: Copy + Eq {
    /// Its width in bits, at most 64.
    const BITS: u32;

    /// The value of a number that has no more than [`Self::BITS`] bits; what a larger one gives is not defined.
    fn from_bits(bits: u64) -> Self;

    /// The number.
    fn bits(&self) -> u64;

    /// The canonical byte string: the shortest one.
    fn to_bytes(&self) -> Vec<u8> {
        let bytes = self.bits().to_be_bytes();
        let first = bytes.iter().position(|byte| *byte != 0).unwrap_or(bytes.len() - 1);
        bytes[first..].to_vec()
    }

    /// From a byte string of any length.
    ///
    /// # Errors
    /// [`ValueError::Empty`], or [`ValueError::TooWide`] for a number that has more bits than the field.
    fn from_bytes(bytes: &[u8]) -> Result<Self, ValueError> {
        if bytes.is_empty() {
            return Err(ValueError::Empty);
        }
        let mut value = 0_u64;
        for byte in bytes {
            if value >> 56 != 0 {
                return Err(ValueError::TooWide { bits: Self::BITS });
            }
            value = value << 8 | u64::from(*byte);
        }
        if value > ones(Self::BITS) {
            return Err(ValueError::TooWide { bits: Self::BITS });
        }
        Ok(Self::from_bits(value))
    }
}

/// As many low bits set.
pub(crate) const fn ones(bits: u32) -> u64 {
    if bits == 0 { 0 } else { u64::MAX >> (64 - bits) }
}

macro_rules! value {
    ($($name:ident),*) => {$(
        impl Value for $name {
            const BITS: u32 = $name::BITS;

            fn from_bits(bits: u64) -> Self {
                // `bits` has at most BITS bits: that is what the caller checked, so this never falls back.
                Self::try_from(bits).unwrap_or($name::MAX)
            }

            fn bits(&self) -> u64 {
                u64::from(self.get())
            }
        }
    )*};
}

value!(Class, Colour, Dscp, L4Port, Label, Mtu, NextHopId, PortId, Protocol, SessionId, TrafficClass, TtlMode, TunnelId, VlanId, VrfId);

impl Value for Ipv4Addr {
    const BITS: u32 = 32;

    fn from_bits(bits: u64) -> Self {
        #[allow(clippy::cast_possible_truncation, reason = "an address has 32 bits, and so has what is handed in")]
        Self::from(bits as u32)
    }

    fn bits(&self) -> u64 {
        u64::from(u32::from(*self))
    }
}

impl Value for MacAddr {
    const BITS: u32 = 48;

    fn from_bits(bits: u64) -> Self {
        let [_, _, address @ ..] = bits.to_be_bytes();
        Self(address)
    }

    fn bits(&self) -> u64 {
        let mut bytes = [0; 8];
        bytes[2..].copy_from_slice(&self.0);
        u64::from_be_bytes(bytes)
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
