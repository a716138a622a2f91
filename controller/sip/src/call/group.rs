//! Sessions that are wanted all or none: calls that name one group, `a=svpn:group=<name>;members=<n>`.
//!
//! Nobody is alerted before all of them are reserved, nobody's session is programmed before all callees have accepted, and no caller is
//! told of success before all are programmed. Whoever fails before that takes the others along: what they reserved is given back, and
//! their callers hear why. From then on they are sessions like any other.
//!
//! Its name is all that a group is known by, so that one agent's calls in several VPNs, or several agents', may belong together. It is to be
//! one that nobody else can guess.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use svpn_vpn::request::Refusal;
use tokio::sync::watch;
use tokio::time::timeout;

use crate::sdp::GroupWish;

/// How long the first of a group waits, reserved, for the last to be so.
const GATHERING: Duration = Duration::from_secs(10);

/// What the members of a group wait for together.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Stage {
    /// Their bandwidth is reserved.
    Reserved,
    /// Their callees have accepted.
    Accepted,
    /// They are programmed.
    Established,
}

/// All groups whose sessions are being set up.
#[derive(Clone, Default)]
pub(crate) struct Groups(Arc<Mutex<HashMap<String, Arc<Group>>>>);

struct Group {
    wish: GroupWish,
    progress: watch::Sender<Progress>,
}

#[derive(Debug, Clone, Default)]
struct Progress {
    joined: u8,
    /// How many have come to each stage.
    reached: [u8; 3],
    failed: Option<String>,
}

/// A call's membership. Dropped before all of its group are established, it is its failure.
pub(crate) struct Member(Gate);

/// What a member waits at.
#[derive(Clone)]
pub(super) struct Gate {
    groups: Groups,
    group: Arc<Group>,
}

impl Groups {
    /// A call wants to be one of a group.
    ///
    /// # Errors
    /// [`Refusal::NotAcceptable`] if the group has its members already, or is said to have another number of them.
    pub(crate) fn join(&self, wish: &GroupWish) -> Result<Member, Refusal> {
        let mut groups = self.lock();
        let group = groups.entry(wish.name.clone()).or_insert_with(|| {
            let progress = watch::Sender::new(Progress::default());
            Arc::new(Group { wish: wish.clone(), progress })
        });
        if group.wish != *wish {
            let members = group.wish.members;
            return Err(Refusal::NotAcceptable(format!("its group has {members} members by what another of them says")));
        }
        let joined = group.progress.send_if_modified(|progress| {
            let room = progress.joined < wish.members;
            progress.joined += u8::from(room);
            room
        });
        if !joined {
            return Err(Refusal::NotAcceptable("its group has all its members".into()));
        }
        Ok(Member(Gate { groups: self.clone(), group: Arc::clone(group) }))
    }

    /// The name is free again, if it is still this group's.
    fn forget(&self, group: &Arc<Group>) {
        if let Entry::Occupied(known) = self.lock().entry(group.wish.name.clone())
            && Arc::ptr_eq(known.get(), group)
        {
            known.remove();
        }
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<String, Arc<Group>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Member {
    pub(super) fn gate(&self) -> Gate {
        self.0.clone()
    }
}

impl Drop for Member {
    fn drop(&mut self) {
        self.0.fail("another session of its group cannot be had");
    }
}

impl Gate {
    /// The call has come to this stage: waits until all of its group have.
    ///
    /// # Errors
    /// [`Refusal::AllOrNone`] if one has failed, or does not come.
    pub(super) async fn reached(self, stage: Stage) -> Result<(), Refusal> {
        let members = self.group.wish.members;
        self.group.progress.send_modify(|progress| progress.reached[stage as usize] += 1);
        if self.is_complete() {
            self.groups.forget(&self.group);
        }
        let mut progress = self.group.progress.subscribe();
        let decided = progress.wait_for(|progress| progress.failed.is_some() || progress.reached[stage as usize] >= members);
        if stage != Stage::Reserved {
            // Their callees and routers have time-outs of their own.
            return verdict(decided.await.ok().as_deref());
        }
        if let Ok(decided) = timeout(GATHERING, decided).await {
            return verdict(decided.ok().as_deref());
        }
        self.fail("not all of its group were asked for in time");
        verdict(Some(&self.group.progress.borrow()))
    }

    /// Waits until it is known that the group fails, or for ever.
    pub(super) async fn failed(self) -> Refusal {
        let mut progress = self.group.progress.subscribe();
        // The sender is in `self`, so this fails never.
        let refusal =
            progress.wait_for(|progress| progress.failed.is_some()).await.ok().and_then(|progress| verdict(Some(&progress)).err());
        match refusal {
            Some(refusal) => refusal,
            None => std::future::pending().await,
        }
    }

    /// The first reason is the one that counts; a group that is complete cannot fail.
    fn fail(&self, why: &str) {
        let members = self.group.wish.members;
        let failed = self.group.progress.send_if_modified(|progress| {
            let open = progress.failed.is_none() && progress.reached[Stage::Established as usize] < members;
            if open {
                progress.failed = Some(why.to_owned());
            }
            open
        });
        if failed {
            self.groups.forget(&self.group);
        }
    }

    fn is_complete(&self) -> bool {
        self.group.progress.borrow().reached[Stage::Established as usize] >= self.group.wish.members
    }
}

fn verdict(progress: Option<&Progress>) -> Result<(), Refusal> {
    progress.and_then(|progress| progress.failed.clone()).map_or(Ok(()), |why| Err(Refusal::AllOrNone(why)))
}

#[cfg(test)]
mod tests;
