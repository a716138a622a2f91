//! Whether what was promised is there: a walk over all bookings of some links, with nothing of the calendar's own.

use std::time::{Duration, SystemTime};

use rand::rngs::StdRng;
use rand::{RngExt as _, SeedableRng as _};
use svpn_vpn::admission::{Calendar, Claim, ClassSet, Interval, Pool};
use svpn_vpn::request::BitRate;
use svpn_vpn::topology::{DirectedLinkId, Topology};
use thiserror::Error;

/// Directed links that are walked over.
const LINKS: usize = 20;
/// Questions the calendar is asked about each.
const QUESTIONS: usize = 20;

/// What was promised is more than there is, or not what the calendar says.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum Broken {
    /// A pool was exceeded.
    #[error("classes {classes} of link {link} have {promised} bit/s of {limit}")]
    Exceeded {
        /// The link.
        link: String,
        /// The pool.
        classes: ClassSet,
        /// What was promised.
        promised: u64,
        /// What there is.
        limit: u64,
    },
    /// The calendar says another room than there is.
    #[error("link {link} has room for {room} bit/s, and the calendar says {said}")]
    Misjudged {
        /// The link.
        link: String,
        /// What there is.
        room: u64,
        /// What the calendar says.
        said: u64,
    },
}

/// What is promised of a link: from when until when, of which classes, how much.
type Promise = (SystemTime, SystemTime, ClassSet, u64);

/// Walks over some links, chosen at random.
pub(super) fn walk(topology: &Topology, calendar: &Calendar, claims: &[&Claim], seed: u64) -> Result<(), Broken> {
    let mut random = StdRng::seed_from_u64(seed);
    let links: Vec<_> = topology.links().collect();
    for _ in 0..LINKS {
        let (id, link) = links[random.random_range(0..links.len())];
        let promises: Vec<_> = claims.iter().filter_map(|claim| promise(claim, id)).collect();
        for pool in std::iter::once(&Pool::WHOLE_LINK).chain(&link.pools) {
            let (limit, promised) = (pool.share.of(link.capacity).0, peak(&promises, pool.classes, None));
            if promised > limit {
                return Err(Broken::Exceeded { link: link.name.clone(), classes: pool.classes, promised, limit });
            }
        }
        for _ in 0..QUESTIONS {
            let Some(&(start, _, classes, _)) = promises.get(random.random_range(0..promises.len().max(1))) else { break };
            let stop = start + Duration::from_secs(random.random_range(1..1_000_000));
            let Ok(interval) = Interval::new(start, Some(stop)) else { continue };
            let of = |pool: &Pool| pool.share.of(link.capacity).0.saturating_sub(peak(&promises, pool.classes, Some((start, stop))));
            let pools = std::iter::once(&Pool::WHOLE_LINK).chain(&link.pools).filter(|pool| pool.classes.meets(classes));
            let (room, BitRate(said)) = (pools.map(of).min().unwrap_or_default(), calendar.room(id, classes, interval));
            if room != said {
                return Err(Broken::Misjudged { link: link.name.clone(), room, said });
            }
        }
    }
    Ok(())
}

fn promise(claim: &Claim, link: DirectedLinkId) -> Option<Promise> {
    let (interval, rate) = (claim.interval(), claim.on(link).0);
    Some((interval.start(), interval.stop()?, claim.classes(), rate)).filter(|_| rate > 0)
}

/// The highest sum of promises that a pool counts, within a stretch of time or ever.
fn peak(promises: &[Promise], pool: ClassSet, within: Option<(SystemTime, SystemTime)>) -> u64 {
    let mut changes = Vec::new();
    for &(start, stop, classes, rate) in promises {
        let (from, to) = within.map_or((start, stop), |(from, to)| (start.max(from), stop.min(to)));
        if classes.meets(pool) && from < to {
            changes.extend([(from, i128::from(rate)), (to, -i128::from(rate))]);
        }
    }
    // What ends at an instant ends before what begins there: the lesser change first.
    changes.sort_unstable();
    let mut sum = 0;
    let highest = changes.into_iter().map(|(_, change)| {
        sum += change;
        sum
    });
    u64::try_from(highest.max().unwrap_or(0)).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use svpn_contract::wire::Class;

    use super::*;
    use crate::admission::network::grid;

    fn claim(link: DirectedLinkId, rate: u64) -> Claim {
        let at = |seconds| SystemTime::UNIX_EPOCH + Duration::from_secs(seconds);
        Claim::new(Interval::new(at(10), Some(at(20))).unwrap(), Class::new(5).unwrap(), vec![(link, BitRate(rate))])
    }

    #[test]
    fn it_sees_what_is_exceeded_and_what_is_misjudged() {
        let network = grid(2).unwrap();
        let topology = network.topology();
        let (link, _) = topology.links().next().unwrap();
        let mut calendar = Calendar::new(topology);
        let [ten, thirty] = [10, 30].map(|giga| claim(link, giga * 1_000_000_000));
        let booking = calendar.reserve(ten.clone()).unwrap();
        assert_eq!(walk(topology, &calendar, &[&ten], 1), Ok(()));
        assert!(matches!(walk(topology, &calendar, &[&thirty], 1), Err(Broken::Misjudged { .. })));
        assert!(matches!(walk(topology, &calendar, &[&thirty, &ten], 1), Err(Broken::Exceeded { promised: 40_000_000_000, .. })));
        calendar.cancel(booking);
    }
}
