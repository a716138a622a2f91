//! One worker: its pipeline, its packets, and the loops that are timed.

use std::any::Any;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Arc, Barrier};
use std::time::{Duration, Instant};

use svpn_contract::wire::PortId;
use svpn_dpdk::{
    AttachError, AttachedPort, Burst, Eal, Online, Placement, Pool, PoolExhausted, Port, PortConfig, PortError, PortSpec, PortSpecError,
    Reader, RingReceiver, RingSender, RxQueue, TakeQueueError, TxQueue, Worker, WorkerError, tsc,
};
use svpn_forwarder::fastpath::{BURST, FastPath, Outputs};
use thiserror::Error;

use super::check::{Check, CheckError};
use super::stopwatch::{median, thread_time};
use super::traffic::{FrameSizes, Traffic};

/// Bursts between two looks at the clock on the wall, and in one stretch whose clocks are counted.
const STRETCH: u32 = 64;

/// Why a worker's measurement is none.
#[derive(Debug, Error)]
pub enum LaneError {
    /// A sample differs from the oracle.
    #[error(transparent)]
    Check(#[from] CheckError),
    /// Packets were dropped.
    #[error("{lost} of {packets} packets were not forwarded")]
    Lost {
        /// Packets in.
        packets: u64,
        /// Those that did not come out.
        lost: u64,
    },
    /// No packet buffer.
    #[error(transparent)]
    Pool(#[from] PoolExhausted),
    /// No worker.
    #[error(transparent)]
    Worker(#[from] WorkerError),
    /// A worker panicked.
    #[error("a worker panicked")]
    Panicked,
    /// A port has no such name.
    #[error(transparent)]
    Name(#[from] PortSpecError),
    /// A port is not there.
    #[error(transparent)]
    Attach(#[from] AttachError),
    /// A port does not start.
    #[error(transparent)]
    Port(#[from] PortError),
    /// A port has fewer queues.
    #[error(transparent)]
    Queue(#[from] TakeQueueError),
    /// The worker was given no queues.
    #[error("a worker has no queues")]
    NoQueues,
}

/// What a worker does with packets it has received.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stage {
    /// Fills them, takes them through the pipeline and sends them.
    Whole,
    /// Fills and sends them.
    Bare,
}

/// What a relay is told while it runs.
#[derive(Debug, Default)]
pub(crate) struct RelayOrders {
    /// To end.
    pub(crate) stop: AtomicBool,
    /// To let packets pass without the pipeline.
    pub(crate) bare: AtomicBool,
}

/// Clocks of one packet: medians over stretches of 64 bursts.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Clocks {
    /// In the pipeline.
    pub process: f64,
    /// To make it.
    pub fill: f64,
}

/// One worker, between two measurements.
#[derive(Debug)]
pub struct Lane {
    fastpath: FastPath,
    reader: Reader,
    out: Outputs,
    traffic: Traffic,
    check: Check,
    pool: Pool,
    ingress: PortId,
    queues: Option<(RxQueue, TxQueue)>,
    longest: u16,
}

impl Lane {
    pub(super) fn new(end: (FastPath, Reader), out: Outputs, traffic: Traffic, check: Check, pool: Pool, ingress: PortId) -> Self {
        let (fastpath, reader) = end;
        let longest = traffic.longest();
        Self { fastpath, reader, out, traffic, check, pool, ingress, queues: None, longest }
    }

    #[cfg(test)]
    pub(super) fn set_check(&mut self, check: Check) {
        self.check = check;
    }

    #[cfg(test)]
    pub(super) fn set_traffic(&mut self, traffic: Traffic) {
        self.traffic = traffic;
    }

    /// The packets it is measured with.
    pub(crate) fn traffic(&self) -> Traffic {
        self.traffic.clone()
    }

    /// Takes what comes out of one ring through the pipeline and into the other, until told to stop, between two samples; returns how many
    /// packets did not leave by the port they should. While it is told to be bare, packets pass as they are.
    pub(crate) fn relay(&mut self, input: &mut RingReceiver, output: &mut RingSender, orders: &RelayOrders) -> Result<u64, LaneError> {
        let Self { fastpath, reader, out, check, pool, ingress, .. } = self;
        let mut online = reader.online();
        check.run(fastpath, &mut online, out, *pool)?;
        let mut burst: Burst<BURST> = Burst::new();
        let mut lost = 0;
        while !orders.stop.load(Ordering::Relaxed) {
            online.quiescent();
            let received = input.recv(&mut burst);
            if received == 0 {
                std::hint::spin_loop();
                continue;
            }
            if orders.bare.load(Ordering::Relaxed) {
                lost += (received - output.send(&mut burst)) as u64;
                burst.clear();
                continue;
            }
            fastpath.process(&online, &mut burst, *ingress, tsc(), out);
            let mut sent = 0;
            for outlet in out.outlets() {
                sent += output.send(&mut outlet.burst);
                outlet.clear();
            }
            out.punts.drain().for_each(drop);
            lost += (received - sent) as u64;
        }
        check.run(fastpath, &mut online, out, *pool)?;
        Ok(lost)
    }

    /// Times the pipeline alone, between two samples.
    fn in_memory(&mut self, time: Duration) -> Result<Clocks, LaneError> {
        let Self { fastpath, reader, out, traffic, check, pool, ingress, longest, .. } = self;
        let mut online = reader.online();
        check.run(fastpath, &mut online, out, *pool)?;
        let (mut process, mut fill) = (Vec::new(), Vec::new());
        let mut burst: Burst<BURST> = Burst::new();
        let mut forwarded = Forwarded::default();
        let end = Instant::now() + time;
        while process.is_empty() || Instant::now() < end {
            let (mut in_process, mut in_fill) = (0, 0);
            for _ in 0..STRETCH {
                pool.alloc_bulk(&mut burst, BURST)?;
                for mbuf in &mut burst {
                    // A buffer of the pool has room for the longest frame.
                    let _ = mbuf.append(usize::from(*longest));
                }
                let start = tsc();
                traffic.fill(&mut burst);
                let filled = tsc();
                fastpath.process(&online, &mut burst, *ingress, filled, out);
                in_process += tsc() - filled;
                in_fill += filled - start;
                forwarded.packets += BURST as u64;
                for outlet in out.outlets() {
                    forwarded.sent += outlet.burst.len() as u64;
                    outlet.clear();
                }
                online.quiescent();
            }
            process.push(per_packet(in_process));
            fill.push(per_packet(in_fill));
        }
        check.run(fastpath, &mut online, out, *pool)?;
        forwarded.all()?;
        Ok(Clocks { process: median(&mut process), fill: median(&mut fill) })
    }

    /// Receives, works and sends for some time, between two samples; returns packets per second of processor time.
    fn through_ports(&mut self, stage: Stage, time: Duration) -> Result<f64, LaneError> {
        let (mut rx, mut tx) = self.queues.take().ok_or(LaneError::NoQueues)?;
        let mut online = self.reader.online();
        self.check.run(&mut self.fastpath, &mut online, &mut self.out, self.pool)?;
        let mut run = Run {
            fastpath: &mut self.fastpath,
            out: &mut self.out,
            traffic: &mut self.traffic,
            ingress: self.ingress,
            rx: &mut rx,
            tx: &mut tx,
        };
        // What is cold, or not yet at its clock rate, is not counted.
        run.until(Instant::now() + time / 10, &mut online, stage)?;
        let start = thread_time();
        let packets = run.until(Instant::now() + time, &mut online, stage)?;
        let used = thread_time().saturating_sub(start);
        self.check.run(&mut self.fastpath, &mut online, &mut self.out, self.pool)?;
        self.queues = Some((rx, tx));
        #[allow(clippy::cast_precision_loss, reason = "far fewer than 2^52 packets")]
        Ok(packets as f64 / used.as_secs_f64())
    }
}

/// What is at hand in a loop through ports.
struct Run<'a> {
    fastpath: &'a mut FastPath,
    out: &'a mut Outputs,
    traffic: &'a mut Traffic,
    ingress: PortId,
    rx: &'a mut RxQueue,
    tx: &'a mut TxQueue,
}

impl Run<'_> {
    /// Takes burst after burst until `end`, and returns how many packets there were.
    fn until(&mut self, end: Instant, online: &mut Online<'_>, stage: Stage) -> Result<u64, LaneError> {
        let mut burst = Burst::new();
        let mut forwarded = Forwarded::default();
        while forwarded.packets == 0 || Instant::now() < end {
            for _ in 0..STRETCH {
                forwarded.packets += self.rx.recv(&mut burst) as u64;
                self.traffic.fill(&mut burst);
                let sent = match stage {
                    Stage::Whole => self.whole(online, &mut burst),
                    Stage::Bare => self.bare(&mut burst),
                };
                forwarded.sent += sent as u64;
                online.quiescent();
            }
        }
        forwarded.all()?;
        Ok(forwarded.packets)
    }

    /// The pipeline, and what a worker does after it.
    #[inline]
    fn whole(&mut self, online: &Online<'_>, burst: &mut Burst<BURST>) -> usize {
        self.fastpath.process(online, burst, self.ingress, tsc(), self.out);
        let mut sent = 0;
        for outlet in self.out.outlets() {
            if outlet.burst.is_empty() {
                continue;
            }
            // Only one of the two ports has anything: every scenario forwards to it.
            sent += self.tx.send(&mut outlet.burst);
            self.fastpath.not_transmitted(outlet.unsent());
            outlet.clear();
        }
        self.out.punts.drain().for_each(drop);
        sent
    }

    /// No pipeline.
    #[inline]
    fn bare(&mut self, burst: &mut Burst<BURST>) -> usize {
        let sent = self.tx.send(burst);
        burst.clear();
        sent
    }
}

/// Packets in and out.
#[derive(Debug, Default)]
struct Forwarded {
    packets: u64,
    sent: u64,
}

impl Forwarded {
    fn all(&self) -> Result<(), LaneError> {
        let lost = self.packets.saturating_sub(self.sent);
        if lost == 0 { Ok(()) } else { Err(LaneError::Lost { packets: self.packets, lost }) }
    }
}

/// Clocks of a packet, where these were a stretch's.
fn per_packet(clocks: u64) -> f64 {
    #[allow(clippy::cast_precision_loss, reason = "far fewer than 2^52")]
    let (clocks, burst) = (clocks as f64, BURST as f64);
    clocks / f64::from(STRETCH) / burst
}

/// Times every lane's pipeline alone, all at the same time.
///
/// # Errors
/// [`LaneError`]; the lanes are lost then.
pub(super) fn in_memory(eal: Eal, lanes: &mut Vec<Lane>, processors: &[usize], time: Duration) -> Result<Vec<Clocks>, LaneError> {
    together(eal, lanes, processors, move |lane| lane.in_memory(time))
}

/// Runs every lane through its ports, all at the same time; returns packets per second of processor time, over all.
///
/// # Errors
/// [`LaneError`]; the lanes are lost then.
pub(super) fn through_ports(eal: Eal, lanes: &mut Vec<Lane>, processors: &[usize], stage: Stage, time: Duration) -> Result<f64, LaneError> {
    Ok(together(eal, lanes, processors, move |lane| lane.through_ports(stage, time))?.into_iter().sum())
}

/// Makes two null ports and gives each lane its queues: in by the first, out by the second. They run until they and the lanes are dropped.
///
/// # Errors
/// [`LaneError`] where DPDK refuses.
pub(super) fn null_ports(eal: Eal, pool: Pool, sizes: FrameSizes, lanes: &mut [Lane]) -> Result<[Port; 2], LaneError> {
    // A name is free again only when its port was dropped.
    static NEXT: AtomicU32 = AtomicU32::new(0);
    let queues = u16::try_from(lanes.len()).unwrap_or(u16::MAX);
    let config = PortConfig { rx_queues: queues, tx_queues: queues, ..PortConfig::default() };
    let port = || {
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let spec = PortSpec::parse(&format!("net_null{number},size={}", sizes.longest()))?;
        Ok::<_, LaneError>(AttachedPort::attach(eal, &spec)?.start(&config, pool)?)
    };
    let ports = [port()?, port()?];
    for (queue, lane) in (0..).zip(lanes) {
        lane.queues = Some((ports[0].take_rx_queue(queue)?, ports[1].take_tx_queue(queue)?));
    }
    Ok(ports)
}

/// Has each lane do the same on a processor of its own, and waits for all.
fn together<T, F>(eal: Eal, lanes: &mut Vec<Lane>, processors: &[usize], work: F) -> Result<Vec<T>, LaneError>
where
    T: Send + 'static,
    F: Fn(&mut Lane) -> Result<T, LaneError> + Clone + Send + 'static,
{
    let start = Arc::new(Barrier::new(lanes.len()));
    let mut workers = Vec::new();
    let mut failed = None;
    for (number, (mut lane, processor)) in std::mem::take(lanes).into_iter().zip(processors).enumerate() {
        let (work, start) = (work.clone(), Arc::clone(&start));
        let body = move |_: &Worker| {
            start.wait();
            work(&mut lane).map(|result| (lane, result))
        };
        match Worker::spawn(eal, &format!("svpn-bench-{number}"), Placement::Processor(*processor), body) {
            Ok(worker) => workers.push(worker),
            Err(error) => failed = Some(error),
        }
    }
    if let Some(error) = failed {
        // Those that were started wait for all; they end with the process.
        return Err(error.into());
    }
    let panicked = |_: Box<dyn Any + Send>| LaneError::Panicked;
    let mut results = Vec::new();
    for result in workers.into_iter().map(|worker| worker.join().map_err(panicked)) {
        let (lane, result) = result??;
        lanes.push(lane);
        results.push(result);
    }
    Ok(results)
}
