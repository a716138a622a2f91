//! `arp_responder`: ARP over Ethernet and IPv4 (RFC 826), answered in the router.
//!
//! ```text
//!  0 hardware type   2 protocol type   4 hardware length   5 protocol length   6 operation
//!  8 sender MAC     14 sender IP      18 target MAC       24 target IP        28
//! ```

use std::net::Ipv4Addr;

use super::frame::{self, ETHERTYPE_ARP, Frame};
use super::{Sent, Stop, Walk};
use crate::tables::{ArpResponderAction, ArpResponderKey, Entry, Reason};
use crate::wire::MacAddr;

const LENGTH: usize = 28;
/// Hardware Ethernet, protocol IPv4, addresses of 6 and 4 bytes, a request.
const REQUEST: [u8; 8] = [0, 1, 8, 0, 6, 4, 0, 1];
const REPLY: [u8; 8] = [0, 1, 8, 0, 6, 4, 0, 2];

impl Walk<'_> {
    pub(super) fn arp(&self, frame: &Frame<'_>) -> Result<Sent, Stop> {
        let Some((arp, trailing)) = frame.payload.split_first_chunk::<LENGTH>() else {
            return Err(Stop::Drop(Reason::FrameTruncated));
        };
        let target = Ipv4Addr::new(arp[24], arp[25], arp[26], arp[27]);
        let key = ArpResponderKey { port: self.port, vlan: frame.outer, target };
        let Some(Entry::ArpResponder(entry)) = self.oracle.tables.find(&key.into()).filter(|_| arp[..8] == REQUEST) else {
            return Err(Stop::Punt(Reason::Arp));
        };
        let ArpResponderAction::Reply { mac } = entry.action;
        let (asker_mac, asker_ip) = (&arp[8..14], &arp[14..18]);
        let reply = [&REPLY, &mac.0[..], &target.octets(), asker_mac, asker_ip, trailing].concat();
        let mut asker = [0; 6];
        asker.copy_from_slice(asker_mac);
        self.depart(self.port, frame::write(MacAddr(asker), mac, frame.outer, frame.inner, ETHERTYPE_ARP, &reply))
    }
}
