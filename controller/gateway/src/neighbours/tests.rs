use proptest::prelude::*;
use svpn_contract::Reason;
use svpn_contract::wire::VrfId;

use super::*;

const MAC: MacAddr = MacAddr([2, 0, 0, 0, 1, 1]);
const CE: [u8; 6] = [2, 10, 0, 0, 0, 1];
const OURS: &str = "2001:db8:a1::1";

/// A solicitation of `2001:db8:a1::1` by `2001:db8:a1::2`, with tags before the type of the packet.
fn asked(tags: &[u8]) -> Vec<u8> {
    let mut frame = vec![0x33, 0x33, 0xff, 0, 0, 1];
    frame.extend(CE);
    frame.extend(tags);
    frame.extend([0x86, 0xdd, 0x60, 0, 0, 0, 0, 32, 58, 255]);
    let [source, group, target] = ["2001:db8:a1::2", "ff02::1:ff00:1", OURS].map(|text| text.parse::<Ipv6Addr>().unwrap());
    frame.extend([source.octets(), group.octets()].concat());
    let mut message = vec![135, 0, 0, 0, 0, 0, 0, 0];
    message.extend(target.octets());
    message.extend([1, 1]);
    message.extend(CE);
    let sum = checksum(source, group, &message).to_be_bytes();
    message[2..4].copy_from_slice(&sum);
    frame.extend(message);
    frame
}

fn router() -> RouterId {
    network().routers().next().unwrap().0
}

fn network() -> Network {
    let text = include_str!("../../tests/svpn.toml");
    let path = std::env::temp_dir().join(format!("svpn-neighbours-{}.toml", std::process::id()));
    std::fs::write(&path, text).unwrap();
    let network = crate::config::load(&path).unwrap().network;
    std::fs::remove_file(&path).unwrap();
    network
}

fn neighbours(vlan: [u16; 2]) -> Neighbours {
    let [outer, inner] = vlan.map(|tag| VlanId::new(tag).unwrap());
    let place = (router(), PortId::new(1).unwrap(), outer, inner);
    Neighbours([((place, OURS.parse().unwrap()), MAC)].into())
}

fn handed(frame: Vec<u8>) -> PacketIn {
    PacketIn { ingress_port: PortId::new(1).unwrap(), reason: Reason::Nd, vrf: VrfId::default(), frame }
}

#[test]
fn who_asks_for_an_address_of_the_circuit_is_answered() {
    let cases: [(&[u8], [u16; 2], &[u8]); 4] = [
        (&[], [0, 0], &[]),
        (&[0x81, 0, 0xe0, 0], [0, 0], &[]),
        (&[0x81, 0, 0xe0, 7], [7, 0], &[0x81, 0, 0, 7]),
        (&[0x88, 0xa8, 0, 7, 0x81, 0, 0, 9], [7, 9], &[0x88, 0xa8, 0, 7, 0x81, 0, 0, 9]),
    ];
    for (tags, circuit, sent_tags) in cases {
        let answer = neighbours(circuit).answer(router(), &handed(asked(tags))).unwrap();
        assert_eq!(answer.egress_port.get(), 1);
        let packet = &answer.frame[12 + sent_tags.len()..];
        assert_eq!((&answer.frame[..12], &answer.frame[12..12 + sent_tags.len()]), (&[CE, MAC.0].concat()[..], sent_tags));
        assert_eq!(packet[..10], [0x86, 0xdd, 0x60, 0, 0, 0, 0, 32, 58, 255]);
        let (source, destination) = (address(packet, 10).unwrap(), address(packet, 26).unwrap());
        assert_eq!((source.to_string(), destination.to_string()), (OURS.to_owned(), "2001:db8:a1::2".to_owned()));
        let message = &packet[42..];
        assert_eq!((message[0], message[1], message[4], address(message, 8)), (136, 0, 0xe0, Some(source)));
        assert_eq!(message[24..], [&[2, 1][..], &MAC.0].concat());
        assert_eq!(checksum(source, destination, message), 0);
    }
}

#[test]
fn another_address_circuit_or_router_is_not_answered() {
    let packet = handed(asked(&[]));
    let other = network().routers().nth(1).unwrap().0;
    assert!(neighbours([0, 0]).answer(other, &packet).is_none());
    assert!(neighbours([7, 0]).answer(router(), &packet).is_none());
    assert!(neighbours([0, 0]).answer(router(), &PacketIn { ingress_port: PortId::new(2).unwrap(), ..packet }).is_none());
    assert!(Neighbours(HashMap::new()).answer(router(), &handed(asked(&[]))).is_none());
}

#[test]
fn who_has_no_address_yet_is_told_with_all_others() {
    let mut frame = asked(&[]);
    frame.truncate(14 + 40 + 24);
    frame[14 + 5] = 24;
    frame[22..38].fill(0);
    frame[56..58].fill(0);
    let group = "ff02::1:ff00:1".parse().unwrap();
    let sum = checksum(Ipv6Addr::UNSPECIFIED, group, &frame[54..]).to_be_bytes();
    frame[56..58].copy_from_slice(&sum);
    let answer = neighbours([0, 0]).answer(router(), &handed(frame)).unwrap().frame;
    assert_eq!((&answer[..6], address(&answer, 38), answer[58]), (&[0x33, 0x33, 0, 0, 0, 1][..], Some(ALL_NODES), 0xa0));
}

#[test]
fn a_network_has_the_addresses_of_its_circuits() {
    let network = network();
    let all = Neighbours::new(&network);
    // What stands for another provider is no router that hands anything over.
    let ours: Vec<_> = all.0.iter().filter(|(((router, ..), _), _)| network.routers().any(|(id, _)| id == *router)).collect();
    let [(((place_router, port, ..), address), mac)] = ours[..] else { panic!("{ours:?}") };
    assert_eq!((*place_router, port.get(), address.to_string().as_str()), (router(), 2, "2001:db8:b1::1"));
    assert_eq!(mac.to_string(), "02:00:00:00:01:02");
}

proptest! {
    #[test]
    fn whatever_is_wrong_is_not_answered(at in 12..86_usize, with in any::<u8>(), length in 0..86_usize) {
        let whole = asked(&[]);
        let neighbours = neighbours([0, 0]);
        prop_assert!(neighbours.answer(router(), &handed(whole[..length].to_vec())).is_none());
        let mut wrong = whole.clone();
        wrong[at] = with;
        // The checksum does not cover traffic class, flow label and length field.
        let covered = wrong != whole && !(14..18).contains(&at) && !(at == 18 || at == 19);
        if covered {
            prop_assert!(neighbours.answer(router(), &handed(wrong)).is_none());
        }
    }
}
