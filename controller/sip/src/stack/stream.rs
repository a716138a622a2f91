//! Connections over TCP and TLS: framed and screened here, and to the library a channel of messages.
//!
//! A connection that sends half a message, or reads nothing of what it is sent, is closed after ten seconds; one that never says anything sound after a
//! minute; one over which nothing comes after an hour: whoever has a session and cannot be connected to again has to keep it open (RFC 5626).

use std::collections::HashMap;
use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use rsipstack::sip::{SipMessage, Transport};
use rsipstack::transaction::endpoint::EndpointInnerRef;
use rsipstack::transport::channel::ChannelConnection;
use rsipstack::transport::connection::{TransportReceiver, TransportSender};
use rsipstack::transport::{SipConnection, TransportEvent};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, ReadHalf, WriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc::unbounded_channel;
use tokio::time::{Instant, timeout};
use tokio_util::sync::CancellationToken;

use super::framing::{Frame, frame};
use super::screen::{Screened, screen};
use super::sip_address;
use super::validate::Carriage;
use crate::config::Carrier;

/// More connections than this and new ones are closed: a file descriptor each is not for strangers to exhaust.
const MAX_CONNECTIONS: usize = 4096;

/// More connections than this from one address and new ones from there are closed.
const MAX_PER_ADDRESS: usize = 512;

/// A message, once begun, has to be there after this, and one that is sent has to be taken. So has a connection to be made.
const STALLED: Duration = Duration::from_secs(10);

/// The first sound message has to be there after this.
const SILENT: Duration = Duration::from_mins(1);

/// A connection over which nothing comes for this long is closed.
const IDLE: Duration = Duration::from_hours(1);

/// More messages than this wait for nobody to read them.
const MAX_UNREAD: usize = 1024;

