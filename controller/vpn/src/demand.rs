//! From the bandwidth of an offer to the bytes that policers and links count.
//!
//! An application says what it needs above the transport header (`b=TIAS`, RFC 3890) or with IP and transport headers (`b=AS`,
//! RFC 4566 section 5.8). A policer counts frames as they come from the attachment circuit: destination MAC to end of payload, tags
//! included, no FCS. RFC 3890 section 6.4 shows the way from one to the other: headers of a packet times packets per second, rounded
//! up. Links carry what the tunnel puts before each packet besides ([`crate::encapsulation`]).
//!
//! | header | bytes |
//! |---|---|
//! | Ethernet | 14 |
//! | each tag of the attachment circuit | 4 |
//! | IPv4 without options, IPv6 without extension headers | 20, 40 |
//! | UDP, TCP without options, SCTP common header | 8, 20, 12 |

use serde::{Deserialize, Serialize};
use svpn_contract::wire::Mtu;

use crate::request::{Bandwidth, BitRate, IpVersion, Transport};

const ETHERNET: u64 = 14;
const TAG: u64 = 4;
/// Ethernet pads what is shorter, FCS not counted (IEEE 802.3 section 3.2.8); a bridge may add tags to a padded frame.
const SHORTEST_FRAME: u64 = 60;

/// The least a policer can be set to, bit/s.
pub const MIN_POLICED: BitRate = BitRate(8_000);
/// The most a policer can be set to, bit/s.
pub const MAX_POLICED: BitRate = BitRate(400_000_000_000);

/// What one direction of a session needs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Demand {
    /// Frames on the attachment circuit: whole bytes per second, so a multiple of 8.
    policed: BitRate,
    packets_per_second: u64,
}

/// A bandwidth no policer can be set to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ImpossibleDemand {
    /// Nothing is asked.
    #[error("no bandwidth is asked for: expected b=TIAS or b=AS above 0")]
    Nothing,
    /// More than a policer can be set to.
    #[error("with headers the bandwidth is above the {limit} bit/s that can be policed", limit = MAX_POLICED.0)]
    TooMuch,
}

/// What the packets of a session look like where they enter.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Framing {
    /// VLAN tags on the attachment circuit.
    pub tags: u8,
    /// Bytes of payload above the transport header in the mean packet, for a bandwidth without `a=maxprate`; not 0.
    pub mean_packet: u16,
}

/// A policer's setting: two-rate three-colour (RFC 2698), bytes per second and bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Policer {
    /// Committed and peak information rate: a session is promised a rate, and gets no more.
    pub bytes_per_second: u64,
    /// Committed and peak burst size.
    pub burst: u64,
}

impl Demand {
    /// The least that can be policed.
    pub const LEAST: Self = Self { policed: MIN_POLICED, packets_per_second: 0 };

    /// What media that flow in one direction need together.
    ///
    /// Each medium: its bandwidth, and its packets per second times the headers its bandwidth does not count; at least the shortest
    /// frames for that many packets. Packets per second are `a=maxprate`, else as many mean packets as make up the bandwidth. All of
    /// it rounded up, and raised to [`MIN_POLICED`].
    ///
    /// # Errors
    /// [`ImpossibleDemand`] when that is nothing or above [`MAX_POLICED`].
    pub fn of(media: impl IntoIterator<Item = (IpVersion, Transport, Bandwidth)>, framing: Framing) -> Result<Self, ImpossibleDemand> {
        let (mut rate, mut packets) = (0_u128, 0_u128);
        for (version, transport, bandwidth) in media {
            let (medium_rate, medium_packets) = medium(version, transport, bandwidth, framing);
            rate += medium_rate;
            packets += medium_packets;
        }
        if rate == 0 {
            return Err(ImpossibleDemand::Nothing);
        }
        let policed = rate.max(u128::from(MIN_POLICED.0)).next_multiple_of(8);
        match (u64::try_from(policed), u64::try_from(packets)) {
            (Ok(policed), Ok(packets_per_second)) if policed <= MAX_POLICED.0 => Ok(Self { policed: BitRate(policed), packets_per_second }),
            _ => Err(ImpossibleDemand::TooMuch),
        }
    }

    /// What the ingress PE polices to: bit/s of frames on the attachment circuit, without FCS.
    pub fn policed(self) -> BitRate {
        self.policed
    }

    /// What a link carries of it, bit/s, where each packet has so many bytes more.
    ///
    /// Tags end at the PE, yet their room is not given away: a sender of smaller packets has more headers than its rate foresees.
    pub fn on_link(self, encapsulation: u32) -> BitRate {
        let extra = u128::from(self.packets_per_second) * u128::from(encapsulation) * 8;
        // A policed rate has room for at least a frame each packet, so what goes before a packet never comes near the end of 64 bits.
        BitRate(u64::try_from(u128::from(self.policed.0) + extra).unwrap_or(u64::MAX))
    }

