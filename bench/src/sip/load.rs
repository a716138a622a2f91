//! The load: two sockets, callers behind one and called behind the other, and the clock.

use std::io;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use hdrhistogram::CreationError;
use nix::sys::socket::{setsockopt, sockopt};
use tokio::net::UdpSocket;

use super::callees::Callees;
use super::callers::Callers;
use super::outbox::Outbox;
use super::tally::Tally;
use super::write::Writer;
use super::{Signing, SipError};

/// No SIP message over UDP is longer.
const LONGEST: usize = 65_536;
/// So many datagrams of one socket are read before the other is looked at.
const TURN: usize = 64;
/// What a socket's queue holds, in bytes, so that what is lost is not lost here.
const QUEUE: usize = 16 << 20;

/// How fast things are begun.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Pace {
    /// So many a second, whatever becomes of them.
    Rate(f64),
    /// So many at a time, the next when one is done.
    AtOnce(usize),
}

/// The applications.
#[derive(Debug)]
pub(super) struct Load {
    sockets: [UdpSocket; 2],
    callers: Callers,
    callees: Callees,
    out: [Outbox; 2],
    buffer: Vec<u8>,
    /// What has been seen since it was taken last.
    pub(super) tally: Tally,
}

const CALLERS: usize = 0;
const CALLEES: usize = 1;

impl Load {
    /// Applications that speak to a gateway.
    pub(super) async fn connect(gateway: SocketAddr, signing: Signing, callers: u32) -> Result<Self, SipError> {
        let sockets = [connected(gateway).await?, connected(gateway).await?];
        let writer = Writer { callers: sockets[CALLERS].local_addr()?, callees: sockets[CALLEES].local_addr()? };
        Ok(Self {
            callers: Callers::new(writer, signing, callers),
            callees: Callees::new(writer.callees),
            sockets,
            out: [Outbox::default(), Outbox::default()],
            buffer: vec![0; LONGEST],
            tally: Tally::new()?,
        })
    }

    /// What has been seen; from now on it is seen anew.
    pub(super) fn take_tally(&mut self) -> Result<Tally, CreationError> {
        Ok(std::mem::replace(&mut self.tally, Tally::new()?))
    }

    /// How many calls are held in service.
    pub(super) fn held(&self) -> usize {
        self.callers.held()
    }

    /// Begins one thing after the other until `begin` has no more, and waits for all of them; calls that are held are left in service.
    pub(super) async fn run(
        &mut self,
        pace: Pace,
        mut begin: impl FnMut(&mut Callers, Instant, &mut Outbox) -> bool,
    ) -> Result<(), SipError> {
        let start = Instant::now();
        let (mut begun, mut more) = (0_u32, true);
        loop {
            self.receive()?;
            let now = Instant::now();
            let [out, answers] = &mut self.out;
            self.callers.do_what_is_due(now, &mut self.tally, out);
            self.callees.do_what_is_due(now, &mut self.tally, answers);
            while more && self.callers.may_begin(pace, begun, now - start) {
                more = begin(&mut self.callers, now, out);
                begun += 1;
            }
            self.flush().await?;
            if !more && self.callers.under_way() == 0 {
                return Ok(());
            }
            let next_begin = match pace {
                Pace::Rate(rate) if more => Some(start + Duration::from_secs_f64(f64::from(begun) / rate)),
                _ => None,
            };
            let due = [self.callers.next_due(), self.callees.next_due(), next_begin].into_iter().flatten().min();
            self.wait(due).await?;
        }
    }

    /// Lets what comes late be answered for a while.
    pub(super) async fn linger(&mut self, time: Duration) -> Result<(), SipError> {
        let end = Instant::now() + time;
        while Instant::now() < end {
            self.receive()?;
            let now = Instant::now();
            let [out, answers] = &mut self.out;
            self.callers.do_what_is_due(now, &mut self.tally, out);
            self.callees.do_what_is_due(now, &mut self.tally, answers);
            self.flush().await?;
            let due = [self.callers.next_due(), self.callees.next_due(), Some(end)].into_iter().flatten().min();
            self.wait(due).await?;
        }
        Ok(())
    }

    fn receive(&mut self) -> io::Result<()> {
        for side in [CALLERS, CALLEES] {
            for _ in 0..TURN {
                let length = match self.sockets[side].try_recv(&mut self.buffer) {
                    Ok(length) => length,
                    Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
                    Err(error) => return Err(error),
                };
                let (datagram, now, out) = (&self.buffer[..length], Instant::now(), &mut self.out[side]);
                if side == CALLERS {
                    self.callers.receive(datagram, now, &mut self.tally, out);
                } else {
                    self.callees.receive(datagram, now, &mut self.tally, out);
                }
            }
        }
        Ok(())
    }

    async fn flush(&mut self) -> io::Result<()> {
        for (socket, out) in self.sockets.iter().zip(&mut self.out) {
            for datagram in out.datagrams() {
                socket.send(datagram).await?;
            }
            out.clear();
        }
        Ok(())
    }

    async fn wait(&self, due: Option<Instant>) -> io::Result<()> {
        let [callers, callees] = &self.sockets;
        let due = due.unwrap_or_else(|| Instant::now() + Duration::from_secs(1));
        tokio::select! {
            ready = callers.readable() => ready,
            ready = callees.readable() => ready,
            () = tokio::time::sleep_until(due.into()) => Ok(()),
        }
    }
}

async fn connected(gateway: SocketAddr) -> io::Result<UdpSocket> {
    let socket = UdpSocket::bind((gateway.ip(), 0)).await?;
    // Only root may have more than the system's limit.
    if setsockopt(&socket, sockopt::RcvBufForce, &QUEUE).is_err() {
        setsockopt(&socket, sockopt::RcvBuf, &QUEUE)?;
    }
    socket.connect(gateway).await?;
    Ok(socket)
}
