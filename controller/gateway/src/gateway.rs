//! What signalling asks for, done: contract and calendar first, then the routers, then the record.

use std::collections::HashMap;
use std::time::SystemTime;

use svpn_contract::wire::SessionId;
use svpn_sip::sessions::{Secret, Sessions};
use svpn_store::{ChargeRecord, CountersRead, Timestamp, Traffic};
use svpn_vpn::domain::Summary;
use svpn_vpn::request::{Answer, ApplicationId, Cause, CeName, Direction, Refusal, SessionNumber, SessionRequest, Terms, VpnName};
use svpn_vpn::{AnswerError, Domain, NotNow, Release, Step};
use tokio::sync::Mutex;

use crate::charges::ChargeWriter;
use crate::routers::{PlanError, Routers};

/// The gateway behind the SIP server.
#[derive(Debug)]
pub struct Gateway {
    /// Plans build on one another, so whoever has the domain keeps it until the routers have what it returned.
    domain: Mutex<Domain>,
    routers: Routers,
    secrets: HashMap<ApplicationId, Secret>,
    charges: ChargeWriter,
}

impl Gateway {
    /// A gateway for these routers, which follow the same domain.
    pub fn new(domain: Domain, routers: Routers, secrets: HashMap<ApplicationId, Secret>, charges: ChargeWriter) -> Self {
        Self { domain: Mutex::new(domain), routers, secrets, charges }
    }

    /// Waits until every router holds what it should.
    pub async fn ready(&self) {
        self.routers.ready().await;
    }

    /// Writes what a session needs; when a router refuses, the session is undone.
    async fn program(&self, domain: &mut Domain, session: SessionNumber, steps: &[Step]) -> Result<(), Refusal> {
        let Err(error) = self.routers.write(steps).await else { return Ok(()) };
        tracing::warn!(session = session.0, %error, "the routers did not take the session: it is undone");
        let undo = domain.programming_failed(session).map_err(unexpected)?;
        self.routers.give_back(&undo).await;
        Err(unreachable_router(&error))
    }

    async fn end(&self, domain: &mut Domain, session: SessionNumber, cause: Cause) -> Result<(), NotNow> {
        let Release { stop, clear, summary } = domain.released(session, cause, SystemTime::now())?;
        self.routers.give_back(&stop).await;
        let record = self.record(&summary).await;
        self.routers.give_back(&clear).await;
        tracing::info!(session = session.0, caller = %summary.caller, callee = %summary.callee, ?cause, "session released");
        if let Err(error) = self.charges.write(record) {
            tracing::error!(%error, session = session.0, "a charge record is lost");
        }
        Ok(())
    }

    /// Ends the sessions whose time is over: their bandwidth is promised to others from then on.
    async fn end_expired(&self, domain: &mut Domain, now: SystemTime) {
        for session in domain.expired(now).collect::<Vec<_>>() {
            if let Err(error) = self.end(domain, session, Cause::WindowEnd).await {
                tracing::error!(session = session.0, %error, "a session could not be ended");
            }
        }
    }

    async fn record(&self, summary: &Summary) -> ChargeRecord {
        let mut counters = CountersRead::Final;
        let mut ways = [None, None];
        for &(direction, router) in &summary.counted_at {
            let (way, rate) = match direction {
                Direction::FromCallee => (1, summary.granted.from_callee),
                Direction::FromCaller | Direction::Both => (0, summary.granted.from_caller),
            };
            let traffic = Traffic::none(self.routers.name(router).to_owned(), rate.0);
            // Before the callee accepts, no packet is the session's.
            let counted = match (summary.established, SessionId::new(summary.session.0)) {
                (Some(_), Ok(session)) => Some(self.routers.count(router, session).await),
                _ => None,
            };
            ways[way] = Some(match counted {
                None => traffic,
                Some(Some(count)) => {
                    let pair = |count: svpn_switch::Count| (count.packets, count.bytes);
                    traffic.counted(pair(count.offered), pair(count.discarded))
                }
                Some(None) => {
                    counters = CountersRead::Incomplete;
                    traffic
                }
            });
        }
        let [from_caller, from_callee] = ways;
        ChargeRecord {
            session: summary.session.0,
            contract: summary.contract.clone(),
            vpn: summary.caller.vpn.0.clone(),
            caller: summary.caller.to_string(),
            caller_ce: summary.caller_ce.0.clone(),
            callee: summary.callee.to_string(),
            callee_ce: summary.callee_ce.0.clone(),
            class: summary.class.get(),
            start: Timestamp::new(summary.requested),
            established: summary.established.map(Timestamp::new),
            end: Timestamp::new(summary.ended),
            cause: format!("{:?}", summary.cause).to_lowercase(),
            from_caller,
            from_callee,
            counters,
        }
    }
}

