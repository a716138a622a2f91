//! What both ends have agreed on: the descriptions that hold, and what has been told of them.

use std::net::IpAddr;

use sdp_types::Session as Description;
use serde::{Deserialize, Serialize};
use svpn_vpn::request::{ApplicationId, Medium, SessionRequest, Terms};

use super::within::Side;
use crate::sdp::{Fixed, Offer, OriginIdentity, SdpError, answer_for_caller, offer_for_callee, parse, serialize};

/// Offer and answer that hold, and who told them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Agreed {
    pub(super) caller: ApplicationId,
    pub(super) callee: ApplicationId,
    /// The caller's offer, as it came.
    pub(super) offer: Description,
    /// The callee's answer, as it came.
    pub(super) answer: Description,
    pub(super) fixed: Fixed,
    /// The media of the offer with a port.
    pub(super) media: Vec<Medium>,
    origin: Origin,
}

/// `o=` of what the gateway tells: one session to each end, with versions of their own.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Origin {
    id: u64,
    address: IpAddr,
    /// The version of the last offer that the callee took.
    offered: u64,
    /// The version of the last answer to the caller.
    answered: u64,
}

impl Origin {
    /// That of a new call.
    pub(super) fn new(address: IpAddr) -> Self {
        // 62 bits: a session id of SDP fits a signed 64-bit number everywhere.
        Self { id: rand::random::<u64>() >> 2, address, offered: 1, answered: 1 }
    }

    /// The callee is told another description.
    pub(super) fn offered_anew(self) -> Self {
        Self { offered: self.offered + 1, ..self }
    }

    /// The caller is told another description.
    pub(super) fn answered_anew(self) -> Self {
        Self { answered: self.answered + 1, ..self }
    }

    /// Of what the callee was offered.
    pub(super) fn to_callee(self) -> OriginIdentity {
        OriginIdentity { id: self.id, version: self.offered, address: self.address }
    }

    /// Of what the caller was answered.
    pub(super) fn to_caller(self) -> OriginIdentity {
        OriginIdentity { id: self.id, version: self.answered, address: self.address }
    }
}

/// The same, as it is kept.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct KeptAgreed {
    caller: ApplicationId,
    callee: ApplicationId,
    offer: String,
    answer: String,
    fixed: Fixed,
    media: Vec<Medium>,
    origin: Origin,
}

impl Agreed {
    /// What a call begins with.
    pub(super) fn new(request: &SessionRequest, offer: &Offer, answer: Description, origin: Origin) -> Self {
        Self {
            caller: request.caller.clone(),
            callee: request.callee.clone(),
            offer: offer.session.clone(),
            answer,
            fixed: offer.fixed(),
            media: offer.media.clone(),
            origin,
        }
    }

    /// What holds when the callee has given this answer to that offer.
    pub(super) fn changed(&self, offer: &Offer, answer: Description) -> Self {
        let origin = self.origin.answered_anew();
        Self { offer: offer.session.clone(), media: offer.media.clone(), answer, origin, ..self.clone() }
    }

    /// The offer to the callee as it holds.
    pub(super) fn for_callee(&self) -> Vec<u8> {
        offer_for_callee(&self.offer, self.origin.to_callee())
    }

    /// What holds when the caller has consented to what the callee offers.
    pub(super) fn changed_by_callee(&self, offer: &Offer, callees: Description) -> Self {
        Self {
            offer: offer.session.clone(),
            media: offer.media.clone(),
            answer: callees,
            origin: self.origin.offered_anew(),
            ..self.clone()
        }
    }

    /// Another offer to one end; to the caller, with what the callee says.
    pub(super) fn anew(&self, to: Side, offer: &Offer, callees: Option<&Description>, terms: &Terms) -> Vec<u8> {
        match to {
            Side::Callee => offer_for_callee(&offer.session, self.origin.offered_anew().to_callee()),
            Side::Caller => {
                let callees = callees.unwrap_or(&self.answer);
                answer_for_caller(callees, &offer.session, &offer.media, terms, self.origin.answered_anew().to_caller())
            }
        }
    }

    /// What holds, offered again to an end that took something else meanwhile.
    pub(super) fn again(&self, to: Side, terms: &Terms) -> Vec<u8> {
        match to {
            Side::Callee => offer_for_callee(&self.offer, self.origin.offered_anew().to_callee()),
            Side::Caller => answer_for_caller(&self.answer, &self.offer, &self.media, terms, self.origin.answered_anew().to_caller()),
        }
    }

    /// An end has taken another offer.
    pub(super) fn taken(&mut self, end: Side) {
        self.origin = match end {
            Side::Callee => self.origin.offered_anew(),
            Side::Caller => self.origin.answered_anew(),
        };
    }

    /// The answer to the caller as it holds.
    pub(super) fn for_caller(&self, terms: &Terms) -> Vec<u8> {
        answer_for_caller(&self.answer, &self.offer, &self.media, terms, self.origin.to_caller())
    }

    /// What is needed to go on with it.
    pub(super) fn keep(&self) -> KeptAgreed {
        let text = |description| String::from_utf8_lossy(&serialize(description)).into_owned();
        KeptAgreed {
            caller: self.caller.clone(),
            callee: self.callee.clone(),
            offer: text(&self.offer),
            answer: text(&self.answer),
            fixed: self.fixed,
            media: self.media.clone(),
            origin: self.origin,
        }
    }

    /// What was kept.
    pub(super) fn resume(kept: KeptAgreed) -> Result<Self, SdpError> {
        let KeptAgreed { caller, callee, offer, answer, fixed, media, origin } = kept;
        let (offer, answer) = (parse(offer.as_bytes())?, parse(answer.as_bytes())?);
        Ok(Self { caller, callee, offer, answer, fixed, media, origin })
    }
}
