//! A worker that forwards the packets of one session without a pause, and counts them.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;

use svpn_dpdk::{Burst, Pool};
use svpn_forwarder::entries::WorkerEnd;
use svpn_forwarder::fastpath::{BURST, FastPath, Outputs};

use super::{P4RuntimeError, workload};

/// Packets in, and packets that did not come out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Carried {
    pub(super) packets: u64,
    pub(super) lost: u64,
}

/// A thread of its own.
#[derive(Debug)]
pub(super) struct Carrier {
    stop: Arc<AtomicBool>,
    thread: JoinHandle<Result<Carried, P4RuntimeError>>,
}

impl Carrier {
    /// Begins, with packets of this flow.
    pub(super) fn start(end: WorkerEnd, pool: Pool, flow: u32) -> Result<Self, P4RuntimeError> {
        let stop = Arc::new(AtomicBool::new(false));
        let stopped = Arc::clone(&stop);
        let thread = std::thread::Builder::new().name("worker".into()).spawn(move || carry(end, pool, flow, &stopped))?;
        Ok(Self { stop, thread })
    }

    /// Ends it, and tells what became of the packets.
    pub(super) fn stop(self) -> Result<Carried, P4RuntimeError> {
        self.stop.store(true, Ordering::Relaxed);
        self.thread.join().map_err(|_| P4RuntimeError::Panicked)?
    }
}

fn carry(end: WorkerEnd, pool: Pool, flow: u32, stop: &AtomicBool) -> Result<Carried, P4RuntimeError> {
    let frame = workload::frame(flow);
    let ports = workload::ports()?;
    let (mut fastpath, mut reader) = FastPath::new(end);
    let mut out = Outputs::new(&ports);
    let mut burst: Burst<BURST> = Burst::new();
    let mut carried = Carried::default();
    let mut online = reader.online();
    while !stop.load(Ordering::Relaxed) {
        pool.alloc_bulk(&mut burst, BURST)?;
        for mbuf in &mut burst {
            // A buffer of the pool has room for a small frame.
            if let Some(space) = mbuf.append(frame.len()) {
                space.copy_from_slice(&frame);
            }
        }
        carried.packets += BURST as u64;
        carried.lost += BURST as u64;
        fastpath.process(&online, &mut burst, ports[0], svpn_dpdk::tsc(), &mut out);
        for outlet in out.outlets() {
            carried.lost -= outlet.burst.len() as u64;
            outlet.clear();
        }
        drop(out.punts.drain());
        online.quiescent();
    }
    Ok(carried)
}
