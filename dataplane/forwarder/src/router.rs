//! A router: ports, workers and tables, started and stopped together.

mod clock;
mod housekeeping;
mod links;
mod ports;
mod queues;
mod report;

use std::hash::{BuildHasher, RandomState};
use std::num::{NonZeroU16, NonZeroU64};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, SystemTime};

use crossbeam_queue::ArrayQueue;

use svpn_contract::packet::{PacketIn, PacketOut};
use svpn_contract::wire::PortId;
use svpn_dpdk::{
    AttachError, Eal, Link, Placement, Pool, PoolConfig, PoolError, PortError, PortSpec, PortStatistics, TakeQueueError, Worker,
    WorkerError, WorkerHandle,
};
use thiserror::Error;
use tokio::sync::mpsc;

use crate::entries::{Clock, Entries, EntriesConfig, NewEntriesError};
use crate::fastpath::{FastPath, Spreader};
use crate::operations::load::{Load, LoadWriter};
use crate::p4runtime::UpdateCounts;
use crate::tables::hash::Seed;
use crate::tables::{TableSizes, purpose};
use crate::worker::{Lcore, Punted};
use links::Links;
use ports::RunningPort;
pub use queues::Distribution;
pub(crate) use queues::Queues;
pub use report::{PacketBuffers, WorkerReport};
use report::{Seat, Start};

/// A port of the router.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PortSetup {
    /// Its number in the contract.
    pub number: PortId,
    /// Its device.
    pub spec: PortSpec,
    /// Bytes after the Ethernet header that a received frame may have; `None`: as the driver chooses.
    pub mtu: Option<u16>,
}

/// What a worker does while no packet comes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Idle {
    /// Polls on: a whole processor for the least latency.
    Spin,
    /// Sleeps, longer the longer nothing comes, up to this time.
    Sleep {
        /// The longest sleep.
        longest: Duration,
    },
}

/// What a router is made of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RouterConfig {
    /// The ports; numbers differ.
    pub ports: Vec<PortSetup>,
    /// One worker for each, at least one.
    pub workers: Vec<Placement>,
    /// Whether workers hand received packets to one another.
    pub distribution: Distribution,
    /// How many entries each table takes.
    pub sizes: TableSizes,
    /// What workers do while no packet comes.
    pub idle: Idle,
    /// Packet memory, shared by all ports.
    pub pool: PoolConfig,
    /// Seeds every hash; `None`: a random one. Routers with different seeds spread flows independently.
    pub seed: Option<NonZeroU64>,
}

impl RouterConfig {
    /// Bytes of the longest frame that any port may have: its MTU, an Ethernet header and two tags.
    fn longest_frame(&self) -> usize {
        const USUAL_MTU: u16 = 1500;
        let mtu = self.ports.iter().map(|port| port.mtu.unwrap_or(USUAL_MTU)).max();
        usize::from(mtu.unwrap_or(USUAL_MTU)) + 22
    }
}

