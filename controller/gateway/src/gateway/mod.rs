//! What signalling asks for, done: contract and calendar first, then the journal, then the routers, then the record.
//!
//! Whoever changes the domain has it alone, and while it does, queues what that asks for: the facts at the journal, the steps at the
//! routers. So everything reaches journal and routers in the order in which it was decided, and nobody waits for a disk or a router with
//! the domain in hand. Nothing is written to a router before its facts are durable.

mod clock;
mod due;
mod enact;
mod ending;
mod mobility;
mod network;
mod start;

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime};

use svpn_sip::sessions::{HangUp, Kept, Secret, Sessions};
use svpn_store::{Change, Journal};
use svpn_vpn::domain::Proposal;
use svpn_vpn::request::{Answer, ApplicationId, Cause, CeName, Label, Refusal, SessionNumber, SessionRequest, Terms, VpnName};
use svpn_vpn::{Admission, AnswerError, Answered, Domain, NotNow};
use tokio::sync::{Notify, mpsc};
use tokio_util::task::TaskTracker;

use crate::routers::{Firmness, Routers};
use clock::Clock;
use enact::{EnactError, Unwritten};
pub use start::{Begun, StartError};

/// The gateway behind the SIP server. Clones are the same gateway.
#[derive(Debug, Clone)]
pub struct Gateway(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    domain: Mutex<Domain>,
    routers: Routers,
    journal: Journal,
    secrets: HashMap<ApplicationId, Secret>,
    /// Those of the gateway before this one, until signalling takes them up.
    registrations: Mutex<Vec<(ApplicationId, Kept)>>,
    /// What was not written, and not again yet.
    unwritten: Mutex<Unwritten>,
    /// When the clock was looked at first, or was set.
    clock: Mutex<Clock>,
    /// Where applications were last said to be.
    whereabouts: Mutex<HashMap<ApplicationId, CeName>>,
    /// Sessions that end for another reason than that a peer hung up.
    hang_up: mpsc::UnboundedSender<HangUp>,
    /// Something may be due sooner than it was.
    sooner: Notify,
    /// What goes on without anybody waiting for it, as settling accounts.
    tasks: TaskTracker,
}

impl Gateway {
    /// Waits until every router holds what it should.
    pub async fn ready(&self) {
        self.0.routers.ready().await;
    }

    /// Waits until every session that is over is settled. What cannot be, for a router is away, is settled by the next gateway: call this
    /// with a limit.
    pub async fn settled(&self) {
        self.0.tasks.close();
        self.0.tasks.wait().await;
    }

    fn domain(&self) -> MutexGuard<'_, Domain> {
        // The domain changes in whole operations; who panicked did so in one that is not begun or done.
        self.0.domain.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn whereabouts(&self) -> MutexGuard<'_, HashMap<ApplicationId, CeName>> {
        self.0.whereabouts.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Decides, and queues what that asks for.
    fn admit(&self, request: SessionRequest) -> Result<(Admission, enact::Enacted), Refusal> {
        let mut domain = self.domain();
        let now = self.now(&mut domain);
        // What is over by now has given its bandwidth back.
        self.do_what_is_due(&mut domain, now);
        let mut admission = domain.request(request, now)?;
        let effects = std::mem::take(&mut admission.effects);
        let enacted = self.enact(&domain, effects, Vec::new(), Firmness::OrNot);
        Ok((admission, enacted))
    }

    /// The session could not be made durable or programmed: it is undone.
    async fn undo(&self, session: SessionNumber, error: &EnactError) -> Refusal {
        tracing::warn!(session = session.0, %error, "the session cannot be had: it is undone");
        let undone = {
            let mut domain = self.domain();
            let now = self.now(&mut domain);
            domain.programming_failed(session, now).map(|effects| self.enact(&domain, effects, Vec::new(), Firmness::Surely))
        };
        match undone {
            Ok(undone) => undone.surely().await,
            Err(error) => return unexpected(error),
        }
        error.refusal()
    }

    /// A session has come further, which the journal needs to know, and routers may.
    async fn note(&self, change: impl FnOnce(&mut Domain) -> Result<svpn_vpn::Effects, NotNow>) -> Result<(), Refusal> {
        let noted = {
            let mut domain = self.domain();
            change(&mut domain).map(|effects| self.enact(&domain, effects, Vec::new(), Firmness::OrNot))
        };
        noted.map_err(unexpected)?.done().await.map_err(|error| error.refusal())
    }

    /// What both ends have agreed on is decided, and queued with what is kept of it.
    fn agree(
        &self,
        session: SessionNumber,
        kept: Kept,
        firmness: Firmness,
        decide: impl FnOnce(&mut Domain, SystemTime) -> Result<Answered, AnswerError>,
    ) -> Result<(Terms, enact::Enacted), Refusal> {
        let (terms, enacted) = {
            let mut domain = self.domain();
            let now = self.now(&mut domain);
            let Answered { terms, effects } = decide(&mut domain, now).map_err(answer_refused)?;
            let dialogs = Change::Dialogs { session, body: kept.0 };
            (terms, self.enact(&domain, effects, vec![dialogs], firmness))
        };
        self.0.sooner.notify_one();
        Ok((terms, enacted))
    }
}

/// The SIP server asked for something out of turn; it keeps the order, so this is a fault of ours, and said as one.
fn unexpected(error: NotNow) -> Refusal {
    tracing::error!(%error, "out of turn");
    Refusal::Unavailable(error.to_string())
}

fn answer_refused(error: AnswerError) -> Refusal {
    match error {
        AnswerError::Refused(refusal) => refusal,
        AnswerError::NotNow(error) => unexpected(error),
    }
}

