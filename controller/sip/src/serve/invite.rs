//! INVITE outside a dialog: the checks before a call begins.

use std::cmp::Reverse;
use std::sync::Arc;
use std::time::{Instant, SystemTime};

use crate::stack::sip::prelude::HeadersExt;
use svpn_vpn::request::{ApplicationId, CeName, SessionRequest};

use super::identity::{Challenge, authenticate};
use super::refuse;
use crate::call::{self, CallerLeg, Crossing, Setup, TimerAnswer, answer_timer, check_content_type};
use crate::peers::{Beyond, crossing};
use crate::refusal::Rejection;
use crate::registrar::Binding;
use crate::sdp::{CONTENT_TYPE, Offer, read_offer};
use crate::services::Services;
use crate::sessions::Sessions;
use crate::stack::sip::{Header, Request, Uri};
use crate::stack::{Dialog, NextHop, SipConnection, Transaction, from_uri, to_with_new_tag};

/// The Max-Forwards of a request that has none (RFC 3261 section 16.6).
const MAX_FORWARDS: u8 = 70;

/// Everything an INVITE must say before anything is reserved for it.
struct Checked {
    offer: Offer,
    request: SessionRequest,
    /// Where the callee, or its gateway, is.
    contacts: Vec<Vec<NextHop>>,
    crossing: Option<Crossing>,
    max_forwards: u8,
    dialog: Dialog,
    timer: TimerAnswer,
}

/// Who calls.
struct Caller {
    application: ApplicationId,
    /// The link it comes by, where it is another provider's.
    ce: Option<CeName>,
    crossing: Option<Crossing>,
}

/// Who is called.
struct Callee {
    application: ApplicationId,
    ce: CeName,
    contacts: Vec<Vec<NextHop>>,
    crossing: Option<Crossing>,
}

/// Serves an INVITE; returns its transaction if it was refused.
pub(super) async fn serve<S: Sessions>(mut transaction: Box<Transaction>, services: Arc<Services<S>>) -> Option<Box<Transaction>> {
    if let Err(error) = Box::pin(transaction.send_trying()).await {
        tracing::debug!(%error, "could not send 100");
    }
    let Some(place) = services.calls.place() else {
        refuse(&mut transaction, Rejection::unavailable("no new calls at the moment")).await;
        return Some(transaction);
    };
    let mut invite = transaction.original.clone();
    if let Ok(to) = invite.to_header().map(to_with_new_tag) {
        invite.headers.unique_push(Header::To(to));
    }
    let checked = match check(&services, &invite, transaction.connection.clone()).await {
        Ok(checked) => checked,
        Err(rejection) => {
            refuse(&mut transaction, rejection).await;
            return Some(transaction);
        }
    };
    let member = match checked.offer.group.as_ref().map(|wish| services.groups.join(wish)).transpose() {
        Ok(member) => member,
        Err(refusal) => {
            refuse(&mut transaction, refusal.into()).await;
            return Some(transaction);
        }
    };
    let caller = CallerLeg {
        invite,
        dialog: checked.dialog,
        callee: checked.request.callee.name.clone(),
        timer: checked.timer,
        responder: transaction.tu_sender.clone(),
    };
    let call = call::spawn(Setup {
        services,
        place,
        caller,
        max_forwards: checked.max_forwards,
        offer: checked.offer,
        request: checked.request,
        contacts: checked.contacts,
        crossing: checked.crossing,
        member,
    });
    tokio::spawn(call::attend(transaction, call));
    None
}

async fn check<S: Sessions>(services: &Services<S>, invite: &Request, connection: Option<SipConnection>) -> Result<Checked, Rejection> {
    let max_forwards = max_forwards(invite)?;
    check_formats(invite)?;
    let caller = match services.peers.caller(invite)? {
        Some(beyond) => {
            let (ce, session) = crossing(&beyond.peer, invite)?;
            Caller { application: beyond.application, ce: Some(ce), crossing: Some(Crossing::from_peer(beyond.peer, session)) }
        }
        None => Caller { application: identify(services, invite).await?, ce: None, crossing: None },
    };
    // A peer's application may have the name of one here, and has none of its contacts.
    let whose = caller.crossing.is_none().then(|| caller.application.clone());
    let dialog = Dialog::as_callee(invite, whose, connection).map_err(|error| Rejection::new(400, error.to_string()))?;
    let timer = answer_timer(invite, services.session_timer)?;
    let now = Instant::now();
    let caller_ce = caller.ce.clone().or_else(|| services.registrar().latest(&caller.application, now).map(|binding| binding.ce));
    let unknown = || Rejection::new(403, format!("{} is not registered, so its CE is unknown; register first", caller.application));
    let caller_ce = caller_ce.ok_or_else(unknown)?;
    let callee = find_callee(services, &invite.uri, &caller, now).await?;
    let offer = offer(invite)?;
    let request = SessionRequest {
        caller: caller.application,
        caller_ce,
        callee: callee.application,
        callee_ce: callee.ce,
        media: offer.media.clone(),
        class: offer.class,
        priority: offer.priority,
        matching: offer.matching,
        tunnel: offer.tunnel,
        window: offer.window,
    };
    let crossing = caller.crossing.or(callee.crossing);
    Ok(Checked { offer, request, contacts: callee.contacts, crossing, max_forwards, dialog, timer })
}

