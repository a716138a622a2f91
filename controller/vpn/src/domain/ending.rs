//! How sessions end: first no packet is theirs any more, and when their counters were read they are gone.

use std::time::SystemTime;

use super::effects::{Effects, keys};
use super::session::Session;
use super::{Domain, NotNow, Summary};
use crate::agreement::{Quota, Usage};
use crate::durable::{EndRecord, Fact, UsageRecord};
use crate::price::Carried;
use crate::request::{Cause, SessionNumber};
use crate::session::{self as life, Event};

/// A session that is over and not settled yet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Release {
    /// To be done first: no packet is the session's any more. Its counters stand still then, and can be read.
    pub effects: Effects,
    /// What it was.
    pub summary: Summary,
}

impl Domain {
    /// The session is over, however far it came: its bandwidth is free, and its counters can be read when the effects are carried out.
    ///
    /// # Errors
    /// [`NotNow`]: it is not there, or over already.
    pub fn released(&mut self, session: SessionNumber, cause: Cause, now: SystemTime) -> Result<Release, NotNow> {
        self.calendar.advance(now);
        let mut effects = Effects::default();
        let summary = self.with(session, |domain, session| domain.end(session, EndRecord { at: now, cause }, &mut effects))?;
        self.tell_session(session, &mut effects);
        Ok(Release { effects, summary })
    }

    /// The counters of a session that was released were read, and said that so much was carried: what removes the last of it, and what
    /// it used of its contract's quota. To be made durable together with its charge record, so that it is charged once.
    ///
    /// # Errors
    /// [`NotNow`]: it is not there, or not released.
    pub fn settled(&mut self, session: SessionNumber, carried: Carried) -> Result<Effects, NotNow> {
        let mut effects = Effects::default();
        self.with(session, |domain, session| {
            session.state = life::next(session.state, Event::Settled).map_err(NotNow::from)?.0;
            domain.unprogram(session, &mut effects);
            domain.forget_border(session);
            domain.use_quota(session, carried, &mut effects);
            Ok::<_, NotNow>(())
        })?;
        self.sessions.forget(session);
        self.session_numbers.give_back(session.0);
        effects.tell(Fact::SessionGone(session));
        Ok(effects)
    }

    /// Routers could not be written to before the callee was asked: what undoes the session, also where it was written in part. It carried
    /// nothing, so there is nothing to be read.
    ///
    /// # Errors
    /// [`NotNow`]: it is not there, or over already.
    pub fn programming_failed(&mut self, session: SessionNumber, now: SystemTime) -> Result<Effects, NotNow> {
        let mut effects = self.released(session, Cause::Network, now)?.effects;
        effects.append(self.settled(session, Carried::default())?);
        Ok(effects)
    }

    fn use_quota(&mut self, session: &Session, carried: Carried, effects: &mut Effects) {
        let contract = self.network.contract(session.contract);
        let Some(ended) = session.ended.filter(|_| contract.options.quota != Quota::default() && session.established.is_some()) else {
            return;
        };
        let usage = &mut self.usages[session.contract.index()];
        *usage = usage.with(&session.periods, ended.at, carried.bytes());
        let Usage { month, bytes, reserved_bits } = *usage;
        effects.tell(Fact::Usage(UsageRecord { contract: contract.name.clone(), month, bytes, reserved_bits }));
    }

    pub(super) fn end(&mut self, session: &mut Session, ended: EndRecord, effects: &mut Effects) -> Result<Summary, NotNow> {
        let (state, _) = life::next(session.state, Event::Ended)?;
        let planned = session.classification(&self.network);
        self.claims.remove(&planned, session.number);
        if session.established.is_some() {
            self.erase(&keys(&planned), effects);
        }
        let (rates, interval) = session.accounted();
        self.accounts[session.contract.index()].leave(rates, interval);
        self.give_back(session);
        session.change = None;
        self.starts.remove(&(session.interval.start(), session.number));
        if let Some(stop) = session.interval.stop() {
            self.stops.remove(&(stop, session.number));
        }
        session.state = state;
        session.ended = Some(ended);
        Ok(session.summary(&self.network, ended))
    }

    /// What a session that is over was.
    ///
    /// # Errors
    /// [`NotNow`]: it is not there, or not over.
    pub fn summary(&self, session: SessionNumber) -> Result<Summary, NotNow> {
        let found = self.sessions.get(session).ok_or(NotNow::Unknown(session))?;
        let ended = found.ended.ok_or(life::OutOfTurn { state: found.state, event: Event::Settled })?;
        Ok(found.summary(&self.network, ended))
    }
}
