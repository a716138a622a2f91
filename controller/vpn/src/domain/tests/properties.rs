use proptest::prelude::*;

use super::*;
use crate::request::{CeName, Match, MediaEnd};
use crate::testing::{MEGA, end, medium, request};

const SITES: [(&str, &str); 3] = [("a-east", "10.1.0"), ("a-west", "10.2.0"), ("a-south", "10.3.0")];

#[derive(Debug, Clone)]
enum Operation {
    Request {
        from: usize,
        to: usize,
        rates: Vec<(u64, Direction)>,
        matching: Match,
        stop: Option<u64>,
    },
    /// Moves a session on, whatever comes next for it; the callee's answer takes the media of these bits.
    Proceed {
        which: usize,
        host: u8,
        media: u8,
    },
    Fail(usize),
    Release(usize),
    Wait(u64),
}

fn operation() -> impl Strategy<Value = Operation> {
    let direction = prop::sample::select(vec![Direction::Both, Direction::FromCaller, Direction::FromCallee]);
    let matching = prop::sample::select(vec![Match::Ports, Match::Hosts, Match::Sites]);
    let rates = prop::collection::vec((1..20 * MEGA, direction), 1..3);
    let stop = prop::option::of(1..100_u64);
    let request = (0..3_usize, 1..3_usize, rates, matching, stop);
    prop_oneof![
        5 => request.prop_map(|(from, step, rates, matching, stop)| Operation::Request { from, to: (from + step) % 3, rates, matching, stop }),
        10 => (any::<usize>(), 1..3_u8, any::<u8>()).prop_map(|(which, host, media)| Operation::Proceed { which, host, media }),
        1 => any::<usize>().prop_map(Operation::Fail),
        2 => any::<usize>().prop_map(Operation::Release),
        1 => (0..20_u64).prop_map(Operation::Wait),
    ]
}

/// A domain, routers that do what it says, and the sessions it let in.
struct World {
    domain: Domain,
    routers: Routers,
    live: Vec<(SessionNumber, SessionRequest)>,
    now: u64,
}

impl World {
    fn new() -> Self {
        let domain = domain();
        let mut routers = Routers::default();
        routers.write(&domain.base_plan());
        Self { domain, routers, live: Vec::new(), now: 0 }
    }

    fn request(&mut self, from: usize, to: usize, rates: &[(u64, Direction)], matching: Match, stop: Option<u64>) {
        let ((ce, net), (callee_ce, _)) = (SITES[from], SITES[to]);
        let mut wanted = request(ce, callee_ce, MEGA);
        let caller = |port| end(&format!("{net}.5"), port);
        wanted.media = (5004..).zip(rates).map(|(port, &(rate, direction))| medium(caller(port), rate, direction)).collect();
        (wanted.matching, wanted.callee_ce) = (matching, CeName(callee_ce.into()));
        wanted.window.stop = stop.map(|stop| at(self.now + stop));
        let before = taken(&self.domain);
        match self.domain.request(wanted.clone(), at(self.now)) {
            Ok(admission) => {
                self.routers.write(&admission.steps);
                self.live.push((admission.session, wanted));
            }
            Err(_) => assert_eq!(taken(&self.domain), before, "a refusal leaves nothing behind"),
        }
    }

    fn proceed(&mut self, which: usize, host: u8, media: u8) {
        let Some((session, request)) = self.live.get(which % self.live.len().max(1)) else { return };
        let state = self.domain.sessions().find(|(number, _)| number == session).unwrap().1;
        match state {
            State::Reserved => self.domain.programmed(*session).unwrap(),
            State::Programmed => self.domain.ringing(*session).unwrap(),
            State::Inviting => {
                let net = SITES.iter().find(|(ce, _)| *ce == request.callee_ce.0).unwrap().1;
                let callee = |index: usize| -> Option<MediaEnd> {
                    (media >> index & 1 == 1).then(|| end(&format!("{net}.{host}"), 6000 + u16::try_from(index).unwrap()))
                };
                let answer = Answer { media: (0..request.media.len()).map(callee).collect() };
                let before = taken(&self.domain);
                match self.domain.answered(*session, &answer, at(self.now)) {
                    Ok((_, steps)) => self.routers.write(&steps),
                    Err(_) => assert_eq!(taken(&self.domain), before, "a refusal changes nothing"),
                }
            }
            state => assert_eq!(state, State::Established),
        }
    }

