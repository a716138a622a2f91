//! What the server needs to know before it starts.

use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::str::FromStr;
use std::time::Duration;

use svpn_vpn::request::{CeName, VpnName};

/// What carries SIP messages.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Carrier {
    /// UDP: a message is a datagram.
    Udp,
    /// TCP: messages are framed by Content-Length.
    Tcp,
}

impl fmt::Display for Carrier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Udp => "udp",
            Self::Tcp => "tcp",
        })
    }
}

/// Where to listen, written `udp:10.255.0.1:5060` or `tcp:10.255.0.1:5060`.
///
/// The address goes into Via and Contact as it stands, so name the one that applications can reach, not `0.0.0.0`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct ListenAddress {
    /// UDP or TCP.
    pub carrier: Carrier,
    /// The local address and port; port 0 lets the system choose.
    pub address: SocketAddr,
}

impl fmt::Display for ListenAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.carrier, self.address)
    }
}

/// Why a text is no [`ListenAddress`].
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ParseListenAddressError {
    /// It does not begin with a carrier.
    #[error("`{0}` does not begin with `udp:` or `tcp:`")]
    Carrier(String),
    /// What follows the carrier is no socket address.
    #[error("`{0}` is no IP address and port, like `10.255.0.1:5060`")]
    Address(String),
}

impl FromStr for ListenAddress {
    type Err = ParseListenAddressError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let (carrier, address) = match text.split_once(':') {
            Some(("udp", address)) => (Carrier::Udp, address),
            Some(("tcp", address)) => (Carrier::Tcp, address),
            _ => return Err(ParseListenAddressError::Carrier(text.to_owned())),
        };
        let address = address.parse().map_err(|_| ParseListenAddressError::Address(address.to_owned()))?;
        Ok(Self { carrier, address })
    }
}

/// How the server is set up.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SipConfig {
    /// The provider's domain: `provider.example` in `sip:storage@vpn-a.provider.example`.
    pub domain: String,
    /// Where to listen; at least one UDP or TCP address.
    pub listen: Vec<ListenAddress>,
    /// How long a callee may take to answer.
    pub ring_timeout: Duration,
    /// How soon a session ends whose ends are not heard of.
    pub session_timer: SessionTimer,
    /// Other providers' gateways.
    pub peering: Peering,
}

/// Session timers (RFC 4028), in whole seconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SessionTimer {
    /// From one refresh to the end of a session that is not refreshed again, unless an application asks for less.
    pub interval: Duration,
    /// The least that an application may ask for (Min-SE).
    pub minimum: Duration,
}

impl SessionTimer {
    /// The least that RFC 4028 section 5 allows: 90 seconds.
    pub const LEAST: Duration = Duration::from_secs(90);
}

impl Default for SessionTimer {
    /// Half an hour, as RFC 4028 section 4 recommends.
    fn default() -> Self {
        Self { interval: Duration::from_mins(30), minimum: Self::LEAST }
    }
}

/// Other providers' gateways, and how they are dealt with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Peering {
    /// Who they are.
    pub peers: Vec<PeerConfig>,
    /// How long one may take to tell the label of a session, and to take ours.
    pub label_timeout: Duration,
}

impl Default for Peering {
    fn default() -> Self {
        Self { peers: Vec::new(), label_timeout: Duration::from_secs(8) }
    }
}

/// Another provider's gateway.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PeerConfig {
    /// Its domain: `east.example` in `sip:storage@vpn-a.east.example`.
    pub domain: String,
    /// Where it is.
    pub address: ListenAddress,
    /// Where its requests may come from besides.
    pub from: Vec<IpAddr>,
    /// The links to it, by the names that both providers have for them; the one to be tried first in front.
    pub nnis: Vec<CeName>,
    /// The VPNs that have sites at both providers: our name, and its.
    pub vpns: Vec<(VpnName, VpnName)>,
}

/// Why the server did not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// There is no address to listen at.
    #[error("no address to listen at was given")]
    NoAddress,
    /// The address says nowhere in particular, so that no application could be told where to answer.
    #[error("{0} is every address; name the one that applications reach")]
    Unspecified(ListenAddress),
    /// An address could not be bound: another program has the port, or the address is not this machine's.
    #[error("cannot listen at {address}: {source}")]
    Bind {
        /// The address.
        address: ListenAddress,
        /// What the system says.
        source: std::io::Error,
    },
    /// The SIP library refused to start.
    #[error("the SIP stack did not start: {0}")]
    Stack(String),
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn listen_addresses_read_back_as_written() {
        for text in ["udp:10.255.0.1:5060", "tcp:[::1]:5061"] {
            assert_eq!(text.parse::<ListenAddress>().map(|a| a.to_string()), Ok(text.to_owned()));
        }
    }

    #[test]
    fn a_wrong_listen_address_says_what_is_wrong() {
        assert_eq!("10.255.0.1:5060".parse::<ListenAddress>(), Err(ParseListenAddressError::Carrier("10.255.0.1:5060".to_owned())));
        assert_eq!("udp:10.255.0.1".parse::<ListenAddress>(), Err(ParseListenAddressError::Address("10.255.0.1".to_owned())));
    }
}
