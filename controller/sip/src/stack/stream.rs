//! Connections over TCP and TLS, and what every connection has: messages are screened here, and to the library it is a channel of them. What is a WebSocket's own is
//! in [`super::web_socket`].
//!
//! A connection that sends half a message, or reads nothing of what it is sent, is closed after ten seconds; one that never says anything sound after a
//! minute; one over which nothing comes after an hour: whoever has a session and cannot be connected to again has to keep it open (RFC 5626).

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use rsipstack::sip::{Host, Transport};
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

use svpn_vpn::request::ApplicationId;

use super::connections::{Connections, Counted};
use super::framing::{Frame, frame};
use super::next_hop::is_open;
use super::screen::{Screened, screen};
use super::sip_address;
use super::sources::Sources;
use super::tls::{Tls, server_name};
use super::upgrade::{UpgradeError, upgrade};
use super::validate::Carriage;
use super::ways::{Place, Ways};
use super::web_socket;
use crate::config::Carrier;

/// A message that is sent has to be taken after this; so has a connection to be made.
pub(super) const STALLED: Duration = Duration::from_secs(10);

/// How long is waited for who connects.
#[derive(Debug, Clone, Copy)]
pub(super) struct Patience {
    /// A message, once begun, has to be there after this.
    pub(super) stalled: Duration,
    /// The first sound message has to be there after this.
    pub(super) silent: Duration,
    /// A connection over which nothing comes for this long is closed.
    pub(super) idle: Duration,
}

pub(super) const PATIENCE: Patience = Patience { stalled: STALLED, silent: Duration::from_mins(1), idle: Duration::from_hours(1) };