/// Why a router does not start.
#[derive(Debug, Error)]
pub enum StartError {
    /// No worker is asked for, or more than 255.
    #[error("a router has 1 to 255 workers, not {0}")]
    Workers(usize),
    /// Two ports have one number.
    #[error("port number {0} is given twice")]
    DuplicatePort(PortId),
    /// Two ports are one device.
    #[error("ports {first} and {second} are both {device}; a device is one port")]
    DuplicateDevice {
        /// The number of the one.
        first: PortId,
        /// The number of the other.
        second: PortId,
        /// The device, or the interface below it.
        device: String,
    },
    /// A device is not there.
    #[error("port {port}: {source}")]
    Attach {
        /// The port's number.
        port: PortId,
        /// Why.
        source: AttachError,
    },
    /// A device does not start.
    #[error("port {port}: {source}")]
    Port {
        /// The port's number.
        port: PortId,
        /// Why.
        source: PortError,
    },
    /// The longest frame takes several buffers, and the device sends only what lies in one.
    #[error("port {port}: a frame of {needed} bytes does not fit into a buffer of {buffer}, and the device does not send from several")]
    Buffers {
        /// The port's number.
        port: PortId,
        /// Bytes of the longest frame of any port.
        needed: usize,
        /// Bytes of a frame that a buffer holds.
        buffer: u16,
    },
    /// No packet memory.
    #[error(transparent)]
    Pool(#[from] PoolError),
    /// No memory for the tables.
    #[error(transparent)]
    Entries(#[from] NewEntriesError),
    /// A port's queue is not there.
    #[error("port {port}: {source}")]
    Queue {
        /// The port's number.
        port: PortId,
        /// Why.
        source: TakeQueueError,
    },
    /// The kernel cannot be asked for the state of interfaces.
    #[error("cannot ask the kernel for the state of interfaces: {0}")]
    Links(#[source] std::io::Error),
    /// A worker does not start.
    #[error(transparent)]
    Worker(#[from] WorkerError),
    /// The thread that watches links and passes punted frames on does not start.
    #[error("cannot start the housekeeping thread: {0}")]
    Housekeeping(#[source] std::io::Error),
}

/// Why a packet-out is not sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum SendError {
    /// The router has no such port.
    #[error("there is no port {0}")]
    UnknownPort(PortId),
    /// The frame has less than an Ethernet header or is longer than any that ports have.
    #[error("a frame has {least} to {most} bytes, not {length}")]
    Length {
        /// The frame's bytes.
        length: usize,
        /// Bytes of an Ethernet header.
        least: usize,
        /// Bytes of a packet buffer, or of the longest frame any port may have.
        most: usize,
    },
    /// Frames come faster than they can be sent.
    #[error("the packet-out queue is full")]
    QueueFull,
}

/// A worker did not end as it should.
#[derive(Debug, Error)]
pub enum StopError {
    /// Its code is wrong.
    #[error("worker {0} panicked")]
    WorkerPanicked(usize),
    /// Its code is wrong.
    #[error("the housekeeping thread panicked")]
    HousekeepingPanicked,
}

/// State of a port.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PortReport {
    /// Its number in the contract.
    pub number: PortId,
    /// The device's name.
    pub device: String,
    /// Its link.
    pub link: Link,
    /// What the device counted.
    pub statistics: PortStatistics,
}

/// Frames that may wait on their way to the controller, and as many from it.
const QUEUE: usize = 1024;

/// A running router. Dropping it stops it as well, without waiting.
#[derive(Debug)]
pub struct Router {
    entries: Arc<Mutex<Entries>>,
    ports: Arc<[RunningPort]>,
    packet_outs: Arc<ArrayQueue<PacketOut>>,
    punts: Mutex<Option<mpsc::Receiver<PacketIn>>>,
    longest: usize,
    pool: Pool,
    start: Start,
    seats: Vec<Seat>,
    pub(crate) updates: UpdateCounts,
    stop: Arc<AtomicBool>,
    workers: Vec<WorkerHandle<()>>,
    housekeeping: Option<JoinHandle<()>>,
}

impl Router {
    /// Attaches and starts the ports, makes the tables and starts the workers.
    pub fn start(config: &RouterConfig, eal: Eal) -> Result<Self, StartError> {
        let workers = u8::try_from(config.workers.len()).ok().and_then(|workers| NonZeroU16::new(workers.into()));
        let workers = workers.ok_or(StartError::Workers(config.workers.len()))?;
        check_devices(&config.ports)?;
        let (pool, ports) = ports::start(config, workers, eal)?;
        let clock = Clock { hertz: clock::hertz(eal.tsc_hz()), now: svpn_dpdk::tsc };
        // The standard library's hasher is seeded by the system.
        let seed = config.seed.map_or_else(|| RandomState::new().hash_one(0_u8), NonZeroU64::get);
        let (mut entries, ends) = Entries::new(&EntriesConfig { sizes: config.sizes, workers, seed, clock })?;
        let mut links = Links::new().map_err(StartError::Links)?;
        for port in &ports {
            entries.set_port_state(port.number, port.state(&mut links));
        }
        let (to_controller, packet_outs) = (Arc::new(ArrayQueue::<Punted>::new(QUEUE)), Arc::new(ArrayQueue::new(QUEUE)));
        let numbers: Vec<PortId> = ports.iter().map(|port| port.number).collect();
        let stop = Arc::new(AtomicBool::new(false));
        let mut router = Self {
            entries: Arc::new(Mutex::new(entries)),
            ports: Arc::from([]),
            packet_outs: Arc::clone(&packet_outs),
            punts: Mutex::new(None),
            longest: pool.frame_bytes().max(config.longest_frame()),
            pool,
            start: Start { time: SystemTime::now(), ticks: svpn_dpdk::tsc(), hertz: eal.tsc_hz() },
            seats: Vec::new(),
            updates: UpdateCounts::default(),
            stop: Arc::clone(&stop),
            workers: Vec::new(),
            housekeeping: None,
        };
        let spreader = Spreader::new(Seed::derive(seed, purpose::WORKERS));
        let queues = queues::assign(ports.iter().map(|port| (port.number, &port.port, port.plan)), workers, spreader)?;
        for (((worker, placement), end), queues) in (0_u16..).zip(&config.workers).zip(ends).zip(queues) {
            let (fastpath, reader) = FastPath::new(end);
            let load = Arc::new(Load::default());
            let assigned = queues.rx.iter().filter_map(|(port, source)| Some((*port, source.queue()?))).collect();
            router.seats.push(Seat { load: Arc::clone(&load), placement: *placement, queues: assigned });
            let load = LoadWriter::new(load, svpn_dpdk::tsc);
            let mut lcore = Lcore::new(fastpath, queues, &numbers, Arc::clone(&to_controller), pool, config.idle, load);
            if worker == 0 {
                lcore.serve(Arc::clone(&packet_outs));
            }
            let stop = Arc::clone(&stop);
            let run = move |_: &Worker| lcore.run(reader, &stop);
            router.workers.push(Worker::spawn(eal, &format!("svpn-worker-{worker}"), *placement, run)?);
        }
        router.ports = Arc::from(ports);
        let (sender, receiver) = mpsc::channel(QUEUE);
        router.punts = Mutex::new(Some(receiver));
        let keeper = housekeeping::Keeper::new(Arc::clone(&router.entries), Arc::clone(&router.ports), links, to_controller, sender);
        let thread = std::thread::Builder::new().name("svpn-housekeeping".into()).spawn(move || keeper.run(&stop));
        router.housekeeping = Some(thread.map_err(StartError::Housekeeping)?);
        Ok(router)
    }

    /// What the controller wrote. Hold it for one batch: apply, publish, let go. While it is held no port's failure is noticed, so cut
    /// large batches.
    pub fn entries(&self) -> MutexGuard<'_, Entries> {
        lock(&self.entries)
    }

    /// Where punted frames come out; there is one, for the first who asks.
    pub fn take_punts(&self) -> Option<mpsc::Receiver<PacketIn>> {
        lock(&self.punts).take()
    }

    /// Sends a frame of the controller.
    pub fn send(&self, packet: PacketOut) -> Result<(), SendError> {
        const ETHERNET: usize = 14;
        if !self.has_port(packet.egress_port) {
            return Err(SendError::UnknownPort(packet.egress_port));
        }
        let (length, most) = (packet.frame.len(), self.longest);
        if !(ETHERNET..=most).contains(&length) {
            return Err(SendError::Length { length, least: ETHERNET, most });
        }
        self.packet_outs.push(packet).map_err(|_| SendError::QueueFull)
    }

    /// Whether there is a port of this number, up or down.
    pub fn has_port(&self, number: PortId) -> bool {
        self.ports.iter().any(|port| port.number == number)
    }

    /// State of every port, in the order of the configuration.
    pub fn port_stats(&self) -> Result<Vec<PortReport>, PortError> {
        self.ports.iter().map(RunningPort::report).collect()
    }

    /// Ends the workers, with what the controller gave them sent, and then the ports.
    pub fn stop(mut self) -> Result<(), StopError> {
        self.stop.store(true, Ordering::Release);
        for (number, worker) in self.workers.drain(..).enumerate() {
            worker.join().map_err(|_| StopError::WorkerPanicked(number))?;
        }
        match self.housekeeping.take() {
            Some(thread) => thread.join().map_err(|_| StopError::HousekeepingPanicked),
            None => Ok(()),
        }
    }
}

/// Fails where two ports are one device, or two devices one interface of the system.
fn check_devices(ports: &[PortSetup]) -> Result<(), StartError> {
    let mut seen: Vec<(PortId, &str)> = Vec::new();
    for port in ports {
        let names = std::iter::once(port.spec.name()).chain(port.spec.interfaces());
        for name in names {
            // A port may well receive and send by one interface.
            if let Some((first, _)) = seen.iter().find(|(first, other)| *other == name && *first != port.number) {
                return Err(StartError::DuplicateDevice { first: *first, second: port.number, device: name.to_owned() });
            }
            seen.push((port.number, name));
        }
    }
    Ok(())
}

impl Drop for Router {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Release);
    }
}

/// The lock's content, also after a panic: what panicked was the service's code, and an entry is written or not.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