/// The contacts, those of the same preference together, the most preferred first (RFC 3261 section 16.6).
fn by_preference(mut bindings: Vec<Binding>, hop: impl Fn(Uri) -> NextHop) -> Vec<Vec<NextHop>> {
    bindings.sort_by_key(|binding| Reverse(binding.preference));
    let groups = bindings.chunk_by(|one, other| one.preference == other.preference);
    groups.map(|group| group.iter().map(|binding| hop(binding.contact.clone())).collect()).collect()
}

/// What is in the body, and what may be in the answer's: what cannot be spoken of needs no password.
pub(super) fn check_formats(invite: &Request) -> Result<(), Rejection> {
    if !invite.body.is_empty() {
        check_content_type(invite)?;
    }
    let accepted: Vec<&str> = invite
        .headers
        .iter()
        .filter_map(|header| if let Header::Accept(value) = header { Some(value.value()) } else { None })
        .flat_map(|value| value.split(','))
        .map(|range| range.split(';').next().unwrap_or_default().trim())
        .collect();
    let fits = |range: &str| ["*/*", "application/*", CONTENT_TYPE].iter().any(|known| range.eq_ignore_ascii_case(known));
    if accepted.is_empty() || accepted.into_iter().any(fits) {
        return Ok(());
    }
    Err(Rejection::new(406, format!("the answer is {CONTENT_TYPE}, which Accept does not have")))
}

pub(super) fn max_forwards(invite: &Request) -> Result<u8, Rejection> {
    let left = invite.max_forwards_header().ok().and_then(|header| header.value().trim().parse().ok());
    let left: u8 = left.unwrap_or(MAX_FORWARDS);
    left.checked_sub(1).ok_or_else(|| Rejection::new(483, "Max-Forwards is 0"))
}

async fn identify<S: Sessions>(services: &Services<S>, invite: &Request) -> Result<ApplicationId, Rejection> {
    let from = from_uri(invite).ok_or_else(|| Rejection::new(400, "From is malformed"))?;
    let address = services.domain.application(&from).map_err(|error| Rejection::new(403, error.to_string()))?;
    authenticate(services, invite, &address, Challenge::Proxy).await
}

async fn find_callee<S: Sessions>(services: &Services<S>, uri: &Uri, from: &Caller, now: Instant) -> Result<Callee, Rejection> {
    let caller = &from.application;
    if let Some(beyond) = services.peers.application(uri, Some(&caller.vpn)) {
        return callee_beyond(beyond?, from);
    }
    let address = services.domain.application(uri).map_err(|error| Rejection::new(404, error.to_string()))?;
    // The caller has just one VPN.
    let vpn = address.vpn.as_ref().unwrap_or(&caller.vpn);
    let found = services.sessions.find_application(&address.name, Some(vpn)).await?;
    if found.vpn != caller.vpn {
        return Err(another_vpn(caller, &found));
    }
    let bindings = services.registrar().bindings(&found, now);
    let ce = bindings.first().map(|binding| binding.ce.clone());
    let ce = ce.ok_or_else(|| Rejection::new(480, format!("{found} is not registered")))?;
    let contacts = by_preference(bindings, |contact| services.stack.contact_of(&found, contact));
    Ok(Callee { application: found, ce, contacts, crossing: None })
}

/// A callee of another provider is called at that provider's gateway.
fn callee_beyond(Beyond { peer, application }: Beyond, from: &Caller) -> Result<Callee, Rejection> {
    if from.crossing.is_some() {
        return Err(Rejection::new(403, format!("{} is not here, and nothing is passed on to {}", application.name, peer.domain())));
    }
    if application.vpn != from.application.vpn {
        return Err(another_vpn(&from.application, &application));
    }
    // Every peer has a link.
    let ce = peer.nnis().first().cloned().unwrap_or_else(|| CeName(String::new()));
    Ok(Callee { application, ce, contacts: vec![vec![peer.location()]], crossing: Some(Crossing::to_peer(peer)) })
}

fn another_vpn(caller: &ApplicationId, callee: &ApplicationId) -> Rejection {
    Rejection::new(403, format!("{caller} cannot call into {}, another VPN", callee.vpn.0))
}

fn offer(invite: &Request) -> Result<Offer, Rejection> {
    if invite.body.is_empty() {
        return Err(Rejection::new(488, "the INVITE has no offer; what is to be reserved must be in it"));
    }
    read_offer(&invite.body, SystemTime::now()).map_err(|error| Rejection::new(error.status(), error.to_string()))
}
