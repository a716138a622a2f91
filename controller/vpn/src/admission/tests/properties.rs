use super::model::{END, Model, holds};
use super::*;
use crate::topology::Operation as Works;

#[derive(Debug, Clone)]
enum Operation {
    Reserve(Asked),
    /// Another booking of one.
    Change(usize, Asked),
    /// Both until it is settled which, then one of them.
    Settle(usize, Asked, Side),
    Cancel(usize),
    Advance(u64),
    /// A link changes; then whoever does not fit any more goes, or stays.
    Link(u32, LinkState, Remedy),
    /// Others make room.
    Oust(Asked),
}

#[derive(Debug, Clone, Copy)]
enum Side {
    Old,
    New,
}

#[derive(Debug, Clone, Copy)]
enum Remedy {
    Displace,
    Nothing,
}

#[derive(Debug, Clone)]
struct Asked {
    start: u64,
    length: Option<u64>,
    classes: Vec<u8>,
    demands: Vec<(u32, u64)>,
}

impl Asked {
    fn claim(&self) -> Claim {
        let classes: ClassSet = self.classes.iter().map(|&number| class(number)).collect();
        let demands = self.demands.iter().map(|&(link, rate)| (DirectedLinkId(link), BitRate(rate))).collect();
        Claim::new(interval(self.start, self.length.map(|length| self.start + length)), classes, demands)
    }
}

fn asked() -> impl Strategy<Value = Asked> {
    let demands = prop::collection::vec((0..4_u32, 0..60_u64), 1..4);
    (0..30_u64, prop::option::of(1..15_u64), prop::collection::vec(3..8_u8, 1..3), demands)
        .prop_map(|(start, length, classes, demands)| Asked { start, length, classes, demands })
}

fn state() -> impl Strategy<Value = LinkState> {
    let operation = prop_oneof![5 => Just(Works::Up), 1 => Just(Works::Down)];
    (operation, 0..120_u64).prop_map(|(operation, capacity)| LinkState {
        operation,
        administration: Administration::InService,
        capacity: BitRate(capacity),
    })
}

fn operation() -> impl Strategy<Value = Operation> {
    let side = prop::sample::select(vec![Side::Old, Side::New]);
    let remedy = prop::sample::select(vec![Remedy::Displace, Remedy::Nothing]);
    prop_oneof![
        6 => asked().prop_map(Operation::Reserve),
        2 => (any::<usize>(), asked()).prop_map(|(which, asked)| Operation::Change(which, asked)),
        1 => (any::<usize>(), asked(), side).prop_map(|(which, asked, side)| Operation::Settle(which, asked, side)),
        2 => any::<usize>().prop_map(Operation::Cancel),
        1 => (0..6_u64).prop_map(Operation::Advance),
        1 => (0..2_u32, state(), remedy).prop_map(|(link, state, remedy)| Operation::Link(link, state, remedy)),
        1 => asked().prop_map(Operation::Oust),
    ]
}

/// The calendar, the model, and who holds what: priority, since, booking.
struct World {
    topology: Topology,
    calendar: Calendar,
    model: Model,
    bookings: Vec<(u8, u64, Booking)>,
    done: u64,
}

impl World {
    fn new() -> Self {
        let topology = network();
        Self { calendar: Calendar::new(&topology), model: Model::new(&topology), topology, bookings: Vec::new(), done: 0 }
    }

    fn claims(&self) -> Vec<Claim> {
        self.bookings.iter().map(|(_, _, booking)| booking.claim().clone()).collect()
    }

    /// All but one.
    fn others(&self, but: usize) -> Vec<Claim> {
        let mut claims = self.claims();
        claims.remove(but);
        claims
    }

    fn which(&self, which: usize) -> Option<usize> {
        which.checked_rem(self.bookings.len())
    }

    fn run(&mut self, operation: &Operation) -> Result<(), TestCaseError> {
        self.done += 1;
        match operation {
            Operation::Reserve(asked) => self.reserve(asked),
            Operation::Change(which, asked) => self.which(*which).map_or(Ok(()), |which| self.change(which, asked)),
            Operation::Settle(which, asked, side) => self.which(*which).map_or(Ok(()), |which| self.settle(which, asked, *side)),
            Operation::Cancel(which) => {
                if let Some(which) = self.which(*which) {
                    self.calendar.cancel(self.bookings.swap_remove(which).2);
                }
                Ok(())
            }
            Operation::Advance(seconds) => {
                self.model.now += seconds;
                self.calendar.advance(at(self.model.now));
                Ok(())
            }
            Operation::Link(link, state, remedy) => self.link(LinkId(*link), *state, *remedy),
            Operation::Oust(asked) => self.oust(asked),
        }
    }

