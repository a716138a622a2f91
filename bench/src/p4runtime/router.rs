//! A router without ports: tables, the service in front of them, and the way in for a worker.

use std::net::SocketAddr;
use std::num::NonZeroU16;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;

use svpn_contract::packet::PacketOut;
use svpn_contract::wire::PortId;
use svpn_contract::{Entry, Update};
use svpn_dpdk::Eal;
use svpn_forwarder::entries::{Clock, EntriesConfig, PortState, WorkerEnd};
use svpn_forwarder::p4runtime::{self, Plane};
use svpn_forwarder::{Entries, SendError, TableSizes};
use tokio::net::TcpListener;
use tokio::sync::{mpsc, oneshot};

use super::{P4RuntimeError, workload};

/// The device that is served.
pub(super) const DEVICE: u64 = 1;
/// Threads of the service: as many as the forwarder gives it.
const THREADS: usize = 2;

/// The tables.
#[derive(Debug)]
struct World(Mutex<Entries>);

impl Plane for World {
    fn entries(&self) -> MutexGuard<'_, Entries> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn send(&self, packet: PacketOut) -> Result<(), SendError> {
        Err(SendError::UnknownPort(packet.egress_port))
    }

    fn has_port(&self, port: PortId) -> bool {
        workload::ports().is_ok_and(|ports| ports.contains(&port))
    }
}

/// A service that runs until it is stopped.
#[derive(Debug)]
pub struct Service {
    /// Where it listens.
    pub address: SocketAddr,
    stop: oneshot::Sender<()>,
    thread: JoinHandle<Result<(), P4RuntimeError>>,
    // Nothing is punted, but a service whose source of packets has ended would be another one.
    _punts: mpsc::Sender<svpn_contract::packet::PacketIn>,
}

impl Service {
    /// Tables for so many entries of a kind, with some in them, the service, and a way in for one worker.
    ///
    /// # Errors
    /// [`P4RuntimeError`] if there is no memory, socket or thread.
    pub fn start(eal: Eal, entries: u32, first: Vec<Entry>) -> Result<(Self, WorkerEnd), P4RuntimeError> {
        Self::start_at(eal, SocketAddr::from(([127, 0, 0, 1], 0)), entries, first)
    }

    /// As [`Service::start`], at an address.
    ///
    /// # Errors
    /// [`P4RuntimeError`] likewise.
    pub fn start_at(eal: Eal, address: SocketAddr, entries: u32, first: Vec<Entry>) -> Result<(Self, WorkerEnd), P4RuntimeError> {
        let config = EntriesConfig {
            sizes: sizes(entries),
            workers: NonZeroU16::MIN,
            seed: 7,
            clock: Clock { hertz: eal.tsc_hz(), now: svpn_dpdk::tsc },
        };
        let (mut tables, mut ends) = Entries::new(&config)?;
        for port in workload::ports()? {
            tables.set_port_state(port, PortState::Up);
        }
        for entry in first {
            tables.apply(&Update::Insert(entry))?;
        }
        tables.publish();
        let end = ends.pop().ok_or(P4RuntimeError::Ended)?;
        let world = Arc::new(World(Mutex::new(tables)));
        let (punts, receiver) = mpsc::channel(1);
        let (stop, stopped) = oneshot::channel::<()>();
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(THREADS).enable_all().build()?;
        // Some caller is in a runtime already.
        let listener = std::net::TcpListener::bind(address)?;
        listener.set_nonblocking(true)?;
        let listener = {
            let _context = runtime.enter();
            TcpListener::from_std(listener)?
        };
        let address = listener.local_addr()?;
        let serve = move || {
            let served = runtime.block_on(p4runtime::serve(DEVICE, world, receiver, listener, async { drop(stopped.await) }));
            served.map_err(P4RuntimeError::from)
        };
        let thread = std::thread::Builder::new().name("service".into()).spawn(serve)?;
        Ok((Self { address, stop, thread, _punts: punts }, end))
    }

    /// Stops it.
    ///
    /// # Errors
    /// As it ended.
    pub fn stop(self) -> Result<(), P4RuntimeError> {
        // It has ended by itself if nobody listens.
        let _ = self.stop.send(());
        self.thread.join().map_err(|_| P4RuntimeError::Panicked)?
    }
}

/// Tables that hold so many entries of each kind.
fn sizes(entries: u32) -> TableSizes {
    let least = TableSizes::default();
    TableSizes {
        attachment: least.attachment.max(1 << 14),
        station: least.station.max(1 << 14),
        arp_responder: least.arp_responder.max(1 << 14),
        flow_v4: entries.max(1 << 12) + 64,
        session: entries.max(1 << 12) + 64,
        route_v4: entries.max(1 << 18),
        tunnel: 1 << 12,
        nexthop: 1 << 14,
        ..least
    }
}
