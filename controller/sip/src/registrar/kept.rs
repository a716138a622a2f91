//! Bindings outlive the gateway: each expires when it would have, however long nobody was there.

use std::time::{Duration, Instant, SystemTime};

use serde::{Deserialize, Serialize};
use svpn_vpn::request::{ApplicationId, CeName};

use super::{Binding, MAX_EXPIRES, Preference, Registrar};
use crate::sessions::Kept;
use crate::stack::read_again;

/// A clock that goes on while the gateway is away, beside the one that bindings are timed by.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Clocks {
    pub(crate) now: Instant,
    pub(crate) date: SystemTime,
}

impl Clocks {
    pub(crate) fn read() -> Self {
        Self { now: Instant::now(), date: SystemTime::now() }
    }
}

/// A binding as it is kept.
#[derive(Debug, Serialize, Deserialize)]
struct KeptBinding {
    contact: String,
    ce: CeName,
    preference: u16,
    expires: SystemTime,
    call_id: String,
    cseq: u32,
    order: u64,
}

/// Why kept bindings cannot be read.
#[derive(Debug, thiserror::Error)]
pub(crate) enum KeptError {
    #[error("it was not written by a registrar: {0}")]
    Form(#[from] serde_json::Error),
    #[error("{0} is no SIP address")]
    Contact(String),
}

impl Registrar {
    /// What is needed to find an application again; `None` where it is not registered.
    pub(crate) fn keep(&self, application: &ApplicationId, clocks: Clocks) -> Option<Kept> {
        let keep = |binding: Binding| KeptBinding {
            contact: binding.contact.to_string(),
            ce: binding.ce,
            preference: binding.preference.0,
            expires: clocks.date + binding.expires.saturating_duration_since(clocks.now),
            call_id: binding.call_id,
            cseq: binding.cseq,
            order: binding.order,
        };
        let bindings: Vec<_> = self.bindings(application, clocks.now).into_iter().map(keep).collect();
        // Texts and numbers always have a form in JSON.
        (!bindings.is_empty()).then(|| Kept(serde_json::to_string(&bindings).unwrap_or_default()))
    }

    /// Goes on with what was kept of an application and has not expired. A clock that was put back gives nobody more than the most that
    /// can be asked for.
    pub(crate) fn resume(&mut self, application: &ApplicationId, kept: &Kept, clocks: Clocks) -> Result<(), KeptError> {
        let longest = Duration::from_secs(MAX_EXPIRES.into());
        let mut bindings = Vec::new();
        for kept in serde_json::from_str::<Vec<KeptBinding>>(&kept.0)? {
            let left = kept.expires.duration_since(clocks.date).unwrap_or_default().min(longest);
            let contact = read_again(&kept.contact).ok_or(KeptError::Contact(kept.contact))?;
            self.order = self.order.max(kept.order);
            if !left.is_zero() {
                let KeptBinding { ce, preference, call_id, cseq, order, .. } = kept;
                let (preference, expires) = (Preference(preference.min(1000)), clocks.now + left);
                bindings.push(Binding { contact, ce, preference, expires, call_id, cseq, order });
            }
        }
        if !bindings.is_empty() {
            self.bindings.insert(application.clone(), bindings);
        }
        Ok(())
    }

    /// Drops bindings that are not allowed any more.
    pub(crate) fn retain(&mut self, application: &ApplicationId, allowed: impl Fn(&CeName) -> bool) {
        if let Some(bindings) = self.bindings.get_mut(application) {
            bindings.retain(|binding| allowed(&binding.ce));
        }
    }
}
