//! Session timers (RFC 4028) of one leg, pure: what the gateway and the peer agree on, and what is due when.
//!
//! Each leg has its own. Where the peer refreshes, silence ends the session; where it does not, because it cannot or because it was agreed
//! so, the gateway refreshes, and a peer that does not answer has died.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use tokio::time::Instant;

use crate::config::SessionTimer;
use crate::options::{TIMER, allows, states_methods, supports};
use crate::refusal::Rejection;
use crate::stack::sip::prelude::HeadersExt;
use crate::stack::sip::{Header, Method, Request, Response};

/// The longest interval anybody is believed: a day, in seconds.
const LONGEST: u32 = 86_400;

/// RFC 4028 section 10: who does not refresh has the lesser of this and a third of the interval left when BYE is sent.
const MARGIN: Duration = Duration::from_secs(32);

/// Between two attempts of a refresh there is at least this.
const PAUSE: Duration = Duration::from_secs(1);

/// Who sends the refreshes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum Refresher {
    /// The gateway does.
    Gateway,
    /// The application does.
    Peer,
}

/// How the gateway refreshes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum By {
    /// UPDATE without an offer: the peer allows it.
    Update,
    /// A re-INVITE with what holds.
    Invite,
}

/// What the gateway and the peer have agreed on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Agreement {
    /// Seconds from one refresh until the session ends without another.
    interval: u32,
    refresher: Refresher,
    by: By,
}

impl Default for Agreement {
    /// What suits every peer: the gateway refreshes, by re-INVITE.
    fn default() -> Self {
        Self { interval: 1800, refresher: Refresher::Gateway, by: By::Invite }
    }
}

/// `Session-Expires` as it came.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Expires {
    seconds: u32,
    refresher: Option<Role>,
}

/// The `refresher` parameter: which side of the transaction it names.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Role {
    Client,
    Server,
}

impl Role {
    const fn name(self) -> &'static str {
        match self {
            Self::Client => "uac",
            Self::Server => "uas",
        }
    }
}

/// What was agreed on with the sender of a request, and what its 2xx has to say of it.
#[derive(Debug, Clone)]
pub(crate) struct Answered {
    pub(crate) agreement: Agreement,
    pub(crate) headers: Vec<Header>,
}

/// Agrees with the sender of an INVITE or UPDATE (RFC 4028 section 9).
///
/// # Errors
/// 422 with Min-SE if its interval is too small, 400 if it cannot be read.
pub(crate) fn answer(request: &Request, limits: SessionTimer) -> Result<Answered, Rejection> {
    let (ours, least) = seconds(limits);
    let knows = supports(request, TIMER);
    let asked = expires(request).map_err(|()| Rejection::new(400, "Session-Expires is malformed"))?;
    let minimum = min_se(request).map_err(|()| Rejection::new(400, "Min-SE is malformed"))?.unwrap_or(0).min(LONGEST);
    let asked = match asked {
        Some(asked) if asked.seconds >= least => Some(asked),
        Some(asked) if knows => return Err(too_small(asked.seconds, least)),
        // A proxy wrote it, and who called could make nothing of a 422.
        Some(_) => return Ok(Answered { agreement: alone(ours, request), headers: Vec::new() }),
        None => None,
    };
    let interval = match asked {
        // It may be shortened, but not below the minimum, and never be lengthened.
        Some(asked) => ours.max(minimum).min(asked.seconds),
        None => ours.max(minimum),
    };
    let role = match asked.and_then(|asked| asked.refresher) {
        _ if !knows => Role::Server,
        Some(role) => role,
        None => Role::Client,
    };
    let refresher = if role == Role::Client { Refresher::Peer } else { Refresher::Gateway };
    let mut headers = vec![session_expires(interval, Some(role))];
    if knows {
        headers.push(Header::Require(TIMER.into()));
    }
    Ok(Answered { agreement: Agreement { interval, refresher, by: by(request) }, headers })
}

/// What the gateway asks for in its INVITE; `least` is what a 422 said.
pub(crate) fn offer(limits: SessionTimer, least: Option<u32>) -> Vec<Header> {
    let (ours, minimum) = seconds(limits);
    let least = least.unwrap_or(0).max(minimum);
    vec![session_expires(ours.max(least), None), min_se_header(least)]
}

