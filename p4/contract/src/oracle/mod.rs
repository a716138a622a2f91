//! What the pipeline does with a frame, executable: slow, plain, and written without a look at any implementation.
//!
//! An [`Oracle`] is one router. [`Oracle::apply`] writes its tables, [`Oracle::process`] sends a frame through it. Time is handed in,
//! as the distance from any fixed moment.
//!
//! Where an action set has several members, P4Runtime leaves the choice to the router, so a frame may have several outcomes:
//! [`Oracle::possible`] lists them, and [`Oracle::observe`] is told which one an implementation chose, counts it, and from then on
//! expects the same member for the same 5-tuple until the entry or the state of a watched port changes.
//!
//! Everything is decided here, in the order in which a frame meets it; the first that applies wins.
//!
//! *The frame.* Fewer than 14 bytes, or a tag cut short: `FRAME_TRUNCATED`. At most two tags are read, a VID of 0 is as no tag. LLDP is
//! punted whatever its circuit; `attachment` comes next, then ARP (`arp_responder` answers requests, the rest is punted; fewer than 28
//! bytes: `FRAME_TRUNCATED`) and neighbour discovery ([`neighbours`]), then `station`.
//!
//! *Labels* ([`labels`]) come from core ports only, one after the other from the top, at most four of a frame.
//! - An effective TTL is the label's own, or what a uniform pop above left of the TTL there, if that is less. What is written is counted
//!   down from it.
//! - In this order: a label cut short (`FRAME_TRUNCATED` where it is the first of a stack, else `BAD_LABEL_STACK`); 1, 13, 14; reserved
//!   labels; `ilm`, which counts every hit; a stack that does not fit the action, a fifth label that would be acted upon among that; the
//!   TTL. Explicit nulls the same without `ilm`, but whether the label below is whole is seen when it is its turn.
//! - `pop_vrf` and `pop_local` expose IPv6 where the first nibble is 6, else IPv4; an explicit null what its label says. All of them meet
//!   the checks of IP, and neither flows, nor GRE that ends here, nor `vrf_policer`.
//! - `php` names what it exposes by the label's S bit, then by the first nibble and by length: 20 bytes for IPv4, 40 for IPv6.
//!
//! *IP* ([`ip`]): its checks; from a customer `flow_*`, `flow_acl_*` and `session` ([`session`]), from the core GRE that ends here
//! ([`gre`]), then `route_*` and `vrf_policer` ([`route`]). The 5-tuple ([`five_tuple`]) of a fragment has no ports, nor has what carries
//! fewer than four bytes in the packet's own length.
//! - GRE's key counts as 0 where its field is not whole in the frame. It is looked for behind the checksum field, which is there where C
//!   is set; R alone does not move it. Without an entry the packet is routed in VRF 0, whatever is wrong with its GRE.
//! - What GRE brings may reach to the end of the frame, whatever the delivery header's length says. Labels cut short in it are as in a
//!   frame.
//!
//! *Out*: `marking` and `tunnel` ([`tunnel`]), `nexthop` ([`nexthop`]), then the port.
//! - Trailing bytes stay behind everything, count for the MTU, and no length field covers them.
//! - What is too big is judged by the IP packet before anything was put before it: the one routed, or the one below the labels from the one
//!   acted upon last, four at most; IPv4 wants 20 bytes to be seen, IPv6 40.
//! - Where every member of an action set watches a port that is down, the entry is as if it were not there: it is not counted. The 5-tuple
//!   that keeps its member is that of the IP packet, seen as far as for the MTU.
//! - A packet for a port that does not exist or whose link is down is dropped as `PORT_UNAVAILABLE`, after the check of its size.
//! - A checksum is updated by equation 3 of RFC 1624. From a checksum that is right it gives what a computation over the whole header
//!   gives, never 0xffff; one that is wrong stays wrong by the same amount. A checksum of 0xffff verifies where 0x0000 would, and is
//!   treated as right.
//!
//! *To the controller*: `punt_policer` ([`punt`]) of the reason; what it finds red is dropped as `PUNT_POLICED`.
//!
//! *Entries*:
//! - An entry's direct counter starts at zero when it is inserted and survives MODIFY. A meter's buckets are full when it is configured,
//!   and are left as they are by a MODIFY with the same configuration. Without a configuration everything is green.
//! - Of `flow_acl_*` entries that match with the same priority, which one wins is not defined (P4Runtime specification, "Match
//!   Format"); the oracle takes the one that was inserted first.
//! - Idle time-outs are kept and read back. They do not change what becomes of a frame, so nothing here runs down.

