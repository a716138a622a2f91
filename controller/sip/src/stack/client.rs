//! Requests that the gateway sends.

use std::net::SocketAddr;
use std::sync::Arc;

use rsipstack::sip::uri::ParamsExt;
use rsipstack::sip::{Auth, Header, Host, Method, Request, Response, SipMessage, StatusCodeKind, Transport, Uri, typed};
use rsipstack::transaction::key::{TransactionKey, TransactionRole};
use rsipstack::transaction::make_via_branch;
use rsipstack::transport::{SipAddr, SipConnection};

use super::stream::DialError;
use super::{Dialog, Stack, Transaction, sequence};
use crate::config::{Carrier, ListenAddress};

/// An INVITE under way: CANCEL goes the way it went.
pub(crate) struct InviteClient {
    transaction: Transaction,
}

impl InviteClient {
    /// Sends the INVITE; `None` if it could not be made a transaction.
    pub(crate) async fn send(stack: &Stack, invite: Request, hop: &Uri) -> Option<Self> {
        let transaction = stack.client(invite, hop, None).await?;
        Some(Self { transaction })
    }

    /// The next response. The transaction acknowledges final ones itself, every repeated 2xx too, and ends with `None`.
    pub(crate) async fn next(&mut self) -> Option<Response> {
        loop {
            match self.transaction.receive().await? {
                SipMessage::Response(response) => return Some(response),
                SipMessage::Request(_) => {}
            }
        }
    }
}

impl Stack {
    /// The address to name in Via and Contact of a message to `hop`.
    pub(crate) fn local(&self, hop: &Uri) -> ListenAddress {
        let carrier = self.carrier(hop);
        let first = self.addresses.first().copied();
        self.addresses
            .iter()
            .copied()
            .find(|address| address.carrier == carrier)
            .or(first)
            // `start` refuses an empty list.
            .unwrap_or(ListenAddress { carrier, address: std::net::SocketAddr::from(([127, 0, 0, 1], 5060)) })
    }

    /// UDP unless the address asks for TCP, or there is nothing but TCP (RFC 3263 section 4.1).
    fn carrier(&self, hop: &Uri) -> Carrier {
        let offered = |carrier| self.addresses.iter().any(|address| address.carrier == carrier);
        match hop.transport() {
            Some(Transport::Tcp) => Carrier::Tcp,
            _ if offered(Carrier::Udp) => Carrier::Udp,
            _ => Carrier::Tcp,
        }
    }

    /// A Via of ours, with a new branch.
    pub(crate) fn via(&self, hop: &Uri) -> typed::Via {
        let local = self.local(hop);
        typed::Via {
            version: rsipstack::sip::Version::V2,
            transport: local.carrier.into(),
            uri: Uri::from(SipAddr { r#type: None, addr: local.address.into() }),
            params: vec![make_via_branch(), rsipstack::sip::Param::Rport(None)],
        }
    }

    /// Our Contact towards `hop`, with the user part of whom we speak for.
    pub(crate) fn contact(&self, user: &str, hop: &Uri) -> Header {
        let local = self.local(hop);
        let parameter = if local.carrier == Carrier::Tcp { ";transport=tcp" } else { "" };
        let user = Auth { user: user.to_owned(), password: None };
        Header::Contact(format!("<sip:{user}@{}{parameter}>", local.address).into())
    }

    async fn client(&self, request: Request, hop: &Uri, connection: Option<SipConnection>) -> Option<Transaction> {
        let key = match TransactionKey::from_request(&request, TransactionRole::Client) {
            Ok(key) => key,
            Err(error) => {
                tracing::error!(%error, "a request of ours is malformed");
                return None;
            }
        };
        let carrier = self.carrier(hop);
        let connection = match connection {
            None if carrier != Carrier::Udp => Some(self.reach(carrier, hop).await?),
            other => other,
        };
        let mut transaction = Transaction::new_client(key, request, Arc::clone(&self.endpoint), connection);
        transaction.destination = Some(SipAddr { r#type: Some(carrier.into()), addr: hop.host_with_port.clone() });
        if let Err(error) = transaction.send().await {
            tracing::debug!(%error, %hop, "could not send");
            return None;
        }
        Some(transaction)
    }

    /// A connection to `hop`; `None` if there can be none.
    async fn reach(&self, carrier: Carrier, hop: &Uri) -> Option<SipConnection> {
        let peer = match address_of(hop, carrier).await {
            Ok(peer) => peer,
            Err(error) => {
                tracing::debug!(%error, %hop, "could not connect");
                return None;
            }
        };
        let connected = self.streams.reach(carrier, peer).await;
        connected.map_err(|error| tracing::debug!(%error, %hop, "could not connect")).ok()
    }

    /// Sends a request that is no INVITE, and waits for its end; its last response.
    pub(crate) async fn exchange(&self, request: Request, hop: &Uri, connection: Option<SipConnection>) -> Option<Response> {
        let method = request.method;
        let mut transaction = self.client(request, hop, connection).await?;
        let mut last = None;
        while let Some(message) = transaction.receive().await {
            if let SipMessage::Response(response) = message {
                tracing::debug!(%method, status = %response.status_code, "answered");
                last = Some(response);
            }
        }
        last
    }

    /// Sends a request that is no INVITE, and returns its final response, if it gets one.
    pub(crate) async fn ask(&self, request: Request, hop: &Uri) -> Option<Response> {
        let mut transaction = self.client(request, hop, None).await?;
        while let Some(message) = transaction.receive().await {
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
        let connection = dialog.connection();
        let request = dialog.request(Method::Bye, self.via(&hop), more);
        self.exchange(request, &hop, connection).await;
    }

    /// Cancels an INVITE that has been answered provisionally (RFC 3261 section 9.1).
    pub(crate) async fn cancel(&self, invite: &Request, hop: &Uri, reason: Option<Header>) {
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
        self.exchange(cancel, hop, None).await;
    }
}

/// Where a hop is (RFC 3263 section 4.2, without its SRV records).
async fn address_of(hop: &Uri, carrier: Carrier) -> Result<SocketAddr, DialError> {
    let port = hop.host_with_port.port.map_or_else(|| Transport::from(carrier).default_port().0, |port| port.0);
    match &hop.host_with_port.host {
        Host::IpAddr(address) => Ok(SocketAddr::new(*address, port)),
        Host::Domain(name) => tokio::net::lookup_host((name.0.as_str(), port)).await?.next().ok_or(DialError::NoSuchHost),
    }
}
