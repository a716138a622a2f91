//! By which connection somebody is reached where nobody listens (RFC 5626, RFC 5923 section 3).
//!
//! A client over TCP or TLS seldom listens where it connects from, and a WebSocket client never does: its contact is a name that nobody can resolve
//! (`sip:x@y.invalid;transport=ws`, RFC 7118 section 5). Such a contact stands for the connection by which it was registered, and it does so for its own
//! application only: whoever registers the contact of another gets its own requests by it, and none of the other's.

use std::collections::HashMap;
use std::net::SocketAddr;

use rsipstack::sip::uri::ParamsExt;
use rsipstack::sip::{Host, Transport, Uri};
use rsipstack::transport::SipConnection;
use svpn_vpn::request::ApplicationId;

use super::next_hop::is_open;

/// An application needs no more ways than it may have contacts, while one registration replaces another.
const MAX_WAYS: usize = 16;

/// What tells one contact of an application from another.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Place {
    /// An address that could be connected to.
    Address(Transport, SocketAddr),
    /// The other end of a WebSocket: the user part, and what stands for a host.
    WebSocket(String),
}

impl Place {
    /// That of an address with `transport=ws`, or `wss` as some write it; both mean WebSocket, with TLS or without.
    pub(super) fn web_socket(uri: &Uri) -> Option<Self> {
        matches!(uri.transport(), Some(Transport::Ws | Transport::Wss)).then(|| {
            let host = uri.host_with_port.to_string().to_ascii_lowercase();
            Self::WebSocket(format!("{}@{host}", uri.user().unwrap_or_default()))
        })
    }

    /// That of an address which says where to connect to.
    pub(super) fn address(transport: Transport, uri: &Uri, port: u16) -> Option<Self> {
        match uri.host_with_port.host {
            Host::IpAddr(address) => Some(Self::Address(transport, SocketAddr::new(address, port))),
            Host::Domain(_) => None,
        }
    }

    /// Whether who came by this connection may say to be there: over what the contact names, and from the address that it names, if it names one.
    fn is_of(&self, connection: &SipConnection) -> bool {
        let Some(came) = connection.get_remote_addr().filter(|_| connection.is_reliable()) else {
            return false;
        };
        match self {
            Self::WebSocket(_) => matches!(came.r#type, Some(Transport::Ws | Transport::Wss)),
            Self::Address(transport, contact) => {
                let peer = came.get_socketaddr().ok();
                came.r#type == Some(*transport) && peer.is_some_and(|peer| peer.ip() == contact.ip() && peer != *contact)
            }
        }
    }
}

/// All ways, by whose they are.
#[derive(Default)]
pub(super) struct Ways(HashMap<ApplicationId, Vec<(Place, SipConnection)>>);

impl Ways {
    /// The open connection by which the application is reached there.
    pub(super) fn find(&self, whose: &ApplicationId, place: &Place) -> Option<&SipConnection> {
        let ways = self.0.get(whose)?;
        ways.iter().find(|(known, connection)| known == place && is_open(connection)).map(|(_, connection)| connection)
    }

    /// The application has registered this place by this connection; one that it had before leads there no more.
    pub(super) fn remember(&mut self, whose: &ApplicationId, place: Place, connection: &SipConnection) {
        if !place.is_of(connection) {
            return;
        }
        let ways = self.0.entry(whose.clone()).or_default();
        ways.retain(|(known, connection)| *known != place && is_open(connection));
        if ways.len() == MAX_WAYS {
            ways.remove(0);
        }
        ways.push((place, connection.clone()));
    }