    fn remove(&mut self, which: usize) -> Option<SessionNumber> {
        (!self.live.is_empty()).then(|| self.live.swap_remove(which % self.live.len()).0)
    }

    fn release(&mut self, session: SessionNumber) {
        let release = self.domain.released(session, Cause::Caller, at(self.now)).unwrap();
        self.routers.write(&release.stop);
        self.routers.write(&release.clear);
    }

    fn run(&mut self, operation: Operation) {
        match operation {
            Operation::Request { from, to, rates, matching, stop } => self.request(from, to, &rates, matching, stop),
            Operation::Proceed { which, host, media } => self.proceed(which, host, media),
            Operation::Fail(which) => {
                if let Some(session) = self.remove(which) {
                    let undo = self.domain.programming_failed(session).unwrap();
                    self.routers.write(&undo);
                }
            }
            Operation::Release(which) => {
                if let Some(session) = self.remove(which) {
                    self.release(session);
                }
            }
            Operation::Wait(seconds) => {
                self.now += seconds;
                for session in self.domain.expired(at(self.now)).collect::<Vec<_>>() {
                    self.live.retain(|(live, _)| *live != session);
                    self.release(session);
                }
            }
        }
    }

    /// What holds at every moment.
    fn check(&self) {
        assert_eq!(self.routers, Routers::expect(&self.domain), "routers hold what is expected of them");
        self.check_links();
        self.check_references();
    }

    /// What the sessions need of each link, told from the sessions alone, is what is not free, and never more than there is.
    fn check_links(&self) {
        let now = Interval::new(at(self.now), Some(at(self.now + 1))).unwrap();
        for (id, link) in self.domain.network().topology().links() {
            let legs = self.domain.sessions.values().flat_map(|session| session.legs.iter().zip(session.demands));
            let riding = legs.filter_map(|(leg, demand)| Some((leg.as_ref()?, demand?))).filter(|(leg, _)| leg.path.links().contains(&id));
            let load: u64 = riding.map(|(leg, demand)| demand.on_link(leg.path.labels()).0).sum();
            assert!(load <= link.capacity.0, "link {} is over-committed", link.name);
            assert_eq!(self.domain.calendar().available(id, now), BitRate(link.capacity.0 - load));
        }
    }

    /// Whatever an entry names is there: sessions of flows, tunnels of sessions, labels and next hops of tunnels.
    fn check_references(&self) {
        let (network, mut used) = (self.domain.network(), self.domain.numbers.used());
        let key = |router: RouterId, key: EntryKey| self.domain.tables.get(router, &key).is_some();
        for (router, _) in network.routers() {
            for entry in self.domain.expected_entries(router) {
                match entry {
                    Entry::FlowV4(flow) => {
                        let svpn_contract::FlowV4Action::Assign { session } = flow.action;
                        assert!(key(router, svpn_contract::SessionKey { session }.into()));
                    }
                    Entry::FlowAclV4(flow) => {
                        let svpn_contract::FlowAclV4Action::Assign { session } = flow.action;
                        assert!(key(router, svpn_contract::SessionKey { session }.into()));
                    }
                    Entry::Session(session) => {
                        let svpn_contract::SessionAction::Carry { tunnel, .. } = session.action;
                        assert!(key(router, svpn_contract::TunnelKey { tunnel }.into()));
                    }
                    Entry::Tunnel(tunnel) => assert!(used[router.index()][1].remove(&tunnel.key.tunnel.get())),
                    Entry::Ilm(ilm) => assert!(used[router.index()][0].remove(&ilm.key.label.get())),
                    _ => {}
                }
            }
        }
        assert!(used.iter().all(|[labels, tunnels, _]| labels.is_empty() && tunnels.is_empty()), "a number is taken for nothing");
    }
}

proptest! {
    #[test]
    fn whatever_happens_nothing_is_left_behind(operations in prop::collection::vec(operation(), 1..80)) {
        let mut world = World::new();
        let untouched = taken(&world.domain);
        for operation in operations {
            world.run(operation);
            world.check();
        }
        while let Some(session) = world.remove(0) {
            world.release(session);
            world.check();
        }
        prop_assert_eq!(taken(&world.domain), untouched);
        let mut base = Routers::default();
        base.write(&world.domain.base_plan());
        prop_assert_eq!(world.routers, base);
    }
}
