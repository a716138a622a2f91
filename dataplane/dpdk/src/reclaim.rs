//! Freeing memory that workers read, after they have stopped reading it.
//!
//! Quiescent-state based reclamation, by DPDK's `rte_rcu_qsbr`: a worker announces once per burst that it holds no reference
//! into shared memory, which costs it one load and, when something was retired, one store. What the control thread has
//! unlinked is freed, on the control thread, once every worker that could have seen it has made the announcement.
//!
//! # Why it is sound
//!
//! A reader's references come from [`Published::read`](crate::Published::read) and borrow an [`Online`]. Announcing
//! ([`Online::quiescent`]) and ending ([`Online`]'s drop) need that `Online` exclusively, so the borrow checker proves that
//! no reference exists then. What remains is that a value is not freed while a reference taken before the announcement exists:
//!
//! 1. The writer unlinks the value (a swap), then calls `start`, which increments the domain's token with release order to `t`. The
//!    value is freed when `check(t)` is true, that is when every online reader's counter, read with acquire order, is ≥ t.
//! 2. A reader's counter becomes ≥ t only by copying a token ≥ t that it has read with acquire order (or, going online, with a
//!    fence behind it). Whatever it reads after that, it reads after the unlinking, so it does not find the value.
//!    What it has read before happens before the counter's release store, and so before the freeing; also where the check finds the
//!    counter of its next going online, which is a relaxed store behind a release fence of ours.
//! 3. A reader that is going online and the check may miss each other only if both their stores are late: the reader stores its counter
//!    and then reads the pointer, the writer swaps the pointer and then reads the counter. A sequentially consistent fence between the
//!    two steps on both sides (in `rte_rcu_qsbr_thread_online`, and in `Domain::start`) makes at least one see the other:
//!    either the check waits for the reader, or the reader finds the new value. The same holds for its registration.
//! 4. A reader that leaks its `Online` (`mem::forget`) stays online without announcing: memory is kept, never freed early.
//!    A reader holds the domain alive, so what is freed with the domain has no readers left.

use std::any::Any;
use std::collections::VecDeque;
use std::num::NonZeroU16;
use std::ptr::NonNull;
use std::sync::{Arc, PoisonError};

use thiserror::Error;

use crate::qsbr::Qsbr;
use crate::sync::{Mutex, MutexGuard, Ordering, fence};

/// The control thread's end: makes readers and frees what they can no longer see.
#[derive(Debug)]
pub struct Reclaimer {
    domain: Arc<Domain>,
}

/// A reader's place in a domain, to be moved into the thread that reads. It holds nothing up until it is [`Reader::online`].
// Invariant: `thread` is registered with the domain and belongs to this Reader alone.
#[derive(Debug)]
pub struct Reader {
    domain: Arc<Domain>,
    thread: u32,
}

/// A reader that may hold references; reclamation waits for it.
///
/// Call [`Online::quiescent`] regularly (at each burst's end, packets or not); drop it before blocking.
#[derive(Debug)]
pub struct Online<'a> {
    reader: &'a mut Reader,
}

/// A moment from which readers' announcements are awaited; made by [`Reclaimer::start`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct GracePeriod(u64);

/// All readers the domain was made for exist.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error("the reclaimer was made for {most} readers, and they all exist")]
pub struct TooManyReaders {
    /// Readers there can be at once.
    pub most: NonZeroU16,
}

impl Reclaimer {
    /// A domain for at most `most` readers at once.
    pub fn new(most: NonZeroU16) -> Self {
        Self { domain: Arc::new(Domain::new(most)) }
    }

    /// Makes a reader.
    pub fn reader(&self) -> Result<Reader, TooManyReaders> {
        let thread = self.domain.register()?;
        Ok(Reader { domain: Arc::clone(&self.domain), thread })
    }

    /// Begins a grace period: what was unlinked before is out of every reader's sight once it [`Reclaimer::is_over`].
    ///
    /// For things that are no memory to free, such as the index of a slot to use again; for memory there is [`Reclaimer::retire`].
    pub fn start(&self) -> GracePeriod {
        self.domain.start()
    }

    /// Whether every reader that was online when `period` began has been quiescent or offline since. Does not wait.
    pub fn is_over(&self, period: GracePeriod) -> bool {
        self.domain.is_over(period)
    }

