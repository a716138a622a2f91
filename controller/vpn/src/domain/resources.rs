//! What a session takes of the network, and how it gives it back.

use svpn_contract::{Entry, SessionKey, Update};

use super::{Domain, Leg, Session};
use crate::admission::{Denial, Interval};
use crate::demand::Demand;
use crate::network::{Circuit, Network};
use crate::paths::{Journey, NoPath};
use crate::plan::{self, Step};
use crate::request::Refusal;

impl Domain {
    /// Finds a path for each way, and takes bandwidth and numbers: for both or for none. What there is to write is planned.
    pub(super) fn take(&mut self, session: &mut Session, interval: Interval) -> Result<(), Refusal> {
        self.unclaimed(&session.classification_by_site(&self.network))?;
        for way in 0..session.legs.len() {
            let Some(demand) = session.demands[way] else { continue };
            if let Err(refusal) = self.take_way(session, way, demand, interval) {
                // What was planned is not written yet, so no router needs to hear of it.
                let _unwritten = self.unprogram(session);
                self.give_back(session);
                session.planned.clear();
                return Err(refusal);
            }
        }
        Ok(())
    }

    fn take_way(&mut self, session: &mut Session, way: usize, demand: Demand, interval: Interval) -> Result<(), Refusal> {
        let Self { network, base, numbers, tunnels, calendar, .. } = self;
        let [from, to] = session.ends(network, way);
        let packet = from.mtu.min(to.mtu);
        let journey = Journey { from: from.router, to: to.router, demand, packet, interval };
        let path = journey.find(network.topology(), calendar).map_err(|why| refusal(network, &journey, &why))?;
        let booking = calendar
            .reserve(interval, session.class, journey.demands(&path))
            .map_err(|denial| refusal(network, &journey, &NoPath::Full(denial)))?;
        let (tunnel, entries) = match tunnels.enter(&path, network, base, numbers) {
            Ok(entered) => entered,
            Err(none) => {
                calendar.cancel(booking);
                return Err(Refusal::Unavailable(format!("router {} has {none}", network.router(none.router).name)));
            }
        };
        let leg = Leg { path, booking, tunnel, vpn_label: base.vpn_label(to) };
        session.planned.extend(entries);
        session.planned.push((from.router, session.carry(&leg, demand, from)));
        session.legs[way] = Some(leg);
        Ok(())
    }

    /// Takes the session's entries, and those of the tunnels nobody rides any more, out of the tables.
    pub(super) fn unprogram(&mut self, session: &mut Session) -> Vec<Step> {
        (0..session.legs.len()).rev().flat_map(|way| self.unprogram_way(session, way)).collect()
    }

    fn unprogram_way(&mut self, session: &Session, way: usize) -> Vec<Step> {
        let Some(leg) = &session.legs[way] else { return Vec::new() };
        let Self { network, base, numbers, tunnels, .. } = self;
        let [from, _] = session.ends(network, way);
        let ingress = from.router;
        let mut keys = tunnels.leave(&leg.path, network, base, numbers);
        keys.push((ingress, SessionKey { session: session.id() }.into()));
        self.erase(&keys)
    }

    /// Gives bandwidth back.
    pub(super) fn give_back(&mut self, session: &mut Session) -> Vec<Step> {
        for leg in session.legs.iter_mut().filter_map(Option::take) {
            self.calendar.cancel(leg.booking);
        }
        Vec::new()
    }

    /// Gives back what a session needs no more, now that its media are known.
    pub(super) fn shrink(&mut self, session: &mut Session, demands: [Option<Demand>; 2]) -> Vec<Step> {
        let before = session.rates();
        let mut steps = Vec::new();
        for (way, demand) in demands.into_iter().enumerate() {
            if demand == session.demands[way] {
                continue;
            }
            session.demands[way] = demand;
            match demand {
                None => {
                    steps.extend(self.unprogram_way(session, way));
                    if let Some(leg) = session.legs[way].take() {
                        self.calendar.cancel(leg.booking);
                    }
                }
                Some(demand) => steps.extend(self.shrink_way(session, way, demand)),
            }
        }
        self.accounts[session.contract.index()].reduce(before, session.rates());
        steps
    }

    fn shrink_way(&mut self, session: &mut Session, way: usize, demand: Demand) -> Vec<Step> {
        let Some(leg) = &mut session.legs[way] else { return Vec::new() };
        self.calendar.reduce(&mut leg.booking, demand.on_link(leg.path.labels()));
        let Some(leg) = &session.legs[way] else { return Vec::new() };
        let [from, _] = session.ends(&self.network, way);
        let (router, entry) = (from.router, session.carry(leg, demand, from));
        self.tables.put(router, entry.clone());
        plan::steps([(router, Update::Modify(entry))])
    }
}

impl Session {
    /// The circuits where a way starts and ends.
    pub(super) fn ends<'a>(&self, network: &'a Network, way: usize) -> [&'a Circuit; 2] {
        [self.circuits[way], self.circuits[1 - way]].map(|circuit| &network.circuits()[circuit])
    }

    /// The entry that carries a way's packets from its ingress PE.
    fn carry(&self, leg: &Leg, demand: Demand, from: &Circuit) -> Entry {
        plan::carry(self.id(), leg.tunnel, leg.vpn_label, self.class, demand.policer(from.mtu, from.tags()))
    }
}

fn refusal(network: &Network, journey: &Journey, why: &NoPath) -> Refusal {
    let [from, to] = [journey.from, journey.to].map(|router| network.router(router).name.clone());
    match *why {
        NoPath::Unconnected => Refusal::NoPath { from, to },
        NoPath::TooNarrow { bytes } => Refusal::NotAcceptable(format!(
            "no path from {from} to {to} takes packets of {bytes} bytes, the {} of the attachments and their labels",
            journey.packet
        )),
        NoPath::Full(Denial { link, fits, asked, .. }) => {
            Refusal::NoBandwidth { link: network.topology().link(link).name.clone(), asked, fits }
        }
    }
}
