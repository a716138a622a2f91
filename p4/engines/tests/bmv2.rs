//! The P4 program on BMv2 does what the oracle says. Needs root, and `simple_switch_grpc` on the PATH.
//!
//! Left out:
//! - links that go down: BMv2 neither knows nor counts what it sends there, and divides by zero where that leaves an action set without
//!   a member;
//! - frames cut short in their Ethernet header or their first tag: the kernel keeps them from any program;
//! - colours that depend on time. Meters have no rate here, or one that is never reached, so their bursts alone count.

use std::cell::RefCell;
use std::time::Duration;

use proptest::prelude::*;
use proptest::test_runner::{RngSeed, TestError, TestRunner};
use svpn_contract::generators::{PORTS, arrival, changes, network};
use svpn_contract::oracle::Count;
use svpn_contract::packet::PacketOut;
use svpn_contract::wire::PortId;
use svpn_contract::{Entry, MeterConfig, Reason, Update};
use svpn_engines::conformance::{Step, check};
use svpn_engines::{Cell, Engine, deliverable, smallest};

/// Another can be given by the environment variable `PROPTEST_RNG_SEED`, another number of cases by `PROPTEST_CASES`.
const SEED: u64 = 0x5e55_1015;
const CASES: u32 = 150;

/// A meter that gives each packet the same colour at all times: with empty rates the bursts alone count.
///
/// BMv2 keeps the configuration of a deleted entry's meter for the next entry in its place, so every session has one.
fn timeless(entry: &mut Entry) {
    if let Entry::Session(entry) = entry {
        entry.meter = Some(match entry.meter {
            Some(meter) => MeterConfig { cir: 0, pir: 0, ..meter },
            None => MeterConfig { cir: 1 << 40, cburst: 1 << 30, pir: 1 << 40, pburst: 1 << 30 },
        });
    }
}

fn writes(mut updates: Vec<Update>) -> Step {
    for update in &mut updates {
        if let Update::Insert(entry) | Update::Modify(entry) = update {
            timeless(entry);
        }
    }
    Step::Write(updates)
}

fn frames(count: std::ops::Range<usize>) -> impl Strategy<Value = Step> {
    let frame = arrival().prop_filter("the kernel delivers it", |(_, frame): &(PortId, Vec<u8>)| deliverable(frame).is_ok());
    prop::collection::vec(frame, count).prop_map(Step::Frames)
}

/// A network, frames through it, changes to it, and frames again.
fn steps() -> impl Strategy<Value = Vec<Step>> {
    let network = network().prop_map(|entries| writes(entries.into_iter().map(Update::Insert).collect()));
    (network, frames(40..120), changes().prop_map(writes), frames(0..60)).prop_map(|(one, two, three, four)| vec![one, two, three, four])
}

/// The ports of the small world.
fn ports() -> [PortId; 4] {
    PORTS.map(|number| PortId::new(number).expect("it fits"))
}

fn start() -> Engine {
    Engine::bmv2(&ports()).unwrap_or_else(|error| panic!("{error}"))
}

/// Says so where nothing can be held against BMv2.
fn is_skipped() -> bool {
    let skipped = !Engine::has_bmv2();
    if skipped {
        eprintln!("SKIPPED: simple_switch_grpc is not on the PATH, so nothing was held against BMv2");
    }
    skipped
}

/// BMv2, started again where it has crashed.
struct Bmv2(Option<Engine>);

impl Bmv2 {
    fn check(&mut self, steps: &[Step]) -> Result<(), String> {
        if self.0.as_mut().is_none_or(|engine| engine.ended().is_some()) {
            self.0 = None;
            self.0 = Some(start());
        }
        let Some(engine) = &mut self.0 else { unreachable!("it has just been started") };
        check(engine, steps).map_err(|difference| {
            let ended = engine.ended().map_or_else(|| "runs".to_owned(), |status| format!("ended by {status}"));
            format!("{difference}\nBMv2 {ended} and said: {}", engine.said())
        })
    }
}

fn config() -> ProptestConfig {
    // What fails is made smaller below: a network of the generator never shrinks below its least size.
    let mut config = ProptestConfig { failure_persistence: None, max_shrink_iters: 0, ..ProptestConfig::default() };
    if std::env::var_os("PROPTEST_CASES").is_none() {
        config.cases = CASES;
    }
    if config.rng_seed == RngSeed::Random {
        config.rng_seed = RngSeed::Fixed(SEED);
    }
    config
}

#[test]
fn bmv2_does_what_the_oracle_says() {
    if is_skipped() {
        return;
    }
    let config = config();
    let seed = config.rng_seed;
    let bmv2 = RefCell::new(Bmv2(None));
    let result = TestRunner::new(config).run(&steps(), |steps| bmv2.borrow_mut().check(&steps).map_err(TestCaseError::fail));
    match result {
        Ok(()) => {}
        Err(TestError::Abort(reason)) => panic!("{seed:?}: {reason}"),
        Err(TestError::Fail(first, steps)) => {
            let steps = smallest(&steps, |steps| bmv2.borrow_mut().check(steps).is_err());
            let difference = bmv2.borrow_mut().check(&steps).err();
            panic!(
                "{seed:?}: {}\nThe first case in its full size: {first}\n{steps:#?}",
                difference.unwrap_or_else(|| "not again".to_owned())
            );
        }
    }
}

/// A packet-out leaves by its port as it is, whatever it is, and counts nowhere.
#[test]
fn bmv2_sends_what_the_controller_gives_it() {
    if is_skipped() {
        return;
    }
    let mut bmv2 = start();
    let ethernet = [6, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 1];
    let rest: [&[u8]; 5] = [&[0x08, 0x06], &[0x81, 0x00, 0, 10, 0x08, 0x00, 0x45], &[0x88, 0x47, 0], &[0x88, 0xcc, 1], &[7; 1600]];
    for port in ports() {
        for rest in rest {
            let frame = [&ethernet, rest].concat();
            bmv2.controller.packet_out(PacketOut { egress_port: port, frame: frame.clone() }).expect("the stream is open");
            let received = bmv2.cables.receive(1, Duration::from_secs(10)).expect("the cables are there");
            assert_eq!(received, [(port, frame)]);
        }
    }
    let drops: Vec<Cell> = Reason::ALL.iter().copied().map(Cell::Drops).collect();
    let counts = bmv2.controller.counts(&drops).expect("counters can be read");
    assert!(counts.values().all(|count| *count == Count::default()), "{counts:?}");
    let more = bmv2.cables.receive(1, Duration::ZERO).expect("the cables are there");
    assert_eq!(more, []);
}
