//! Where applications are: the bindings that REGISTER makes (RFC 3261 section 10).
//!
//! An application is at one CE at a time: registering at another CE moves it there, and its contacts at the old one are forgotten.

mod kept;

use std::collections::HashMap;
use std::fmt;
use std::time::{Duration, Instant};

use svpn_vpn::request::{ApplicationId, CeName};

use crate::stack::sip::Uri;

pub(crate) use kept::Clocks;

/// How long a binding lives if the application does not say.
pub(crate) const DEFAULT_EXPIRES: u32 = 3600;
/// The longest it may ask for; more is cut to this.
pub(crate) const MAX_EXPIRES: u32 = 7200;
/// The shortest it may ask for; less is 423.
pub(crate) const MIN_EXPIRES: u32 = 10;
/// More contacts than this for one application are refused.
const MAX_CONTACTS: usize = 8;

/// A contact of an application.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Binding {
    /// Where to send its requests.
    pub(crate) contact: Uri,
    /// The CE it is at.
    pub(crate) ce: CeName,
    /// How much it is preferred to others.
    pub(crate) preference: Preference,
    /// When the binding ends.
    pub(crate) expires: Instant,
    call_id: String,
    cseq: u32,
    /// Counts updates: the highest is the latest.
    order: u64,
}

/// The `q` of a Contact (RFC 3261 section 20.10), in thousandths: contacts of a higher one are called first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Preference(u16);

impl fmt::Display for Preference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{:03}", self.0 / 1000, self.0 % 1000)
    }
}

impl Preference {
    /// Of a contact that does not say.
    pub(crate) const DEFAULT: Self = Self(1000);

    /// Reads `q`: 0 to 1, with three decimals at most.
    pub(crate) fn read(text: &str) -> Option<Self> {
        let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
        let digits = fraction.len() <= 3 && fraction.bytes().all(|byte| byte.is_ascii_digit());
        let thousandths: u16 = format!("{fraction:0<3}").parse().ok().filter(|_| digits)?;
        match (whole, thousandths) {
            ("0", thousandths) => Some(Self(thousandths)),
            ("1", 0) => Some(Self(1000)),
            _ => None,
        }
    }
}

/// One contact of a REGISTER.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Contact {
    pub(crate) uri: Uri,
    pub(crate) ce: CeName,
    pub(crate) preference: Preference,
    /// Seconds; 0 removes the binding.
    pub(crate) expires: u32,
}

/// What a REGISTER wants.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Wish {
    /// No Contact: only to know.
    Query,
    /// `Contact: *` with `Expires: 0`.
    RemoveAll,
    /// These.
    Update(Vec<Contact>),
}

/// Where a REGISTER comes in the sequence of its sender.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Sequence {
    pub(crate) call_id: String,
    pub(crate) cseq: u32,
}

/// Why nothing was changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum RegisterError {
    #[error("an expiry of less than {MIN_EXPIRES} seconds is too brief")]
    TooBrief,
    #[error("more than {MAX_CONTACTS} contacts")]
    TooMany,
    #[error("this REGISTER is older than one already served: its CSeq is not higher")]
    OutOfOrder,
    #[error("an application is at one CE at a time, but the contacts name several")]
    SeveralCes,
}

/// All bindings.
#[derive(Debug, Default)]
pub(crate) struct Registrar {
    bindings: HashMap<ApplicationId, Vec<Binding>>,
    order: u64,
}

impl Registrar {
    /// Serves a REGISTER; on success the application's bindings are as [`Registrar::bindings`] then gives them.
    pub(crate) fn register(
        &mut self,
        application: &ApplicationId,
        sequence: &Sequence,
        wish: Wish,
        now: Instant,
    ) -> Result<(), RegisterError> {
        let mut bindings = self.bindings(application, now);
        match wish {
            Wish::Query => {}
            Wish::RemoveAll => {
                check_order(&bindings, sequence, |_| true)?;
                bindings.clear();
            }
            Wish::Update(contacts) => {
                check_contacts(&contacts)?;
                for contact in contacts {
                    self.order += 1;
                    update(&mut bindings, sequence, contact, self.order, now)?;
                }
            }
        }
        if bindings.len() > MAX_CONTACTS {
            return Err(RegisterError::TooMany);
        }
        if bindings.is_empty() {
            self.bindings.remove(application);
        } else {
            self.bindings.insert(application.clone(), bindings);
        }
        Ok(())
    }

    /// The bindings of an application that have not expired, the latest first.
    pub(crate) fn bindings(&self, application: &ApplicationId, now: Instant) -> Vec<Binding> {
        let mut bindings: Vec<Binding> =
            self.bindings.get(application).into_iter().flatten().filter(|binding| binding.expires > now).cloned().collect();
        bindings.sort_by_key(|binding| std::cmp::Reverse(binding.order));
        bindings
    }

    /// Where the application is reached: its latest contact.
    pub(crate) fn latest(&self, application: &ApplicationId, now: Instant) -> Option<Binding> {
        self.bindings(application, now).into_iter().next()
    }

    /// Where each application is.
    pub(crate) fn places(&self, now: Instant) -> HashMap<ApplicationId, CeName> {
        self.bindings.keys().filter_map(|application| Some((application.clone(), self.latest(application, now)?.ce))).collect()
    }

    /// Drops what has expired. Returns the applications that have no binding any more.
    pub(crate) fn sweep(&mut self, now: Instant) -> Vec<ApplicationId> {
        let mut gone = Vec::new();
        self.bindings.retain(|application, bindings| {
            bindings.retain(|binding| binding.expires > now);
            if bindings.is_empty() {
                gone.push(application.clone());
            }
            !bindings.is_empty()
        });
        gone
    }
}

fn check_contacts(contacts: &[Contact]) -> Result<(), RegisterError> {
    if contacts.len() > MAX_CONTACTS {
        return Err(RegisterError::TooMany);
    }
    if contacts.iter().any(|contact| (1..MIN_EXPIRES).contains(&contact.expires)) {
        return Err(RegisterError::TooBrief);
    }
    let mut staying = contacts.iter().filter(|contact| contact.expires > 0);
    if let Some(first) = staying.next()
        && staying.any(|other| other.ce != first.ce)
    {
        return Err(RegisterError::SeveralCes);
    }
    Ok(())
}

/// RFC 3261 section 10.3, step 7: of one Call-ID only a higher `CSeq` changes a binding.
fn check_order(bindings: &[Binding], sequence: &Sequence, concerned: impl Fn(&Binding) -> bool) -> Result<(), RegisterError> {
    let older = bindings
        .iter()
        .filter(|binding| concerned(binding))
        .any(|binding| binding.call_id == sequence.call_id && binding.cseq >= sequence.cseq);
    if older { Err(RegisterError::OutOfOrder) } else { Ok(()) }
}

fn update(bindings: &mut Vec<Binding>, sequence: &Sequence, contact: Contact, order: u64, now: Instant) -> Result<(), RegisterError> {
    check_order(bindings, sequence, |binding| binding.contact == contact.uri)?;
    bindings.retain(|binding| binding.contact != contact.uri);
    if contact.expires == 0 {
        return Ok(());
    }
    bindings.retain(|binding| binding.ce == contact.ce);
    bindings.push(Binding {
        contact: contact.uri,
        ce: contact.ce,
        preference: contact.preference,
        expires: now + Duration::from_secs(u64::from(contact.expires.min(MAX_EXPIRES))),
        call_id: sequence.call_id.clone(),
        cseq: sequence.cseq,
        order,
    });
    Ok(())
}

#[cfg(test)]
mod tests;
