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
use svpn_engines::{Cell, Engine, Unreached, deliverable, smallest};

/// Another can be given by the environment variable `PROPTEST_RNG_SEED`, another number of cases by `PROPTEST_CASES`.
const SEED: u64 = 0x5e55_1015;
const CASES: u32 = 150;

/// What no frame comes to here: no reason at all, links that are down, and full queues.
const OTHER_REASONS: [Reason; 5] =
    [Reason::None, Reason::WorkerQueueFull, Reason::PortUnavailable, Reason::TransmitQueueFull, Reason::PuntQueueFull];

/// A meter that gives each packet the same colour at all times: with empty rates the bursts alone count.
///
/// BMv2 keeps the configuration of a deleted entry's meter for the next entry in its place, so every entry that can have one does.
fn timeless(entry: &mut Entry) {
    let meter = match entry {
        Entry::Session(entry) => &mut entry.meter,
        Entry::VrfPolicer(entry) => &mut entry.meter,
        Entry::PuntPolicer(entry) => {
            // The frame behind all others is punted for this reason, and must be seen.
            if entry.key.reason == Reason::Lldp {
                entry.meter = None;
            }
            &mut entry.meter
        }
        _ => return,
    };
    *meter = Some(match *meter {
        Some(meter) => MeterConfig { cir: 0, pir: 0, ..meter },
        None => MeterConfig { cir: 1 << 40, cburst: 1 << 30, pir: 1 << 40, pburst: 1 << 30 },
    });
}

fn writes(mut updates: Vec<Update>) -> Step {
    for update in &mut updates {
        if let Update::Insert(entry) | Update::Modify(entry) = update {
            timeless(entry);
        }
    }
    Step::Write(updates)
}

/// Frames at edges that random ones hardly ever come to, for the addresses and labels of the small world.
fn at_an_edge() -> impl Strategy<Value = (PortId, Vec<u8>)> {
    let address = |host: u8| [&[0x20, 0x01, 0x0d, 0xb8, 0, 0, 0, host / 3][..], &[0; 7], &[host % 3]].concat();
    let ipv6 = move |version: u8, length: u8, next: u8, hop_limit: u8, src: u8, dst: u8| {
        [&[version << 4, 0, 0, 0, 0, length, next, hop_limit][..], &address(src), &address(dst)].concat()
    };
    // UDP, or it in a fragment header, of which only so many bytes belong to the packet.
    let cut_payload = move |(src, dst, next, length): (u8, u8, u8, u8)| {
        (0x86dd_u16, [&ipv6(6, length, next, 64, src, dst)[..], &[17, 196, 0, 80, 0, 0, 0, 1], &[0; 8]].concat())
    };
    let discovery = move |version: u8| (0x86dd_u16, [&ipv6(version, 8, 58, 255, 0, 3)[..], &[135, 0, 0, 0, 0, 0, 0, 0]].concat());
    // Less than an IPv6 header and more than an IPv4 header, at the bottom of the stack.
    let cut_header = |(label, nibble): (u8, u8)| (0x8847_u16, [&[0, label >> 4, label << 4 | 1, 64][..], &[nibble << 4; 24]].concat());
    // An explicit null that may have expired, over a label cut short.
    let cut_label = |(label, ttl, length): (u8, u8, usize)| (0x8847_u16, [&[0, 0, label << 4, ttl][..], &vec![0; length]].concat());
    let packet = prop_oneof![
        (0..6_u8, 0..6_u8, prop::sample::select(&[17, 44][..]), 2..10_u8).prop_map(cut_payload),
        (4..8_u8).prop_map(discovery),
        (0..32_u8, 4..8_u8).prop_map(cut_header),
        (prop::sample::select(&[0, 2][..]), 1..3_u8, 0..4_usize).prop_map(cut_label),
    ];
    (prop::sample::select(&PORTS[..]), packet).prop_map(|(port, (ethertype, packet))| {
        let [high, low] = port.to_be_bytes();
        let ethernet = [&[2, 0, 0, 0, high, low, 6, 0, 0, 0, 0, 1][..], &ethertype.to_be_bytes()].concat();
        (PortId::new(port).expect("it fits"), [ethernet, packet].concat())
    })
}

fn frames(count: std::ops::Range<usize>) -> impl Strategy<Value = Step> {
    let frame = arrival().prop_filter("the kernel delivers it", |(_, frame): &(PortId, Vec<u8>)| deliverable(frame).is_ok());
    prop::collection::vec(prop_oneof![12 => frame.boxed(), 1 => at_an_edge().boxed()], count).prop_map(Step::Frames)
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
    let enough = config.cases >= CASES;
    let unreached = RefCell::new(Unreached::all(Reason::ALL.iter().copied().filter(|reason| !OTHER_REASONS.contains(reason))));
    let result = TestRunner::new(config).run(&steps(), |steps| {
        unreached.borrow_mut().take(&ports(), &steps);
        bmv2.borrow_mut().check(&steps).map_err(TestCaseError::fail)
    });
    match result {
        Ok(()) => assert!(!enough || unreached.borrow().names().is_empty(), "{seed:?}: nothing came to {:?}", unreached.borrow().names()),
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
