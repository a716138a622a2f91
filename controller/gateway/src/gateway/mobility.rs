//! Applications that go to another CE: their sessions follow them, or end.

use std::collections::HashMap;
use std::time::Duration;

use fail::fail_point;
use svpn_contract::wire::SessionId;
use svpn_vpn::domain::{LeftBehind, MoveError};
use svpn_vpn::durable::Counted;
use svpn_vpn::request::{ApplicationId, Cause, CeName, Refusal, SessionNumber};
use svpn_vpn::{Effects, NotNow};
use tokio::time::{Instant, sleep_until};

use super::Gateway;
use crate::routers::Firmness;

/// How often a session that could not follow for the moment is looked at again.
const AGAIN: Duration = Duration::from_secs(1);

impl Gateway {
    /// Applications are at these CEs. Their sessions elsewhere follow, or end when they have not in time.
    pub(super) fn take_along(&self, at: &HashMap<ApplicationId, CeName>, patience: Duration) {
        self.whereabouts().extend(at.iter().map(|(application, ce)| (application.clone(), ce.clone())));
        let elsewhere = self.domain().sessions_elsewhere(|application| at.get(application).cloned());
        let until = Instant::now() + patience;
        for (session, application, ce) in elsewhere {
            tracing::info!(session = session.0, %application, ce = ce.0, "the application has moved");
            self.0.tasks.spawn(self.clone().follow(session, application, ce, until));
        }
    }

    async fn follow(self, session: SessionNumber, application: ApplicationId, ce: CeName, until: Instant) {
        loop {
            let late = Instant::now() >= until;
            let again = match self.relocate(session, &application, &ce).await {
                // It follows; or it is over, or not what it was.
                Ok(()) | Err(MoveError::NotNow(NotNow::Unknown(_) | NotNow::OutOfTurn(_))) => return,
                Err(error)
                    if (late && error != MoveError::NotNow(NotNow::Proposed))
                        || matches!(&error, MoveError::Refused(refusal) if !matches!(refusal, Refusal::Unavailable(_))) =>
                {
                    tracing::warn!(session = session.0, %application, ce = ce.0, %error, "the session cannot follow: it is ended");
                    return self.end_moved(session);
                }
                // What is proposed may be that it follows.
                Err(MoveError::NotNow(NotNow::Proposed)) => Instant::now() + AGAIN,
                // The application says its new addresses itself.
                Err(MoveError::Addresses) => until,
                Err(_) => until.min(Instant::now() + AGAIN),
            };
            sleep_until(again).await;
            if self.whereabouts().get(&application) != Some(&ce) {
                // It went on, and so does somebody else with it.
                return;
            }
        }
    }

    async fn relocate(&self, session: SessionNumber, application: &ApplicationId, ce: &CeName) -> Result<(), MoveError> {
        let enacted = {
            let mut domain = self.domain();
            let now = self.now(&mut domain);
            let answered = domain.relocate(session, application, ce, now)?;
            if answered.effects == Effects::default() {
                return Ok(());
            }
            self.enact(&domain, answered.effects, Vec::new(), Firmness::Surely)
        };
        enacted.surely().await;
        tracing::info!(session = session.0, %application, ce = ce.0, "the session has followed");
        self.count_behind(session);
        Ok(())
    }

    fn end_moved(&self, session: SessionNumber) {
        let mut domain = self.domain();
        // Whoever ended it meanwhile has told all about it.
        let now = self.now(&mut domain);
        if let Ok(release) = domain.released(session, Cause::Moved, now) {
            self.tell(&release.summary);
            drop(self.let_go(&domain, release));
        }
    }

    /// Reads what was carried from where a session does not begin any more, and takes it away there.
    pub(super) fn count_behind(&self, session: SessionNumber) {
        let behind = self.domain().left_behind_by(session);
        for left in behind {
            self.0.tasks.spawn(self.clone().count_left(left));
        }
    }

    pub(super) async fn count_left(self, left: LeftBehind) {
        let Ok(session) = SessionId::new(left.session.0) else { return };
        let counted = self.count(left.router, session).await.map_or(Counted::UNTOLD, counted);
        fail_point!("gateway: before a session is counted where it began");
        let noted = {
            let mut domain = self.domain();
            domain.counted(left, counted).map(|effects| self.enact(&domain, effects, Vec::new(), Firmness::Surely))
        };
        match noted {
            Ok(enacted) => {
                enacted.surely().await;
                tracing::info!(session = left.session.0, router = self.0.routers.name(left.router), ?counted, "counted where it began");
            }
            Err(error) => tracing::debug!(session = left.session.0, %error, "counted with the rest"),
        }
    }
}

/// What a router has counted, as it is kept.
pub(super) fn counted(counters: svpn_switch::SessionCounters) -> Counted {
    let svpn_switch::SessionCounters { offered, discarded } = counters;
    Counted {
        offered_packets: offered.packets,
        offered_bytes: offered.bytes,
        discarded_packets: discarded.packets,
        discarded_bytes: discarded.bytes,
        incomplete: false,
    }
}
