//! Which links pass frames, told from the probes that arrived. No I/O, and no clock of its own.

use std::time::{Duration, Instant};

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
    /// A direction without a probe for so long is broken.
    patience: Duration,
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
    /// Since when probes would arrive if the link were whole: one end has sent them and the other would have told us. `None` while either
    /// router does not speak with us: then nothing is known, and what was known last holds.
    watched: Option<Instant>,
    heard: Option<Instant>,
}

impl Direction {
    fn broken(self, now: Instant, patience: Duration) -> bool {
        let Some(watched) = self.watched else { return false };
        let last = self.heard.map_or(watched, |heard| heard.max(watched));
        now.saturating_duration_since(last) > patience
    }

    fn whole(self, now: Instant, patience: Duration) -> bool {
        self.watched.is_some() && self.heard.is_some_and(|heard| now.saturating_duration_since(heard) <= patience)
    }
}

impl Monitor {
    /// As many links, each as healthy as it was when last looked at.
    pub(super) fn new(links: impl IntoIterator<Item = Health>, patience: Duration) -> Self {
        let links = links.into_iter().map(|health| Link { health, directions: [Direction::default(); 2] });
        Self { patience, links: links.collect() }
    }

    /// A probe crossed a link, in direction 0 or 1.
    pub(super) fn heard(&mut self, link: usize, direction: usize, now: Instant) {
        if let Some(direction) = self.links.get_mut(link).and_then(|link| link.directions.get_mut(direction)) {
            direction.heard = Some(now);
        }
    }

    /// Whether a direction's probes can be sent, and their arrival told, from now on.
    pub(super) fn watch(&mut self, link: usize, direction: usize, able: Able, now: Instant) {
        let Some(direction) = self.links.get_mut(link).and_then(|link| link.directions.get_mut(direction)) else { return };
        match able {
            Able::Yes => _ = direction.watched.get_or_insert(now),
            Able::No => direction.watched = None,
        }
    }

    /// The links whose health has changed.
    pub(super) fn changes(&mut self, now: Instant) -> Vec<(usize, Health)> {
        let patience = self.patience;
        let mut changes = Vec::new();
        for (index, link) in self.links.iter_mut().enumerate() {
            let health = match link.health {
                Health::Up if link.directions.iter().any(|direction| direction.broken(now, patience)) => Health::Down,
                Health::Down if link.directions.iter().all(|direction| direction.whole(now, patience)) => Health::Up,
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

    const PATIENCE: Duration = Duration::from_secs(3);

    struct Scene {
        monitor: Monitor,
        start: Instant,
    }

    impl Scene {
        fn new(health: Health) -> Self {
            Self { monitor: Monitor::new([health], PATIENCE), start: Instant::now() }
        }

        fn at(&self, second: u64) -> Instant {
            self.start + Duration::from_secs(second)
        }

        fn watch(&mut self, able: Able, second: u64) {
            for direction in 0..2 {
                self.monitor.watch(0, direction, able, self.at(second));
            }
        }

        fn heard(&mut self, directions: &[usize], second: u64) {
            for &direction in directions {
                self.monitor.heard(0, direction, self.at(second));
            }
        }

        fn changes(&mut self, second: u64) -> Vec<(usize, Health)> {
            let now = self.at(second);
            self.monitor.changes(now)
        }
    }

    #[test]
    fn a_link_is_down_when_one_direction_is_silent_and_up_when_both_speak() {
        let mut scene = Scene::new(Health::Up);
        scene.watch(Able::Yes, 0);
        for second in 0..5 {
            scene.heard(&[0, 1], second);
            assert_eq!(scene.changes(second), []);
        }
        for second in 5..8 {
            scene.heard(&[0], second);
            assert_eq!(scene.changes(second), [], "{second}");
        }
        scene.heard(&[0], 8);
        assert_eq!(scene.changes(8), [(0, Health::Down)]);
        assert_eq!(scene.changes(9), [], "it is told once");
        scene.heard(&[1], 10);
        assert_eq!(scene.changes(10), [(0, Health::Up)], "the other was heard two seconds ago");
    }

    #[test]
    fn who_was_never_heard_is_waited_for_from_when_it_could_be() {
        let mut scene = Scene::new(Health::Up);
        assert_eq!(scene.changes(100), [], "no router speaks with us yet");
        scene.watch(Able::Yes, 100);
        assert_eq!(scene.changes(103), []);
        assert_eq!(scene.changes(104), [(0, Health::Down)]);
    }

    #[test]
    fn a_router_that_does_not_speak_with_us_says_nothing_of_its_links() {
        let mut scene = Scene::new(Health::Up);
        scene.watch(Able::Yes, 0);
        scene.heard(&[0, 1], 1);
        scene.watch(Able::No, 2);
        assert_eq!(scene.changes(60), []);
        scene.watch(Able::Yes, 60);
        assert_eq!(scene.changes(63), [], "what was heard long ago does not count against it");
        assert_eq!(scene.changes(64), [(0, Health::Down)]);
        scene.watch(Able::No, 65);
        scene.heard(&[0, 1], 65);
        assert_eq!(scene.changes(65), [], "nor for it");
    }
}
