//! `arp_responder`: ARP over Ethernet and IPv4 (RFC 826), answered in the router.
//!
//! ```text
//!  0 hardware type   2 protocol type   4 hardware length   5 protocol length   6 operation
//!  8 sender MAC     14 sender IP      18 target MAC       24 target IP        28
//! ```

use svpn_contract::Reason;
use svpn_dpdk::Mbuf;

use super::View;
use super::packet::{Fate, Packet};
use super::parse::{ETHERTYPE_ARP, Ethernet, HEAD, be32, be64, ethernet};
use crate::tables::nexthop::{HEADER, Header};
use crate::tables::small::word_mac;

const LENGTH: usize = 28;
/// Hardware Ethernet, protocol IPv4, addresses of 6 and 4 bytes, a request.
const REQUEST: u64 = 0x0001_0800_0604_0001;
const REPLY: u64 = 0x0001_0800_0604_0002;

/// A request we answer; anything else is the controller's.
#[inline(never)]
pub(super) fn classify(frame: &[u8], ethernet: Ethernet, packet: &mut Packet, port: u16, view: &View<'_>) -> Result<(), Reason> {
    let arp = part(frame, ethernet.network).ok_or(Reason::FrameTruncated)?;
    if be64(arp, 0) == Some(REQUEST) && reply(arp, ethernet, port, view).is_some() {
        packet.fate = Fate::Answer;
        return Ok(());
    }
    Err(Reason::Arp)
}

/// Turns a request into its reply, which leaves where the request came in.
#[inline(never)]
pub(super) fn answer(mbuf: &mut Mbuf, port: u16, view: &View<'_>) -> Result<u16, Reason> {
    let head: &[u8; HEAD] = mbuf.window(0).ok_or(Reason::PortUnavailable)?;
    let received = ethernet(head, mbuf.len())?;
    let arp = part(mbuf.data(), received.network).ok_or(Reason::FrameTruncated)?;
    let mac = reply(arp, received, port, view).ok_or(Reason::Arp)?;
    let [_, _, _, _, _, _, _, _, asker @ .., t0, t1, t2, t3] = *arp;
    let mut asker_mac = [0; 6];
    asker_mac.copy_from_slice(&asker[..6]);
    let header = Header::new(asker_mac, mac, received.outer_vlan(), received.inner_vlan());
    let network = usize::from(received.network);
    let around: &mut [u8; HEADER + LENGTH] = mbuf.around(network, HEADER).ok_or(Reason::PortUnavailable)?;
    around[..HEADER].copy_from_slice(&header.with(ETHERTYPE_ARP));
    let arp = &mut around[HEADER..];
    arp[..8].copy_from_slice(&REPLY.to_be_bytes());
    arp[8..14].copy_from_slice(&mac);
    arp[14..18].copy_from_slice(&[t0, t1, t2, t3]);
    arp[18..28].copy_from_slice(&asker[..10]);
    mbuf.reface(network, header.length()).ok_or(Reason::PortUnavailable)?;
    Ok(port)
}

fn part(frame: &[u8], network: u16) -> Option<&[u8; LENGTH]> {
    frame.get(usize::from(network)..)?.first_chunk()
}

/// The address that the target of a request has.
fn reply(arp: &[u8; LENGTH], ethernet: Ethernet, port: u16, view: &View<'_>) -> Option<[u8; 6]> {
    view.small.arp_reply(port, ethernet.outer_vlan(), be32(arp, 24)?).map(word_mac)
}
