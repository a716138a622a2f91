//! Gateways of other providers: who they are, where they are, and what is told them.
//!
//! A callee of another provider is invited at that provider's gateway, as at the callee's own agent; a caller of another provider is the
//! one its gateway says, whom nobody asks for a password: a peer is known by where it sends from. Applications of either side see their own
//! gateway only.
//!
//! The labels by which a session's packets cross the link between both are told apart from the INVITE, each provider's by a MESSAGE of
//! its own (RFC 3428), for the two are independent: neither waits for the other's transaction, either may come first, and either may be
//! repeated. A gateway alerts nobody before it has both. They belong together by Session-ID (RFC 7989), which is made for this: it goes
//! through where Call-IDs and tags end.

mod labels;
mod mapping;

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use svpn_vpn::request::{ApplicationId, CeName, Refusal, VpnName};

pub(crate) use labels::{Expected, Key, Labels};
pub(crate) use mapping::{serve, tell};

use crate::address::{Place, place_in};
use crate::config::{PeerConfig, Peering};
use crate::refusal::Rejection;
use crate::stack::sip::prelude::HeadersExt;
use crate::stack::sip::uri::ParamsExt;
use crate::stack::sip::{Auth, Header, Host, Request, Uri};
use crate::stack::{NextHop, from_uri, source};

/// The parameter of the Request-URI that names the link a session is to cross.
const NNI_PARAMETER: &str = "svpn-nni";

/// Another provider's gateway.
#[derive(Debug)]
pub(crate) struct Peer(PeerConfig);

/// All of them.
#[derive(Debug)]
pub(crate) struct Peers {
    known: Vec<Arc<Peer>>,
    /// How long a peer may take to tell its label, and to take ours.
    pub(crate) label_timeout: Duration,
    pub(crate) labels: Arc<Labels>,
}

/// An application of another provider, by our name of its VPN.
#[derive(Debug, Clone)]
pub(crate) struct Beyond {
    pub(crate) peer: Arc<Peer>,
    pub(crate) application: ApplicationId,
}

/// Which session something is about, at both providers: 128 random bits in hexadecimal (RFC 7989 section 5).
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct SessionId(String);

impl SessionId {
    /// One that nobody has.
    pub(crate) fn new() -> Self {
        // All zeros would mean that there is none; so it is as good as impossible.
        Self(format!("{:032x}", rand::random::<u128>()))
    }

    /// That of a request.
    fn of(request: &Request) -> Option<Self> {
        let id = request.session_id_header()?.value().split(';').next().unwrap_or_default().trim();
        let valid = id.len() == 32 && id.bytes().all(|byte| byte.is_ascii_hexdigit()) && id.bytes().any(|byte| byte != b'0');
        valid.then(|| Self(id.to_ascii_lowercase()))
    }

    /// The header field of a request about it; the other end's half is not known or not needed.
    pub(crate) fn header(&self) -> Header {
        Header::SessionId(format!("{};remote={:032x}", self.0, 0).into())
    }
}

impl Peer {
    /// Its domain.
    pub(crate) fn domain(&self) -> &str {
        &self.0.domain
    }

    /// The links to it, the one to be tried first in front.
    pub(crate) fn nnis(&self) -> &[CeName] {
        &self.0.nnis
    }

    /// Whom it knows under this name, and by which link we mean to come.
    pub(crate) fn uri(&self, application: &ApplicationId, nni: &CeName) -> Uri {
        let address = format!("{};{NNI_PARAMETER}={}", self.address(application), nni.0);
        // Names are checked when the server starts.
        Uri::try_from(address).unwrap_or_default()
    }

    /// The address of record of an application of its.
    pub(crate) fn address(&self, application: &ApplicationId) -> String {
        let theirs = self.0.vpns.iter().find(|(ours, _)| *ours == application.vpn).map_or(&application.vpn, |(_, theirs)| theirs);
        let user = Auth { user: application.name.clone(), password: None };
        format!("sip:{user}@{}.{}", theirs.0, self.0.domain)
    }

    /// Where its gateway is.
    pub(crate) fn location(&self) -> NextHop {
        let at = self.0.address;
        NextHop::new(Uri::try_from(format!("sip:{}{}", at.address, at.carrier.parameter())).unwrap_or_default())
    }

    fn sends_from(&self, source: IpAddr) -> bool {
        self.0.address.address.ip() == source || self.0.from.contains(&source)
    }

    fn our_vpn(&self, theirs: &VpnName) -> Option<&VpnName> {
        self.0.vpns.iter().find(|(_, known)| known.0.eq_ignore_ascii_case(&theirs.0)).map(|(ours, _)| ours)
    }
}

