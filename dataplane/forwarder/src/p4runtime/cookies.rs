//! What a controller keeps with its entries, opaque to the router (`controller_metadata` and `metadata`).

use std::collections::HashMap;

use p4runtime_proto::p4::v1 as proto;
use svpn_contract::EntryKey;

/// What one entry keeps; most keep nothing.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct Cookie {
    number: u64,
    bytes: Vec<u8>,
}

/// What all entries keep.
#[derive(Debug, Default)]
pub(super) struct Cookies(HashMap<EntryKey, Cookie>);

impl Cookie {
    #[allow(deprecated, reason = "controllers still send the older of the two fields")]
    pub(super) fn of(entry: &proto::TableEntry) -> Self {
        Self { number: entry.controller_metadata, bytes: entry.metadata.clone() }
    }

    fn is_empty(&self) -> bool {
        self.number == 0 && self.bytes.is_empty()
    }

    /// Puts it into an entry that is read.
    #[allow(deprecated, reason = "controllers still send the older of the two fields")]
    pub(super) fn fill(self, entry: &mut proto::TableEntry) {
        entry.controller_metadata = self.number;
        entry.metadata = self.bytes;
    }

    /// Whether a read that asks for `wanted` asks for this; what is left out of `wanted` is not asked for.
    pub(super) fn answers(&self, wanted: &Self) -> bool {
        (wanted.number == 0 || wanted.number == self.number) && (wanted.bytes.is_empty() || wanted.bytes == self.bytes)
    }
}

impl Cookies {
    /// Whether no entry has one.
    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(super) fn get(&self, key: &EntryKey) -> Cookie {
        self.0.get(key).cloned().unwrap_or_default()
    }

    /// Keeps a cookie in place of the one before it.
    pub(super) fn set(&mut self, key: EntryKey, cookie: Cookie) {
        if !cookie.is_empty() {
            self.0.insert(key, cookie);
        } else if !self.0.is_empty() {
            self.0.remove(&key);
        }
    }
}
