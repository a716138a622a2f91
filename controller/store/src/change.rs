//! What the journal takes: how things are from now on, so that writing a change twice is writing it once.

use std::time::{SystemTime, UNIX_EPOCH};

use serde::Serialize;
use svpn_vpn::durable::Fact;
use svpn_vpn::request::{ApplicationId, SessionNumber};

use crate::record::ChargeRecord;

/// One change of what is kept.
#[derive(Debug, Clone)]
pub enum Change {
    /// The domain is thus.
    Fact(Fact),
    /// A session's dialogs are thus, as signalling writes them.
    Dialogs {
        /// The session.
        session: SessionNumber,
        /// What signalling needs to go on with it.
        body: String,
    },
    /// Where an application is reached, as signalling writes it; `None` = nowhere any more.
    Registration {
        /// The application.
        application: ApplicationId,
        /// What signalling needs to find it.
        body: Option<String>,
    },
    /// A session is billed. A second record of one session is the first: it is left out.
    Charge(Box<ChargeRecord>),
}

impl From<Fact> for Change {
    fn from(fact: Fact) -> Self {
        Self::Fact(fact)
    }
}

/// Milliseconds since 1970; what was before is 1970.
pub(crate) fn milliseconds(time: SystemTime) -> i64 {
    time.duration_since(UNIX_EPOCH).map_or(0, |since| i64::try_from(since.as_millis()).unwrap_or(i64::MAX))
}

pub(crate) fn json(value: &impl Serialize) -> Result<String, sqlx::Error> {
    serde_json::to_string(value).map_err(|error| sqlx::Error::Encode(Box::new(error)))
}
