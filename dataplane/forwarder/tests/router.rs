//! A whole router on ports that give back what they are sent: every frame that goes in comes out, is punted or is dropped, exactly.

mod network;

use std::num::NonZeroU64;
use std::thread;
use std::time::{Duration, Instant};

use network::{FRAME, SESSION, circuit, core, frame};
use svpn_contract::packet::{PacketIn, PacketOut};
use svpn_contract::wire::{Mtu, PortId, SessionId, VrfId};
use svpn_contract::{Entry, NexthopAction, Reason, SessionKey, Update};
use svpn_dpdk::{Eal, EalOptions, Placement, PoolConfig, PortSpec};
use svpn_forwarder::{CounterData, Distribution, Idle, PortSetup, Router, RouterConfig, SendError, TableSizes};

const SENT: u64 = 500;

fn config() -> RouterConfig {
    // A ring without a peer is its own.
    let port = |number, spec| PortSetup { number, spec: PortSpec::parse(spec).unwrap(), mtu: None };
    RouterConfig {
        ports: vec![port(circuit(), "net_ring0"), port(core(), "net_ring1")],
        workers: vec![Placement::Anywhere],
        distribution: Distribution::WhereNeeded,
        sizes: TableSizes {
            flow_v4: 64,
            flow_v6: 64,
            session: 16,
            route_v4: 16,
            route_v6: 16,
            tunnel: 16,
            ilm: 16,
            nexthop: 16,
            ..TableSizes::default()
        },
        idle: Idle::Sleep { longest: Duration::from_micros(100) },
        pool: PoolConfig { mbufs: 1023, ..PoolConfig::default() },
        seed: NonZeroU64::new(1),
    }
}

/// Sends a frame as the controller, waiting for room.
fn send(router: &Router, frame: &[u8]) {
    let packet = PacketOut { egress_port: circuit(), frame: frame.to_vec() };
    while let Err(error) = router.send(packet.clone()) {
        assert_eq!(error, SendError::QueueFull);
        thread::yield_now();
    }
}

fn drops(router: &Router) -> u64 {
    let entries = router.entries();
    Reason::ALL.iter().map(|reason| entries.drops(*reason).packets).sum()
}

/// Waits until something is so, for as long as a broken router is given.
fn wait_until(what: &str, so: impl Fn() -> bool) {
    let start = Instant::now();
    while !so() {
        assert!(start.elapsed() < Duration::from_mins(1), "{what} never happened");
        thread::sleep(Duration::from_millis(1));
    }
}

/// Bytes of a large frame.
const JUMBO: usize = 9000;

/// A packet of the session, of as many bytes, whose payload tells where each belongs.
fn jumbo() -> Vec<u8> {
    let mut frame = frame();
    let length = u16::try_from(JUMBO - 14).unwrap();
    // Equation 3 of RFC 1624.
    let field = |frame: &[u8], at: usize| u32::from(u16::from_be_bytes([frame[at], frame[at + 1]]));
    let sum = (!field(&frame, 24) & 0xffff) + (!field(&frame, 16) & 0xffff) + u32::from(length);
    let sum = (sum & 0xffff) + (sum >> 16);
    let sum = (sum & 0xffff) + (sum >> 16);
    frame[16..18].copy_from_slice(&length.to_be_bytes());
    frame[24..26].copy_from_slice(&(!u16::try_from(sum).unwrap()).to_be_bytes());
    frame.extend((FRAME..JUMBO).map(|index| u8::try_from(index % 251).unwrap()));
    frame
}

/// The next hop, with room for large frames.
fn wide_nexthop() -> Entry {
    let Entry::Nexthop(mut nexthop) = network::nexthop(1) else { unreachable!("it is one") };
    for member in &mut nexthop.action.members {
        let NexthopAction::Rewrite { mtu, .. } = &mut member.action;
        *mtu = Mtu::new(9100).unwrap();
    }
    nexthop.into()
}

