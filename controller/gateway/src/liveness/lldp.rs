//! The probe on a link: a frame of IEEE 802.1AB (LLDP), which every router of the contract hands to its controller, whatever its tables
//! hold, and which no bridge passes on. It says who sent it and by which port.
//!
//! ```text
//!  dst 01:80:c2:00:00:0e   src   0x88cc   chassis ID (type 1)   port ID (type 2)   TTL (type 3)   end (type 0)
//! ```
//! Each TLV is 7 bits of type, 9 bits of length, and as many bytes. Both identifiers are of subtype 7, "locally assigned".

use svpn_contract::wire::MacAddr;

/// The nearest bridge (IEEE 802.1AB table 7-1).
const NEAREST_BRIDGE: [u8; 6] = [0x01, 0x80, 0xc2, 0x00, 0x00, 0x0e];
const ETHERTYPE: [u8; 2] = [0x88, 0xcc];
/// Frames are no shorter on Ethernet, FCS aside.
const SHORTEST: usize = 60;
const LOCALLY_ASSIGNED: u8 = 7;
/// The longest identifier (IEEE 802.1AB section 8.5.2.1).
const LONGEST: usize = 255;

const END: u8 = 0;
const CHASSIS: u8 = 1;
const PORT: u8 = 2;
const TIME_TO_LIVE: u8 = 3;

/// What a probe says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Probe {
    /// The router's name.
    pub(super) router: String,
    /// The port's number there.
    pub(super) port: String,
}

impl Probe {
    /// The frame, as it leaves the port with that address. A name longer than 255 bytes is cut there.
    pub(super) fn frame(&self, source: MacAddr, seconds: u16) -> Vec<u8> {
        let mut frame = Vec::with_capacity(SHORTEST);
        frame.extend(NEAREST_BRIDGE);
        frame.extend(source.0);
        frame.extend(ETHERTYPE);
        for (kind, name) in [(CHASSIS, &self.router), (PORT, &self.port)] {
            let name = &name.as_bytes()[..name.len().min(LONGEST)];
            let value: Vec<u8> = std::iter::once(LOCALLY_ASSIGNED).chain(name.iter().copied()).collect();
            put(&mut frame, kind, &value);
        }
        put(&mut frame, TIME_TO_LIVE, &seconds.to_be_bytes());
        put(&mut frame, END, &[]);
        frame.resize(frame.len().max(SHORTEST), 0);
        frame
    }

    /// What a frame says; `None` where it is no probe of ours.
    pub(super) fn read(frame: &[u8]) -> Option<Self> {
        let rest = frame.strip_prefix(&NEAREST_BRIDGE)?.get(6..)?.strip_prefix(&ETHERTYPE)?;
        let (router, rest) = take(rest, CHASSIS)?;
        let (port, rest) = take(rest, PORT)?;
        take_value(rest, TIME_TO_LIVE)?;
        Some(Self { router, port })
    }
}

fn put(frame: &mut Vec<u8>, kind: u8, value: &[u8]) {
    // The callers' values are at most 256 bytes; the field has 9 bits.
    let head = u16::from(kind) << 9 | u16::try_from(value.len()).unwrap_or(0x1ff);
    frame.extend(head.to_be_bytes());
    frame.extend(value);
}

fn take_value(frame: &[u8], kind: u8) -> Option<(&[u8], &[u8])> {
    let (head, rest) = frame.split_first_chunk::<2>()?;
    let head = u16::from_be_bytes(*head);
    (head >> 9 == u16::from(kind)).then(|| rest.split_at_checked(usize::from(head & 0x1ff))).flatten()
}

fn take(frame: &[u8], kind: u8) -> Option<(String, &[u8])> {
    let (value, rest) = take_value(frame, kind)?;
    let (&LOCALLY_ASSIGNED, name) = value.split_first()? else { return None };
    Some((String::from_utf8(name.to_vec()).ok()?, rest))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn probe() -> Probe {
        Probe { router: "pe1".into(), port: "2".into() }
    }

    #[test]
    fn the_frame_is_as_the_standard_has_it() {
        let frame = probe().frame(MacAddr([2, 0, 0, 0, 1, 2]), 3);
        let expected = [
            &[0x01, 0x80, 0xc2, 0x00, 0x00, 0x0e, 2, 0, 0, 0, 1, 2, 0x88, 0xcc][..],
            &[0x02, 0x04, 7, b'p', b'e', b'1'],
            &[0x04, 0x02, 7, b'2'],
            &[0x06, 0x02, 0, 3],
            &[0, 0],
        ]
        .concat();
        assert_eq!(frame.len(), 60);
        assert_eq!(frame[..expected.len()], expected);
        assert!(frame[expected.len()..].iter().all(|&byte| byte == 0));
    }

    #[test]
    fn other_frames_are_no_probes() {
        let frame = probe().frame(MacAddr::default(), 3);
        assert_eq!(Probe::read(&frame), Some(probe()));
        for cut in 0..28 {
            assert_eq!(Probe::read(&frame[..cut]), None, "cut after {cut}");
        }
        for (at, byte) in [(0, 0x33), (13, 0xcd), (14, 0x04), (16, 4), (20, 0x06), (22, 5)] {
            let mut other = frame.clone();
            other[at] = byte;
            assert_eq!(Probe::read(&other), None, "byte {at}");
        }
    }

    proptest! {
        #[test]
        fn what_is_written_is_read(router in "\\PC{1,60}", port in "[0-9]{1,3}") {
            let probe = Probe { router, port };
            prop_assert_eq!(Probe::read(&probe.frame(MacAddr::default(), 1)), Some(probe));
        }

        #[test]
        fn no_bytes_are_too_strange(bytes in prop::collection::vec(any::<u8>(), 0..80)) {
            let mut frame = probe().frame(MacAddr::default(), 1)[..14].to_vec();
            frame.extend(&bytes);
            let _probe = Probe::read(&frame);
            let _other = Probe::read(&bytes);
        }
    }
}
