//! Several workers on ports with one queue each way: packets go from worker to worker and back, every flow keeps its order, and every frame
//! that goes in comes out, is punted or is dropped.

mod network;

use std::collections::BTreeMap;
use std::net::Ipv4Addr;
use std::num::NonZeroU64;
use std::time::{Duration, Instant};

use network::{FRAME, SESSION, VPN_LABEL, circuit, core};
use svpn_contract::packet::PacketOut;
use svpn_contract::wire::{Label, MacAddr, NextHopId, PortId, SessionId, TtlMode, TunnelId, VlanId, VrfId};
use svpn_contract::{
    AttachmentAction, AttachmentEntry, AttachmentKey, Choice, Entry, IlmAction, IlmEntry, IlmKey, Prefix, Reason, RouteV4Action,
    RouteV4Entry, RouteV4Key, SessionKey, StationAction, StationEntry, StationKey, TunnelAction, TunnelEntry, TunnelKey, Update,
};
use svpn_dpdk::{Eal, EalOptions, Placement, PoolConfig, PortSpec};
use svpn_forwarder::{CounterData, Distribution, Entries, Idle, PortSetup, Router, RouterConfig, SendError, TableSizes};

const FLOWS: u16 = 50;
const PER_FLOW: u32 = 60;

/// What comes back from the core is for this address of ours, behind the session's VPN label.
fn way_back(entries: &mut Entries) {
    let nexthop = NextHopId::new(1).unwrap();
    let one_hop = TunnelAction::Lsp0 { nexthop, ttl_mode: TtlMode::UNIFORM };
    let tunnel = TunnelEntry { key: TunnelKey { tunnel: TunnelId::new(9).unwrap() }, action: Choice::only(one_hop) };
    entries.apply(&Update::Modify(tunnel.into())).unwrap();
    let vrf = VrfId::new(2).unwrap();
    let destination = Prefix { value: Ipv4Addr::new(10, 2, 0, 1), length: 32 };
    let station = StationKey { port: core(), dst_mac: MacAddr([2, 0, 0, 0, 1, 1]) };
    let attachment = AttachmentKey { port: core(), vlan: VlanId::default(), inner_vlan: VlanId::default() };
    let new: [Entry; 4] = [
        AttachmentEntry { key: attachment, action: AttachmentAction::ToCore }.into(),
        StationEntry { key: station, action: StationAction::Accept }.into(),
        IlmEntry { key: IlmKey { label: Label::new(VPN_LABEL).unwrap() }, action: IlmAction::PopVrf { vrf, ttl_mode: TtlMode::UNIFORM } }
            .into(),
        RouteV4Entry { key: RouteV4Key { vrf, dst: destination }, action: RouteV4Action::Receive }.into(),
    ];
    for entry in new.into_iter().chain((2..FLOWS).map(network::flow)) {
        entries.apply(&Update::Insert(entry)).unwrap();
    }
    entries.publish();
}

fn config(workers: usize, distribution: Distribution) -> RouterConfig {
    // A ring without a peer is its own.
    let port = |number: PortId, device: &str| PortSetup { number, spec: PortSpec::parse(device).unwrap(), mtu: None };
    RouterConfig {
        ports: vec![port(circuit(), "net_ring0"), port(core(), "net_ring1")],
        workers: vec![Placement::Anywhere; workers],
        distribution,
        sizes: TableSizes { flow_v4: 64, session: 16, route_v4: 16, tunnel: 16, ilm: 128, nexthop: 16, ..TableSizes::default() },
        idle: Idle::Sleep { longest: Duration::from_micros(100) },
        pool: PoolConfig::default(),
        seed: NonZeroU64::new(1),
    }
}

/// The next packet of a flow: its number is in the payload.
fn packet(flow: u16, number: u32) -> PacketOut {
    let mut frame = network::frame();
    frame[34..36].copy_from_slice(&flow.to_be_bytes());
    frame[60..64].copy_from_slice(&number.to_be_bytes());
    PacketOut { egress_port: circuit(), frame }
}

