//! What is to be written to one router, in order.
//!
//! Plans build on one another, so each must reach a router after those that were made before it; but they need not wait for one another
//! to be made, journalled and written elsewhere. So whoever makes a plan takes a place in the queue of every router it touches, while it
//! has the plan to itself, and says later when each place's turn may come. A router carries its places out in order; places that are
//! ready together share one call.
//!
//! What a plan takes away is taken away whatever becomes of the rest of it: who decided it has forgotten it already.

use std::future::Future;
use std::sync::Arc;

use svpn_contract::Update;
use svpn_switch::{Switch, WriteError};
use tokio::sync::{mpsc, oneshot};

/// The most updates of several places in one call.
const TOGETHER: usize = 256;

/// What a router is told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Work {
    /// Updates that are all carried out, or none.
    Write(Vec<Update>),
    /// Updates that the router gets now or when it is back.
    Apply(Vec<Update>),
}

/// Who carries work out.
pub(crate) trait Target: Clone + Send + Sync + 'static {
    /// Carries out all updates or none.
    fn write(&self, updates: &[Update]) -> impl Future<Output = Result<(), WriteError>> + Send;
    /// Carries out updates sooner or later.
    fn apply(&self, updates: &[Update]) -> impl Future<Output = Result<(), WriteError>> + Send;
}

impl Target for Switch {
    async fn write(&self, updates: &[Update]) -> Result<(), WriteError> {
        Self::write(self, updates).await
    }

    async fn apply(&self, updates: &[Update]) -> Result<(), WriteError> {
        Self::apply(self, updates).await
    }
}

/// Why work was not carried out.
#[derive(Debug, Clone, thiserror::Error)]
pub(crate) enum WorkError {
    /// The router did not take it.
    #[error(transparent)]
    Refused(Arc<WriteError>),
    /// The gateway is going down.
    #[error("the gateway is stopping")]
    Stopping,
}

/// A router's queue; clones are the same.
#[derive(Debug, Clone)]
pub(crate) struct Queue(mpsc::UnboundedSender<Place>);

#[derive(Debug)]
struct Place {
    work: Work,
    turn: oneshot::Receiver<()>,
    done: oneshot::Sender<Result<(), WorkError>>,
}

/// A place in a queue. What is behind it waits until [`Ticket::carry_out`] is called, or the ticket dropped: then its work is left out.
#[derive(Debug)]
#[must_use = "all that is behind it in the queue waits"]
pub(crate) struct Ticket {
    turn: oneshot::Sender<()>,
    done: oneshot::Receiver<Result<(), WorkError>>,
}

impl Ticket {
    /// Lets the work be done as soon as all before it is, and waits for it.
    pub(crate) async fn carry_out(self) -> Result<(), WorkError> {
        // A queue that is gone drops the other sender, too.
        let _gone = self.turn.send(());
        self.done.await.unwrap_or(Err(WorkError::Stopping))
    }
}

impl Queue {
    /// A queue for a router. Must be called within a tokio runtime.
    pub(crate) fn start(target: impl Target) -> Self {
        let (sender, places) = mpsc::unbounded_channel();
        tokio::spawn(serve(target, places));
        Self(sender)
    }

    /// Takes the next place. Does not wait.
    pub(crate) fn take(&self, work: Work) -> Ticket {
        let ((turn, mine), (done, told)) = (oneshot::channel(), oneshot::channel());
        // A queue that is gone drops what it is sent, which the ticket tells.
        let _gone = self.0.send(Place { work, turn: mine, done });
        Ticket { turn, done: told }
    }
}

async fn serve(target: impl Target, mut places: mpsc::UnboundedReceiver<Place>) {
    let mut next = places.recv().await;
    while let Some(mut place) = next.take() {
        if (&mut place.turn).await.is_err() {
            take_away(&target, &place.work).await;
            next = places.recv().await;
            continue;
        }
        let mut given_up = Vec::new();
        match place.work {
            Work::Apply(updates) => {
                let mut group = vec![(updates, place.done)];
                next = join(Kind::Apply, &mut group, &mut places, &mut given_up);
                apply(&target, group).await;
            }
            Work::Write(updates) => {
                let mut group = vec![(updates, place.done)];
                next = join(Kind::Write, &mut group, &mut places, &mut given_up);
                write(&target, group).await;
            }
        }
        for work in &given_up {
            take_away(&target, work).await;
        }
        if next.is_none() {
            next = places.recv().await;
        }
    }
}

type Group = Vec<(Vec<Update>, oneshot::Sender<Result<(), WorkError>>)>;

/// What is carried out together is of one kind.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Write,
    Apply,
}

impl Work {
    fn kind(&self) -> Kind {
        match self {
            Self::Write(_) => Kind::Write,
            Self::Apply(_) => Kind::Apply,
        }
    }

