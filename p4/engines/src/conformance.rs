//! An engine against the oracle: the same entries, the same frames, the same outcomes, byte for byte, and the same counters.
//!
//! An engine keeps the order of frames that come in on one port and leave by one port, or go to the controller. So frames go in port by
//! port, and behind them one that is always punted: when it is there, all of them have been looked at. Those that were not punted and
//! not counted as dropped must come out.
//!
//! The oracle's time stands still, so meters must not depend on it: a rate of nothing and any burst, or a rate that no test exceeds.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::fmt;
use std::time::Duration;

use svpn_contract::oracle::{ApplyError, Count, Oracle, Outcome};
use svpn_contract::packet::PacketIn;
use svpn_contract::wire::{PortId, SessionId};
use svpn_contract::{Counting, Entry, EntryKey, Reason, SessionKey, TABLES, Update};
use tonic::Code;

use crate::cables::CableError;
use crate::controller::{Cell, ControllerError};
use crate::engine::Engine;

/// As many frames are on their way at once; an engine's receive ring may have no more than 31 places.
const IN_FLIGHT: usize = 16;
/// How long a frame may take on a machine that has other things to do.
const PATIENCE: Duration = Duration::from_secs(10);
/// The oracle's time.
pub(crate) const NOW: Duration = Duration::from_secs(1);

/// One thing that happens to both. Its debug form has one line for each update and frame.
#[derive(Clone)]
pub enum Step {
    /// The controller writes a batch.
    Write(Vec<Update>),
    /// Frames come in; those of each port in this order.
    Frames(Vec<(PortId, Vec<u8>)>),
}

impl fmt::Debug for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Write(updates) => {
                write!(f, "Write")?;
                updates.iter().try_for_each(|update| write!(f, "\n  {update:?}"))
            }
            Self::Frames(frames) => {
                write!(f, "Frames")?;
                frames.iter().try_for_each(|(port, frame)| write!(f, "\n  {port}: {frame:02x?}"))
            }
        }
    }
}

/// What came out and has not been accounted for, in order.
#[derive(Debug)]
pub struct Results {
    /// Of each port.
    pub sent: BTreeMap<PortId, VecDeque<Vec<u8>>>,
    /// To the controller.
    pub punts: VecDeque<PacketIn>,
    /// Counted as dropped.
    pub drops: BTreeMap<Reason, u64>,
}

impl fmt::Display for Results {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (port, frames) in &self.sent {
            frames.iter().try_for_each(|frame| write!(f, "\n  sent to port {port}: {frame:02x?}"))?;
        }
        self.punts.iter().try_for_each(|punt| write!(f, "\n  punted: {punt:02x?}"))?;
        self.drops.iter().filter(|(_, count)| **count > 0).try_for_each(|(reason, count)| write!(f, "\n  {count} dropped as {reason:?}"))
    }
}

