//! The SIP library, behind one door: everything of `rsipstack` that the crate uses is used through here.
//!
//! The library owns transactions (RFC 3261 section 17, RFC 6026) and transports. Around it: sockets bound here, so that a taken port is a
//! typed error, and a strict reading of every message in front of it, because its parser is lax and drops without an answer what it cannot read.
//! The way of a message: [`udp`] or [`stream`] (cut by [`framing`]) → [`screen`], which answers what is wrong → [`validate`], which holds each header field
//! against the [`grammar`] and writes it again in the one form that the library reads right → the library, parsed once.

mod client;
mod dialog;
mod framing;
mod grammar;
mod head;
mod message;
mod screen;
mod stream;
mod udp;
mod validate;

use std::net::SocketAddr;
use std::sync::Arc;

use rsipstack::EndpointBuilder;
use rsipstack::sip::Transport;
use rsipstack::transaction::endpoint::{Endpoint, EndpointInnerRef, EndpointOption};
use rsipstack::transport::channel::ChannelConnection;
use rsipstack::transport::udp::UdpConnection;
use rsipstack::transport::{SipAddr, TransportLayer};
use tokio::net::{TcpListener, UdpSocket};
use tokio::sync::mpsc::unbounded_channel;
use tokio_util::sync::CancellationToken;

use crate::config::{Carrier, ListenAddress, SipConfig, StartError};

pub(crate) use client::InviteClient;
pub(crate) use dialog::{Dialog, DialogError, DialogKey, KeptDialog};
pub(crate) use message::{quotable, sequence, source, to_with_new_tag, warning, with_other_tag};
pub(crate) use rsipstack::sip;
pub(crate) use rsipstack::transaction::TransactionReceiver;
pub(crate) use rsipstack::transaction::make_tag;
pub(crate) use rsipstack::transaction::transaction::{Transaction, TransactionEvent, TransactionEventSender};
pub(crate) use rsipstack::transport::SipConnection;
pub(crate) use screen::ALLOW;

/// 64 * T1 of RFC 3261: how long a transaction tries.
pub(crate) const TRANSACTION_TIMEOUT: std::time::Duration = std::time::Duration::from_secs(32);

/// The running library.
pub(crate) struct Stack {
    endpoint: EndpointInnerRef,
    streams: Arc<stream::Streams>,
    stop: CancellationToken,
    addresses: Vec<ListenAddress>,
}

/// A bound socket.
enum Socket {
    Udp(Arc<UdpSocket>, UdpConnection),
    Stream(TcpListener),
}

impl Stack {
    /// Binds every address and starts to receive. Must be called within a tokio runtime.
    pub(crate) async fn start(config: &SipConfig) -> Result<(Self, TransactionReceiver), StartError> {
        if config.listen.is_empty() {
            return Err(StartError::NoAddress);
        }
        let stop = CancellationToken::new();
        let transports = TransportLayer::new(stop.clone());
        let mut addresses = Vec::new();
        let mut sockets = Vec::new();
        for listen in &config.listen {
            let (address, socket) = bind(*listen, &stop).await?;
            if let Socket::Udp(_, connection) = &socket {
                transports.add_transport(connection.clone().into());
            }
            addresses.push(ListenAddress { carrier: listen.carrier, address });
            sockets.push(socket);
        }
        let endpoint = EndpointBuilder::new()
            .with_user_agent("svpn-gateway")
            .with_transport_layer(transports)
            .with_cancel_token(stop.clone())
            .with_option(EndpointOption { timerc: config.ring_timeout + 2 * TRANSACTION_TIMEOUT, ..EndpointOption::default() })
            .build();
        let incoming = endpoint.incoming_transactions().map_err(stack_error)?;
        let streams = stream::Streams::new(Arc::clone(&endpoint.inner), stop.clone());
        receive(&endpoint, sockets, &streams, &stop).await?;
        let endpoint = Arc::clone(&endpoint.inner);
        let serving = Arc::clone(&endpoint);
        tokio::spawn(async move {
            if let Err(error) = serving.serve().await {
                tracing::error!(%error, "the SIP stack has stopped");
            }
        });
        Ok((Self { endpoint, streams, stop, addresses }, incoming))
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

async fn bind(listen: ListenAddress, stop: &CancellationToken) -> Result<(SocketAddr, Socket), StartError> {
    if listen.address.ip().is_unspecified() {
        return Err(StartError::Unspecified(listen));
    }
    let bind_error = |source| StartError::Bind { address: listen, source };
    if listen.carrier == Carrier::Udp {
        let socket = Arc::new(UdpSocket::bind(listen.address).await.map_err(bind_error)?);
        let address = socket.local_addr().map_err(bind_error)?;
        let sending = Arc::new(udp::SendingSocket(Arc::clone(&socket)));
        let connection = UdpConnection::from_socket(sending, Some(address), Some(stop.child_token())).await.map_err(stack_error)?;
        return Ok((address, Socket::Udp(socket, connection)));
    }
    let listener = TcpListener::bind(listen.address).await.map_err(bind_error)?;
    Ok((listener.local_addr().map_err(bind_error)?, Socket::Stream(listener)))
}

/// Starts to receive by every socket.
async fn receive(
    endpoint: &Endpoint,
    sockets: Vec<Socket>,
    streams: &Arc<stream::Streams>,
    stop: &CancellationToken,
) -> Result<(), StartError> {
    // All datagrams reach the library as if by one connection, which nothing is sent by.
    let (library, from_us) = unbounded_channel();
    let nowhere = SipAddr { r#type: None, addr: SocketAddr::from(([0, 0, 0, 0], 0)).into() };
    let inbox = ChannelConnection::create_connection(from_us, unbounded_channel().0, nowhere, None).await.map_err(stack_error)?;
    endpoint.inner.transport_layer.add_connection(inbox.into());
    for socket in sockets {
        match socket {
            Socket::Udp(socket, connection) => drop(tokio::spawn(udp::receive(socket, connection, library.clone(), stop.clone()))),
            Socket::Stream(listener) => drop(tokio::spawn(Arc::clone(streams).accept(listener))),
        }
    }
    Ok(())
}

#[allow(clippy::needless_pass_by_value, reason = "for map_err")]
fn stack_error(error: rsipstack::Error) -> StartError {
    StartError::Stack(error.to_string())
}

/// An address as the library writes it.
fn sip_address(transport: Transport, address: SocketAddr) -> SipAddr {
    SipAddr { r#type: Some(transport), addr: address.into() }
}

impl From<Carrier> for Transport {
    fn from(carrier: Carrier) -> Self {
        match carrier {
            Carrier::Udp => Self::Udp,
            Carrier::Tcp => Self::Tcp,
        }
    }
}
