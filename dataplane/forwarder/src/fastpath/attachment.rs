//! `attachment` and `station`: which circuit a frame came in on, and whether it is for this router.

use svpn_contract::Reason;

use super::parse::HEAD;
use crate::tables::small::{Side, SmallTables};

/// A burst's port, with what was found for the frames before: most of a burst are of one circuit and for one address.
#[derive(Debug, Clone, Copy)]
pub(super) struct Ingress<'a> {
    /// The contract's number of the port.
    pub(super) port: u16,
    small: &'a SmallTables,
    /// The VIDs of the last circuit looked up, and what it is.
    vlans: u32,
    side: Option<Side>,
    /// The last of our addresses that a frame was for, as [`destination`] has it.
    station: u64,
}

impl<'a> Ingress<'a> {
    #[inline]
    pub(super) fn new(port: u16, small: &'a SmallTables) -> Self {
        // No address has all of 64 bits.
        Self { port, small, vlans: 0, side: small.attachment(port, 0, 0), station: u64::MAX }
    }

    /// The circuit with these VIDs, outer in the upper half.
    #[inline]
    pub(super) fn side(&mut self, vlans: u32) -> Result<Side, Reason> {
        if vlans != self.vlans {
            self.change_circuit(vlans);
        }
        self.side.ok_or(Reason::UnknownAttachment)
    }

    /// The circuit of frames without a tag, if there is one: to be asked before any other is.
    #[inline]
    pub(super) fn untagged(&self) -> Option<Side> {
        self.side
    }

    /// Whether the destination address is the last one that was found to be ours.
    #[inline]
    pub(super) fn is_as_last(&self, head: &[u8; HEAD]) -> bool {
        destination(head) == self.station
    }

    /// Whether the destination address is one of ours.
    #[inline]
    pub(super) fn station(&mut self, head: &[u8; HEAD]) -> Result<(), Reason> {
        let destination = destination(head);
        if destination != self.station {
            return self.change_station(destination);
        }
        Ok(())
    }

    #[inline(never)]
    #[allow(clippy::cast_possible_truncation, reason = "the halves")]
    fn change_circuit(&mut self, vlans: u32) {
        self.vlans = vlans;
        self.side = self.small.attachment(self.port, (vlans >> 16) as u16, vlans as u16);
    }

    #[inline(never)]
    fn change_station(&mut self, destination: u64) -> Result<(), Reason> {
        if !self.small.accepts(self.port, destination.swap_bytes()) {
            return Err(Reason::UnknownStation);
        }
        self.station = destination;
        Ok(())
    }
}

/// The destination address of a frame in the high 48 bits, its first byte lowest: one load, and two bytes too many.
#[inline]
fn destination(head: &[u8; HEAD]) -> u64 {
    let [d0, d1, d2, d3, d4, d5, s0, s1, ..] = *head;
    u64::from_le_bytes([d0, d1, d2, d3, d4, d5, s0, s1]) << 16
}
