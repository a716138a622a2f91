//! Every second on its own: what a link has promised then is the sum of the bookings that hold then.

use super::*;

/// The last second that is looked at; nothing changes after it.
pub(super) const END: u64 = 60;

/// One pool of one directed link.
type PoolAt = (DirectedLinkId, Pool);

#[derive(Debug, Clone)]
pub(super) struct Model {
    /// What each directed link offers.
    pub(super) offers: Vec<BitRate>,
    pools: Vec<PoolAt>,
    pub(super) now: u64,
}

pub(super) fn holds(interval: Interval, second: u64) -> bool {
    interval.start() <= at(second) && interval.stop().is_none_or(|stop| at(second) < stop)
}

fn load(claims: &[Claim], link: DirectedLinkId, pool: Pool, second: u64) -> u64 {
    let held = claims.iter().filter(|claim| holds(claim.interval(), second) && claim.classes().meets(pool.classes));
    held.map(|claim| claim.on(link).0).sum()
}

impl Model {
    pub(super) fn new(topology: &Topology) -> Self {
        let of = |(id, link): (DirectedLinkId, &crate::topology::DirectedLink)| {
            std::iter::once(Pool::WHOLE_LINK).chain(link.pools.clone()).map(|pool| (id, pool)).collect::<Vec<_>>()
        };
        let offers = topology.links().map(|(id, _)| topology.offers(id)).collect();
        Self { offers, pools: topology.links().flat_map(of).collect(), now: 0 }
    }

    /// What is promised of each pool at each second, and its limit.
    pub(super) fn loads(&self, claims: &[Claim]) -> Vec<(u64, u64)> {
        let each = self.pools.iter().flat_map(|&(link, pool)| (self.now..END).map(move |second| (link, pool, second)));
        each.map(|(link, pool, second)| (load(claims, link, pool, second), pool.share.of(self.offers[link.index()]).0)).collect()
    }

    fn of(&self, link: DirectedLinkId, classes: ClassSet) -> impl Iterator<Item = Pool> {
        self.pools.iter().filter(move |(of, pool)| *of == link && pool.classes.meets(classes)).map(|&(_, pool)| pool)
    }

    /// What is left for classes on a link at a second; negative when too much is promised.
    pub(super) fn left(&self, claims: &[Claim], link: DirectedLinkId, classes: ClassSet, second: u64) -> i64 {
        let left = |pool: Pool| {
            let limit = pool.share.of(self.offers[link.index()]).0.cast_signed();
            limit - load(claims, link, pool, second).cast_signed()
        };
        self.of(link, classes).map(left).min().unwrap()
    }

    fn seconds(&self, interval: Interval) -> impl Iterator<Item = u64> {
        (self.now..END).filter(move |&second| holds(interval, second))
    }

    /// The least that is left throughout an interval; `None` when all of it is past.
    pub(super) fn throughout(&self, claims: &[Claim], link: DirectedLinkId, classes: ClassSet, interval: Interval) -> Option<i64> {
        self.seconds(interval).map(|second| self.left(claims, link, classes, second)).min()
    }

    /// What a claim lacks most: how much, and where.
    pub(super) fn lack(&self, claims: &[Claim], claim: &Claim) -> Option<(i64, DirectedLinkId)> {
        let lack = |&(link, rate): &(DirectedLinkId, BitRate)| {
            let left = self.throughout(claims, link, claim.classes(), claim.interval())?;
            let lack = rate.0.cast_signed() - left.max(0);
            (rate.0 > 0 && lack > 0).then_some((lack, link))
        };
        claim.demands().iter().filter_map(lack).max_by_key(|&(lack, link)| (lack, std::cmp::Reverse(link)))
    }

    /// The first start at which a claim fits.
    pub(super) fn next_start(&self, claims: &[Claim], claim: &Claim, start: u64, length: Option<u64>) -> Option<u64> {
        let at_start = |start| Claim::new(interval(start, length.map(|length| start + length)), claim.classes(), claim.demands().to_vec());
        (start.max(self.now)..END).find(|&start| self.lack(claims, &at_start(start)).is_none())
    }
}