/// What the callee's 2xx agrees to (RFC 4028 section 7.2).
pub(crate) fn agreed(response: &Response, limits: SessionTimer, before: Option<Agreement>) -> Agreement {
    let (ours, least) = seconds(limits);
    // Who says nothing of methods in answer to a refresh has said it before.
    let by = match before {
        Some(before) if !states_methods(response) => before.by,
        _ => by(response),
    };
    match expires(response) {
        Ok(Some(Expires { seconds, refresher })) => {
            let refresher = if refresher == Some(Role::Server) { Refresher::Peer } else { Refresher::Gateway };
            // A peer that lowers it below what was said to be the least would have the gateway refresh without a pause.
            Agreement { interval: seconds.clamp(least, LONGEST), refresher, by }
        }
        // It knows no session timers; what it answers to refreshes tells all the same whether it lives.
        Ok(None) | Err(()) => Agreement { interval: before.map_or(ours, |before| before.interval), refresher: Refresher::Gateway, by },
    }
}

/// What the 422 of a peer says is the least; `None` if it is no reason to ask again.
pub(crate) fn told_least(response: &Response) -> Option<u32> {
    min_se(response).ok().flatten().filter(|least| *least <= LONGEST)
}

fn too_small(asked: u32, least: u32) -> Rejection {
    let reason = format!("a session interval of {asked} seconds is too small; {least} is the least");
    Rejection::new(422, reason).with(min_se_header(least))
}

fn alone(interval: u32, peer: &impl HeadersExt) -> Agreement {
    Agreement { interval, refresher: Refresher::Gateway, by: by(peer) }
}

fn by(peer: &impl HeadersExt) -> By {
    if allows(peer, Method::Update) { By::Update } else { By::Invite }
}

/// The interval and the least one, in seconds.
fn seconds(limits: SessionTimer) -> (u32, u32) {
    let whole = |duration: Duration| u32::try_from(duration.as_secs()).unwrap_or(LONGEST).clamp(1, LONGEST);
    let least = whole(limits.minimum);
    (whole(limits.interval).max(least), least)
}

fn session_expires(seconds: u32, role: Option<Role>) -> Header {
    let refresher = role.map_or_else(String::new, |role| format!(";refresher={}", role.name()));
    Header::SessionExpires(format!("{seconds}{refresher}").into())
}

fn min_se_header(seconds: u32) -> Header {
    Header::MinSE(seconds.to_string().into())
}

fn expires(message: &impl HeadersExt) -> Result<Option<Expires>, ()> {
    let Some(header) = message.session_expires_header() else {
        return Ok(None);
    };
    let mut parts = header.value().split(';').map(str::trim);
    let seconds = parts.next().unwrap_or_default().parse().map_err(|_| ())?;
    let mut refresher = None;
    for (name, value) in parts.filter_map(|part| part.split_once('=')) {
        if name.trim().eq_ignore_ascii_case("refresher") {
            refresher = Some(match value.trim().to_ascii_lowercase().as_str() {
                "uac" => Role::Client,
                "uas" => Role::Server,
                _ => return Err(()),
            });
        }
    }
    Ok(Some(Expires { seconds, refresher }))
}

fn min_se(message: &impl HeadersExt) -> Result<Option<u32>, ()> {
    let header = message.headers().iter().find_map(|header| if let Header::MinSE(value) = header { Some(value) } else { None });
    header.map(|header| header.value().split(';').next().unwrap_or_default().trim().parse().map_err(|_| ())).transpose()
}

/// What a timer says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Due {
    /// The gateway is to refresh.
    Refresh,
    /// Nobody has refreshed: the session ends.
    Expired,
}

/// What became of a refresh of the gateway's.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Outcome {
    /// The peer lives, and agrees to this.
    Agreed(Agreement),
    /// 422: the interval must be this long at least, in seconds.
    TooSmall(u32),
    /// 405 or 501: it knows no UPDATE.
    NotByUpdate,
    /// 491: it has an offer of its own under way; again after this while.
    Glare(Duration),
    /// Refused for another reason, or not now.
    Refused,
}

