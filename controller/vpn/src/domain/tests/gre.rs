//! Sessions over GRE.

use super::forwarding::{Arrival, Provider, circuit, udp};
use super::*;
use crate::encapsulation::Encapsulation;
use crate::request::{Refusal, TunnelType};
use crate::testing::{MEGA, end, nni, request, spec};

const HERE: (&str, u16) = ("10.1.0.5", 5004);

fn wanted(to: &str, rate: u64) -> SessionRequest {
    SessionRequest { tunnel: TunnelType::Gre, ..request("a-east", to, rate) }
}

/// A session of a rate from a port of its own, and the names of the links it takes.
fn established(provider: &mut Provider, rate: u64, port: u16) -> Vec<String> {
    let mut wanted = wanted("a-west", rate);
    wanted.media[0].caller.port = port;
    let (_, steps) = establish(&mut provider.domain, wanted, &Answer { media: vec![Some(end("10.2.0.7", port))] });
    provider.write(&steps);
    taken_by(provider, port)
}

fn taken_by(provider: &mut Provider, port: u16) -> Vec<String> {
    let [east, west] = ["a-east", "a-west"].map(|ce| circuit(&provider.domain, ce));
    let [there, arrived] = [(east.mac, east.ce_mac, 64), (west.ce_mac, west.mac, 62)]
        .map(|(to, from, ttl)| udp(to, from, (HERE.0, port), ("10.2.0.7", port), ttl));
    assert_eq!(provider.send(&east, &there), Arrival::At { ce: "a-west".into(), frame: arrived, hops: 3 });
    provider.crossed.iter().map(|(link, _)| link.clone()).collect()
}

#[test]
fn packets_are_mpls_in_gre_on_the_links_that_were_reserved() {
    let mut provider = Provider::new();
    assert_eq!(established(&mut provider, 60 * MEGA, 5004), ["pe1-p1", "p1-pe2"]);
    for (_, frame) in &provider.crossed {
        // 14 bytes of Ethernet, then IPv4 without options: don't fragment, protocol 47, from the one to the other; GRE with MPLS.
        assert_eq!((&frame[12..15], frame[20], frame[23]), (&[8, 0, 0x45][..], 0x40, 47));
        assert_eq!((&frame[26..30], &frame[30..34]), (&[192, 0, 2, 17][..], &[192, 0, 2, 34][..]));
        assert_eq!(&frame[34..38], [0, 0, 0x88, 0x47]);
        assert_eq!(frame.len(), 14 + 28 + 128);
    }
    // The other way to the same PE, where there is room still: both go on beside each other.
    assert_eq!(established(&mut provider, 60 * MEGA, 5006), ["pe1-p2", "p2-pe2"]);
    assert_eq!(taken_by(&mut provider, 5004), ["pe1-p1", "p1-pe2"]);
    let full = provider.domain.request(wanted("a-west", 60 * MEGA), at(2)).unwrap_err();
    assert!(matches!(full, Refusal::NoBandwidth { .. }), "{full}");
}

#[test]
fn over_ipv6_where_both_have_that() {
    let mut provider = Provider::new();
    let [east, south] = ["a-east", "a-south"].map(|ce| circuit(&provider.domain, ce));
    let (_, steps) = establish(&mut provider.domain, wanted("a-south", MEGA), &Answer { media: vec![Some(end("10.3.0.9", 9))] });
    provider.write(&steps);
    let [there, arrived] =
        [(east.mac, east.ce_mac, 64), (south.ce_mac, south.mac, 62)].map(|(to, from, ttl)| udp(to, from, HERE, ("10.3.0.9", 9), ttl));
    assert_eq!(provider.send(&east, &there), Arrival::At { ce: "a-south".into(), frame: arrived, hops: 2 });
    let (link, frame) = &provider.crossed[0];
    // Version 6, and the DSCP of class 5.
    assert_eq!((link.as_str(), &frame[12..15], frame[20], frame.len()), ("pe1-pe3", &[0x86, 0xdd, 0x6a][..], 47, 14 + 48 + 128));
}

#[test]
fn what_is_reserved_counts_what_is_put_before_packets() {
    let mut domain = domain();
    let link = crate::topology::DirectedLinkId(0);
    let moment = Interval::new(at(5), Some(at(6))).unwrap();
    let before = domain.calendar().available(link, moment);
    // 125 packets of 1000 bytes above UDP in a second: 1042 in the frame, and 28 on the link.
    let (session, _) = establish(&mut domain, wanted("a-west", MEGA), &Answer { media: vec![Some(end("10.2.0.7", 6000))] });
    assert_eq!(domain.terms(session).unwrap().policed, BitRate(125 * 1042 * 8));
    assert_eq!(before.0 - domain.calendar().available(link, moment).0, 125 * 1070 * 8);
}

