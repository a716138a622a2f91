//! What must outlive the gateway: facts, written before their effect leaves the machine.
//!
//! Everything is named as the configuration names it and not by its place there, so that a configuration that has changed meanwhile is
//! noticed and not misread. A fact says how a thing is from now on: writing it twice is writing it once, and the last one of a
//! [`Fact::key`] is all that counts. [`crate::Domain::restore`] makes the domain of them again.
//!
//! `serde` gives facts a form for the disk; which one is the store's choice.

use std::net::IpAddr;
use std::time::SystemTime;

use serde::{Deserialize, Serialize};

use crate::demand::Demand;
use crate::encapsulation::Encapsulation;
use crate::network::Network;
use crate::request::{Answer, BitRate, Cause, CeName, SessionNumber, SessionRequest, VpnName};
use crate::session::State;
use crate::topology::DirectedLinkId;

/// How one thing is from now on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Fact {
    /// A session.
    Session(Box<SessionRecord>),
    /// A session is over and settled: its number is free.
    SessionGone(SessionNumber),
    /// A tunnel.
    Tunnel(TunnelRecord),
    /// A tunnel is no more.
    TunnelGone(TunnelName),
    /// What was done to a link at run time.
    Link(LinkRecord),
    /// A router that is out of service.
    RouterDown(String),
    /// The router is in service again.
    RouterUp(String),
    /// A number that lasts as long as what has it is configured.
    Number(NumberRecord),
    /// The number is free.
    NumberGone(NumberHolder),
    /// How much of a month's quota a contract has used.
    Usage(UsageRecord),
}

impl Fact {
    /// What the fact is about: its kind, and its name among those of the kind. A later fact with the same key replaces an earlier one.
    pub fn key(&self) -> (&'static str, String) {
        match self {
            Self::Session(record) => ("session", record.number.0.to_string()),
            Self::SessionGone(number) => ("session", number.0.to_string()),
            Self::Tunnel(record) => ("tunnel", record.name.key()),
            Self::TunnelGone(name) => ("tunnel", name.key()),
            Self::Link(record) => ("link", record.link.clone()),
            Self::RouterDown(router) | Self::RouterUp(router) => ("router", router.clone()),
            Self::Number(record) => ("number", record.holder.key()),
            Self::NumberGone(holder) => ("number", holder.key()),
            Self::Usage(record) => ("usage", record.contract.clone()),
        }
    }

    /// What is to be kept: the fact, or nothing where it says that something is gone.
    pub fn body(&self) -> Option<&Self> {
        match self {
            Self::SessionGone(_) | Self::TunnelGone(_) | Self::RouterUp(_) | Self::NumberGone(_) => None,
            _ => Some(self),
        }
    }
}

/// A session, whole.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SessionRecord {
    /// Its number.
    pub number: SessionNumber,
    /// How far it has come.
    pub state: State,
    /// What was asked; after a change in service what is asked now.
    pub request: SessionRequest,
    /// What the callee answered, once it has.
    pub answer: Option<Answer>,
    /// The contract that pays.
    pub contract: String,
    /// The service class, 0 to 7.
    pub class: u8,
    /// Its priority, higher is more important.
    pub priority: u8,
    /// When it begins.
    pub start: SystemTime,
    /// When it ends; `None` = at hang-up.
    pub stop: Option<SystemTime>,
    /// What each way has of the network, caller's first; `None` where nothing flows.
    pub ways: [Option<WayRecord>; 2],
    /// A change in service that is not agreed yet.
    pub change: Option<ChangeRecord>,
    /// When it was asked for.
    pub requested: SystemTime,
    /// When it began to carry packets.
    pub established: Option<SystemTime>,
    /// When it ended and why, where it has.
    pub ended: Option<EndRecord>,
    /// What it had while it carried packets, oldest first: what is billed by time.
    pub periods: Vec<Period>,
    /// Its labels on the link to another provider, where it crosses one.
    #[serde(default)]
    pub border: Option<BorderRecord>,
    /// Where its ways began before an end moved, and what was carried from there is not counted yet.
    #[serde(default)]
    pub left: Vec<LeftRecord>,
    /// What was carried from where its ways do not begin any more, caller's first.
    #[serde(default)]
    pub counted: [Counted; 2],
}

/// Where a way of a session began before an end moved; its entry is there until its counters were read.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LeftRecord {
    /// The way: 0 from the caller, 1 from the callee.
    pub way: usize,
    /// The CE it came from.
    pub ce: CeName,
    /// The number of its tunnel on the router of that CE.
    pub tunnel: u32,
    /// The VPN label it had.
    pub label: u32,
}

/// What a router counted of one way of a session.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Counted {
    /// Packets that came in.
    pub offered_packets: u64,
    /// Bytes of those.
    pub offered_bytes: u64,
    /// Packets of those that did not leave.
    pub discarded_packets: u64,
    /// Bytes of those.
    pub discarded_bytes: u64,
    /// A router did not tell what it counted: it was this or more.
    #[serde(default)]
    pub incomplete: bool,
}

impl Counted {
    /// Of a router that does not tell.
    pub const UNTOLD: Self = Self { offered_packets: 0, offered_bytes: 0, discarded_packets: 0, discarded_bytes: 0, incomplete: true };

    /// Both together.
    #[must_use]
    pub fn and(self, other: Self) -> Self {
        Self {
            offered_packets: self.offered_packets.saturating_add(other.offered_packets),
            offered_bytes: self.offered_bytes.saturating_add(other.offered_bytes),
            discarded_packets: self.discarded_packets.saturating_add(other.discarded_packets),
            discarded_bytes: self.discarded_bytes.saturating_add(other.discarded_bytes),
            incomplete: self.incomplete || other.incomplete,
        }
    }
}

