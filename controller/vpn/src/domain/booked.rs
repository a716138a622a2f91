//! Sessions that start by themselves, and those that stop.

use std::time::SystemTime;

use super::effects::Effects;
use super::session::Session;
use super::{Domain, NotNow, Release};
use crate::request::{Cause, SessionNumber, Terms};
use crate::session::{self as life, Event};

/// What a session waits for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Due {
    /// Its time is over: [`Domain::released`].
    Stop(SessionNumber),
    /// Its start has come: [`Domain::start`].
    Start(SessionNumber),
}

/// What became of a session whose start has come.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Begun {
    /// It runs when the effects are carried out.
    Established {
        /// What it has.
        terms: Terms,
        /// What is to be done.
        effects: Effects,
    },
    /// Its path failed meanwhile, and there is no other: it is released with [`Cause::Network`].
    Released(Box<Release>),
}

impl Domain {
    /// What is due, in this order: stops before starts, for a start may need what a stop gives back.
    pub fn due(&self, now: SystemTime) -> Vec<Due> {
        let stops = self.stops.iter().take_while(|(stop, _)| *stop <= now).map(|&(_, session)| session);
        let stops: Vec<_> = stops.collect();
        let starts = self.starts.iter().take_while(|(start, _)| *start <= now).map(|&(_, session)| session);
        let starts = starts.filter(|session| !stops.contains(session)).map(Due::Start);
        stops.iter().copied().map(Due::Stop).chain(starts).collect()
    }

    /// When something is due next.
    pub fn next_due(&self) -> Option<SystemTime> {
        [self.stops.first(), self.starts.first()].into_iter().flatten().map(|&(at, _)| at).min()
    }

    /// Starts a booked session. Where its path has failed meanwhile it takes another.
    ///
    /// # Errors
    /// [`NotNow`]: it is not booked, it starts later, or a session whose time is over has its packets still.
    pub fn start(&mut self, session: SessionNumber, now: SystemTime) -> Result<Begun, NotNow> {
        self.calendar.advance(now);
        let mut effects = Effects::default();
        let begun = self.with(session, |domain, session| domain.begin(session, now, &mut effects))?;
        let Some(terms) = begun else {
            return Ok(Begun::Released(Box::new(self.released(session, Cause::Network, now)?)));
        };
        self.tell_session(session, &mut effects);
        Ok(Begun::Established { terms, effects })
    }

    fn begin(&mut self, session: &mut Session, now: SystemTime, effects: &mut Effects) -> Result<Option<Terms>, NotNow> {
        let (state, _) = life::next(session.state, Event::Begun)?;
        let start = session.interval.start();
        if start > now {
            return Err(NotNow::TooEarly { start });
        }
        let planned = session.classification(&self.network);
        if let Some(owner) = self.tables.owner(&planned) {
            return Err(NotNow::Occupied(SessionNumber(owner.get())));
        }
        if !self.still_there(session) || self.board(session, effects).is_err() {
            // What was made is undone; nobody was told of it.
            *effects = Effects::default();
            return Ok(None);
        }
        let carries = self.carries(session);
        self.put(carries, effects);
        self.put(planned, effects);
        self.starts.remove(&(start, session.number));
        session.state = state;
        session.established = Some(now);
        session.note_terms(now);
        Ok(Some(self.terms_of(session)))
    }

    /// Sees to it that every way of a booked session has a path in service.
    fn still_there(&mut self, session: &mut Session) -> bool {
        for way in 0..session.legs.len() {
            let Some(leg) = session.legs[way].as_ref() else { continue };
            let Some(demand) = leg.demand.filter(|_| !leg.route.in_service(&self.network)) else { continue };
            if session.change.is_some() {
                // What was proposed was reserved beside the path that failed.
                self.drop_change(session);
            }
            if let Some(booking) = session.legs[way].as_mut().and_then(|leg| leg.booking.take()) {
                self.calendar.cancel(booking);
            }
            let wish = self.wish(session, demand);
            if self.take_way_anyhow(session, way, wish).is_err() {
                return false;
            }
        }
        true
    }
}