    /// Keeps a value, which was unlinked from what readers see, until it can be dropped by [`Reclaimer::reclaim`].
    pub fn retire<T: Send + 'static>(&self, value: Box<T>) {
        let value = NonNull::from(Box::leak(value));
        // SAFETY: came from a Box, which is given up here.
        unsafe { self.domain.retire(value) };
    }

    /// Drops, on this thread, what was retired and is out of every reader's sight; returns how many values. Does not wait.
    pub fn reclaim(&mut self) -> usize {
        self.domain.reclaim()
    }

    /// Values retired and not yet dropped.
    pub fn pending(&self) -> usize {
        self.domain.books().retired.len()
    }

    pub(crate) fn domain(&self) -> &Arc<Domain> {
        &self.domain
    }
}

impl Reader {
    /// Starts reading.
    pub fn online(&mut self) -> Online<'_> {
        self.report_online();
        Online { reader: self }
    }

    fn report_online(&mut self) {
        // Point 2 of the argument above: whoever finds this counter, whose store is relaxed, finds what was read before done.
        fence(Ordering::Release);
        // `thread` is registered and only this reader reports for it. No reference taken in an earlier, leaked Online is
        // left: it would borrow this reader.
        self.domain.qsbr.online(self.thread);
    }
}

impl Drop for Reader {
    fn drop(&mut self) {
        self.domain.unregister(self.thread);
    }
}

impl Online<'_> {
    /// Announces that this reader holds no reference; `&mut` is the proof. So this does not compile:
    ///
    /// ```compile_fail,E0502
    /// # use std::num::NonZeroU16;
    /// # use svpn_dpdk::{Publisher, Reclaimer};
    /// let reclaimer = Reclaimer::new(NonZeroU16::MIN);
    /// let table = Publisher::new(&reclaimer, Box::new(7)).subscribe();
    /// let mut reader = reclaimer.reader().unwrap();
    /// let mut online = reader.online();
    /// let value = table.read(&online);
    /// online.quiescent();
    /// println!("{value}");
    /// ```
    #[inline]
    pub fn quiescent(&mut self) {
        // `thread` is registered and online, and only this reader reports for it.
        self.reader.domain.qsbr.quiescent(self.reader.thread);
    }

    /// Is offline while `rest` runs, which may block: reclamation does not wait for it.
    pub fn rest<R>(&mut self, rest: impl FnOnce() -> R) -> R {
        // As in `quiescent`; `&mut` is the proof that this reader holds no reference now.
        self.reader.domain.qsbr.offline(self.reader.thread);
        let result = rest();
        self.reader.report_online();
        result
    }

    /// Whether this reader's announcements count in `domain`.
    #[inline]
    pub(crate) fn is_in(&self, domain: &Arc<Domain>) -> bool {
        Arc::ptr_eq(&self.reader.domain, domain)
    }
}

impl Drop for Online<'_> {
    fn drop(&mut self) {
        // As in `quiescent`; references borrow the Online, so none is left.
        self.reader.domain.qsbr.offline(self.reader.thread);
    }
}

/// What reclaimer, readers and publishers share.
// Invariant: what reports for a thread number, but for its going away, is that number's Reader.
pub(crate) struct Domain {
    qsbr: Qsbr,
    most: NonZeroU16,
    books: Mutex<Books>,
}

/// The control threads' records.
struct Books {
    /// Which thread numbers are registered.
    registered: Vec<bool>,
    /// Retired values, by rising grace period.
    retired: VecDeque<(GracePeriod, Retired)>,
}

/// A value to be dropped. No `Box` yet: one may not exist next to the references that readers still hold.
// Invariant: came from Box::into_raw and is owned by this.
struct Retired(NonNull<dyn Any + Send>);

// SAFETY: owns a value that is Send.
unsafe impl Send for Retired {}

impl Drop for Retired {
    fn drop(&mut self) {
        // SAFETY: came from Box::into_raw; dropped when the grace period is over, or with the domain, which readers keep.
        drop(unsafe { Box::from_raw(self.0.as_ptr()) });
    }
}

impl Domain {
    fn new(most: NonZeroU16) -> Self {
        let books = Books { registered: vec![false; usize::from(most.get())], retired: VecDeque::new() };
        Self { qsbr: Qsbr::new(most), most, books: Mutex::new(books) }
    }

