//! A controller that never rests, beside one and two workers: what it does not touch is forwarded as if it were not there. Not a packet is lost,
//! overtaken, marked otherwise or policed otherwise than without it.

mod network;

use std::net::{Ipv4Addr, Ipv6Addr};
use std::num::{NonZeroU16, NonZeroU64};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use network::{FRAME, VPN_LABEL, YELLOW_CLASS, circuit, core, flow, frame, nexthop, session, tunnel};
use svpn_contract::wire::{Class, L4Port, Label, NextHopId, Protocol, SessionId, TunnelId, VrfId};
use svpn_contract::{
    Entry, EntryKey, FlowV4Action, FlowV4Entry, FlowV4Key, FlowV6Action, FlowV6Entry, FlowV6Key, IlmAction, IlmEntry, IlmKey, MeterConfig,
    NexthopEntry, NexthopKey, Prefix, RouteV4Action, RouteV4Entry, RouteV4Key, RouteV6Action, RouteV6Entry, RouteV6Key, SessionEntry,
    SessionKey, TunnelEntry, TunnelKey, Update,
};
use svpn_dpdk::{Burst, Eal, EalOptions, Pool, PoolConfig};
use svpn_forwarder::entries::{Clock, EntriesConfig, PortState, WorkerEnd};
use svpn_forwarder::fastpath::{BURST, FastPath, Outputs};
use svpn_forwarder::{CounterData, Entries, TableSizes};

/// Entries of each kind that come, change and go, one after the other.
const CHANGES: u32 = 4_000;
/// How many of each kind are there at a time.
const ALIVE: u32 = 50;
/// Bursts a worker sends at least, half of each for either session.
const BURSTS: u64 = 1_000;
const PACKETS: usize = 32;
/// The session that is within its rate whatever comes.
const WIDE: MeterConfig = MeterConfig { cir: 1 << 30, cburst: 1 << 40, pir: 1 << 30, pburst: 1 << 41 };
/// The session that gets this many packets green, as many yellow, and no more: its buckets are never filled again.
const NARROW_PACKETS: usize = 5_000;
const NARROW: MeterConfig =
    MeterConfig { cir: 0, cburst: (NARROW_PACKETS * FRAME) as u64, pir: 0, pburst: (2 * NARROW_PACKETS * FRAME) as u64 };
const NARROW_SESSION: u32 = 4;
const NARROW_SPORT: u16 = 9;

fn entries(workers: u16) -> (Entries, Vec<WorkerEnd>) {
    // Flow tables so small that flows are moved all the time.
    let sizes = TableSizes {
        flow_v4: ALIVE + 4,
        flow_v6: ALIVE,
        session: 256,
        route_v4: 256,
        route_v6: 256,
        tunnel: 256,
        ilm: 256,
        nexthop: 256,
        ..TableSizes::default()
    };
    let clock = Clock { hertz: NonZeroU64::new(1_000_000_000).unwrap(), now: || 0 };
    let workers = NonZeroU16::new(workers).unwrap();
    let (mut entries, ends) = Entries::new(&EntriesConfig { sizes, workers, seed: 1, clock }).unwrap();
    for port in [circuit(), core()] {
        entries.set_port_state(port, PortState::Up);
    }
    network::install(&mut entries, Some(WIDE));
    for entry in narrow() {
        entries.apply(&Update::Insert(entry)).unwrap();
    }
    entries.publish();
    (entries, ends)
}

fn narrow() -> [Entry; 2] {
    let id = SessionId::new(NARROW_SESSION).unwrap();
    let Entry::Session(wide) = session(Some(NARROW)) else { panic!("a session") };
    let Entry::FlowV4(flow) = flow(NARROW_SPORT) else { panic!("a flow") };
    [
        SessionEntry { key: SessionKey { session: id }, ..wide }.into(),
        FlowV4Entry { action: FlowV4Action::Assign { session: id }, ..flow }.into(),
    ]
}