/// The timer of one leg.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Timer {
    pub(super) agreement: Agreement,
    /// What a 422 said is the least.
    least: Option<u32>,
    /// When it was refreshed last.
    since: Instant,
    /// When the gateway refreshes, if it does.
    refresh: Option<Instant>,
}

impl Timer {
    /// That of a leg that was agreed on `now`.
    pub(super) fn new(agreement: Agreement, now: Instant) -> Self {
        let mut timer = Self { agreement, least: None, since: now, refresh: None };
        timer.renew(agreement, now);
        timer
    }

    /// That of a leg of the gateway before this one. Nobody knows when it was refreshed last, so the gateway refreshes `soon`, who ever
    /// was to do it; that also finds out whether the peer is still there.
    pub(super) fn resumed(agreement: Agreement, now: Instant, soon: Duration) -> Self {
        let mut timer = Self::new(agreement, now);
        timer.refresh = Some(now + soon);
        timer
    }

    /// The peer, or the gateway, has refreshed.
    pub(super) fn renew(&mut self, agreement: Agreement, now: Instant) {
        self.agreement = agreement;
        self.since = now;
        self.refresh = match agreement.refresher {
            Refresher::Gateway => Some(now + self.interval() / 2),
            Refresher::Peer => None,
        };
    }

    /// What comes next, and when.
    pub(super) fn next(&self) -> (Instant, Due) {
        let expiry = self.expiry();
        match self.refresh {
            Some(refresh) if refresh < expiry => (refresh, Due::Refresh),
            _ => (expiry, Due::Expired),
        }
    }

    /// A refresh is not possible now: something else is under way with the peer.
    pub(super) fn postpone(&mut self, now: Instant) {
        self.refresh = Some(now + PAUSE);
    }

    /// A refresh was sent: until it is answered nothing but the end is due.
    pub(super) fn sent(&mut self) {
        self.refresh = None;
    }

    /// A refresh was answered.
    pub(super) fn answered(&mut self, outcome: Outcome, now: Instant) {
        match outcome {
            Outcome::Agreed(agreement) => self.renew(agreement, now),
            Outcome::TooSmall(least) if self.lengthen(least) => self.refresh = Some(now),
            Outcome::NotByUpdate if self.agreement.by == By::Update => {
                self.agreement.by = By::Invite;
                self.refresh = Some(now);
            }
            Outcome::Glare(pause) => self.refresh = Some(now + pause),
            Outcome::TooSmall(_) | Outcome::NotByUpdate | Outcome::Refused => {
                self.refresh = Some(now + (self.expiry().saturating_duration_since(now) / 2).max(PAUSE));
            }
        }
    }

    /// 422: the interval must be this long at least, in seconds. Whether that was new.
    pub(super) fn lengthen(&mut self, least: u32) -> bool {
        let new = self.least.is_none_or(|before| before < least);
        if new {
            self.least = Some(least);
            self.agreement.interval = self.agreement.interval.max(least);
        }
        new
    }

    /// How the gateway refreshes.
    pub(super) fn by(&self) -> By {
        self.agreement.by
    }

    /// What a request of the gateway's says of the timer; who refreshes goes on doing it (RFC 4028 section 7.4).
    pub(super) fn headers(&self, limits: SessionTimer) -> Vec<Header> {
        let least = self.least.unwrap_or(0).max(seconds(limits).1);
        let role = match self.agreement.refresher {
            Refresher::Gateway => Role::Client,
            Refresher::Peer => Role::Server,
        };
        vec![session_expires(self.agreement.interval.max(least), Some(role)), min_se_header(least)]
    }

    fn interval(&self) -> Duration {
        Duration::from_secs(self.agreement.interval.into())
    }

    fn expiry(&self) -> Instant {
        let interval = self.interval();
        match self.agreement.refresher {
            Refresher::Gateway => self.since + interval,
            Refresher::Peer => self.since + interval.saturating_sub(MARGIN.min(interval / 3)),
        }
    }
}

#[cfg(test)]
mod tests;
