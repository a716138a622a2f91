//! The sockets: a UDP socket that screens what it receives, and the TCP accept loop.

use std::net::SocketAddr;

use async_trait::async_trait;
use rsipstack::platform::net::UdpSocket as PlatformUdpSocket;
use rsipstack::sip::Transport;
use rsipstack::transaction::endpoint::EndpointInnerRef;
use rsipstack::transport::tcp::TcpConnection;
use rsipstack::transport::{SipAddr, SipConnection};
use tokio::net::{TcpListener, UdpSocket};
use tokio_util::sync::CancellationToken;

use super::screen::{Screened, screen};

/// More connections than this and new ones are closed: a file descriptor each is not for strangers to exhaust.
const MAX_CONNECTIONS: usize = 4096;

/// A UDP socket that answers or drops malformed datagrams itself and hands on the others.
pub(super) struct ScreenedSocket(UdpSocket);

impl ScreenedSocket {
    pub(super) fn new(socket: UdpSocket) -> Self {
        Self(socket)
    }
}

#[async_trait]
impl PlatformUdpSocket for ScreenedSocket {
    async fn recv_from(&self, buffer: &mut [u8]) -> rsipstack::Result<(usize, SocketAddr)> {
        loop {
            let (length, from) = match self.0.recv_from(buffer).await {
                Ok(received) => received,
                // An ICMP error for something sent earlier; the socket is as good as before.
                Err(error) => {
                    tracing::debug!(%error, "UDP receive");
                    tokio::task::yield_now().await;
                    continue;
                }
            };
            match screen(&buffer[..length]) {
                Screened::Pass => return Ok((length, from)),
                Screened::Drop => tracing::debug!(%from, "dropped a datagram that is no SIP message"),
                Screened::Answer(answer) => {
                    if let Err(error) = self.0.send_to(&answer, from).await {
                        tracing::debug!(%from, %error, "could not answer a malformed message");
                    }
                }
            }
        }
    }

    async fn send_to(&self, buffer: &[u8], to: SocketAddr) -> rsipstack::Result<usize> {
        Ok(self.0.send_to(buffer, to).await?)
    }

    fn local_addr(&self) -> rsipstack::Result<SocketAddr> {
        Ok(self.0.local_addr()?)
    }
}

/// Accepts connections until told to stop.
pub(super) async fn accept(listener: TcpListener, endpoint: EndpointInnerRef, stop: CancellationToken) {
    let Ok(local) = listener.local_addr() else { return };
    let local = SipAddr { r#type: Some(Transport::Tcp), addr: local.into() };
    loop {
        let accepted = tokio::select! {
            () = stop.cancelled() => return,
            accepted = listener.accept() => accepted,
        };
        let (stream, from) = match accepted {
            Ok(accepted) => accepted,
            Err(error) => {
                tracing::warn!(%error, "TCP accept");
                // Out of descriptors: let some close first.
                tokio::time::sleep(std::time::Duration::from_millis(100)).await;
                continue;
            }
        };
        if endpoint.transport_layer.connections_count() >= MAX_CONNECTIONS {
            tracing::warn!(%from, "too many TCP connections");
            continue;
        }
        match TcpConnection::from_stream(stream, local.clone(), Some(stop.child_token())) {
            Ok(connection) => endpoint.transport_layer.add_connection(SipConnection::Tcp(connection)),
            Err(error) => tracing::debug!(%from, %error, "connection lost at once"),
        }
    }
}
