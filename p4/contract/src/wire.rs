//! Wire quantities: one type for each, constructed only from values that fit.
//!
//! A number on the wire has a width, and a value that does not fit has no meaning. Every type here is made by a checked constructor
//! and can only hold what its field can carry.

use std::fmt;

/// A value that does not fit the width of its field.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("{value} does not fit {kind}: it has {bits} bits")]
pub struct OutOfRange {
    /// The name of the type.
    pub kind: &'static str,
    /// The width in bits.
    pub bits: u32,
    /// What was given.
    pub value: u64,
}

macro_rules! quantity {
    ($(#[$doc:meta])* $name:ident, $repr:ty, $bits:literal) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
        pub struct $name($repr);

        impl $name {
            /// Width in bits.
            pub const BITS: u32 = $bits;
            /// The largest value.
            pub const MAX: Self = Self(if $bits == <$repr>::BITS { <$repr>::MAX } else { (1 << ($bits % <$repr>::BITS)) - 1 });

            /// A value that fits.
            ///
            /// # Errors
            /// [`OutOfRange`] when it does not fit the width.
            pub const fn new(value: $repr) -> Result<Self, OutOfRange> {
                if value > Self::MAX.0 {
                    return Err(OutOfRange { kind: stringify!($name), bits: $bits, value: value as u64 });
                }
                Ok(Self(value))
            }

            /// The number.
            pub const fn get(self) -> $repr {
                self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Display::fmt(&self.0, f)
            }
        }

        impl TryFrom<u64> for $name {
            type Error = OutOfRange;

            fn try_from(value: u64) -> Result<Self, OutOfRange> {
                match <$repr>::try_from(value) {
                    Ok(small) => Self::new(small),
                    Err(_) => Err(OutOfRange { kind: stringify!($name), bits: $bits, value }),
                }
            }
        }

        impl From<$name> for u64 {
            fn from(value: $name) -> u64 {
                u64::from(value.0)
            }
        }
    };
}

quantity!(
    /// A router port, one number per port, as in P4Runtime (9 bits, untranslated).
    PortId, u16, 9
);
quantity!(
    /// A VLAN identifier (IEEE 802.1Q, 12 bits); 0 = no tag.
    VlanId, u16, 12
);
quantity!(
    /// A routing table of one VPN on one PE (16 bits); 0 is the provider's own.
    VrfId, u16, 16
);
quantity!(
    /// A session (32 bits).
    SessionId, u32, 32
);
quantity!(
    /// A tunnel (32 bits).
    TunnelId, u32, 32
);
quantity!(
    /// A next hop (32 bits).
    NextHopId, u32, 32
);
quantity!(
    /// An MPLS label (RFC 3032, 20 bits). 0 to 15 are reserved (RFC 3032, RFC 7274).
    Label, u32, 20
);
quantity!(
    /// A service class, carried in the MPLS traffic class bits (RFC 5462, 3 bits).
    Class, u8, 3
);
quantity!(
    /// The MPLS traffic class field (RFC 5462, 3 bits).
    TrafficClass, u8, 3
);
quantity!(
    /// A differentiated services code point (RFC 2474, 6 bits).
    Dscp, u8, 6
);
quantity!(
    /// A meter's colour (RFC 2698): 0 green, 1 yellow, 2 red (2 bits).
    Colour, u8, 2
);
quantity!(
    /// How TTL crosses an encapsulation (RFC 3443, 8 bits): 0 uniform, any other value pipe with that TTL.
    TtlMode, u8, 8
);
quantity!(
    /// The largest packet a link takes, in bytes after Ethernet and tags (16 bits).
    Mtu, u16, 16
);
quantity!(
    /// An IP protocol number (8 bits).
    Protocol, u8, 8
);
quantity!(
    /// A TCP, UDP or SCTP port (16 bits).
    L4Port, u16, 16
);

quantity!(
    /// A GRE key (RFC 2890, 32 bits); 0 = no key field.
    GreKey, u32, 32
);

impl GreKey {
    /// No key field in the header.
    pub const NONE: Self = Self(0);
}

impl Label {
    /// IPv4 explicit null (RFC 3032): below it, if it is the bottom, is IPv4.
    pub const IPV4_EXPLICIT_NULL: Self = Self(0);
    /// IPv6 explicit null (RFC 3032): below it, if it is the bottom, is IPv6.
    pub const IPV6_EXPLICIT_NULL: Self = Self(2);
    /// Implicit null (RFC 3032): says "no label"; never on the wire.
    pub const IMPLICIT_NULL: Self = Self(3);
    /// The first label that is not reserved (RFC 3032 section 2.1).
    pub const FIRST_UNRESERVED: Self = Self(16);
}

impl Colour {
    /// Within the committed rate.
    pub const GREEN: Self = Self(0);
    /// Above the committed and within the peak rate.
    pub const YELLOW: Self = Self(1);
    /// Above the peak rate.
    pub const RED: Self = Self(2);
}

impl TtlMode {
    /// The uniform model of RFC 3443.
    pub const UNIFORM: Self = Self(0);
}

/// An Ethernet address (48 bits).
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct MacAddr(pub [u8; 6]);

impl fmt::Display for MacAddr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [first, second, third, fourth, fifth, sixth] = self.0;
        write!(f, "{first:02x}:{second:02x}:{third:02x}:{fourth:02x}:{fifth:02x}:{sixth:02x}")
    }
}

impl fmt::Debug for MacAddr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl From<MacAddr> for u64 {
    fn from(MacAddr(address): MacAddr) -> Self {
        let mut bytes = [0; 8];
        bytes[2..].copy_from_slice(&address);
        Self::from_be_bytes(bytes)
    }
}

/// Text that is no Ethernet address.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is no MAC address: expected six bytes in hexadecimal, 02:00:00:00:00:01")]
pub struct NotAMacAddr(pub String);

impl std::str::FromStr for MacAddr {
    type Err = NotAMacAddr;

    fn from_str(text: &str) -> Result<Self, NotAMacAddr> {
        let mut bytes = [0; 6];
        let mut parts = text.split(':');
        for byte in &mut bytes {
            // `from_str_radix` would take a sign.
            let part = parts.next().filter(|part| part.len() == 2 && part.bytes().all(|digit| digit.is_ascii_hexdigit()));
            *byte = part.and_then(|part| u8::from_str_radix(part, 16).ok()).ok_or_else(|| NotAMacAddr(text.to_owned()))?;
        }
        if parts.next().is_some() {
            return Err(NotAMacAddr(text.to_owned()));
        }
        Ok(Self(bytes))
    }
}
