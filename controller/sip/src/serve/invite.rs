//! INVITE outside a dialog: the checks before a call begins.

use std::cmp::Reverse;
use std::sync::Arc;
use std::time::{Instant, SystemTime};

use crate::stack::sip::prelude::{HeadersExt, ToTypedHeader};
use svpn_vpn::request::{ApplicationId, SessionRequest};

use super::identity::{Challenge, authenticate};
use super::refuse;
use crate::call::{self, CallerLeg, Setup, TimerAnswer, answer_timer, check_content_type};
use crate::refusal::Rejection;
use crate::registrar::Binding;
use crate::sdp::{CONTENT_TYPE, Offer, read_offer};
use crate::services::Services;
use crate::sessions::Sessions;
use crate::stack::sip::{Header, Request, Uri};
use crate::stack::{Dialog, SipConnection, Transaction, to_with_new_tag};

/// The Max-Forwards of a request that has none (RFC 3261 section 16.6).
const MAX_FORWARDS: u8 = 70;

/// Everything an INVITE must say before anything is reserved for it.
struct Checked {
    offer: Offer,
    request: SessionRequest,
    contacts: Vec<Vec<Uri>>,
    max_forwards: u8,
    dialog: Dialog,
    timer: TimerAnswer,
}

/// Serves an INVITE; returns its transaction if it was refused.
pub(super) async fn serve<S: Sessions>(mut transaction: Transaction, services: Arc<Services<S>>) -> Option<Transaction> {
    if let Err(error) = transaction.send_trying().await {
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
    });
    tokio::spawn(call::attend(transaction, call));
    None
}

async fn check<S: Sessions>(services: &Services<S>, invite: &Request, connection: Option<SipConnection>) -> Result<Checked, Rejection> {
    let max_forwards = max_forwards(invite)?;
    check_formats(invite)?;
    let caller = identify(services, invite).await?;
    let dialog = Dialog::as_callee(invite, connection).map_err(|error| Rejection::new(400, error.to_string()))?;
    let timer = answer_timer(invite, services.session_timer)?;
    let now = Instant::now();
    let caller_binding = services.registrar().latest(&caller, now);
    let caller_ce = caller_binding
        .map(|binding| binding.ce)
        .ok_or_else(|| Rejection::new(403, format!("{caller} is not registered, so its CE is unknown; register first")))?;
    let callee = find_callee(services, &invite.uri, &caller).await?;
    let bindings = services.registrar().bindings(&callee, now);
    let callee_ce = bindings.first().map(|binding| binding.ce.clone());
    let callee_ce = callee_ce.ok_or_else(|| Rejection::new(480, format!("{callee} is not registered")))?;
    let offer = offer(invite)?;
    let request = SessionRequest {
        caller,
        caller_ce,
        callee,
        callee_ce,
        media: offer.media.clone(),
        class: offer.class,
        priority: offer.priority,
        matching: offer.matching,
        tunnel: offer.tunnel,
        window: offer.window,
    };
    Ok(Checked { offer, request, contacts: by_preference(bindings), max_forwards, dialog, timer })
}

/// The contacts, those of the same preference together, the most preferred first (RFC 3261 section 16.6).
fn by_preference(mut bindings: Vec<Binding>) -> Vec<Vec<Uri>> {
    bindings.sort_by_key(|binding| Reverse(binding.preference));
    let groups = bindings.chunk_by(|one, other| one.preference == other.preference);
    groups.map(|group| group.iter().map(|binding| binding.contact.clone()).collect()).collect()
}

/// What is in the body, and what may be in the answer's: what cannot be spoken of needs no password.
fn check_formats(invite: &Request) -> Result<(), Rejection> {
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

fn max_forwards(invite: &Request) -> Result<u8, Rejection> {
    let left = invite.max_forwards_header().ok().and_then(|header| header.value().trim().parse().ok());
    let left: u8 = left.unwrap_or(MAX_FORWARDS);
    left.checked_sub(1).ok_or_else(|| Rejection::new(483, "Max-Forwards is 0"))
}

async fn identify<S: Sessions>(services: &Services<S>, invite: &Request) -> Result<ApplicationId, Rejection> {
    let from = invite.from_header().and_then(ToTypedHeader::typed);
    let from = from.map_err(|_| Rejection::new(400, "From is malformed"))?;
    let address = services.domain.application(&from.uri).map_err(|error| Rejection::new(403, error.to_string()))?;
    authenticate(services, invite, &address, Challenge::Proxy).await
}

async fn find_callee<S: Sessions>(services: &Services<S>, uri: &Uri, caller: &ApplicationId) -> Result<ApplicationId, Rejection> {
    let address = services.domain.application(uri).map_err(|error| Rejection::new(404, error.to_string()))?;
    // The caller has just one VPN.
    let vpn = address.vpn.as_ref().unwrap_or(&caller.vpn);
    let found = services.sessions.find_application(&address.name, Some(vpn)).await?;
    if found.vpn != caller.vpn {
        return Err(Rejection::new(403, format!("{caller} cannot call into {}, another VPN", found.vpn.0)));
    }
    Ok(found)
}

fn offer(invite: &Request) -> Result<Offer, Rejection> {
    if invite.body.is_empty() {
        return Err(Rejection::new(488, "the INVITE has no offer; what is to be reserved must be in it"));
    }
    read_offer(&invite.body, SystemTime::now()).map_err(|error| Rejection::new(error.status(), error.to_string()))
}
