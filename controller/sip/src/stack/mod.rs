//! The SIP library, behind one door: everything of `rsipstack` that the crate uses is used through here.
//!
//! The library owns transactions (RFC 3261 section 17, RFC 6026) and transports. Around it: sockets bound here, so that a taken port is a
//! typed error, and two screens in front of it, [`screen`] for datagrams and [`validate`] for parsed messages, because its parser is lax and
//! drops without an answer what it cannot read.

mod client;
mod dialog;
mod message;
mod screen;
mod socket;
mod validate;

use std::sync::Arc;

use rsipstack::EndpointBuilder;
use rsipstack::transaction::endpoint::{EndpointInnerRef, EndpointOption};
use rsipstack::transport::TransportLayer;
use rsipstack::transport::udp::UdpConnection;
use tokio::net::{TcpListener, UdpSocket};
use tokio_util::sync::CancellationToken;

use crate::config::{Carrier, ListenAddress, SipConfig, StartError};

pub(crate) use client::InviteClient;
pub(crate) use dialog::{Dialog, DialogError, DialogKey, KeptDialog};
pub(crate) use message::{quotable, sequence, to_with_new_tag, warning};
pub(crate) use rsipstack::sip;
pub(crate) use rsipstack::transaction::TransactionReceiver;
pub(crate) use rsipstack::transaction::make_tag;
pub(crate) use rsipstack::transaction::transaction::{Transaction, TransactionEvent, TransactionEventSender};
pub(crate) use rsipstack::transport::SipConnection;
pub(crate) use screen::ALLOW;

/// 64 * T1 of RFC 3261: how long a transaction tries.
pub(crate) const TRANSACTION_TIMEOUT: std::time::Duration = std::time::Duration::from_secs(32);

/// A connection over which nothing comes for this long is closed. Whoever has a session and cannot be connected to again has to keep it open.
const IDLE_CONNECTION: std::time::Duration = std::time::Duration::from_hours(1);

/// The running library.
pub(crate) struct Stack {
    endpoint: EndpointInnerRef,
    stop: CancellationToken,
    addresses: Vec<ListenAddress>,
}

impl Stack {
    /// Binds every address and starts to receive. Must be called within a tokio runtime.
    pub(crate) async fn start(config: &SipConfig) -> Result<(Self, TransactionReceiver), StartError> {
        if config.listen.is_empty() {
            return Err(StartError::NoAddress);
        }
        let stop = CancellationToken::new();
        let transports = TransportLayer::new(stop.clone());
        transports.set_stream_idle_timeout(IDLE_CONNECTION);
        let mut addresses = Vec::new();
        let mut listeners = Vec::new();
        for listen in &config.listen {
            if listen.address.ip().is_unspecified() {
                return Err(StartError::Unspecified(*listen));
            }
            let bind_error = |source| StartError::Bind { address: *listen, source };
            let address = match listen.carrier {
                Carrier::Udp => {
                    let udp = UdpSocket::bind(listen.address).await.map_err(bind_error)?;
                    let address = udp.local_addr().map_err(bind_error)?;
                    let screened = Arc::new(socket::ScreenedSocket::new(udp));
                    let connection = UdpConnection::from_socket(screened, Some(address), Some(stop.child_token()))
                        .await
                        .map_err(|error| StartError::Stack(error.to_string()))?;
                    transports.add_transport(connection.into());
                    address
                }
                Carrier::Tcp => {
                    let tcp = TcpListener::bind(listen.address).await.map_err(bind_error)?;
                    let address = tcp.local_addr().map_err(bind_error)?;
                    listeners.push(tcp);
                    address
                }
            };
            addresses.push(ListenAddress { carrier: listen.carrier, address });
        }
        let endpoint = EndpointBuilder::new()
            .with_user_agent("svpn-gateway")
            .with_transport_layer(transports)
            .with_cancel_token(stop.clone())
            .with_transport_inspector(Box::new(validate::Validator))
            .with_option(EndpointOption { timerc: config.ring_timeout + 2 * TRANSACTION_TIMEOUT, ..EndpointOption::default() })
            .build();
        let incoming = endpoint.incoming_transactions().map_err(|error| StartError::Stack(error.to_string()))?;
        let endpoint = Arc::clone(&endpoint.inner);
        for listener in listeners {
            tokio::spawn(socket::accept(listener, Arc::clone(&endpoint), stop.child_token()));
        }
        let serving = Arc::clone(&endpoint);
        tokio::spawn(async move {
            if let Err(error) = serving.serve().await {
                tracing::error!(%error, "the SIP stack has stopped");
            }
        });
        Ok((Self { endpoint, stop, addresses }, incoming))
    }

    /// Where the server listens, port 0 replaced by the one chosen.
    pub(crate) fn addresses(&self) -> &[ListenAddress] {
        &self.addresses
    }

    /// The library's endpoint.
    pub(crate) fn endpoint(&self) -> &EndpointInnerRef {
        &self.endpoint
    }

    /// Closes every socket.
    pub(crate) fn stop(&self) {
        self.stop.cancel();
    }
}

impl Drop for Stack {
    fn drop(&mut self) {
        self.stop();
    }
}
