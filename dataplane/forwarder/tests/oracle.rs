//! The fast path does what the oracle of the contract says: the same entries, the same frames, the same outcomes, byte for byte, and the same
//! counters.

use std::collections::{BTreeMap, VecDeque};
use std::num::{NonZeroU16, NonZeroU64};
use std::sync::OnceLock;
use std::time::Duration;

use proptest::prelude::*;
use svpn_contract::generators::{PORTS, arrival, changes, network};
use svpn_contract::oracle::{ApplyError as OracleError, Count, Link, Oracle, Outcome};
use svpn_contract::packet::PacketIn;
use svpn_contract::wire::{PortId, SessionId, VrfId};
use svpn_contract::{Counting, Entry, Reason, TABLES, Update};
use svpn_dpdk::{Burst, Eal, EalOptions, Mbuf, Pool, PoolConfig, Reader};
use svpn_forwarder::entries::{Clock, EntriesConfig, PortState};
use svpn_forwarder::fastpath::{BURST, FastPath, Outputs};
use svpn_forwarder::{ApplyError, CounterData, Entries, TableSizes};

/// Sessions of the small world, and some.
const SESSIONS: u32 = 64;

fn pool() -> Pool {
    static POOL: OnceLock<Pool> = OnceLock::new();
    *POOL.get_or_init(|| {
        let eal = Eal::init(&EalOptions::virtual_devices(64)).unwrap();
        Pool::new(eal, "frames", PoolConfig { mbufs: 1023, cache: 0, ..PoolConfig::default() }).unwrap()
    })
}

fn port(number: u16) -> PortId {
    PortId::new(number).unwrap()
}

/// The implementation, with everything in one thread.
struct Forwarder {
    entries: Entries,
    fastpath: FastPath,
    reader: Reader,
    out: Outputs,
}

/// What came out of a burst, in order.
#[derive(Default)]
struct Results {
    sent: BTreeMap<PortId, VecDeque<Vec<u8>>>,
    punts: VecDeque<PacketIn>,
}

impl Forwarder {
    fn new(seed: u64) -> Self {
        let sizes = TableSizes {
            flow_v4: 1024,
            flow_v6: 1024,
            flow_acl_v4: 1024,
            session: SESSIONS,
            route_v4: 1024,
            route_v6: 1024,
            tunnel: 64,
            ilm: 1024,
            nexthop: 64,
            ..TableSizes::default()
        };
        let clock = Clock { hertz: NonZeroU64::new(1_000_000_000).unwrap(), now: || 0 };
        let config = EntriesConfig { sizes, workers: NonZeroU16::MIN, seed, clock };
        let (mut entries, mut ends) = Entries::new(&config).unwrap();
        let (fastpath, reader) = FastPath::new(ends.pop().unwrap());
        let ports = PORTS.map(port);
        for port in ports {
            entries.set_port_state(port, PortState::Up);
        }
        Self { entries, fastpath, reader, out: Outputs::new(&ports) }
    }

