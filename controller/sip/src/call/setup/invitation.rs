//! The INVITE that goes to the callee.

use svpn_vpn::request::ApplicationId;

use super::{Call, Crossing, Setup};
use crate::call::timers;
use crate::call::within::Side;
use crate::options::{PRECONDITION, RELIABLE, supported};
use crate::sdp::{CONTENT_TYPE, offer_for_callee, offer_for_peer, preconditions};
use crate::sessions::Sessions;
use crate::stack::sip::prelude::HeadersExt;
use crate::stack::sip::{Auth, CallId, Header, Method, Request, Uri, Version, typed};
use crate::stack::{ALLOW, NextHop, make_tag, sequence};

impl<S: Sessions> Call<S> {
    /// The INVITE to the callee: nothing in it says where the caller is but the media. It goes on where the one before it was refused.
    pub(super) fn invitation(&self, hop: &NextHop, before: Option<&Request>, least: Option<u32>) -> Request {
        let Setup { services, max_forwards, offer, .. } = &self.setup;
        let [from_address, to_address] = self.addresses();
        let seq = before.map_or(0, sequence) + 1;
        let from = before.and_then(|before| before.from_header().ok().cloned());
        let call_id = before.and_then(|before| before.call_id_header().ok().cloned());
        let mut headers = vec![
            Header::Via(services.stack.via(hop).into()),
            Header::MaxForwards(max_forwards.to_string().into()),
            Header::From(from.unwrap_or_else(|| format!("{from_address};tag={}", make_tag()).into())),
            Header::To(to_address.into()),
            Header::CallId(call_id.unwrap_or_else(|| CallId::new(make_tag().to_string() + &make_tag()))),
            Header::CSeq(typed::CSeq { seq, method: Method::Invite }.into()),
            self.contact(Side::Callee, hop),
            Header::Allow(ALLOW.into()),
            supported(),
            Header::ContentType(CONTENT_TYPE.into()),
        ];
        if preconditions::remain(&offer.session) {
            // RFC 3312 section 11: who cannot wait for the ends must not be alerted.
            headers.push(Header::Require(format!("{PRECONDITION}, {RELIABLE}").into()));
        }
        headers.extend(self.to_peer().map(Crossing::session_id));
        headers.extend(timers::offer(services.session_timer, least));
        Request { method: Method::Invite, uri: self.uri(hop.uri()), version: Version::V2, headers: headers.into(), body: self.offer() }
    }

    /// Of the caller and of the callee: of an application of a peer as the peer itself has it.
    fn addresses(&self) -> [String; 2] {
        let Setup { services, request, crossing, .. } = &self.setup;
        let domain = services.domain.name();
        let own = |application: &ApplicationId| {
            let user = Auth { user: application.name.clone(), password: None };
            format!("sip:{user}@{}.{domain}", application.vpn.0)
        };
        let peers = [crossing.as_ref().and_then(Crossing::caller), crossing.as_ref().and_then(Crossing::callee)];
        let ends = [(peers[0], &request.caller), (peers[1], &request.callee)];
        ends.map(|(peer, application)| format!("<{}>", peer.map_or_else(|| own(application), |peer| peer.address(application))))
    }

    /// The callee's contact; or its address, and the link by which we mean to come, where it is another provider's.
    fn uri(&self, contact: &Uri) -> Uri {
        let nni = self.terms.as_ref().and_then(|terms| Some(&terms.mapping.as_ref()?.nni));
        let peer = self.to_peer().and_then(Crossing::callee).zip(nni);
        peer.map_or_else(|| Uri { headers: Vec::new(), ..contact.clone() }, |(peer, nni)| peer.uri(&self.setup.request.callee, nni))
    }

    /// A peer does not know our contracts: it is told the class that the caller has left to its contract.
    fn offer(&self) -> Vec<u8> {
        let (offer, origin) = (&self.setup.offer, self.origin.to_callee());
        let class = self.terms.as_ref().map(|terms| terms.class).filter(|_| self.to_peer().is_some() && offer.class.is_none());
        class.map_or_else(|| offer_for_callee(&offer.session, origin), |class| offer_for_peer(&offer.session, class, origin))
    }
}
