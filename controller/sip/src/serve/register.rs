//! REGISTER (RFC 3261 section 10.3).

use std::time::Instant;

use crate::stack::sip::prelude::HeadersExt;
use crate::stack::sip::uri::ParamsExt;
use svpn_vpn::request::{ApplicationId, CeName, Refusal};

use super::identity::{Challenge, authenticate};
use crate::refusal::Rejection;
use crate::registrar::{Binding, Clocks, Contact, DEFAULT_EXPIRES, MIN_EXPIRES, Preference, RegisterError, Sequence, Wish};
use crate::services::Services;
use crate::sessions::Sessions;
use crate::stack::sip::{Header, Request, Scheme, Uri, typed};
use crate::stack::{SipConnection, sequence, to_uri, unescaped};

/// The Contact parameter that names the CE.
const CE_PARAMETER: &str = "svpn-ce";

/// Serves a REGISTER that came by `connection`; returns the header fields of its 200.
pub(super) async fn serve<S: Sessions>(
    request: &Request,
    connection: Option<&SipConnection>,
    services: &Services<S>,
) -> Result<Vec<Header>, Rejection> {
    let to = to_uri(request).ok_or_else(|| Rejection::new(400, "To is malformed"))?;
    let address = services.domain.application(&to).map_err(|error| Rejection::new(404, error.to_string()))?;
    let application = authenticate(services, request, &address, Challenge::Registrar).await?;
    let wish = wish(request)?;
    if let Wish::Update(contacts) = &wish {
        for contact in contacts.iter().filter(|contact| contact.expires > 0) {
            admit(services, &application, &contact.ce).await?;
        }
    }
    let order = Sequence { call_id: request.call_id_header().map(|id| id.value().to_owned()).unwrap_or_default(), cseq: sequence(request) };
    let clocks = Clocks::read();
    let now = clocks.now;
    let changes = wish != Wish::Query;
    let reached = staying(&wish);
    let (bindings, kept, before) = {
        let mut registrar = services.registrar();
        let before = registrar.latest(&application, now).map(|binding| binding.ce);
        registrar.register(&application, &order, wish, now).map_err(rejected)?;
        // Queued while nobody else can register, so that the last of two is the last to be kept.
        let kept = changes.then(|| services.sessions.keep_registrations(&application, registrar.keep(&application, clocks)));
        (registrar.bindings(&application, now), kept, before)
    };
    if let Some(kept) = kept {
        kept.await?;
    }
    services.stack.remember_ways(&application, &reached, connection);
    let latest = bindings.first().map(|binding| &binding.ce);
    if let Some(ce) = latest.filter(|ce| before.as_ref() != Some(ce)) {
        services.sessions.moved([(application.clone(), ce.clone())].into(), services.move_timeout);
    }
    tracing::info!(%application, ce = latest.map(|ce| ce.0.as_str()), contacts = bindings.len(), "registered");
    Ok(bindings.iter().map(|binding| contact_header(binding, now)).collect())
}

/// The contacts that are there from now on.
fn staying(wish: &Wish) -> Vec<Uri> {
    match wish {
        Wish::Update(contacts) => contacts.iter().filter(|contact| contact.expires > 0).map(|contact| contact.uri.clone()).collect(),
        Wish::Query | Wish::RemoveAll => Vec::new(),
    }
}

async fn admit<S: Sessions>(services: &Services<S>, application: &ApplicationId, ce: &CeName) -> Result<(), Rejection> {
    let admitted = services.sessions.admit_registration(application, ce).await;
    admitted.map_err(|refusal| match refusal {
        // A CE that does not exist is a mistake in the request.
        Refusal::NotAcceptable(_) | Refusal::NotFound(_) => Rejection::new(400, refusal.to_string()),
        other => other.into(),
    })
}

fn rejected(error: RegisterError) -> Rejection {
    let rejection = |status| Rejection::new(status, error.to_string());
    match error {
        RegisterError::TooBrief => rejection(423).with(Header::MinExpires(MIN_EXPIRES.to_string().into())),
        RegisterError::TooMany => rejection(403),
        RegisterError::OutOfOrder => rejection(500),
        RegisterError::SeveralCes => rejection(400),
    }
}

fn wish(request: &Request) -> Result<Wish, Rejection> {
    let malformed = |what: &str| Rejection::new(400, format!("{what} is malformed"));
    let default = match request.expires_header() {
        Some(header) => Some(header.value().trim().parse::<u32>().map_err(|_| malformed("Expires"))?),
        None => None,
    };
    let contacts = request.typed_contact_headers().map_err(|_| malformed("Contact"))?;
    if contacts.is_empty() {
        return Ok(Wish::Query);
    }
    if contacts.iter().any(is_star) {
        // RFC 3261 section 10.3, step 6.
        return if contacts.len() == 1 && default == Some(0) {
            Ok(Wish::RemoveAll)
        } else {
            Err(Rejection::new(400, "Contact: * goes alone and with Expires: 0"))
        };
    }
    contacts.iter().map(|contact| read_contact(contact, default)).collect::<Result<_, _>>().map(Wish::Update)
}

fn is_star(contact: &typed::Contact) -> bool {
    matches!(&contact.uri.scheme, Some(Scheme::Other(scheme)) if scheme == "*")
}

