//! SDP (RFC 8866): from an offer to a request, from an answer to the callee's ends, and from terms to the answer the caller gets.

mod mirror;
mod offer;
mod parse;
pub(crate) mod preconditions;
mod svpn;
mod write;

pub(crate) use mirror::{as_callers, with_answer};
pub(crate) use offer::{Fixed, Offer, read_change, read_offer};
pub(crate) use parse::{parse, read_answer, same};
pub(crate) use svpn::GroupWish;
pub(crate) use write::{OriginIdentity, answer_for_caller, failed_offer, offer_for_callee, offer_for_peer, serialize};

/// The type of the bodies.
pub(crate) const CONTENT_TYPE: &str = "application/sdp";

/// Larger bodies are nobody's honest offer.
pub(crate) const MAX_BODY: usize = 16 * 1024;

/// More media than this in one session are refused.
const MAX_MEDIA: usize = 16;

/// Why a session description is not acceptable.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum SdpError {
    #[error("the session description is malformed: {0}")]
    Syntax(String),
    #[error("the session description is longer than {MAX_BODY} bytes")]
    TooLong,
    #[error("the session description has no m= line with a port")]
    NoMedia,
    #[error("more than {MAX_MEDIA} m= lines")]
    TooManyMedia,
    #[error("m= line {0}: {1}")]
    Medium(usize, MediumError),
    #[error("a=svpn: {0}")]
    Svpn(#[from] svpn::SvpnError),
    #[error("t=: {0}")]
    Time(#[from] TimeError),
    #[error("the answer has {answered} m= lines for the {offered} of the offer")]
    MediaCount { offered: usize, answered: usize },
    #[error("the answer refuses every medium")]
    AllRefused,
    #[error("the offer has {offered} m= lines for the {agreed} before; a medium that ends keeps its line, with port 0")]
    FewerMedia { agreed: usize, offered: usize },
    #[error("only the caller can add media to the session")]
    OnlyCaller,
    #[error("`{0}` cannot change in service")]
    Fixed(&'static str),
}

impl SdpError {
    /// 400 for what cannot be read, 488 for what cannot be had.
    pub(crate) fn status(&self) -> u16 {
        match self {
            Self::Syntax(_) | Self::TooLong => 400,
            _ => 488,
        }
    }
}

/// What is wrong with a medium.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum MediumError {
    #[error("no c= line names its address")]
    NoConnection,
    #[error("`{0}` is no single IPv4 unicast address")]
    Address(String),
    #[error("`{0}` is no transport served here; UDP, TCP, SCTP and RTP are")]
    Transport(String),
    #[error("the answer's transport is not the offer's")]
    TransportChanged,
    #[error("several ports on one line are not served; give each its own m= line")]
    PortRange,
    #[error("port 9 of a=setup:active names no port; give the port or ask for match=hosts")]
    NoPort,
    #[error("no b=TIAS or b=AS says how much bandwidth it needs")]
    NoBandwidth,
    #[error("b= of the session cannot be divided among several media; give b= for each")]
    SharedBandwidth,
    #[error("b= asks for nothing or for more than can be counted")]
    Bandwidth,
    #[error("`a=maxprate:{0}` is no packet rate")]
    PacketRate(String),
    #[error("a=inactive asks for no direction")]
    Inactive,
}

/// What is wrong with `t=`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum TimeError {
    #[error("it stops before it starts")]
    Backwards,
    #[error("the time asked for is over")]
    Past,
    #[error("several or repeated times are not served")]
    Several,
    #[error("a time is out of range")]
    Range,
}
