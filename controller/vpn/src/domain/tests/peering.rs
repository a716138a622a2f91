//! Two providers with a link between them: every router is the contract's own oracle.

use std::time::Duration;

use svpn_contract::oracle::{Oracle, Outcome};
use svpn_contract::wire::{Label, MacAddr, PortId};

use super::forwarding::udp;
use super::*;
use crate::network::{Circuit, NetworkSpec};
use crate::testing::{MEGA, application, attachment, end, nni, request, spec};

const NNI_PORT: u16 = 13;

/// A provider's network, and what its domain says of it.
struct Provider {
    domain: Domain,
    routers: Vec<Oracle>,
    nni: RouterId,
}

impl Provider {
    fn new(spec: NetworkSpec) -> Self {
        let domain = Domain::new(Network::build(spec).unwrap()).unwrap();
        let ports = || (0..=20).map(|number| PortId::new(number).unwrap());
        let routers = domain.network().routers().map(|_| Oracle::new(ports())).collect();
        let nni = domain.network().nnis()[0].border;
        let mut provider = Self { domain, routers, nni };
        let base = provider.domain.base_plan();
        provider.write(&base);
        provider
    }

    fn write(&mut self, steps: &[Step]) {
        for update in steps.iter().flat_map(|step| step.updates.iter().map(move |update| (step.router, update))) {
            self.routers[update.0.index()].apply(update.1).unwrap();
        }
    }

    fn circuit(&self, ce: &str) -> Circuit {
        self.domain.network().circuits().iter().find(|circuit| circuit.ce.0 == ce).unwrap().clone()
    }

    /// From a port of a router to where it leaves the network; `None` if it is dropped.
    fn pass(&mut self, (mut router, mut port): (RouterId, PortId), mut frame: Vec<u8>) -> Option<((RouterId, PortId), Vec<u8>)> {
        for _ in 0..10 {
            let Outcome::Sent { port: leaves, frame: sent } = self.routers[router.index()].process(port, &frame, Duration::ZERO) else {
                return None;
            };
            let network = self.domain.network();
            let over = network.topology().links().find(|(_, link)| (link.from, link.port) == (router, leaves));
            match over.filter(|(_, link)| network.is_own(link.to)) {
                None => return Some(((router, leaves), sent)),
                Some((id, link)) => (router, port, frame) = (link.to, network.topology().link(id.reverse()).port, sent),
            }
        }
        panic!("the frame goes round in circles");
    }

    /// Takes what a domain asks for, and the callee's ringing.
    fn reserve(&mut self, request: SessionRequest) -> (SessionNumber, Label) {
        let admission = self.domain.request(request, at(0)).unwrap();
        self.write(&admission.effects.steps);
        let _facts = (self.domain.programmed(admission.session).unwrap(), self.domain.ringing(admission.session).unwrap());
        (admission.session, {
            let mapping = admission.terms.mapping.unwrap();
            assert_eq!(mapping.nni.0, "n-link");
            mapping.label
        })
    }

    fn finish(&mut self, session: SessionNumber) {
        let (_, steps) = finish(&mut self.domain, session, Cause::Caller, 9);
        self.write(&steps);
    }

    fn entries(&self) -> Vec<BTreeMap<EntryKey, Entry>> {
        self.routers.iter().map(|router| router.entries().map(|entry| (entry.key(), entry.clone())).collect()).collect()
    }
}

/// What leaves one provider by its link is with the other.
fn across(from: &mut Provider, to: &mut Provider, start: (RouterId, PortId), frame: &[u8]) -> (Vec<u8>, Option<Vec<u8>>) {
    let port = PortId::new(NNI_PORT).unwrap();
    let (left, on_the_link) = from.pass(start, frame.to_vec()).unwrap();
    assert_eq!(left, (from.nni, port));
    let start = (to.nni, port);
    let arrived = to.pass(start, on_the_link.clone()).map(|(_, frame)| frame);
    (on_the_link, arrived)
}

/// The provider with the MAC addresses of its side of the link.
fn provider(mut spec: NetworkSpec, border: &str, macs: [MacAddr; 2], beyond: &str) -> Provider {
    let mut link = nni("n-link", (border, NNI_PORT), 40 * MEGA, beyond);
    [link.mac, link.peer_mac] = macs;
    spec.nnis.push(link);
    Provider::new(spec)
}

