//! Why the gateway hangs up or cancels (RFC 3326).

use svpn_vpn::request::Cause;

use crate::stack::quotable;
use crate::stack::sip::Header;

/// The Reason of BYE.
pub(super) fn of_bye(cause: Cause) -> Header {
    match cause {
        Cause::Shutdown => sip(503, "the gateway is stopping"),
        Cause::WindowEnd => sip(200, "the time asked for is over"),
        Cause::Refused => sip(488, "the answer cannot be served"),
        Cause::Network => sip(503, "the network has no room for the session any more"),
        Cause::Moved => sip(503, "an end has moved to where the session cannot follow"),
        Cause::Preempted => sip(503, "a more important session needs the room"),
        Cause::Signalling => sip(408, "the other end does not respond"),
        // ITU-T Q.850: normal call clearing.
        Cause::Caller | Cause::Callee | Cause::Declined | Cause::NoAnswer => reason("Q.850", 16, "the other end has hung up"),
    }
}

/// The Reason of CANCEL, and of BYE to a contact that answers all the same.
pub(super) fn of_cancel(cause: Cause) -> Header {
    match cause {
        Cause::Caller => sip(487, "the caller has cancelled"),
        Cause::Declined => sip(603, "the call was declined elsewhere"),
        Cause::NoAnswer => no_answer(),
        other => of_bye(other),
    }
}

/// Another contact has answered.
pub(crate) fn elsewhere() -> Header {
    sip(200, "call completed elsewhere")
}

/// It rang for too long.
pub(super) fn no_answer() -> Header {
    sip(408, "no answer in time")
}

fn sip(code: u16, text: &str) -> Header {
    reason("SIP", code, text)
}

fn reason(protocol: &str, code: u16, text: &str) -> Header {
    Header::Reason(format!("{protocol};cause={code};text=\"{}\"", quotable(text)).into())
}