mod arp;
mod attachment;
mod choice;
mod counters;
mod five_tuple;
mod frame;
mod gre;
mod ip;
mod labels;
mod meter;
mod neighbours;
mod nexthop;
mod punt;
mod route;
mod session;
mod tables;
mod tunnel;

use std::collections::BTreeMap;
use std::time::Duration;

use crate::packet::PacketIn;
use crate::tables::{Entry, EntryKey, MeterConfig, Reason};
use crate::update::Update;
use crate::wire::{Colour, PortId, SessionId, VrfId};

pub use counters::{Count, Totals};
pub use five_tuple::FiveTuple;
pub use meter::Meter;
pub use tables::ApplyError;

use attachment::Side;
use choice::{Kept, Picks};
use counters::Counters;
use frame::{ETHERTYPE_ARP, ETHERTYPE_IPV4, ETHERTYPE_IPV6, ETHERTYPE_LLDP, ETHERTYPE_MPLS, Frame};
use ip::Family;
use tables::Tables;

/// What becomes of a frame.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// It leaves by a port.
    Sent {
        /// The port.
        port: PortId,
        /// The frame as it leaves.
        frame: Vec<u8>,
    },
    /// It goes to the controller.
    Punt(PacketIn),
    /// It goes nowhere.
    Dropped(Reason),
}

/// Whether frames can leave by a port.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Link {
    /// They can.
    Up,
    /// They cannot.
    Down,
}

/// An implementation did what the contract does not allow.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the outcome {observed:02x?} is none of the possible ones: {possible:02x?}")]
pub struct Mismatch {
    /// What it did.
    pub observed: Outcome,
    /// What it could have done.
    pub possible: Vec<Outcome>,
}

/// Why a packet goes no further.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stop {
    Drop(Reason),
    Punt(Reason),
}

/// A frame on its way out.
struct Sent {
    port: PortId,
    frame: Vec<u8>,
}

/// What a frame leaves behind in the router.
#[derive(Default)]
struct Effects {
    /// Entries whose direct counters count it.
    counted: Vec<EntryKey>,
    /// The meters it ran through, afterwards.
    metered: Vec<(EntryKey, Meter)>,
    /// The session that carries it.
    session: Option<SessionId>,
}

/// One way of a frame through the router.
struct Walk<'a> {
    oracle: &'a Oracle,
    port: PortId,
    bytes: &'a [u8],
    now: Duration,
    vrf: VrfId,
    tuple: Option<FiveTuple>,
    effects: Effects,
    picks: Picks,
}

/// A walk that came to its end.
struct Walked {
    outcome: Outcome,
    effects: Effects,
    picks: Picks,
}

/// One router.
#[derive(Debug, Clone)]
pub struct Oracle {
    links: BTreeMap<PortId, Link>,
    tables: Tables,
    meters: BTreeMap<EntryKey, Meter>,
    counters: Counters,
    kept: Kept,
}

impl Oracle {
    /// A router with these ports, all up, and empty tables.
    pub fn new(ports: impl IntoIterator<Item = PortId>) -> Self {
        Self {
            links: ports.into_iter().map(|port| (port, Link::Up)).collect(),
            tables: Tables::default(),
            meters: BTreeMap::new(),
            counters: Counters::default(),
            kept: Kept::default(),
        }
    }

