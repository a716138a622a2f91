//! Connections over TCP and TLS: framed and screened here, and to the library a channel of messages.
//!
//! A connection that sends half a message, or reads nothing of what it is sent, is closed after ten seconds; one that never says anything sound after a
//! minute; one over which nothing comes after an hour: whoever has a session and cannot be connected to again has to keep it open (RFC 5626).

use std::collections::HashMap;
use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use rsipstack::sip::{Host, SipMessage, Transport};
use rsipstack::transaction::endpoint::EndpointInnerRef;
use rsipstack::transport::channel::ChannelConnection;
use rsipstack::transport::connection::{TransportReceiver, TransportSender};
use rsipstack::transport::{SipConnection, TransportEvent};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, ReadHalf, WriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio::sync::mpsc::unbounded_channel;
use tokio::time::{Instant, timeout};
use tokio_util::sync::CancellationToken;

use super::framing::{Frame, frame};
use super::screen::{Screened, screen};
use super::sip_address;
use super::sources::Sources;
use super::tls::{Tls, server_name};
use super::validate::Carriage;
use crate::config::Carrier;

/// More connections than this and new ones are closed: a file descriptor each is not for strangers to exhaust.
const MAX_CONNECTIONS: usize = 4096;

/// More connections than this from one address and new ones from there are closed.
const MAX_PER_ADDRESS: usize = 512;

/// A message that is sent has to be taken after this; so has a connection to be made.
const STALLED: Duration = Duration::from_secs(10);

/// How long is waited for who connects.
#[derive(Debug, Clone, Copy)]
struct Patience {
    /// A message, once begun, has to be there after this.
    stalled: Duration,
    /// The first sound message has to be there after this.
    silent: Duration,
    /// A connection over which nothing comes for this long is closed.
    idle: Duration,
}

const PATIENCE: Patience = Patience { stalled: STALLED, silent: Duration::from_mins(1), idle: Duration::from_hours(1) };

/// More messages than this wait for nobody to read them.
const MAX_UNREAD: usize = 1024;

/// Why there is no connection to somebody.
#[derive(Debug, thiserror::Error)]
pub(super) enum DialError {
    #[error("no such host")]
    NoSuchHost,
    #[error("there is no UDP socket for its kind of address")]
    NoSocket,
    #[error("it is not known whose certificates to believe: sip.tls.server_ca is missing")]
    NoAuthority,
    #[error("no certificate can be for such a name")]
    NoName,
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
    /// By which connection somebody is reached at an address where nobody listens.
    ways: Mutex<HashMap<(Transport, SocketAddr), SipConnection>>,
    /// Handshakes that are not done.
    handshakes: Semaphore,
    tls: Option<Tls>,
    sources: Arc<Sources>,
    stop: CancellationToken,
}

/// More handshakes than this at once and new connections wait.
const MAX_HANDSHAKES: usize = 256;

impl Streams {
    pub(super) fn new(endpoint: EndpointInnerRef, tls: Option<Tls>, sources: Arc<Sources>, stop: CancellationToken) -> Arc<Self> {
        let handshakes = Semaphore::new(MAX_HANDSHAKES);
        Arc::new(Self { endpoint, open: Mutex::default(), ways: Mutex::default(), handshakes, tls, sources, stop })
    }

