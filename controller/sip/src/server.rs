//! The server: what the gateway starts and stops.

use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use crate::address::Domain;
use crate::call::{Calls, Groups, elsewhere, resume};
use crate::config::{ListenAddress, SipConfig, StartError};
use crate::digest::Authenticator;
use crate::peers::Peers;
use crate::registrar::{Clocks, Registrar};
use crate::serve::{Front, serve};
use crate::services::Services;
use crate::sessions::{HangUp, Resumed, Sessions};
use crate::stack::{Further, Stack};
use svpn_vpn::request::{ApplicationId, Cause};
use tokio::sync::mpsc::UnboundedReceiver;

/// How long [`Server::shutdown`] waits for applications to answer BYE.
const FAREWELL: Duration = Duration::from_secs(4);

/// How often expired registrations are swept out.
const SWEEP: Duration = Duration::from_mins(1);

/// A running SIP server. It serves on if this is dropped; [`Server::shutdown`] ends it.
pub struct Server {
    addresses: Vec<ListenAddress>,
    stop: Pin<Box<dyn Future<Output = ()> + Send>>,
}

impl Server {
    /// Binds every address of the configuration and serves until [`Server::shutdown`]. The calls of the gateway before this one go on, and
    /// those named by `hang_up` are ended. Must be called within a tokio runtime.
    ///
    /// # Errors
    /// [`StartError`], which names the address that could not be bound.
    pub async fn start<S: Sessions>(
        config: SipConfig,
        sessions: Arc<S>,
        resumed: Vec<Resumed>,
        mut hang_up: UnboundedReceiver<HangUp>,
    ) -> Result<Self, StartError> {
        let own = config.listen.iter().map(|listen| listen.address.ip()).collect();
        let domain = Domain::new(&config.domain, own);
        let authenticator = Arc::new(Mutex::new(Authenticator::new(config.digest.clone(), Instant::now())));
        let peers = Peers::new(config.peering.clone());
        let front = Front { domain: domain.clone(), authenticator: Arc::clone(&authenticator), peers };
        let (stack, incoming, further) = Stack::start(&config, Box::new(move |request, from| front.judge(request, from))).await?;
        let addresses = stack.addresses().to_vec();
        let services = Arc::new(Services {
            sessions,
            stack,
            domain,
            calls: Calls::default(),
            groups: Groups::default(),
            ring_timeout: config.ring_timeout,
            move_timeout: config.move_timeout,
            session_timer: config.session_timer,
            authenticator,
            registrar: Mutex::new(Registrar::default()),
            peers: Peers::new(config.peering),
        });
        resume_registrations(&services).await;
        for call in &resumed {
            if let Err(error) = resume(&services, call) {
                tracing::error!(session = call.terms.session.0, %error, "nobody can hang up the session: it is ended");
                services.sessions.release(call.terms.session, Cause::Signalling).await;
            }
        }
        follow_all(&services);
        let hanging_up = Arc::clone(&services);
        let hanging_up = tokio::spawn(async move {
            while let Some(call) = hang_up.recv().await {
                hanging_up.calls.hang_up(call);
            }
        });
        let disposing = tokio::spawn(hang_up_on_all(further, Arc::clone(&services)));
        let serving = tokio::spawn(serve(incoming, Arc::clone(&services)));
        let sweeping = tokio::spawn(sweep(Arc::clone(&services)));
        let stop = Box::pin(async move {
            services.calls.stop().await;
            // Who does not answer BYE in time is not waited for: nothing is reserved for anybody any more.
            let _ = tokio::time::timeout(FAREWELL, services.calls.silence()).await;
            services.stack.stop();
            serving.abort();
            hanging_up.abort();
            disposing.abort();
            sweeping.abort();
        });
        Ok(Self { addresses, stop })
    }

    /// Where the server listens; a port 0 of the configuration is the one the system chose.
    pub fn addresses(&self) -> &[ListenAddress] {
        &self.addresses
    }

    /// Turns new calls away, ends those that are being set up, releases their sessions with [`Cause::Shutdown`], and closes the sockets.
    /// Sessions in service are left as they are: the next server goes on with them.
    ///
    /// Returns when the last `release` has returned and the applications have answered BYE, or have had four seconds for it.
    pub async fn shutdown(self) {
        self.stop.await;
    }
}

/// Who answers an INVITE that another has answered is hung up on.
async fn hang_up_on_all<S: Sessions>(mut further: UnboundedReceiver<Further>, services: Arc<Services<S>>) {
    while let Some(further) = further.recv().await {
        let services = Arc::clone(&services);
        tokio::spawn(async move { services.stack.hang_up_on(further, elsewhere()).await });
    }
}

async fn sweep<S: Sessions>(services: Arc<Services<S>>) {
    loop {
        tokio::time::sleep(SWEEP).await;
        let gone = services.registrar().sweep(Instant::now());
        for application in gone {
            forget(&services, &application).await;
        }
    }
}

/// Applications are found where the server before this one knew them to be, as far as that is still allowed.
async fn resume_registrations<S: Sessions>(services: &Services<S>) {
    for (application, kept) in services.sessions.registrations().await {
        let clocks = Clocks::read();
        if let Err(error) = services.registrar().resume(&application, &kept, clocks) {
            tracing::error!(%application, %error, "the registration is not taken up: it has to be made again");
        }
        let bindings = services.registrar().bindings(&application, clocks.now);
        for binding in &bindings {
            if let Err(refusal) = services.sessions.admit_registration(&application, &binding.ce).await {
                tracing::warn!(%application, ce = binding.ce.0, %refusal, "the registration does not hold any more");
                services.registrar().retain(&application, |ce| *ce != binding.ce);
            }
        }
        if services.registrar().bindings(&application, clocks.now).is_empty() {
            forget(services, &application).await;
        }
    }
}

/// Who moved while there was no gateway, or just before, has sessions elsewhere still.
fn follow_all<S: Sessions>(services: &Services<S>) {
    let at = services.registrar().places(Instant::now());
    services.sessions.moved(at, services.move_timeout);
}

async fn forget<S: Sessions>(services: &Services<S>, application: &ApplicationId) {
    // It is durable sooner or later, and what has expired counts for nothing.
    if let Err(refusal) = services.sessions.keep_registrations(application, None).await {
        tracing::debug!(%application, %refusal, "an expired registration stays in the store");
    }
}
