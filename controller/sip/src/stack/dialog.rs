//! Dialogs (RFC 3261 section 12): what a request within one is made of.

use super::escapes::{read_again, unescaped};
use super::grammar::address;
use super::next_hop::NextHop;
use super::sequence;
use rsipstack::dialog::DialogId;
use rsipstack::sip::prelude::{HeadersExt, ToTypedHeader};
use rsipstack::sip::{CallId, Header, Method, Request, Response, Uri, Version, typed};
use rsipstack::transaction::key::TransactionRole;
use rsipstack::transport::SipConnection;
use serde::{Deserialize, Serialize};
use svpn_vpn::request::ApplicationId;

/// The gateway's end of a dialog.
#[derive(Clone)]
pub(crate) struct Dialog {
    id: DialogId,
    /// Our From, with our tag.
    local: String,
    /// Our To, with the peer's tag.
    remote: String,
    target: Uri,
    route: Vec<Header>,
    sequence: u32,
    /// Whom the peer speaks for, where its contacts are those of an application here.
    whose: Option<ApplicationId>,
    /// The connection the peer came by, if it is one.
    connection: Option<SipConnection>,
}

/// A dialog as it is kept.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct KeptDialog {
    call_id: String,
    local_tag: String,
    remote_tag: String,
    local: String,
    remote: String,
    target: String,
    route: Vec<String>,
    sequence: u32,
}

/// Requests of ours that were sent since a dialog was kept, at most. Numbers of `CSeq` may be left out (RFC 3261 section 12.2.1.1), and
/// must not be used again.
const UNKNOWN_REQUESTS: u32 = 1 << 20;

/// Why a message makes no dialog.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum DialogError {
    #[error("Contact is missing or malformed")]
    Contact,
    #[error("Record-Route is malformed")]
    RecordRoute,
    #[error("a tag is missing")]
    Tag,
    #[error("the address of what was kept is malformed")]
    Kept,
}

/// The key under which requests within a dialog are found.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct DialogKey(DialogId);

impl DialogKey {
    /// The dialog a request belongs to, if it has both tags.
    pub(crate) fn of_request(request: &Request) -> Option<Self> {
        let id = DialogId::try_from((request, TransactionRole::Server)).ok()?;
        (!id.local_tag.is_empty()).then_some(Self(id))
    }
}

impl Dialog {
    /// The dialog that our answer to `invite` makes; its To has our tag already, and it came by `connection`.
    pub(crate) fn as_callee(
        invite: &Request,
        whose: Option<ApplicationId>,
        connection: Option<SipConnection>,
    ) -> Result<Self, DialogError> {
        let id = DialogId::try_from((invite, TransactionRole::Server)).map_err(|_| DialogError::Tag)?;
        Ok(Self {
            id,
            local: invite.to_header().map_err(|_| DialogError::Tag)?.value().to_owned(),
            remote: invite.from_header().map_err(|_| DialogError::Tag)?.value().to_owned(),
            target: contact(invite)?,
            route: record_route(invite)?,
            sequence: 0,
            whose,
            connection: connection.filter(SipConnection::is_reliable),
        })
    }

    /// The dialog that the peer's 2xx to our `invite` makes, which went to `hop`.
    pub(crate) fn as_caller(invite: &Request, answer: &Response, hop: &NextHop) -> Result<Self, DialogError> {
        Self::answered(invite, answer, hop.whose().cloned(), hop.connection().cloned())
    }

    /// The dialog that a further 2xx makes, which came by `connection`: From and `CSeq` are those of the INVITE (RFC 3261 section 8.2.6.2), which a proxy has forked.
    pub(crate) fn as_forked(answer: &Response, connection: Option<SipConnection>) -> Result<Self, DialogError> {
        Self::answered(answer, answer, None, connection.filter(SipConnection::is_reliable))
    }

    fn answered(
        invite: &impl HeadersExt,
        answer: &Response,
        whose: Option<ApplicationId>,
        connection: Option<SipConnection>,
    ) -> Result<Self, DialogError> {
        let id = DialogId::try_from((answer, TransactionRole::Client)).map_err(|_| DialogError::Tag)?;
        let mut route = record_route(answer)?;
        route.reverse();
        Ok(Self {
            id,
            local: invite.from_header().map_err(|_| DialogError::Tag)?.value().to_owned(),
            remote: answer.to_header().map_err(|_| DialogError::Tag)?.value().to_owned(),
            target: contact(answer)?,
            route,
            sequence: sequence(invite),
            whose,
            connection,
        })
    }

    /// The dialog of an INVITE's 2xx, after requests of ours within it while it was early: their numbers must not be used again.
    pub(crate) fn after(mut self, early: &Self) -> Self {
        self.sequence = self.sequence.max(early.sequence);
        self
    }

    /// What is needed to go on with it.
    pub(crate) fn keep(&self) -> KeptDialog {
        let DialogId { call_id, local_tag, remote_tag } = self.id.clone();
        KeptDialog {
            call_id,
            local_tag,
            remote_tag,
            local: self.local.clone(),
            remote: self.remote.clone(),
            target: self.target.to_string(),
            route: self.route.iter().map(|route| route.value().to_owned()).collect(),
            sequence: self.sequence,
        }
    }