fn request_from(caller_ce: &str, callee_ce: &str) -> SessionRequest {
    SessionRequest { callee_ce: crate::request::CeName(callee_ce.into()), ..request(caller_ce, callee_ce, MEGA) }
}

/// The only label of a frame on the link, and that it is the only one.
fn only_label(frame: &[u8]) -> u32 {
    assert_eq!(frame[12..14], [0x88, 0x47]);
    let entry = u32::from_be_bytes(frame[14..18].try_into().unwrap());
    assert_eq!(entry >> 8 & 1, 1, "one label is the whole stack");
    entry >> 12
}

#[test]
fn a_session_crosses_two_providers_by_one_label_each_way() {
    let macs = [MacAddr([2, 0, 0, 0, 9, 1]), MacAddr([2, 0, 0, 0, 9, 2])];
    // The caller's PE at two links from its border router, at one, and both in one; the callee's likewise.
    for (near, far) in [("pe2", "pe1"), ("p1", "p1"), ("pe1", "pe2")] {
        let mut here = provider(spec(), near, macs, "10.50.0.0/24");
        let mut abroad = spec();
        abroad.attachments = vec![attachment("a-abroad", "vpn-a", ("pe2", 1, 0), &["10.50.0.0/24"])];
        let mut there = provider(abroad, far, [macs[1], macs[0]], "10.1.0.0/24");
        let (before_here, before_there) = (here.entries(), there.entries());
        let (east, abroad) = (here.circuit("a-east"), there.circuit("a-abroad"));

        let (ours, our_label) = here.reserve(request_from("a-east", "n-link"));
        let (theirs, their_label) = there.reserve(request_from("n-link", "a-abroad"));
        let mapped = here.domain.mapped(ours, their_label).unwrap();
        here.write(&mapped.steps);
        let mapped = there.domain.mapped(theirs, our_label).unwrap();
        there.write(&mapped.steps);
        let answer = Answer { media: vec![Some(end("10.50.0.7", 6000))] };
        for (provider, session) in [(&mut here, ours), (&mut there, theirs)] {
            let answered = provider.domain.answered(session, &answer, at(1)).unwrap();
            provider.write(&answered.effects.steps);
        }

        let sent = udp(east.mac, east.ce_mac, ("10.1.0.5", 5004), ("10.50.0.7", 6000), 64);
        let (link, arrived) = across(&mut here, &mut there, (east.router, east.port), &sent);
        assert_eq!(only_label(&link), their_label.get());
        let arrived = arrived.expect("it arrives");
        assert_eq!((&arrived[..6], &arrived[26..]), (&abroad.ce_mac.0[..], &sent[26..]), "{near} {far}");
        let sent = udp(abroad.mac, abroad.ce_mac, ("10.50.0.7", 6000), ("10.1.0.5", 5004), 64);
        let (link, arrived) = across(&mut there, &mut here, (abroad.router, abroad.port), &sent);
        assert_eq!(only_label(&link), our_label.get());
        let arrived = arrived.expect("it comes back");
        assert_eq!((&arrived[..6], &arrived[26..]), (&east.ce_mac.0[..], &sent[26..]));

        // Each provider polices what its own customer sends, and counts that.
        let release = there.domain.released(theirs, Cause::Caller, at(8)).unwrap();
        assert_eq!(release.summary.counted_at, [(Direction::FromCallee, abroad.router)]);
        there.write(&release.effects.steps);
        let clear = there.domain.settled(theirs, Carried::default()).unwrap();
        there.write(&clear.steps);
        here.finish(ours);
        assert_eq!((here.entries(), there.entries()), (before_here, before_there));
        let port = PortId::new(NNI_PORT).unwrap();
        assert_eq!(here.pass((here.nni, port), link), None, "the label is nobody's any more");
    }
}

