//! What is known of the packets of a burst between the passes, and the lists of those a pass has to do with.

use svpn_contract::Reason;

use super::BURST;
use super::output::About;
use crate::tables::flow::FlowKey;
use crate::tables::flow_v6::FlowKeyV6;
use crate::tables::route::Walk;
use crate::tables::route_v6::WalkV6;

/// What is known of a packet: a cache line, so that a pass touches one. Wider things that few passes need are in arrays beside it
/// ([`Batch`]). In the order in which a few wide stores begin it: what is the same for all packets at first lies together.
#[derive(Debug, Clone, Copy)]
#[repr(C, align(64))]
pub(super) struct Packet {
    /// VRF and 5-tuple of an IPv4 packet.
    pub(super) key: FlowKey,
    /// Bytes of the frame as received.
    pub(super) length: u32,
    /// The session that carries it, or [`NO_SESSION`].
    pub(super) session: u32,
    /// What the next pass looks up: label stack entry, session, then the line of the tunnel or of the next hop, or the port.
    pub(super) subject: u32,
    /// The VPN label of a packet that enters a tunnel; of one that does not, the label stack entry that is put in front, if it gets one.
    pub(super) label: u32,
    /// The four bytes of the frame that change on the way, as they are to leave: of IP those with the TTL or hop limit, already one lower than
    /// `ttl`.
    pub(super) word: [u8; 4],
    /// Where the header acted upon begins; it and what follows it leave.
    pub(super) start: u16,
    /// The VRF known so far.
    pub(super) vrf: u16,
    /// What becomes of it, as far as it is known.
    pub(super) fate: Fate,
    /// Why it goes no further, if it does not.
    pub(super) reason: Reason,
    /// What is at `start`.
    pub(super) first: First,
    /// Which ceiling there is for a packet of no session.
    pub(super) ceiling: Ceiling,
    /// Traffic class of the labels it gets.
    pub(super) tc: u8,
    /// Differentiated services code point of the delivery header it gets.
    pub(super) dscp: u8,
    /// Labels it gets without a tunnel: one or none.
    pub(super) pushed: u8,
    /// How far behind `start` the bytes of `word` are.
    pub(super) place: u8,
    /// What leaves, with the labels it gets; in GRE it is that behind the delivery header.
    pub(super) ethertype: u16,
    /// Bytes of the IP packet acted upon, by its own header.
    pub(super) bytes: u16,
    /// TTL of the header acted upon, after what a pop says of it (RFC 3443).
    pub(super) ttl: u8,
}

/// No session's id: ids are below the table's size.
pub(super) const NO_SESSION: u32 = u32::MAX;

/// A ceiling on packets of no session.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Ceiling {
    /// None: the core brought it.
    None,
    /// `vrf_policer`.
    Vrf,
}

/// What a packet begins with, before it gets anything in front.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum First {
    /// An IP header.
    Ip,
    /// A label stack entry.
    Label,
    /// A label stack entry below one that was removed at last.
    LabelBelow,
}

/// What becomes of a packet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Fate {
    /// It leaves for a next hop, whose line is the subject.
    Leave,
    /// It enters a tunnel, whose line is the subject, and leaves for the tunnel's next hop.
    Enter,
    /// The frame is as it leaves, by the port that is the subject.
    Left,
    /// It is an ARP request that is answered.
    Answer,
    /// It goes no further. The packet's reason says whether the controller gets it: those of punts are below 32.
    Stop,
}

impl Packet {
    const NEW: Self = Self {
        length: 0,
        session: NO_SESSION,
        subject: 0,
        label: 0,
        word: [0; 4],
        place: 0,
        fate: Fate::Leave,
        reason: Reason::None,
        ttl: 0,
        tc: 0,
        dscp: 0,
        pushed: 0,
        vrf: 0,
        start: 0,
        first: First::Ip,
        ethertype: 0,
        bytes: 0,
        ceiling: Ceiling::None,
        key: FlowKey { addresses: 0, rest: 0 },
    };

    /// A packet of so many bytes.
    #[inline]
    pub(super) fn new(length: u32) -> Self {
        Self { length, ..Self::NEW }
    }

