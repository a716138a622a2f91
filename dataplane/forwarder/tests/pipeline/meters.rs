//! Meters as packets meet them, in the pipelines of one worker and of two: what passes is what RFC 2698 lets pass, from 8 kbit/s to 400 Gbit/s,
//! for frames of 64 to 9,000 bytes, smooth or in bursts. The clock is the test's own. (More rates, sizes and clocks are beside the meter.)

use std::net::Ipv4Addr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use crate::support::{CIRCUIT, HERTZ, Pipeline, VRF, default_route, frame, ipv4, label, nexthop, nexthop_id};
use svpn_contract::oracle::Meter;
use svpn_contract::wire::{Class, Colour, Dscp, L4Port, Protocol, SessionId, TrafficClass, TtlMode, TunnelId, VrfId};
use svpn_contract::{
    Choice, Entry, FlowV4Action, FlowV4Entry, FlowV4Key, MarkingAction, MarkingEntry, MarkingKey, MeterConfig, PuntPolicerAction,
    PuntPolicerEntry, PuntPolicerKey, Reason, RouteV4Action, SessionAction, SessionEntry, SessionKey, TunnelAction, TunnelEntry, TunnelKey,
    VrfPolicerAction, VrfPolicerEntry, VrfPolicerKey,
};

/// The service class, which green packets have for traffic class, and that of yellow ones.
const GREEN: u8 = 5;
const YELLOW: u8 = 2;
/// Packets of a case.
const PACKETS: u64 = 1_500;
/// Packets that a bucket holds.
const DEEP: u64 = 100;

/// Which meter.
#[derive(Debug, Clone, Copy)]
enum Metered {
    Session,
    Vrf,
    /// In packets.
    Punts,
}

#[derive(Debug, Clone, Copy)]
struct Case {
    metered: Metered,
    /// Committed, in bytes or packets per second; the peak rate is twice as much.
    rate: u64,
    /// Bytes of a frame.
    size: u64,
    workers: u16,
    /// Frames that come at once.
    together: u64,
}

fn session(meter: MeterConfig) -> [Entry; 2] {
    let id = SessionId::new(3).unwrap();
    let key = FlowV4Key {
        vrf: VrfId::new(VRF).unwrap(),
        src: Ipv4Addr::new(10, 1, 0, 1),
        dst: Ipv4Addr::new(10, 2, 0, 1),
        proto: Protocol::new(17).unwrap(),
        sport: L4Port::new(1).unwrap(),
        dport: L4Port::new(4000).unwrap(),
    };
    let action = SessionAction::Carry { tunnel: TunnelId::new(1).unwrap(), vpn_label: label(500), class: Class::new(GREEN).unwrap() };
    [
        FlowV4Entry { key, action: FlowV4Action::Assign { session: id }, idle_timeout: None }.into(),
        SessionEntry { key: SessionKey { session: id }, action, meter: Some(meter) }.into(),
    ]
}

fn ceiling(meter: MeterConfig) -> [Entry; 2] {
    let (tunnel, class) = (TunnelId::new(1).unwrap(), Class::new(GREEN).unwrap());
    let key = VrfPolicerKey { vrf: VrfId::new(VRF).unwrap() };
    [
        default_route(VRF, RouteV4Action::ViaTunnel { tunnel, vpn_label: label(500), class }),
        VrfPolicerEntry { key, action: VrfPolicerAction::Police, meter: Some(meter) }.into(),
    ]
}

impl Case {
    /// What a frame costs.
    fn amount(&self) -> u64 {
        if let Metered::Punts = self.metered { 1 } else { self.size }
    }

    fn config(&self) -> MeterConfig {
        let burst = DEEP * self.amount();
        MeterConfig { cir: self.rate, cburst: burst, pir: 2 * self.rate, pburst: burst }
    }

    fn pipeline(&self) -> Pipeline {
        let mut pipeline = Pipeline::new(self.workers);
        let lsp = TunnelAction::Lsp0 { nexthop: nexthop_id(), ttl_mode: TtlMode::UNIFORM };
        let yellow = MarkingKey { class: Class::new(GREEN).unwrap(), colour: Colour::YELLOW };
        pipeline.insert([
            TunnelEntry { key: TunnelKey { tunnel: TunnelId::new(1).unwrap() }, action: Choice::only(lsp) }.into(),
            MarkingEntry { key: yellow, action: MarkingAction::Mark { tc: TrafficClass::new(YELLOW).unwrap(), dscp: Dscp::default() } }
                .into(),
        ]);
        pipeline.modify([nexthop(9_200)]);
        match self.metered {
            Metered::Session => pipeline.insert(session(self.config())),
            Metered::Vrf => pipeline.insert(ceiling(self.config())),
            Metered::Punts => {
                let key = PuntPolicerKey { reason: Reason::Lldp };
                pipeline.insert([PuntPolicerEntry { key, action: PuntPolicerAction::Police, meter: Some(self.config()) }.into()]);
            }
        }
        pipeline
    }

