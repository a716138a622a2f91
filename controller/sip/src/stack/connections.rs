//! How many connections there may be, from anywhere and from one address: a file descriptor each is not for strangers to exhaust. One counts from when it is
//! accepted, handshakes and all, until it is closed.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::Semaphore;

/// More connections than this and new ones are closed.
const MAX_CONNECTIONS: usize = 4096;

/// More connections than this from one address and new ones from there are closed.
const MAX_PER_ADDRESS: usize = 512;

/// More handshakes than this at once from one address and its others wait, and nobody else's.
const MAX_HANDSHAKES_PER_ADDRESS: usize = 32;

/// All of them.
#[derive(Default)]
pub(super) struct Connections(Mutex<HashMap<IpAddr, Share>>);

/// What one address has.
struct Share {
    count: usize,
    handshakes: Arc<Semaphore>,
}

/// One of them, until it is dropped.
pub(super) struct Counted {
    all: Arc<Connections>,
    from: IpAddr,
    /// Its address's handshakes that are not done.
    pub(super) handshakes: Arc<Semaphore>,
}

impl Connections {
    /// Counts one that a stranger has opened, if there is room for it.
    pub(super) fn admit(self: &Arc<Self>, from: IpAddr) -> Option<Counted> {
        let mut counts = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let count: usize = counts.values().map(|share| share.count).sum();
        if count >= MAX_CONNECTIONS || counts.get(&from).is_some_and(|share| share.count >= MAX_PER_ADDRESS) {
            return None;
        }
        Some(self.one_more(&mut counts, from))
    }

    /// Counts one that the gateway has opened.
    pub(super) fn count(self: &Arc<Self>, peer: IpAddr) -> Counted {
        self.one_more(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner), peer)
    }

    fn one_more(self: &Arc<Self>, counts: &mut HashMap<IpAddr, Share>, from: IpAddr) -> Counted {
        let new = || Share { count: 0, handshakes: Arc::new(Semaphore::new(MAX_HANDSHAKES_PER_ADDRESS)) };
        let share = counts.entry(from).or_insert_with(new);
        share.count += 1;
        Counted { all: Arc::clone(self), from, handshakes: Arc::clone(&share.handshakes) }
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        let mut counts = self.all.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(share) = counts.get_mut(&self.from) {
            share.count -= 1;
            if share.count == 0 {
                counts.remove(&self.from);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_address_has_its_share_and_all_have_theirs() {
        let all = Arc::new(Connections::default());
        let address = |host: u8| IpAddr::from([192, 0, 2, host]);
        let mut counted: Vec<_> = std::iter::from_fn(|| all.admit(address(1))).collect();
        assert_eq!(counted.len(), MAX_PER_ADDRESS);
        for host in 2..=255 {
            counted.extend(std::iter::from_fn(|| all.admit(address(host))));
        }
        assert_eq!(counted.len(), MAX_CONNECTIONS);
        counted.push(all.count(address(1)));
        counted.truncate(1);
        assert!(all.admit(address(1)).is_some());
        counted.clear();
        assert!(all.0.lock().unwrap().is_empty());
    }
}
