//! What the pipeline does with a frame, executable: slow, plain, and written without a look at any implementation.
//!
//! An [`Oracle`] is one router. [`Oracle::apply`] writes its tables, [`Oracle::process`] sends a frame through it. Time is handed in,
//! as the distance from any fixed moment.
//!
//! Where an action set has several members, P4Runtime leaves the choice to the router, so a frame may have several outcomes:
//! [`Oracle::possible`] lists them, and [`Oracle::observe`] is told which one an implementation chose, counts it, and from then on
//! expects the same member for the same 5-tuple until the entry or the state of a watched port changes.
//!
//! What the contract leaves open is decided here:
//! - Where every member of an action set watches a port that is down, the entry is as if it were not there: it is not counted.
//! - A packet for a port that does not exist or whose link is down is dropped as `PORT_UNAVAILABLE`, after the check of its size.
//! - An entry's direct counter starts at zero when it is inserted and survives MODIFY. A meter's buckets are full when it is configured,
//!   and are left as they are by a MODIFY with the same configuration.
//! - Of `flow_acl_v4` entries that match with the same priority, which one wins is not defined (P4Runtime specification, "Match
//!   Format"); the oracle takes the one that was inserted first.
//! - A checksum is updated by equation 3 of RFC 1624. From a checksum that is right it gives what a computation over the whole header
//!   gives, never 0xffff; one that is wrong stays wrong by the same amount. A checksum of 0xffff verifies where 0x0000 would, and is
//!   treated as right.
//! - The packet within labels, for the check of its size and for its 5-tuple, is looked for in the frame as received: behind four labels
//!   at most.

mod arp;
mod attachment;
mod choice;
mod counters;
mod frame;
mod ipv4;
mod labels;
mod meter;
mod output;
mod tables;
mod tunnel;

use std::collections::BTreeMap;
use std::time::Duration;

use crate::packet::PacketIn;
use crate::tables::{Entry, EntryKey, Reason};
use crate::update::Update;
use crate::wire::{PortId, SessionId, VrfId};

pub use counters::{Count, Totals};
pub use ipv4::FiveTuple;
pub use meter::Meter;
pub use tables::ApplyError;

use choice::{Kept, Picks};
use counters::Counters;
use frame::{ETHERTYPE_ARP, ETHERTYPE_IPV4, ETHERTYPE_LLDP, ETHERTYPE_MPLS, Frame};
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
    /// The meter it ran through, afterwards.
    metered: Option<(SessionId, Meter)>,
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
    meters: BTreeMap<SessionId, Meter>,
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
                if let EntryKey::Session(session) = key {
                    self.meters.remove(&session.session);
                }
            }
        }
        Ok(())
    }

    fn configure_meter(&mut self, entry: &Entry) {
        let Entry::Session(entry) = entry else { return };
        let session = entry.key.session;
        match entry.meter {
            None => drop(self.meters.remove(&session)),
            Some(config) if self.meters.get(&session).is_some_and(|meter| meter.config() == config) => {}
            Some(config) => drop(self.meters.insert(session, Meter::new(config))),
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

    /// Sends a frame through; of several members that may be chosen the first is.
    pub fn process(&mut self, port: PortId, frame: &[u8], now: Duration) -> Outcome {
        let walked = self.walk(port, frame, now, &[]);
        let outcome = walked.outcome.clone();
        self.settle(frame, walked, |_, _| true);
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
        self.settle(frame, walked, |key, member| also.iter().any(|picks| picks.has(key, member)));
        Ok(())
    }

    /// Counts a walk. `also` tells which other members would have looked the same from outside.
    fn settle(&mut self, frame: &[u8], walked: Walked, also: impl Fn(&EntryKey, usize) -> bool) {
        if let Some((session, meter)) = walked.effects.metered {
            self.meters.insert(session, meter);
        }
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
            Err(Stop::Punt(reason)) => Outcome::Punt(PacketIn { ingress_port: port, reason, vrf: walk.vrf, frame: bytes.to_vec() }),
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

    /// A reason's cell of the counter `drops`.
    pub fn drops(&self, reason: Reason) -> Count {
        self.counters.drops(reason)
    }

    /// Frames in, out, to the controller and dropped so far.
    pub fn totals(&self) -> Totals {
        self.counters.totals()
    }
}

impl Walk<'_> {
    /// The order of things.
    fn run(&mut self) -> Result<Sent, Stop> {
        let frame = Frame::parse(self.bytes)?;
        if frame.ethertype == ETHERTYPE_LLDP {
            return Err(Stop::Punt(Reason::Lldp));
        }
        self.tuple = FiveTuple::of_frame(&frame);
        let side = self.attachment(&frame)?;
        if frame.ethertype == ETHERTYPE_ARP {
            return self.arp(&frame);
        }
        self.station(&frame)?;
        match frame.ethertype {
            ETHERTYPE_MPLS => self.labels(&frame, side),
            ETHERTYPE_IPV4 => self.ipv4(&frame, frame.payload, side, None),
            _ => Err(Stop::Drop(Reason::UnknownEthertype)),
        }
    }
}
