//! What a tunnel puts before each packet.
//!
//! The VPN label says whose packet it is, whatever carries it: so sessions of all VPNs share a tunnel.
//!
//! | encapsulation | bytes |
//! |---|---|
//! | MPLS (RFC 3032): a transport label, which the router before the last pops, and the VPN label | 8; 4 where there is one link only |
//! | MPLS in GRE without a key (RFC 4023, RFC 2784) over IPv4: 20 + 4, and the VPN label | 28 |
//! | the same over IPv6: 40 + 4, and the VPN label | 48 |

use serde::{Deserialize, Serialize};

const LABEL: u32 = 4;
const GRE: u32 = 4;
const IPV4: u32 = 20;
const IPV6: u32 = 40;

/// How packets get from an ingress PE to an egress PE.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Encapsulation {
    /// A label switched path.
    Mpls,
    /// MPLS in GRE over IPv4 (RFC 4023).
    GreV4,
    /// MPLS in GRE over IPv6.
    GreV6,
}

impl Encapsulation {
    /// Bytes before a packet on a path of so many links, at most.
    pub const fn bytes(self, links: usize) -> u32 {
        match self {
            // Where there is one link only, nothing is left to switch by a transport label.
            Self::Mpls if links <= 1 => LABEL,
            Self::Mpls => 2 * LABEL,
            Self::GreV4 => IPV4 + GRE + LABEL,
            Self::GreV6 => IPV6 + GRE + LABEL,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn headers_are_as_long_as_the_standards_say() {
        let bytes = |encapsulation: Encapsulation| [1, 2, 5].map(|links| encapsulation.bytes(links));
        assert_eq!(bytes(Encapsulation::Mpls), [4, 8, 8]);
        assert_eq!(bytes(Encapsulation::GreV4), [28; 3]);
        assert_eq!(bytes(Encapsulation::GreV6), [48; 3]);
    }

    #[test]
    fn what_journals_hold_is_read() {
        assert_eq!(serde_json::from_str::<Encapsulation>("\"Mpls\"").unwrap(), Encapsulation::Mpls);
    }
}