    fn keep(&mut self, booking: Booking) {
        // Some are equally important, some equally old.
        let (priority, since) = (u8::try_from(self.done % 3).unwrap(), self.done / 2);
        self.bookings.push((priority, since, booking));
    }

    fn reserve(&mut self, asked: &Asked) -> Result<(), TestCaseError> {
        let (claims, claim) = (self.claims(), asked.claim());
        let next = self.model.next_start(&claims, &claim, asked.start, asked.length);
        prop_assert_eq!(self.calendar.next_start(&claim), next.map(at), "the first start at which it fits");
        let lack = self.model.lack(&claims, &claim);
        match self.calendar.reserve(claim) {
            Ok(booking) => {
                prop_assert_eq!(lack, None);
                self.keep(booking);
                Ok(())
            }
            Err(denial) => self.denied(&claims, asked, &denial, lack),
        }
    }

    fn denied(&self, claims: &[Claim], asked: &Asked, denial: &Denial, lack: Option<(i64, DirectedLinkId)>) -> Result<(), TestCaseError> {
        let claim = asked.claim();
        prop_assert_eq!(lack, Some(((denial.asked.0 - denial.fits.0).cast_signed(), denial.link)));
        prop_assert_eq!(denial.asked, claim.on(denial.link));
        let next = self.model.next_start(claims, &claim, asked.start, asked.length);
        prop_assert_eq!(denial.next_start, next.map(at));
        // The stretch is too full throughout, in the pool that is told, and before it there is room in that pool.
        let lacks =
            |second| self.model.left(claims, denial.link, denial.pool.common(claim.classes()), second) < denial.asked.0.cast_signed();
        for second in (self.model.now..END).filter(|&second| holds(claim.interval(), second)) {
            if at(second) >= denial.interval.start() && holds(denial.interval, second) {
                prop_assert!(lacks(second), "second {} has room", second);
            }
        }
        prop_assert!(claim.interval().contains(denial.interval));
        Ok(())
    }

    fn change(&mut self, which: usize, asked: &Asked) -> Result<(), TestCaseError> {
        let (others, before) = (self.others(which), self.claims()[which].clone());
        let claim = asked.claim();
        // Where it wants no more than it has, nobody asks whether there is room.
        let more: Vec<_> = claim.demands().iter().copied().filter(|&(link, _)| !claim.within(&before, link)).collect();
        let more = Claim::new(claim.interval(), claim.classes(), more);
        let fits = self.model.lack(&others, &more).is_none();
        let booking = &mut self.bookings[which].2;
        match self.calendar.change(booking, claim.clone()) {
            Ok(()) => prop_assert!(fits && *booking.claim() == claim),
            Err(_) => prop_assert!(!fits && *booking.claim() == before),
        }
        Ok(())
    }

    fn settle(&mut self, which: usize, asked: &Asked, side: Side) -> Result<(), TestCaseError> {
        let (old, new) = (self.claims()[which].clone(), asked.claim());
        let booking = &mut self.bookings[which].2;
        if self.calendar.change(booking, old.cover(&new)).is_ok() {
            let side = match side {
                Side::Old => &old,
                Side::New => &new,
            };
            self.calendar.keep(booking, side);
            let has = booking.claim();
            prop_assert!(has.interval() == side.interval() && has.classes() == side.classes());
            prop_assert!((0..4).map(DirectedLinkId).all(|link| has.on(link) == side.on(link)));
        }
        Ok(())
    }

    fn link(&mut self, link: LinkId, state: LinkState, remedy: Remedy) -> Result<(), TestCaseError> {
        self.topology.set_state(link, state);
        let less = self.calendar.follow(&self.topology);
        for (id, _) in self.topology.links() {
            let before = std::mem::replace(&mut self.model.offers[id.index()], self.topology.offers(id));
            prop_assert_eq!(less.contains(&id), self.topology.offers(id) < before);
        }
        if let Remedy::Displace = remedy {
            self.displace()?;
        }
        Ok(())
    }

    fn over(&self, claims: &[Claim]) -> bool {
        self.model.loads(claims).iter().any(|(load, limit)| load > limit)
    }