    fn updates(&self) -> &[Update] {
        let (Self::Write(updates) | Self::Apply(updates)) = self;
        updates
    }
}

/// Adds the work of the same kind whose turn has come, too, and sets aside what was given up; what is behind them is returned.
fn join(kind: Kind, group: &mut Group, places: &mut mpsc::UnboundedReceiver<Place>, given_up: &mut Vec<Work>) -> Option<Place> {
    let mut together = group.iter().map(|(updates, _)| updates.len()).sum::<usize>();
    while let Ok(mut place) = places.try_recv() {
        match (place.turn.try_recv(), place.work) {
            (Err(oneshot::error::TryRecvError::Closed), work) => given_up.push(work),
            (Ok(()), work) if work.kind() == kind && together + work.updates().len() <= TOGETHER => {
                let (Work::Write(updates) | Work::Apply(updates)) = work;
                together += updates.len();
                group.push((updates, place.done));
            }
            (Ok(()), work) => {
                // Its turn has come already: it is given a turn that has.
                let (turn, come) = oneshot::channel();
                let _kept = turn.send(());
                return Some(Place { work, turn: come, done: place.done });
            }
            (Err(oneshot::error::TryRecvError::Empty), work) => return Some(Place { work, ..place }),
        }
    }
    None
}

/// Where a router does not take all of it, it is put right when it answers, so it is the same to everybody.
async fn apply(target: &impl Target, group: Group) {
    let (updates, waiting): (Vec<_>, Vec<_>) = group.into_iter().unzip();
    let applied = target.apply(&updates.concat()).await.map_err(|error| WorkError::Refused(Arc::new(error)));
    for done in waiting {
        let _nobody_waits = done.send(applied.clone());
    }
}

async fn write(target: &impl Target, group: Group) {
    if group.len() > 1 {
        let all: Vec<Update> = group.iter().flat_map(|(updates, _)| updates).cloned().collect();
        if target.write(&all).await.is_ok() {
            for (_, done) in group {
                let _nobody_waits = done.send(Ok(()));
            }
            return;
        }
    }
    // Whoever is refused spoils nothing for the others.
    for (updates, done) in group {
        let written = target.write(&updates).await;
        let refused = written.is_err();
        let _nobody_waits = done.send(written.map_err(|error| WorkError::Refused(Arc::new(error))));
        if refused {
            take_away(target, &Work::Write(updates)).await;
        }
    }
}

