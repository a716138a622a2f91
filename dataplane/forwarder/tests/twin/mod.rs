//! A forwarder and the contract's oracle, side by side: the same entries, the same frames, and nothing may differ, byte for byte and count for
//! count.
#![allow(dead_code, unreachable_pub, unused_imports, reason = "each of its users, the fuzz targets among them, uses a part")]

mod forwarder;
mod steps;

use std::collections::{BTreeMap, VecDeque};
use std::fmt;
use std::time::Duration;

use svpn_contract::generators::PORTS;
use svpn_contract::oracle::{ApplyError as OracleError, Count, Link, Oracle, Outcome};
use svpn_contract::packet::PacketIn;
use svpn_contract::wire::{PortId, SessionId};
use svpn_contract::{Counting, Entry, Reason, TABLES, Update};
use svpn_forwarder::entries::PortState;
use svpn_forwarder::{ApplyError, CounterData, Entries};

use forwarder::Forwarder;
pub use forwarder::{BUFFERS, SESSIONS, pool};
pub use steps::{Cutting, Step, steps};

/// Where forwarder and oracle differ.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Difference(pub String);

impl fmt::Display for Difference {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}

#[allow(clippy::needless_pass_by_value, reason = "what was just read from both")]
fn same<T: PartialEq + fmt::Debug>(forwarder: T, oracle: T, what: impl fmt::Debug) -> Result<(), Difference> {
    if forwarder == oracle {
        return Ok(());
    }
    Err(Difference(format!("{what:?}: the forwarder has {forwarder:02x?}, the oracle {oracle:02x?}")))
}

/// A frame that comes in, in segments of these sizes; what is left is the last one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Arrival {
    pub port: PortId,
    pub frame: Vec<u8>,
    pub cuts: Vec<usize>,
}

/// What came out of a burst, in order.
#[derive(Debug, Default)]
pub struct Results {
    sent: BTreeMap<PortId, VecDeque<Vec<u8>>>,
    punts: VecDeque<PacketIn>,
}

impl Results {
    /// Which of the possible outcomes of the next frame happened; what it left behind is taken away. `dropped` is the reason that was
    /// counted, where there can have been several.
    fn take(&mut self, possible: &[Outcome], dropped: Option<Reason>) -> Option<Outcome> {
        let happened = possible.iter().find(|outcome| match outcome {
            Outcome::Sent { port, frame } => self.sent.get(port).and_then(VecDeque::front) == Some(frame),
            Outcome::Punt(packet) => self.punts.front() == Some(packet),
            Outcome::Dropped(_) => false,
        });
        let fits = |outcome: &&Outcome| matches!(outcome, Outcome::Dropped(reason) if dropped.is_none_or(|dropped| dropped == *reason));
        let happened = happened.or_else(|| possible.iter().find(fits))?.clone();
        match &happened {
            Outcome::Sent { port, .. } => drop(self.sent.get_mut(port).and_then(VecDeque::pop_front)),
            Outcome::Punt(_) => drop(self.punts.pop_front()),
            Outcome::Dropped(_) => {}
        }
        Some(happened)
    }

    fn is_empty(&self) -> bool {
        self.punts.is_empty() && self.sent.values().all(VecDeque::is_empty)
    }
}

fn data(count: Count) -> CounterData {
    CounterData { packets: count.packets, bytes: count.bytes }
}

/// The ethertype behind at most two tags.
fn ethertype(frame: &[u8]) -> Option<[u8; 2]> {
    let mut rest = frame.get(12..)?;
    for _ in 0..2 {
        if let [0x81, 0, _, _, behind @ ..] | [0x88, 0xa8, _, _, behind @ ..] = rest {
            rest = behind;
        }
    }
    rest.first_chunk().copied()
}

/// Both.
#[derive(Debug)]
pub struct Twin {
    forwarder: Forwarder,
    oracle: Oracle,
}

impl Twin {
    /// Empty tables, all ports up. `seed` is the forwarder's.
    pub fn new(seed: u64) -> Self {
        let ports = || PORTS.iter().filter_map(|&port| PortId::new(port).ok());
        Self { forwarder: Forwarder::new(seed), oracle: Oracle::new(ports()) }
    }

    /// Both take the update, or both refuse it for the same reason. The frames after the next [`Twin::publish`] meet it.
    pub fn apply(&mut self, update: &Update) -> Result<(), Difference> {
        let expected = match self.oracle.apply(update) {
            Ok(()) => Ok(()),
            Err(OracleError::AlreadyExists(_)) => Err(ApplyError::AlreadyExists),
            Err(OracleError::NotFound(_)) => Err(ApplyError::NotFound),
        };
        same(self.forwarder.entries.apply(update), expected, update)
    }

    pub fn publish(&mut self) {
        self.forwarder.entries.publish();
    }

    pub fn set_link(&mut self, port: PortId, link: Link) {
        self.oracle.set_link(port, link);
        let state = if link == Link::Up { PortState::Up } else { PortState::Down };
        self.forwarder.entries.set_port_state(port, state);
    }

