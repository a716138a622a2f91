//! What the callee's answer makes of a session: which packets are its, and how much less than was asked it needs.

use std::time::SystemTime;

use svpn_contract::Entry;

use super::examine::{belongs, demands, goes};
use super::{AnswerError, Domain, NotNow, Session, WAYS};
use crate::demand::Demand;
use crate::network::{Network, RouterId};
use crate::plan::{self, Flow, Planned, Step, Way};
use crate::request::{Answer, Direction, Match, MediaEnd, Medium, Refusal};
use crate::session::{self, Event};

impl Domain {
    pub(super) fn accept(&mut self, session: &mut Session, answer: &Answer, now: SystemTime) -> Result<Vec<Step>, AnswerError> {
        session::next(session.state, Event::Accepted).map_err(NotNow::from)?;
        let accepted = session.accepted(&self.network, answer)?;
        let media: Vec<_> = accepted.iter().map(|(medium, _)| medium).collect();
        let demands = demands(&self.network, session.circuits, session.class, &media)?;
        let classification = session.classification(&self.network, &accepted, &demands);
        self.unclaimed(&classification)?;
        // Nothing fails from here on.
        let mut steps = self.shrink(session, demands);
        session.planned = classification;
        let changes = self.happen(session, Event::Accepted).map_err(NotNow::from)?;
        session.established = Some(now);
        steps.extend(changes.into_iter().flat_map(|(_, steps)| steps));
        Ok(steps)
    }

    /// No packet may belong to two sessions.
    pub(super) fn unclaimed(&self, classification: &Planned) -> Result<(), Refusal> {
        for (router, entry) in classification {
            if let Some(owner) = self.owner(*router, entry) {
                return Err(Refusal::NotAcceptable(format!("session {owner} has the same packets: release it, or narrow the match")));
            }
        }
        Ok(())
    }

    fn owner(&self, router: RouterId, entry: &Entry) -> Option<u32> {
        match self.tables.get(router, &entry.key())? {
            Entry::FlowV4(flow) => {
                let svpn_contract::FlowV4Action::Assign { session } = flow.action;
                Some(session.get())
            }
            Entry::FlowAclV4(flow) => {
                let svpn_contract::FlowAclV4Action::Assign { session } = flow.action;
                Some(session.get())
            }
            _ => None,
        }
    }
}

impl Session {
    /// The media that both sides want, with the callee's ends.
    fn accepted(&self, network: &Network, answer: &Answer) -> Result<Vec<(Medium, MediaEnd)>, Refusal> {
        let (offered, answered) = (self.request.media.len(), answer.media.len());
        if offered != answered {
            return Err(Refusal::NotAcceptable(format!("the offer has {offered} media and the answer {answered}")));
        }
        let callee = &network.circuits()[self.circuits[1]];
        let mut accepted = Vec::new();
        for (medium, end) in self.request.media.iter().zip(&answer.media) {
            let Some(end) = *end else { continue };
            belongs(end, callee, self.request.matching)?;
            accepted.push((medium.clone(), end));
        }
        if accepted.is_empty() {
            return Err(Refusal::NotAcceptable("the callee refused every medium".into()));
        }
        Ok(accepted)
    }

    /// What tells the session's packets from others, on the ingress PE of each way.
    fn classification(&self, network: &Network, media: &[(Medium, MediaEnd)], demands: &[Option<Demand>; 2]) -> Planned {
        let mut planned = Planned::new();
        for (index, way) in WAYS.into_iter().enumerate().filter(|(index, _)| demands[*index].is_some()) {
            let [from, to] = self.ends(network, index);
            let ends = Way { session: self.id(), from, to };
            let flows: Vec<_> = media.iter().filter(|(medium, _)| goes(medium.direction, way)).map(|media| flow(media, way)).collect();
            let entries = match self.request.matching {
                Match::Ports => plan::flows(ends, &flows),
                Match::Hosts => plan::hosts(ends, &flows),
                Match::Sites => plan::sites(ends),
            };
            planned.extend(entries.into_iter().map(|entry| (from.router, entry)));
        }
        planned
    }

    /// What is known of the classification before the callee answers: all of it for sites, nothing otherwise.
    pub(super) fn classification_by_site(&self, network: &Network) -> Planned {
        if self.request.matching == Match::Sites { self.classification(network, &[], &self.demands) } else { Planned::new() }
    }
}

fn flow((medium, callee): &(Medium, MediaEnd), way: Direction) -> Flow {
    let (from, to) = if way == Direction::FromCallee { (*callee, medium.caller) } else { (medium.caller, *callee) };
    Flow { transport: medium.transport, from, to }
}
