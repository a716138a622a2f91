//! `attachment` and `station`: which circuit a frame came in on, and whether it is for this router.

use super::frame::Frame;
use super::{Stop, Walk};
use crate::tables::{AttachmentAction, AttachmentKey, Entry, Reason, StationKey};
use crate::wire::VrfId;

/// Where a frame came from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Side {
    /// From a customer.
    Attachment,
    /// From the provider's own network.
    Core,
}

impl Walk<'_> {
    pub(super) fn attachment(&mut self, frame: &Frame<'_>) -> Result<Side, Stop> {
        let key = AttachmentKey { port: self.port, vlan: frame.outer, inner_vlan: frame.inner };
        let Some(Entry::Attachment(entry)) = self.oracle.tables.find(&key.into()) else {
            return Err(Stop::Drop(Reason::UnknownAttachment));
        };
        match entry.action {
            AttachmentAction::ToVrf { vrf } => {
                self.vrf = vrf;
                Ok(Side::Attachment)
            }
            AttachmentAction::ToCore => {
                self.vrf = VrfId::default();
                Ok(Side::Core)
            }
        }
    }

    pub(super) fn station(&self, frame: &Frame<'_>) -> Result<(), Stop> {
        let key = StationKey { port: self.port, dst_mac: frame.dst };
        match self.oracle.tables.find(&key.into()) {
            Some(_) => Ok(()),
            None => Err(Stop::Drop(Reason::UnknownStation)),
        }
    }
}
