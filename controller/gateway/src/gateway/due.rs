//! Sessions that start and stop by themselves, to the second.

use std::time::{Duration, SystemTime};

use svpn_vpn::request::{Cause, SessionNumber, Terms};
use svpn_vpn::{Begun, Domain, Due, Effects};

use super::Gateway;
use super::ending::settle;
use crate::routers::Firmness;

/// Clocks are set: what is due is looked at again at least this often, which costs next to nothing.
const LOOK_AGAIN: Duration = Duration::from_secs(1);

impl Gateway {
    /// Starts and stops what is due, for ever.
    pub async fn keep_time(self) {
        loop {
            let next = {
                let mut domain = self.domain();
                let now = self.now(&mut domain);
                self.do_what_is_due(&mut domain, now);
                domain.next_due()
            };
            let wait = next.map_or(LOOK_AGAIN, |next| next.duration_since(SystemTime::now()).unwrap_or_default());
            tokio::select! {
                () = tokio::time::sleep(wait.min(LOOK_AGAIN)) => {}
                () = self.0.sooner.notified() => {}
            }
        }
    }

    /// Queues what is due; before anything new is decided, for it gives back what others are promised from now on.
    pub(super) fn do_what_is_due(&self, domain: &mut Domain, now: SystemTime) {
        for due in domain.due(now) {
            let done = match due {
                Due::Stop(session) => domain.released(session, Cause::WindowEnd, now).map(|release| {
                    self.tell(&release.summary);
                    drop(self.let_go(domain, release));
                }),
                Due::Start(session) => domain.start(session, now).map(|begun| match begun {
                    Begun::Established { terms, effects } => self.begin(domain, session, terms, effects),
                    Begun::Released(release) => {
                        self.tell(&release.summary);
                        drop(self.let_go(domain, *release));
                    }
                }),
            };
            if let Err(error) = done {
                // A start waits for a stop of the same moment, which is on its way.
                tracing::debug!(?due, %error, "not done yet");
            }
        }
    }

    fn begin(&self, domain: &Domain, session: SessionNumber, terms: Terms, effects: Effects) {
        // It was promised: a router that is away at this moment does not undo it.
        let enacted = self.enact(domain, effects, Vec::new(), Firmness::Surely);
        let gateway = self.clone();
        self.0.tasks.spawn(async move {
            let Some(durable) = enacted.durable().await else { return };
            let error = match durable.carried_out().await {
                Ok(()) => {
                    tracing::info!(session = session.0, ?terms, "a booked session has started");
                    return;
                }
                Err(error) if !error.is_refusal() => {
                    tracing::warn!(session = session.0, ?terms, %error, "a booked session has started, and a router gets it when it answers");
                    return;
                }
                Err(error) => error,
            };
            tracing::warn!(session = session.0, %error, "a booked session cannot be started: it is released");
            let gone = {
                let mut domain = gateway.domain();
                let now = gateway.now(&mut domain);
                domain.released(session, Cause::Network, now).map(|release| {
                    gateway.tell(&release.summary);
                    (gateway.enact(&domain, release.effects, Vec::new(), Firmness::Surely), release.summary)
                })
            };
            if let Ok((enacted, summary)) = gone {
                enacted.surely().await;
                settle(gateway, summary).await;
            }
        });
    }
}
