//! `arp_responder`: ARP over Ethernet and IPv4 (RFC 826), answered in the router.
//!
//! ```text
//!  0 hardware type   2 protocol type   4 hardware length   5 protocol length   6 operation
//!  8 sender MAC     14 sender IP      18 target MAC       24 target IP        28
//! ```

use svpn_contract::Reason;
use svpn_dpdk::Mbuf;

use super::parse::{ETHERTYPE_ARP, be32, be64};
use super::{Classified, Packet, Stop, View, nexthop};
use crate::tables::nexthop::Header;

const LENGTH: usize = 28;
/// Hardware Ethernet, protocol IPv4, addresses of 6 and 4 bytes, a request.
const REQUEST: u64 = 0x0001_0800_0604_0001;
const REPLY: u64 = 0x0001_0800_0604_0002;

/// A request we answer; anything else is the controller's.
#[inline]
pub(super) fn classify(frame: &[u8], packet: &Packet, view: View<'_>) -> Result<Classified, Stop> {
    let arp = frame.get(usize::from(packet.network)..).and_then(<[u8]>::first_chunk::<LENGTH>).ok_or(Stop(Reason::FrameTruncated))?;
    if be64(arp, 0) == Some(REQUEST)
        && let Some(target) = be32(arp, 24)
        && let Some(mac) = view.small.arp_reply(packet.port, packet.vlan, target)
    {
        return Ok(Classified::Answer(mac));
    }
    Err(Stop(Reason::Arp))
}

/// Turns a request into its reply, which leaves where the request came in.
#[inline]
pub(super) fn answer(mbuf: &mut Mbuf, packet: &Packet, mac: [u8; 6], view: View<'_>) -> Result<u16, Stop> {
    nexthop::available(packet.port, view)?;
    let network = usize::from(packet.network);
    let Some(arp) = mbuf.data_mut().get_mut(network..).and_then(<[u8]>::first_chunk_mut::<LENGTH>) else {
        return Err(Stop(Reason::FrameTruncated));
    };
    let [_, _, _, _, _, _, _, _, asker @ .., t0, t1, t2, t3] = *arp;
    let mut asker_mac = [0; 6];
    asker_mac.copy_from_slice(&asker[..6]);
    arp[..8].copy_from_slice(&REPLY.to_be_bytes());
    arp[8..14].copy_from_slice(&mac);
    arp[14..18].copy_from_slice(&[t0, t1, t2, t3]);
    arp[18..28].copy_from_slice(&asker[..10]);
    let header = Header::new(asker_mac, mac, packet.vlan, packet.inner_vlan);
    nexthop::write_header(mbuf, network, &header, &[], ETHERTYPE_ARP)?;
    Ok(packet.port)
}
