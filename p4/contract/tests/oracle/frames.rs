//! Frames by hand, in the order of their bytes.

use svpn_contract::wire::MacAddr;

/// Hexadecimal digits to bytes; blanks are for the reader.
pub(crate) fn hex(text: &str) -> Vec<u8> {
    let digits: Vec<u8> = text.chars().filter_map(|digit| digit.to_digit(16)).map(|digit| u8::try_from(digit).expect("a digit")).collect();
    assert_eq!(digits.len() % 2, 0, "{text:?}");
    digits.chunks(2).map(|pair| pair[0] << 4 | pair[1]).collect()
}

/// Ethernet; `after` begins behind the source address.
pub(crate) fn ethernet(dst: MacAddr, src: MacAddr, after: &str) -> Vec<u8> {
    [&dst.0[..], &src.0, &hex(after)].concat()
}

/// 10.0.0.1:4096 to 10.1.0.2:80 by UDP, 32 bytes, TTL 64, checksum by hand.
///
/// Sum of the words without the checksum: 4500 + 0020 + 1234 + 0000 + 4011 + 0a00 + 0001 + 0a01 + 0002 = ab69, so it is 5496.
pub(crate) const UDP: &str = "45000020 12340000 40115496 0a000001 0a010002 10000050 000cffff 61626364";
/// The same with TTL 63: the word 4011 became 3f11, so the checksum is 5596.
pub(crate) const UDP_63: &str = "45000020 12340000 3f115596 0a000001 0a010002 10000050 000cffff 61626364";

/// The packet with another TTL and its right checksum.
pub(crate) fn udp_with_ttl(ttl: u8) -> String {
    let sum = 0xab69_u32 - 0x4000 + (u32::from(ttl) << 8);
    let checksum = !((sum & 0xffff) + (sum >> 16)) & 0xffff;
    UDP.replace("40115496", &format!("{ttl:02x}11{checksum:04x}"))
}

/// The first so many bytes.
pub(crate) fn cut(text: &str, bytes: usize) -> String {
    text.chars().filter(char::is_ascii_hexdigit).take(bytes * 2).collect()
}

/// `2001:db8::1` to `2001:db8:1::2`, with the next header, the hop limit and what follows, which is all of the payload.
pub(crate) fn ipv6(next_header: u8, hop_limit: u8, payload: &str) -> String {
    let length = hex(payload).len();
    format!("60000000 {length:04x} {next_header:02x} {hop_limit:02x} {V6_ADDRESSES} {payload}")
}

/// Source and destination of [`ipv6`].
pub(crate) const V6_ADDRESSES: &str = "20010db8000000000000000000000001 20010db8000100000000000000000002";
/// From port 4096 to port 80, four bytes of payload.
pub(crate) const UDP_LOAD: &str = "10000050 000cffff 61626364";

/// An IPv4 packet from 192.0.2.1 to 192.0.2.2 without options, its checksum right; `fragment` is flags and offset.
pub(crate) fn ipv4(protocol: u8, ttl: u8, fragment: u16, payload: &str) -> String {
    let length = 20 + hex(payload).len();
    let words = [0x4500, length, 0, fragment.into(), usize::from(ttl) << 8 | usize::from(protocol), 0xc000, 0x0201, 0xc000, 0x0202];
    let sum: usize = words.iter().sum();
    let folded = (sum & 0xffff) + (sum >> 16);
    let checksum = !((folded & 0xffff) + (folded >> 16)) & 0xffff;
    format!("4500{length:04x} 0000{fragment:04x} {ttl:02x}{protocol:02x}{checksum:04x} c0000201 c0000202 {payload}")
}
