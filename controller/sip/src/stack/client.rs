//! Requests that the gateway sends.

use std::net::{IpAddr, SocketAddr};
use std::pin::Pin;
use std::sync::Arc;
use std::time::Instant;

use fail::fail_point;
use rsipstack::sip::uri::ParamsExt;
use rsipstack::sip::{Auth, Header, Host, Method, Request, Response, SipMessage, StatusCodeKind, Transport, Uri, typed};
use rsipstack::transaction::key::{TransactionKey, TransactionRole};
use rsipstack::transaction::make_via_branch;
use rsipstack::transport::{SipAddr, SipConnection};

use super::forks::Forks;
use super::stream::DialError;
use super::{Dialog, NextHop, Stack, Transaction, port, sequence, sip_address};
use crate::config::{Carrier, ListenAddress};

/// An INVITE under way: CANCEL goes the way it went.
pub(crate) struct InviteClient {
    transaction: Box<Transaction>,
    answered: Answered,
    forks: Arc<Forks>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Answered {
    NotYet,
    Finally,
}

impl InviteClient {
    /// Sends the INVITE; `None` if it could not be made a transaction.
    pub(crate) async fn send(stack: &Stack, invite: Request, hop: &NextHop) -> Option<Self> {
        let transaction = Box::pin(stack.client(invite, hop)).await?;
        Some(Self { transaction, answered: Answered::NotYet, forks: Arc::clone(&stack.forks) })
    }

    /// The next response; after a final one, which the library acknowledges as often as it comes, `None`. Who else answers a forked INVITE is
    /// acknowledged and hung up on.
    pub(crate) async fn next(&mut self) -> Option<Response> {
        if self.answered == Answered::Finally {
            return None;
        }
        loop {
            let SipMessage::Response(response) = next_message(&mut self.transaction).await? else { continue };
            match response.status_code.kind() {
                StatusCodeKind::Provisional => {}
                StatusCodeKind::Successful => {
                    self.forks.expect(&self.transaction.key, &response, Instant::now());
                    self.answered = Answered::Finally;
                }
                _ => self.answered = Answered::Finally,
            }
            return Some(response);
        }
    }
}

/// The next message of a transaction; `None` when it is over.
///
/// In a box, as everything of the library's that is waited for: what its futures hold, 4 KiB and more, would be in each of ours that waits for one, and
/// be moved with it.
pub(crate) fn next_message(transaction: &mut Transaction) -> Pin<Box<dyn Future<Output = Option<SipMessage>> + Send + '_>> {
    Box::pin(transaction.receive())
}

