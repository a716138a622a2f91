//! IPv4 (RFC 791): the checks of a header, its 5-tuple, and `route_v4`.

use svpn_contract::Reason;
use svpn_contract::wire::Colour;

use super::nexthop::{Departure, Edit};
use super::parse::{ETHERTYPE_IPV4, be16, be64};
use super::{Classified, Decided, Found, Packet, Stop, View};
use crate::tables::flow::FlowKey;
use crate::tables::route::{Route, Walk};
use crate::tables::small::Side;

/// Bytes of an IPv4 header without options.
pub(super) const HEADER: usize = 20;
/// Bytes of an IPv6 header.
pub(super) const HEADER_V6: usize = 40;
/// Where the TTL is.
pub(super) const TTL: usize = 8;
/// Where the checksum is.
pub(super) const CHECKSUM: usize = 10;
const TCP: u8 = 6;
const UDP: u8 = 17;
const SCTP: u8 = 132;

/// An IPv4 packet right behind Ethernet and tags.
#[inline]
pub(super) fn classify(frame: &[u8], packet: &mut Packet, side: Side, view: View<'_>) -> Result<Classified, Stop> {
    packet.ip = packet.network;
    check(frame, packet, u8::MAX)?;
    if side == Side::Core {
        view.tables.route_v4.prefetch(packet.vrf);
        return Ok(Classified::Route);
    }
    let hash = view.tables.flow_v4.hash(packet.key);
    view.tables.flow_v4.prefetch(hash);
    Ok(Classified::Flow(hash))
}

/// Judges the header at `packet.ip` and reads it. `ceiling` is the most its TTL can be (RFC 3443, uniform model).
#[inline]
pub(super) fn check(frame: &[u8], packet: &mut Packet, ceiling: u8) -> Result<(), Stop> {
    let start = usize::from(packet.ip);
    let available = (packet.length as usize).saturating_sub(start);
    let rest = frame.get(start..).unwrap_or_default();
    let header: &[u8; HEADER] = rest.first_chunk().ok_or(Stop(Reason::IpTruncated))?;
    if header[0] >> 4 != 4 {
        return Err(Stop(Reason::IpBadVersion));
    }
    let header_length = usize::from(header[0] & 0x0f) * 4;
    if header_length < HEADER {
        return Err(Stop(Reason::IpBadHeaderLength));
    }
    let whole = rest.get(..header_length).ok_or(Stop(Reason::IpTruncated))?;
    let total_length = usize::from(u16::from_be_bytes([header[2], header[3]]));
    if total_length < header_length || total_length > available {
        return Err(Stop(Reason::IpBadLength));
    }
    if !checksum_is_right(header, &whole[HEADER..]) {
        return Err(Stop(Reason::IpBadChecksum));
    }
    if header[TTL] == 0 {
        return Err(Stop(Reason::IpTtlZero));
    }
    packet.ttl = header[TTL].min(ceiling);
    let [.., s0, s1, s2, s3, d0, d1, d2, d3] = *header;
    let addresses = u64::from_be_bytes([s0, s1, s2, s3, d0, d1, d2, d3]);
    let l4 = rest.get(header_length..total_length.min(rest.len())).unwrap_or_default();
    packet.key = FlowKey::new(packet.vrf, addresses, header[9], ports(header, l4));
    Ok(())
}

/// Both ports of a TCP, UDP or SCTP packet that is no fragment; 0 for anything else. `l4` is what follows the header.
#[inline]
pub(super) fn ports(header: &[u8; HEADER], l4: &[u8]) -> u32 {
    // More fragments, or an offset.
    let fragment = (header[6] & 0x3f) | header[7] != 0;
    match l4.first_chunk() {
        Some(ports) if !fragment && matches!(header[9], TCP | UDP | SCTP) => u32::from_be_bytes(*ports),
        _ => 0,
    }
}

/// Whether the one's complement sum of a header's words is 0xffff (RFC 1071). The sum does not depend on the order of bytes.
#[inline]
fn checksum_is_right(header: &[u8; HEADER], options: &[u8]) -> bool {
    let words = header.as_chunks::<4>().0.iter().chain(options.as_chunks::<4>().0);
    let sum: u64 = words.map(|word| u64::from(u32::from_ne_bytes(*word))).sum();
    let sum = (sum & 0xffff_ffff) + (sum >> 32);
    let sum = (sum & 0xffff) + (sum >> 16 & 0xffff) + (sum >> 32);
    let sum = (sum & 0xffff) + (sum >> 16);
    sum == 0xffff
}