impl Sessions for Gateway {
    async fn find_application(&self, name: &str, vpn: Option<&VpnName>) -> Result<ApplicationId, Refusal> {
        let secrets = &self.0.secrets;
        if let Some(vpn) = vpn {
            let known = ApplicationId { name: name.to_owned(), vpn: vpn.clone() };
            if secrets.contains_key(&known) {
                return Ok(known);
            }
            if !self.domain().network().has_vpn(vpn) {
                return Err(Refusal::NotFound(format!("there is no VPN {}", vpn.0)));
            }
            return Err(Refusal::NotFound(format!("there is no application {name} in VPN {}", vpn.0)));
        }
        let mut named = secrets.keys().filter(|application| application.name == name);
        match (named.next(), named.next()) {
            (Some(only), None) => Ok(only.clone()),
            (None, _) => Err(Refusal::NotFound(format!("there is no application {name}"))),
            (Some(_), Some(_)) => Err(Refusal::NotFound(format!("several VPNs have an application {name}: say {name}@<vpn>"))),
        }
    }

    async fn secret(&self, application: &ApplicationId) -> Option<Secret> {
        self.0.secrets.get(application).cloned()
    }

    async fn admit_registration(&self, application: &ApplicationId, ce: &CeName) -> Result<(), Refusal> {
        let domain = self.domain();
        let network = domain.network();
        if !network.has_ce(ce) {
            return Err(Refusal::NotAcceptable(format!("there is no CE {}", ce.0)));
        }
        if network.circuit(ce, &application.vpn).is_none() {
            return Err(Refusal::Forbidden(format!("CE {} is not attached to VPN {}", ce.0, application.vpn.0)));
        }
        Ok(())
    }

    async fn registrations(&self) -> Vec<(ApplicationId, Kept)> {
        std::mem::take(&mut *self.0.registrations.lock().unwrap_or_else(PoisonError::into_inner))
    }

    fn keep_registrations(&self, application: &ApplicationId, kept: Option<Kept>) -> impl Future<Output = Result<(), Refusal>> + Send {
        let change = Change::Registration { application: application.clone(), body: kept.map(|kept| kept.0) };
        let commit = self.0.journal.append(vec![change]);
        async { commit.await.map_err(|error| EnactError::Journal(error).refusal()) }
    }

    fn moved(&self, at: HashMap<ApplicationId, CeName>, patience: Duration) {
        self.take_along(&at, patience);
    }

    async fn reserve(&self, request: SessionRequest) -> Result<Terms, Refusal> {
        let (admission, enacted) = self.admit(request)?;
        let session = admission.session;
        let done = enacted.done().await;
        self.told_to_go(admission.ousted);
        if let Err(error) = done {
            return Err(self.undo(session, &error).await);
        }
        let noted = self.note(|domain| {
            let mut effects = domain.programmed(session)?;
            effects.append(domain.ringing(session)?);
            Ok(effects)
        });
        if let Err(refusal) = noted.await {
            self.release(session, Cause::Network).await;
            return Err(refusal);
        }
        tracing::info!(session = session.0, terms = ?admission.terms, "session reserved and programmed");
        Ok(admission.terms)
    }

    async fn map(&self, session: SessionNumber, label: Label) -> Result<(), Refusal> {
        self.note(|domain| domain.mapped(session, label)).await?;
        tracing::info!(session = session.0, label = label.get(), "the peer has mapped a label");
        Ok(())
    }

    async fn establish(&self, session: SessionNumber, answer: Answer, kept: Kept) -> Result<Terms, Refusal> {
        let (terms, enacted) = self.agree(session, kept, Firmness::OrNot, |domain, now| domain.answered(session, &answer, now))?;
        enacted.done().await.map_err(|error| {
            // Signalling releases the session now, and that undoes it.
            tracing::warn!(session = session.0, %error, "what was agreed cannot be had");
            error.refusal()
        })?;
        tracing::info!(session = session.0, "session established");
        Ok(terms)
    }

    async fn propose(&self, session: SessionNumber, proposal: Proposal) -> Result<Terms, Refusal> {
        let (terms, enacted) = {
            let mut domain = self.domain();
            let now = self.now(&mut domain);
            let proposed = domain.propose(session, proposal, now).map_err(answer_refused)?;
            (proposed.terms, self.enact(&domain, proposed.effects, Vec::new(), Firmness::OrNot))
        };
        match enacted.done().await {
            Ok(()) => Ok(terms),
            Err(error) => {
                self.withdraw(session).await;
                Err(error.refusal())
            }
        }
    }

    async fn confirm(&self, session: SessionNumber, answer: Answer, kept: Kept) -> Result<Terms, Refusal> {
        // Both ends hold the new terms for agreed, and there is no way back to the old ones: who is away is waited for, or told later.
        let (terms, enacted) = self.agree(session, kept, Firmness::Surely, |domain, now| domain.confirm(session, &answer, now))?;
        enacted.surely().await;
        tracing::info!(session = session.0, ?terms, "session changed");
        self.count_behind(session);
        Ok(terms)
    }

    async fn withdraw(&self, session: SessionNumber) {
        if let Err(refusal) = self.note(|domain| domain.withdraw(session)).await {
            tracing::debug!(session = session.0, %refusal, "nothing to withdraw");
        }
    }

    async fn release(&self, session: SessionNumber, cause: Cause) {
        let released = {
            let mut domain = self.domain();
            let now = self.now(&mut domain);
            domain.released(session, cause, now).map(|release| self.let_go(&domain, release))
        };
        match released {
            Ok(gone) => gone.await,
            // Its time was over, or the routers did not take it: it is gone already.
            Err(error) => tracing::debug!(session = session.0, %error, "nothing to release"),
        }
    }
}
