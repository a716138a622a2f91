//! What a request is answered before anything is remembered of it: over and done with one response, which is not repeated.
//!
//! A request that begins something has a transaction, and an INVITE's refusal is repeated until it is acknowledged, only if it is signed with a nonce that was
//! sent to the very address it comes from (RFC 3261 section 26.3.2.4): nobody can have the server remember things, or send more than it was
//! sent, in the name of somebody else.

use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use super::identity::{Challenge, challenged, credentials};
use super::{check_extensions, invite};
use crate::address::Domain;
use crate::digest::{Authenticator, DigestFault};
use crate::peers::Peers;
use crate::refusal::Rejection;
use crate::stack::sip::{Method, Request};
use crate::stack::{from_uri, to_uri};

/// What is needed to judge a request that begins something.
pub(crate) struct Front {
    pub(crate) domain: Domain,
    pub(crate) authenticator: Arc<Mutex<Authenticator>>,
    /// They sign nothing, and are known by where they are.
    pub(crate) peers: Peers,
}

impl Front {
    /// The one answer to the request; `None` if it is to be served.
    pub(crate) fn judge(&self, request: &Request, from: IpAddr) -> Option<Rejection> {
        match request.method {
            Method::Invite | Method::Register => self.check(request, from).err(),
            _ => None,
        }
    }

    fn check(&self, request: &Request, from: IpAddr) -> Result<(), Rejection> {
        check_extensions(request)?;
        let malformed = |name: &str| Rejection::new(400, format!("{name} is malformed"));
        let (challenge, uri, foreign) = if request.method == Method::Invite {
            invite::max_forwards(request)?;
            invite::check_formats(request)?;
            if self.peers.caller(request)?.is_some() {
                return Ok(());
            }
            (Challenge::Proxy, from_uri(request).ok_or_else(|| malformed("From"))?, 403)
        } else {
            (Challenge::Registrar, to_uri(request).ok_or_else(|| malformed("To"))?, 404)
        };
        let address = self.domain.application(&uri).map_err(|error| Rejection::new(foreign, error.to_string()))?;
        let realm = self.domain.realm(&address);
        let credentials = credentials(request, &realm).map_err(|error| Rejection::new(400, error.to_string()))?;
        let authenticator = self.authenticator.lock().unwrap_or_else(PoisonError::into_inner);
        match credentials {
            None => Err(challenged(&authenticator, &realm, from, challenge, None)),
            Some(credentials) if authenticator.knows(&credentials, from, Instant::now()) => Ok(()),
            Some(_) => Err(challenged(&authenticator, &realm, from, challenge, Some(DigestFault::Stale))),
        }
    }
}