fn unreachable_router(error: &PlanError) -> Refusal {
    Refusal::Unavailable(format!("router {} does not take the session", error.router))
}

/// The SIP server asked for something out of turn; it keeps the order, so this is a fault of ours, and said as one.
fn unexpected(error: NotNow) -> Refusal {
    tracing::error!(%error, "out of turn");
    Refusal::Unavailable(error.to_string())
}

impl Sessions for Gateway {
    async fn find_application(&self, name: &str, vpn: Option<&VpnName>) -> Result<ApplicationId, Refusal> {
        if let Some(vpn) = vpn {
            let known = ApplicationId { name: name.to_owned(), vpn: vpn.clone() };
            if self.secrets.contains_key(&known) {
                return Ok(known);
            }
            if !self.domain.lock().await.network().has_vpn(vpn) {
                return Err(Refusal::NotFound(format!("there is no VPN {}", vpn.0)));
            }
            return Err(Refusal::NotFound(format!("there is no application {name} in VPN {}", vpn.0)));
        }
        let mut named = self.secrets.keys().filter(|application| application.name == name);
        match (named.next(), named.next()) {
            (Some(only), None) => Ok(only.clone()),
            (None, _) => Err(Refusal::NotFound(format!("there is no application {name}"))),
            (Some(_), Some(_)) => Err(Refusal::NotFound(format!("several VPNs have an application {name}: say {name}@<vpn>"))),
        }
    }

    async fn secret(&self, application: &ApplicationId) -> Option<Secret> {
        self.secrets.get(application).cloned()
    }

    async fn admit_registration(&self, application: &ApplicationId, ce: &CeName) -> Result<(), Refusal> {
        let domain = self.domain.lock().await;
        let network = domain.network();
        if !network.has_ce(ce) {
            return Err(Refusal::NotAcceptable(format!("there is no CE {}", ce.0)));
        }
        if network.circuit(ce, &application.vpn).is_none() {
            return Err(Refusal::Forbidden(format!("CE {} is not attached to VPN {}", ce.0, application.vpn.0)));
        }
        Ok(())
    }

    async fn reserve(&self, request: SessionRequest) -> Result<Terms, Refusal> {
        let mut domain = self.domain.lock().await;
        let now = SystemTime::now();
        self.end_expired(&mut domain, now).await;
        let admission = domain.request(request, now)?;
        self.program(&mut domain, admission.session, &admission.steps).await?;
        domain.programmed(admission.session).and_then(|()| domain.ringing(admission.session)).map_err(unexpected)?;
        tracing::info!(session = admission.session.0, terms = ?admission.terms, "session reserved and programmed");
        Ok(admission.terms)
    }

    async fn establish(&self, session: SessionNumber, answer: Answer) -> Result<Terms, Refusal> {
        let mut domain = self.domain.lock().await;
        let answered = domain.answered(session, &answer, SystemTime::now());
        let (terms, steps) = answered.map_err(|error| match error {
            AnswerError::Refused(refusal) => refusal,
            AnswerError::NotNow(error) => unexpected(error),
        })?;
        if let Err(error) = self.routers.write(&steps).await {
            // Signalling releases the session now, and that undoes it.
            tracing::warn!(session = session.0, %error, "the routers did not take the session's flows");
            return Err(unreachable_router(&error));
        }
        tracing::info!(session = session.0, "session established");
        Ok(terms)
    }

    async fn release(&self, session: SessionNumber, cause: Cause) {
        let mut domain = self.domain.lock().await;
        if let Err(error) = self.end(&mut domain, session, cause).await {
            // Its time was over, or the routers did not take it: it is gone already.
            tracing::debug!(session = session.0, %error, "nothing to release");
        }
    }
}