fn drops(router: &Router) -> BTreeMap<String, u64> {
    let entries = router.entries();
    let counts = Reason::ALL.iter().map(|reason| (format!("{reason:?}"), entries.drops(*reason).packets));
    counts.filter(|(_, packets)| *packets > 0).collect()
}

/// Sends all flows' packets, each to the circuit, over the core and back to the controller, and looks at what arrives.
fn run(eal: Eal, workers: usize, distribution: Distribution) {
    let router = Router::start(&config(workers, distribution), eal).unwrap();
    let mut punts = router.take_punts().unwrap();
    network::install(&mut router.entries(), None);
    way_back(&mut router.entries());
    let total = u64::from(FLOWS - 1) * u64::from(PER_FLOW);
    let mut packets = (0..PER_FLOW).flat_map(|number| (1..FLOWS).map(move |flow| packet(flow, number))).peekable();
    let mut next = vec![0_u32; usize::from(FLOWS)];
    let mut punted = 0;
    let start = Instant::now();
    while punted + drops(&router).values().sum::<u64>() < total {
        assert!(start.elapsed() < Duration::from_mins(1), "{punted} punts and {:?} of {total}", drops(&router));
        while packets.peek().is_some_and(|packet| router.send(packet.clone()) != Err(SendError::QueueFull)) {
            packets.next();
        }
        while let Ok(punt) = punts.try_recv() {
            assert_eq!((punt.reason, punt.ingress_port, punt.frame.len()), (Reason::Receive, core(), FRAME + 4));
            let flow = u16::from_be_bytes([punt.frame[38], punt.frame[39]]);
            let number = u32::from_be_bytes(punt.frame[64..68].try_into().unwrap());
            // Some may have been dropped, none may come late.
            assert!(number >= next[usize::from(flow)], "flow {flow}: {number} after {}", next[usize::from(flow)]);
            next[usize::from(flow)] = number + 1;
            punted += 1;
        }
        std::thread::yield_now();
    }
    let dropped = drops(&router);
    // Queues can be full; nothing else goes wrong.
    assert!(
        dropped.keys().all(|reason| ["WorkerQueueFull", "TransmitQueueFull", "PuntQueueFull"].contains(&reason.as_str())),
        "{dropped:?}"
    );
    assert_eq!(punted + dropped.values().sum::<u64>(), total);
    let reports = router.port_stats().unwrap();
    let statistics = |port: usize| reports[port].statistics;
    let session = SessionId::new(SESSION).unwrap();
    {
        let entries = router.entries();
        let counted = entries.counter(&SessionKey { session }.into()).unwrap();
        let discarded = entries.session_discards(session).unwrap();
        assert_eq!(counted.bytes, counted.packets * FRAME as u64);
        // What the session carried left by the core's port.
        assert_eq!(counted.packets - discarded.packets, statistics(1).tx_packets);
        assert!(counted.packets <= statistics(0).rx_packets);
        if dropped.is_empty() {
            assert_eq!(counted, CounterData { packets: total, bytes: total * FRAME as u64 });
            assert_eq!(discarded, CounterData::default());
        }
    }
    assert_eq!((statistics(0).tx_packets, statistics(1).tx_packets), (statistics(0).rx_packets, statistics(1).rx_packets));
    router.stop().unwrap();
}

#[test]
fn flows_keep_their_order_and_every_frame_is_accounted_for_on_any_number_of_workers() {
    let eal = Eal::init(&EalOptions::virtual_devices(256)).unwrap();
    for (workers, distribution) in [
        (1, Distribution::WhereNeeded),
        (2, Distribution::WhereNeeded),
        (3, Distribution::WhereNeeded),
        (2, Distribution::Always),
        (3, Distribution::Never),
    ] {
        run(eal, workers, distribution);
    }
}