    /// How the ingress PE is set: committed rate = peak rate, and bursts of 10 ms of the rate, at least two of the largest frames
    /// the circuit may bring, so a sender that paces its packets never meets an empty bucket.
    pub fn policer(self, mtu: Mtu, tags: u8) -> Policer {
        let bytes_per_second = self.policed.0 / 8;
        let largest = ETHERNET + TAG * u64::from(tags) + u64::from(mtu.get());
        Policer { bytes_per_second, burst: bytes_per_second.div_ceil(100).max(2 * largest) }
    }
}

/// One medium: bit/s of frames, and packets per second.
fn medium(version: IpVersion, transport: Transport, bandwidth: Bandwidth, framing: Framing) -> (u128, u128) {
    let ip_and_transport = u128::from(version.header() + transport_header(transport));
    let link = u128::from(ETHERNET + TAG * u64::from(framing.tags));
    let shortest = u128::from(SHORTEST_FRAME + TAG * u64::from(framing.tags));
    let mean = u128::from(framing.mean_packet);
    // What the bandwidth counts of the mean packet, and the headers it does not count.
    let (rate, packets, counted, uncounted) = match bandwidth {
        Bandwidth::TransportIndependent { rate, packets_per_second } => (rate, packets_per_second, mean, ip_and_transport + link),
        Bandwidth::ApplicationSpecific { rate, packets_per_second } => (rate, packets_per_second, mean + ip_and_transport, link),
    };
    let rate = u128::from(rate.0);
    if rate == 0 {
        return (0, 0);
    }
    let packets = packets.map_or_else(|| rate.div_ceil(8 * counted), u128::from);
    ((rate + packets * uncounted * 8).max(packets * shortest * 8), packets)
}

