//! How a gateway begins where the one before it ended, however that ended.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};
use std::time::SystemTime;

use fail::fail_point;
use svpn_sip::sessions::{HangUp, Resumed};
use svpn_store::{Journal, Kept};
use svpn_switch::ElectionId;
use svpn_vpn::session::State;
use svpn_vpn::{Domain, RestoreError};
use tokio::sync::{Notify, mpsc};
use tokio_util::task::TaskTracker;

use super::clock::Clock;
use super::ending::{bill, settle};
use super::{Gateway, Shared};
use crate::config::Config;
use crate::routers::{Notice, Routers};

/// Why the gateway cannot begin.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// What was kept does not fit the configuration.
    #[error(transparent)]
    Restore(#[from] RestoreError),
    /// What was decided at the start cannot be made durable.
    #[error("the journal does not take what is decided at the start: {0}")]
    Journal(#[from] svpn_store::AppendError),
}

/// What else begins with a gateway.
#[derive(Debug)]
pub struct Begun {
    /// The gateway.
    pub gateway: Gateway,
    /// The sessions whose dialogs go on.
    pub resumed: Vec<Resumed>,
    /// What signalling is told to end.
    pub hang_up: mpsc::UnboundedReceiver<HangUp>,
    /// What the routers tell.
    pub notices: mpsc::Receiver<Notice>,
}

impl Gateway {
    /// A gateway that goes on with what was kept: established and booked sessions as they were; those that were over are settled when
    /// their routers answer; those that were not agreed on yet are undone, before anything is written to a router.
    ///
    /// # Errors
    /// [`StartError`]
    pub async fn start(config: &Config, election: ElectionId, kept: Kept, journal: Journal) -> Result<Begun, StartError> {
        let clock = Clock::read();
        let now = SystemTime::now();
        let Kept { facts, dialogs, registrations } = kept;
        let registrations = registrations.into_iter().map(|(application, body)| (application, svpn_sip::sessions::Kept(body))).collect();
        let (mut domain, restored) = Domain::restore(config.network.clone(), facts, now)?;
        let mut effects = restored.effects;
        for session in restored.changing {
            if let Ok(withdrawn) = domain.withdraw(session) {
                effects.append(withdrawn);
            }
        }
        for session in restored.half_made {
            tracing::warn!(session = session.0, "the session was not agreed on when the gateway ended: it is undone");
            if let Ok(undone) = domain.programming_failed(session, now) {
                effects.append(undone);
            }
        }
        for lost in &restored.lost {
            tracing::error!(session = lost.summary.session.0, why = %lost.why, "the session cannot go on: it is ended");
        }
        let over = restored.releasing.into_iter().chain(restored.rerouted.ended).collect::<Vec<_>>();
        let lost = restored.lost.into_iter().map(|lost| lost.summary);
        fail_point!("start: before the journal is brought up to date");
        // Routers are brought to what the domain expects of them now: the steps are in that.
        journal.append(effects.facts.into_iter().map(Into::into).collect()).await?;
        let resumed = resumed(&domain, dialogs);
        fail_point!("start: after the journal is brought up to date");
        tracing::info!(sessions = resumed.len(), unsettled = over.len(), "the journal is read");
        let (routers, notices) = Routers::start(&config.routers, election, &domain);
        let (hang_up, told) = mpsc::unbounded_channel();
        let shared = Shared {
            domain: Mutex::new(domain),
            routers,
            journal,
            secrets: config.secrets.clone(),
            registrations: Mutex::new(registrations),
            unwritten: Mutex::default(),
            clock: Mutex::new(clock),
            whereabouts: Mutex::default(),
            hang_up,
            sooner: Notify::new(),
            tasks: TaskTracker::new(),
        };
        let gateway = Self(Arc::new(shared));
        // Links may be meant to be used otherwise than when the gateway before this one ended.
        gateway.configure(config);
        for summary in over {
            // Its ends may not have heard of it.
            gateway.tell(&summary);
            gateway.0.tasks.spawn(settle(gateway.clone(), summary));
        }
        for summary in lost {
            gateway.0.tasks.spawn(bill(gateway.clone(), summary));
        }
        let behind = gateway.domain().left_behind();
        for left in behind {
            gateway.0.tasks.spawn(gateway.clone().count_left(left));
        }
        Ok(Begun { gateway, resumed, hang_up: told, notices })
    }
}

/// Those that go on, and those whose ends are still to be told that they are over; with their dialogs.
fn resumed(domain: &Domain, dialogs: Vec<(svpn_vpn::request::SessionNumber, String)>) -> Vec<Resumed> {
    let states: HashMap<_, _> = domain.sessions().collect();
    let kept = dialogs
        .into_iter()
        .filter(|(session, _)| matches!(states.get(session), Some(State::Established | State::Booked | State::Releasing)));
    kept.filter_map(|(session, body)| Some(Resumed { terms: domain.terms(session).ok()?, kept: svpn_sip::sessions::Kept(body) })).collect()
}
