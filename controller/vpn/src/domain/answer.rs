//! What the callee's answer makes of a session: which packets are its, and how much less than was asked it needs.

use std::time::SystemTime;

use super::border::ours;
use super::effects::Effects;
use super::examine::{belongs, demands, goes};
use super::session::Session;
use super::{AnswerError, Domain, NotNow, WAYS};
use crate::demand::Demand;
use crate::network::Network;
use crate::plan::{self, Flow, Planned, Way};
use crate::request::{Answer, Direction, IpVersion, Match, MediaEnd, Medium, Refusal, SessionNumber, SessionRequest, Terms};
use crate::session::{self as life, Event};

/// A session that both sides agreed on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answered {
    /// What it gets now.
    pub terms: Terms,
    /// What is to be done before the caller is told. A session that starts later is booked, and has no steps.
    pub effects: Effects,
}

impl Domain {
    /// The callee accepted. A medium it refused gives its bandwidth back. A session that starts later is booked from now on, and
    /// [`Domain::due`] says when to start it.
    ///
    /// # Errors
    /// [`AnswerError`]; the session still waits, and [`Domain::released`] ends it.
    pub fn answered(&mut self, session: SessionNumber, answer: &Answer, now: SystemTime) -> Result<Answered, AnswerError> {
        self.calendar.advance(now);
        let mut effects = Effects::default();
        let terms = self.with(session, |domain, session| {
            domain.accept(session, answer, now, &mut effects)?;
            Ok::<_, AnswerError>(domain.terms_of(session))
        })?;
        self.tell_session(session, &mut effects);
        Ok(Answered { terms, effects })
    }

    fn accept(&mut self, session: &mut Session, answer: &Answer, now: SystemTime, effects: &mut Effects) -> Result<(), AnswerError> {
        let event = if session.is_programmed() { Event::Accepted } else { Event::Agreed };
        let (state, _) = life::next(session.state, event).map_err(NotNow::from)?;
        if session.border.is_some_and(|border| border.mapped.is_none()) {
            return Err(NotNow::Unmapped(session.number).into());
        }
        let accepted = session.accepted(&self.network, answer)?;
        let media: Vec<_> = accepted.iter().map(|(medium, _)| medium).collect();
        let demands = demands(&self.network, session.circuits, session.class, session.request.matching, &media)?;
        let planned = classification(&self.network, &session.request, session.circuits, session.number, &accepted, demands);
        self.claims.free(&planned, session.number, session.interval)?;
        // Nothing fails from here on.
        self.shrink(session, demands, effects);
        session.answer = Some(answer.clone());
        session.state = state;
        self.claims.add(&planned, session.number, session.interval);
        if event == Event::Accepted {
            self.put(planned, effects);
            session.established = Some(now);
            session.note_terms(now);
        } else {
            self.starts.insert((session.interval.start(), session.number));
        }
        Ok(())
    }

    /// Gives back what a session needs no more, now that its media are known; nothing was carried yet.
    fn shrink(&mut self, session: &mut Session, demands: [Option<Demand>; 2], effects: &mut Effects) {
        let before = session.rates();
        for (way, demand) in demands.into_iter().enumerate() {
            let Some(demand) = demand else {
                self.unprogram_way(session, way, effects);
                if let Some(booking) = session.legs[way].take().and_then(|leg| leg.booking) {
                    self.calendar.cancel(booking);
                }
                continue;
            };
            if let Some(leg) = session.legs[way].as_mut() {
                leg.demand = Some(demand);
            }
            let claim = session.claim(way);
            if let (Some(booking), Some(claim)) = (session.legs[way].as_mut().and_then(|leg| leg.booking.as_mut()), claim) {
                self.calendar.keep(booking, &claim);
            }
        }
        let carries = self.carries(session);
        self.put(carries, effects);
        let account = &mut self.accounts[session.contract.index()];
        account.leave(before, session.interval);
        account.restore(session.rates(), session.interval);
    }
}

impl Session {
    /// The media that both sides want, with the callee's ends.
    pub(super) fn accepted(&self, network: &Network, answer: &Answer) -> Result<Vec<(Medium, MediaEnd)>, Refusal> {
        accepted(network, &self.request, self.circuits, answer)
    }

    /// What tells the session's packets from others, on the ingress PE of each way, once the callee has answered.
    pub(super) fn classification(&self, network: &Network) -> Planned {
        let accepted = self.answer.as_ref().and_then(|answer| self.accepted(network, answer).ok());
        accepted.map_or_else(Planned::new, |accepted| {
            classification(network, &self.request, self.circuits, self.number, &accepted, self.demands())
        })
    }

    /// What is known of the classification before the callee answers: all of it for sites, nothing otherwise.
    pub(super) fn classification_by_site(&self, network: &Network, demands: [Option<Demand>; 2]) -> Planned {
        if self.request.matching == Match::Sites {
            classification(network, &self.request, self.circuits, self.number, &[], demands)
        } else {
            Planned::new()
        }
    }
}

/// The media of a request that the callee wants, too, with its ends.
pub(super) fn accepted(
    network: &Network,
    request: &SessionRequest,
    circuits: [usize; 2],
    answer: &Answer,
) -> Result<Vec<(Medium, MediaEnd)>, Refusal> {
    let (offered, answered) = (request.media.len(), answer.media.len());
    if offered != answered {
        return Err(Refusal::NotAcceptable(format!("the offer has {offered} media and the answer {answered}")));
    }
    let callee = &network.circuits()[circuits[1]];
    let mut accepted = Vec::new();
    for (medium, end) in request.media.iter().zip(&answer.media) {
        let Some(end) = *end else { continue };
        belongs(end, callee, request.matching)?;
        let [ours, theirs] = [medium.caller, end].map(|end| IpVersion::of(end.address));
        if ours != theirs && request.matching != Match::Sites {
            return Err(Refusal::NotAcceptable(format!("a medium is of {ours} in the offer and of {theirs} in the answer")));
        }
        accepted.push((medium.clone(), end));
    }
    if accepted.is_empty() {
        return Err(Refusal::NotAcceptable("the callee refused every medium".into()));
    }
    Ok(accepted)
}

/// What tells packets of these media from others, on the ingress PE of each way in which something flows.
pub(super) fn classification(
    network: &Network,
    request: &SessionRequest,
    circuits: [usize; 2],
    number: SessionNumber,
    media: &[(Medium, MediaEnd)],
    demands: [Option<Demand>; 2],
) -> Planned {
    let session = super::session::id(number);
    let mut planned = Planned::new();
    for (index, way) in WAYS.into_iter().enumerate().filter(|(index, _)| demands[*index].is_some()) {
        let [from, to] = [circuits[index], circuits[1 - index]].map(|circuit| &network.circuits()[circuit]);
        let ends = Way { session, from, to };
        let flows: Vec<_> = media.iter().filter(|(medium, _)| goes(medium.direction, way)).map(|media| flow(media, way)).collect();
        let entries = match request.matching {
            Match::Ports => plan::flows(ends, &flows),
            Match::Hosts => plan::hosts(ends, &flows),
            Match::Sites => plan::sites(ends),
        };
        planned.extend(entries.into_iter().map(|entry| (from.router, entry)));
    }
    // Whose packets come from a peer is the peer's to tell.
    ours(network, planned)
}

fn flow((medium, callee): &(Medium, MediaEnd), way: Direction) -> Flow {
    let (from, to) = if way == Direction::FromCallee { (*callee, medium.caller) } else { (medium.caller, *callee) };
    Flow { transport: medium.transport, from, to }
}
