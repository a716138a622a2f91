//! Plans, run: every router is the contract's own oracle.

use std::net::Ipv4Addr;
use std::time::Duration;

use svpn_contract::Reason;
use svpn_contract::oracle::{Oracle, Outcome};
use svpn_contract::wire::{MacAddr, PortId};

use super::*;
use crate::network::Circuit;
use crate::request::{Match, TunnelType};
use crate::testing::{MEGA, end, request};

/// The provider's network, and what its domain says of it.
pub(super) struct Provider {
    pub(super) domain: Domain,
    pub(super) routers: Vec<Oracle>,
    /// What crossed links since the last frame was sent: the link's name, and the frame.
    pub(super) crossed: Vec<(String, Vec<u8>)>,
}

/// Where a frame came out, or why it did not.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Arrival {
    At { ce: String, frame: Vec<u8>, hops: usize },
    Dropped { router: String, reason: Reason },
}

impl Provider {
    pub(super) fn new() -> Self {
        Self::of(domain())
    }

    pub(super) fn of(domain: Domain) -> Self {
        let ports = || (0..=20).map(|number| PortId::new(number).unwrap());
        let routers = domain.network().routers().map(|_| Oracle::new(ports())).collect();
        let mut provider = Self { domain, routers, crossed: Vec::new() };
        let base = provider.domain.base_plan();
        provider.write(&base);
        provider
    }

    pub(super) fn write(&mut self, steps: &[Step]) {
        for step in steps {
            for update in &step.updates {
                self.routers[step.router.index()].apply(update).unwrap();
            }
        }
    }

    /// A frame leaves a CE and goes from router to router.
    pub(super) fn send(&mut self, from: &Circuit, frame: &[u8]) -> Arrival {
        self.crossed.clear();
        let network = self.domain.network();
        let (mut router, mut port, mut frame) = (from.router, from.port, frame.to_vec());
        for hops in 1..10 {
            match self.routers[router.index()].process(port, &frame, Duration::ZERO) {
                Outcome::Sent { port: leaves, frame: sent } => {
                    let over = network.topology().links().find(|(_, link)| (link.from, link.port) == (router, leaves));
                    let Some((id, link)) = over else {
                        let circuit = network.circuits().iter().find(|circuit| (circuit.router, circuit.port) == (router, leaves)).unwrap();
                        return Arrival::At { ce: circuit.ce.0.clone(), frame: sent, hops };
                    };
                    self.crossed.push((link.name.clone(), sent.clone()));
                    // The other direction of a link has the neighbouring number.
                    let back = network.topology().link(crate::topology::DirectedLinkId(id.0 ^ 1));
                    (router, port, frame) = (link.to, back.port, sent);
                }
                Outcome::Dropped(reason) => return Arrival::Dropped { router: network.router(router).name.clone(), reason },
                Outcome::Punt(packet) => panic!("punted: {packet:?}"),
            }
        }
        panic!("the frame goes round in circles");
    }
}

pub(super) fn circuit(domain: &Domain, ce: &str) -> Circuit {
    domain.network().circuits().iter().find(|circuit| circuit.ce.0 == ce).unwrap().clone()
}

fn checksum(header: &[u8]) -> u16 {
    let sum: u32 = header.chunks(2).map(|pair| u32::from(u16::from_be_bytes([pair[0], pair[1]]))).sum();
    let folded = (sum & 0xffff) + (sum >> 16);
    !u16::try_from((folded & 0xffff) + (folded >> 16)).unwrap()
}

/// An untagged UDP packet of 100 bytes of payload.
pub(super) fn udp(dst_mac: MacAddr, src_mac: MacAddr, (src, sport): (&str, u16), (dst, dport): (&str, u16), ttl: u8) -> Vec<u8> {
    let [src, dst]: [Ipv4Addr; 2] = [src, dst].map(|address| address.parse().unwrap());
    let mut ip = vec![0x45, 0, 0, 128, 0, 1, 0, 0, ttl, 17, 0, 0];
    ip.extend(src.octets());
    ip.extend(dst.octets());
    let sum = checksum(&ip).to_be_bytes();
    ip[10..12].copy_from_slice(&sum);
    let mut frame = [dst_mac.0.as_slice(), &src_mac.0, &[0x08, 0x00], &ip].concat();
    for field in [sport, dport, 108, 0] {
        frame.extend(field.to_be_bytes());
    }
    frame.extend([0xab; 100]);
    frame
}

/// The frame a CE sends, and what the other one gets after three routers.
pub(super) fn exchange(from: &Circuit, to: &Circuit, src: (&str, u16), dst: (&str, u16)) -> (Vec<u8>, Vec<u8>) {
    (udp(from.mac, from.ce_mac, src, dst, 64), udp(to.ce_mac, to.mac, src, dst, 61))
}