/// The labels of a session that crosses to another provider.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct BorderRecord {
    /// The label by which our border router knows what comes.
    pub label: u32,
    /// The label by which the peer's knows what we send, once the peer has mapped it.
    pub mapped: Option<u32>,
}

/// What one way of a session has of the network.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct WayRecord {
    /// What it needs; `None` while nothing flows. The calendar holds it on every link of the route while the session is not over, and
    /// what a proposed change needs, too.
    pub demand: Option<Demand>,
    /// The way it takes.
    pub route: RouteRecord,
    /// The number of its tunnel on the ingress router; `None` while nothing is programmed.
    pub tunnel: Option<u32>,
}

/// The way from an ingress PE to an egress PE.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct RouteRecord {
    /// The encapsulation.
    pub tunnel: Encapsulation,
    /// The links in order.
    pub primary: Vec<LinkWay>,
    /// For a protected session: the links of a second way that shares none of the first one's risks.
    pub backup: Option<Vec<LinkWay>>,
}

/// One direction of one link.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct LinkWay {
    /// The link.
    pub link: String,
    /// The router it leaves.
    pub from: String,
}

/// A change in service that waits for the callee: what the session becomes when it is confirmed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ChangeRecord {
    /// What is asked then.
    pub request: SessionRequest,
    /// The class then.
    pub class: u8,
    /// When it begins then.
    pub start: SystemTime,
    /// When it ends then.
    pub stop: Option<SystemTime>,
    /// What each way needs then, and the way it takes.
    pub ways: [Option<(Demand, RouteRecord)>; 2],
}

/// How a session ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct EndRecord {
    /// When.
    pub at: SystemTime,
    /// Why.
    pub cause: Cause,
}

/// A stretch of a session's life in which it had the same terms.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Period {
    /// From when on.
    pub since: SystemTime,
    /// The class, 0 to 7.
    pub class: u8,
    /// What was policed from the caller to the callee.
    pub from_caller: BitRate,
    /// What was policed from the callee to the caller.
    pub from_callee: BitRate,
}

/// A tunnel, named by where it begins.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct TunnelName {
    /// The ingress router.
    pub ingress: String,
    /// Its number there.
    pub tunnel: u32,
}

impl LinkWay {
    pub(crate) fn of(network: &Network, id: DirectedLinkId) -> Self {
        let link = network.topology().link(id);
        Self { link: link.name.clone(), from: network.router(link.from).name.clone() }
    }

    /// The direction, where it is configured still.
    pub(crate) fn find(&self, network: &Network) -> Option<DirectedLinkId> {
        let directions = network.topology().link_named(&self.link)?.directions();
        directions.into_iter().find(|&id| network.router(network.topology().link(id).from).name == self.from)
    }
}

impl TunnelName {
    fn key(&self) -> String {
        format!("{}/{}", self.tunnel, self.ingress)
    }
}

/// A tunnel.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TunnelRecord {
    /// Where it begins.
    pub name: TunnelName,
    /// The encapsulation.
    pub tunnel: Encapsulation,
    /// The primary, then the backup where there is one; each the links in order.
    pub members: Vec<Vec<TunnelHop>>,
    /// Of each of them the address at which it ends, where it is GRE.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub ends: Vec<IpAddr>,
    /// Whether it goes with its last session.
    pub origin: TunnelOrigin,
}

/// A link of a tunnel.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TunnelHop {
    /// The link.
    pub over: LinkWay,
    /// The label by which the router that the link leaves knows the tunnel; none at the ingress.
    pub label: Option<u32>,
}

/// Why a tunnel is there.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum TunnelOrigin {
    /// Sessions ride it; it goes with the last.
    OnDemand,
    /// It was made in advance, and stays.
    Premade,
}

/// What was done to a link at run time.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LinkRecord {
    /// The link.
    pub link: String,
    /// Whether it carries anything.
    pub failed: bool,
    /// Whether it was taken out of service by a person.
    pub drained: bool,
    /// Its capacity, where that is not what is configured.
    pub capacity: Option<BitRate>,
}

/// A number that is not a session's or a tunnel's.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct NumberRecord {
    /// Whose it is.
    pub holder: NumberHolder,
    /// The number.
    pub number: u32,
}

/// What has a number of its own as long as it is configured.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum NumberHolder {
    /// The next hop over a direction of a link, on the router it leaves.
    Link(LinkWay),
    /// The next hop to a CE, on the PE of its attachment circuit.
    Circuit {
        /// The PE.
        router: String,
        /// The customer edge.
        ce: CeName,
        /// The VPN.
        vpn: VpnName,
    },
    /// The label by which a PE knows a VPN.
    VpnLabel {
        /// The PE.
        router: String,
        /// The VPN.
        vpn: VpnName,
    },
}

impl NumberHolder {
    fn key(&self) -> String {
        match self {
            Self::Link(LinkWay { link, from }) => format!("link/{from}/{link}"),
            Self::Circuit { router, ce, vpn } => format!("circuit/{router}/{}/{}", ce.0, vpn.0),
            Self::VpnLabel { router, vpn } => format!("vpn/{router}/{}", vpn.0),
        }
    }
}

/// How much of a month's quota a contract has used.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct UsageRecord {
    /// The contract.
    pub contract: String,
    /// The month (UTC), counted from January of year 0: year × 12 + month − 1.
    pub month: u32,
    /// Bytes carried by sessions that ended in it.
    pub bytes: u64,
    /// Bits reserved by them: rate times time, both ways.
    pub reserved_bits: u128,
}