/// Entry `number` of each kind, in one of two variants. None is of the sessions that are watched.
fn passing(number: u32, variant: u8) -> [Entry; 8] {
    let id = 100 + number % 100;
    let (vrf, session) = (VrfId::new(2).unwrap(), SessionId::new(id).unwrap());
    let nexthop_id = NextHopId::new(id).unwrap();
    let (proto, sport, dport) = (Protocol::new(17).unwrap(), L4Port::default(), L4Port::default());
    let (v4, v6) = (Ipv4Addr::from(number << 8), Ipv6Addr::from_bits(u128::from(number) << 64));
    let any = RouteV4Action::Local { nexthop: nexthop_id };
    let Entry::Session(changed) = session_of(variant) else { panic!("a session") };
    let Entry::Tunnel(tunnel) = tunnel(1000 + u32::from(variant)) else { panic!("a tunnel") };
    let Entry::Nexthop(nexthop) = nexthop(variant) else { panic!("a next hop") };
    let other = SessionId::new(200 + u32::from(variant)).unwrap();
    [
        NexthopEntry { key: NexthopKey { nexthop: nexthop_id }, ..nexthop }.into(),
        TunnelEntry { key: TunnelKey { tunnel: TunnelId::new(id).unwrap() }, ..tunnel }.into(),
        SessionEntry { key: SessionKey { session }, ..changed }.into(),
        FlowV4Entry {
            // As the watched ones but for the source: in a table this small they share buckets.
            key: FlowV4Key { vrf: VrfId::new(1).unwrap(), src: v4, dst: v4, proto, sport, dport },
            action: FlowV4Action::Assign { session: other },
            idle_timeout: None,
        }
        .into(),
        FlowV6Entry {
            key: FlowV6Key { vrf, src: v6, dst: v6, proto, sport, dport },
            action: FlowV6Action::Assign { session: other },
            idle_timeout: None,
        }
        .into(),
        IlmEntry {
            key: IlmKey { label: Label::new(1000 + id).unwrap() },
            action: IlmAction::Swap { label: Label::new(2000 + u32::from(variant)).unwrap(), nexthop: nexthop_id },
        }
        .into(),
        RouteV4Entry {
            key: RouteV4Key { vrf, dst: Prefix { value: v4, length: 24 } },
            action: if variant == 0 { any } else { RouteV4Action::Receive },
        }
        .into(),
        RouteV6Entry {
            key: RouteV6Key { vrf, dst: Prefix { value: v6, length: 64 } },
            action: if variant == 0 { RouteV6Action::Local { nexthop: nexthop_id } } else { RouteV6Action::Discard },
        }
        .into(),
    ]
}

fn session_of(variant: u8) -> Entry {
    let Entry::Session(mut entry) = session(Some(if variant == 0 { WIDE } else { NARROW })) else { panic!("a session") };
    let svpn_contract::SessionAction::Carry { class, .. } = &mut entry.action;
    *class = Class::new(variant).unwrap();
    entry.into()
}

/// Makes everything come, change and go; returns how many updates that were.
fn change(entries: &mut Entries) -> u64 {
    let mut count = 0;
    let mut apply = |entries: &mut Entries, update: Update| {
        entries.apply(&update).unwrap_or_else(|error| panic!("{update:?}: {error}"));
        count += 1;
    };
    for number in 0..CHANGES + ALIVE {
        if let Some(gone) = number.checked_sub(ALIVE) {
            for entry in passing(gone, 0).into_iter().rev() {
                apply(entries, Update::Delete(entry.key()));
            }
        }
        if number < CHANGES {
            for entry in passing(number, 0) {
                apply(entries, Update::Insert(entry));
            }
            for entry in passing(number, 1) {
                apply(entries, Update::Modify(entry));
            }
        }
        if number % 4 == 0 {
            entries.publish();
        }
    }
    entries.publish();
    count
}

/// What a worker has seen of each session.
#[derive(Debug, Default, Clone, Copy)]
struct Seen {
    wide: usize,
    /// Green and yellow.
    narrow: [usize; 2],
    offered: usize,
}

