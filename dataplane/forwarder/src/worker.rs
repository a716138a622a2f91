//! One lcore: polls its receive queues, runs the fast path, sends, and says that it holds no reference to a table.
//!
//! Where a port has fewer queues than there are workers, they hand packets to one another, by rings between two of them each: what was received to
//! the worker that its flow belongs to (`distribute`), what is to be sent to one that has a transmit queue (`relay`).

mod distribute;
mod relay;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use crossbeam_queue::ArrayQueue;
use svpn_contract::packet::PacketOut;
use svpn_contract::wire::PortId;
use svpn_dpdk::{Burst, Mbuf, Online, Pool, Reader};

use crate::fastpath::{BURST, FastPath, Outputs, Punt};
use crate::operations::load::LoadWriter;
use crate::router::{Idle, Queues};
use crate::tables::Tables;
pub(crate) use distribute::{Distributor, Source};
pub(crate) use relay::{Exit, Relay};

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
        load: LoadWriter,
    ) -> Self {
        let tables = fastpath.tables();
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
                // The device's queues hold what comes in meanwhile.
                self.tables.gate.pass(&mut online, || stop.load(Ordering::Relaxed));
                found += self.poll(index, &online, &mut burst);
                online.quiescent();
            }
            found += self.relay();
            found += self.send_packet_outs();
            if found > 0 {
                empty_polls = 0;
                continue;
            }
            empty_polls = empty_polls.saturating_add(1);
            online.quiescent();
            if let Some(sleep) = sleep(self.idle, empty_polls) {
                // Nobody has to wait for a worker that sleeps.
                online.rest(|| thread::sleep(sleep));
            }
        }
        while self.send_packet_outs() > 0 {}
        self.finish(online, &mut burst);
    }

    /// Takes a burst of one source through the fast path; returns how many packets were received.
    #[inline]
    fn poll(&mut self, index: usize, online: &Online<'_>, burst: &mut Burst<BURST>) -> usize {
        let Some((port, source)) = self.queues.rx.get_mut(index) else { return 0 };
        let received = source.recv(burst, &mut self.fastpath, online, *port);
        if received == 0 {
            self.load.nothing();
            return 0;
        }
        let now = svpn_dpdk::tsc();
        // Another worker's packets have been counted there.
        self.load.burst(if matches!(source, Source::Worker(_)) { 0 } else { received }, now);
        if !burst.is_empty() {
            self.fastpath.process(online, burst, *port, now, &mut self.out);
            self.flush();
        }
        received
    }

    /// Sends what other workers have for this one's transmit queues; returns how many packets there were.
    #[inline]
    fn relay(&mut self) -> usize {
        self.queues.relays.iter_mut().map(|relay| relay.pass(&mut self.queues.tx, &mut self.fastpath, &mut self.load)).sum()
    }

    /// Takes what other workers have handed over to its end: first what they received for this one, then what they send through it. Each
    /// worker gives up its own ends in the same order, so none waits for one that waits for it.
    fn finish(&mut self, mut online: Online<'_>, burst: &mut Burst<BURST>) {
        self.queues.rx.retain(|(_, source)| matches!(source, Source::Worker(_)));
        while !self.queues.rx.is_empty() {
            let open: Vec<bool> = self.queues.rx.iter().map(|(_, source)| source.is_open()).collect();
            let found: Vec<usize> = (0..open.len()).map(|index| self.poll(index, &online, burst)).collect();
            let mut more = open.into_iter().zip(found).map(|(open, found)| open || found > 0);
            self.queues.rx.retain(|_| more.next().unwrap_or(false));
            self.relay();
            online.quiescent();
            thread::yield_now();
        }
        drop(online);
        self.queues.tx.iter_mut().for_each(Exit::close);
        loop {
            let open = self.queues.relays.iter().any(|relay| !relay.is_closed());
            if self.relay() == 0 && !open {
                break;
            }
            thread::yield_now();
        }
    }

    /// Sends what the fast path has put into the outlets, and passes on what is for the controller.
    fn flush(&mut self) {
        for (outlet, exit) in self.out.outlets().iter_mut().zip(&mut self.queues.tx) {
            if outlet.burst.is_empty() {
                continue;
            }
            self.load.sent(exit.send(outlet));
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
            match self.pool.alloc_chain(&packet.frame) {
                Ok(mbuf) => self.fastpath.send(packet.egress_port, mbuf, &mut self.out),
                Err(_) => self.fastpath.no_buffer(packet.frame.len()),
            }
        }
        if count > 0 {
            self.load.originated(count);
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
