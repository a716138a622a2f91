//! Links watched by probes: every router sends one out of each of its links' ports at an interval, and tells which arrived.
//!
//! A link is down when at one of its ends none of the last probes has arrived. Nothing is told of a link while one of its routers
//! does not speak with the gateway: it may forward as ever. Whether it does is asked as often as probes are sent, for a network between
//! gateway and router that swallows everything swallows probes, too.

mod lldp;
mod monitor;
mod pulse;

use std::collections::{HashMap, HashSet};
use std::time::Duration;

use svpn_contract::Reason;
use svpn_contract::packet::{PacketIn, PacketOut};
use svpn_contract::wire::{MacAddr, PortId};
use svpn_switch::Event;
use svpn_vpn::topology::{DirectedLink, DirectedLinkId, LinkId, Operation};
use svpn_vpn::{Network, RouterId};
use tokio::sync::mpsc;
use tokio::time::MissedTickBehavior;

use crate::gateway::Gateway;
use crate::neighbours::Neighbours;
use crate::routers::Notice;
use lldp::Probe;
use monitor::{Able, Health, Monitor};
use pulse::Pulse;

/// How links are watched.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Settings {
    /// Whether they are.
    pub probes: Probes,
    /// Between two probes of a port.
    pub interval: Duration,
    /// So many probes lost one after the other, and the next makes the link down.
    pub misses: u32,
}

impl Default for Settings {
    fn default() -> Self {
        Self { probes: Probes::Sent, interval: Duration::from_secs(1), misses: 3 }
    }
}

/// Whether links are probed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Probes {
    /// At the interval.
    Sent,
    /// Never, for routers that pass no packets to and from the gateway: every link counts as up.
    Off,
}

/// One direction of a link: where its probes are sent and where they arrive.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Direction {
    id: DirectedLinkId,
    from: (RouterId, PortId),
    mac: MacAddr,
    to: RouterId,
    probe: Probe,
}

/// Every link, watched.
#[derive(Debug)]
pub struct Liveness {
    settings: Settings,
    /// In the order of their numbers.
    links: Vec<LinkId>,
    /// Likewise, two of each link.
    directions: Vec<Direction>,
    /// The direction whose probes arrive at a port.
    arrivals: HashMap<(RouterId, PortId), usize>,
    /// The directions that have passed a probe.
    proven: HashSet<DirectedLinkId>,
    monitor: Monitor,
    /// Whether routers answer.
    pulse: Pulse,
    neighbours: Neighbours,
}

impl Liveness {
    /// Watches the links of a gateway's network. What its journal says of them holds until probes say otherwise: a link that was down when the
    /// gateway before this one ended may have come back meanwhile.
    pub fn new(gateway: &Gateway, settings: Settings) -> Self {
        gateway.network(|network| Self::of(network, settings))
    }

    fn of(network: &Network, settings: Settings) -> Self {
        let topology = network.topology();
        let mut arrivals = HashMap::new();
        let direction = |(number, (id, link)): (usize, (DirectedLinkId, &DirectedLink))| {
            // Probes arrive where those of the other direction leave.
            arrivals.insert((link.to, topology.link(id.reverse()).port), number);
            let probe = Probe { router: network.router(link.from).name.clone(), port: link.port.get().to_string() };
            Direction { id, from: (link.from, link.port), mac: link.src_mac, to: link.to, probe }
        };
        let directions: Vec<_> = topology.links().enumerate().map(direction).collect();
        let links: Vec<_> = directions.iter().step_by(2).map(|direction| direction.id.link()).collect();
        let health = links.iter().map(|&link| match topology.state(link).operation {
            Operation::Up => Health::Up,
            Operation::Down => Health::Down,
        });
        let monitor = Monitor::new(health, settings.misses);
        let pulse = Pulse::new(network.routers().map(|(id, _)| id));
        Self { settings, links, directions, arrivals, proven: HashSet::new(), monitor, pulse, neighbours: Neighbours::new(network) }
    }

    /// Watches, for ever. Neighbour discovery that routers hand over is answered; other things that they tell are logged.
    pub async fn watch(mut self, gateway: Gateway, mut notices: mpsc::Receiver<Notice>) {
        let mut ticks = tokio::time::interval(self.settings.interval);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let probes = self.settings.probes;
        if probes == Probes::Off {
            self.trust(&gateway);
        }
        let _feeling = (probes == Probes::Sent).then(|| self.pulse.feel(&gateway, self.settings.interval / 2));
        loop {
            tokio::select! {
                _ = ticks.tick(), if probes == Probes::Sent => self.tick(&gateway),
                notice = notices.recv() => match notice {
                    Some(Notice { router, event: Event::Packet(packet) }) if packet.reason == Reason::Nd => {
                        if let Some(answer) = self.neighbours.answer(router, &packet) {
                            gateway.send(router, answer);
                        }
                    }
                    Some(Notice { router, event: Event::Packet(packet) }) => self.arrived(router, &packet),
                    Some(Notice { router, event }) => tracing::debug!(router = gateway.router_name(router), ?event, "the router tells"),
                    None => return,
                },
            }
        }
    }

    /// Nobody will say of a link that failed earlier that it is back.
    fn trust(&self, gateway: &Gateway) {
        tracing::warn!("[liveness] has probes = false: every link counts as up, and one that fails is not noticed here");
        for &link in &self.links {
            gateway.link_is(link, Operation::Up);
        }
    }

    fn tick(&mut self, gateway: &Gateway) {
        // A router that falls silent is noticed before its links seem to be broken.
        self.pulse.look(gateway, self.settings.interval * self.settings.misses / 2);
        let life =
            u16::try_from(self.settings.interval.as_secs().saturating_mul(u64::from(self.settings.misses)).max(1)).unwrap_or(u16::MAX);
        for direction in &self.directions {
            let (router, port) = direction.from;
            let able = if self.pulse.beats(router) && self.pulse.beats(direction.to) { Able::Yes } else { Able::No };
            self.monitor.probe(direction.id.link().index(), direction.id.index() % 2, able);
            if able == Able::Yes {
                gateway.send(router, PacketOut { egress_port: port, frame: direction.probe.frame(direction.mac, life) });
            }
        }
        for (link, health) in self.monitor.changes() {
            let operation = if health == Health::Up { Operation::Up } else { Operation::Down };
            if operation == Operation::Down && self.links[link].directions().iter().any(|direction| !self.proven.contains(direction)) {
                let [one, other] =
                    [2 * link, 2 * link + 1].map(|direction| gateway.router_name(self.directions[direction].from.0).to_owned());
                tracing::warn!(
                    one,
                    other,
                    "no probe has ever crossed this link: if its routers pass no packets to and from the gateway, say probes = false in [liveness]"
                );
            }
            gateway.link_is(self.links[link], operation);
        }
    }

    fn arrived(&mut self, router: RouterId, packet: &PacketIn) {
        let Some(probe) = Probe::read(&packet.frame) else {
            tracing::debug!(port = packet.ingress_port.get(), reason = ?packet.reason, "a router hands a packet over");
            return;
        };
        // Whoever is no end of a link, as a customer, can say nothing of one.
        let Some(&index) = self.arrivals.get(&(router, packet.ingress_port)) else { return };
        let direction = &self.directions[index];
        if direction.probe == probe {
            self.proven.insert(direction.id);
            self.monitor.heard(direction.id.link().index(), direction.id.index() % 2);
        } else {
            tracing::warn!(?probe, expected = ?direction.probe, "a link is not cabled as configured");
        }
    }
}

#[cfg(test)]
mod tests;
