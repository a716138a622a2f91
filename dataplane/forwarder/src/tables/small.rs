//! The small tables: immutable, and replaced together.

use std::sync::Arc;

use svpn_contract::wire::{Class, Colour};

use super::acl::{Classifier, WORDS_V6};
use super::exact::ExactMap;

/// `attachment`, `station`, `arp_responder`, `marking`, `flow_acl_v4` and `flow_acl_v6`.
#[derive(Debug, Clone)]
pub(crate) struct SmallTables {
    pub(crate) attachments: Arc<ExactMap>,
    pub(crate) stations: Arc<ExactMap>,
    pub(crate) arp_responder: Arc<ExactMap>,
    pub(crate) flow_acl_v4: Arc<Classifier>,
    pub(crate) flow_acl_v6: Arc<Classifier<WORDS_V6>>,
    pub(crate) marking: MarkingTable,
}

/// Where a frame came from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Side {
    /// From a customer, in a VRF.
    Attachment(u16),
    /// From the provider's own network.
    Core,
}

impl Side {
    pub(crate) fn bits(self) -> u64 {
        match self {
            Self::Attachment(vrf) => u64::from(vrf),
            Self::Core => 1 << 16,
        }
    }

    #[inline]
    #[allow(clippy::cast_possible_truncation, reason = "the VRF is the low 16 bits")]
    fn from_bits(bits: u64) -> Self {
        if bits >> 16 == 0 { Self::Attachment(bits as u16) } else { Self::Core }
    }
}

/// Keys of the small exact tables.
pub(crate) mod key {
    /// Of `attachment`.
    #[inline]
    pub(crate) fn attachment(port: u16, vlan: u16, inner_vlan: u16) -> [u64; 2] {
        [u64::from(port) << 32 | u64::from(vlan) << 16 | u64::from(inner_vlan), 0]
    }

    /// Of `station`; the address in the low 48 bits.
    #[inline]
    pub(crate) fn station(port: u16, mac: u64) -> [u64; 2] {
        [u64::from(port) << 48 | mac, 0]
    }

    /// Of `arp_responder`.
    #[inline]
    pub(crate) fn arp_responder(port: u16, vlan: u16, target: u32) -> [u64; 2] {
        [u64::from(port) << 48 | u64::from(vlan) << 32 | u64::from(target), 0]
    }
}

/// An Ethernet address in the low 48 bits of a word.
#[inline]
pub(crate) fn mac_word(mac: [u8; 6]) -> u64 {
    let mut word = [0; 8];
    word[2..].copy_from_slice(&mac);
    u64::from_be_bytes(word)
}

/// The Ethernet address of a word.
#[inline]
pub(crate) fn word_mac(word: u64) -> [u8; 6] {
    let [_, _, mac @ ..] = word.to_be_bytes();
    mac
}

impl SmallTables {
    #[inline]
    pub(crate) fn attachment(&self, port: u16, vlan: u16, inner_vlan: u16) -> Option<Side> {
        self.attachments.get(key::attachment(port, vlan, inner_vlan)).map(Side::from_bits)
    }

    #[inline]
    pub(crate) fn accepts(&self, port: u16, mac: u64) -> bool {
        self.stations.get(key::station(port, mac)).is_some()
    }

    #[inline]
    pub(crate) fn arp_reply(&self, port: u16, vlan: u16, target: u32) -> Option<u64> {
        self.arp_responder.get(key::arp_responder(port, vlan, target))
    }
}

/// What happens to a class and colour.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Marking {
    /// Labels pushed have this traffic class, delivery headers this code point.
    Mark {
        /// RFC 5462.
        tc: u8,
        /// RFC 2474.
        dscp: u8,
    },
    /// An entry says so.
    Discard,
    /// Red without an entry.
    RedDiscard,
}

/// `marking`, with what no entry says filled in.
#[derive(Debug, Clone)]
pub(crate) struct MarkingTable([Marking; 32]);

impl MarkingTable {
    /// The table without entries: TC = class, the class selector code point of the class (RFC 2474), and red discards.
    pub(crate) fn new() -> Self {
        let mut table = [Marking::RedDiscard; 32];
        for (class, row) in (0..).zip(table.chunks_exact_mut(4)) {
            let mark = Marking::Mark { tc: class, dscp: class << 3 };
            row[usize::from(Colour::GREEN.get())] = mark;
            row[usize::from(Colour::YELLOW.get())] = mark;
            // There is no colour 3, but a key may have it; without an entry it would be no red.
            row[3] = mark;
        }
        Self(table)
    }

    pub(crate) fn set(&mut self, class: Class, colour: Colour, marking: Marking) {
        self.0[Self::index(class.get(), colour)] = marking;
    }

    #[inline]
    pub(crate) fn get(&self, class: u8, colour: Colour) -> Marking {
        self.0[Self::index(class, colour)]
    }

    #[inline]
    fn index(class: u8, colour: Colour) -> usize {
        usize::from(class & 7) << 2 | usize::from(colour.get() & 3)
    }
}