/// Sends bursts until the controller is done, and checks all that comes out.
fn work(end: WorkerEnd, pool: Pool, done: &AtomicBool) -> Seen {
    let (mut fastpath, mut reader) = FastPath::new(end);
    let mut out = Outputs::new(&[core()]);
    let mut online = reader.online();
    let mut seen = Seen::default();
    let mut round = 0_u64;
    while round < BURSTS || !done.load(Ordering::Acquire) {
        let mut burst: Burst<BURST> = Burst::new();
        for place in 0..PACKETS {
            let mut frame = frame();
            if place % 2 == 1 {
                frame[34..36].copy_from_slice(&NARROW_SPORT.to_be_bytes());
            }
            frame[60..68].copy_from_slice(&(round * PACKETS as u64 + place as u64).to_be_bytes());
            burst.push(pool.alloc_with(&frame).unwrap()).unwrap();
        }
        seen.offered += PACKETS / 2;
        fastpath.process(&online, &mut burst, circuit(), round, &mut out);
        let mut next = round * PACKETS as u64;
        for outlet in out.outlets() {
            for mbuf in outlet.burst.drain() {
                next = check(mbuf.data(), next, &mut seen);
            }
            outlet.clear();
        }
        assert!(out.punts.is_empty());
        online.quiescent();
        round += 1;
        assert_eq!(seen.wide, seen.offered, "a packet of the session within its rate is lost");
    }
    seen
}

/// Checks a frame as it left; `next` is the first number it may have. Returns the first that may come after it.
fn check(frame: &[u8], next: u64, seen: &mut Seen) -> u64 {
    assert_eq!(frame.len(), FRAME + 8);
    let entry = |at: usize| u32::from_be_bytes(frame[at..at + 4].try_into().unwrap());
    let (transport, vpn) = (entry(14), entry(18));
    assert_eq!((transport >> 12, vpn >> 12, vpn & 0x1ff), (100, VPN_LABEL, 0x100 | 63));
    let class = u8::try_from(vpn >> 9 & 7).unwrap();
    let number = u64::from_be_bytes(frame[68..76].try_into().unwrap());
    assert!(number >= next, "packet {number} overtaken by {next}");
    if number % 2 == 0 {
        assert_eq!(class, 0, "a packet within the rate is marked");
        seen.wide += 1;
    } else {
        assert!([0, YELLOW_CLASS].contains(&class));
        seen.narrow[usize::from(class != 0)] += 1;
    }
    number + 1
}

fn run(workers: u16) {
    let eal = Eal::init(&EalOptions::virtual_devices(64)).unwrap();
    let pool = Pool::new(eal, "frames", PoolConfig { mbufs: 1023, cache: 0, ..PoolConfig::default() }).unwrap();
    let (mut entries, ends) = entries(workers);
    let done = AtomicBool::new(false);
    let seen: Vec<Seen> = thread::scope(|scope| {
        let workers: Vec<_> = ends.into_iter().map(|end| scope.spawn(|| work(end, pool, &done))).collect();
        let changed = change(&mut entries);
        done.store(true, Ordering::Release);
        assert_eq!(changed, u64::from(CHANGES) * 8 * 3);
        workers.into_iter().map(|worker| worker.join().unwrap()).collect()
    });
    let offered: usize = seen.iter().map(|seen| seen.offered).sum();
    let narrow = [0, 1].map(|colour| seen.iter().map(|seen| seen.narrow[colour]).sum::<usize>());
    assert_eq!(narrow, [NARROW_PACKETS; 2]);
    let data = |packets: usize| CounterData { packets: packets as u64, bytes: (packets * FRAME) as u64 };
    for (number, lost) in [(network::SESSION, 0), (NARROW_SESSION, offered - 2 * NARROW_PACKETS)] {
        let session = SessionId::new(number).unwrap();
        assert_eq!(entries.counter(&EntryKey::Session(SessionKey { session })), Some(data(offered)));
        assert_eq!(entries.session_discards(session), Some(data(lost)));
    }
    assert_eq!(pool.available(), 1023);
}

#[test]
fn one_worker_does_not_notice_the_controller() {
    run(1);
}

#[test]
fn two_workers_do_not_notice_the_controller() {
    run(2);
}
