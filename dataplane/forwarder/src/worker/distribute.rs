//! Spreading a receive queue's packets over workers, where the device has no queue for each of them.
//!
//! One worker polls the queue. What the inner 5-tuple's hash gives to it stays with it, the rest it hands to the others, by a ring for each: the
//! packets of one flow always go the same way, so they keep their order.

use svpn_contract::wire::PortId;
use svpn_dpdk::{Burst, Online, RingReceiver, RingSender, RxQueue};

use crate::fastpath::{BURST, FastPath, Spreader};

/// Where a worker's packets of one port come from.
#[derive(Debug)]
pub(crate) enum Source {
    /// A queue of its own.
    Device(RxQueue),
    /// A queue whose packets it shares with other workers.
    Shared(Box<Distributor>),
    /// Another worker.
    Worker(RingReceiver),
}

impl Source {
    /// Adds packets to an empty burst; returns how many were received, for whichever worker. What the others have no room for is counted
    /// as dropped. Does not wait.
    #[inline]
    pub(super) fn recv(&mut self, burst: &mut Burst<BURST>, fastpath: &mut FastPath, online: &Online<'_>, port: PortId) -> usize {
        match self {
            Self::Device(queue) => queue.recv(burst),
            Self::Shared(distributor) => distributor.recv(burst, fastpath, online, port),
            Self::Worker(ring) => ring.recv(burst),
        }
    }

    /// The number of the device's queue; `None` if the packets come from another worker.
    pub(crate) fn queue(&self) -> Option<u16> {
        match self {
            Self::Device(queue) => Some(queue.queue()),
            Self::Shared(distributor) => Some(distributor.queue.queue()),
            Self::Worker(_) => None,
        }
    }

    /// Whether packets may come that are not there yet.
    pub(super) fn is_open(&self) -> bool {
        !matches!(self, Self::Worker(ring) if ring.is_closed())
    }
}

/// A receive queue, and the ways to the workers that share its packets.
#[derive(Debug)]
pub(crate) struct Distributor {
    queue: RxQueue,
    spreader: Spreader,
    /// By the worker's number; `None` for the one that this belongs to.
    shares: Box<[Option<Share>]>,
    mixed: Burst<BURST>,
}

/// What one other worker gets.
#[derive(Debug)]
struct Share {
    ring: RingSender,
    burst: Burst<BURST>,
}

impl Distributor {
    /// Of this queue's packets each worker gets those whose hash falls to it.
    pub(crate) fn new(queue: RxQueue, spreader: Spreader, rings: impl IntoIterator<Item = Option<RingSender>>) -> Self {
        let shares = rings.into_iter().map(|ring| ring.map(|ring| Share { ring, burst: Burst::new() })).collect();
        Self { queue, spreader, shares, mixed: Burst::new() }
    }

    fn recv(&mut self, own: &mut Burst<BURST>, fastpath: &mut FastPath, online: &Online<'_>, port: PortId) -> usize {
        let received = self.queue.recv(&mut self.mixed);
        for mbuf in &self.mixed {
            mbuf.prefetch_data();
        }
        let (workers, ends) = (self.shares.len(), fastpath.tunnel_ends(online, port));
        for mbuf in self.mixed.drain() {
            let worker = self.spreader.worker(&mbuf, workers, &ends);
            let burst = match self.shares.get_mut(worker) {
                Some(Some(share)) => &mut share.burst,
                _ => &mut *own,
            };
            // Each burst has room for as many as were received.
            drop(burst.push(mbuf));
        }
        for share in self.shares.iter_mut().flatten() {
            if share.burst.is_empty() {
                continue;
            }
            share.ring.send(&mut share.burst);
            fastpath.not_handed_over(&share.burst);
            share.burst.clear();
        }
        received
    }
}

#[cfg(test)]
mod tests {
    use std::num::{NonZeroU16, NonZeroU64};

    use svpn_contract::Reason;
    use svpn_dpdk::{AttachedPort, Eal, EalOptions, Pool, PoolConfig, PortConfig, PortSpec, ring};

    use super::*;
    use crate::entries::{Clock, EntriesConfig};
    use crate::tables::hash::Seed;
    use crate::{CounterData, Entries, TableSizes};