    /// Drops those whose connection is closed.
    pub(super) fn sweep(&mut self) {
        self.0.retain(|_, ways| {
            ways.retain(|(_, connection)| is_open(connection));
            !ways.is_empty()
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stack::sip_address;
    use rsipstack::transport::channel::ChannelConnection;
    use svpn_vpn::request::VpnName;
    use tokio::sync::mpsc::unbounded_channel;
    use tokio_util::sync::CancellationToken;

    fn application(name: &str) -> ApplicationId {
        ApplicationId { name: name.to_owned(), vpn: VpnName("vpn-a".to_owned()) }
    }

    async fn connection(transport: Transport, from: &str) -> (SipConnection, CancellationToken) {
        let closed = CancellationToken::new();
        let address = sip_address(transport, from.parse().unwrap());
        let (incoming, outgoing) = (unbounded_channel().1, unbounded_channel().0);
        let channel = ChannelConnection::create_connection(incoming, outgoing, address, Some(closed.clone())).await.unwrap();
        (channel.into(), closed)
    }

    fn place(contact: &str) -> Place {
        let uri = Uri::try_from(contact).unwrap();
        Place::web_socket(&uri).or_else(|| Place::address(Transport::Tcp, &uri, 5060)).unwrap()
    }

    /// By which port of whoever is reached there.
    fn found(ways: &Ways, name: &str, contact: &str) -> Option<u16> {
        Some(ways.find(&application(name), &place(contact))?.get_remote_addr()?.get_socketaddr().ok()?.port())
    }

    const RANDOM: &str = "sip:x@y.invalid;transport=ws";

    #[tokio::test]
    async fn a_contact_of_a_web_socket_is_the_connection_it_was_registered_by_as_long_as_that_is_open() {
        let mut ways = Ways::default();
        let (first, gone) = connection(Transport::Wss, "192.0.2.1:1000").await;
        ways.remember(&application("a"), place(RANDOM), &first);
        assert_eq!(found(&ways, "a", "sip:x@Y.invalid;transport=WS;ob"), Some(1000), "it is known by user and host");
        assert_eq!(found(&ways, "a", "sip:z@y.invalid;transport=ws"), None);
        gone.cancel();
        assert_eq!(found(&ways, "a", RANDOM), None);
        let (second, _open) = connection(Transport::Ws, "192.0.2.1:1001").await;
        ways.remember(&application("a"), place(RANDOM), &second);
        assert_eq!(found(&ways, "a", RANDOM), Some(1001));
        assert_eq!(ways.0[&application("a")].len(), 1, "the other one is forgotten");
    }

    #[tokio::test]
    async fn who_registers_the_contact_of_another_gets_only_its_own_requests() {
        let mut ways = Ways::default();
        let (own, _open) = connection(Transport::Ws, "192.0.2.1:1000").await;
        let (foreign, _also) = connection(Transport::Ws, "192.0.2.1:2000").await;
        ways.remember(&application("a"), place(RANDOM), &own);
        ways.remember(&application("b"), place(RANDOM), &foreign);
        assert_eq!((found(&ways, "a", RANDOM), found(&ways, "b", RANDOM)), (Some(1000), Some(2000)));
    }

    #[tokio::test]
    async fn a_place_is_that_of_who_comes_from_there_by_what_it_names() {
        let (tcp, _open) = connection(Transport::Tcp, "192.0.2.1:1000").await;
        let (web, _also) = connection(Transport::Ws, "192.0.2.1:2000").await;
        for (contact, connection, remembered) in [
            ("sip:x@192.0.2.1:5060;transport=tcp", &tcp, true),
            ("sip:x@192.0.2.2:5060;transport=tcp", &tcp, false),
            ("sip:x@192.0.2.1:5060;transport=tcp", &web, false),
            (RANDOM, &tcp, false),
            ("sip:x@192.0.2.7;transport=ws", &web, true),
        ] {
            let mut ways = Ways::default();
            ways.remember(&application("a"), place(contact), connection);
            assert_eq!(ways.find(&application("a"), &place(contact)).is_some(), remembered, "{contact}");
        }
    }

    #[tokio::test]
    async fn an_application_has_few_ways_and_none_when_all_are_closed() {
        let mut ways = Ways::default();
        let (connection, closed) = connection(Transport::Ws, "192.0.2.1:1000").await;
        for number in 0..100 {
            ways.remember(&application("a"), place(&format!("sip:{number}@y.invalid;transport=ws")), &connection);
        }
        assert_eq!(ways.0[&application("a")].len(), MAX_WAYS);
        assert_eq!(found(&ways, "a", "sip:99@y.invalid;transport=ws"), Some(1000), "the last are kept");
        closed.cancel();
        ways.sweep();
        assert!(ways.0.is_empty());
    }
}