impl Peers {
    pub(crate) fn new(peering: Peering) -> Self {
        let known = peering.peers.into_iter().map(|peer| Arc::new(Peer(peer))).collect();
        Self { known, label_timeout: peering.label_timeout, labels: Arc::default() }
    }

    /// The peer in whose domain an address is, and the VPN it names there.
    fn named(&self, uri: &Uri) -> Option<(&Arc<Peer>, Option<VpnName>)> {
        let Host::Domain(host) = uri.host() else { return None };
        self.known.iter().find_map(|peer| match place_in(&host.0, peer.domain()) {
            Place::Provider => Some((peer, None)),
            Place::Vpn(vpn) => Some((peer, Some(vpn))),
            Place::Elsewhere => None,
        })
    }

    /// The application of a peer that an address names, if it names one; who calls it may leave their only VPN out.
    pub(crate) fn application(&self, uri: &Uri, only: Option<&VpnName>) -> Option<Result<Beyond, Rejection>> {
        let (peer, theirs) = self.named(uri)?;
        let Some(name) = uri.user().filter(|name| !name.is_empty()) else {
            return Some(Err(Rejection::new(404, format!("{uri} names no application; write sip:<application>@<vpn>.{}", peer.domain()))));
        };
        let vpn = match &theirs {
            Some(theirs) => peer.our_vpn(theirs).cloned(),
            None => only.filter(|only| peer.0.vpns.iter().any(|(ours, _)| ours == *only)).cloned(),
        };
        let vpn = vpn.ok_or_else(|| {
            let named = theirs.map_or_else(|| "that VPN".to_owned(), |vpn| format!("VPN {}", vpn.0));
            Rejection::new(404, format!("{named} of {} has nothing to do with a VPN here", peer.domain()))
        });
        Some(vpn.map(|vpn| Beyond { peer: Arc::clone(peer), application: ApplicationId { name: name.to_owned(), vpn } }))
    }

    /// The caller of a request, if a peer speaks for it.
    ///
    /// # Errors
    /// A rejection, if it says so and comes from elsewhere.
    pub(crate) fn caller(&self, request: &Request) -> Result<Option<Beyond>, Rejection> {
        let from = from_uri(request).ok_or_else(|| Rejection::new(400, "From is malformed"))?;
        let Some(caller) = self.application(&from, None) else { return Ok(None) };
        let caller = caller?;
        comes_from(&caller.peer, request)?;
        Ok(Some(caller))
    }

    /// Whether a request says that it is a peer's.
    pub(crate) fn speaks(&self, request: &Request) -> bool {
        from_uri(request).is_some_and(|from| self.named(&from).is_some())
    }

    /// The peer that sends a request for itself.
    fn sender(&self, request: &Request) -> Result<Arc<Peer>, Rejection> {
        let from = from_uri(request).ok_or_else(|| Rejection::new(400, "From is malformed"))?;
        let (peer, _) = self.named(&from).ok_or_else(|| Rejection::new(403, format!("{from} is no peer")))?;
        comes_from(peer, request)?;
        Ok(Arc::clone(peer))
    }
}

fn comes_from(peer: &Peer, request: &Request) -> Result<(), Rejection> {
    match source(request) {
        Some(source) if peer.sends_from(source) => Ok(()),
        _ => Err(Rejection::new(403, format!("the gateway of {} does not send from here", peer.domain()))),
    }
}

/// The link by which a peer means to come, and which session it is to it.
///
/// # Errors
/// A rejection, if it names none, or one that is not to this peer.
pub(crate) fn crossing(peer: &Peer, invite: &Request) -> Result<(CeName, SessionId), Rejection> {
    let nni = invite.uri.other_param(NNI_PARAMETER).map(|nni| CeName(nni.to_owned()));
    let nni = nni.ok_or_else(|| Rejection::new(400, format!("the Request-URI has no {NNI_PARAMETER}=<link>")))?;
    if !peer.nnis().contains(&nni) {
        return Err(Rejection::new(403, format!("there is no link {} to {}", nni.0, peer.domain())));
    }
    let session = SessionId::of(invite).ok_or_else(|| Rejection::new(400, "there is no Session-ID"))?;
    Ok((nni, session))
}

/// A gateway's own address, without any application.
fn gateway(domain: &str) -> Uri {
    Uri::try_from(format!("sip:{domain}")).unwrap_or_default()
}

/// What a peer did not do in time, or would not.
pub(crate) fn failed(peer: &Peer, what: &str) -> Refusal {
    Refusal::Unavailable(format!("the gateway of {} {what}", peer.domain()))
}

#[cfg(test)]
mod tests;
