//! The SIP library, behind one door: everything of `rsipstack` that the crate uses is used through here.
//!
//! The library owns transactions (RFC 3261 section 17, RFC 6026) and transports. Around it: sockets bound here, so that a taken port is a
//! typed error, and a strict reading of every message in front of it, because its parser is lax and drops without an answer what it cannot read.
//! The way of a message: [`udp`], [`stream`] (cut by [`framing`]) or [`web_socket`] (after an [`upgrade`]) → [`screen`], which answers what is wrong → [`validate`], which holds each header field
//! against the [`grammar`] and writes it again in the one form that the library reads right → [`gate`], which turns away what is over with one answer → the
//! library, parsed once. [`sources`] says how much of it one address may send, and [`connections`] how many it may open. A message of ours goes to a [`next_hop`]; by [`ways`] to
//! those that cannot be connected to.

mod client;
mod connections;
mod dialog;
mod escapes;
mod forks;
mod framing;
mod gate;
mod grammar;
mod head;
mod message;
mod next_hop;
mod screen;
mod sources;
mod stream;
mod tls;
mod udp;
mod upgrade;
mod validate;
mod ways;
mod web_socket;

use std::net::SocketAddr;
use std::sync::{Arc, OnceLock};

use rsipstack::EndpointBuilder;
#[cfg(feature = "fuzzing")]
use rsipstack::sip::Request;
#[cfg(feature = "fuzzing")]
use rsipstack::sip::prelude::HeadersExt;
use rsipstack::sip::{Transport, Uri};
use rsipstack::transaction::endpoint::{Endpoint, EndpointInnerRef, EndpointOption};
use rsipstack::transport::channel::ChannelConnection;
use rsipstack::transport::udp::UdpConnection;
use rsipstack::transport::{SipAddr, TransportLayer};
use tokio::net::{TcpListener, UdpSocket};
use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};
use tokio_util::sync::CancellationToken;

use svpn_vpn::request::ApplicationId;

use crate::config::{Carrier, ListenAddress, SipConfig, StartError};
use forks::Forks;
use gate::Judge;
use ways::Place;

pub(crate) use client::{InviteClient, next_message};
pub(crate) use dialog::{Dialog, DialogError, DialogKey, KeptDialog};
pub(crate) use escapes::{from_uri, read_again, to_uri, unescaped};
pub(crate) use forks::Further;
pub(crate) use message::{quotable, sequence, source, to_with_new_tag, warning, with_other_tag};
pub(crate) use next_hop::NextHop;
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
    forks: Arc<Forks>,
    /// By local address.
    udp: Vec<(SocketAddr, UdpConnection)>,
    stop: CancellationToken,
    addresses: Vec<ListenAddress>,
}

/// A bound socket.
enum Socket {
    Udp(Arc<UdpSocket>, UdpConnection),
    Stream(TcpListener, Carrier),
}

impl Stack {
    /// Binds every address and starts to receive requests, and 2xx to INVITEs that were answered before. Must be called within a tokio runtime.
    pub(crate) async fn start(
        config: &SipConfig,
        judge: Judge,
    ) -> Result<(Self, TransactionReceiver, UnboundedReceiver<Further>), StartError> {
        if config.listen.is_empty() {
            return Err(StartError::NoAddress);
        }
        let over_tls = config.listen.iter().find(|listen| listen.carrier.is_secure());
        let tls = match (&config.tls, over_tls) {
            (Some(files), _) => Some(tls::Tls::load(files)?),
            (None, Some(listen)) => return Err(StartError::NoCertificate(*listen)),
            (None, None) => None,
        };
        let stop = CancellationToken::new();
        let transports = TransportLayer::new(stop.clone());
        let mut addresses = Vec::new();
        let mut sockets = Vec::new();
        let mut udp = Vec::new();
        for listen in &config.listen {
            let (address, socket) = bind(*listen, &stop).await?;
            if let Socket::Udp(_, connection) = &socket {
                transports.add_transport(connection.clone().into());
                udp.push((address, connection.clone()));
            }
            addresses.push(ListenAddress { carrier: listen.carrier, address });
            sockets.push(socket);
        }
        let known = Arc::new(OnceLock::new());
        let (to_further, further) = unbounded_channel();
        let forks = Arc::new(Forks::new(to_further));
        let gate = gate::Gate { judge, forks: Arc::clone(&forks), most: config.limits.transactions, endpoint: Arc::clone(&known) };
        let endpoint = EndpointBuilder::new()
            .with_user_agent("svpn-gateway")
            .with_transport_layer(transports)
            .with_cancel_token(stop.clone())
            .with_transport_inspector(Box::new(gate))
            .with_option(EndpointOption { timerc: config.ring_timeout + 2 * TRANSACTION_TIMEOUT, ..EndpointOption::default() })
            .build();
        let incoming = endpoint.incoming_transactions().map_err(stack_error)?;
        // It is set once, here.
        let _ = known.set(Arc::downgrade(&endpoint.inner));
        let sources = Arc::new(sources::Sources::new(config.limits.messages_per_source));
        let streams = stream::Streams::new(Arc::clone(&endpoint.inner), tls, Arc::clone(&sources), stop.clone());
        receive(&endpoint, sockets, &streams, &sources, &stop).await?;
        let endpoint = Arc::clone(&endpoint.inner);
        let serving = Arc::clone(&endpoint);
        tokio::spawn(async move {
            if let Err(error) = serving.serve().await {
                tracing::error!(%error, "the SIP stack has stopped");
            }
        });
        Ok((Self { endpoint, streams, forks, udp, stop, addresses }, incoming, further))
    }

