//! What sessions carried, read from one router for many at once.
//!
//! Sessions that end together are read out together: whoever asks while a read is under way shares the next one.

use std::collections::BTreeMap;

use svpn_contract::wire::SessionId;
use svpn_switch::{ReadError, SessionCounters, Switch};
use tokio::sync::{mpsc, oneshot};

/// The most sessions of one read.
const TOGETHER: usize = 256;

/// Who has counted.
pub(crate) trait Source: Send + 'static {
    /// What these sessions carried; those that it does not have are left out.
    fn read(&self, sessions: &[SessionId]) -> impl Future<Output = Result<BTreeMap<SessionId, SessionCounters>, ReadError>> + Send;
}

impl Source for Switch {
    async fn read(&self, sessions: &[SessionId]) -> Result<BTreeMap<SessionId, SessionCounters>, ReadError> {
        self.session_counters(sessions).await
    }
}

/// Reads the counters of one router.
#[derive(Debug)]
pub(crate) struct Counting(mpsc::UnboundedSender<Asked>);

#[derive(Debug)]
struct Asked {
    session: SessionId,
    /// Dropped if the router does not answer.
    told: oneshot::Sender<Option<SessionCounters>>,
}

impl Counting {
    /// Begins to read when asked. Must be called within a tokio runtime.
    pub(crate) fn start(router: String, source: impl Source) -> Self {
        let (asked, asking) = mpsc::unbounded_channel();
        tokio::spawn(serve(router, source, asking));
        Self(asked)
    }

    /// What a session carried: `None` if the router does not answer now, `Some(None)` if it does not know the session.
    pub(crate) async fn count(&self, session: SessionId) -> Option<Option<SessionCounters>> {
        let (told, counters) = oneshot::channel();
        self.0.send(Asked { session, told }).ok()?;
        counters.await.ok()
    }
}

async fn serve(router: String, source: impl Source, mut asking: mpsc::UnboundedReceiver<Asked>) {
    let mut asked = Vec::new();
    while asking.recv_many(&mut asked, TOGETHER).await > 0 {
        let sessions: Vec<SessionId> = asked.iter().map(|asked| asked.session).collect();
        match source.read(&sessions).await {
            Ok(counters) => {
                for Asked { session, told } in asked.drain(..) {
                    let _nobody_waits = told.send(counters.get(&session).copied());
                }
            }
            Err(error) => {
                tracing::warn!(router, sessions = sessions.len(), %error, "the counters of sessions cannot be read now");
                asked.clear();
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use svpn_switch::{Count, State};
    use tokio::sync::Semaphore;

    use super::*;

    /// Notes what it is asked, and answers when it is let; it does not know session 13, and is away for who asks for session 99.
    #[derive(Clone)]
    struct Router {
        reads: Arc<Mutex<Vec<Vec<u32>>>>,
        let_go: Arc<Semaphore>,
    }

    fn counters(session: SessionId) -> SessionCounters {
        SessionCounters { offered: Count { packets: session.get().into(), bytes: 0 }, ..SessionCounters::default() }
    }

    impl Source for Router {
        async fn read(&self, sessions: &[SessionId]) -> Result<BTreeMap<SessionId, SessionCounters>, ReadError> {
            self.reads.lock().unwrap().push(sessions.iter().map(|session| session.get()).collect());
            self.let_go.acquire().await.unwrap().forget();
            if sessions.iter().any(|session| session.get() == 99) {
                return Err(ReadError::NotConnected(State::Disconnected));
            }
            Ok(sessions.iter().filter(|session| session.get() != 13).map(|&session| (session, counters(session))).collect())
        }
    }

    #[tokio::test]
    async fn who_asks_while_a_read_is_under_way_shares_the_next() {
        let router = Router { reads: Arc::default(), let_go: Arc::new(Semaphore::new(0)) };
        let counting = Counting::start("pe1".to_owned(), router.clone());
        let session = |number: u32| SessionId::new(number).unwrap();
        let ask = |number| counting.count(session(number));
        let all = async { tokio::join!(ask(1), ask(2), ask(13), ask(4)) };
        let answers = async {
            // The first read has begun, and all others have asked, before it ends.
            while router.reads.lock().unwrap().is_empty() {
                tokio::task::yield_now().await;
            }
            router.let_go.add_permits(2);
        };
        let ((first, second, unknown, last), ()) = tokio::join!(all, answers);
        assert_eq!((first, second), (Some(Some(counters(session(1)))), Some(Some(counters(session(2))))));
        assert_eq!((unknown, last), (Some(None), Some(Some(counters(session(4))))));
        let reads = router.reads.lock().unwrap().clone();
        assert_eq!(reads.concat(), [1, 2, 13, 4]);
        assert!(reads.len() <= 2, "{reads:?}");
    }

    #[tokio::test]
    async fn a_router_that_is_away_is_told_to_all_who_share_the_read_and_to_nobody_else() {
        let router = Router { reads: Arc::default(), let_go: Arc::new(Semaphore::new(9)) };
        let counting = Counting::start("pe1".to_owned(), router.clone());
        let session = |number: u32| SessionId::new(number).unwrap();
        let (away, shared) = tokio::join!(counting.count(session(99)), counting.count(session(1)));
        assert_eq!((away, shared), (None, None));
        assert_eq!(*router.reads.lock().unwrap(), [[99, 1]]);
        assert_eq!(counting.count(session(1)).await, Some(Some(counters(session(1)))));
    }
}
