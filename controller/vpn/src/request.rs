//! What an application asks for, what it is granted, and why it is refused.
//!
//! These types are the seam between signalling and the domain: the SIP side fills in a [`SessionRequest`] from an offer and turns
//! [`Terms`] or a [`Refusal`] into an answer.

use std::fmt;
use std::net::IpAddr;
use std::time::SystemTime;

use serde::{Deserialize, Serialize};

/// A service class, 0 to 7, carried in the MPLS TC bits (RFC 5462).
pub use svpn_contract::wire::Class;
/// An MPLS label (RFC 3032).
pub use svpn_contract::wire::Label;

/// Bits per second.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize)]
pub struct BitRate(pub u64);

/// The name a customer's VPN has in addresses and in the configuration: `vpn-a` in `sip:storage@vpn-a.provider.example`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct VpnName(pub String);

/// The name of a customer edge, as in the Contact parameter `svpn-ce=<ce>`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct CeName(pub String);

/// An application of a VPN: what an address of record names.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
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
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct SessionNumber(pub u32);

/// Which packets between the two ends belong to the session (`a=svpn:match=`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
pub enum Match {
    /// The 5-tuples that `c=` and `m=` of offer and answer name.
    #[default]
    Ports,
    /// Everything between the two addresses.
    Hosts,
    /// Everything between the prefixes behind the two CEs.
    Sites,
}

impl fmt::Display for Match {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Ports => "ports",
            Self::Hosts => "hosts",
            Self::Sites => "sites",
        })
    }
}

/// The encapsulation asked for (`a=svpn:tunnel=`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize)]
pub enum TunnelType {
    /// MPLS label switched paths.
    #[default]
    Mpls,
    /// GRE between the PEs.
    Gre,
}

/// Which way data flows, seen from the caller (`a=sendrecv`, `a=sendonly`, `a=recvonly`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
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
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
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
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
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

/// A version of IP.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum IpVersion {
    /// IPv4.
    V4,
    /// IPv6.
    V6,
}

impl IpVersion {
    /// The version of an address.
    pub const fn of(address: IpAddr) -> Self {
        if address.is_ipv4() { Self::V4 } else { Self::V6 }
    }

    /// Bytes of the header, without options or extension headers.
    pub const fn header(self) -> u64 {
        match self {
            Self::V4 => 20,
            Self::V6 => 40,
        }
    }
}

impl fmt::Display for IpVersion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::V4 => "IPv4",
            Self::V6 => "IPv6",
        })
    }
}

/// One end of a medium, from `c=` and `m=`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct MediaEnd {
    /// The address of `c=`.
    pub address: IpAddr,
    /// The port of `m=`.
    pub port: u16,
}

/// One `m=` line of an offer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
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
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Window {
    /// Its start; `None` = now.
    pub start: Option<SystemTime>,
    /// Its end; `None` = until hang-up.
    pub stop: Option<SystemTime>,
}

/// One INVITE, understood.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
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
    #[serde(with = "optional_class")]
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
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
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
    /// Where the other end is another provider's: the label by which our border router knows what comes from there, to be told the peer.
    pub mapping: Option<Mapping>,
}

/// The label by which one provider's border router knows what the other sends for a session.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mapping {
    /// The link between both.
    pub nni: CeName,
    /// The label.
    pub label: Label,
}

/// Why a session ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
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
    /// A link or router failed, or has less than it had, and the session fits nowhere else.
    Network,
    /// A more important session needed the room.
    Preempted,
    /// An end went to another CE, and the session could not follow it there.
    Moved,
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
    #[error(
        "no bandwidth: link {link} has room for {fits} bit/s of the {asked} bit/s asked{}",
        when(*.full, *.next_start),
        fits = .fits.0,
        asked = .asked.0
    )]
    NoBandwidth {
        /// The link that is full, `pe1-p1`.
        link: String,
        /// What was asked of the link, with labels.
        asked: BitRate,
        /// The most that would have fitted.
        fits: BitRate,
        /// From when until when it is too full; without an end it stays so.
        full: (SystemTime, Option<SystemTime>),
        /// The first start at which all that was asked would fit; `None` = never, as things stand.
        next_start: Option<SystemTime>,
    },
    /// There is no path (580).
    #[error("no path from {from} to {to}: {why}")]
    NoPath {
        /// The ingress router.
        from: String,
        /// The egress router.
        to: String,
        /// What is in the way.
        why: String,
    },
    /// It was wanted only together with others, which cannot all be had (580).
    #[error("all or none: {0}")]
    AllOrNone(String),
    /// Too much to do, or a router does not answer (503 with Retry-After).
    #[error("temporarily unavailable: {0}")]
    Unavailable(String),
}

/// An instant as people read it (RFC 3339), to the second.
pub(crate) fn utc(instant: SystemTime) -> String {
    jiff::Timestamp::try_from(instant).map_or_else(|_| "a time beyond reckoning".to_owned(), |instant| format!("{instant:.0}"))
}

fn when((from, until): (SystemTime, Option<SystemTime>), next_start: Option<SystemTime>) -> String {
    let until = until.map_or_else(String::new, |until| format!(" until {}", utc(until)));
    let next = next_start.map_or_else(
        || "it would fit at no other time, as things stand".to_owned(),
        |start| format!("it would fit from {} on", utc(start)),
    );
    format!(" from {}{until}; {next}", utc(from))
}

/// A class in facts: its number.
mod optional_class {
    use serde::{Deserialize as _, Deserializer, Serialize as _, Serializer, de};

    use super::Class;

    #[allow(clippy::ref_option, clippy::trivially_copy_pass_by_ref, reason = "serde calls it with a reference to the field")]
    pub(super) fn serialize<S: Serializer>(class: &Option<Class>, serializer: S) -> Result<S::Ok, S::Error> {
        class.map(Class::get).serialize(serializer)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Class>, D::Error> {
        Option::<u8>::deserialize(deserializer)?.map(|number| Class::new(number).map_err(de::Error::custom)).transpose()
    }
}
