//! One lcore: polls its receive queues, runs the fast path, sends, and says that it holds no reference to a table.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use crossbeam_queue::ArrayQueue;
use svpn_contract::packet::PacketOut;
use svpn_contract::wire::PortId;
use svpn_dpdk::{Burst, Mbuf, Pool, Reader};

use crate::fastpath::{FastPath, Outputs, Punt};
use crate::operations::load::LoadWriter;
use crate::router::{Idle, Queues};
use crate::tables::Tables;

/// A frame on its way to the controller.
pub(crate) type Punted = (Mbuf, Punt);

/// Polls that may find nothing before a worker sleeps.
const PATIENCE: u32 = 256;
/// The first sleep; each is twice as long as the one before.
const FIRST_SLEEP: Duration = Duration::from_micros(1);
/// Frames of the controller's that are sent between two polls.
const PACKET_OUTS: usize = 32;

/// What a worker works with.
#[derive(Debug)]
pub(crate) struct Lcore {
    fastpath: FastPath,
    queues: Queues,
    out: Outputs,
    to_controller: Arc<ArrayQueue<Punted>>,
    /// For the one worker that sends the controller's frames.
    packet_outs: Option<Arc<ArrayQueue<PacketOut>>>,
    pool: Pool,
    idle: Idle,
    tables: Arc<Tables>,
    load: LoadWriter,
}

impl Lcore {
    pub(crate) fn new(
        fastpath: FastPath,
        queues: Queues,
        ports: &[PortId],
        to_controller: Arc<ArrayQueue<Punted>>,
        pool: Pool,
        idle: Idle,
        tables: Arc<Tables>,
        load: LoadWriter,
    ) -> Self {
        Self { fastpath, queues, out: Outputs::new(ports), to_controller, packet_outs: None, pool, idle, tables, load }
    }

    /// Makes it the worker that sends the controller's frames.
    pub(crate) fn serve(&mut self, packet_outs: Arc<ArrayQueue<PacketOut>>) {
        self.packet_outs = Some(packet_outs);
    }

    /// Works until told to stop, and sends what the controller gave until then.
    pub(crate) fn run(mut self, mut reader: Reader, stop: &AtomicBool) {
        let mut burst = Burst::new();
        let mut empty_polls = 0_u32;
        let mut online = reader.online();
        while !stop.load(Ordering::Relaxed) {
            let mut found = 0;
            for index in 0..self.queues.rx.len() {
                if self.tables.gate.is_closed() {
                    drop(online);
                    self.wait(stop);
                    online = reader.online();
                }
                let Some((port, queue)) = self.queues.rx.get_mut(index) else { continue };
                let received = queue.recv(&mut burst);
                if received > 0 {
                    let now = svpn_dpdk::tsc();
                    self.load.burst(received, now);
                    self.fastpath.process(&online, &mut burst, *port, now, &mut self.out);
                    self.flush();
                    found += received;
                } else {
                    self.load.nothing();
                }
                online.quiescent();
            }
            found += self.send_packet_outs();
            if found > 0 {
                empty_polls = 0;
                continue;
            }
            empty_polls = empty_polls.saturating_add(1);
            online.quiescent();
            if let Some(sleep) = sleep(self.idle, empty_polls) {
                // Nobody has to wait for a worker that sleeps.
                drop(online);
                thread::sleep(sleep);
                online = reader.online();
            }
        }
        while self.send_packet_outs() > 0 {}
    }

    /// Waits at the gate; the device's queues hold what comes in meanwhile.
    fn wait(&self, stop: &AtomicBool) {
        while self.tables.gate.is_closed() && !stop.load(Ordering::Relaxed) {
            thread::yield_now();
        }
    }

    /// Sends what the fast path has put into the outlets, and passes on what is for the controller.
    fn flush(&mut self) {
        for (outlet, queue) in self.out.outlets().iter_mut().zip(&mut self.queues.tx) {
            if outlet.burst.is_empty() {
                continue;
            }
            self.load.sent(queue.send(&mut outlet.burst));
            self.fastpath.not_transmitted(outlet.unsent());
            outlet.clear();
        }
        if self.out.punts.is_empty() {
            return;
        }
        for punted in self.out.punts.drain() {
            let Punt { about, reason, .. } = punted.1;
            if self.to_controller.push(punted).is_err() {
                self.fastpath.not_punted(about);
            } else {
                self.load.punted(reason);
            }
        }
    }

    /// Sends some of the controller's frames; returns how many there were.
    fn send_packet_outs(&mut self) -> usize {
        let Some(queue) = &self.packet_outs else { return 0 };
        let mut count = 0;
        while count < PACKET_OUTS
            && let Some(packet) = queue.pop()
        {
            count += 1;
            match self.pool.alloc_with(&packet.frame) {
                Ok(mbuf) => self.fastpath.send(packet.egress_port, mbuf, &mut self.out),
                Err(_) => self.fastpath.no_buffer(packet.frame.len()),
            }
        }
        if count > 0 {
            self.flush();
        }
        count
    }
}

/// How long to sleep after so many polls that found nothing.
fn sleep(idle: Idle, empty_polls: u32) -> Option<Duration> {
    let Idle::Sleep { longest } = idle else { return None };
    let times = empty_polls.checked_sub(PATIENCE)?;
    Some(FIRST_SLEEP.saturating_mul(1 << times.min(20)).min(longest))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sleeps_grow_to_the_longest_and_a_spinning_worker_has_none() {
        let longest = Duration::from_micros(100);
        let idle = Idle::Sleep { longest };
        assert_eq!(sleep(idle, PATIENCE - 1), None);
        assert_eq!(sleep(idle, PATIENCE), Some(FIRST_SLEEP));
        assert_eq!(sleep(idle, PATIENCE + 3), Some(FIRST_SLEEP * 8));
        assert_eq!(sleep(idle, u32::MAX), Some(longest));
        assert_eq!(sleep(Idle::Spin, u32::MAX), None);
    }
}