/// What an engine did and the oracle does not.
#[derive(Debug, thiserror::Error)]
pub enum Difference {
    /// The controller did not get an answer.
    #[error("controller: {0}")]
    Controller(#[from] ControllerError),
    /// A cable failed.
    #[error("cable: {0}")]
    Cable(#[from] CableError),
    /// An update had another result.
    #[error("{update:?} gave {actual:?} instead of {expected:?}")]
    Write {
        /// The update.
        update: Update,
        /// The engine's answer.
        actual: Code,
        /// The oracle's.
        expected: Code,
    },
    /// The engine did not come as far as the last frame on a port.
    #[error("frames sent into port {ingress} were not looked at: {frames:02x?}")]
    Stuck {
        /// The port.
        ingress: PortId,
        /// The frames.
        frames: Vec<Vec<u8>>,
    },
    /// A frame had none of its possible outcomes.
    #[error("{frame:02x?} on {ingress}: possible is {possible:02x?}, and this came out from there on:{results}")]
    Outcome {
        /// Where it came in.
        ingress: PortId,
        /// The frame.
        frame: Vec<u8>,
        /// The possible outcomes.
        possible: Vec<Outcome>,
        /// What came out, from the frame's outcome on.
        results: Box<Results>,
    },
    /// More came out than went in.
    #[error("after all frames on {ingress} there came out:{results}")]
    Surplus {
        /// Where frames came in.
        ingress: PortId,
        /// What came out.
        results: Box<Results>,
    },
    /// A counter differs.
    #[error("{cell:?} counts {actual:?} instead of {expected:?}")]
    Counter {
        /// Which.
        cell: Cell,
        /// The engine's.
        actual: Count,
        /// The oracle's.
        expected: Count,
    },
}

/// Does the same with an engine, its entries deleted, and an oracle, and compares all counters at the end.
///
/// # Errors
/// The first [`Difference`].
pub fn check(engine: &mut Engine, steps: &[Step]) -> Result<(), Difference> {
    engine.clear()?;
    let sessions = steps.iter().flat_map(|step| match step {
        Step::Write(updates) => updates.iter().filter_map(session).collect(),
        Step::Frames(_) => Vec::new(),
    });
    let discards = sessions.map(Cell::SessionDiscards);
    let cells: BTreeSet<Cell> = Reason::ALL.iter().copied().map(Cell::Drops).chain(discards).collect();
    let cells = Vec::from_iter(cells);
    let before = engine.controller.counts(&cells)?;
    let oracle = Oracle::new(engine.cables.ports());
    let mut check = Check { engine, oracle, cells, before, dropped: BTreeMap::new() };
    for step in steps {
        match step {
            Step::Write(updates) => check.write(updates)?,
            Step::Frames(frames) => check.frames(frames)?,
        }
    }
    check.counters()
}

fn session(update: &Update) -> Option<SessionId> {
    let EntryKey::Session(SessionKey { session }) = update.key() else { return None };
    Some(session)
}

struct Check<'a> {
    engine: &'a mut Engine,
    oracle: Oracle,
    /// Of indexed counters.
    cells: Vec<Cell>,
    /// What they had before anything was done.
    before: BTreeMap<Cell, Count>,
    /// Packets in `drops` so far.
    dropped: BTreeMap<Reason, u64>,
}

/// A frame that is punted before any look-up (IEEE 802.1AB), and no other has its number.
fn last_of_all(number: u64) -> Vec<u8> {
    let to = [0x01, 0x80, 0xc2, 0x00, 0x00, 0x0e];
    [&to[..], b"\x02last\x00", &[0x88, 0xcc], &number.to_be_bytes()].concat()
}

impl Check<'_> {
    fn write(&mut self, updates: &[Update]) -> Result<(), Difference> {
        let codes = self.engine.controller.write(updates)?;
        for (update, actual) in updates.iter().zip(codes) {
            let expected = match self.oracle.apply(update) {
                Ok(()) => Code::Ok,
                Err(ApplyError::AlreadyExists(_)) => Code::AlreadyExists,
                Err(ApplyError::NotFound(_)) => Code::NotFound,
            };
            if actual != expected {
                return Err(Difference::Write { update: update.clone(), actual, expected });
            }
        }
        Ok(())
    }

    fn frames(&mut self, frames: &[(PortId, Vec<u8>)]) -> Result<(), Difference> {
        let ports: Vec<PortId> = self.engine.cables.ports().collect();
        for ingress in ports {
            let frames: Vec<&[u8]> = frames.iter().filter(|(port, _)| *port == ingress).map(|(_, frame)| &**frame).collect();
            let mut left = &*frames;
            while !left.is_empty() {
                let (together, rest) = left.split_at(self.together(ingress, left));
                self.burst(ingress, together)?;
                left = rest;
            }
        }
        Ok(())
    }

    /// How many of these frames may go in together: where a member has to be chosen, what comes out of several frames does not tell what
    /// was chosen for each. So such a frame goes alone.
    fn together(&self, ingress: PortId, frames: &[&[u8]]) -> usize {
        let mut ahead = self.oracle.clone();
        let determined = |frame: &&&[u8]| {
            let possible = ahead.possible(ingress, frame, NOW).len();
            ahead.process(ingress, frame, NOW);
            possible == 1
        };
        frames.iter().take(IN_FLIGHT).take_while(determined).count().max(1)
    }