fn read_contact(contact: &typed::Contact, default: Option<u32>) -> Result<Contact, Rejection> {
    if contact.uri.scheme != Some(Scheme::Sip) {
        return Err(Rejection::new(400, format!("{} is no sip: address", contact.uri)));
    }
    let expires = match contact.params.expires() {
        // More than can be said is as long as there is (RFC 4475 section 3.1.2.4).
        Some(text) if !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit()) => text.parse().unwrap_or(u32::MAX),
        Some(text) => text.parse().map_err(|_| Rejection::new(400, "the expires of Contact is malformed"))?,
        None => default.unwrap_or(DEFAULT_EXPIRES),
    };
    let ce = contact.params.other_param(CE_PARAMETER).or_else(|| contact.uri.other_param(CE_PARAMETER));
    let ce = ce.map(|ce| ce.trim_matches('"')).unwrap_or_default();
    if ce.is_empty() && expires > 0 {
        return Err(Rejection::new(400, "Contact has no svpn-ce=<ce>: it must name the CE the application is at"));
    }
    let preference = match contact.params.q() {
        Some(text) => Preference::read(text).ok_or_else(|| Rejection::new(400, "the q of Contact is no number from 0 to 1"))?,
        None => Preference::DEFAULT,
    };
    Ok(Contact { uri: unescaped(contact.uri.clone()), ce: CeName(ce.to_owned()), preference, expires })
}

fn contact_header(binding: &Binding, now: Instant) -> Header {
    let left = binding.expires.saturating_duration_since(now).as_secs_f64().ceil();
    Header::Contact(format!("<{}>;q={};expires={left};{CE_PARAMETER}={}", binding.contact, binding.preference, binding.ce.0).into())
}

/// Reads what it wants, and registers it.
#[cfg(feature = "fuzzing")]
pub(super) fn fuzz(request: &Request) {
    let Ok(wish) = wish(request) else {
        return;
    };
    let application = ApplicationId { name: "a".to_owned(), vpn: svpn_vpn::request::VpnName("v".to_owned()) };
    let sequence = Sequence { call_id: "x".to_owned(), cseq: 1 };
    let (mut registrar, now) = (crate::registrar::Registrar::default(), Instant::now());
    if registrar.register(&application, &sequence, wish, now).is_ok() {
        assert!(registrar.bindings(&application, now).iter().all(|binding| binding.expires > now), "bound in the past");
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stack::sip::SipMessage;

    fn read(lines: &str) -> Result<Wish, u16> {
        let text = format!("REGISTER sip:provider.example SIP/2.0\r\n{lines}\r\n");
        let request = Request::try_from(SipMessage::try_from(text.as_str()).unwrap()).unwrap();
        wish(&request).map_err(|rejection| rejection.status)
    }

    fn contacts(lines: &str) -> Vec<(String, String, u32)> {
        match read(lines) {
            Ok(Wish::Update(contacts)) => {
                contacts.into_iter().map(|contact| (contact.uri.to_string(), contact.ce.0, contact.expires)).collect()
            }
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn contacts_name_their_ce_and_expiry() {
        let east = |expires| vec![("sip:s@10.1.0.5:5070".to_owned(), "a-east".to_owned(), expires)];
        assert_eq!(contacts("Contact: <sip:s@10.1.0.5:5070>;svpn-ce=a-east\r\n"), east(DEFAULT_EXPIRES));
        assert_eq!(contacts("Expires: 60\r\nContact: <sip:s@10.1.0.5:5070>;svpn-ce=\"a-east\"\r\n"), east(60));
        assert_eq!(contacts("Expires: 60\r\nm: <sip:s@10.1.0.5:5070>;svpn-ce=a-east;expires=30\r\n"), east(30));
        let both = "Contact: <sip:s@10.1.0.5>;svpn-ce=a, <sip:s@10.1.0.6>;svpn-ce=a\r\n";
        assert_eq!(contacts(both).len(), 2);
    }

    #[test]
    fn a_contact_without_a_ce_is_refused_unless_it_is_removed() {
        assert_eq!(read("Contact: <sip:s@10.1.0.5>\r\n"), Err(400));
        assert_eq!(contacts("Contact: <sip:s@10.1.0.5>;expires=0\r\n").len(), 1);
    }

    #[test]
    fn a_star_goes_alone_and_with_zero() {
        assert_eq!(read("Expires: 0\r\nContact: *\r\n"), Ok(Wish::RemoveAll));
        assert_eq!(read("Contact: *\r\n"), Err(400));
        assert_eq!(read("Expires: 0\r\nContact: *\r\nContact: <sip:s@10.1.0.5>\r\n"), Err(400));
        assert_eq!(read(""), Ok(Wish::Query));
    }

    #[test]
    fn malformed_header_fields_are_refused() {
        assert_eq!(read("Expires: soon\r\nContact: <sip:s@10.1.0.5>;svpn-ce=a\r\n"), Err(400));
        assert_eq!(read("Contact: <sip:s@10.1.0.5;svpn-ce=a\r\n"), Err(400));
        assert_eq!(read("Contact: <tel:+1>;svpn-ce=a\r\n"), Err(400));
        assert_eq!(read("Contact: <sip:s@10.1.0.5>;svpn-ce=a;q=2\r\n"), Err(400));
    }
}
