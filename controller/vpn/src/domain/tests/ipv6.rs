//! Customers that speak IPv6.

use std::net::Ipv6Addr;

use svpn_contract::wire::MacAddr;

use super::forwarding::{Arrival, Provider, circuit};
use super::*;
use crate::request::{Match, Refusal, TunnelType};
use crate::testing::{MEGA, end, request, spec, with_ipv6};

const HERE: (&str, u16) = ("2001:db8:a1::5", 5004);
const YONDER: (&str, u16) = ("2001:db8:a2::7", 6000);

fn dual() -> Domain {
    Domain::new(Network::build(with_ipv6(spec())).unwrap()).unwrap()
}

fn wanted(to: &str, matching: Match, tunnel: TunnelType) -> SessionRequest {
    let mut wanted = SessionRequest { matching, tunnel, ..request("a-east", to, MEGA) };
    wanted.media[0].caller = end(HERE.0, HERE.1);
    wanted
}

/// An untagged UDP packet of 100 bytes of payload.
fn udp(dst_mac: MacAddr, src_mac: MacAddr, (src, sport): (&str, u16), (dst, dport): (&str, u16), hop_limit: u8) -> Vec<u8> {
    let [src, dst]: [Ipv6Addr; 2] = [src, dst].map(|address| address.parse().unwrap());
    let ports = [sport, dport, 108, 0].map(u16::to_be_bytes).concat();
    let ip = [&[0x60, 0, 0, 0, 0, 108, 17, hop_limit][..], &src.octets(), &dst.octets(), &ports, &[0xab; 100]].concat();
    [&dst_mac.0[..], &src_mac.0, &[0x86, 0xdd], &ip].concat()
}

#[test]
fn packets_arrive_whatever_carries_them() {
    // By labels, by GRE over IPv4 to pe2, and over IPv6 to pe3.
    let ways = [
        ("a-west", TunnelType::Mpls, YONDER, 3, 61),
        ("a-west", TunnelType::Gre, YONDER, 3, 62),
        ("a-south", TunnelType::Mpls, ("2001:db8:a3::7", 6000), 2, 62),
        ("a-south", TunnelType::Gre, ("2001:db8:a3::7", 6000), 2, 62),
    ];
    for (to, tunnel, yonder, hops, hop_limit) in ways {
        for matching in [Match::Ports, Match::Hosts, Match::Sites] {
            let mut provider = Provider::of(dual());
            let untouched = taken(&provider.domain);
            let [from, far] = ["a-east", to].map(|ce| circuit(&provider.domain, ce));
            let there = udp(from.mac, from.ce_mac, HERE, yonder, 64);
            let no_route = Arrival::Dropped { router: "pe1".into(), reason: svpn_contract::Reason::NoRoute };
            assert_eq!(provider.send(&from, &there), no_route);
            let answer = Answer { media: vec![Some(end(yonder.0, yonder.1))] };
            let (session, steps) = establish(&mut provider.domain, wanted(to, matching, tunnel), &answer);
            provider.write(&steps);
            let frame = udp(far.ce_mac, far.mac, HERE, yonder, hop_limit);
            assert_eq!(provider.send(&from, &there), Arrival::At { ce: to.into(), frame, hops }, "{tunnel:?} {matching:?}");
            let (_, steps) = finish(&mut provider.domain, session, Cause::Caller, 9);
            provider.write(&steps);
            assert_eq!(provider.send(&from, &there), no_route);
            assert_eq!(taken(&provider.domain), untouched);
        }
    }
}

#[test]
fn what_is_policed_has_the_longer_header() {
    let mut domain = dual();
    let policed = |domain: &mut Domain, wanted| domain.request(wanted, at(0)).unwrap().terms.policed;
    // 125 packets of 1000 bytes in UDP, IPv6 and Ethernet.
    assert_eq!(policed(&mut domain, wanted("a-west", Match::Ports, TunnelType::Mpls)), BitRate(125 * 1062 * 8));
    let sites = SessionRequest { matching: Match::Sites, ..request("a-east", "a-west", MEGA) };
    assert_eq!(policed(&mut domain, sites), BitRate(125 * 1062 * 8), "between sites it may be IPv6, whatever the ends are");
    let v4 = request("a-east", "a-west", MEGA);
    assert_eq!(policed(&mut domain, v4), BitRate(125 * 1042 * 8));
}

#[test]
fn both_ends_speak_one_version() {
    let mut domain = dual();
    let (session, refused) = {
        let admission = domain.request(wanted("a-west", Match::Ports, TunnelType::Mpls), at(0)).unwrap();
        let _facts = (domain.programmed(admission.session).unwrap(), domain.ringing(admission.session).unwrap());
        let answer = Answer { media: vec![Some(end("10.2.0.7", 6000))] };
        (admission.session, domain.answered(admission.session, &answer, at(1)).unwrap_err())
    };
    let why = "not acceptable: a medium is of IPv6 in the offer and of IPv4 in the answer";
    assert_eq!(refused, AnswerError::Refused(Refusal::NotAcceptable(why.trim_start_matches("not acceptable: ").into())));
    let _over = finish(&mut domain, session, Cause::Caller, 9);
    // Behind a-lab there is IPv4 only.
    let mut spec = with_ipv6(spec());
    spec.attachments[3].router = "pe3".into();
    let mut domain = Domain::new(Network::build(spec).unwrap()).unwrap();
    let refused = domain.request(wanted("a-lab", Match::Hosts, TunnelType::Mpls), at(0)).unwrap_err();
    assert_eq!(refused.to_string(), "not acceptable: a medium is of IPv6, and nothing behind CE a-lab is");
    let mut spec = with_ipv6(crate::testing::spec());
    spec.attachments[0].prefixes.retain(|prefix| prefix.addr().is_ipv6());
    spec.attachments[1].prefixes.retain(|prefix| prefix.addr().is_ipv4());
    let mut domain = Domain::new(Network::build(spec).unwrap()).unwrap();
    let refused = domain.request(wanted("a-west", Match::Sites, TunnelType::Mpls), at(0)).unwrap_err();
    assert_eq!(refused.to_string(), "not acceptable: CE a-east and CE a-west have no version of IP in common");
}

#[test]
fn a_pe_has_routes_of_both_and_answers_arp_itself() {
    let domain = dual();
    let pe1 = id(&domain, "pe1");
    let entries: Vec<_> = domain.expected_entries(pe1).collect();
    let count = |which: fn(&Entry) -> bool| entries.iter().filter(|entry| which(entry)).count();
    assert_eq!(count(|entry| matches!(entry, Entry::RouteV6(_))), 1);
    assert_eq!(count(|entry| matches!(entry, Entry::RouteV4(_))), 4);
    assert_eq!(count(|entry| matches!(entry, Entry::ArpResponder(_))), 3, "neighbour discovery is the gateway's");
}