    fn displace(&mut self) -> Result<(), TestCaseError> {
        let before = self.calendar.clone();
        let gone = self.calendar.displaced(&holders(&self.bookings));
        prop_assert!(self.calendar == before, "nothing is changed");
        let claims = self.claims();
        let without =
            |gone: &[usize]| -> Vec<_> { (0..claims.len()).filter(|key| !gone.contains(key)).map(|key| claims[key].clone()).collect() };
        prop_assert!(!self.over(&without(&gone)), "what is left fits");
        let standing = |key: usize| Standing { priority: self.bookings[key].0, since: at(self.bookings[key].1) };
        prop_assert!(gone.is_sorted_by_key(|&key| standing(key)));
        for &key in &gone {
            let fewer: Vec<_> = gone.iter().copied().filter(|&other| other != key).collect();
            prop_assert!(self.over(&without(&fewer)), "nobody goes in vain");
            for lesser in (0..claims.len()).filter(|&other| !gone.contains(&other) && standing(other) < standing(key)) {
                let instead: Vec<_> = fewer.iter().copied().chain([lesser]).collect();
                prop_assert!(self.over(&without(&instead)), "{lesser} should have gone instead of {key}");
            }
        }
        let mut keys = gone;
        keys.sort_unstable();
        for key in keys.into_iter().rev() {
            self.calendar.cancel(self.bookings.remove(key).2);
        }
        Ok(())
    }

    fn oust(&mut self, asked: &Asked) -> Result<(), TestCaseError> {
        let (claim, claims) = (asked.claim(), self.claims());
        let before = self.calendar.clone();
        let found = self.calendar.ousted(&claim, &holders(&self.bookings));
        prop_assert!(self.calendar == before, "nothing is changed");
        let Some(mut gone) = found else {
            prop_assert!(self.model.lack(&[], &claim).is_some(), "without anybody it would fit");
            return Ok(());
        };
        let fits = |gone: &[usize]| {
            let left: Vec<_> = (0..claims.len()).filter(|key| !gone.contains(key)).map(|key| claims[key].clone()).collect();
            self.model.lack(&left, &claim).is_none()
        };
        prop_assert!(fits(&gone));
        // Where more was promised than there is, one that was ousted could not come back in any case.
        if !self.over(&claims) {
            for key in &gone {
                prop_assert!(!fits(&gone.iter().copied().filter(|other| other != key).collect::<Vec<_>>()), "nobody goes in vain");
            }
        }
        gone.sort_unstable();
        for key in gone.into_iter().rev() {
            self.calendar.cancel(self.bookings.remove(key).2);
        }
        let booking = self.calendar.reserve(claim);
        prop_assert!(booking.is_ok());
        if let Ok(booking) = booking {
            self.keep(booking);
        }
        Ok(())
    }

    /// What holds at every moment: the calendar knows what is left, to the second.
    fn check(&self) -> Result<(), TestCaseError> {
        let claims = self.claims();
        for link in (0..4).map(DirectedLinkId) {
            for number in 3..8 {
                for second in self.model.now..END {
                    let room = self.calendar.room(link, class(number).into(), interval(second, Some(second + 1)));
                    prop_assert_eq!(room.0.cast_signed(), self.model.left(&claims, link, class(number).into(), second).max(0));
                }
            }
        }
        Ok(())
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(96))]

    #[test]
    fn it_agrees_with_a_model_that_looks_at_every_second(operations in prop::collection::vec(operation(), 1..40)) {
        let mut world = World::new();
        for operation in operations {
            let (before, now) = (world.claims(), world.model.now);
            world.run(&operation)?;
            // Nothing that is done brings a sum above its limit; a link that shrinks may leave it there.
            let mut model = world.model.clone();
            model.now = now;
            for ((load, limit), (had, _)) in model.loads(&world.claims()).into_iter().zip(model.loads(&before)) {
                prop_assert!(load <= limit.max(had), "over-committed: {load} of {limit}");
            }
            world.check()?;
        }
        // What was booked is booked again, in any order and exactly.
        let mut again = Calendar::new(&world.topology);
        again.advance(at(world.model.now));
        for claim in world.claims().into_iter().rev() {
            let _booking = again.restore(claim).unwrap();
        }
        prop_assert_eq!(&again, &world.calendar);
        for (_, _, booking) in world.bookings.drain(..) {
            world.calendar.cancel(booking);
        }
        world.calendar.advance(at(END + 100));
        let empty = Calendar::new(&world.topology);
        prop_assert_eq!(&world.calendar, &empty, "nothing is left behind");
    }
}
