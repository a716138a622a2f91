//! What an application asks for, what it is granted, and why it is refused.
//!
//! These types are the seam between signalling and the domain: the SIP side fills in a [`SessionRequest`] from an offer and turns
//! [`Terms`] or a [`Refusal`] into an answer.

use std::fmt;
use std::net::Ipv4Addr;
use std::time::SystemTime;

/// A service class, 0 to 7, carried in the MPLS TC bits (RFC 5462).
pub use svpn_contract::wire::Class;

/// Bits per second.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct BitRate(pub u64);

/// The name a customer's VPN has in addresses and in the configuration: `vpn-a` in `sip:storage@vpn-a.provider.example`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct VpnName(pub String);

/// The name of a customer edge, as in the Contact parameter `svpn-ce=<ce>`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct CeName(pub String);

/// An application of a VPN: what an address of record names.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ApplicationId {
    /// The user part of the address of record.
    pub name: String,
    /// The VPN the application belongs to.
    pub vpn: VpnName,
}

impl fmt::Display for ApplicationId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}@{}", self.name, self.vpn.0)
    }
}

/// One number for one reservation, in the gateway and in every router's `session` table.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SessionNumber(pub u32);

/// Which packets between the two ends belong to the session (`a=svpn:match=`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum Match {
    /// The 5-tuples that `c=` and `m=` of offer and answer name.
    #[default]
    Ports,
    /// Everything between the two addresses.
    Hosts,
    /// Everything between the prefixes behind the two CEs.
    Sites,
}

/// The encapsulation asked for (`a=svpn:tunnel=`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum TunnelType {
    /// MPLS label switched paths.
    #[default]
    Mpls,
    /// GRE between the PEs.
    Gre,
}

/// Which way data flows, seen from the caller (`a=sendrecv`, `a=sendonly`, `a=recvonly`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum Direction {
    /// Both ways: two unidirectional paths.
    #[default]
    Both,
    /// From the caller to the callee only.
    FromCaller,
    /// From the callee to the caller only.
    FromCallee,
}

/// How the bandwidth of a medium was expressed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Bandwidth {
    /// `b=TIAS:` (RFC 3890): bits per second above the transport header. `packets_per_second` is `a=maxprate`, where given.
    TransportIndependent {
        /// The rate without IP and transport headers.
        rate: BitRate,
        /// `a=maxprate`, rounded up.
        packets_per_second: Option<u64>,
    },
    /// `b=AS:` (RFC 4566): bits per second with IP and transport headers (given in kbit/s on the wire, here in bit/s).
    ApplicationSpecific {
        /// The rate with IP and transport headers.
        rate: BitRate,
        /// `a=maxprate`, rounded up.
        packets_per_second: Option<u64>,
    },
}

/// The transport of a medium, for `match=ports`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Transport {
    /// UDP, and all that rides on it (RTP).
    Udp,
    /// TCP.
    Tcp,
    /// SCTP.
    Sctp,
}

impl Transport {
    /// The IP protocol number.
    pub const fn protocol_number(self) -> u8 {
        match self {
            Self::Udp => 17,
            Self::Tcp => 6,
            Self::Sctp => 132,
        }
    }
}

/// One end of a medium, from `c=` and `m=`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct MediaEnd {
    /// The address of `c=`.
    pub address: Ipv4Addr,
    /// The port of `m=`.
    pub port: u16,
}

/// One `m=` line of an offer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Medium {
    /// What carries it.
    pub transport: Transport,
    /// The caller's end.
    pub caller: MediaEnd,
    /// Which way data flows.
    pub direction: Direction,
    /// The bandwidth of each direction asked for.
    pub bandwidth: Bandwidth,
}

/// When the session runs (`t=`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Window {
    /// Its start; `None` = now.
    pub start: Option<SystemTime>,
    /// Its end; `None` = until hang-up.
    pub stop: Option<SystemTime>,
}

/// One INVITE, understood.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SessionRequest {
    /// Who asks: authenticated.
    pub caller: ApplicationId,
    /// The CE the caller is registered at.
    pub caller_ce: CeName,
    /// Whom the caller wants to reach.
    pub callee: ApplicationId,
    /// The CE the callee is registered at.
    pub callee_ce: CeName,
    /// The media, at least one.
    pub media: Vec<Medium>,
    /// The service class; `None` = the contract's default.
    pub class: Option<Class>,
    /// Priority, higher is more important; `None` = the contract's default.
    pub priority: Option<u8>,
    /// What counts as the session's packets.
    pub matching: Match,
    /// The encapsulation.
    pub tunnel: TunnelType,
    /// When.
    pub window: Window,
}

/// What the callee's answer adds: its end of each medium, in the order of the offer; `None` where it refused the medium (port 0).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    /// The callee's ends.
    pub media: Vec<Option<MediaEnd>>,
}

/// What was granted, for the answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Terms {
    /// `a=svpn-session`.
    pub session: SessionNumber,
    /// `b=TIAS` of each medium, as asked and granted.
    pub class: Class,
    /// What the ingress PE polices each direction to: bits per second of frames, destination MAC to end of payload, no FCS.
    /// Where the directions differ, the larger.
    pub policed: BitRate,
    /// `a=svpn-tunnel`: tunnel numbers, caller's direction first; a direction not asked for is absent.
    pub tunnels: Vec<u32>,
    /// `a=svpn-label`: VPN labels, caller's direction first.
    pub labels: Vec<u32>,
    /// `a=svpn-cost`: the anticipated cost, where the contract has a price.
    pub cost: Option<String>,
}

/// Why a session ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Cause {
    /// The caller hung up or cancelled.
    Caller,
    /// The callee hung up.
    Callee,
    /// The callee declined.
    Declined,
    /// The callee did not answer in time.
    NoAnswer,
    /// The signalling broke: a transaction failed, or a session timer expired.
    Signalling,
    /// The callee answered, but what its answer asks for cannot be had.
    Refused,
    /// The time asked for with `t=` is over.
    WindowEnd,
    /// The gateway is stopping.
    Shutdown,
}

/// Why a request was refused; `Display` is the reason a person can act on.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// The request cannot be served as written (488).
    #[error("not acceptable: {0}")]
    NotAcceptable(String),
    /// Contract or policy forbids it (403).
    #[error("forbidden: {0}")]
    Forbidden(String),
    /// The VPN or the application does not exist (404).
    #[error("not found: {0}")]
    NotFound(String),
    /// No bandwidth (580, Warning 370).
    #[error("no bandwidth: link {link} has room for {fits} bit/s of the {asked} bit/s asked", fits = .fits.0, asked = .asked.0)]
    NoBandwidth {
        /// The link that is full, `pe1-p1`.
        link: String,
        /// What was asked of the link, with labels.
        asked: BitRate,
        /// The most that would have fitted.
        fits: BitRate,
    },
    /// There is no path at all (580).
    #[error("no path from {from} to {to}")]
    NoPath {
        /// The ingress router.
        from: String,
        /// The egress router.
        to: String,
    },
    /// Too much to do, or a router does not answer (503 with Retry-After).
    #[error("temporarily unavailable: {0}")]
    Unavailable(String),
}
