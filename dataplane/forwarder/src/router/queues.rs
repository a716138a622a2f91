//! Which worker has which queues, and what goes from worker to worker.

use std::num::NonZeroU16;

use svpn_contract::wire::PortId;
use svpn_dpdk::{AttachedPort, Port, PortError, Spread, ring};

use super::StartError;
use crate::fastpath::Spreader;
use crate::worker::{Distributor, Exit, Relay, Source};

/// Packets that a ring from one worker to another holds: as many as a device's queue.
const RING: NonZeroU16 = NonZeroU16::new(1024).unwrap();

/// Whether workers hand received packets to one another, by a hash of the inner 5-tuple.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Distribution {
    /// On ports that have fewer receive queues than there are workers.
    WhereNeeded,
    /// On all ports: also where a device spreads packets, but does not see through labels.
    Always,
    /// On none: a queue's packets are its worker's.
    Never,
}

/// The queues of a port.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Plan {
    pub(super) rx_queues: u16,
    pub(super) tx_queues: u16,
    /// Whether packets are spread in software.
    distributes: bool,
}

/// A worker's queues.
#[derive(Debug, Default)]
pub(crate) struct Queues {
    pub(crate) rx: Vec<(PortId, Source)>,
    /// One for each port, in the order of the ports.
    pub(crate) tx: Vec<Exit>,
    /// What others send through this worker's queues.
    pub(crate) relays: Vec<Relay>,
}

impl Plan {
    /// A queue for each worker, or as many as the device has.
    pub(super) fn new(device: &AttachedPort, workers: NonZeroU16, distribution: Distribution) -> Result<Self, PortError> {
        Ok(Self::of(device.max_rx_queues()?, device.max_tx_queues()?, workers, distribution))
    }

    fn of(rx: u16, tx: u16, workers: NonZeroU16, distribution: Distribution) -> Self {
        // A device has a queue of each kind, or does not start.
        let (rx_queues, tx_queues) = (rx.clamp(1, workers.get()), tx.clamp(1, workers.get()));
        let distributes = match distribution {
            Distribution::WhereNeeded => rx_queues < workers.get(),
            Distribution::Always => workers.get() > 1,
            Distribution::Never => false,
        };
        Self { rx_queues, tx_queues, distributes }
    }

    /// Packets that the rings from worker to worker hold.
    pub(super) fn in_rings(self, workers: NonZeroU16) -> u32 {
        let others = u32::from(workers.get() - 1);
        let received = if self.distributes { u32::from(self.rx_queues) * others } else { 0 };
        let sent = u32::from(workers.get() - self.tx_queues);
        (received + sent) * u32::from(RING.get())
    }

    /// Says how a port's packets come to the workers.
    pub(super) fn report(self, number: PortId, port: &Port, workers: NonZeroU16) {
        if workers.get() == 1 {
            return;
        }
        let (number, device, workers) = (number.get(), port.name(), workers.get());
        let (rx_queues, tx_queues, spread) = (self.rx_queues, self.tx_queues, port.spread());
        let by = match spread {
            Spread::InnerFiveTuple => "the device spreads packets by their innermost addresses and ports",
            Spread::LabelsAndFiveTuple => "the device spreads packets by labels, addresses and ports",
            Spread::FiveTuple => "the device spreads packets by addresses and ports, and does not see through labels",
            Spread::DriverDefault if rx_queues > 1 => "the driver, or its other end, spreads packets",
            Spread::DriverDefault => "the device has one queue",
        };
        tracing::info!(port = number, device, workers, rx_queues, tx_queues, in_software = self.distributes, "{by}");
        if spread == Spread::FiveTuple && !self.distributes {
            tracing::warn!(port = number, device, "packets with labels come to one worker; --distribute always spreads them in software");
        }
    }
}

/// The worker that has a queue. Those of different ports begin with different workers, so that single queues do not all fall to one.
fn owner(port: usize, queue: u16, workers: NonZeroU16) -> usize {
    (port + usize::from(queue)) % usize::from(workers.get())
}

/// Gives every queue of every port to a worker, and connects the workers; in the order of the workers.
pub(super) fn assign<'a>(
    ports: impl IntoIterator<Item = (PortId, &'a Port, Plan)>,
    workers: NonZeroU16,
    spreader: Spreader,
) -> Result<Vec<Queues>, StartError> {
    let mut all: Vec<Queues> = (0..workers.get()).map(|_| Queues::default()).collect();
    for (place, (number, port, plan)) in ports.into_iter().enumerate() {
        let failed = |source| StartError::Queue { port: number, source };
        for queue in 0..plan.rx_queues {
            let device = port.take_rx_queue(queue).map_err(failed)?;
            let own = owner(place, queue, workers);
            let source = if plan.distributes {
                Source::Shared(Box::new(Distributor::new(device, spreader, rings(&mut all, own, number))))
            } else {
                Source::Device(device)
            };
            all[own].rx.push((number, source));
        }
        for queue in 0..workers.get() {
            let own = owner(place, queue, workers);
            let exit = if queue < plan.tx_queues {
                Exit::Device(port.take_tx_queue(queue).map_err(failed)?)
            } else {
                let (sender, receiver) = ring(RING);
                let relay = Relay::new(place, receiver);
                all[owner(place, queue % plan.tx_queues, workers)].relays.push(relay);
                Exit::Worker(sender)
            };
            all[own].tx.push(exit);
        }
    }
    Ok(all)
}

/// A ring from worker `own` to each other, for packets of one port.
fn rings(all: &mut [Queues], own: usize, number: PortId) -> Vec<Option<svpn_dpdk::RingSender>> {
    let to = |(worker, queues): (usize, &mut Queues)| {
        (worker != own).then(|| {
            let (sender, receiver) = ring(RING);
            queues.rx.push((number, Source::Worker(receiver)));
            sender
        })
    };
    all.iter_mut().enumerate().map(to).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plan(rx: u16, tx: u16, workers: u16, distribution: Distribution) -> (u16, u16, bool) {
        let plan = Plan::of(rx, tx, NonZeroU16::new(workers).unwrap(), distribution);
        (plan.rx_queues, plan.tx_queues, plan.distributes)
    }

    #[test]
    fn software_spreads_where_queues_are_too_few_or_as_told() {
        use Distribution::{Always, Never, WhereNeeded};
        assert_eq!(plan(16, 16, 4, WhereNeeded), (4, 4, false));
        assert_eq!(plan(16, 16, 4, Always), (4, 4, true));
        assert_eq!(plan(2, 1, 4, WhereNeeded), (2, 1, true));
        assert_eq!(plan(2, 1, 4, Never), (2, 1, false));
        assert_eq!(plan(1, 1, 1, Always), (1, 1, false));
        assert_eq!(plan(0, 0, 2, WhereNeeded), (1, 1, true));
    }

    #[test]
    fn queues_of_each_port_fall_to_different_workers() {
        let workers = NonZeroU16::new(3).unwrap();
        for port in 0..5 {
            let mut owners: Vec<usize> = (0..3).map(|queue| owner(port, queue, workers)).collect();
            assert_eq!(owners[0], port % 3);
            owners.sort_unstable();
            assert_eq!(owners, [0, 1, 2]);
        }
    }
}