    /// Where the server listens, port 0 replaced by the one chosen.
    pub(crate) fn addresses(&self) -> &[ListenAddress] {
        &self.addresses
    }

    /// The application is reached at these contacts, and as long as it is open by the connection by which it registered them.
    pub(crate) fn remember_ways(&self, whose: &ApplicationId, contacts: &[Uri], connection: Option<&SipConnection>) {
        let Some(connection) = connection else { return };
        for contact in contacts {
            if let Some(place) = self.place(contact) {
                self.streams.remember_way(whose, place, connection);
            }
        }
    }

    /// A contact of an application, and the connection that it stands for.
    pub(crate) fn contact_of(&self, whose: &ApplicationId, contact: Uri) -> NextHop {
        let way = self.place(&contact).and_then(|place| self.streams.way(whose, &place));
        NextHop::new(contact).of(Some(whose.clone())).by(way)
    }

    /// What a way to this address leads to.
    fn place(&self, uri: &Uri) -> Option<Place> {
        let carrier = self.asked(uri);
        Place::web_socket(uri).or_else(|| Place::address(carrier.into(), uri, port(uri, carrier)))
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
        let socket = Arc::new(udp::bind(listen.address).await.map_err(bind_error)?);
        let address = socket.local_addr().map_err(bind_error)?;
        let sending = Arc::new(udp::SendingSocket(Arc::clone(&socket)));
        let connection = UdpConnection::from_socket(sending, Some(address), Some(stop.child_token())).await.map_err(stack_error)?;
        return Ok((address, Socket::Udp(socket, connection)));
    }
    let listener = TcpListener::bind(listen.address).await.map_err(bind_error)?;
    Ok((listener.local_addr().map_err(bind_error)?, Socket::Stream(listener, listen.carrier)))
}

