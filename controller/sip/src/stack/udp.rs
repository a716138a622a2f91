//! UDP: every datagram is screened here, and the library gets what is sound of it already parsed.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Instant;

use async_trait::async_trait;
use nix::sys::socket::{setsockopt, sockopt};
use rsipstack::platform::net::UdpSocket as PlatformUdpSocket;
use rsipstack::sip::Transport;
use rsipstack::transport::connection::TransportSender;
use rsipstack::transport::udp::UdpConnection;
use rsipstack::transport::{SipConnection, TransportEvent};
use tokio::net::UdpSocket;
use tokio_util::sync::CancellationToken;

use super::screen::{Screened, screen};
use super::sip_address;
use super::sources::Sources;
use super::validate::Carriage;

/// The longest datagram there is.
const MAX_DATAGRAM: usize = 65_535;

/// The library's hold of a socket: it sends by it, and receives nothing, because [`receive`] does.
pub(super) struct SendingSocket(pub(super) Arc<UdpSocket>);

#[async_trait]
impl PlatformUdpSocket for SendingSocket {
    async fn recv_from(&self, _: &mut [u8]) -> rsipstack::Result<(usize, SocketAddr)> {
        std::future::pending().await
    }

    async fn send_to(&self, buffer: &[u8], to: SocketAddr) -> rsipstack::Result<usize> {
        Ok(self.0.send_to(buffer, to).await?)
    }

    fn local_addr(&self) -> rsipstack::Result<SocketAddr> {
        Ok(self.0.local_addr()?)
    }
}

/// Bytes of the queue of datagrams that nobody has read yet: some two thousand, so that a moment in which the processor or the disk is busy with
/// something else loses none.
const QUEUE: usize = 4 << 20;

/// A socket with a long queue, where the system lets it have one; else with what it gives everybody.
pub(super) async fn bind(address: SocketAddr) -> io::Result<UdpSocket> {
    let socket = UdpSocket::bind(address).await?;
    if setsockopt(&socket, sockopt::RcvBufForce, &QUEUE).is_err() {
        setsockopt(&socket, sockopt::RcvBuf, &QUEUE)?;
    }
    Ok(socket)
}

/// Receives until told to stop; what is sound goes to the library as having come by `connection`.
pub(super) async fn receive(
    socket: Arc<UdpSocket>,
    connection: UdpConnection,
    library: TransportSender,
    sources: Arc<Sources>,
    stop: CancellationToken,
) {
    let mut buffer = vec![0; MAX_DATAGRAM];
    let connection = SipConnection::Udp(connection);
    loop {
        let received = tokio::select! {
            () = stop.cancelled() => return,
            received = socket.recv_from(&mut buffer) => received,
        };
        let (length, from) = match received {
            Ok(received) => received,
            // An ICMP error for something sent earlier; the socket is as good as before.
            Err(error) => {
                tracing::debug!(%error, "UDP receive");
                tokio::task::yield_now().await;
                continue;
            }
        };
        if !sources.admit(from.ip(), Instant::now()) {
            tracing::debug!(%from, "dropped a datagram of a flood");
            continue;
        }
        if let Some(answer) = take(&buffer[..length], from, &connection, &library)
            && let Err(error) = socket.send_to(&answer, from).await
        {
            tracing::debug!(%from, %error, "could not answer a malformed message");
        }
    }
}

/// Hands a sound datagram to the library; what is to be answered at once is returned.
fn take(datagram: &[u8], from: SocketAddr, connection: &SipConnection, library: &TransportSender) -> Option<Vec<u8>> {
    // RFC 5626 section 4.4.1 has this over streams only, but some send it to keep a NAT's binding, and want to hear that it is there.
    if datagram == b"\r\n\r\n" {
        return Some(b"\r\n".to_vec());
    }
    match screen(datagram, Carriage::Datagram, from) {
        Screened::Pass(message) => {
            // Nobody listens any more only when the server stops.
            let _ = library.send(TransportEvent::Incoming(*message, connection.clone(), sip_address(Transport::Udp, from)));
            None
        }
        Screened::Drop => None,
        Screened::Answer(answer) => Some(answer),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_burst_is_kept_until_somebody_reads() {
        let address = SocketAddr::from(([127, 0, 0, 1], 0));
        let (socket, peer) = (bind(address).await.unwrap(), UdpSocket::bind(address).await.unwrap());
        for _ in 0..1000 {
            peer.send_to(&[b'x'; 800], socket.local_addr().unwrap()).await.unwrap();
        }
        let mut buffer = [0; 801];
        let mut read = 0;
        while socket.try_recv(&mut buffer).is_ok_and(|length| length == 800) {
            read += 1;
        }
        assert_eq!(read, 1000);
    }
}
