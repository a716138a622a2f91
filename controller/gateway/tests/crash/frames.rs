//! Customers' packets.

use std::net::Ipv4Addr;

/// Where a CE's packets enter: the PE's address and its own.
pub(crate) const EAST: [[u8; 6]; 2] = [[2, 0, 0, 0, 1, 1], [2, 0x0a, 0, 0, 1, 1]];
/// Likewise at the other end.
pub(crate) const WEST: [[u8; 6]; 2] = [[2, 0, 0, 0, 3, 1], [2, 0x0a, 0, 0, 3, 1]];

fn checksum(header: &[u8]) -> u16 {
    let sum: u32 = header.chunks(2).map(|pair| u32::from(u16::from_be_bytes([pair[0], pair[1]]))).sum();
    let folded = (sum & 0xffff) + (sum >> 16);
    !u16::try_from((folded & 0xffff) + (folded >> 16)).unwrap()
}

/// Likewise at p2.
pub(crate) const SOUTH: [[u8; 6]; 2] = [[2, 0, 0, 0, 4, 5], [2, 0x0a, 0, 0, 4, 5]];

/// An untagged UDP packet of 100 bytes of payload.
pub(crate) fn udp([to, from]: [[u8; 6]; 2], (src, sport): (&str, u16), (dst, dport): (&str, u16)) -> Vec<u8> {
    let [src, dst]: [Ipv4Addr; 2] = [src, dst].map(|address| address.parse().unwrap());
    let mut ip = vec![0x45, 0, 0, 128, 0, 1, 0, 0, 64, 17, 0, 0];
    ip.extend(src.octets());
    ip.extend(dst.octets());
    let sum = checksum(&ip).to_be_bytes();
    ip[10..12].copy_from_slice(&sum);
    let mut frame = [to.as_slice(), &from, &[0x08, 0x00], &ip].concat();
    for field in [sport, dport, 108, 0] {
        frame.extend(field.to_be_bytes());
    }
    frame.extend([0xab; 100]);
    frame
}