/// Starts to receive by every socket.
async fn receive(
    endpoint: &Endpoint,
    sockets: Vec<Socket>,
    streams: &Arc<stream::Streams>,
    sources: &Arc<sources::Sources>,
    stop: &CancellationToken,
) -> Result<(), StartError> {
    // All datagrams reach the library as if by one connection, which nothing is sent by.
    let (library, from_us) = unbounded_channel();
    let nowhere = SipAddr { r#type: None, addr: SocketAddr::from(([0, 0, 0, 0], 0)).into() };
    let inbox = ChannelConnection::create_connection(from_us, unbounded_channel().0, nowhere, None).await.map_err(stack_error)?;
    endpoint.inner.transport_layer.add_connection(inbox.into());
    for socket in sockets {
        match socket {
            Socket::Udp(socket, connection) => {
                tokio::spawn(udp::receive(socket, connection, library.clone(), Arc::clone(sources), stop.clone()));
            }
            Socket::Stream(listener, carrier) => drop(tokio::spawn(Arc::clone(streams).accept(listener, carrier))),
        }
    }
    Ok(())
}

#[allow(clippy::needless_pass_by_value, reason = "for map_err")]
fn stack_error(error: rsipstack::Error) -> StartError {
    StartError::Stack(error.to_string())
}

/// The port of an address, said or not.
fn port(uri: &Uri, carrier: Carrier) -> u16 {
    uri.host_with_port.port.map_or_else(|| Transport::from(carrier).default_port().0, |port| port.0)
}

/// An address as the library writes it.
fn sip_address(transport: Transport, address: SocketAddr) -> SipAddr {
    SipAddr { r#type: Some(transport), addr: address.into() }
}

impl TryFrom<Transport> for Carrier {
    /// Nobody here speaks the others.
    type Error = Transport;

    fn try_from(transport: Transport) -> Result<Self, Transport> {
        match transport {
            Transport::Udp => Ok(Self::Udp),
            Transport::Tcp => Ok(Self::Tcp),
            Transport::Tls => Ok(Self::Tls),
            Transport::Ws => Ok(Self::Ws),
            Transport::Wss => Ok(Self::Wss),
            other => Err(other),
        }
    }
}

impl From<Carrier> for Transport {
    fn from(carrier: Carrier) -> Self {
        match carrier {
            Carrier::Udp => Self::Udp,
            Carrier::Tcp => Self::Tcp,
            Carrier::Tls => Self::Tls,
            Carrier::Ws => Self::Ws,
            Carrier::Wss => Self::Wss,
        }
    }
}

/// Screens a datagram, and reads all of it that the server reads; the request, if it is a sound one.
#[cfg(feature = "fuzzing")]
pub(crate) fn fuzz_datagram(bytes: &[u8]) -> Option<Request> {
    use screen::{Screened, screen};
    let from = SocketAddr::from(([127, 0, 0, 1], 9));
    match screen(bytes, validate::Carriage::Datagram, from) {
        Screened::Drop => None,
        Screened::Answer(answer) => {
            assert!(answer.starts_with(b"SIP/2.0 ") && answer.ends_with(b"\r\n\r\n"), "no answer");
            None
        }
        Screened::Pass(message) => {
            let written = message.to_bytes();
            assert!(matches!(screen(&written, validate::Carriage::Stream, from), Screened::Pass(_)), "not read again");
            assert!(message.from_header().is_ok_and(|from| from.tag().is_ok()), "From is not read");
            assert!(message.to_header().is_ok_and(|to| to.tag().is_ok()), "To is not read");
            assert!(message.typed_contact_headers().is_ok(), "Contact is not read");
            assert!(message.typed_record_route_headers().is_ok(), "Record-Route is not read");
            assert!(message.cseq_header().is_ok_and(|sequence| sequence.seq().is_ok()), "CSeq is not read");
            Request::try_from(*message).ok()
        }
    }
}

/// Reads a WebSocket's handshake, and screens a message of one.
#[cfg(feature = "fuzzing")]
pub(crate) fn fuzz_web_socket(bytes: &[u8]) {
    if let upgrade::Judged::Accepted(length, response) = upgrade::judge(bytes) {
        assert!(length <= bytes.len() && response.starts_with(b"HTTP/1.1 101 "), "accepted without an answer");
    }
    screen::screen(bytes, validate::Carriage::WebSocket, SocketAddr::from(([127, 0, 0, 1], 9)));
}

/// Cuts a stream into messages, as it comes in pieces, and screens them.
#[cfg(feature = "fuzzing")]
pub(crate) fn fuzz_stream(bytes: &[u8]) {
    use framing::{Frame, frame};
    let Some((length, bytes)) = bytes.split_first() else {
        return;
    };
    let mut buffer = Vec::new();
    for piece in bytes.chunks(usize::from(*length).max(1)) {
        buffer.extend_from_slice(piece);
        loop {
            let consumed = match frame(&buffer) {
                Frame::Incomplete => break,
                Frame::Ping => 4,
                Frame::Empty => 2,
                Frame::Message(length) => {
                    screen::screen(&buffer[..length], validate::Carriage::Stream, SocketAddr::from(([127, 0, 0, 1], 9)));
                    length
                }
                Frame::Endless(_) | Frame::TooLong => return,
            };
            buffer.drain(..consumed);
        }
    }
}
