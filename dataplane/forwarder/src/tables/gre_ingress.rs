//! `gre_ingress_v4` and `gre_ingress_v6`: whose GRE packets are taken out of their delivery header, by its addresses and the GRE key.
//!
//! ```text
//! v4 key: | source 32 | destination 32 | GRE key 64 |
//! v6 key: | source 128 | destination 128 | GRE key 64 |
//! value:  VRF 16, or 1 << 16 for labels
//! ```

use super::chained::{ChainedTable, ChainedWriter};

/// Of `gre_ingress_v4`.
pub(crate) type GreIngressV4 = ChainedTable<2>;
/// Of `gre_ingress_v6`.
pub(crate) type GreIngressV6 = ChainedTable<5>;
/// The writer of `gre_ingress_v4`.
pub(crate) type GreIngressV4Writer = ChainedWriter<2>;
/// The writer of `gre_ingress_v6`.
pub(crate) type GreIngressV6Writer = ChainedWriter<5>;

/// The key of an outer IPv4 header with these addresses, the source in the upper half, and GRE key (0 = no key field).
#[inline]
pub(crate) fn key_v4(addresses: u64, gre_key: u32) -> [u64; 2] {
    [addresses, u64::from(gre_key)]
}

/// The key of an outer IPv6 header with these addresses, the source first, and GRE key (0 = no key field).
#[inline]
pub(crate) fn key_v6(addresses: [u64; 4], gre_key: u32) -> [u64; 5] {
    let [source, source_end, destination, destination_end] = addresses;
    [source, source_end, destination, destination_end, u64::from(gre_key)]
}

/// What becomes of a GRE packet's content.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Decapsulation {
    /// It is IP, which is routed in this VRF.
    Vrf(u16),
    /// It is labels (RFC 4023).
    Mpls,
}

impl Decapsulation {
    pub(crate) fn bits(self) -> u64 {
        match self {
            Self::Vrf(vrf) => u64::from(vrf),
            Self::Mpls => 1 << 16,
        }
    }

    #[inline]
    #[allow(clippy::cast_possible_truncation, reason = "the VRF is the low 16 bits")]
    pub(crate) fn from_bits(bits: u64) -> Self {
        if bits >> 16 == 0 { Self::Vrf(bits as u16) } else { Self::Mpls }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_decapsulation_survives_its_word() {
        for decapsulation in [Decapsulation::Vrf(0), Decapsulation::Vrf(u16::MAX), Decapsulation::Mpls] {
            assert_eq!(Decapsulation::from_bits(decapsulation.bits()), decapsulation);
        }
    }

    #[test]
    fn keys_keep_every_bit() {
        assert_eq!(key_v4(u64::MAX - 1, u32::MAX), [u64::MAX - 1, u64::from(u32::MAX)]);
        assert_eq!(key_v6([1, 2, 3, 4], 5), [1, 2, 3, 4, 5]);
    }
}
