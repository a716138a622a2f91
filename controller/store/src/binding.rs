//! Where an address of record is registered (RFC 3261 section 10), as it is kept.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde::{Deserialize, Serialize};

/// A contact.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Contact {
    /// Where to send its requests: a SIP URI.
    pub uri: String,
    /// The CE it is at.
    pub ce: String,
    /// When the binding ends: milliseconds since 1970.
    pub expires: u64,
    /// The Call-ID it was registered with.
    pub call_id: String,
    /// The `CSeq` it was registered with.
    pub sequence: u32,
}

/// All contacts of an address of record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Bindings {
    /// `application@vpn`.
    pub address: String,
    /// The contacts, the latest first.
    pub contacts: Vec<Contact>,
}

impl Bindings {
    /// When the last of them ends.
    pub(crate) fn expires(&self) -> SystemTime {
        let last = self.contacts.iter().map(|contact| contact.expires).max().unwrap_or(0);
        UNIX_EPOCH + Duration::from_millis(last)
    }
}