    /// The dialog that was kept. The peer's connection is gone; it is called at its Contact, or as it has registered since.
    pub(crate) fn resume(kept: KeptDialog, whose: Option<ApplicationId>) -> Result<Self, DialogError> {
        let KeptDialog { call_id, local_tag, remote_tag, local, remote, target, route, sequence } = kept;
        Ok(Self {
            id: DialogId { call_id, local_tag, remote_tag },
            local,
            remote,
            target: read_again(&target).ok_or(DialogError::Kept)?,
            route: route.into_iter().map(|route| Header::Route(route.into())).collect(),
            sequence: sequence.saturating_add(UNKNOWN_REQUESTS),
            whose,
            connection: None,
        })
    }

    /// Another dialog with the same peer, which the same INVITE makes with another tag of ours.
    pub(crate) fn beside(&self, invite: &Request) -> Result<Self, DialogError> {
        Self::as_callee(invite, self.whose.clone(), self.connection.clone())
    }

    /// The dialog after a target refresh (RFC 3261 section 12.2): the peer is to be called at its new Contact, if `message` has one.
    pub(crate) fn refreshed(&self, message: &impl HeadersExt) -> Result<Self, DialogError> {
        let mut refreshed = self.clone();
        if message.contact_header().is_ok() {
            refreshed.target = contact(message)?;
        }
        Ok(refreshed)
    }

    /// The dialog by the connection that the peer came by last, if that is one.
    pub(crate) fn by(mut self, connection: Option<SipConnection>) -> Self {
        self.connection = connection.filter(SipConnection::is_reliable).or(self.connection);
        self
    }

    /// The key its requests are found by.
    pub(crate) fn key(&self) -> DialogKey {
        DialogKey(self.id.clone())
    }

    /// Where its requests go: the first Route, or else the peer's Contact; by the connection that the peer came by, as long as that is open.
    pub(crate) fn next_hop(&self) -> NextHop {
        let route = self.route.first().map(Header::value);
        let uri = route.and_then(|route| read_again(&address(route)?.uri.canonical)).unwrap_or_else(|| self.target.clone());
        NextHop::new(uri).of(self.whose.clone()).by(self.connection.clone())
    }

    /// The next request of the dialog.
    pub(crate) fn request(&mut self, method: Method, via: typed::Via, more: Vec<Header>) -> Request {
        self.sequence += 1;
        self.message(method, via, more)
    }

    /// The ACK of the 2xx that made the dialog, if there was no request since.
    pub(crate) fn ack(&self, via: typed::Via) -> Request {
        self.message(Method::Ack, via, Vec::new())
    }

    fn message(&self, method: Method, via: typed::Via, more: Vec<Header>) -> Request {
        let mut headers = vec![
            Header::Via(via.into()),
            Header::MaxForwards(70.into()),
            Header::From(self.local.clone().into()),
            Header::To(self.remote.clone().into()),
            Header::CallId(CallId::new(self.id.call_id.clone())),
            Header::CSeq(typed::CSeq { seq: self.sequence, method }.into()),
        ];
        headers.extend(self.route.iter().cloned());
        headers.extend(more);
        Request { method, uri: self.target.clone(), version: Version::V2, headers: headers.into(), body: Vec::new() }
    }
}

fn contact(message: &impl HeadersExt) -> Result<Uri, DialogError> {
    let contact = message.contact_header().map_err(|_| DialogError::Contact)?;
    let mut uri = unescaped(contact.typed().map_err(|_| DialogError::Contact)?.uri);
    uri.headers.clear();
    Ok(uri)
}

fn record_route(message: &impl HeadersExt) -> Result<Vec<Header>, DialogError> {
    let routes = message.typed_record_route_headers().map_err(|_| DialogError::RecordRoute)?;
    Ok(routes.into_iter().map(|route| Header::Route(typed::Route::from(unescaped(route.uri)).into())).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    const INVITE: &str = "INVITE sip:backup@provider.example SIP/2.0\r\nVia: SIP/2.0/UDP 10.1.0.5;branch=z9hG4bK1\r\nFrom: <sip:storage@provider.example>;tag=1\r\n\
                          To: <sip:backup@provider.example>;tag=2\r\nCall-ID: x\r\nCSeq: 1 INVITE\r\nContact: <sip:%3Ba%40b%20c@10.1.0.5>\r\n\
                          Record-Route: <sip:%3Bp%2525@10.1.0.9;lr>\r\nContent-Length: 0\r\n\r\n";

    #[test]
    fn the_peer_is_called_by_its_contact_as_it_wrote_it() {
        let invite = Request::try_from(INVITE).unwrap();
        let dialog = Dialog::as_callee(&invite, None, None).unwrap();
        let kept = Dialog::resume(dialog.keep(), None).unwrap();
        for mut dialog in [dialog, kept] {
            let bye =
                dialog.request(Method::Bye, typed::Via::parse("SIP/2.0/UDP 10.0.0.1;branch=z9hG4bK2").unwrap(), Vec::new()).to_string();
            assert_eq!(dialog.next_hop().uri().host().to_string(), "10.1.0.9");
            assert!(bye.starts_with("BYE sip:;a%40b%20c@10.1.0.5 SIP/2.0\r\n"), "{bye}");
            assert!(bye.contains("\r\nRoute: <sip:;p%2525@10.1.0.9;lr>\r\n"), "{bye}");
        }
    }
}