/// More messages than this wait for nobody to read them.
pub(super) const MAX_UNREAD: usize = 1024;

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
    #[error("nobody is connected by the WebSocket that it was registered by")]
    NoWebSocket,
    #[error("{0}")]
    Upgrade(#[from] UpgradeError),
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
    ways: Mutex<Ways>,
    connections: Arc<Connections>,
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
        let connections = Arc::default();
        Arc::new(Self { endpoint, open: Mutex::default(), ways: Mutex::default(), connections, handshakes, tls, sources, stop })
    }

    /// Accepts connections until told to stop.
    pub(super) async fn accept(self: Arc<Self>, listener: TcpListener, carrier: Carrier) {
        loop {
            let accepted = tokio::select! {
                () = self.stop.cancelled() => return,
                accepted = listener.accept() => accepted,
            };
            match accepted {
                Ok((stream, from)) => {
                    let Some(counted) = self.connections.admit(from.ip()) else {
                        tracing::warn!(%from, "too many connections");
                        continue;
                    };
                    let streams = Arc::clone(&self);
                    tokio::spawn(async move {
                        if let Err(error) = streams.welcome(stream, from, carrier, counted).await {
                            tracing::debug!(%from, %carrier, %error, "connection lost at once");
                        }
                    });
                }
                Err(error) => {
                    tracing::warn!(%error, "accept");
                    // Out of descriptors: let some close first.
                    tokio::time::sleep(Duration::from_millis(100)).await;
                }
            }
        }
    }

    async fn welcome(self: &Arc<Self>, stream: TcpStream, from: SocketAddr, carrier: Carrier, counted: Counted) -> Result<(), DialError> {
        let line = Line { peer: from, carrier, counted };
        if carrier == Carrier::Tcp {
            self.attend(stream, line).await?;
            return Ok(());
        }
        // The semaphores are never closed.
        let handshakes = Arc::clone(&line.counted.handshakes);
        let _turn = handshakes.acquire().await.ok();
        let _room = self.handshakes.acquire().await.ok();
        let Some(tls) = self.tls.as_ref().filter(|_| carrier.is_secure()) else {
            return self.upgrade(stream, line).await;
        };
        let stream = timeout(STALLED, tls.acceptor.accept(stream)).await.map_err(|_| DialError::NoAnswer)??;
        if carrier == Carrier::Wss {
            return self.upgrade(stream, line).await;
        }
        self.attend(stream, line).await?;
        Ok(())
    }

    /// Makes a stream a WebSocket, and serves it.
    async fn upgrade<S>(self: &Arc<Self>, mut stream: S, line: Line) -> Result<(), DialError>
    where
        S: AsyncRead + AsyncWrite + Unpin + Send + Sync + 'static,
    {
        // Half of a handshake is waited for like half of a message; and it counts like one.
        let upgrade = async {
            self.sources.turn(line.peer.ip()).await;
            upgrade(&mut stream).await
        };
        let read = timeout(STALLED, upgrade).await.map_err(|_| DialError::NoAnswer)??;
        let (intake, outgoing, closed) = self.open(&line).await?;
        let (reader, writer) = web_socket::split(stream, read, intake, PATIENCE).await;
        let streams = Arc::clone(self);
        tokio::spawn(async move {
            let end = tokio::select! {
                () = closed.cancelled() => web_socket::GOING_AWAY,
                end = reader.run() => end,
                end = writer.send_all(outgoing) => end,
            };
            streams.close(&line, &closed);
            writer.close(end).await;
        });
        Ok(())
    }

    /// A connection to `peer`, whose name is `host`: the one there is, or a new one.
    pub(super) async fn reach(self: &Arc<Self>, carrier: Carrier, peer: SocketAddr, host: &Host) -> Result<SipConnection, DialError> {
        let open = self.lock_open().get(&(carrier.into(), peer)).cloned();
        if let Some(connection) = open.filter(is_open) {
            return Ok(connection);
        }
        let connect = async {
            let stream = TcpStream::connect(peer).await?;
            let line = Line { peer, carrier, counted: self.connections.count(peer.ip()) };
            if carrier != Carrier::Tls {
                return Ok(self.attend(stream, line).await?);
            }
            let connector = self.tls.as_ref().and_then(|tls| tls.connector.as_ref()).ok_or(DialError::NoAuthority)?;
            let name = server_name(host).ok_or(DialError::NoName)?;
            let stream = connector.connect(name, stream).await?;
            Ok(self.attend(stream, line).await?)
        };
        timeout(STALLED, connect).await.map_err(|_| DialError::NoAnswer)?
    }

    /// The open connection by which an application has registered that it is reached there.
    pub(super) fn way(&self, whose: &ApplicationId, place: &Place) -> Option<SipConnection> {
        self.lock_ways().find(whose, place).cloned()
    }

    /// The application has registered by this connection that it is there.
    pub(super) fn remember_way(&self, whose: &ApplicationId, place: Place, connection: &SipConnection) {
        self.lock_ways().remember(whose, place, connection);
    }

    /// Makes a stream a connection of the library's, and serves it.
    async fn attend<S>(self: &Arc<Self>, stream: S, line: Line) -> Result<SipConnection, rsipstack::Error>
    where
        S: AsyncRead + AsyncWrite + Send + Sync + 'static,
    {
        let (intake, outgoing, closed) = self.open(&line).await?;
        let connection = intake.connection.clone();
        let (reading, writing) = tokio::io::split(stream);
        let writing = Arc::new(tokio::sync::Mutex::new(writing));
        let reader = Reader { reading, writing: Arc::clone(&writing), intake, patience: PATIENCE };
        let streams = Arc::clone(self);
        tokio::spawn(async move {
            tokio::select! {
                () = closed.cancelled() => {}
                () = reader.run() => {}
                () = write(outgoing, &writing) => {}
            }
            streams.close(&line, &closed);
            let _ = writing.lock().await.shutdown().await;
        });
        Ok(connection)
    }

    /// Tells the library of a connection: where what comes by it goes, what is to be sent by it, and what ends when it does.
    async fn open(&self, line: &Line) -> Result<(Intake, TransportReceiver, CancellationToken), rsipstack::Error> {
        let (peer, transport) = (line.peer, Transport::from(line.carrier));
        let (library, from_us) = unbounded_channel();
        let (to_us, outgoing) = unbounded_channel();
        let closed = self.stop.child_token();
        let channel = ChannelConnection::create_connection(from_us, to_us, sip_address(transport, peer), Some(closed.clone())).await?;
        let connection = SipConnection::Channel(channel);
        self.lock_open().insert((transport, peer), connection.clone());
        self.endpoint.transport_layer.add_connection(connection.clone());
        let intake = Intake::new(library, connection, Arc::clone(&self.sources), peer, transport);
        Ok((intake, outgoing, closed))
    }

    /// Whatever ended it, nobody shall use the connection any more. The peer may have another by now.
    fn close(&self, line: &Line, closed: &CancellationToken) {
        closed.cancel();
        let key = (Transport::from(line.carrier), line.peer);
        let mut open = self.lock_open();
        if open.get(&key).is_some_and(|connection| !is_open(connection)) {
            open.remove(&key);
        }
        drop(open);
        self.lock_ways().sweep();
    }

    fn lock_ways(&self) -> MutexGuard<'_, Ways> {
        self.ways.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn lock_open(&self) -> MutexGuard<'_, HashMap<(Transport, SocketAddr), SipConnection>> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Who is at the other end, and how; it is counted as long as it is there.