#[test]
fn the_link_is_reserved_on_and_the_peer_pays() {
    let mut here = provider(spec(), "pe2", [MacAddr([2, 0, 0, 0, 9, 1]), MacAddr([2, 0, 0, 0, 9, 2])], "10.50.0.0/24").domain;
    let mut wide = request_from("a-east", "n-link");
    wide.media[0].bandwidth = crate::testing::medium(wide.media[0].caller, 30 * MEGA, Direction::Both).bandwidth;
    here.request(wide.clone(), at(0)).unwrap();
    let Err(crate::request::Refusal::NoBandwidth { link, .. }) = here.request(wide.clone(), at(0)) else { panic!("there is room for one") };
    assert_eq!(link, "n-link");
    let before = taken(&here);
    assert!(here.request(wide, at(0)).is_err());
    assert_eq!(taken(&here), before, "a refusal takes no label");

    assert!(!here.network().has_ce(&crate::request::CeName("n-link".into())), "nobody registers at what is another provider's");
    // Whoever calls from there is not known here by name; the contract is the peer's.
    let mut inward = request_from("n-link", "a-east");
    inward.caller = application("nobody-here-knows", "vpn-a");
    inward.media[0].caller = end("10.50.0.7", 5004);
    let admitted = here.request(inward.clone(), at(0)).unwrap();
    assert_eq!(finish(&mut here, admitted.session, Cause::Caller, 1).0.contract, "gold");
    inward.media[0].caller = end("10.51.0.7", 5004);
    assert!(matches!(here.request(inward.clone(), at(0)), Err(crate::request::Refusal::Forbidden(_))), "an address that is not there");
    inward.media[0].caller = end("10.50.0.7", 5004);
    inward.callee_ce.0 = "n-link".into();
    assert!(matches!(here.request(inward, at(0)), Err(crate::request::Refusal::Forbidden(_))), "nothing is passed on");
}

#[test]
fn a_label_stays_when_the_tunnel_moves() {
    let mut here = provider(spec(), "pe2", [MacAddr([2, 0, 0, 0, 9, 1]), MacAddr([2, 0, 0, 0, 9, 2])], "10.50.0.0/24");
    let (session, label) = here.reserve(request_from("a-east", "n-link"));
    let mapped = here.domain.mapped(session, Label::new(777).unwrap()).unwrap();
    here.write(&mapped.steps);
    let answered = here.domain.answered(session, &Answer { media: vec![Some(end("10.50.0.7", 6000))] }, at(1)).unwrap();
    here.write(&answered.effects.steps);
    let east = here.circuit("a-east");
    let frame = |label: Label| {
        let mut frame = udp(MacAddr([2, 0, 0, 0, 9, 1]), MacAddr([2, 0, 0, 0, 9, 2]), ("10.50.0.7", 6000), ("10.1.0.5", 5004), 64);
        frame[12..14].copy_from_slice(&[0x88, 0x47]);
        frame.splice(14..14, (label.get() << 12 | 1 << 8 | 64).to_be_bytes());
        frame
    };
    let start = (here.nni, PortId::new(NNI_PORT).unwrap());
    let (place, _) = here.pass(start, frame(label)).unwrap();
    assert_eq!(place, (east.router, east.port));
    // pe1-p1 fails: over p2, and no step in between loses what arrives.
    let link = crate::topology::LinkId(0);
    let mut state = here.domain.network().topology().state(link);
    state.administration = crate::topology::Administration::Drained;
    let rerouted = here.domain.link_changed(link, state, at(2));
    assert!(!rerouted.effects.steps.is_empty());
    for step in rerouted.effects.steps {
        for update in step.updates {
            here.write(&[Step { router: step.router, updates: vec![update] }]);
            assert_eq!(here.pass(start, frame(label)).map(|(place, _)| place), Some((east.router, east.port)));
        }
    }
    assert_eq!(here.domain.terms(session).unwrap().mapping.unwrap().label, label);
    // The link to the peer fails: there is no other way.
    let link = here.domain.network().topology().link_named("n-link").unwrap();
    let mut state = here.domain.network().topology().state(link);
    state.operation = crate::topology::Operation::Down;
    let rerouted = here.domain.link_changed(link, state, at(3));
    assert_eq!(rerouted.ended.iter().map(|summary| (summary.session, summary.cause)).collect::<Vec<_>>(), [(session, Cause::Network)]);
}
