//! SIP over WebSocket (RFC 7118): each message is one of WebSocket's, text or binary, and is screened like any other.
//!
//! The bounds are those of every connection (see [`super::stream`]). Pings are answered by the library, and the keep-alive of RFC 5626 here; both count as messages of
//! their sender.

use std::future::poll_fn;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll};

use futures_util::stream::{SplitSink, SplitStream};
use futures_util::{SinkExt, StreamExt};
use rsipstack::transport::TransportEvent;
use rsipstack::transport::connection::TransportReceiver;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Instant, timeout, timeout_at};
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::error::ProtocolError;
use tokio_tungstenite::tungstenite::protocol::frame::coding::CloseCode;
use tokio_tungstenite::tungstenite::protocol::{CloseFrame, Role, WebSocketConfig};
use tokio_tungstenite::tungstenite::{Error, Message};

use super::framing::{MAX_BODY, MAX_HEAD};
use super::stream::{Intake, MAX_UNREAD, Patience, STALLED, Taken};
use super::validate::Carriage;

/// The longest message, in one frame or many.
const MAX_MESSAGE: usize = MAX_HEAD + MAX_BODY;

/// What is read at once; each connection has so much for itself.
const READ_BUFFER: usize = 4096;

/// Why a connection ends: with the status of RFC 6455 section 7.4 that its other end is told, or, where that has gone already, none.
pub(super) type End = Option<CloseCode>;

/// The gateway stops, or has no more use for the connection.
pub(super) const GOING_AWAY: End = Some(CloseCode::Away);

fn config() -> WebSocketConfig {
    WebSocketConfig::default()
        .read_buffer_size(READ_BUFFER)
        // Every message is sent at once.
        .write_buffer_size(0)
        .max_write_buffer_size(1 << 20)
        .max_message_size(Some(MAX_MESSAGE))
        .max_frame_size(Some(MAX_MESSAGE))
}

/// A stream that counts what is read of it.
struct Metered<S> {
    stream: S,
    read: Arc<AtomicU64>,
}