    fn books(&self) -> MutexGuard<'_, Books> {
        // No code of a caller runs under the lock, so a panic there leaves whole records.
        self.books.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn register(&self) -> Result<u32, TooManyReaders> {
        let mut books = self.books();
        for (thread, registered) in (0..).zip(&mut books.registered) {
            if !*registered {
                *registered = true;
                self.qsbr.register(thread);
                return Ok(thread);
            }
        }
        Err(TooManyReaders { most: self.most })
    }

    fn unregister(&self, thread: u32) {
        let mut books = self.books();
        // `thread` is registered, and its Reader, with whatever borrowed it, is gone; offline even if its Online was leaked.
        self.qsbr.offline(thread);
        self.qsbr.unregister(thread);
        if let Some(registered) = books.registered.get_mut(thread as usize) {
            *registered = false;
        }
    }

    fn start(&self) -> GracePeriod {
        // Point 3 of the argument above; rte_rcu_qsbr_start has release order only.
        fence(Ordering::SeqCst);
        GracePeriod(self.qsbr.start())
    }

    fn is_over(&self, period: GracePeriod) -> bool {
        self.qsbr.is_over(period.0)
    }

    /// # Safety
    /// `value` came from a Box and the caller gives it up. Only readers that are online now hold references to it, borrowed from
    /// their `Online`.
    pub(crate) unsafe fn retire(&self, value: NonNull<dyn Any + Send>) {
        let mut books = self.books();
        // Under the lock, so that periods rise along the queue.
        let period = self.start();
        books.retired.push_back((period, Retired(value)));
    }

    fn reclaim(&self) -> usize {
        let mut free = Vec::new();
        let mut books = self.books();
        while let Some((period, _)) = books.retired.front()
            && self.is_over(*period)
            && let Some((_, value)) = books.retired.pop_front()
        {
            free.push(value);
        }
        // Dropping a value may run code that retires another.
        drop(books);
        free.len()
    }
}

impl std::fmt::Debug for Domain {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("Domain").field("most", &self.most).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::AtomicU64;

    use proptest::prelude::*;

    use super::*;

    /// Records its number when dropped.
    struct Traced(u32, Arc<Mutex<Vec<u32>>>);

    impl Drop for Traced {
        fn drop(&mut self) {
            self.1.lock().unwrap().push(self.0);
        }
    }

    fn reclaimer(most: u16) -> Reclaimer {
        Reclaimer::new(NonZeroU16::new(most).unwrap())
    }

    #[test]
    fn readers_are_limited_and_their_places_used_again() {
        let reclaimer = reclaimer(2);
        let first = reclaimer.reader().unwrap();
        let second = reclaimer.reader().unwrap();
        let most = NonZeroU16::new(2).unwrap();
        assert_eq!(reclaimer.reader().unwrap_err(), TooManyReaders { most });
        drop(first);
        let third = reclaimer.reader().unwrap();
        assert_ne!(second.thread, third.thread);
        assert!(reclaimer.reader().is_err());
    }

    #[test]
    fn a_leaked_online_keeps_memory_and_a_dropped_reader_frees_it() {
        let mut reclaimer = reclaimer(1);
        let mut reader = reclaimer.reader().unwrap();
        std::mem::forget(reader.online());
        reclaimer.retire(Box::new(1));
        assert_eq!((reclaimer.reclaim(), reclaimer.pending()), (0, 1));
        drop(reader);
        assert_eq!((reclaimer.reclaim(), reclaimer.pending()), (1, 0));
    }

    #[test]
    fn going_offline_lets_go_and_coming_back_holds_again() {
        let mut reclaimer = reclaimer(2);
        let mut reader = reclaimer.reader().unwrap();
        let online = reader.online();
        reclaimer.retire(Box::new(1));
        assert_eq!(reclaimer.reclaim(), 0);
        drop(online);
        let period = reclaimer.start();
        let online = reader.online();
        // It came back after both were out of its sight.
        assert_eq!(reclaimer.reclaim(), 1);
        assert!(reclaimer.is_over(period));
        reclaimer.retire(Box::new(2));
        let later = reclaimer.start();
        assert_eq!(reclaimer.reclaim(), 0);
        assert!(!reclaimer.is_over(later));
        drop(online);
        assert!(reclaimer.is_over(later));
        assert_eq!(reclaimer.reclaim(), 1);
    }

