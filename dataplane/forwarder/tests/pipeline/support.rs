//! One worker's pipeline, or several, in one thread, with a clock of the test's own; and frames and entries to try it with.

use std::collections::BTreeMap;
use std::net::Ipv4Addr;
use std::num::{NonZeroU16, NonZeroU64};
use std::sync::OnceLock;

use svpn_contract::wire::{Label, MacAddr, Mtu, NextHopId, PortId, VlanId, VrfId};
use svpn_contract::{
    AttachmentAction, AttachmentEntry, AttachmentKey, Choice, Entry, IlmAction, IlmEntry, IlmKey, NexthopAction, NexthopEntry, NexthopKey,
    Prefix, Reason, RouteV4Action, RouteV4Entry, RouteV4Key, StationAction, StationEntry, StationKey, Update,
};
use svpn_dpdk::{Burst, Eal, EalOptions, Pool, PoolConfig, Reader};
use svpn_forwarder::entries::{Clock, EntriesConfig, PortState};
use svpn_forwarder::fastpath::{BURST, FastPath, Outputs};
use svpn_forwarder::{Entries, TableSizes};

/// Ticks per second of the clock.
pub(crate) const HERTZ: u64 = 2_595_123_456;
/// The customer's port, in VRF 1.
pub(crate) const CIRCUIT: u16 = 1;
/// The provider's port.
pub(crate) const CORE: u16 = 2;
/// The VRF of the customer's port.
pub(crate) const VRF: u16 = 1;
const ROUTER: [u8; 6] = [2, 0, 0, 0, 0, 1];
const NEIGHBOUR: [u8; 6] = [2, 0, 0, 0, 0, 9];
const CUSTOMER: [u8; 6] = [2, 0, 0, 0, 2, 2];
/// The only next hop, out of the provider's port.
pub(crate) const NEXTHOP: u32 = 5;

fn pool() -> Pool {
    static POOL: OnceLock<Pool> = OnceLock::new();
    *POOL.get_or_init(|| {
        let eal = Eal::init(&EalOptions::virtual_devices(64)).unwrap();
        Pool::new(eal, "frames", PoolConfig { mbufs: 255, cache: 0, frame_bytes: 9216, ..PoolConfig::default() }).unwrap()
    })
}

pub(crate) fn port(number: u16) -> PortId {
    PortId::new(number).unwrap()
}

pub(crate) fn label(number: u32) -> Label {
    Label::new(number).unwrap()
}

/// What became of the frames of a burst.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Outcome {
    /// Behind Ethernet: ethertype and the rest.
    pub(crate) sent: Vec<(u16, Vec<u8>)>,
    /// Reason, VRF, and the frame as received.
    pub(crate) punts: Vec<(Reason, u16, Vec<u8>)>,
    /// How many, by reason.
    pub(crate) drops: BTreeMap<Reason, u64>,
}

impl Outcome {
    /// A single frame that was sent.
    pub(crate) fn sent(ethertype: u16, packet: Vec<u8>) -> Self {
        Self { sent: vec![(ethertype, packet)], ..Self::default() }
    }

    /// A single frame that was dropped.
    pub(crate) fn dropped(reason: Reason) -> Self {
        Self { drops: BTreeMap::from([(reason, 1)]), ..Self::default() }
    }

    /// A single frame that was punted.
    pub(crate) fn punt(reason: Reason, vrf: u16, frame: Vec<u8>) -> Self {
        Self { punts: vec![(reason, vrf, frame)], ..Self::default() }
    }
}

/// The pipelines of some workers over the same tables.
pub(crate) struct Pipeline {
    pub(crate) entries: Entries,
    workers: Vec<(FastPath, Reader, Outputs)>,
}

impl Pipeline {
    /// So many workers, a customer's and the provider's port, and a next hop.
    pub(crate) fn new(workers: u16) -> Self {
        Self::with_clock(workers, || 0)
    }

    /// The same, with a clock for the control thread.
    pub(crate) fn with_clock(workers: u16, now: fn() -> u64) -> Self {
        let sizes = TableSizes {
            flow_v4: 64,
            flow_v6: 64,
            session: 16,
            route_v4: 64,
            route_v6: 64,
            tunnel: 16,
            ilm: 64,
            nexthop: 16,
            ..TableSizes::default()
        };
        let clock = Clock { hertz: NonZeroU64::new(HERTZ).unwrap(), now };
        let config = EntriesConfig { sizes, workers: NonZeroU16::new(workers).unwrap(), seed: 3, clock };
        let (entries, ends) = Entries::new(&config).unwrap();
        let worker = |end| {
            let (fastpath, reader) = FastPath::new(end);
            (fastpath, reader, Outputs::new(&[port(CIRCUIT), port(CORE)]))
        };
        let mut pipeline = Self { entries, workers: ends.into_iter().map(worker).collect() };
        for (number, action) in [(CIRCUIT, AttachmentAction::ToVrf { vrf: VrfId::new(VRF).unwrap() }), (CORE, AttachmentAction::ToCore)] {
            pipeline.entries.set_port_state(port(number), PortState::Up);
            let attachment = AttachmentKey { port: port(number), vlan: VlanId::default(), inner_vlan: VlanId::default() };
            let station = StationKey { port: port(number), dst_mac: MacAddr(ROUTER) };
            pipeline.insert([
                AttachmentEntry { key: attachment, action }.into(),
                StationEntry { key: station, action: StationAction::Accept }.into(),
            ]);
        }
        pipeline.insert([nexthop(1500)]);
        pipeline
    }

