//! The seam to the gateway: what signalling asks of it.

use std::collections::HashMap;
use std::fmt;
use std::future::Future;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use svpn_vpn::domain::Proposal;
use svpn_vpn::request::{Answer, ApplicationId, Cause, CeName, Label, Refusal, SessionNumber, SessionRequest, Terms, VpnName};

/// An application's password; never printed.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(pub String);

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(..)")
    }
}

/// What signalling must keep of a session, or of an application's registrations, to go on when the gateway was restarted: JSON of signalling's own making.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Kept(pub String);

/// One of the two dialogs of a session, as it was when it was kept; "we" are the gateway.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct KeptEnd {
    /// Call-ID.
    pub call_id: String,
    /// Our address in it.
    pub local: String,
    /// The application's.
    pub remote: String,
    /// Where requests to the application go.
    pub target: String,
}

impl Kept {
    /// The dialogs with the caller and with the callee.
    ///
    /// # Errors
    /// It was not written by signalling, or by another version.
    pub fn ends(&self) -> Result<[KeptEnd; 2], serde_json::Error> {
        #[derive(Deserialize)]
        struct Ends {
            caller: KeptEnd,
            callee: KeptEnd,
        }
        serde_json::from_str(&self.0).map(|Ends { caller, callee }| [caller, callee])
    }
}

/// A session that goes on after a restart.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Resumed {
    /// What it has.
    pub terms: Terms,
    /// What [`Sessions::establish`] or [`Sessions::confirm`] was given for it last.
    pub kept: Kept,
}

/// A session that the gateway ends by itself. It is released already; both ends are sent BYE with the reason (RFC 3326).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct HangUp {
    /// The session.
    pub session: SessionNumber,
    /// Why.
    pub cause: Cause,
}

/// What the gateway does for signalling. The server calls these from many tasks at once.
///
/// For every `reserve` that returned terms the server calls `release` exactly once, whatever became of the call, also after a refused
/// `establish` and after a [`HangUp`]; unless the server is shut down while the session is established: then it goes on. It never calls
/// `release` while `establish`, `propose` or `confirm` of the same session is under way. For every `propose` that returned terms it calls
/// `confirm` or `withdraw` before it proposes again, `withdraw` also after a refused `confirm`; `release` does instead.
pub trait Sessions: Send + Sync + 'static {
    /// The application called `name`: in `vpn`, or, where an address leaves the VPN out, the only one of that name.
    ///
    /// # Errors
    /// [`Refusal::NotFound`] if the VPN or the application does not exist, or if several have the name and no VPN was given.
    fn find_application(&self, name: &str, vpn: Option<&VpnName>) -> impl Future<Output = Result<ApplicationId, Refusal>> + Send;

    /// The application's password; `None` if it has none and therefore cannot sign in.
    fn secret(&self, application: &ApplicationId) -> impl Future<Output = Option<Secret>> + Send;

    /// Whether the application, which has signed in, may be at this CE.
    ///
    /// # Errors
    /// A refusal if the CE does not exist ([`Refusal::NotAcceptable`]) or is not one of the application's VPN ([`Refusal::Forbidden`]).
    fn admit_registration(&self, application: &ApplicationId, ce: &CeName) -> impl Future<Output = Result<(), Refusal>> + Send;

    /// What [`Sessions::keep_registrations`] was given last of each application, for a server that starts.
    fn registrations(&self) -> impl Future<Output = Vec<(ApplicationId, Kept)>> + Send;

    /// An application's registrations are thus from now on; `None` = it has none. What this asks for is queued when it is called, whoever
    /// waits, so that what is called last holds; it is durable when the future is ready.
    ///
    /// # Errors
    /// It could not be made durable.
    fn keep_registrations(&self, application: &ApplicationId, kept: Option<Kept>) -> impl Future<Output = Result<(), Refusal>> + Send;

    /// Applications are at these CEs from now on, as they have registered. Sessions that have them elsewhere follow at once where that can
    /// be, and when their application offers addresses behind the new CE where not; who has not followed after `patience` is ended.
    fn moved(&self, at: HashMap<ApplicationId, CeName>, patience: Duration);

    /// Checks contract and calendar, and reserves: the session has its tunnels, but no packet is classified into it yet.
    ///
    /// # Errors
    /// Why not; nothing is reserved then.
    fn reserve(&self, request: SessionRequest) -> impl Future<Output = Result<Terms, Refusal>> + Send;

    /// The peer at the other end of the session has mapped a label to it. The same label again changes nothing.
    ///
    /// # Errors
    /// Why not; the session stays reserved until `release`, and cannot be established.
    fn map(&self, session: SessionNumber, label: Label) -> impl Future<Output = Result<(), Refusal>> + Send;

    /// The callee has answered: its ends are known, and the session's flows are programmed now, or at the start it asked for. What is
    /// kept becomes durable with it.
    ///
    /// # Errors
    /// Why not; the session stays reserved until `release`.
    fn establish(&self, session: SessionNumber, answer: Answer, kept: Kept) -> impl Future<Output = Result<Terms, Refusal>> + Send;

    /// Reserves a change of an established session, or one that starts later. Until it is confirmed or withdrawn the old terms hold.
    ///
    /// # Errors
    /// Why not; nothing changed.
    fn propose(&self, session: SessionNumber, proposal: Proposal) -> impl Future<Output = Result<Terms, Refusal>> + Send;

    /// The callee has agreed to the change: the new terms hold. What is kept replaces what was.
    ///
    /// # Errors
    /// Why not; the old terms hold, and the change stays reserved until `withdraw`.
    fn confirm(&self, session: SessionNumber, answer: Answer, kept: Kept) -> impl Future<Output = Result<Terms, Refusal>> + Send;

    /// The change is off: the old terms go on.
    fn withdraw(&self, session: SessionNumber) -> impl Future<Output = ()> + Send;

    /// The session is over: everything reserved or programmed for it is undone. Returns when that is durable, so that no restart brings the
    /// session back; routers that are away are told later.
    fn release(&self, session: SessionNumber, cause: Cause) -> impl Future<Output = ()> + Send;
}