fn transport_header(transport: Transport) -> u64 {
    match transport {
        Transport::Udp => 8,
        Transport::Tcp => 20,
        Transport::Sctp => 12,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const UNTAGGED: Framing = Framing { tags: 0, mean_packet: 512 };

    fn tias(rate: u64, packets_per_second: Option<u64>) -> Bandwidth {
        Bandwidth::TransportIndependent { rate: BitRate(rate), packets_per_second }
    }

    fn with_headers(rate: u64, packets_per_second: Option<u64>) -> Bandwidth {
        Bandwidth::ApplicationSpecific { rate: BitRate(rate), packets_per_second }
    }

    fn of(transport: Transport, bandwidth: Bandwidth, framing: Framing) -> Demand {
        Demand::of([(IpVersion::V4, transport, bandwidth)], framing).unwrap()
    }

    #[test]
    fn headers_times_packets() {
        // G.711 in 20 ms packets: 50 of 172 bytes (RTP included) above UDP, 214 in the frame.
        let voice = of(Transport::Udp, tias(68_800, Some(50)), UNTAGGED);
        assert_eq!(voice.policed(), BitRate(50 * 214 * 8));
        assert_eq!(voice.on_link(4), BitRate(50 * 218 * 8));
        assert_eq!(voice.on_link(8), BitRate(50 * 222 * 8));
        // The same with IP and UDP headers counted, and with two tags.
        assert_eq!(of(Transport::Udp, with_headers(80_000, Some(50)), UNTAGGED), voice);
        let tagged = Framing { tags: 2, ..UNTAGGED };
        assert_eq!(of(Transport::Udp, tias(68_800, Some(50)), tagged).policed(), BitRate(50 * 222 * 8));
        // IPv6 has 20 bytes more.
        let voice = Demand::of([(IpVersion::V6, Transport::Udp, tias(68_800, Some(50)))], UNTAGGED).unwrap();
        assert_eq!(voice.policed(), BitRate(50 * 234 * 8));
        // TCP and SCTP headers.
        assert_eq!(of(Transport::Tcp, tias(68_800, Some(50)), UNTAGGED).policed(), BitRate(50 * 226 * 8));
        assert_eq!(of(Transport::Sctp, tias(68_800, Some(50)), UNTAGGED).policed(), BitRate(50 * 218 * 8));
    }

    #[test]
    fn without_a_packet_rate_the_mean_packet_counts() {
        // 1 Mbit/s in packets of 512 bytes: 244.14, so 245.
        assert_eq!(of(Transport::Udp, tias(1_000_000, None), UNTAGGED).policed(), BitRate(1_000_000 + 245 * 42 * 8));
        // With headers the same packet has 540 bytes: 231.48, so 232, each with 14 more.
        assert_eq!(of(Transport::Udp, with_headers(1_000_000, None), UNTAGGED).policed(), BitRate(1_000_000 + 232 * 14 * 8));
    }

    #[test]
    fn short_frames_are_padded() {
        // 4 bytes of payload make a frame of 46: Ethernet sends 60.
        assert_eq!(of(Transport::Udp, tias(32_000, Some(1000)), UNTAGGED).policed(), BitRate(1000 * 60 * 8));
        let tagged = Framing { tags: 1, ..UNTAGGED };
        assert_eq!(of(Transport::Udp, tias(32_000, Some(1000)), tagged).policed(), BitRate(1000 * 64 * 8));
    }

    #[test]
    fn what_no_policer_can_do_is_refused() {
        let refused = |bandwidth| Demand::of([(IpVersion::V4, Transport::Udp, bandwidth)], UNTAGGED).unwrap_err();
        assert_eq!(refused(tias(0, Some(50))), ImpossibleDemand::Nothing);
        assert_eq!(Demand::of([], UNTAGGED), Err(ImpossibleDemand::Nothing));
        for huge in [tias(400_000_000_000, None), tias(u64::MAX, None), tias(1, Some(u64::MAX)), with_headers(u64::MAX, Some(u64::MAX))] {
            assert_eq!(refused(huge), ImpossibleDemand::TooMuch);
        }
        assert_eq!(of(Transport::Udp, tias(8, Some(1)), UNTAGGED).policed(), MIN_POLICED);
        // A medium without bandwidth adds nothing to one with.
        let both = Demand::of([tias(0, Some(9)), tias(68_800, Some(50))].map(|each| (IpVersion::V4, Transport::Udp, each)), UNTAGGED);
        assert_eq!(both, Ok(of(Transport::Udp, tias(68_800, Some(50)), UNTAGGED)));
    }

    #[test]
    fn bursts_are_ten_milliseconds_or_two_large_frames() {
        let mtu = Mtu::new(1500).unwrap();
        let fast = of(Transport::Udp, tias(79_999_328, Some(1)), UNTAGGED);
        assert_eq!(fast.policed().0 % 8, 0);
        assert_eq!(fast.policer(mtu, 0).burst, fast.policer(mtu, 0).bytes_per_second.div_ceil(100));
        let slow = of(Transport::Udp, tias(68_800, Some(50)), UNTAGGED);
        assert_eq!(slow.policer(mtu, 0), Policer { bytes_per_second: 50 * 214, burst: 2 * 1514 });
        assert_eq!(slow.policer(mtu, 2).burst, 2 * 1522);
    }

    fn bandwidth() -> impl Strategy<Value = Bandwidth> {
        let packets = prop::option::of(1..100_000_u64);
        (any::<bool>(), 0..10_000_000_000_u64, packets).prop_map(
            |(headers, rate, packets)| {
                if headers { with_headers(rate, packets) } else { tias(rate, packets) }
            },
        )
    }

    fn media() -> impl Strategy<Value = Vec<(IpVersion, Transport, Bandwidth)>> {
        let version = prop::sample::select(vec![IpVersion::V4, IpVersion::V6]);
        let transport = prop::sample::select(vec![Transport::Udp, Transport::Tcp, Transport::Sctp]);
        prop::collection::vec((version, transport, bandwidth()), 1..4)
    }

    proptest! {
        #[test]
        fn no_packet_is_lost_by_rounding(payload in 18..1400_u64, packets in 1..200_000_u64, tags in 0..3_u8) {
            // A sender that keeps to its word fits, byte for byte.
            let asked = tias(payload * 8 * packets, Some(packets));
            let demand = of(Transport::Udp, asked, Framing { tags, mean_packet: 512 });
            let frame = payload + 8 + 20 + 14 + 4 * u64::from(tags);
            prop_assert_eq!(demand.policed(), BitRate((frame * packets * 8).max(MIN_POLICED.0)));
            let policer = demand.policer(Mtu::new(1500).unwrap(), tags);
            prop_assert_eq!(policer.bytes_per_second * 8, demand.policed().0);
            prop_assert!(policer.burst >= 2 * frame);
        }

        #[test]
        fn fewer_media_never_need_more(media in media(), tags in 0..3_u8, mean_packet in 1..1500_u16) {
            let framing = Framing { tags, mean_packet };
            let Ok(all) = Demand::of(media.iter().copied(), framing) else { return Ok(()) };
            prop_assert!(all.policed() >= MIN_POLICED && all.policed() <= MAX_POLICED);
            let asked: u64 = media.iter().map(|(_, _, bandwidth)| match bandwidth {
                Bandwidth::TransportIndependent { rate, .. } | Bandwidth::ApplicationSpecific { rate, .. } => rate.0,
            }).sum();
            prop_assert!(all.policed().0 >= asked && all.on_link(4) >= all.policed() && all.on_link(8) >= all.on_link(4));
            for left_out in 0..media.len() {
                let rest = media.iter().enumerate().filter(|(index, _)| *index != left_out).map(|(_, medium)| *medium);
                if let Ok(less) = Demand::of(rest, framing) {
                    prop_assert!(less.policed() <= all.policed() && less.on_link(8) <= all.on_link(8));
                }
            }
        }
    }
}