    /// What has to be known of it if it is not sent after all.
    #[inline]
    pub(super) fn about(&self) -> About {
        About { length: self.length, session: self.session }
    }

    /// The frame is as it leaves by this port.
    #[inline]
    pub(super) fn leave_by(&mut self, port: u16) {
        self.fate = Fate::Left;
        self.subject = u32::from(port);
    }

    /// The port by which it leaves, of one that is as it leaves.
    #[inline]
    #[allow(clippy::cast_possible_truncation, reason = "the subject is a port")]
    pub(super) fn exit(&self) -> u16 {
        self.subject as u16
    }

    /// It goes no further.
    #[inline]
    pub(super) fn stop(&mut self, reason: Reason) {
        self.fate = Fate::Stop;
        self.reason = reason;
    }
}

/// Packets of a burst by their index, in the order in which they came: a bit each.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct List(u64);

const _: () = assert!(BURST == 64, "an index is that of a bit of a word");

impl List {
    /// Adds a packet.
    #[inline]
    pub(super) fn push(&mut self, index: usize) {
        self.0 |= 1 << (index % BURST);
    }

    /// Adds a packet if a condition is met, without a branch.
    #[inline]
    pub(super) fn push_if(&mut self, condition: bool, index: usize) {
        self.0 |= u64::from(condition) << (index % BURST);
    }

    /// The packets.
    #[inline]
    pub(super) fn iter(self) -> impl Iterator<Item = usize> {
        let mut rest = self.0;
        std::iter::from_fn(move || {
            let index = std::num::NonZeroU64::new(rest)?.trailing_zeros() as usize % BURST;
            rest &= rest - 1;
            Some(index)
        })
    }

    #[inline]
    pub(super) fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// The packets of two lists.
    #[inline]
    pub(super) fn merged(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }
}

/// A burst between the passes: one element of each array for each packet, and a list for each look-up.
#[derive(Debug)]
pub(super) struct Batch {
    pub(super) packets: [Packet; BURST],
    /// VRF and 5-tuples of IPv6 packets.
    pub(super) keys_v6: [FlowKeyV6; BURST],
    /// Hashes of keys: of flows, or of GRE tunnels that end here.
    pub(super) hashes: [u64; BURST],
    /// Searches of routes.
    pub(super) walks: [Walk; BURST],
    /// The same of IPv6.
    pub(super) walks_v6: [WalkV6; BURST],
    /// Look-ups in `gre_ingress_v4` and `gre_ingress_v6`; the subject is the GRE key.
    pub(super) gre: List,
    /// Look-ups in `ilm`; the subject is the label stack entry.
    pub(super) ilm: List,
    /// Look-ups in `flow_v4` and `flow_acl_v4`.
    pub(super) flows: List,
    /// Look-ups in `flow_v6` and `flow_acl_v6`.
    pub(super) flows_v6: List,
    /// Searches in `route_v4`.
    pub(super) routes: List,
    /// Searches in `route_v6`.
    pub(super) routes_v6: List,
    /// Look-ups in `session`; the subject is the session.
    pub(super) sessions: List,
}

/// Most labels a packet gets.
pub(super) const LABELS: usize = 4;

impl Batch {
    pub(super) fn new() -> Self {
        Self {
            packets: [Packet::NEW; BURST],
            keys_v6: [FlowKeyV6::default(); BURST],
            hashes: [0; BURST],
            walks: [Walk::default(); BURST],
            walks_v6: [WalkV6::default(); BURST],
            gre: List::default(),
            ilm: List::default(),
            flows: List::default(),
            flows_v6: List::default(),
            routes: List::default(),
            routes_v6: List::default(),
            sessions: List::default(),
        }
    }

    /// Empties the lists.
    #[inline]
    pub(super) fn clear(&mut self) {
        let Self { gre, ilm, flows, flows_v6, routes, routes_v6, sessions, .. } = self;
        for list in [gre, ilm, flows, flows_v6, routes, routes_v6, sessions] {
            *list = List::default();
        }
    }
}

const _: () = assert!(size_of::<Packet>() == 64);