#[test]
fn large_frames_pass_in_one_buffer_and_in_several() {
    let eal = Eal::init(&EalOptions::virtual_devices(256)).unwrap();
    for (workers, frame_bytes) in [(1, 16_000), (1, 1000), (2, 1000)] {
        let mut config = config();
        config.workers = vec![Placement::Anywhere; workers];
        config.pool = PoolConfig { frame_bytes, ..config.pool };
        config.ports.iter_mut().for_each(|port| port.mtu = Some(9000));
        let router = Router::start(&config, eal).unwrap();
        let mut punts = router.take_punts().unwrap();
        network::install(&mut router.entries(), None);
        {
            let mut entries = router.entries();
            entries.apply(&Update::Modify(wide_nexthop())).unwrap();
            entries.publish();
        }
        for _ in 0..SENT {
            send(&router, &jumbo());
        }
        // Every byte of a large frame goes to the controller.
        let arp = [&[0xff; 6][..], &[2, 0, 0, 0, 2, 2], &[8, 6, 0, 1, 8, 0, 6, 4, 0, 1], &[0; 20], &jumbo()[42..]].concat();
        send(&router, &arp);
        wait_until("every frame's drop", || drops(&router) == SENT);
        {
            let entries = router.entries();
            let id = SessionId::new(SESSION).unwrap();
            assert_eq!(
                entries.counter(&SessionKey { session: id }.into()),
                Some(CounterData { packets: SENT, bytes: SENT * JUMBO as u64 })
            );
            assert_eq!(entries.drops(Reason::UnknownAttachment), CounterData { packets: SENT, bytes: SENT * (JUMBO as u64 + 8) });
        }
        assert_eq!(punts.blocking_recv().unwrap().frame, arp);
        let longest = 9022;
        let packet = PacketOut { egress_port: core(), frame: vec![0; usize::from(frame_bytes).max(longest) + 1] };
        assert!(matches!(router.send(packet), Err(SendError::Length { .. })));
        router.stop().unwrap();
    }
}

#[test]
fn what_goes_in_comes_out_is_punted_or_is_dropped() {
    let eal = Eal::init(&EalOptions::virtual_devices(64)).unwrap();
    let router = Router::start(&config(), eal).unwrap();
    let mut punts = router.take_punts().unwrap();
    assert!(router.take_punts().is_none());
    network::install(&mut router.entries(), None);

    // A request for an address nobody answers for.
    let arp = [&[0xff; 6][..], &[2, 0, 0, 0, 2, 2], &[8, 6, 0, 1, 8, 0, 6, 4, 0, 1], &[0; 20]].concat();
    for _ in 0..SENT {
        send(&router, &frame());
    }
    send(&router, &arp);

    // Sent to the circuit a frame comes in there, leaves for the core, comes in there, and is of no circuit.
    wait_until("every frame's drop", || drops(&router) == SENT);
    let data = CounterData { packets: SENT, bytes: SENT * FRAME as u64 };
    {
        let entries = router.entries();
        let id = SessionId::new(SESSION).unwrap();
        assert_eq!(entries.counter(&SessionKey { session: id }.into()), Some(data));
        assert_eq!(entries.session_discards(id), Some(CounterData::default()));
        let bytes = data.bytes + SENT * 8;
        assert_eq!(entries.drops(Reason::UnknownAttachment), CounterData { packets: SENT, bytes });
    }
    let punted = punts.blocking_recv().unwrap();
    let vrf = VrfId::new(1).unwrap();
    assert_eq!(punted, PacketIn { ingress_port: circuit(), reason: Reason::Arp, vrf, frame: arp });

    let reports = router.port_stats().unwrap();
    let received: u64 = reports.iter().map(|report| report.statistics.rx_packets).sum();
    let left: u64 = reports.iter().map(|report| report.statistics.tx_packets).sum();
    // The controller's frames went out as well, and came in from nowhere.
    assert_eq!((received, left), (2 * SENT + 1, 2 * SENT + 1));

    let nowhere = PacketOut { egress_port: PortId::new(7).unwrap(), frame: frame() };
    assert_eq!(router.send(nowhere), Err(SendError::UnknownPort(PortId::new(7).unwrap())));
    for length in [13, 5000] {
        let packet = PacketOut { egress_port: core(), frame: vec![0; length] };
        assert!(matches!(router.send(packet), Err(SendError::Length { .. })));
    }
    router.stop().unwrap();
}