/// Of work that is not done, what takes entries away.
async fn take_away(target: &impl Target, work: &Work) {
    let deletions: Vec<_> = work.updates().iter().filter(|update| matches!(update, Update::Delete(_))).cloned().collect();
    if !deletions.is_empty()
        && let Err(error) = target.apply(&deletions).await
    {
        tracing::debug!(%error, "not taken away yet: the router is put right when it answers");
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use svpn_contract::wire::{Class, Label, SessionId, TunnelId};
    use svpn_contract::{EntryKey, SessionAction, SessionEntry, SessionKey};
    use svpn_switch::State;

    use super::*;

    /// Notes what it is told; it refuses every batch with session 13.
    #[derive(Debug, Clone, Default)]
    struct Router {
        calls: Arc<Mutex<Vec<Vec<u32>>>>,
    }

    fn key(session: u32) -> SessionKey {
        SessionKey { session: SessionId::new(session).unwrap() }
    }

    fn deletions(sessions: &[u32]) -> Vec<Update> {
        sessions.iter().map(|&session| Update::Delete(key(session).into())).collect()
    }

    fn insertions(sessions: &[u32]) -> Vec<Update> {
        let carry = SessionAction::Carry { tunnel: TunnelId::MAX, vpn_label: Label::MAX, class: Class::MAX };
        let entry = |&session: &u32| SessionEntry { key: key(session), action: carry, meter: None };
        sessions.iter().map(|session| Update::Insert(entry(session).into())).collect()
    }

    fn work(sessions: &[u32]) -> Work {
        Work::Write(insertions(sessions))
    }

    fn sessions(updates: &[Update]) -> impl Iterator<Item = u32> {
        updates.iter().map(|update| match update.key() {
            EntryKey::Session(key) => key.session.get(),
            other => panic!("{other:?}"),
        })
    }

    impl Target for Router {
        async fn write(&self, updates: &[Update]) -> Result<(), WriteError> {
            let told: Vec<u32> = sessions(updates).collect();
            let refused = told.contains(&13);
            self.calls.lock().unwrap().push(told);
            if refused { Err(WriteError::NotReady(State::Disconnected)) } else { Ok(()) }
        }

        async fn apply(&self, updates: &[Update]) -> Result<(), WriteError> {
            self.calls.lock().unwrap().push(sessions(updates).map(|session| 100 + session).collect());
            Ok(())
        }
    }

    impl Router {
        fn told(&self) -> Vec<Vec<u32>> {
            std::mem::take(&mut self.calls.lock().unwrap())
        }
    }

    #[tokio::test]
    async fn turns_come_in_the_order_of_the_places() {
        let router = Router::default();
        let queue = Queue::start(router.clone());
        let (first, second, third) = (queue.take(work(&[1])), queue.take(work(&[2])), queue.take(work(&[3])));
        let later = tokio::spawn(async move { (third.carry_out().await.is_ok(), second.carry_out().await.is_ok()) });
        tokio::task::yield_now().await;
        assert_eq!(router.told(), Vec::<Vec<u32>>::new(), "the first has not said that it is ready");
        first.carry_out().await.unwrap();
        // The third waits for the second, whose owner waits for the third: it is given up.
        later.abort();
        assert_eq!(router.told(), [[1]]);
        let fourth = queue.take(work(&[4]));
        assert!(later.await.is_err());
        fourth.carry_out().await.unwrap();
        // The third was allowed before its owner gave up; the second never was.
        assert_eq!(router.told().concat(), [3, 4]);
    }

    #[tokio::test]
    async fn what_is_ready_together_is_written_together() {
        let router = Router::default();
        let queue = Queue::start(router.clone());
        let blocker = queue.take(work(&[1]));
        let tickets: Vec<_> = (2..6).map(|session| queue.take(work(&[session]))).collect();
        let dropped = queue.take(work(&[6]));
        let last = queue.take(work(&[7, 8]));
        let waiting: Vec<_> = tickets.into_iter().map(|ticket| tokio::spawn(ticket.carry_out())).collect();
        let last = tokio::spawn(last.carry_out());
        drop(dropped);
        tokio::task::yield_now().await;
        blocker.carry_out().await.unwrap();
        for ticket in waiting {
            ticket.await.unwrap().unwrap();
        }
        last.await.unwrap().unwrap();
        let told = router.told();
        assert_eq!(told.concat(), [1, 2, 3, 4, 5, 7, 8]);
        assert!(told.len() <= 2, "{told:?}");
    }

    #[tokio::test]
    async fn one_refusal_is_one_refusal() {
        let router = Router::default();
        let queue = Queue::start(router.clone());
        let blocker = queue.take(work(&[1]));
        let waiting: Vec<_> = [2, 13, 4].map(|session| tokio::spawn(queue.take(work(&[session])).carry_out())).into_iter().collect();
        tokio::task::yield_now().await;
        blocker.carry_out().await.unwrap();
        let mut outcomes = Vec::new();
        for ticket in waiting {
            outcomes.push(ticket.await.unwrap().is_ok());
        }
        assert_eq!(outcomes, [true, false, true]);
    }

    #[tokio::test]
    async fn what_is_applied_keeps_its_place() {
        let router = Router::default();
        let queue = Queue::start(router.clone());
        let tickets = [queue.take(work(&[1])), queue.take(Work::Apply(deletions(&[2]))), queue.take(work(&[3]))];
        let waiting: Vec<_> = tickets.into_iter().map(|ticket| tokio::spawn(ticket.carry_out())).collect();
        for ticket in waiting {
            ticket.await.unwrap().unwrap();
        }
        assert_eq!(router.told(), [vec![1], vec![102], vec![3]]);
    }

    #[tokio::test]
    async fn what_is_applied_one_after_the_other_is_applied_together() {
        let router = Router::default();
        let queue = Queue::start(router.clone());
        let blocker = queue.take(work(&[1]));
        let mut tickets: Vec<_> = (2..6).map(|session| queue.take(Work::Apply(deletions(&[session])))).collect();
        tickets.push(queue.take(work(&[6])));
        let waiting: Vec<_> = tickets.into_iter().map(|ticket| tokio::spawn(ticket.carry_out())).collect();
        tokio::task::yield_now().await;
        blocker.carry_out().await.unwrap();
        for ticket in waiting {
            ticket.await.unwrap().unwrap();
        }
        assert_eq!(router.told(), [vec![1], vec![102, 103, 104, 105], vec![6]]);
    }

    #[tokio::test]
    async fn what_is_taken_away_goes_whatever_becomes_of_the_rest() {
        let router = Router::default();
        let queue = Queue::start(router.clone());
        let refused = queue.take(Work::Write([deletions(&[1]), insertions(&[13])].concat()));
        let given_up = queue.take(Work::Write([deletions(&[2]), insertions(&[3])].concat()));
        let last = queue.take(work(&[4]));
        drop(given_up);
        assert!(refused.carry_out().await.is_err());
        last.carry_out().await.unwrap();
        assert_eq!(router.told(), [vec![1, 13], vec![101], vec![102], vec![4]]);
    }
}
