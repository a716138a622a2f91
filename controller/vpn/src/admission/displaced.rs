//! Who gives way.

use super::{Calendar, Claim, Holder};

impl Calendar {
    /// Which of some bookings do not fit any more, where links offer less than they did: the least important and of those the youngest
    /// first, and none that could stay once the others are gone. They are told in the order in which they give way. Nothing is changed.
    pub fn displaced<K: Clone>(&mut self, holders: &[Holder<'_, K>]) -> Vec<K> {
        let mut order: Vec<_> = holders.iter().collect();
        order.sort_by_key(|holder| holder.standing);
        let mut gone = Vec::new();
        for holder in order {
            if self.overcommitted(holder.booking.claim()) {
                self.remove(holder.booking.claim());
                gone.push(holder);
            }
        }
        self.put_back(gone, |_| true)
    }

    /// Which of some bookings have to give way so that a claim fits: of those it meets, the least important and of those the youngest
    /// first, and none without which it would fit all the same. `None` when it does not fit even without all of them. Nothing
    /// is changed.
    pub fn ousted<K: Clone>(&mut self, claim: &Claim, holders: &[Holder<'_, K>]) -> Option<Vec<K>> {
        let mut order: Vec<_> = holders.iter().filter(|holder| meet(holder.booking.claim(), claim)).collect();
        order.sort_by_key(|holder| holder.standing);
        let mut gone: Vec<&Holder<'_, K>> = Vec::new();
        let mut candidates = order.into_iter();
        while !self.has_room_for(claim) {
            let Some(holder) = candidates.next() else {
                for holder in gone {
                    self.add(holder.booking.claim());
                }
                return None;
            };
            self.remove(holder.booking.claim());
            gone.push(holder);
        }
        Some(self.put_back(gone, |calendar| calendar.has_room_for(claim)))
    }

    /// Puts everybody back, and says who could not have been without breaking what shall hold, the most important asked first.
    fn put_back<K: Clone>(&mut self, gone: Vec<&Holder<'_, K>>, holds: impl Fn(&Self) -> bool) -> Vec<K> {
        let mut out = Vec::new();
        for holder in gone.into_iter().rev() {
            let claim = holder.booking.claim();
            let fits = self.has_room_for(claim);
            self.add(claim);
            if !fits || !holds(self) {
                self.remove(claim);
                out.push(holder);
            }
        }
        out.reverse();
        for holder in &out {
            self.add(holder.booking.claim());
        }
        out.into_iter().map(|holder| holder.key.clone()).collect()
    }

    fn has_room_for(&self, claim: &Claim) -> bool {
        let classes = claim.classes();
        self.ahead(claim.interval())
            .is_none_or(|span| claim.demands().iter().all(|&(link, rate)| self.ledgers[link.index()].holds(classes, span, rate.0)))
    }

    fn overcommitted(&self, claim: &Claim) -> bool {
        let over = |span| {
            claim.demands().iter().any(|&(link, rate)| rate.0 > 0 && self.ledgers[link.index()].overcommitted(claim.classes(), span))
        };
        self.ahead(claim.interval()).is_some_and(over)
    }
}

/// Whether two claims compete for anything.
fn meet(one: &Claim, other: &Claim) -> bool {
    let shared = one.demands().iter().any(|&(link, rate)| rate.0 > 0 && other.on(link).0 > 0);
    shared && one.interval().common(other.interval()).is_some()
}