    /// Accepts connections until told to stop.
    pub(super) async fn accept(self: Arc<Self>, listener: TcpListener, carrier: Carrier) {
        loop {
            let accepted = tokio::select! {
                () = self.stop.cancelled() => return,
                accepted = listener.accept() => accepted,
            };
            match accepted {
                Ok((stream, from)) if self.has_room(from.ip()) => {
                    let streams = Arc::clone(&self);
                    tokio::spawn(async move {
                        if let Err(error) = streams.welcome(stream, from, carrier).await {
                            tracing::debug!(%from, %carrier, %error, "connection lost at once");
                        }
                    });
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

    async fn welcome(self: &Arc<Self>, stream: TcpStream, from: SocketAddr, carrier: Carrier) -> Result<(), DialError> {
        let (Carrier::Tls, Some(tls)) = (carrier, &self.tls) else {
            self.attend(stream, from, carrier).await?;
            return Ok(());
        };
        // The semaphore is never closed.
        let _room = self.handshakes.acquire().await.ok();
        let stream = timeout(STALLED, tls.acceptor.accept(stream)).await.map_err(|_| DialError::NoAnswer)??;
        self.attend(stream, from, carrier).await?;
        Ok(())
    }

    /// A connection to `peer`, whose name is `host`: the one there is, or a new one.
    pub(super) async fn reach(self: &Arc<Self>, carrier: Carrier, peer: SocketAddr, host: &Host) -> Result<SipConnection, DialError> {
        let key = (carrier.into(), peer);
        let open = self.open().get(&key).or(self.ways().get(&key)).cloned();
        if let Some(connection) = open.filter(is_open) {
            return Ok(connection);
        }
        let connect = async {
            let stream = TcpStream::connect(peer).await?;
            if carrier != Carrier::Tls {
                return Ok(self.attend(stream, peer, carrier).await?);
            }
            let connector = self.tls.as_ref().and_then(|tls| tls.connector.as_ref()).ok_or(DialError::NoAuthority)?;
            let name = server_name(host).ok_or(DialError::NoName)?;
            let stream = connector.connect(name, stream).await?;
            Ok(self.attend(stream, peer, carrier).await?)
        };
        timeout(STALLED, connect).await.map_err(|_| DialError::NoAnswer)?
    }

    /// Whoever registered by `connection` is reached by it at this contact, as long as it is open: clients seldom listen where they connect from (RFC 5923
    /// section 3, RFC 5626). The contact has to be at the address that the connection comes from, so that nobody takes another's requests.
    pub(super) fn remember_way(&self, carrier: Carrier, contact: SocketAddr, connection: &SipConnection) {
        let peer = connection.get_remote_addr().and_then(|peer| peer.get_socketaddr().ok());
        if peer.is_some_and(|peer| peer.ip() == contact.ip() && peer != contact) && connection.is_reliable() {
            self.ways().insert((carrier.into(), contact), connection.clone());
        }
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
        let reader = Reader {
            reading,
            writing: Arc::clone(&writing),
            library,
            connection: connection.clone(),
            sources: Arc::clone(&self.sources),
            patience: PATIENCE,
            peer,
            transport,
        };
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
        if closed.is_cancelled() && open.get(&(transport, peer)).is_some_and(|connection| !is_open(connection)) {
            open.remove(&(transport, peer));
        }
        drop(open);
        self.ways().retain(|_, connection| is_open(connection));
    }

    fn ways(&self) -> MutexGuard<'_, HashMap<(Transport, SocketAddr), SipConnection>> {
        self.ways.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn open(&self) -> MutexGuard<'_, HashMap<(Transport, SocketAddr), SipConnection>> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn is_open(connection: &SipConnection) -> bool {
    connection.cancel_token().is_some_and(|token| !token.is_cancelled())
}

type Writing<S> = Arc<tokio::sync::Mutex<WriteHalf<S>>>;

/// The half of a connection that is read.
struct Reader<S> {
    reading: ReadHalf<S>,
    writing: Writing<S>,
    library: TransportSender,
    connection: SipConnection,
    sources: Arc<Sources>,
    patience: Patience,
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
        let mut deadline = Instant::now() + self.patience.silent;
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
                deadline = Instant::now() + if heard { self.patience.idle } else { self.patience.silent };
            } else if begun {
                deadline = Instant::now() + self.patience.stalled;
            }
        }
    }

    async fn message(&self, message: &[u8]) -> Met {
        // Who sends too much is read slowly, and then has to send slowly.
        while !self.sources.admit(self.peer.ip(), std::time::Instant::now()) {
            tokio::time::sleep(self.sources.pause()).await;
        }
        match screen(message, Carriage::Stream, self.peer) {
            Screened::Pass(message) => self.pass(*message),
            Screened::Drop => Met::GoOn,
            Screened::Answer(answer) => self.answer(&answer).await,
        }
    }

    fn pass(&self, message: SipMessage) -> Met {
        let from = sip_address(self.transport, self.peer);
        match self.library.send(TransportEvent::Incoming(message, self.connection.clone(), from)) {
            Ok(()) => Met::GoOn,
            Err(_) => Met::Close,
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

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::io::DuplexStream;

    const MESSAGE: &str = "OPTIONS sip:a@b SIP/2.0\r\nVia: SIP/2.0/TCP 127.0.0.1:9;branch=z9hG4bK1\r\nFrom: <sip:a@b>;tag=1\r\nTo: <sip:a@b>\r\n\
                           Call-ID: x\r\nCSeq: 1 OPTIONS\r\nContent-Length: 0\r\n\r\n";

    /// A reader whose patience is `patience`, its other end, and what reaches the library.
    async fn reader(patience: Patience) -> (Reader<DuplexStream>, DuplexStream, TransportReceiver) {
        let (near, far) = tokio::io::duplex(4096);
        let (reading, writing) = tokio::io::split(near);
        let peer = SocketAddr::from(([127, 0, 0, 1], 9));
        let (library, received) = unbounded_channel();
        let address = sip_address(Transport::Tcp, peer);
        let channel = ChannelConnection::create_connection(unbounded_channel().1, unbounded_channel().0, address, None).await.unwrap();
        let reader = Reader {
            reading,
            writing: Arc::new(tokio::sync::Mutex::new(writing)),
            library,
            connection: channel.into(),
            sources: Arc::new(Sources::new(1000)),
            patience,
            peer,
            transport: Transport::Tcp,
        };
        (reader, far, received)
    }

    const LONG: Duration = Duration::from_mins(1);
    const SHORT: Duration = Duration::from_millis(100);

    /// The reader must have ended; the test's harness ends it if not.
    async fn ends(reader: Reader<DuplexStream>) {
        timeout(LONG / 2, reader.run()).await.expect("it is still waited for");
    }

    #[tokio::test]
    async fn half_a_message_is_not_waited_for_though_it_comes_byte_by_byte() {
        let (reader, mut far, mut received) = reader(Patience { stalled: SHORT, silent: LONG, idle: LONG }).await;
        far.write_all(MESSAGE.as_bytes()).await.unwrap();
        let trickle = tokio::spawn(async move {
            for byte in MESSAGE.bytes().cycle().take(200) {
                if far.write_all(&[byte]).await.is_err() {
                    return;
                }
                tokio::time::sleep(SHORT / 5).await;
            }
        });
        ends(reader).await;
        assert!(received.recv().await.is_some(), "the whole message before it");
        assert!(received.recv().await.is_none());
        trickle.abort();
    }

    #[tokio::test]
    async fn who_says_nothing_sound_is_not_waited_for() {
        let (reader, mut far, _received) = reader(Patience { stalled: LONG, silent: SHORT, idle: LONG }).await;
        far.write_all(b"\r\n\r\n").await.unwrap();
        ends(reader).await;
        let mut pong = [0; 2];
        far.read_exact(&mut pong).await.unwrap();
        assert_eq!(&pong, b"\r\n");
    }

    #[tokio::test]
    async fn a_connection_that_is_used_is_closed_when_it_is_used_no_more() {
        let (reader, mut far, mut received) = reader(Patience { stalled: LONG, silent: LONG, idle: SHORT }).await;
        far.write_all(MESSAGE.as_bytes()).await.unwrap();
        ends(reader).await;
        assert!(received.recv().await.is_some());
    }
}
