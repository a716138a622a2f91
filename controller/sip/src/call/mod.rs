//! Calls: the pure [`machine`], and the [`actor`] that carries out what it says.

mod actor;
mod caller;
mod machine;
mod registry;

pub(crate) use actor::{Setup, spawn};
pub(crate) use caller::{CallerLeg, attend};
pub(crate) use machine::Event;
pub(crate) use registry::{Calls, Found};

use crate::stack::sip::Response;
use svpn_vpn::request::{Refusal, Terms};

/// What reaches a call.
pub(crate) enum Input {
    /// Something that says all by itself.
    Event(Event),
    /// What `reserve` returned.
    Reserved(Result<Terms, Refusal>),
    /// What `establish` returned.
    Established(Result<Terms, Refusal>),
    /// A response of the callee.
    Response(Response),
}

/// How a call is reached.
pub(crate) type Sender = tokio::sync::mpsc::UnboundedSender<Input>;