/// Why there is no connection to somebody.
#[derive(Debug, thiserror::Error)]
pub(super) enum DialError {
    #[error("no such host")]
    NoSuchHost,
    #[error("no answer in {} seconds", STALLED.as_secs())]
    NoAnswer,
    #[error("{0}")]
    Refused(#[from] std::io::Error),
    #[error("{0}")]
    Library(#[from] rsipstack::Error),
}

/// All connections.
pub(super) struct Streams {
    endpoint: EndpointInnerRef,
    open: Mutex<HashMap<(Transport, SocketAddr), SipConnection>>,
    stop: CancellationToken,
}

impl Streams {
    pub(super) fn new(endpoint: EndpointInnerRef, stop: CancellationToken) -> Arc<Self> {
        Arc::new(Self { endpoint, open: Mutex::default(), stop })
    }

    /// Accepts connections until told to stop.
    pub(super) async fn accept(self: Arc<Self>, listener: TcpListener) {
        loop {
            let accepted = tokio::select! {
                () = self.stop.cancelled() => return,
                accepted = listener.accept() => accepted,
            };
            match accepted {
                Ok((stream, from)) if self.has_room(from.ip()) => {
                    if let Err(error) = self.attend(stream, from, Carrier::Tcp).await {
                        tracing::debug!(%from, %error, "connection lost at once");
                    }
                }
                Ok((_, from)) => tracing::warn!(%from, "too many connections"),
                Err(error) => {
                    tracing::warn!(%error, "accept");
                    // Out of descriptors: let some close first.
                    tokio::time::sleep(Duration::from_millis(100)).await;
                }
            }
        }
    }

    /// A connection to `peer`: the one there is, or a new one.
    pub(super) async fn reach(self: &Arc<Self>, carrier: Carrier, peer: SocketAddr) -> Result<SipConnection, DialError> {
        let open = self.open().get(&(carrier.into(), peer)).cloned();
        if let Some(connection) = open {
            return Ok(connection);
        }
        let stream = timeout(STALLED, TcpStream::connect(peer)).await.map_err(|_| DialError::NoAnswer)??;
        Ok(self.attend(stream, peer, carrier).await?)
    }

    fn has_room(&self, from: IpAddr) -> bool {
        let open = self.open();
        open.len() < MAX_CONNECTIONS && open.keys().filter(|(_, peer)| peer.ip() == from).count() < MAX_PER_ADDRESS
    }

    /// Makes a stream a connection of the library's, and serves it.
    async fn attend<S>(self: &Arc<Self>, stream: S, peer: SocketAddr, carrier: Carrier) -> Result<SipConnection, rsipstack::Error>
    where
        S: AsyncRead + AsyncWrite + Send + Sync + 'static,
    {
        let transport = Transport::from(carrier);
        let (library, from_us) = unbounded_channel();
        let (to_us, outgoing) = unbounded_channel();
        let closed = self.stop.child_token();
        let channel = ChannelConnection::create_connection(from_us, to_us, sip_address(transport, peer), Some(closed.clone())).await?;
        let connection = SipConnection::Channel(channel);
        self.open().insert((transport, peer), connection.clone());
        self.endpoint.transport_layer.add_connection(connection.clone());
        let (reading, writing) = tokio::io::split(stream);
        let writing = Arc::new(tokio::sync::Mutex::new(writing));
        let reader = Reader { reading, writing: Arc::clone(&writing), library, connection: connection.clone(), peer, transport };
        let streams = Arc::clone(self);
        tokio::spawn(async move {
            tokio::select! {
                () = closed.cancelled() => {}
                () = reader.run() => {}
                () = write(outgoing, &writing) => {}
            }
            // Whatever ended it, nobody shall use it any more.
            closed.cancel();
            streams.forget(transport, peer, &closed);
            let _ = writing.lock().await.shutdown().await;
        });
        Ok(connection)
    }

    /// The peer may have another connection by now.
    fn forget(&self, transport: Transport, peer: SocketAddr, closed: &CancellationToken) {
        let mut open = self.open();
        let is_closed = |connection: &SipConnection| connection.cancel_token().is_none_or(|token| token.is_cancelled());
        if closed.is_cancelled() && open.get(&(transport, peer)).is_some_and(is_closed) {
            open.remove(&(transport, peer));
        }
    }

    fn open(&self) -> MutexGuard<'_, HashMap<(Transport, SocketAddr), SipConnection>> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

type Writing<S> = Arc<tokio::sync::Mutex<WriteHalf<S>>>;

/// The half of a connection that is read.
struct Reader<S> {
    reading: ReadHalf<S>,
    writing: Writing<S>,
    library: TransportSender,
    connection: SipConnection,
    peer: SocketAddr,
    transport: Transport,
}

/// How a message or keep-alive was met.
enum Met {
    /// The next one.
    GoOn,
    /// The stream is of no more use.
    Close,
}

impl<S: AsyncRead + AsyncWrite + Send + Sync> Reader<S> {
    async fn run(mut self) {
        let mut buffer = Vec::new();
        let mut heard = false;
        let mut deadline = Instant::now() + SILENT;
        loop {
            let unfinished = buffer.len();
            match tokio::time::timeout_at(deadline, self.reading.read_buf(&mut buffer)).await {
                Ok(Ok(length)) if length > 0 => {}
                Ok(_) => return,
                Err(_) => {
                    tracing::debug!(peer = %self.peer, unfinished, "closed a connection over which nothing comes");
                    return;
                }
            }
            let mut begun = unfinished == 0;
            loop {
                let (consumed, met) = match frame(&buffer) {
                    Frame::Incomplete => break,
                    Frame::Ping => (4, self.answer(b"\r\n").await),
                    Frame::Empty => (2, Met::GoOn),
                    Frame::Message(length) => {
                        heard = true;
                        (length, self.message(&buffer[..length]).await)
                    }
                    Frame::Endless(length) => {
                        self.message(&buffer[..length]).await;
                        return;
                    }
                    Frame::TooLong => return,
                };
                buffer.drain(..consumed);
                begun = true;
                if matches!(met, Met::Close) {
                    return;
                }
            }
            // A message that was begun keeps the deadline it has: who sends it byte by byte gains nothing.
            if buffer.is_empty() {
                deadline = Instant::now() + if heard { IDLE } else { SILENT };
            } else if begun {
                deadline = Instant::now() + STALLED;
            }
        }
    }

    async fn message(&self, message: &[u8]) -> Met {
        let carriage = if self.transport == Transport::Tls { Carriage::SecureStream } else { Carriage::Stream };
        match screen(message, carriage) {
            Screened::Pass(message) => self.pass(*message),
            Screened::Drop => Met::GoOn,
            Screened::Answer(answer) => self.answer(&answer).await,
        }
    }

    fn pass(&self, message: SipMessage) -> Met {
        match SipConnection::update_msg_received(message, self.peer, self.transport) {
            Ok(message) => {
                let from = sip_address(self.transport, self.peer);
                match self.library.send(TransportEvent::Incoming(message, self.connection.clone(), from)) {
                    Ok(()) => Met::GoOn,
                    Err(_) => Met::Close,
                }
            }
            Err(error) => {
                tracing::debug!(peer = %self.peer, %error, "dropped a message whose Via cannot be marked");
                Met::GoOn
            }
        }
    }

    async fn answer(&self, bytes: &[u8]) -> Met {
        match send(&self.writing, bytes).await {
            Ok(()) => Met::GoOn,
            Err(error) => {
                tracing::debug!(peer = %self.peer, %error, "could not answer");
                Met::Close
            }
        }
    }
}

/// Sends what the library gives, until that ends or nobody takes it.
async fn write<S: AsyncWrite + Send>(mut outgoing: TransportReceiver, writing: &Writing<S>) {
    while let Some(event) = outgoing.recv().await {
        let TransportEvent::Incoming(message, ..) = event else {
            continue;
        };
        if outgoing.len() > MAX_UNREAD || send(writing, &message.to_bytes()).await.is_err() {
            return;
        }
    }
}

async fn send<S: AsyncWrite + Send>(writing: &Writing<S>, bytes: &[u8]) -> std::io::Result<()> {
    let mut writing = writing.lock().await;
    timeout(STALLED, async {
        writing.write_all(bytes).await?;
        writing.flush().await
    })
    .await
    .map_err(|_| std::io::ErrorKind::TimedOut)?
}
