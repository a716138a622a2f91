//! Which links pass frames, told from the probes that arrived. No I/O and no clock: what counts is how many probes were sent in vain, so
//! that a gateway that was held up for a while, and sent none, does not blame the links.

/// Whether a link can be used.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Health {
    /// Probes arrive at both ends.
    Up,
    /// At one end none has arrived for too long.
    Down,
}

/// Every link, as its probes tell.
#[derive(Debug)]
pub(super) struct Monitor {
    /// A direction that swallowed more probes than this, one after the other, is broken.
    misses: u32,
    links: Vec<Link>,
}

#[derive(Debug, Clone)]
struct Link {
    health: Health,
    /// `a` to `b`, `b` to `a`.
    directions: [Direction; 2],
}

/// One direction of a link.
#[derive(Debug, Clone, Copy, Default)]
struct Direction {
    /// Probes sent since one arrived. `None` while either router does not speak with us: then nothing is known, and what was known last
    /// holds.
    in_vain: Option<u32>,
    /// Whether one has arrived since both routers speak with us.
    heard: bool,
}

impl Direction {
    fn broken(self, misses: u32) -> bool {
        self.in_vain.is_some_and(|sent| sent > misses)
    }

    fn whole(self, misses: u32) -> bool {
        self.heard && self.in_vain.is_some_and(|sent| sent <= misses)
    }
}

impl Monitor {
    /// As many links, each as healthy as it was when last looked at.
    pub(super) fn new(links: impl IntoIterator<Item = Health>, misses: u32) -> Self {
        let links = links.into_iter().map(|health| Link { health, directions: [Direction::default(); 2] });
        Self { misses, links: links.collect() }
    }

    /// A probe crossed a link, in direction 0 or 1.
    pub(super) fn heard(&mut self, link: usize, direction: usize) {
        let direction = self.links.get_mut(link).and_then(|link| link.directions.get_mut(direction));
        if let Some(direction) = direction.filter(|direction| direction.in_vain.is_some()) {
            *direction = Direction { in_vain: Some(0), heard: true };
        }
    }

    /// It is time for a probe of a direction: it is sent now, if that can be done and its arrival be told.
    pub(super) fn probe(&mut self, link: usize, direction: usize, able: Able) {
        let Some(direction) = self.links.get_mut(link).and_then(|link| link.directions.get_mut(direction)) else { return };
        match able {
            Able::Yes => direction.in_vain = Some(direction.in_vain.unwrap_or(0).saturating_add(1)),
            Able::No => *direction = Direction::default(),
        }
    }

    /// The links whose health has changed.
    pub(super) fn changes(&mut self) -> Vec<(usize, Health)> {
        let misses = self.misses;
        let mut changes = Vec::new();
        for (index, link) in self.links.iter_mut().enumerate() {
            let health = match link.health {
                Health::Up if link.directions.iter().any(|direction| direction.broken(misses)) => Health::Down,
                Health::Down if link.directions.iter().all(|direction| direction.whole(misses)) => Health::Up,
                same => same,
            };
            if health != link.health {
                link.health = health;
                changes.push((index, health));
            }
        }
        changes
    }
}

/// Whether both routers of a link speak with us.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Able {
    /// Both do.
    Yes,
    /// One does not.
    No,
}

#[cfg(test)]
mod tests {
    use super::*;

    const MISSES: u32 = 3;

    struct Scene(Monitor);

    impl Scene {
        fn new(health: Health) -> Self {
            Self(Monitor::new([health], MISSES))
        }

        /// An interval: probes are sent, and arrive in some directions until the next are due.
        fn interval(&mut self, able: Able, heard: &[usize]) -> Vec<(usize, Health)> {
            for direction in 0..2 {
                self.0.probe(0, direction, able);
            }
            let changes = self.0.changes();
            for &direction in heard {
                self.0.heard(0, direction);
            }
            changes
        }
    }

    #[test]
    fn a_link_is_down_when_one_direction_is_silent_and_up_when_both_speak() {
        let mut scene = Scene::new(Health::Up);
        for _ in 0..5 {
            assert_eq!(scene.interval(Able::Yes, &[0, 1]), []);
        }
        for missed in 1..=MISSES {
            assert_eq!(scene.interval(Able::Yes, &[0]), [], "{missed}");
        }
        assert_eq!(scene.interval(Able::Yes, &[0]), [(0, Health::Down)]);
        assert_eq!(scene.interval(Able::Yes, &[1]), [], "it is told once");
        assert_eq!(scene.interval(Able::Yes, &[]), [(0, Health::Up)], "the other was heard two intervals ago");
    }

    #[test]
    fn who_was_never_heard_is_waited_for_from_when_it_could_be() {
        let mut scene = Scene::new(Health::Up);
        for _ in 0..100 {
            assert_eq!(scene.interval(Able::No, &[]), [], "no router speaks with us yet");
        }
        for _ in 0..MISSES {
            assert_eq!(scene.interval(Able::Yes, &[]), []);
        }
        assert_eq!(scene.interval(Able::Yes, &[]), [(0, Health::Down)]);
    }

    #[test]
    fn a_router_that_does_not_speak_with_us_says_nothing_of_its_links() {
        let mut scene = Scene::new(Health::Up);
        scene.interval(Able::Yes, &[0, 1]);
        for _ in 0..60 {
            assert_eq!(scene.interval(Able::No, &[]), []);
        }
        for _ in 0..MISSES {
            assert_eq!(scene.interval(Able::Yes, &[]), [], "what was missed long ago does not count against it");
        }
        assert_eq!(scene.interval(Able::Yes, &[]), [(0, Health::Down)]);
        scene.interval(Able::No, &[0, 1]);
        assert_eq!(scene.interval(Able::Yes, &[]), [], "nor does what comes while it does not speak with us count for it");
    }
}
