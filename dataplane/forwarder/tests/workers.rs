//! Several workers and a controller that keeps changing things: a session is metered and counted exactly, and no change costs a packet.

mod network;

use std::collections::BTreeMap;
use std::num::{NonZeroU16, NonZeroU64};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use network::{FRAME, SESSION, VPN_LABEL, YELLOW_CLASS, circuit, core, flow, frame, nexthop, session, tunnel};
use svpn_contract::wire::{SessionId, TunnelId};
use svpn_contract::{MeterConfig, Reason, SessionKey, TunnelKey, Update};
use svpn_dpdk::{Burst, Eal, EalOptions, Pool, PoolConfig};
use svpn_forwarder::entries::{Clock, EntriesConfig, PortState, WorkerEnd};
use svpn_forwarder::fastpath::{BURST, FastPath, Outputs};
use svpn_forwarder::{CounterData, Entries, TableSizes};

const WORKERS: u16 = 2;
const BURSTS: usize = 3_000;
const PACKETS: usize = 32;

/// A rate of 0: what the buckets hold at first is all there is, whenever packets come.
const METER: MeterConfig = MeterConfig { cir: 0, cburst: 7_500_000, pir: 0, pburst: 15_000_000 };

fn entries() -> (Entries, Vec<WorkerEnd>) {
    let sizes = TableSizes {
        flow_v4: 64,
        flow_v6: 64,
        session: 16,
        route_v4: 16,
        route_v6: 16,
        tunnel: 16,
        ilm: 16,
        nexthop: 16,
        ..TableSizes::default()
    };
    let clock = Clock { hertz: NonZeroU64::new(1_000_000_000).unwrap(), now: || 0 };
    let workers = NonZeroU16::new(WORKERS).unwrap();
    let (mut entries, ends) = Entries::new(&EntriesConfig { sizes, workers, seed: 1, clock }).unwrap();
    for port in [circuit(), core()] {
        entries.set_port_state(port, PortState::Up);
    }
    (entries, ends)
}

/// What is seen of a frame of the session on the core: its neighbour, transport label and traffic class.
fn seen(frame: &[u8]) -> (u8, u32, u8) {
    assert_eq!(frame.len(), FRAME + 8);
    assert_eq!(frame[12..14], [0x88, 0x47]);
    let entry = |at: usize| u32::from_be_bytes([frame[at], frame[at + 1], frame[at + 2], frame[at + 3]]);
    let (transport, vpn) = (entry(14), entry(18));
    assert_eq!((vpn >> 12, vpn & 0x1ff, transport & 0x1ff), (VPN_LABEL, 0x100 | 63, 63));
    assert_eq!(transport >> 9 & 7, vpn >> 9 & 7);
    (frame[5], transport >> 12, u8::try_from(vpn >> 9 & 7).unwrap())
}

/// One worker: sends its bursts through, and tells what it has seen come out.
fn work(end: WorkerEnd, pool: Pool) -> BTreeMap<(u8, u32, u8), usize> {
    let (mut fastpath, mut reader) = FastPath::new(end);
    let mut out = Outputs::new(&[core()]);
    let mut seen_frames = BTreeMap::new();
    let mut online = reader.online();
    for now in 0..BURSTS {
        let mut burst: Burst<BURST> = Burst::new();
        for _ in 0..PACKETS {
            burst.push(pool.alloc_with(&frame()).unwrap()).unwrap();
        }
        fastpath.process(&online, &mut burst, circuit(), u64::try_from(now).unwrap(), &mut out);
        for outlet in out.outlets() {
            for mbuf in outlet.burst.drain() {
                *seen_frames.entry(seen(mbuf.data())).or_default() += 1;
            }
            outlet.clear();
        }
        assert!(out.punts.is_empty());
        online.quiescent();
    }
    seen_frames
}

/// Replaces the tunnel and its next hop, and inserts and deletes flows, until the workers are done.
fn change(entries: &mut Entries, working: &AtomicUsize) {
    let mut round = 0_u8;
    while working.load(Ordering::Acquire) > 0 {
        round ^= 1;
        let updates = [
            Update::Modify(tunnel(100 + u32::from(round))),
            Update::Modify(nexthop(1 + round)),
            Update::Modify(session(Some(METER))),
            Update::Insert(flow(2)),
            Update::Insert(flow(3)),
        ];
        for update in updates {
            entries.apply(&update).unwrap();
        }
        entries.publish();
        for sport in [2, 3] {
            entries.apply(&Update::Delete(flow(sport).key())).unwrap();
        }
        entries.publish();
    }
}

#[test]
fn two_workers_meter_and_count_one_session_exactly_while_its_way_changes() {
    let eal = Eal::init(&EalOptions::virtual_devices(64)).unwrap();
    let pool = Pool::new(eal, "frames", PoolConfig { mbufs: 1023, cache: 0, ..PoolConfig::default() }).unwrap();
    let (mut entries, ends) = entries();
    network::install(&mut entries, Some(METER));

    let working = AtomicUsize::new(ends.len());
    let seen: Vec<_> = thread::scope(|scope| {
        let start = |end| {
            let working = &working;
            scope.spawn(move || {
                let seen = work(end, pool);
                working.fetch_sub(1, Ordering::Release);
                seen
            })
        };
        let workers: Vec<_> = ends.into_iter().map(start).collect();
        change(&mut entries, &working);
        workers.into_iter().map(|worker| worker.join().unwrap()).collect()
    });

    let mut by_class = BTreeMap::new();
    for ((neighbour, label, class), count) in seen.into_iter().flatten() {
        assert!([1, 2].contains(&neighbour) && [100, 101].contains(&label));
        *by_class.entry(class).or_insert(0) += count;
    }
    let bytes = |packets: usize| u64::try_from(packets * FRAME).unwrap();
    let data = |packets: usize| CounterData { packets: u64::try_from(packets).unwrap(), bytes: bytes(packets) };
    let offered = usize::from(WORKERS) * BURSTS * PACKETS;
    // 100 bytes each: the committed bucket holds 75,000 of them, the peak bucket as many again.
    assert_eq!(by_class, BTreeMap::from([(0, 75_000), (YELLOW_CLASS, 75_000)]));
    let red = offered - 150_000;
    let id = SessionId::new(SESSION).unwrap();
    assert_eq!(entries.counter(&SessionKey { session: id }.into()), Some(data(offered)));
    assert_eq!(entries.session_discards(id), Some(data(red)));
    assert_eq!(entries.counter(&TunnelKey { tunnel: TunnelId::new(9).unwrap() }.into()), Some(data(150_000)));
    for reason in Reason::ALL {
        let expected = if *reason == Reason::RedDiscard { data(red) } else { CounterData::default() };
        assert_eq!(entries.drops(*reason), expected, "{reason:?}");
    }
    assert_eq!(pool.available(), 1023);
}