    fn burst(&mut self, ingress: PortId, frames: &[&[u8]]) -> Result<(), Difference> {
        let last = last_of_all(self.oracle.totals().inputs);
        let frames: Vec<&[u8]> = frames.iter().copied().chain([&*last]).collect();
        for frame in &frames {
            self.engine.cables.send(ingress, frame)?;
        }
        let mut results = self.results(ingress, &frames)?;
        for frame in frames {
            let possible = self.oracle.possible(ingress, frame, NOW);
            let Some(happened) = results.take(&possible) else {
                return Err(Difference::Outcome { ingress, frame: frame.to_vec(), possible, results: Box::new(results) });
            };
            let seen = self.oracle.observe(ingress, frame, NOW, &happened);
            seen.unwrap_or_else(|mismatch| unreachable!("it is one of the possible ones: {mismatch}"));
        }
        if results.is_empty() { Ok(()) } else { Err(Difference::Surplus { ingress, results: Box::new(results) }) }
    }

    fn results(&mut self, ingress: PortId, frames: &[&[u8]]) -> Result<Results, Difference> {
        let mut punts = VecDeque::new();
        while punts.back().map(|packet: &PacketIn| &*packet.frame) != frames.last().copied() {
            let Some(packet) = self.engine.controller.packet_in(PATIENCE)? else {
                return Err(Difference::Stuck { ingress, frames: frames.iter().map(|frame| frame.to_vec()).collect() });
            };
            punts.push_back(packet);
        }
        let cells: Vec<Cell> = Reason::ALL.iter().copied().map(Cell::Drops).collect();
        let mut drops = BTreeMap::new();
        for (cell, count) in self.counts(&cells)? {
            let Cell::Drops(reason) = cell else { continue };
            let before = self.dropped.insert(reason, count.packets).unwrap_or_default();
            drops.insert(reason, count.packets - before);
        }
        let dropped = usize::try_from(drops.values().sum::<u64>()).unwrap_or(usize::MAX);
        let expected = frames.len().saturating_sub(dropped).saturating_sub(punts.len());
        let mut sent = BTreeMap::<PortId, VecDeque<Vec<u8>>>::new();
        for (port, frame) in self.engine.cables.receive(expected, PATIENCE)? {
            sent.entry(port).or_default().push_back(frame);
        }
        Ok(Results { sent, punts, drops })
    }

    /// What cells have counted from the beginning.
    fn counts(&mut self, cells: &[Cell]) -> Result<BTreeMap<Cell, Count>, ControllerError> {
        let mut counts = self.engine.controller.counts(cells)?;
        for (cell, count) in &mut counts {
            let before = self.before.get(cell).copied().unwrap_or_default();
            *count = Count { packets: count.packets - before.packets, bytes: count.bytes - before.bytes };
        }
        Ok(counts)
    }

    fn counters(&mut self) -> Result<(), Difference> {
        let counted = |entry: &&Entry| TABLES.iter().any(|table| table.id == entry.key().table_id() && table.counting == Counting::Direct);
        let entries = self.oracle.entries().filter(counted).map(|entry| Cell::Entry(entry.key()));
        let cells: Vec<Cell> = self.cells.iter().copied().chain(entries).collect();
        for (cell, actual) in self.counts(&cells)? {
            let expected = match &cell {
                Cell::Drops(reason) => self.oracle.drops(*reason),
                Cell::SessionDiscards(session) => self.oracle.session_discards(*session),
                Cell::Entry(key) => self.oracle.direct_counter(key).unwrap_or_default(),
            };
            if actual != expected {
                return Err(Difference::Counter { cell, actual, expected });
            }
        }
        Ok(())
    }
}

impl Results {
    /// Which of the possible outcomes of the next frame happened; what it left behind is taken away.
    fn take(&mut self, possible: &[Outcome]) -> Option<Outcome> {
        let happened = possible.iter().find(|outcome| match outcome {
            Outcome::Sent { port, frame } => self.sent.get(port).and_then(VecDeque::front) == Some(frame),
            Outcome::Punt(packet) => self.punts.front() == Some(packet),
            Outcome::Dropped(reason) => self.drops.get(reason).is_some_and(|count| *count > 0),
        })?;
        match happened {
            Outcome::Sent { port, .. } => drop(self.sent.get_mut(port).and_then(VecDeque::pop_front)),
            Outcome::Punt(_) => drop(self.punts.pop_front()),
            Outcome::Dropped(reason) => *self.drops.entry(*reason).or_default() -= 1,
        }
        Some(happened.clone())
    }

    fn is_empty(&self) -> bool {
        self.punts.is_empty() && self.sent.values().all(VecDeque::is_empty) && self.drops.values().all(|count| *count == 0)
    }
}