    fn frame(&self) -> Vec<u8> {
        let length = usize::try_from(self.size).unwrap() - 14;
        if let Metered::Punts = self.metered { frame(0x88cc, &[&vec![0; length]]) } else { frame(0x0800, &[&ipv4(64, length)]) }
    }

    /// Offers half as much again as the peak rate takes, and compares at each burst.
    fn check(&self) {
        let mut pipeline = self.pipeline();
        let mut model = Meter::new(self.config());
        let frames = vec![self.frame(); usize::try_from(self.together).unwrap()];
        // Green, and not red, in what a frame costs.
        let (mut seen, mut expected) = ([0, 0], [0, 0]);
        for burst in 0..PACKETS / self.together {
            let elapsed = u128::from(burst * self.together * self.amount()) * u128::from(HERTZ) / u128::from(3 * self.rate);
            let now = HERTZ + u64::try_from(elapsed).unwrap();
            // The second worker's reading is some nanoseconds old.
            let worker = burst % u64::from(self.workers);
            let outcome = pipeline.burst(usize::try_from(worker).unwrap(), CIRCUIT, &frames, now - worker * 20);
            let [green, passed] = match self.metered {
                Metered::Punts => [outcome.punts.len(); 2],
                Metered::Session | Metered::Vrf => {
                    let of = |class: u8| outcome.sent.iter().filter(|(_, packet)| packet[2] >> 1 & 7 == class).count();
                    assert_eq!(of(GREEN) + of(YELLOW), outcome.sent.len());
                    [of(GREEN), outcome.sent.len()]
                }
            };
            let model_now = Duration::from_nanos(u64::try_from(u128::from(now) * 1_000_000_000 / u128::from(HERTZ)).unwrap());
            for _ in &frames {
                let (colour, next) = model.metered(self.amount(), model_now);
                model = next;
                expected[0] += u64::from(colour == Colour::GREEN) * self.amount();
                expected[1] += u64::from(colour != Colour::RED) * self.amount();
            }
            seen[0] += green as u64 * self.amount();
            seen[1] += passed as u64 * self.amount();
            self.compare(seen, expected, elapsed);
        }
    }

    /// A tenth of a percent, a packet, and what comes in the nanoseconds that the readings are apart.
    fn compare(&self, seen: [u64; 2], expected: [u64; 2], elapsed: u128) {
        let comparisons = [(self.rate, seen[0], expected[0]), (2 * self.rate, seen[1], expected[1])];
        // Of punts yellow ones go through as well.
        let punts = usize::from(matches!(self.metered, Metered::Punts));
        for (rate, seen, expected) in comparisons.into_iter().skip(punts) {
            let brought = |ticks: u128| u64::try_from(ticks * u128::from(rate) / u128::from(HERTZ)).unwrap();
            let allowed = brought(elapsed) / 1_000 + self.amount() + brought(24);
            assert!(seen.abs_diff(expected) <= allowed, "{self:?}: {seen} of {expected} at {rate} per second");
        }
    }
}

fn check_all(metered: Metered, rates: &[u64], sizes: &[u64]) {
    for workers in [1, 2] {
        for &rate in rates {
            for &size in sizes {
                for together in [1, 30] {
                    Case { metered, rate, size, workers, together }.check();
                }
            }
        }
    }
}

#[test]
fn sessions_get_their_rates_from_8_kbit_to_400_gbit() {
    // The slowest committed rate is 8 kbit/s, the fastest peak rate 400 Gbit/s.
    check_all(Metered::Session, &[1_000, 1_250_000, 25_000_000_000], &[64, 1_518, 9_000]);
}

#[test]
fn vrfs_get_their_ceilings() {
    check_all(Metered::Vrf, &[1_000, 125_000_000, 25_000_000_000], &[64, 9_000]);
}

#[test]
fn the_controller_gets_so_many_packets_of_any_size() {
    check_all(Metered::Punts, &[1, 1_000, 1_000_000], &[64, 9_000]);
}

/// A router that runs for a year, and a session that is used now and then.
#[test]
fn a_bucket_is_full_after_any_silence() {
    /// Five days, in ticks; sixteen of them are as long as a bucket's word can say.
    const STEP: u64 = 1 << 50;
    static NOW: AtomicU64 = AtomicU64::new(HERTZ);
    let case = Case { metered: Metered::Punts, rate: 1, size: 64, workers: 1, together: 1 };
    let mut pipeline = Pipeline::with_clock(1, || NOW.load(Ordering::Relaxed));
    let key = PuntPolicerKey { reason: Reason::Lldp };
    pipeline.insert([PuntPolicerEntry { key, action: PuntPolicerAction::Police, meter: Some(case.config()) }.into()]);
    let frames = vec![case.frame(); 60];
    for steps in [1, 7, 15, 16, 17, 32, 33] {
        for _ in 0..steps {
            NOW.fetch_add(STEP, Ordering::Relaxed);
            pipeline.entries.publish();
        }
        let mut punts = || pipeline.burst(0, CIRCUIT, &frames, NOW.load(Ordering::Relaxed)).punts.len();
        assert_eq!([punts(), punts(), punts()], [60, 40, 0], "after {steps} times five days");
    }
}
