//! The label mapping as a message: MESSAGE (RFC 3428) from gateway to gateway, with the link and the label in JSON.

use std::time::Instant;

use serde::{Deserialize, Serialize};
use svpn_vpn::request::{CeName, Label, Mapping, Refusal};

use super::labels::{Key, LabelError};
use super::{Peer, Peers, SessionId, failed, gateway};
use crate::refusal::Rejection;
use crate::stack::sip::{CallId, Header, Method, Request, StatusCodeKind, Version, typed};
use crate::stack::{NextHop, Stack, make_tag};

const CONTENT_TYPE: &str = "application/svpn-label-mapping+json";
/// Labels below are reserved (RFC 3032 section 2.1).
const FIRST_LABEL: Label = Label::FIRST_UNRESERVED;

/// What is in the body.
#[derive(Debug, Serialize, Deserialize)]
struct Body {
    nni: String,
    label: u32,
}

/// Takes a mapping that a peer tells.
pub(crate) fn serve(peers: &Peers, request: &Request) -> Result<(), Rejection> {
    let peer = peers.sender(request)?;
    let content_type = request.headers.iter().find_map(|header| match header {
        Header::ContentType(value) => Some(value.value().trim()),
        _ => None,
    });
    if !content_type.is_some_and(|name| name.eq_ignore_ascii_case(CONTENT_TYPE)) {
        return Err(Rejection::new(415, format!("the body is not {CONTENT_TYPE}")).with(Header::Accept(CONTENT_TYPE.into())));
    }
    let session = SessionId::of(request).ok_or_else(|| Rejection::new(400, "there is no Session-ID"))?;
    let Body { nni, label } =
        serde_json::from_slice(&request.body).map_err(|error| Rejection::new(400, format!("the mapping cannot be read: {error}")))?;
    let nni = CeName(nni);
    if !peer.nnis().contains(&nni) {
        return Err(Rejection::new(403, format!("there is no link {} to {}", nni.0, peer.domain())));
    }
    let label = Label::new(label).ok().filter(|label| *label >= FIRST_LABEL);
    let label = label.ok_or_else(|| Rejection::new(400, "that is no label from 16 to 1048575"))?;
    let key = Key { peer: peer.domain().to_owned(), session };
    peers.labels.arrived(key, Mapping { nni, label }, Instant::now()).map_err(|error| match error {
        LabelError::Another => Rejection::new(488, error.to_string()),
        LabelError::TooMany => Rejection::unavailable(error.to_string()),
    })
}

/// Tells a peer our mapping; done when the peer has taken it.
pub(crate) async fn tell(stack: &Stack, domain: &str, peer: &Peer, session: &SessionId, mapping: &Mapping) -> Result<(), Refusal> {
    let hop = peer.location();
    let request = message(stack, domain, peer, &hop, session, mapping);
    match stack.ask(request, &hop).await {
        Some(response) if response.status_code.kind() == StatusCodeKind::Successful => Ok(()),
        Some(response) => Err(failed(peer, &format!("does not take the label mapping: {}", response.status_code.code()))),
        None => Err(failed(peer, "does not answer the label mapping")),
    }
}

fn message(stack: &Stack, domain: &str, peer: &Peer, hop: &NextHop, session: &SessionId, mapping: &Mapping) -> Request {
    let to = gateway(peer.domain());
    let body = Body { nni: mapping.nni.0.clone(), label: mapping.label.get() };
    Request {
        method: Method::Message,
        uri: to.clone(),
        version: Version::V2,
        headers: vec![
            Header::Via(stack.via(hop).into()),
            Header::MaxForwards(70.into()),
            Header::From(format!("<{}>;tag={}", gateway(domain), make_tag()).into()),
            Header::To(format!("<{to}>").into()),
            Header::CallId(CallId::new(make_tag().to_string() + &make_tag())),
            Header::CSeq(typed::CSeq { seq: 1, method: Method::Message }.into()),
            session.header(),
            Header::ContentType(CONTENT_TYPE.into()),
        ]
        .into(),
        // Texts and numbers always have a form in JSON.
        body: serde_json::to_vec(&body).unwrap_or_default(),
    }
}