/// Changes the TTL of an IPv4 header and updates the checksum by equation 3 of RFC 1624: HC' = ~(~HC + ~m + m').
#[inline]
pub(super) fn set_ttl(frame: &mut [u8], ip: usize, ttl: u8) {
    let Some(header) = frame.get_mut(ip..).and_then(<[u8]>::first_chunk_mut::<HEADER>) else { return };
    let word = |high: u8, low: u8| u32::from(u16::from_be_bytes([high, low]));
    let sum = (!word(header[CHECKSUM], header[CHECKSUM + 1]) & 0xffff)
        + (!word(header[TTL], header[TTL + 1]) & 0xffff)
        + word(ttl, header[TTL + 1]);
    let sum = (sum & 0xffff) + (sum >> 16);
    let sum = (sum & 0xffff) + (sum >> 16);
    let [.., high, low] = (!sum).to_be_bytes();
    header[TTL] = ttl;
    header[CHECKSUM] = high;
    header[CHECKSUM + 1] = low;
}

/// Begins to search the route of a packet of no session.
#[inline]
pub(super) fn start(packet: &Packet, view: View<'_>) -> Found {
    #[allow(clippy::cast_possible_truncation, reason = "the destination is the low half")]
    let destination = packet.key.addresses as u32;
    Found::Route(view.tables.route_v4.start(packet.vrf, destination))
}

/// What becomes of a packet whose route was searched to the end.
#[inline]
pub(super) fn route(packet: &Packet, walk: &Walk, view: View<'_>) -> Result<Decided, Stop> {
    let route = view.tables.route_v4.route(walk).ok_or(Stop(Reason::NoRoute))?;
    match route {
        Route::Receive => Err(Stop(Reason::Receive)),
        Route::Discard => Err(Stop(Reason::RouteDiscard)),
        Route::ViaTunnel(_) | Route::Local(_) if packet.ttl <= 1 => Err(Stop(Reason::TtlExpired)),
        Route::ViaTunnel(carry) => {
            view.tables.tunnel.prefetch(carry.tunnel);
            Ok(Decided::Tunnel(carry, Colour::GREEN))
        }
        Route::Local(nexthop) => {
            let edit = Edit::Ipv4Ttl(packet.ttl - 1);
            Ok(Decided::Leave(Departure { nexthop, start: packet.ip, ethertype: ETHERTYPE_IPV4, edit }))
        }
    }
}

/// Whether the packet at `start` must not be fragmented on its way: IPv4 with DF, or IPv6.
#[inline]
pub(super) fn must_stay_whole(frame: &[u8], start: usize, length: usize) -> bool {
    let available = length.saturating_sub(start);
    match frame.get(start).map(|first| first >> 4) {
        Some(4) => available >= HEADER && be16(frame, start + 6).is_some_and(|flags| flags & 0x4000 != 0),
        Some(6) => available >= HEADER_V6,
        _ => false,
    }
}

/// The addresses of the IPv6 header at `start`: four words.
#[inline]
pub(super) fn addresses_v6(frame: &[u8], start: usize) -> Option<[u64; 4]> {
    Some([be64(frame, start + 8)?, be64(frame, start + 16)?, be64(frame, start + 24)?, be64(frame, start + 32)?])
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// The checksum of a header whose own checksum field is zero.
    fn checksum(header: &[u8]) -> u16 {
        let mut sum: u32 = header.chunks(2).map(|word| u32::from(u16::from_be_bytes([word[0], word[1]]))).sum();
        while sum > 0xffff {
            sum = (sum & 0xffff) + (sum >> 16);
        }
        !u16::try_from(sum).unwrap()
    }

    proptest! {
        #[test]
        fn a_changed_ttl_leaves_a_right_checksum(mut header in prop::array::uniform20(any::<u8>()), ttl: u8, options in prop::array::uniform4(any::<u8>())) {
            header[0] = 0x46;
            header[10..12].fill(0);
            let sum = checksum(&[&header[..], &options].concat());
            header[10..12].copy_from_slice(&sum.to_be_bytes());
            prop_assert!(checksum_is_right(&header, &options));
            set_ttl(&mut header, 0, ttl);
            prop_assert_eq!(header[TTL], ttl);
            prop_assert!(checksum_is_right(&header, &options));
            let before = header;
            header[12] ^= 1;
            prop_assert!(!checksum_is_right(&header, &options));
            let mut cleared = before;
            cleared[10..12].fill(0);
            prop_assert_eq!(checksum(&[&cleared[..], &options].concat()).to_be_bytes(), [before[10], before[11]]);
        }
    }
}