    #[test]
    fn who_rests_holds_nothing_up_and_who_is_back_does() {
        let mut reclaimer = reclaimer(1);
        let mut reader = reclaimer.reader().unwrap();
        let mut online = reader.online();
        reclaimer.retire(Box::new(1));
        assert_eq!(reclaimer.reclaim(), 0);
        assert_eq!(online.rest(|| reclaimer.reclaim()), 1);
        reclaimer.retire(Box::new(2));
        assert_eq!(reclaimer.reclaim(), 0);
        drop(online);
        assert_eq!(reclaimer.reclaim(), 1);
    }

    #[test]
    fn a_retired_value_may_retire_another() {
        struct Chain(Arc<Domain>, Arc<AtomicU64>);
        impl Drop for Chain {
            fn drop(&mut self) {
                self.1.fetch_add(1, Ordering::Relaxed);
                let value = NonNull::from(Box::leak(Box::new(0_u8)));
                // SAFETY: from a Box, and no reader has seen it.
                unsafe { self.0.retire(value) };
            }
        }
        let mut reclaimer = reclaimer(1);
        let dropped = Arc::new(AtomicU64::new(0));
        reclaimer.retire(Box::new(Chain(Arc::clone(reclaimer.domain()), Arc::clone(&dropped))));
        assert_eq!(reclaimer.reclaim(), 1);
        assert_eq!((dropped.load(Ordering::Relaxed), reclaimer.pending()), (1, 1));
        assert_eq!(reclaimer.reclaim(), 1);
    }

    #[derive(Debug, Clone)]
    enum Step {
        Online(usize),
        Quiescent(usize),
        Offline(usize),
        Retire,
        Reclaim,
    }

    fn steps() -> impl Strategy<Value = Vec<Step>> {
        let step = prop_oneof![
            (0..3_usize).prop_map(Step::Online),
            (0..3_usize).prop_map(Step::Quiescent),
            (0..3_usize).prop_map(Step::Offline),
            Just(Step::Retire),
            Just(Step::Reclaim),
        ];
        prop::collection::vec(step, 0..60)
    }

    /// Strikes a reader from what each value waits for.
    fn let_go(waiting: &mut [Vec<usize>], reader: usize) {
        for readers in waiting {
            readers.retain(|&other| other != reader);
        }
    }

    proptest! {
        /// A retired value is freed by the first reclaim after every reader that was online at its retirement has been
        /// quiescent or offline, and not before; values are freed in order of retirement.
        #[test]
        fn values_are_freed_when_their_readers_let_go(steps in steps()) {
            let mut reclaimer = reclaimer(3);
            let freed = Arc::new(Mutex::new(Vec::new()));
            let mut readers: Vec<Reader> = (0..3).map(|_| reclaimer.reader().unwrap()).collect();
            let mut online: Vec<Option<Online<'_>>> = readers.iter().map(|_| None).collect();
            let mut places: Vec<Option<&mut Reader>> = readers.iter_mut().map(Some).collect();
            // The model: for each value, the readers it still waits for.
            let mut waiting: Vec<Vec<usize>> = Vec::new();
            let mut expected = 0;
            for step in steps {
                match step {
                    Step::Online(reader) => {
                        if let Some(place) = places[reader].take() {
                            online[reader] = Some(place.online());
                        }
                    }
                    Step::Quiescent(reader) => {
                        if let Some(online) = &mut online[reader] {
                            online.quiescent();
                            let_go(&mut waiting, reader);
                        }
                    }
                    Step::Offline(reader) => {
                        if online[reader].take().is_some() {
                            let_go(&mut waiting, reader);
                        }
                    }
                    Step::Retire => {
                        let number = u32::try_from(waiting.len()).unwrap();
                        reclaimer.retire(Box::new(Traced(number, Arc::clone(&freed))));
                        waiting.push((0..3).filter(|&reader| online[reader].is_some()).collect());
                    }
                    Step::Reclaim => {
                        let free = waiting[expected..].iter().take_while(|readers| readers.is_empty()).count();
                        prop_assert_eq!(reclaimer.reclaim(), free);
                        expected += free;
                    }
                }
                let freed = freed.lock().unwrap();
                prop_assert!(freed.iter().copied().eq(0..u32::try_from(expected).unwrap()), "{:?}", freed);
            }
        }
    }
}