    /// Writes entries that are not there.
    pub(crate) fn insert<const COUNT: usize>(&mut self, entries: [Entry; COUNT]) {
        for entry in entries {
            self.entries.apply(&Update::Insert(entry)).unwrap();
        }
        self.entries.publish();
    }

    /// Replaces entries that are there.
    pub(crate) fn modify<const COUNT: usize>(&mut self, entries: [Entry; COUNT]) {
        for entry in entries {
            self.entries.apply(&Update::Modify(entry)).unwrap();
        }
        self.entries.publish();
    }

    /// Takes frames from a port through a worker's pipeline, in one burst.
    pub(crate) fn burst(&mut self, worker: usize, ingress: u16, frames: &[Vec<u8>], now: u64) -> Outcome {
        let counted =
            |entries: &Entries| Reason::ALL.iter().map(|reason| (*reason, entries.drops(*reason).packets)).collect::<BTreeMap<_, _>>();
        let before = counted(&self.entries);
        let (fastpath, reader, out) = &mut self.workers[worker];
        let mut burst: Burst<BURST> = Burst::new();
        for frame in frames {
            burst.push(pool().alloc_with(frame).unwrap()).unwrap();
        }
        fastpath.process(&reader.online(), &mut burst, port(ingress), now, out);
        let mut outcome = Outcome::default();
        for outlet in out.outlets() {
            outcome.sent.extend(outlet.burst.drain().map(|mbuf| {
                let frame = mbuf.data();
                assert_eq!(frame[..12], [NEIGHBOUR, ROUTER].concat());
                (u16::from_be_bytes([frame[12], frame[13]]), frame[14..].to_vec())
            }));
            outlet.clear();
        }
        outcome.punts.extend(out.punts.drain().map(|(mbuf, punt)| (punt.reason, punt.vrf, mbuf.data().to_vec())));
        let changed = counted(&self.entries).into_iter().map(|(reason, count)| (reason, count - before[&reason]));
        outcome.drops = changed.filter(|(_, count)| *count > 0).collect();
        assert_eq!(pool().available(), 255);
        outcome
    }

    /// Takes one frame through the first worker's pipeline.
    pub(crate) fn frame(&mut self, ingress: u16, frame: &[u8]) -> Outcome {
        self.burst(0, ingress, &[frame.to_vec()], HERTZ)
    }
}

/// The next hop, with this MTU.
pub(crate) fn nexthop(mtu: u16) -> Entry {
    let action = NexthopAction::Rewrite {
        port: port(CORE),
        src_mac: MacAddr(ROUTER),
        dst_mac: MacAddr(NEIGHBOUR),
        vlan: VlanId::default(),
        inner_vlan: VlanId::default(),
        mtu: Mtu::new(mtu).unwrap(),
    };
    NexthopEntry { key: NexthopKey { nexthop: nexthop_id() }, action: Choice::only(action) }.into()
}

pub(crate) fn nexthop_id() -> NextHopId {
    NextHopId::new(NEXTHOP).unwrap()
}

/// What to do with a label.
pub(crate) fn ilm(number: u32, action: IlmAction) -> Entry {
    IlmEntry { key: IlmKey { label: label(number) }, action }.into()
}

/// The default route of a VRF.
pub(crate) fn default_route(vrf: u16, action: RouteV4Action) -> Entry {
    let dst = Prefix { value: Ipv4Addr::UNSPECIFIED, length: 0 };
    RouteV4Entry { key: RouteV4Key { vrf: VrfId::new(vrf).unwrap(), dst }, action }.into()
}

/// A label stack entry.
pub(crate) fn entry(number: u32, tc: u8, bottom: u8, ttl: u8) -> [u8; 4] {
    (number << 12 | u32::from(tc) << 9 | u32::from(bottom) << 8 | u32::from(ttl)).to_be_bytes()
}

/// An IPv4 packet of UDP, with so many bytes.
pub(crate) fn ipv4(ttl: u8, length: usize) -> Vec<u8> {
    let mut packet = vec![0x45, 0];
    packet.extend(u16::try_from(length).unwrap().to_be_bytes());
    packet.extend([0, 0, 0x40, 0, ttl, 17, 0, 0, 10, 1, 0, 1, 10, 2, 0, 1]);
    let sum: u32 = packet.chunks(2).map(|word| u32::from(word[0]) << 8 | u32::from(word[1])).sum();
    let sum = (sum & 0xffff) + (sum >> 16);
    packet[10..12].copy_from_slice(&(!u16::try_from(sum).unwrap()).to_be_bytes());
    packet.extend([0, 1, 15, 160]);
    packet.resize(length, 0);
    packet
}

/// A frame to the router.
pub(crate) fn frame(ethertype: u16, parts: &[&[u8]]) -> Vec<u8> {
    [&ROUTER[..], &CUSTOMER, &ethertype.to_be_bytes(), &parts.concat()].concat()
}
