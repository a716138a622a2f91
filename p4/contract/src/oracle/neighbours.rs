//! Neighbour discovery (RFC 4861): router and neighbour solicitations, advertisements and redirects, for the controller.
//!
//! It is ICMP right behind an IPv6 header, one of five types, with a hop limit that says that no router forwarded it (RFC 4861 section
//! 6.1). Nothing else of it is judged here: lengths, checksum and who is asked for are the controller's. It is looked for behind
//! `attachment` and before `station`, since it goes to multicast addresses, on circuits of customers and of the core alike.

use super::Stop;
use super::frame::{ETHERTYPE_IPV6, Frame};
use super::ip::IPV6_HEADER;
use crate::tables::Reason;

/// The next header of ICMP for IPv6 (RFC 4443).
const ICMP: u8 = 58;
/// From router solicitation to redirect (RFC 4861 section 4).
const TYPES: std::ops::RangeInclusive<u8> = 133..=137;

/// Whether a frame is neighbour discovery; its type must be in the frame, the header's length field is not looked at.
fn is_discovery(frame: &Frame<'_>) -> bool {
    let packet = frame.payload;
    frame.ethertype == ETHERTYPE_IPV6
        && packet.first().is_some_and(|first| first >> 4 == 6)
        && packet.get(6) == Some(&ICMP)
        && packet.get(7) == Some(&255)
        && packet.get(IPV6_HEADER).is_some_and(|kind| TYPES.contains(kind))
}

/// Hands neighbour discovery to the controller.
pub(super) fn discovery(frame: &Frame<'_>) -> Result<(), Stop> {
    if is_discovery(frame) { Err(Stop::Punt(Reason::Nd)) } else { Ok(()) }
}