struct Line {
    peer: SocketAddr,
    carrier: Carrier,
    counted: Counted,
}

/// Where what comes by a connection goes.
pub(super) struct Intake {
    library: TransportSender,
    connection: SipConnection,
    sources: Arc<Sources>,
    pub(super) peer: SocketAddr,
    transport: Transport,
}

/// What became of a message.
pub(super) enum Taken {
    /// It was sound, and the library has it.
    Passed,
    /// It was nothing.
    Dropped,
    /// It was wrong, and this is its answer.
    Answered(Vec<u8>),
    /// Nobody takes messages any more.
    Stopped,
}

impl Intake {
    pub(super) fn new(
        library: TransportSender,
        connection: SipConnection,
        sources: Arc<Sources>,
        peer: SocketAddr,
        transport: Transport,
    ) -> Self {
        Self { library, connection, sources, peer, transport }
    }

    /// Takes a message. Who sends too much is read slowly, and then has to send slowly.
    pub(super) async fn take(&self, message: &[u8], carriage: Carriage) -> Taken {
        self.wait().await;
        match screen(message, carriage, self.peer) {
            Screened::Pass(message) => {
                let from = sip_address(self.transport, self.peer);
                match self.library.send(TransportEvent::Incoming(*message, self.connection.clone(), from)) {
                    Ok(()) => Taken::Passed,
                    Err(_) => Taken::Stopped,
                }
            }
            Screened::Drop => Taken::Dropped,
            Screened::Answer(answer) => Taken::Answered(answer),
        }
    }

    /// Waits until the other end may send one more.
    pub(super) async fn wait(&self) {
        self.sources.turn(self.peer.ip()).await;
    }
}

type Writing<S> = Arc<tokio::sync::Mutex<WriteHalf<S>>>;

/// The half of a connection that is read.
struct Reader<S> {
    reading: ReadHalf<S>,
    writing: Writing<S>,
    intake: Intake,
    patience: Patience,
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
                    tracing::debug!(peer = %self.intake.peer, unfinished, "closed a connection over which nothing comes");
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
        match self.intake.take(message, Carriage::Stream).await {
            Taken::Passed | Taken::Dropped => Met::GoOn,
            Taken::Answered(answer) => self.answer(&answer).await,
            Taken::Stopped => Met::Close,
        }
    }

    async fn answer(&self, bytes: &[u8]) -> Met {
        match send(&self.writing, bytes).await {
            Ok(()) => Met::GoOn,
            Err(error) => {
                tracing::debug!(peer = %self.intake.peer, %error, "could not answer");
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
        let intake = Intake::new(library, channel.into(), Arc::new(Sources::new(1000)), peer, Transport::Tcp);
        let reader = Reader { reading, writing: Arc::new(tokio::sync::Mutex::new(writing)), intake, patience };
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