impl<S: AsyncRead + Unpin> AsyncRead for Metered<S> {
    fn poll_read(mut self: Pin<&mut Self>, context: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        let polled = Pin::new(&mut self.stream).poll_read(context, buffer);
        let length = u64::try_from(buffer.filled().len() - before).unwrap_or_default();
        self.read.fetch_add(length, Ordering::Relaxed);
        polled
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Metered<S> {
    fn poll_write(mut self: Pin<&mut Self>, context: &mut Context<'_>, buffer: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(context, buffer)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}

type Socket<S> = WebSocketStream<Metered<S>>;

/// Makes a stream whose handshake is done a WebSocket; `read` is what of it was read with the handshake.
pub(super) async fn split<S>(stream: S, read: Vec<u8>, intake: Intake, patience: Patience) -> (Reader<S>, Writer<S>)
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let meter = Arc::new(AtomicU64::new(0));
    let stream = Metered { stream, read: Arc::clone(&meter) };
    let (sink, incoming) = WebSocketStream::from_partially_read(stream, read, Role::Server, Some(config())).await.split();
    let writer = Writer(Arc::new(tokio::sync::Mutex::new(sink)));
    (Reader { incoming, meter, writer: Writer(Arc::clone(&writer.0)), intake, patience }, writer)
}

/// The half that is read.
pub(super) struct Reader<S> {
    incoming: SplitStream<Socket<S>>,
    /// How many bytes were read.
    meter: Arc<AtomicU64>,
    writer: Writer<S>,
    intake: Intake,
    patience: Patience,
}

/// What comes.
enum Heard {
    Message(Message),
    /// Something of a message.
    Begun,
    End(End),
}

/// What a message was.
enum Served {
    Sound,
    Nothing,
    Last(End),
}

impl<S: AsyncRead + AsyncWrite + Unpin + Send> Reader<S> {
    /// Reads until the other end has gone, or is waited for no longer.
    pub(super) async fn run(mut self) -> End {
        let mut waiting = Instant::now() + self.patience.silent;
        let mut deadline = waiting;
        let mut heard_sound = false;
        // How much was read when the last message had been served, until the next one begins.
        let mut quiet_at = Some(0);
        loop {
            let Ok(heard) = timeout_at(deadline, self.next(quiet_at)).await else {
                tracing::debug!(peer = %self.intake.peer, "closed a WebSocket over which nothing comes");
                return GOING_AWAY;
            };
            match heard {
                Heard::Begun => {
                    // From here on it keeps its deadline: who sends byte by byte gains nothing.
                    quiet_at = None;
                    deadline = Instant::now() + self.patience.stalled;
                    continue;
                }
                Heard::End(end) => return end,
                Heard::Message(message) => match self.serve(message).await {
                    Served::Sound => heard_sound = true,
                    Served::Nothing => {}
                    Served::Last(end) => return end,
                },
            }
            if heard_sound {
                waiting = Instant::now() + self.patience.idle;
            }
            quiet_at = Some(self.meter.load(Ordering::Relaxed));
            deadline = waiting;
        }
    }

    /// The next message, or that one has begun since so much was read.
    async fn next(&mut self, quiet_at: Option<u64>) -> Heard {
        poll_fn(|context| match self.incoming.poll_next_unpin(context) {
            Poll::Ready(Some(Ok(message))) => Poll::Ready(Heard::Message(message)),
            Poll::Ready(Some(Err(error))) => {
                tracing::debug!(peer = %self.intake.peer, %error, "a WebSocket ends");
                Poll::Ready(Heard::End(end(&error)))
            }
            Poll::Ready(None) => Poll::Ready(Heard::End(None)),
            Poll::Pending if quiet_at.is_some_and(|quiet_at| quiet_at != self.meter.load(Ordering::Relaxed)) => Poll::Ready(Heard::Begun),
            Poll::Pending => Poll::Pending,
        })
        .await
    }

    async fn serve(&mut self, message: Message) -> Served {
        let bytes = match message {
            Message::Text(text) => text.into(),
            Message::Binary(bytes) => bytes,
            // The library answers ping and close when it is read again.
            Message::Ping(_) | Message::Pong(_) | Message::Close(_) | Message::Frame(_) => {
                self.intake.wait().await;
                return Served::Nothing;
            }
        };
        if bytes.as_ref() == b"\r\n\r\n" {
            self.intake.wait().await;
            return self.answer(b"\r\n".to_vec()).await;
        }
        match self.intake.take(&bytes, Carriage::WebSocket).await {
            Taken::Passed => Served::Sound,
            Taken::Dropped => Served::Nothing,
            Taken::Answered(answer) => self.answer(answer).await,
            Taken::Stopped => Served::Last(GOING_AWAY),
        }
    }

    async fn answer(&mut self, bytes: Vec<u8>) -> Served {
        match self.writer.send(bytes).await {
            Ok(()) => Served::Nothing,
            Err(error) => {
                tracing::debug!(peer = %self.intake.peer, %error, "could not answer");
                Served::Last(None)
            }
        }
    }
}

/// What an error means for the other end.
fn end(error: &Error) -> End {
    match error {
        Error::Capacity(_) => Some(CloseCode::Size),
        Error::Utf8(_) => Some(CloseCode::Invalid),
        Error::Protocol(ProtocolError::ResetWithoutClosingHandshake) => None,
        Error::Protocol(_) => Some(CloseCode::Protocol),
        _ => None,
    }
}

/// The half that is written.
pub(super) struct Writer<S>(Arc<tokio::sync::Mutex<SplitSink<Socket<S>, Message>>>);

impl<S: AsyncRead + AsyncWrite + Unpin> Writer<S> {
    /// Sends what the library gives, until that ends or nobody takes it.
    pub(super) async fn send_all(&self, mut outgoing: TransportReceiver) -> End {
        while let Some(event) = outgoing.recv().await {
            let TransportEvent::Incoming(message, ..) = event else {
                continue;
            };
            if outgoing.len() > MAX_UNREAD || self.send(message.to_bytes()).await.is_err() {
                return None;
            }
        }
        GOING_AWAY
    }

    /// Sends a message: as text, which every client reads, unless it is none.
    async fn send(&self, bytes: Vec<u8>) -> Result<(), Error> {
        self.put(String::from_utf8(bytes).map_or_else(|error| Message::binary(error.into_bytes()), Message::text)).await
    }

    async fn put(&self, message: Message) -> Result<(), Error> {
        let mut sink = self.0.lock().await;
        timeout(STALLED, sink.send(message)).await.map_err(|_| io::Error::from(io::ErrorKind::TimedOut))?
    }

    /// Says why it ends, if somebody is there to hear it, and ends it.
    pub(super) async fn close(&self, end: End) {
        if let Some(code) = end {
            let _ = self.put(Message::Close(Some(CloseFrame { code, reason: "".into() }))).await;
        }
        let mut sink = self.0.lock().await;
        let _ = timeout(STALLED, sink.close()).await;
    }
}

#[cfg(test)]
mod tests;