#[test]
fn sessions_of_all_vpns_share_a_tunnel_and_the_last_takes_it_away() {
    let mut domain = domain();
    let untouched = taken(&domain);
    let answer = |port| Answer { media: vec![Some(end("10.2.0.7", port))] };
    let other = |mut wanted: SessionRequest| {
        (wanted.caller.vpn.0, wanted.callee.vpn.0) = ("vpn-b".into(), "vpn-b".into());
        (wanted.caller_ce.0, wanted.callee_ce.0) = ("b-east".into(), "b-west".into());
        wanted
    };
    let (first, _) = establish(&mut domain, wanted("a-west", MEGA), &answer(6000));
    let (second, steps) = establish(&mut domain, other(wanted("a-west", MEGA)), &answer(6000));
    assert!(steps.iter().flat_map(|step| &step.updates).all(|update| !matches!(update, Update::Insert(Entry::GreIngressV4(_)))));
    assert_eq!(domain.terms(first).unwrap().tunnels, domain.terms(second).unwrap().tunnels);
    assert_ne!(domain.terms(first).unwrap().labels, domain.terms(second).unwrap().labels);
    for session in [first, second] {
        let _over = finish(&mut domain, session, Cause::Caller, 9);
    }
    assert_eq!(taken(&domain), untouched);
}

#[test]
fn where_it_cannot_be_it_is_said_why() {
    let refused = |domain: &mut Domain, from: &str, to: &str| {
        let mut wanted = SessionRequest { tunnel: TunnelType::Gre, ..request(from, to, MEGA) };
        if from == "n-abroad" {
            wanted.media[0].caller = end("10.8.0.5", 5004);
        }
        domain.request(wanted, at(0)).unwrap_err().to_string()
    };
    let families =
        "not acceptable: tunnel=gre is not possible: routers pe2 and pe3 have addresses for it of different families: ask for tunnel=mpls";
    assert_eq!(refused(&mut domain(), "a-west", "a-south"), families);
    let mut bare = spec();
    bare.routers[3].gre.clear();
    bare.nnis.push(nni("n-abroad", ("pe3", 13), 40 * MEGA, "10.8.0.0/24"));
    let mut bare = Domain::new(Network::build(bare).unwrap()).unwrap();
    let addresses = "not acceptable: tunnel=gre is not possible: router pe2 has no addresses for it: ask for tunnel=mpls";
    assert_eq!(refused(&mut bare, "a-east", "a-west"), addresses);
    for (from, to) in [("a-east", "n-abroad"), ("n-abroad", "a-east")] {
        assert!(refused(&mut bare, from, to).contains("tunnel=gre does not reach another provider"));
    }
}

#[test]
fn each_path_has_an_address_and_when_there_is_none_left_it_is_said() {
    let mut spec = spec();
    // Room for the end of one path.
    spec.routers[3].gre = vec!["192.0.2.32/30".parse().unwrap()];
    let mut domain = Domain::new(Network::build(spec).unwrap()).unwrap();
    let (_, _) = establish(&mut domain, wanted("a-west", 60 * MEGA), &Answer { media: vec![Some(end("10.2.0.7", 6000))] });
    let before = taken(&domain);
    // It would have to take the other path.
    let refused = domain.request(wanted("a-west", 60 * MEGA), at(1)).unwrap_err();
    assert_eq!(refused.to_string(), "temporarily unavailable: router pe2 has no free GRE address number");
    assert_eq!(taken(&domain), before);
}

#[test]
fn a_tunnel_outlives_the_gateway_but_not_its_addresses() {
    let mut domain = domain();
    let (session, _) = establish(&mut domain, wanted("a-west", MEGA), &Answer { media: vec![Some(end("10.2.0.7", 6000))] });
    let record = domain.record(&domain.sessions[&session]);
    let tunnels = domain.tunnels.all().map(|(ingress, id, tunnel)| domain.tunnel_record(ingress, id, tunnel));
    let facts: Vec<_> = tunnels.map(Fact::Tunnel).chain([Fact::Session(Box::new(record))]).collect();
    let facts = || serde_json::from_str::<Vec<Fact>>(&serde_json::to_string(&facts).unwrap()).unwrap();
    let (again, restored) = Domain::restore(network(), facts(), at(2)).unwrap();
    assert_eq!((restored.lost, &again.tunnels), (Vec::new(), &domain.tunnels));
    for (router, _) in again.network().routers() {
        assert!(again.expected_entries(router).eq(domain.expected_entries(router)));
    }
    for router in [0, 3] {
        let mut spec = spec();
        spec.routers[router].gre.clear();
        let network = Network::build(spec).unwrap();
        let untouched = taken(&Domain::new(network.clone()).unwrap());
        let (without, restored) = Domain::restore(network, facts(), at(2)).unwrap();
        assert_eq!(restored.lost.len(), 1);
        assert_eq!(taken(&without), untouched);
    }
}

#[test]
fn the_way_there_is_the_way_back() {
    let network = network();
    let [pe1, pe2, pe3] = [0, 3, 4].map(RouterId);
    for (ends, expected) in [([pe1, pe2], Some(Encapsulation::GreV4)), ([pe1, pe3], Some(Encapsulation::GreV6)), ([pe2, pe3], None)] {
        assert_eq!(network.encapsulation(TunnelType::Gre, ends[0], ends[1]), expected);
        assert_eq!(network.encapsulation(TunnelType::Gre, ends[1], ends[0]), expected);
    }
    assert_eq!(network.encapsulation(TunnelType::Mpls, pe2, pe3), Some(Encapsulation::Mpls));
}