    fn process(&mut self, ingress: PortId, frames: &[Vec<u8>], now: Duration) -> Results {
        let mut burst: Burst<BURST> = Burst::new();
        for frame in frames {
            burst.push(pool().alloc_with(frame).unwrap()).unwrap();
        }
        let online = self.reader.online();
        let ticks = u64::try_from(now.as_nanos()).unwrap();
        self.fastpath.process(&online, &mut burst, ingress, ticks, &mut self.out);
        let mut results = Results::default();
        let bytes = |mbuf: Mbuf| mbuf.data().to_vec();
        for (number, outlet) in PORTS.into_iter().zip(self.out.outlets()) {
            assert_eq!(outlet.unsent().len(), outlet.burst.len());
            results.sent.insert(port(number), outlet.burst.drain().map(bytes).collect());
            outlet.clear();
        }
        for (mbuf, punt) in self.out.punts.drain() {
            results.punts.push_back(PacketIn {
                ingress_port: port(punt.port),
                reason: punt.reason,
                vrf: VrfId::new(punt.vrf).unwrap(),
                frame: bytes(mbuf),
            });
        }
        results
    }
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

/// One thing that happens to both.
#[derive(Debug, Clone)]
enum Step {
    /// Frames come in, at a time after the step before.
    Frames(Vec<(PortId, Vec<u8>)>, Duration),
    /// The controller writes a batch.
    Batch(Vec<Update>),
    /// A link changes.
    Link(PortId, Link),
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let wait = prop_oneof![Just(0_u64), 0..100_000_000_u64].prop_map(Duration::from_nanos);
    let step = prop_oneof![
        8 => (prop::collection::vec(arrival(), 1..40), wait).prop_map(|(frames, wait)| Step::Frames(frames, wait)),
        2 => changes().prop_map(Step::Batch),
        1 => (prop::sample::select(&PORTS[..]), prop::sample::select(&[Link::Up, Link::Down][..])).prop_map(|(number, link)| Step::Link(port(number), link)),
    ];
    prop::collection::vec(step, 1..12)
}

fn data(count: Count) -> CounterData {
    CounterData { packets: count.packets, bytes: count.bytes }
}

fn apply(forwarder: &mut Forwarder, oracle: &mut Oracle, update: &Update) -> Result<(), TestCaseError> {
    let expected = match oracle.apply(update) {
        Ok(()) => Ok(()),
        Err(OracleError::AlreadyExists(_)) => Err(ApplyError::AlreadyExists),
        Err(OracleError::NotFound(_)) => Err(ApplyError::NotFound),
    };
    prop_assert_eq!(forwarder.entries.apply(update), expected, "{:?}", update);
    Ok(())
}

/// Sends frames through both, those of one port together, in bursts as long as there is no choice to be made: what becomes of a frame
/// of which several things can become is seen from what it alone changes.
fn run(forwarder: &mut Forwarder, oracle: &mut Oracle, frames: &[(PortId, Vec<u8>)], now: Duration) -> Result<(), TestCaseError> {
    for ingress in PORTS.map(port) {
        let mut frames = frames.iter().filter(|(port, _)| *port == ingress).map(|(_, frame)| frame.clone()).peekable();
        while frames.peek().is_some() {
            let mut ahead = oracle.clone();
            let mut burst = Vec::new();
            while let Some(frame) = frames.next_if(|frame| ahead.possible(ingress, frame, now).len() == 1) {
                ahead.process(ingress, &frame, now);
                burst.push(frame);
            }
            send(forwarder, oracle, ingress, &burst, now)?;
            if let Some(frame) = frames.next() {
                send(forwarder, oracle, ingress, &[frame], now)?;
            }
        }
    }
    Ok(())
}

/// Sends a burst through both.
fn send(forwarder: &mut Forwarder, oracle: &mut Oracle, ingress: PortId, frames: &[Vec<u8>], now: Duration) -> Result<(), TestCaseError> {
    let counted = |entries: &Entries| Reason::ALL.iter().map(|reason| entries.drops(*reason).packets).collect::<Vec<_>>();
    let before = counted(&forwarder.entries);
    let mut results = forwarder.process(ingress, frames, now);
    let changed = |(before, after): (&u64, &u64)| before != after;
    let dropped = before.iter().zip(&counted(&forwarder.entries)).position(changed).map(|index| Reason::ALL[index]);
    for frame in frames {
        let possible = oracle.possible(ingress, frame, now);
        let happened = results.take(&possible, dropped.filter(|_| possible.len() > 1));
        let Some(happened) = happened else {
            return Err(TestCaseError::fail(format!(
                "{frame:02x?} on {ingress}: possible is {possible:02x?}, next are {:02x?} and {:02x?}",
                results.sent, results.punts
            )));
        };
        oracle.observe(ingress, frame, now, &happened).map_err(|mismatch| TestCaseError::fail(mismatch.to_string()))?;
    }
    prop_assert!(results.is_empty(), "more came out than went in: {:02x?} {:02x?}", results.sent, results.punts);
    Ok(())
}

/// All counters, and all entries one by one, of both.
fn compare(forwarder: &Forwarder, oracle: &Oracle) -> Result<(), TestCaseError> {
    let entries = &forwarder.entries;
    let mut dropped = 0;
    for reason in Reason::ALL {
        prop_assert_eq!(entries.drops(*reason), data(oracle.drops(*reason)), "{:?}", reason);
        dropped += entries.drops(*reason).packets;
    }
    for session in 0..SESSIONS {
        let session = SessionId::new(session).unwrap();
        prop_assert_eq!(entries.session_discards(session), Some(data(oracle.session_discards(session))), "{:?}", session);
    }
    for entry in oracle.entries() {
        let key = entry.key();
        prop_assert_eq!(entries.get(&key), Some(entry.clone()));
        prop_assert_eq!(entries.counter(&key), oracle.direct_counter(&key).map(data), "{:?}", key);
    }
    let totals = oracle.totals();
    prop_assert_eq!(dropped, totals.drops);
    prop_assert_eq!(totals.inputs, totals.outputs + totals.punts + totals.drops);
    Ok(())
}

/// The lists of entries of both.
fn compare_lists(forwarder: &Forwarder, oracle: &Oracle) -> Result<(), TestCaseError> {
    let entries = &forwarder.entries;
    for table in TABLES {
        let listed: Vec<Entry> = entries.iter(table.id).collect();
        prop_assert_eq!(listed.len(), entries.len(table.id));
        prop_assert_eq!(listed.len(), oracle.entries().filter(|entry| entry.key().table_id() == table.id).count(), "{}", table.name);
        for entry in &listed {
            prop_assert_eq!(oracle.get(&entry.key()), Some(entry));
            prop_assert_eq!(entries.counter(&entry.key()).is_some(), table.counting == Counting::Direct);
        }
    }
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig { max_shrink_iters: 4000, ..ProptestConfig::default() })]

    #[test]
    fn the_forwarder_does_what_the_oracle_says(seed: u64, network in network(), steps in steps()) {
        let mut forwarder = Forwarder::new(seed);
        let mut oracle = Oracle::new(PORTS.map(port));
        for entry in network {
            apply(&mut forwarder, &mut oracle, &Update::Insert(entry))?;
        }
        forwarder.entries.publish();
        let mut now = Duration::from_secs(1);
        for step in steps {
            match step {
                Step::Frames(frames, wait) => {
                    now += wait;
                    run(&mut forwarder, &mut oracle, &frames, now)?;
                }
                Step::Batch(updates) => {
                    for update in &updates {
                        apply(&mut forwarder, &mut oracle, update)?;
                    }
                    forwarder.entries.publish();
                }
                Step::Link(port, link) => {
                    oracle.set_link(port, link);
                    let state = if link == Link::Up { PortState::Up } else { PortState::Down };
                    forwarder.entries.set_port_state(port, state);
                }
            }
            compare(&forwarder, &oracle)?;
        }
        compare_lists(&forwarder, &oracle)?;
        // Every buffer is back: nothing was kept, and nothing was given back twice.
        drop(forwarder);
        prop_assert_eq!(pool().available(), 1023);
    }
}
