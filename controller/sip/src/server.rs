//! The server: what the gateway starts and stops.

use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use crate::address::Domain;
use crate::call::Calls;
use crate::config::{ListenAddress, SipConfig, StartError};
use crate::digest::Authenticator;
use crate::registrar::Registrar;
use crate::serve::serve;
use crate::services::Services;
use crate::sessions::Sessions;
use crate::stack::Stack;

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
    /// Binds every address of the configuration and serves until [`Server::shutdown`]. Must be called within a tokio runtime.
    ///
    /// # Errors
    /// [`StartError`], which names the address that could not be bound.
    pub async fn start<S: Sessions>(config: SipConfig, sessions: Arc<S>) -> Result<Self, StartError> {
        let (stack, incoming) = Stack::start(&config).await?;
        let now = Instant::now();
        let addresses = stack.addresses().to_vec();
        let own = addresses.iter().map(|listen| listen.address.ip()).collect();
        let services = Arc::new(Services {
            sessions,
            stack,
            domain: Domain::new(&config.domain, own),
            calls: Calls::default(),
            ring_timeout: config.ring_timeout,
            authenticator: Mutex::new(Authenticator::new(now)),
            registrar: Mutex::new(Registrar::default()),
        });
        let serving = tokio::spawn(serve(incoming, Arc::clone(&services)));
        let sweeping = tokio::spawn(sweep(Arc::clone(&services)));
        let stop = Box::pin(async move {
            services.calls.stop().await;
            // Who does not answer BYE in time is not waited for: nothing is reserved for anybody any more.
            let _ = tokio::time::timeout(FAREWELL, services.calls.silence()).await;
            services.stack.stop();
            serving.abort();
            sweeping.abort();
        });
        Ok(Self { addresses, stop })
    }

    /// Where the server listens; a port 0 of the configuration is the one the system chose.
    pub fn addresses(&self) -> &[ListenAddress] {
        &self.addresses
    }

    /// Turns new calls away, hangs up every call, releases every session with [`svpn_vpn::request::Cause::Shutdown`], and closes the sockets.
    ///
    /// Returns when the last `release` has returned and the applications have answered BYE, or have had four seconds for it.
    pub async fn shutdown(self) {
        self.stop.await;
    }
}

async fn sweep<S: Sessions>(services: Arc<Services<S>>) {
    loop {
        tokio::time::sleep(SWEEP).await;
        services.registrar().sweep(Instant::now());
    }
}
