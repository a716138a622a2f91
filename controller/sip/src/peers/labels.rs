//! Label mappings: those that came before anybody asked, and those that are waited for.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use svpn_vpn::request::Mapping;
use tokio::sync::watch;

use super::SessionId;

/// More mappings than this that nobody waits for are refused.
const MAX_EARLY: usize = 4096;
/// One that nobody has waited for by then is forgotten: its INVITE does not come any more.
const EARLY: Duration = Duration::from_secs(64);

/// A session, as a peer knows it.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct Key {
    /// The peer's domain.
    pub(crate) peer: String,
    pub(crate) session: SessionId,
}

/// Why a mapping is not taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum LabelError {
    #[error("another label was mapped to the session before")]
    Another,
    #[error("too many labels were mapped to sessions that nobody has asked for")]
    TooMany,
}

#[derive(Debug)]
struct Mapped {
    told: watch::Sender<Option<Mapping>>,
    /// When it came, where nobody waits for it.
    early: Option<Instant>,
}

/// What peers have mapped, as long as it is of interest.
#[derive(Debug, Default)]
pub(crate) struct Labels(Mutex<HashMap<Key, Mapped>>);

/// A mapping that is waited for; dropped, it is forgotten.
#[derive(Debug)]
pub(crate) struct Expected {
    labels: Arc<Labels>,
    key: Key,
    told: watch::Receiver<Option<Mapping>>,
}

impl Labels {
    /// A mapping came. The same one again is as good as once.
    pub(crate) fn arrived(&self, key: Key, mapping: Mapping, now: Instant) -> Result<(), LabelError> {
        let mut known = self.known();
        known.retain(|_, mapped| mapped.early.is_none_or(|since| now.saturating_duration_since(since) < EARLY));
        let early = known.values().filter(|mapped| mapped.early.is_some()).count();
        match known.entry(key) {
            Entry::Vacant(_) if early >= MAX_EARLY => Err(LabelError::TooMany),
            Entry::Vacant(vacant) => {
                vacant.insert(Mapped { told: watch::Sender::new(Some(mapping)), early: Some(now) });
                Ok(())
            }
            Entry::Occupied(known) => {
                let told = &known.get().told;
                if told.borrow().as_ref().is_some_and(|before| *before != mapping) {
                    return Err(LabelError::Another);
                }
                told.send_replace(Some(mapping));
                Ok(())
            }
        }
    }

    /// Waits for a mapping from now on; one that came before is there.
    pub(crate) fn wait_for(self: &Arc<Self>, key: Key) -> Expected {
        let mut known = self.known();
        let mapped = known.entry(key.clone()).or_insert_with(|| Mapped { told: watch::Sender::new(None), early: None });
        mapped.early = None;
        let told = mapped.told.subscribe();
        Expected { labels: Arc::clone(self), key, told }
    }

    fn known(&self) -> MutexGuard<'_, HashMap<Key, Mapped>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Expected {
    /// The mapping, or nothing if it does not come in time.
    pub(crate) async fn within(&mut self, limit: Duration) -> Option<Mapping> {
        let told = tokio::time::timeout(limit, self.told.wait_for(Option::is_some)).await;
        // The sender is in the table as long as this is.
        told.ok()?.ok()?.clone()
    }
}

impl Drop for Expected {
    fn drop(&mut self) {
        self.labels.known().remove(&self.key);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use svpn_vpn::request::{CeName, Label};

    const SOON: Duration = Duration::from_secs(10);

    fn key(session: &str) -> Key {
        Key { peer: "b.example".to_owned(), session: SessionId(session.to_owned()) }
    }

    fn mapping(label: u32) -> Mapping {
        Mapping { nni: CeName("a-b".to_owned()), label: Label::new(label).unwrap() }
    }

    #[tokio::test]
    async fn a_mapping_is_found_whichever_comes_first_and_however_often() {
        let (labels, now) = (Arc::new(Labels::default()), Instant::now());
        labels.arrived(key("1"), mapping(20), now).unwrap();
        labels.arrived(key("1"), mapping(20), now).unwrap();
        let mut early = labels.wait_for(key("1"));
        assert_eq!(early.within(SOON).await, Some(mapping(20)));
        let mut late = labels.wait_for(key("2"));
        let (came, ()) = tokio::join!(late.within(SOON), async {
            labels.arrived(key("2"), mapping(30), now).unwrap();
            labels.arrived(key("2"), mapping(30), now).unwrap();
        });
        assert_eq!(came, Some(mapping(30)));
        assert_eq!(labels.arrived(key("2"), mapping(31), now), Err(LabelError::Another));
        assert_eq!(labels.wait_for(key("3")).within(Duration::from_millis(1)).await, None);
        drop((early, late));
        assert!(labels.known().is_empty(), "nothing is left behind");
    }

    #[test]
    fn mappings_nobody_asks_for_are_forgotten_and_few() {
        let (labels, now) = (Arc::new(Labels::default()), Instant::now());
        let waiting = labels.wait_for(key("waiting"));
        for number in 0..MAX_EARLY {
            labels.arrived(key(&number.to_string()), mapping(20), now).unwrap();
        }
        assert_eq!(labels.arrived(key("more"), mapping(20), now), Err(LabelError::TooMany));
        labels.arrived(key("waiting"), mapping(21), now).unwrap();
        labels.arrived(key("more"), mapping(20), now + EARLY).unwrap();
        assert_eq!(labels.known().len(), 2, "one that is waited for, and one that is new");
        drop(waiting);
    }
}
