//! What `session` and `route_v4` have in common: a tunnel, a VPN label and a class, in 55 bits.

/// Where a packet goes.
///
/// ```text
/// class 3 | VPN label 20 | tunnel slot 32
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Carry {
    /// Slot of the tunnel, which may be empty.
    pub(crate) tunnel: u32,
    /// The inner label; 3 = none.
    pub(crate) vpn_label: u32,
    /// The service class.
    pub(crate) class: u8,
}

impl Carry {
    #[inline]
    pub(crate) fn bits(self) -> u64 {
        u64::from(self.class & 7) << 52 | u64::from(self.vpn_label & 0xf_ffff) << 32 | u64::from(self.tunnel)
    }

    #[inline]
    #[allow(clippy::cast_possible_truncation, reason = "each part is masked to its width")]
    pub(crate) fn from_bits(bits: u64) -> Self {
        Self { tunnel: bits as u32, vpn_label: (bits >> 32) as u32 & 0xf_ffff, class: (bits >> 52) as u8 & 7 }
    }
}
