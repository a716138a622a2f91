//! Which entries a read of table entries, or of their direct resources, selects (P4Runtime specification, "Wildcard Reads").

use p4runtime_proto::p4::v1 as proto;
use p4runtime_proto::p4::v1::table_action::Type as ActionType;
use svpn_contract::{DecodeError, Entry, EntryKey, TABLES};

use super::ReadError;
use crate::entries::Entries;
use crate::p4runtime::cookies::{Cookie, Cookies};
use crate::p4runtime::facts::{self, Feature};

/// The entries of a read.
pub(super) struct Selection {
    /// Ids.
    pub(super) tables: Vec<u32>,
    /// The one entry that is meant.
    pub(super) key: Option<EntryKey>,
    /// A key without its priority: any will do.
    match_only: Option<proto::TableEntry>,
    priority: i32,
    action: Option<u32>,
    cookie: Cookie,
}

impl Selection {
    pub(super) fn of(wanted: &proto::TableEntry) -> Result<Self, ReadError> {
        let action = match wanted.action.as_ref().and_then(|action| action.r#type.as_ref()) {
            None => None,
            Some(ActionType::Action(action)) => Some(action.action_id),
            Some(_) => return Err(ReadError::ActionFilter),
        };
        let cookie = Cookie::of(wanted);
        let mut selection = Self { tables: vec![wanted.table_id], key: None, match_only: None, priority: wanted.priority, action, cookie };
        if wanted.table_id == 0 {
            if !wanted.r#match.is_empty() || selection.filters() {
                return Err(ReadError::Filtered);
            }
            selection.tables = TABLES.iter().map(|table| table.id).collect();
            return Ok(selection);
        }
        let table = facts::table(wanted.table_id).ok_or(DecodeError::UnknownTable { id: wanted.table_id })?;
        if action.is_some() && table.selector.is_some() {
            return Err(ReadError::ActionFilter);
        }
        if wanted.r#match.is_empty() {
            return Ok(selection);
        }
        if table.has(Feature::Priority) && wanted.priority == 0 {
            selection.match_only = Some(EntryKey::decode(&proto::TableEntry { priority: 1, ..wanted.clone() })?.encode());
        } else {
            selection.key = Some(EntryKey::decode(wanted)?);
        }
        Ok(selection)
    }

    /// Whether it asks for more than a table or a key.
    fn filters(&self) -> bool {
        self.priority != 0 || self.action.is_some() || self.cookie != Cookie::default() || self.match_only.is_some()
    }

    fn has(&self, entry: &Entry, cookies: &Cookies) -> bool {
        let wire = entry.key().encode();
        let (priority, key) = (wire.priority, proto::TableEntry { priority: 1, ..wire });
        self.match_only.as_ref().is_none_or(|wanted| *wanted == key)
            && (self.priority == 0 || self.priority == priority)
            && self.action.is_none_or(|wanted| action_id(entry) == Some(wanted))
            && cookies.get(&entry.key()).answers(&self.cookie)
    }

    /// Calls `each` with every entry of one of its tables that is selected.
    pub(super) fn walk(&self, table: u32, entries: &Entries, cookies: &Cookies, mut each: impl FnMut(Entry)) {
        let filters = self.filters();
        let mut visit = |entry: Entry| {
            if !filters || self.has(&entry, cookies) {
                each(entry);
            }
        };
        match self.key {
            Some(key) => entries.get(&key).into_iter().for_each(&mut visit),
            None => entries.iter(table).for_each(&mut visit),
        }
    }
}

fn action_id(entry: &Entry) -> Option<u32> {
    match entry.encode().action?.r#type? {
        ActionType::Action(action) => Some(action.action_id),
        _ => None,
    }
}