    /// The link of a port comes up or goes down; a port that did not exist does from now on.
    pub fn set_link(&mut self, port: PortId, link: Link) {
        if self.links.insert(port, link) != Some(link) {
            self.kept.forget_all();
        }
    }

    /// Changes the tables.
    ///
    /// # Errors
    /// [`ApplyError`] when the entry to insert is there or the one to modify or delete is not; nothing changed then.
    pub fn apply(&mut self, update: &Update) -> Result<(), ApplyError> {
        self.tables.apply(update)?;
        let key = update.key();
        self.kept.forget(&key);
        match update {
            Update::Insert(entry) => {
                self.counters.start(key);
                self.configure_meter(entry);
            }
            Update::Modify(entry) => self.configure_meter(entry),
            Update::Delete(key) => {
                self.counters.stop(key);
                self.meters.remove(key);
            }
        }
        Ok(())
    }

    fn configure_meter(&mut self, entry: &Entry) {
        let key = entry.key();
        match meter_of(entry) {
            None => drop(self.meters.remove(&key)),
            Some(config) if self.meters.get(&key).is_some_and(|meter| meter.config() == config) => {}
            Some(config) => drop(self.meters.insert(key, Meter::new(config))),
        }
    }

    /// The entries, in the order they were inserted.
    pub fn entries(&self) -> impl Iterator<Item = &Entry> {
        self.tables.entries()
    }

    /// The entry of a key.
    pub fn get(&self, key: &EntryKey) -> Option<&Entry> {
        self.tables.find(key)
    }

    /// What may become of a frame that comes in on a port at a time; nothing is counted. Never empty, and no outcome twice.
    pub fn possible(&self, port: PortId, frame: &[u8], now: Duration) -> Vec<Outcome> {
        let mut outcomes = Vec::new();
        for walked in self.walks(port, frame, now) {
            if !outcomes.contains(&walked.outcome) {
                outcomes.push(walked.outcome);
            }
        }
        outcomes
    }

    /// The entries whose meters a frame runs through that comes in on a port at a time; nothing is counted.
    pub fn meters(&self, port: PortId, frame: &[u8], now: Duration) -> Vec<EntryKey> {
        let mut keys: Vec<EntryKey> =
            self.walks(port, frame, now).into_iter().flat_map(|walked| walked.effects.metered).map(|(key, _)| key).collect();
        keys.sort_unstable();
        keys.dedup();
        keys
    }

    /// Sends a frame through; of several members that may be chosen the first is.
    pub fn process(&mut self, port: PortId, frame: &[u8], now: Duration) -> Outcome {
        let walked = self.walk(port, frame, now, &[]);
        let outcome = walked.outcome.clone();
        // Nobody else is held to this choice.
        self.settle(frame, Walked { picks: Picks::new(&[]), ..walked }, &[]);
        outcome
    }

    /// Sends a frame through an implementation's choice of members: counts what it did.
    ///
    /// # Errors
    /// [`Mismatch`] when the outcome is not possible; nothing is counted then.
    pub fn observe(&mut self, port: PortId, frame: &[u8], now: Duration, observed: &Outcome) -> Result<(), Mismatch> {
        let (mut matching, other): (Vec<_>, Vec<_>) =
            self.walks(port, frame, now).into_iter().partition(|walked| walked.outcome == *observed);
        let Some(walked) = matching.pop() else {
            let possible = other.into_iter().map(|walked| walked.outcome).collect();
            return Err(Mismatch { observed: observed.clone(), possible });
        };
        let also: Vec<Picks> = matching.into_iter().map(|walked| walked.picks).collect();
        self.settle(frame, walked, &also);
        Ok(())
    }

