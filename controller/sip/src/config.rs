//! What the server needs to know before it starts.

use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
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
    /// The same, over TLS.
    Tls,
    /// WebSocket (RFC 7118): a message is one of WebSocket's. The gateway connects to nobody over it.
    Ws,
    /// The same, over TLS.
    Wss,
}

impl Carrier {
    /// Whether it needs a certificate.
    pub(crate) fn is_secure(self) -> bool {
        matches!(self, Self::Tls | Self::Wss)
    }

    /// The parameter of an address that is reached over it; UDP is what is meant without. Over TLS a WebSocket has the same as without (RFC 7118 section 5.4).
    pub(crate) fn parameter(self) -> &'static str {
        match self {
            Self::Udp => "",
            Self::Tcp => ";transport=tcp",
            Self::Tls => ";transport=tls",
            Self::Ws | Self::Wss => ";transport=ws",
        }
    }
}

impl fmt::Display for Carrier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Udp => "udp",
            Self::Tcp => "tcp",
            Self::Tls => "tls",
            Self::Ws => "ws",
            Self::Wss => "wss",
        })
    }
}

/// Where to listen, written `udp:10.255.0.1:5060`, `tcp:10.255.0.1:5060`, `tls:[2001:db8::1]:5061`, `ws:10.255.0.1:80` or `wss:10.255.0.1:443`.
///
/// The address goes into Via and Contact as it stands, so name the one that applications can reach, not `0.0.0.0`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct ListenAddress {
    /// What the messages come by.
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
    #[error("`{0}` does not begin with `udp:`, `tcp:`, `tls:`, `ws:` or `wss:`")]
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
            Some(("tls", address)) => (Carrier::Tls, address),
            Some(("ws", address)) => (Carrier::Ws, address),
            Some(("wss", address)) => (Carrier::Wss, address),
            _ => return Err(ParseListenAddressError::Carrier(text.to_owned())),
        };
        let address = address.parse().map_err(|_| ParseListenAddressError::Address(address.to_owned()))?;
        Ok(Self { carrier, address })
    }
}

/// As long as a transaction tries (RFC 3261 section 17.1.1.2): who has moved tells its new addresses right after it has registered.
pub const MOVE_TIMEOUT: Duration = Duration::from_secs(32);

/// How the server is set up.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SipConfig {
    /// The provider's domain: `provider.example` in `sip:storage@vpn-a.provider.example`.
    pub domain: String,
    /// Where to listen; at least one address.
    pub listen: Vec<ListenAddress>,
    /// How long a callee may take to answer.
    pub ring_timeout: Duration,
    /// How long a session may take to follow an application that has registered at another CE.
    pub move_timeout: Duration,
    /// How soon a session ends whose ends are not heard of.
    pub session_timer: SessionTimer,
    /// Other providers' gateways.
    pub peering: Peering,
    /// Needed where an address to listen at is one of TLS, or of WebSocket over it.
    pub tls: Option<TlsFiles>,
    /// What a stranger can make the server do.
    pub limits: Limits,
    /// The digest algorithms that are offered, in this order; at least one. RFC 8760 section 2.3 has the stronger first, but there are programs that read only the
    /// first challenge and know MD5 only (Debian's SIPp 3.6 is one), and others that give up where SHA-256 is offered at all (baresip 1.0, `JsSIP` 3.13).
    pub digest: Vec<DigestAlgorithm>,
}

impl SipConfig {
    /// With everything that need not be said as it is by default.
    pub fn new(domain: &str, listen: Vec<ListenAddress>) -> Self {
        Self {
            domain: domain.to_owned(),
            listen,
            ring_timeout: Duration::from_mins(1),
            move_timeout: MOVE_TIMEOUT,
            session_timer: SessionTimer::default(),
            peering: Peering::default(),
            tls: None,
            limits: Limits::default(),
            digest: DigestAlgorithm::BOTH.to_vec(),
        }
    }
}

/// Files in PEM that TLS needs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TlsFiles {
    /// The gateway's certificate, followed by those that lead to its authority.
    pub certificate: PathBuf,
    /// Its private key.
    pub key: PathBuf,
    /// The authorities of those that may connect. With it everybody has to show a certificate (mutual TLS); without it nobody has to.
    pub client_ca: Option<PathBuf>,
    /// The authorities of those that the gateway may connect to over TLS; without it, it connects to nobody over TLS, and whoever wants to be
    /// called over TLS keeps the connection open by which it registered.
    pub server_ca: Option<PathBuf>,
}

/// What a stranger can make the server do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Messages per second from one address (one /64 of IPv6); twice as many at once. Over UDP what is more is dropped, over TCP and TLS it is read later.
    pub messages_per_source: u32,
    /// Transactions at once. With so many, requests that begin something are answered 503 with Retry-After, and those within dialogs are served. Over
    /// UDP a call makes three, each of some 2 KiB and kept for 32 seconds (64 * T1 of RFC 3261): a hundred for each call a second.
    pub transactions: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self { messages_per_source: 5_000, transactions: 300_000 }
    }
}

/// A hash of digest authentication (RFC 8760).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DigestAlgorithm {
    /// SHA-256.
    Sha256,
    /// MD5, which old programs know.
    Md5,
}

impl DigestAlgorithm {
    /// Both, in the order of RFC 8760 section 2.3.
    pub const BOTH: [Self; 2] = [Self::Sha256, Self::Md5];
}

impl fmt::Display for DigestAlgorithm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Sha256 => "SHA-256",
            Self::Md5 => "MD5",
        })
    }
}

/// Why a text is no [`DigestAlgorithm`].
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is neither `SHA-256` nor `MD5`")]
pub struct ParseDigestAlgorithmError(String);

impl FromStr for DigestAlgorithm {
    type Err = ParseDigestAlgorithmError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Self::BOTH
            .into_iter()
            .find(|known| known.to_string().eq_ignore_ascii_case(text))
            .ok_or_else(|| ParseDigestAlgorithmError(text.to_owned()))
    }
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
    /// Where it is; not at a WebSocket, for the gateway opens none.
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
    /// A file that TLS needs cannot be used.
    #[error("{}: {reason}", file.display())]
    Tls {
        /// The file.
        file: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// An address is one of TLS, and nothing says with which certificate.
    #[error("{0} needs sip.tls, with certificate and key")]
    NoCertificate(ListenAddress),
    /// The SIP library refused to start.
    #[error("the SIP stack did not start: {0}")]
    Stack(String),
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn listen_addresses_read_back_as_written() {
        for text in ["udp:10.255.0.1:5060", "tcp:[::1]:5061", "tls:[::1]:5061", "ws:10.255.0.1:80", "wss:[::1]:443"] {
            assert_eq!(text.parse::<ListenAddress>().map(|a| a.to_string()), Ok(text.to_owned()));
        }
    }

    #[test]
    fn a_wrong_listen_address_says_what_is_wrong() {
        assert_eq!("10.255.0.1:5060".parse::<ListenAddress>(), Err(ParseListenAddressError::Carrier("10.255.0.1:5060".to_owned())));
        assert_eq!("udp:10.255.0.1".parse::<ListenAddress>(), Err(ParseListenAddressError::Address("10.255.0.1".to_owned())));
    }
}
