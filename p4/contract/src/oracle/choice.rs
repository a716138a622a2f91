//! Action selectors: which members of an action set may be chosen, and that one 5-tuple keeps its member.

use std::collections::{BTreeMap, BTreeSet};

use super::{FiveTuple, Link, Walk};
use crate::tables::{Choice, EntryKey};

/// A choice that was made on a walk.
struct Pick {
    key: EntryKey,
    tuple: Option<FiveTuple>,
    /// The members that could be chosen.
    candidates: Vec<usize>,
    /// The place of the one that was among them.
    chosen: usize,
}

/// The choices of a walk, in the order they were made.
pub(super) struct Picks {
    /// Places to choose, where the walk is not to choose the first.
    script: Vec<usize>,
    made: Vec<Pick>,
}

impl Picks {
    pub(super) fn new(script: &[usize]) -> Self {
        Self { script: script.to_vec(), made: Vec::new() }
    }

    /// The script of the next walk, as an odometer counts; `None` after the last one.
    pub(super) fn next_script(&self) -> Option<Vec<usize>> {
        let last = self.made.iter().rposition(|pick| pick.chosen + 1 < pick.candidates.len())?;
        let mut script: Vec<usize> = self.made[..=last].iter().map(|pick| pick.chosen).collect();
        script[last] += 1;
        Some(script)
    }

    /// Whether this member of this entry was chosen.
    pub(super) fn has(&self, key: &EntryKey, member: usize) -> bool {
        self.made.iter().any(|pick| pick.key == *key && pick.candidates[pick.chosen] == member)
    }
}

/// The members that a 5-tuple's first packets can have taken, by entry.
#[derive(Debug, Clone, Default)]
pub(super) struct Kept(BTreeMap<(EntryKey, FiveTuple), BTreeSet<usize>>);

impl Kept {
    pub(super) fn forget(&mut self, key: &EntryKey) {
        self.0.retain(|(kept, _), _| kept != key);
    }

    pub(super) fn forget_all(&mut self) {
        self.0.clear();
    }

    /// Remembers what was chosen, and what looks the same from outside: where another such walk did not come to an entry at all, nobody
    /// knows that its choice was made.
    pub(super) fn keep(&mut self, picks: Picks, also: &[Picks]) {
        for pick in picks.made {
            let Some(tuple) = pick.tuple else { continue };
            if also.iter().any(|other| other.made.iter().all(|made| made.key != pick.key)) {
                continue;
            }
            let chosen = pick.candidates[pick.chosen];
            let looks_the_same = |member: usize| member == chosen || also.iter().any(|other| other.has(&pick.key, member));
            let members = pick.candidates.iter().copied().filter(|member| looks_the_same(*member)).collect();
            self.0.insert((pick.key, tuple), members);
        }
    }
}

impl Walk<'_> {
    /// The chosen member of an entry's action set; `None` where all of them are down.
    pub(super) fn choose<A: Copy>(&mut self, key: EntryKey, choice: &Choice<A>) -> Option<A> {
        let up = |index: &usize| {
            let port = choice.members[*index].watch_port;
            port.is_none_or(|port| self.oracle.links.get(&port) == Some(&Link::Up))
        };
        let up: Vec<usize> = (0..choice.members.len()).filter(up).collect();
        if let [] | [_] = *up {
            return up.first().map(|only| choice.members[*only].action);
        }
        let kept = self.tuple.and_then(|tuple| self.oracle.kept.0.get(&(key, tuple)));
        let candidates: Vec<usize> = up.into_iter().filter(|index| kept.is_none_or(|kept| kept.contains(index))).collect();
        let chosen = self.picks.script.get(self.picks.made.len()).copied().unwrap_or_default();
        let action = choice.members[*candidates.get(chosen)?].action;
        self.picks.made.push(Pick { key, tuple: self.tuple, candidates, chosen });
        Some(action)
    }
}
