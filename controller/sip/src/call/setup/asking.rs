//! What a call asks of the gateway: to reserve, to program and to release; and of another provider's, its label mappings.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Instant;

use svpn_vpn::request::{Answer, Cause, Refusal, SessionRequest, Terms};

use super::Call;
use crate::call::agreed::Agreed;
use crate::call::crossing::{self, Crossing, Exchange};
use crate::call::group::{Gate, Member, Stage};
use crate::call::machine::Event;
use crate::call::talk::Ends;
use crate::call::{Input, Sender};
use crate::refusal::Rejection;
use crate::sdp::read_answer;
use crate::sessions::Sessions;

impl<S: Sessions> Call<S> {
    pub(super) fn reserve(&self) {
        let services = Arc::clone(&self.setup.services);
        let (request, crossing) = (self.setup.request.clone(), self.setup.crossing.clone());
        let gate = self.setup.member.as_ref().map(Member::gate);
        let work = async move {
            let terms = crossing::reserve(&services, request, crossing).await?;
            match together(gate, Stage::Reserved).await {
                Ok(()) => Ok(terms),
                Err(refusal) => {
                    services.sessions.release(terms.session, Cause::Refused).await;
                    Err(refusal)
                }
            }
        };
        report(self.sender.clone(), work, Input::Reserved);
    }

    /// The gateway programs what the offer and the winner's answer name.
    pub(super) fn program(&mut self) {
        let read = self.read_answer();
        match (read, &self.terms) {
            (Ok((agreed, answer, ends)), Some(terms)) => {
                let session = terms.session;
                let services = Arc::clone(&self.setup.services);
                let kept = ends.keep(&agreed);
                self.agreed = Some(agreed);
                let mapped = self.exchange.as_ref().map(Exchange::end);
                let gate = self.setup.member.as_ref().map(Member::gate);
                let work = async move {
                    if let Some(mapped) = mapped {
                        mapped.await?;
                    }
                    together(gate.clone(), Stage::Accepted).await?;
                    let terms = services.sessions.establish(session, answer, kept).await?;
                    together(gate, Stage::Established).await?;
                    Ok(terms)
                };
                report(self.sender.clone(), work, Input::Established);
            }
            (Err(rejection), _) => self.tell(Event::EstablishRefused(rejection)),
            (Ok(_), None) => self.tell(Event::EstablishRefused(Rejection::new(500, "no terms to establish"))),
        }
    }

    fn read_answer(&self) -> Result<(Agreed, Answer, Ends), Rejection> {
        let callee = &self.setup.request.callee;
        let bad = |reason: String| Rejection::new(502, format!("the answer of {callee} cannot be used: {reason}"));
        let body = self.winning_answer();
        let ends = self.ends().ok_or_else(|| bad("it makes no dialog".to_owned()))?;
        if body.is_empty() {
            return Err(bad("it has no session description".to_owned()));
        }
        let (description, answer) = read_answer(&self.setup.offer.session, &body).map_err(|error| bad(error.to_string()))?;
        let agreed = Agreed::new(&self.setup.request, &self.setup.offer, description, self.origin);
        Ok((agreed, answer, ends))
    }

    pub(super) async fn release(&mut self, cause: Cause) {
        self.exchange = None;
        if let Some(terms) = &self.terms {
            self.setup.services.sessions.release(terms.session, cause).await;
        }
        self.leaving.clear();
        self.setup.place.reservation.take();
    }

    /// This call's crossing, if the callee is at another provider.
    pub(super) fn to_peer(&self) -> Option<&Crossing> {
        self.setup.crossing.as_ref().filter(|crossing| crossing.callee().is_some())
    }

    /// Begins the exchange of label mappings, where the callee is at another provider.
    pub(super) fn exchange(&mut self) {
        if let (Some(crossing), Some(terms), None) = (self.to_peer(), &self.terms, &self.exchange) {
            let services = Arc::clone(&self.setup.services);
            self.exchange = Some(Exchange::begin(services, crossing.clone(), terms.clone(), self.sender.clone()));
        }
    }

    /// Tells the call when its group fails: a callee that rings then is not waited for.
    pub(super) fn watch_group(&self) {
        if let Some(gate) = self.setup.member.as_ref().map(Member::gate) {
            let call = self.sender.clone();
            tokio::spawn(async move {
                tokio::select! {
                    refusal = gate.failed() => drop(call.send(Input::Event(Event::Hindered(refusal.into())))),
                    () = call.closed() => {}
                }
            });
        }
    }

    /// Who has moved while the call was set up is told to the gateway again: the session is one that can follow only now.
    pub(super) fn catch_up(&self) {
        let SessionRequest { caller, caller_ce, callee, callee_ce, .. } = &self.setup.request;
        let services = &self.setup.services;
        let now = Instant::now();
        let moved = [(caller, caller_ce), (callee, callee_ce)].into_iter().filter_map(|(application, ce)| {
            let registered = services.registrar().latest(application, now).filter(|binding| binding.ce != *ce)?;
            Some((application.clone(), registered.ce))
        });
        let moved: HashMap<_, _> = moved.collect();
        if !moved.is_empty() {
            services.sessions.moved(moved, services.move_timeout);
        }
    }
}

/// Waits for the others of a group, where there is one.
async fn together(gate: Option<Gate>, stage: Stage) -> Result<(), Refusal> {
    match gate {
        Some(gate) => gate.reached(stage).await,
        None => Ok(()),
    }
}

/// Runs a request to the gateway aside, so that the call goes on hearing; should it panic, the call hears a refusal.
pub(in crate::call) fn report<F>(call: Sender, work: F, input: fn(Result<Terms, Refusal>) -> Input)
where
    F: Future<Output = Result<Terms, Refusal>> + Send + 'static,
{
    tokio::spawn(async move {
        let result = tokio::spawn(work).await.unwrap_or_else(|error| {
            tracing::error!(%error, "the gateway failed");
            Err(Refusal::Unavailable("the gateway failed".to_owned()))
        });
        let _ = call.send(input(result));
    });
}
