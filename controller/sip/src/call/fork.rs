//! The callee's contacts, pure: in which order they are invited, and what their responses come to (RFC 3261 sections 16.6 and 16.7).
//!
//! Contacts of one preference ring together; the first that answers has the call and the others are abandoned. When none of them does, those
//! of the next preference are invited.

use std::collections::VecDeque;

/// A contact of the callee, by its place among them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Branch(pub(crate) usize);

/// Why a contact does not take the call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum No {
    /// It declined with this status.
    Declined(u16),
    /// It took too long.
    Late,
    /// It could not be reached.
    Unreachable,
}

impl No {
    /// The lowest is what the caller is told. A refusal for all contacts goes first; then what the caller can do something about; then
    /// what a person said; then the rest by class, and what says least, last.
    const fn rank(self) -> u8 {
        match self {
            Self::Declined(600..) => 0,
            Self::Declined(415 | 420 | 484 | 488) => 1,
            Self::Declined(486) => 2,
            Self::Declined(401 | 407 | 300..=399) => 6,
            Self::Declined(400..=499) => 3,
            Self::Declined(_) => 4,
            Self::Late => 5,
            Self::Unreachable => 7,
        }
    }

    fn or(self, other: Option<Self>) -> Self {
        other.filter(|other| other.rank() <= self.rank()).unwrap_or(self)
    }
}

/// What a contact's refusal comes to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Next {
    /// Others are still ringing.
    Wait,
    /// These are to be invited.
    Invite(Vec<Branch>),
    /// These are to be abandoned, and the caller is to be told.
    Refuse(Vec<Branch>, No),
}

/// The contacts of a call.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Fork {
    waiting: VecDeque<Vec<Branch>>,
    ringing: Vec<Branch>,
    best: Option<No>,
}

impl Fork {
    /// As many contacts of each preference, the most preferred first.
    pub(crate) fn new(groups: impl IntoIterator<Item = usize>) -> Self {
        let mut next = 0;
        let mut group = |size| {
            let first = next;
            next += size;
            (first..next).map(Branch).collect()
        };
        let waiting = groups.into_iter().map(&mut group).filter(|group: &Vec<_>| !group.is_empty()).collect();
        Self { waiting, ringing: Vec::new(), best: None }
    }

    /// Whether a contact is being asked.
    pub(super) fn is_ringing(&self, branch: Branch) -> bool {
        self.ringing.contains(&branch)
    }

    /// Whom to invite now, or what to tell the caller.
    pub(super) fn next(&mut self) -> Next {
        match self.waiting.pop_front() {
            Some(group) => {
                self.ringing.clone_from(&group);
                Next::Invite(group)
            }
            None => Next::Refuse(Vec::new(), self.best.unwrap_or(No::Unreachable)),
        }
    }

    /// A contact does not take the call.
    pub(super) fn refused(&mut self, branch: Branch, why: No) -> Next {
        if !self.is_ringing(branch) {
            return Next::Wait;
        }
        self.ringing.retain(|other| *other != branch);
        self.best = Some(why.or(self.best));
        if matches!(why, No::Declined(600..)) {
            return Next::Refuse(self.abandon(), why);
        }
        if self.ringing.is_empty() { self.next() } else { Next::Wait }
    }

    /// All that ring took too long: they are to be abandoned, and then comes what comes next.
    pub(super) fn overtime(&mut self) -> (Vec<Branch>, Next) {
        self.best = Some(No::Late.or(self.best));
        let silent = std::mem::take(&mut self.ringing);
        (silent, self.next())
    }

    /// Those that ring, which will not get the call.
    pub(super) fn abandon(&mut self) -> Vec<Branch> {
        self.waiting.clear();
        std::mem::take(&mut self.ringing)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fork() -> Fork {
        let mut fork = Fork::new([2, 1]);
        assert_eq!(fork.next(), Next::Invite(vec![Branch(0), Branch(1)]));
        fork
    }

    #[test]
    fn the_next_preference_is_asked_when_all_of_one_have_refused() {
        let mut fork = fork();
        assert_eq!(fork.refused(Branch(0), No::Declined(486)), Next::Wait);
        assert_eq!(fork.refused(Branch(1), No::Unreachable), Next::Invite(vec![Branch(2)]));
        assert_eq!(fork.refused(Branch(2), No::Declined(480)), Next::Refuse(vec![], No::Declined(486)));
    }

    #[test]
    fn who_refuses_for_all_ends_the_search() {
        let mut fork = fork();
        assert_eq!(fork.refused(Branch(1), No::Declined(603)), Next::Refuse(vec![Branch(0)], No::Declined(603)));
    }

    #[test]
    fn who_takes_too_long_is_passed_over() {
        let mut fork = fork();
        assert_eq!(fork.overtime(), (vec![Branch(0), Branch(1)], Next::Invite(vec![Branch(2)])));
        assert_eq!(fork.overtime(), (vec![Branch(2)], Next::Refuse(vec![], No::Late)));
    }

    #[test]
    fn the_caller_is_told_what_says_most() {
        for (one, other, told) in [
            (No::Declined(500), No::Declined(486), No::Declined(486)),
            (No::Declined(420), No::Declined(486), No::Declined(420)),
            (No::Declined(404), No::Declined(302), No::Declined(404)),
            (No::Unreachable, No::Late, No::Late),
            (No::Unreachable, No::Declined(503), No::Declined(503)),
        ] {
            for [one, other] in [[one, other], [other, one]] {
                let mut fork = Fork::new([2]);
                fork.next();
                fork.refused(Branch(0), one);
                assert_eq!(fork.refused(Branch(1), other), Next::Refuse(vec![], told));
            }
        }
    }
}