impl Stack {
    /// The address to name in Via and Contact of a message to `hop`: of its carrier, and of its kind of address if there is one.
    pub(crate) fn local(&self, hop: &NextHop) -> ListenAddress {
        let connection = self.connection(hop);
        let came = connection.as_ref().and_then(SipConnection::get_remote_addr);
        let carrier = came.and_then(|came| Carrier::try_from(came.r#type?).ok()).unwrap_or_else(|| self.asked(hop.uri()));
        let is_v6 = match came.and_then(|came| came.get_socketaddr().ok()) {
            Some(came) => came.is_ipv6(),
            None => matches!(hop.uri().host(), Host::IpAddr(IpAddr::V6(_))),
        };
        let fit = |address: &&ListenAddress| (address.carrier == carrier, address.address.is_ipv6() == is_v6);
        // `start` refuses an empty list.
        let nowhere = ListenAddress { carrier, address: SocketAddr::from(([127, 0, 0, 1], 5060)) };
        // The first of those that fit best.
        self.addresses.iter().rev().max_by_key(fit).copied().unwrap_or(nowhere)
    }

    /// What the address asks for, or UDP, or what there is (RFC 3263 section 4.1).
    pub(super) fn asked(&self, uri: &Uri) -> Carrier {
        let first = |carriers: &[Carrier]| {
            let offered = |carrier: &&Carrier| self.addresses.iter().any(|address| address.carrier == **carrier);
            carriers.iter().find(offered).copied()
        };
        match uri.transport() {
            Some(Transport::Tcp) => Carrier::Tcp,
            Some(Transport::Tls) => Carrier::Tls,
            // With TLS or without, as it came: an address does not say which.
            Some(Transport::Ws | Transport::Wss) => first(&[Carrier::Wss]).unwrap_or(Carrier::Ws),
            _ => first(&[Carrier::Udp, Carrier::Tcp]).unwrap_or(Carrier::Tls),
        }
    }

    /// The open connection by which whoever is at `hop` came, or registered that it is there.
    fn connection(&self, hop: &NextHop) -> Option<SipConnection> {
        hop.connection().cloned().or_else(|| self.streams.way(hop.whose()?, &self.place(hop.uri())?))
    }

    /// A Via of ours, with a new branch.
    pub(crate) fn via(&self, hop: &NextHop) -> typed::Via {
        let local = self.local(hop);
        typed::Via {
            version: rsipstack::sip::Version::V2,
            transport: local.carrier.into(),
            uri: Uri::from(SipAddr { r#type: None, addr: local.address.into() }),
            params: vec![make_via_branch(), rsipstack::sip::Param::Rport(None)],
        }
    }

    /// Our Contact towards `hop`, with the user part of whom we speak for.
    pub(crate) fn contact(&self, user: &str, hop: &NextHop) -> Header {
        let local = self.local(hop);
        let user = Auth { user: user.to_owned(), password: None };
        Header::Contact(format!("<sip:{user}@{}{}>", local.address, local.carrier.parameter()).into())
    }

    async fn client(&self, request: Request, hop: &NextHop) -> Option<Box<Transaction>> {
        let key = match TransactionKey::from_request(&request, TransactionRole::Client) {
            Ok(key) => key,
            Err(error) => {
                tracing::error!(%error, "a request of ours is malformed");
                return None;
            }
        };
        let (connection, destination) = self.reach(hop).await?;
        let mut transaction = Box::new(Transaction::new_client(key, request, Arc::clone(&self.endpoint), Some(connection)));
        transaction.destination = Some(destination);
        fail_point!("signalling: before a request");
        if let Err(error) = Box::pin(transaction.send()).await {
            tracing::debug!(%error, %hop, "could not send");
            return None;
        }
        fail_point!("signalling: after a request");
        Some(transaction)
    }

    /// What to send by to `hop`, and where to; `None` if there is no way.
    pub(super) async fn reach(&self, hop: &NextHop) -> Option<(SipConnection, SipAddr)> {
        let carrier = self.asked(hop.uri());
        let reached = async {
            if let Some(connection) = self.connection(hop)
                && let Some(peer) = connection.get_remote_addr().cloned()
            {
                return Ok((connection, peer));
            }
            if matches!(carrier, Carrier::Ws | Carrier::Wss) {
                return Err(DialError::NoWebSocket);
            }
            let peer = address_of(hop.uri(), carrier).await?;
            let connection = if carrier == Carrier::Udp {
                let fit = self.udp.iter().find(|(local, _)| local.is_ipv6() == peer.is_ipv6());
                let (_, connection) = fit.ok_or(DialError::NoSocket)?;
                SipConnection::Udp(connection.clone())
            } else {
                self.streams.reach(carrier, peer, hop.uri().host()).await?
            };
            Ok::<_, DialError>((connection, sip_address(carrier.into(), peer)))
        };
        reached.await.map_err(|error| tracing::debug!(%error, %hop, "cannot be reached")).ok()
    }

    /// Sends a request that is no INVITE, and waits for its end; its last response.
    pub(crate) async fn exchange(&self, request: Request, hop: &NextHop) -> Option<Response> {
        let method = request.method;
        let mut transaction = Box::pin(self.client(request, hop)).await?;
        let mut last = None;
        while let Some(message) = next_message(&mut transaction).await {
            if let SipMessage::Response(response) = message {
                tracing::debug!(%method, status = %response.status_code, "answered");
                last = Some(response);
            }
        }
        last
    }

    /// Sends a request that is no INVITE, and returns its final response, if it gets one.
    pub(crate) async fn ask(&self, request: Request, hop: &NextHop) -> Option<Response> {
        let mut transaction = Box::pin(self.client(request, hop)).await?;
        while let Some(message) = next_message(&mut transaction).await {
            match message {
                SipMessage::Response(response) if response.status_code.kind() != StatusCodeKind::Provisional => return Some(response),
                _ => {}
            }
        }
        None
    }

    /// Hangs up.
    pub(crate) async fn bye(&self, mut dialog: Dialog, more: Vec<Header>) {
        let hop = dialog.next_hop();
        let request = dialog.request(Method::Bye, self.via(&hop), more);
        self.exchange(request, &hop).await;
    }

    /// Cancels an INVITE that has been answered provisionally (RFC 3261 section 9.1).
    pub(crate) async fn cancel(&self, invite: &Request, hop: &NextHop, reason: Option<Header>) {
        let mut headers: Vec<Header> = invite
            .headers
            .iter()
            .filter(|header| matches!(header, Header::Via(_) | Header::From(_) | Header::To(_) | Header::CallId(_) | Header::Route(_)))
            .cloned()
            .collect();
        let seq = sequence(invite);
        headers.push(Header::CSeq(typed::CSeq { seq, method: Method::Cancel }.into()));
        headers.push(Header::MaxForwards(70.into()));
        headers.extend(reason);
        let cancel =
            Request { method: Method::Cancel, uri: invite.uri.clone(), version: invite.version, headers: headers.into(), body: Vec::new() };
        self.exchange(cancel, hop).await;
    }
}

/// Where a hop is (RFC 3263 section 4.2, without its SRV records).
async fn address_of(hop: &Uri, carrier: Carrier) -> Result<SocketAddr, DialError> {
    let port = port(hop, carrier);
    match &hop.host_with_port.host {
        Host::IpAddr(address) => Ok(SocketAddr::new(*address, port)),
        // RFC 6761 section 6.4: nobody is asked for such a name.
        Host::Domain(name) if name.0.to_ascii_lowercase().ends_with(".invalid") => Err(DialError::NoSuchHost),
        Host::Domain(name) => tokio::net::lookup_host((name.0.as_str(), port)).await?.next().ok_or(DialError::NoSuchHost),
    }
}
