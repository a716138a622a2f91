//! Calls: the pure [`machine`], and [`setup`], which carries out what it says; in service [`talk`], with the pure machine of a [`change`].
//!
//! Pure too are the callee's contacts ([`fork`], each with its [`branch`]), [`reliable`] provisional responses and session [`timers`].

mod agreed;
mod branch;
mod callee;
mod caller;
mod change;
mod crossing;
mod fork;
mod group;
mod inbox;
mod machine;
mod reason;
mod registry;
mod reliable;
mod setup;
mod talk;
mod timers;
mod within;

pub(crate) use caller::{CallerLeg, attend};
pub(crate) use crossing::Crossing;
pub(crate) use group::Groups;
pub(crate) use inbox::Sender;
pub(crate) use machine::Event;
pub(crate) use reason::elsewhere;
pub(crate) use registry::{Calls, Found};
pub(crate) use setup::{Setup, spawn};
pub(crate) use talk::resume;
pub(crate) use timers::{Answered as TimerAnswer, answer as answer_timer};
pub(crate) use within::{Asked, Side, attend_within, check_content_type};

use std::convert::Infallible;

use crate::refusal::Rejection;
use crate::stack::sip::Response;
use svpn_vpn::request::{Refusal, Terms};

/// What reaches a call.
pub(crate) enum Input {
    /// Something that says all by itself.
    Event(Event),
    /// BYE, and who waits to answer it until the session is released.
    Bye(Side, Leaving),
    /// What `reserve` returned.
    Reserved(Result<Terms, Refusal>),
    /// What `establish` returned.
    Established(Result<Terms, Refusal>),
    /// The label mappings of a call to a peer's callee are exchanged, or not.
    Mapped(Result<(), Rejection>),
    /// What a contact of the callee says to our INVITE.
    Branch(fork::Branch, branch::News),
    /// The last response of an end to our UPDATE with this number; `None` if there was no final one.
    Offered(u32, Option<Response>),
    /// A re-INVITE, UPDATE or PRACK.
    Asked(Asked),
    /// The same, after a while in which the session could be set up.
    Held(Asked),
    /// The ACK of a re-INVITE that had no offer.
    Taken(Asked),
    /// CANCEL of the re-INVITE with this number.
    Cancelled(u32),
    /// What `propose` returned.
    Proposed(Result<Terms, Refusal>),
    /// What `confirm` returned.
    Confirmed(Result<Terms, Refusal>),
    /// A response of the callee to our re-INVITE with this number; `None` if it ended without a final one.
    Reply(u32, Option<Response>),
    /// The last response of an end to our refresh with this number; `None` if there was no final one.
    Refreshed(Side, u32, Option<Response>),
    /// Something about a change that says all by itself.
    Change(change::Event),
}

/// Dropped when the session of whoever hangs up is released.
pub(crate) type Leaving = tokio::sync::oneshot::Sender<Infallible>;