    /// The oracle knows of nothing else that may become of a frame.
    pub fn expect(&self, port: PortId, frame: &[u8], now: Duration, outcome: &Outcome) -> Result<(), Difference> {
        let possible = self.oracle.possible(port, frame, now);
        if possible == [outcome.clone()] {
            return Ok(());
        }
        Err(Difference(format!("{frame:02x?}: expected is {outcome:02x?}, the oracle has {possible:02x?}")))
    }

    /// Frames come in, those of one port together, in bursts as long as there is no choice to be made: what becomes of a frame of which
    /// several things can become is seen from what it alone changes. Packets of a burst are at one moment, and which of different kinds
    /// are metered first is the forwarder's affair: so those that share a meter come in different bursts.
    pub fn receive(&mut self, arrivals: &[Arrival], now: Duration) -> Result<(), Difference> {
        let mut ports: Vec<PortId> = arrivals.iter().map(|arrival| arrival.port).collect();
        ports.sort_unstable();
        ports.dedup();
        for port in ports {
            let mut arrivals = arrivals.iter().filter(|arrival| arrival.port == port).peekable();
            while arrivals.peek().is_some() {
                let mut ahead = self.oracle.clone();
                let mut burst = Vec::new();
                let mut metered = BTreeMap::new();
                let mut goes_along = |arrival: &Arrival, ahead: &Oracle| {
                    let kind = ethertype(&arrival.frame);
                    let meters = ahead.meters(port, &arrival.frame, now);
                    ahead.possible(port, &arrival.frame, now).len() == 1
                        && meters.into_iter().all(|meter| *metered.entry(meter).or_insert(kind) == kind)
                };
                while let Some(arrival) = arrivals.next_if(|arrival| goes_along(arrival, &ahead)) {
                    ahead.process(port, &arrival.frame, now);
                    burst.push(arrival);
                }
                self.burst(port, &burst, now)?;
                if let Some(arrival) = arrivals.next_if(|_| burst.is_empty()) {
                    self.burst(port, &[arrival], now)?;
                }
            }
        }
        Ok(())
    }

    fn burst(&mut self, port: PortId, arrivals: &[&Arrival], now: Duration) -> Result<(), Difference> {
        let counted = |entries: &Entries| Reason::ALL.iter().map(|reason| entries.drops(*reason).packets).collect::<Vec<_>>();
        let before = counted(&self.forwarder.entries);
        let mut results = self.forwarder.process(port, arrivals, now);
        let changed = |(before, after): (&u64, &u64)| before != after;
        let dropped = before.iter().zip(&counted(&self.forwarder.entries)).position(changed).map(|index| Reason::ALL[index]);
        for arrival in arrivals {
            let possible = self.oracle.possible(port, &arrival.frame, now);
            let Some(happened) = results.take(&possible, dropped.filter(|_| possible.len() > 1)) else {
                return Err(Difference(format!("{arrival:02x?}: possible is {possible:02x?}, the forwarder's next are {results:02x?}")));
            };
            let observed = self.oracle.observe(port, &arrival.frame, now, &happened);
            observed.map_err(|mismatch| Difference(mismatch.to_string()))?;
        }
        if results.is_empty() { Ok(()) } else { Err(Difference(format!("more came out than went in: {results:02x?}"))) }
    }

    /// What was dropped, by reason, and that every frame ended somewhere.
    pub fn compare_drops(&self) -> Result<(), Difference> {
        let (entries, oracle) = (&self.forwarder.entries, &self.oracle);
        let mut dropped = 0;
        for reason in Reason::ALL {
            same(entries.drops(*reason), data(oracle.drops(*reason)), reason)?;
            dropped += entries.drops(*reason).packets;
        }
        let totals = oracle.totals();
        same(dropped, totals.drops, "drops")?;
        same(totals.inputs, totals.outputs + totals.punts + totals.drops, "inputs")
    }

    /// All counters, and all entries one by one, of both.
    pub fn compare(&self) -> Result<(), Difference> {
        let (entries, oracle) = (&self.forwarder.entries, &self.oracle);
        for session in (0..SESSIONS).filter_map(|session| SessionId::new(session).ok()) {
            same(entries.session_discards(session), Some(data(oracle.session_discards(session))), session)?;
        }
        for entry in oracle.entries() {
            let key = entry.key();
            same(entries.get(&key), Some(entry.clone()), key)?;
            same(entries.counter(&key), oracle.direct_counter(&key).map(data), key)?;
        }
        self.compare_drops()
    }

    /// The lists of entries of both.
    pub fn compare_lists(&self) -> Result<(), Difference> {
        let (entries, oracle) = (&self.forwarder.entries, &self.oracle);
        for table in TABLES {
            let listed: Vec<Entry> = entries.iter(table.id).collect();
            same(listed.len(), entries.len(table.id), table.name)?;
            same(listed.len(), oracle.entries().filter(|entry| entry.key().table_id() == table.id).count(), table.name)?;
            for entry in &listed {
                same(Some(entry), oracle.get(&entry.key()), table.name)?;
                same(entries.counter(&entry.key()).is_some(), table.counting == Counting::Direct, table.name)?;
            }
        }
        Ok(())
    }
}
