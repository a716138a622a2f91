//! Who a request comes from.

use std::net::{IpAddr, Ipv4Addr};
use std::time::Instant;

use svpn_vpn::request::{ApplicationId, Refusal};

use crate::address::ApplicationAddress;
use crate::digest::{Authenticator, Credentials, CredentialsError, DigestFault};
use crate::refusal::Rejection;
use crate::services::Services;
use crate::sessions::Sessions;
use crate::stack::sip::prelude::{HeadersExt, ToTypedHeader};
use crate::stack::sip::{Header, Request};

/// How credentials are asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Challenge {
    /// 401 and WWW-Authenticate, by a registrar.
    Registrar,
    /// 407 and Proxy-Authenticate, by whoever stands between two.
    Proxy,
}

/// Checks that the request was signed by the application with this address.
pub(super) async fn authenticate<S: Sessions>(
    services: &Services<S>,
    request: &Request,
    address: &ApplicationAddress,
    challenge: Challenge,
) -> Result<ApplicationId, Rejection> {
    // Who does not exist is asked like anybody else, and then has the wrong password: strangers learn no names here.
    let application = match services.sessions.find_application(&address.name, address.vpn.as_ref()).await {
        Ok(application) => Some(application),
        Err(Refusal::NotFound(_)) => None,
        Err(refusal) => return Err(refusal.into()),
    };
    let realm = services.domain.realm(address);
    let credentials = credentials(request, &realm).map_err(|error| Rejection::new(400, error.to_string()))?;
    let who = sender(request);
    let Some(credentials) = credentials else {
        return Err(challenged(&services.authenticator(), &realm, who, challenge, None));
    };
    if credentials.username != address.name {
        let reason = format!("{} cannot speak for {}", credentials.username, address.name);
        return Err(Rejection::new(403, reason));
    }
    let secret = match &application {
        Some(application) => services.sessions.secret(application).await,
        None => None,
    };
    let secret = secret.as_ref().map(|secret| secret.0.as_str());
    let method = request.method.to_string();
    let checked = services.authenticator().check(&credentials, &method, secret, Instant::now());
    let fault = match (checked, application) {
        (Ok(()), Some(application)) => return Ok(application),
        (Ok(()), None) => DigestFault::WrongResponse,
        (Err(fault), _) => fault,
    };
    Err(challenged(&services.authenticator(), &realm, who, challenge, Some(fault)))
}

/// The credentials for our realm, of those a request may carry for several.
pub(super) fn credentials(request: &Request, realm: &str) -> Result<Option<Credentials>, CredentialsError> {
    let mut fault = None;
    for header in request.headers.iter() {
        let value = match header {
            Header::Authorization(header) => header.value(),
            Header::ProxyAuthorization(header) => header.value(),
            _ => continue,
        };
        match Credentials::parse(value) {
            Ok(credentials) if credentials.realm == realm => return Ok(Some(credentials)),
            // Of another realm, or another way of authentication: none for us (RFC 4475 section 3.3.7).
            Ok(_) | Err(CredentialsError::Scheme) => {}
            Err(error) => fault = Some(error),
        }
    }
    fault.map_or(Ok(None), Err)
}

/// Where a request came from, as the transport has marked it.
fn sender(request: &Request) -> IpAddr {
    let via = request.top_via_header().and_then(|via| via.typed());
    via.ok().and_then(|via| via.received()).and_then(Result::ok).unwrap_or(IpAddr::V4(Ipv4Addr::UNSPECIFIED))
}

/// 401 or 407 with what to sign.
pub(super) fn challenged(
    authenticator: &Authenticator,
    realm: &str,
    who: IpAddr,
    challenge: Challenge,
    fault: Option<DigestFault>,
) -> Rejection {
    let challenges = authenticator.challenges(realm, who, fault, Instant::now());
    let reason = fault.map_or_else(|| format!("sign in at {realm}"), |fault| fault.to_string());
    let status = match challenge {
        Challenge::Registrar => 401,
        Challenge::Proxy => 407,
    };
    challenges.into_iter().fold(Rejection::new(status, reason), |rejection, value| {
        rejection.with(match challenge {
            Challenge::Registrar => Header::WwwAuthenticate(value.into()),
            Challenge::Proxy => Header::ProxyAuthenticate(value.into()),
        })
    })
}
