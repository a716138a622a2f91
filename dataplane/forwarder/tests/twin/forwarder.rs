//! The forwarder's side: entries and one fast path, in one thread.

use std::num::{NonZeroU16, NonZeroU64};
use std::sync::OnceLock;
use std::time::Duration;

use svpn_contract::generators::PORTS;
use svpn_contract::packet::PacketIn;
use svpn_contract::wire::{PortId, VrfId};
use svpn_dpdk::{Burst, Eal, EalOptions, Mbuf, Pool, PoolConfig, Reader};
use svpn_forwarder::entries::{Clock, EntriesConfig, PortState};
use svpn_forwarder::fastpath::{BURST, FastPath, Outputs};
use svpn_forwarder::{Entries, TableSizes};

use super::{Arrival, Results};

/// Sessions of the small world, and some.
pub const SESSIONS: u32 = 64;
/// Packet buffers of the process.
pub const BUFFERS: u32 = 1023;

/// The process's packet buffers.
pub fn pool() -> Pool {
    static POOL: OnceLock<Pool> = OnceLock::new();
    *POOL.get_or_init(|| {
        let eal = Eal::init(&EalOptions::virtual_devices(64)).expect("the EAL starts");
        let config = PoolConfig { mbufs: BUFFERS, cache: 0, ..PoolConfig::default() };
        Pool::new(eal, "frames", config).expect("the pool is made")
    })
}

#[derive(Debug)]
pub(super) struct Forwarder {
    pub(super) entries: Entries,
    fastpath: FastPath,
    reader: Reader,
    out: Outputs,
    ports: Vec<PortId>,
}

impl Forwarder {
    pub(super) fn new(seed: u64) -> Self {
        let sizes = TableSizes {
            flow_v4: 1024,
            flow_acl_v4: 1024,
            flow_v6: 1024,
            flow_acl_v6: 1024,
            session: SESSIONS,
            route_v4: 1024,
            route_v6: 1024,
            gre_ingress_v4: 1024,
            gre_ingress_v6: 1024,
            tunnel: 64,
            ilm: 1024,
            nexthop: 64,
            vrf_policer: 64,
            ..TableSizes::default()
        };
        let clock = Clock { hertz: NonZeroU64::new(1_000_000_000).expect("not 0"), now: || 0 };
        let config = EntriesConfig { sizes, workers: NonZeroU16::MIN, seed, clock };
        let (mut entries, mut ends) = Entries::new(&config).expect("there is memory");
        let (fastpath, reader) = FastPath::new(ends.pop().expect("one worker"));
        let ports: Vec<PortId> = PORTS.iter().filter_map(|&port| PortId::new(port).ok()).collect();
        for &port in &ports {
            entries.set_port_state(port, PortState::Up);
        }
        Self { entries, fastpath, reader, out: Outputs::new(&ports), ports }
    }

    pub(super) fn process(&mut self, ingress: PortId, arrivals: &[&Arrival], now: Duration) -> Results {
        let mut burst: Burst<BURST> = Burst::new();
        for arrival in arrivals {
            burst.push(in_segments(arrival)).expect("no more than a burst");
        }
        let online = self.reader.online();
        // The clock wraps, as the hardware's does.
        let ticks = u64::try_from(now.as_nanos()).unwrap_or(u64::MAX);
        self.fastpath.process(&online, &mut burst, ingress, ticks, &mut self.out);
        assert!(burst.is_empty());
        let mut results = Results::default();
        for (port, outlet) in self.ports.iter().zip(self.out.outlets()) {
            assert_eq!(outlet.unsent().len(), outlet.burst.len());
            results.sent.insert(*port, outlet.burst.drain().map(|mbuf| content(&mbuf)).collect());
            outlet.clear();
        }
        for (mbuf, punt) in self.out.punts.drain() {
            results.punts.push_back(PacketIn {
                ingress_port: PortId::new(punt.port).expect("a port's number"),
                reason: punt.reason,
                vrf: VrfId::new(punt.vrf).expect("16 bits"),
                frame: content(&mbuf),
            });
        }
        results
    }
}

/// The bytes of a frame, whose length must be that of its segments.
fn content(mbuf: &Mbuf) -> Vec<u8> {
    let frame = mbuf.segments().collect::<Vec<_>>().concat();
    assert_eq!(frame.len(), mbuf.total_len());
    frame
}

/// The frame as its sizes cut it.
fn in_segments(arrival: &Arrival) -> Mbuf {
    let mut rest = &arrival.frame[..];
    let mut parts = Vec::new();
    for &size in &arrival.cuts {
        let (part, after) = rest.split_at(size.min(rest.len()));
        parts.push(part);
        rest = after;
    }
    parts.push(rest);
    let mut segments = parts.into_iter().map(|part| pool().alloc_chain(part).expect("enough buffers"));
    let mut head = segments.next().expect("one at least");
    for segment in segments {
        head.chain(segment).expect("few segments");
    }
    head
}