#[test]
fn a_session_carries_its_packets_and_no_others() {
    let mut provider = Provider::new();
    let [east, west] = ["a-east", "a-west"].map(|ce| circuit(&provider.domain, ce));
    let (here, yonder) = (("10.1.0.5", 5004), ("10.2.0.7", 6000));
    let (there, arrived) = exchange(&east, &west, here, yonder);
    let (back, returned) = exchange(&west, &east, yonder, here);
    let no_route = Arrival::Dropped { router: "pe1".into(), reason: Reason::NoRoute };
    assert_eq!(provider.send(&east, &there), no_route);

    let admission = provider.domain.request(request("a-east", "a-west", MEGA), at(0)).unwrap();
    provider.write(&admission.effects.steps);
    assert_eq!(provider.send(&east, &there), no_route, "nobody answered yet");
    let _facts = (provider.domain.programmed(admission.session).unwrap(), provider.domain.ringing(admission.session).unwrap());
    let answer = Answer { media: vec![Some(end(yonder.0, yonder.1))] };
    let answered = provider.domain.answered(admission.session, &answer, at(1)).unwrap();
    provider.write(&answered.effects.steps);
    assert_eq!(provider.send(&east, &there), Arrival::At { ce: "a-west".into(), frame: arrived, hops: 3 });
    assert_eq!(provider.send(&west, &back), Arrival::At { ce: "a-east".into(), frame: returned, hops: 3 });
    let (stray, _) = exchange(&east, &west, here, (yonder.0, 6001));
    assert_eq!(provider.send(&east, &stray), no_route, "another port is not the session's");

    let release = provider.domain.released(admission.session, Cause::Caller, at(2)).unwrap();
    provider.write(&release.effects.steps);
    for (direction, router) in release.summary.counted_at {
        let key = svpn_contract::SessionKey { session: session::id(admission.session) };
        let counted = provider.routers[router.index()].direct_counter(&key.into()).unwrap();
        assert_eq!((counted.packets, counted.bytes), (1, 142), "{direction:?}");
    }
    let clear = provider.domain.settled(admission.session, Carried::default()).unwrap();
    provider.write(&clear.steps);
    assert_eq!(provider.send(&east, &there), no_route);
    let fresh = Provider::new();
    for (router, fresh) in provider.routers.iter().zip(&fresh.routers) {
        let sorted = |router: &Oracle| router.entries().map(|entry| (entry.key(), entry.clone())).collect::<BTreeMap<_, _>>();
        assert_eq!(sorted(router), sorted(fresh));
    }
}

#[test]
fn one_link_and_everything_between_hosts_or_sites() {
    for (matching, src, dst) in [(Match::Hosts, ("10.1.0.5", 1), ("10.3.0.9", 2)), (Match::Sites, ("10.9.1.200", 1), ("10.3.0.77", 2))] {
        let mut provider = Provider::new();
        let [east, south] = ["a-east", "a-south"].map(|ce| circuit(&provider.domain, ce));
        let mut wanted = request("a-east", "a-south", MEGA);
        wanted.matching = matching;
        let (_, steps) = establish(&mut provider.domain, wanted, &Answer { media: vec![Some(end("10.3.0.9", 9))] });
        provider.write(&steps);
        let there = udp(east.mac, east.ce_mac, src, dst, 64);
        let arrived = udp(south.ce_mac, south.mac, src, dst, 62);
        assert_eq!(provider.send(&east, &there), Arrival::At { ce: "a-south".into(), frame: arrived, hops: 2 });
    }
}

#[test]
fn a_session_moves_without_losing_a_packet() {
    // What the core takes of TTL: all its routers, or those at the ends of GRE.
    for (tunnel, ttl) in [(TunnelType::Mpls, 61), (TunnelType::Gre, 62)] {
        moves_without_losing_a_packet(tunnel, ttl);
    }
}

fn moves_without_losing_a_packet(tunnel: TunnelType, ttl: u8) {
    let request = |from: &str, to: &str, rate| SessionRequest { tunnel, ..request(from, to, rate) };
    let mut provider = Provider::new();
    let [east, west] = ["a-east", "a-west"].map(|ce| circuit(&provider.domain, ce));
    let (here, yonder) = (("10.1.0.5", 5004), ("10.2.0.7", 6000));
    let answer = Answer { media: vec![Some(end(yonder.0, yonder.1))] };
    let (session, steps) = establish(&mut provider.domain, request("a-east", "a-west", MEGA), &answer);
    provider.write(&steps);
    let there = udp(east.mac, east.ce_mac, here, yonder, 64);
    let arrived = udp(west.ce_mac, west.mac, here, yonder, ttl);
    let expected = Arrival::At { ce: "a-west".into(), frame: arrived, hops: 3 };
    let between = |provider: &mut Provider, steps: Vec<Step>| {
        for step in steps {
            for update in step.updates {
                provider.write(&[Step { router: step.router, updates: vec![update] }]);
                assert_eq!(provider.send(&east, &there), expected);
            }
        }
    };
    let primary = |provider: &Provider| provider.domain.sessions[&session].legs[0].as_ref().unwrap().route.primary.clone();
    // By hand: a drained link carries what is under way.
    let before = primary(&provider);
    let link = crate::topology::LinkId(0);
    let mut state = provider.domain.network().topology().state(link);
    state.administration = crate::topology::Administration::Drained;
    let rerouted = provider.domain.link_changed(link, state, at(2));
    between(&mut provider, rerouted.effects.steps);
    assert!(primary(&provider) != before);
    // By a change in service that needs another way: one more session fills the one it has.
    let mut filler = request("a-east", "a-west", 90 * MEGA);
    filler.media[0].caller.port = 7000;
    let (_, steps) = establish(&mut provider.domain, filler, &Answer { media: vec![Some(end(yonder.0, 7000))] });
    between(&mut provider, steps);
    state.administration = crate::topology::Administration::InService;
    let rerouted = provider.domain.link_changed(link, state, at(3));
    between(&mut provider, rerouted.effects.steps);
    let before = primary(&provider);
    let media = request("a-east", "a-west", 15 * MEGA).media;
    let window = crate::request::Window { start: None, stop: None };
    let proposed = provider.domain.propose(session, Proposal { media, class: None, window, mover: None }, at(4)).unwrap();
    assert!(proposed.effects.steps.is_empty());
    let answered = provider.domain.confirm(session, &answer, at(5)).unwrap();
    between(&mut provider, answered.effects.steps);
    assert!(primary(&provider) != before);
    assert_eq!(provider.domain.terms(session).unwrap().policed, BitRate(1875 * 1042 * 8));
}