    /// Packets that the ring to the other worker holds.
    const ROOM: u16 = 40;

    /// A frame of a flow, that holds its number.
    fn frame(flow: u8, number: u8) -> Vec<u8> {
        let mut frame = vec![0; 12];
        frame.extend([8, 0, 0x45, 0, 0, 40, 0, 0, 0, 0, 64, 17, 0, 0, 10, 1, 0, flow, 10, 2, 0, 1]);
        frame.extend([1, 1, 2, 2, 0, 20, 0, 0, flow, number]);
        frame.resize(60, 0);
        frame
    }

    #[test]
    fn each_worker_gets_its_flows_in_order_and_what_has_no_room_is_counted() {
        let eal = Eal::init(&EalOptions::virtual_devices(64)).unwrap();
        let pool = Pool::new(eal, "distribute", PoolConfig { mbufs: 511, cache: 0, ..PoolConfig::default() }).unwrap();
        let config = PortConfig { rx_descriptors: 64, tx_descriptors: 64, ..PortConfig::default() };
        let attached = AttachedPort::attach(eal, &PortSpec::parse("net_ring0").unwrap()).unwrap();
        let port = attached.start(&config, pool).unwrap();
        let mut tx = port.take_tx_queue(0).unwrap();
        let sizes = TableSizes { flow_v4: 16, session: 16, route_v4: 16, tunnel: 16, ilm: 16, nexthop: 16, ..TableSizes::default() };
        let clock = Clock { hertz: NonZeroU64::MIN, now: || 0 };
        let (entries, mut ends) = Entries::new(&EntriesConfig { sizes, workers: NonZeroU16::MIN, seed: 1, clock }).unwrap();
        let (mut fastpath, mut reader) = FastPath::new(ends.pop().unwrap());
        let (online, one) = (reader.online(), PortId::new(1).unwrap());

        let (sender, mut receiver) = ring(NonZeroU16::new(ROOM).unwrap());
        let spreader = Spreader::new(Seed::derive(1, 1));
        let mut source = Source::Shared(Box::new(Distributor::new(port.take_rx_queue(0).unwrap(), spreader, [None, Some(sender)])));
        let (mut own, mut all): (Vec<Vec<u8>>, usize) = (Vec::new(), 0);
        for number in 0..4 {
            let mut burst: Burst<BURST> = Burst::new();
            for flow in 0..60 {
                burst.push(pool.alloc_with(&frame(flow, number)).unwrap()).unwrap();
            }
            assert_eq!(tx.send(&mut burst), 60);
            let mut received: Burst<BURST> = Burst::new();
            all += source.recv(&mut received, &mut fastpath, &online, one);
            own.extend(received.iter().map(|mbuf| mbuf.data().to_vec()));
        }
        assert_eq!(all, 240);
        let mut others = Vec::new();
        let mut received: Burst<BURST> = Burst::new();
        receiver.recv(&mut received);
        others.extend(received.drain().map(|mbuf| mbuf.data().to_vec()));
        assert_eq!(others.len(), usize::from(ROOM));
        for (worker, frames) in [(0, &own), (1, &others)] {
            let mut last = [None; 60];
            for frame in frames {
                assert_eq!(spreader.worker(&pool.alloc_with(frame).unwrap(), 2, &fastpath.tunnel_ends(&online, one)), worker);
                let (flow, number) = (usize::from(frame[42]), frame[43]);
                assert!(last[flow] < Some(number));
                last[flow] = Some(number);
            }
        }
        let lost = u64::try_from(240 - own.len() - others.len()).unwrap();
        assert!(lost > 0 && own.len() % 4 == 0);
        assert_eq!(entries.drops(Reason::WorkerQueueFull), CounterData { packets: lost, bytes: lost * 60 });
        assert_eq!(entries.drops(Reason::TransmitQueueFull), CounterData::default());
        let (gone, left) = ring(NonZeroU16::MIN);
        drop(gone);
        assert!(source.is_open() && !Source::Worker(left).is_open());
        drop((source, receiver, port, tx));
        assert_eq!(pool.available(), 511);
    }
}