    /// Counts a walk. `also` are the choices of other walks that look the same from outside.
    fn settle(&mut self, frame: &[u8], walked: Walked, also: &[Picks]) {
        self.meters.extend(walked.effects.metered);
        self.counters.settle(frame, &walked.effects.counted, walked.effects.session, &walked.outcome);
        self.kept.keep(walked.picks, also);
    }

    /// Every way a frame may take.
    fn walks(&self, port: PortId, frame: &[u8], now: Duration) -> Vec<Walked> {
        let mut walks = Vec::new();
        let mut script = Some(Vec::new());
        while let Some(wanted) = script {
            let walked = self.walk(port, frame, now, &wanted);
            script = walked.picks.next_script();
            walks.push(walked);
        }
        walks
    }

    fn walk(&self, port: PortId, bytes: &[u8], now: Duration, script: &[usize]) -> Walked {
        let mut walk = Walk {
            oracle: self,
            port,
            bytes,
            now,
            vrf: VrfId::default(),
            tuple: None,
            effects: Effects::default(),
            picks: Picks::new(script),
        };
        let outcome = match walk.run() {
            Ok(Sent { port, frame }) => Outcome::Sent { port, frame },
            Err(Stop::Drop(reason)) => Outcome::Dropped(reason),
            Err(Stop::Punt(reason)) => walk.punt(reason),
        };
        Walked { outcome, effects: walk.effects, picks: walk.picks }
    }

    /// The direct counter of an entry; `None` where there is no such entry or its table does not count.
    pub fn direct_counter(&self, key: &EntryKey) -> Option<Count> {
        self.counters.direct(key)
    }

    /// A session's cell of the counter `session_discards`.
    pub fn session_discards(&self, session: SessionId) -> Count {
        self.counters.session_discards(session)
    }

    /// Sets a session's cell of the counter `session_discards`, which outlives the session's entry.
    pub fn set_session_discards(&mut self, session: SessionId, count: Count) {
        self.counters.set_session_discards(session, count);
    }

    /// A reason's cell of the counter `drops`.
    pub fn drops(&self, reason: Reason) -> Count {
        self.counters.drops(reason)
    }

    /// Frames in, out, to the controller and dropped so far.
    pub fn totals(&self) -> Totals {
        self.counters.totals()
    }
}

/// The meter of an entry, if it has one.
fn meter_of(entry: &Entry) -> Option<MeterConfig> {
    match entry {
        Entry::Session(entry) => entry.meter,
        Entry::VrfPolicer(entry) => entry.meter,
        Entry::PuntPolicer(entry) => entry.meter,
        _ => None,
    }
}

impl Walk<'_> {
    /// The order of things.
    fn run(&mut self) -> Result<Sent, Stop> {
        let frame = Frame::parse(self.bytes)?;
        if frame.ethertype == ETHERTYPE_LLDP {
            return Err(Stop::Punt(Reason::Lldp));
        }
        let side = self.attachment(&frame)?;
        if frame.ethertype == ETHERTYPE_ARP {
            return self.arp(&frame);
        }
        neighbours::discovery(&frame)?;
        self.station(&frame)?;
        match (frame.ethertype, side) {
            (ETHERTYPE_MPLS, Side::Attachment) => Err(Stop::Drop(Reason::MplsOnAttachment)),
            (ETHERTYPE_MPLS, Side::Core) => self.labels(frame.payload),
            (ETHERTYPE_IPV4, side) => self.received(Family::V4, frame.payload, side),
            (ETHERTYPE_IPV6, side) => self.received(Family::V6, frame.payload, side),
            _ => Err(Stop::Drop(Reason::UnknownEthertype)),
        }
    }

    /// The colour that an entry's meter gives the frame; green where the entry is not there or has none.
    fn metered(&mut self, key: EntryKey, amount: u64) -> Colour {
        let Some(meter) = self.oracle.meters.get(&key) else { return Colour::GREEN };
        let (colour, meter) = meter.metered(amount, self.now);
        self.effects.metered.push((key, meter));
        colour
    }
}
