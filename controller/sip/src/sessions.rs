//! The seam to the gateway: what signalling asks of it.

use std::fmt;
use std::future::Future;

use svpn_vpn::request::{Answer, ApplicationId, Cause, CeName, Refusal, SessionNumber, SessionRequest, Terms, VpnName};

/// An application's password; never printed.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(pub String);

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(..)")
    }
}

/// What the gateway does for signalling. The server calls these from many tasks at once.
///
/// For every `reserve` that returned terms the server calls `release` exactly once, whatever became of the call, also after a refused
/// `establish`. It never calls `release` while `establish` of the same session is under way.
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

    /// Checks contract and calendar, and reserves: the session has its tunnels, but no packet is classified into it yet.
    ///
    /// # Errors
    /// Why not; nothing is reserved then.
    fn reserve(&self, request: SessionRequest) -> impl Future<Output = Result<Terms, Refusal>> + Send;

    /// The callee has answered: its ends are known, and the session's flows are programmed now.
    ///
    /// # Errors
    /// Why not; the session stays reserved until `release`.
    fn establish(&self, session: SessionNumber, answer: Answer) -> impl Future<Output = Result<Terms, Refusal>> + Send;

    /// The session is over: everything reserved or programmed for it is undone.
    fn release(&self, session: SessionNumber, cause: Cause) -> impl Future<Output = ()> + Send;
}
