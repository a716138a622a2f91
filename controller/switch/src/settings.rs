//! What a [`Switch`](crate::Switch) is told about its router.

use std::num::NonZeroUsize;
use std::time::Duration;

use tonic::transport::Endpoint;

use crate::election::ElectionId;

/// Where a router is and how to deal with it.
#[derive(Debug, Clone)]
pub struct Settings {
    /// The router's P4Runtime server, with what TLS asks for, if it is used.
    pub endpoint: Endpoint,
    /// Its number there; one server may have several devices.
    pub device: u64,
    /// Our first bid for mastership. A router never makes a lower bid primary than it has seen, so when there is no primary any more
    /// we bid one more in the high half than the highest; the low half stays, and must be another for every gateway.
    pub election: ElectionId,
    /// What the target wants besides the P4Info: nothing for `svpn-forwarder`, the JSON for BMv2.
    pub device_config: Vec<u8>,
    /// Most updates in one call; what clears a counter of a session that goes comes with the update that deletes the session.
    pub batch: NonZeroUsize,
    /// The longest wait for the answer to a call, or for the next part of one.
    pub deadline: Duration,
    /// The longest wait for a pipeline to be in service; hardware takes its time.
    pub pipeline_deadline: Duration,
    /// Waits before trying again.
    pub backoff: Backoff,
    /// Most [`Event`](crate::Event)s that wait to be taken; more are shed.
    pub events: NonZeroUsize,
}

impl Settings {
    /// Usual settings: batches of 1,000 updates (about 100 kB, far below gRPC's 4 MiB), 10 s for a call, a minute for a pipeline;
    /// a router that was away is found within a second of its return.
    pub fn new(endpoint: Endpoint, device: u64, election: ElectionId) -> Self {
        Self {
            endpoint,
            device,
            election,
            device_config: Vec::new(),
            batch: NonZeroUsize::new(1000).unwrap_or(NonZeroUsize::MIN),
            deadline: Duration::from_secs(10),
            pipeline_deadline: Duration::from_mins(1),
            backoff: Backoff { first: Duration::from_millis(100), longest: Duration::from_secs(1) },
            events: NonZeroUsize::new(1024).unwrap_or(NonZeroUsize::MIN),
        }
    }
}

/// Waits that double from one failure to the next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Backoff {
    /// After the first failure.
    pub first: Duration,
    /// No wait is longer.
    pub longest: Duration,
}

/// Where in its sequence a [`Backoff`] is.
#[derive(Debug)]
pub(crate) struct Waits {
    backoff: Backoff,
    next: Duration,
}

impl Waits {
    pub(crate) fn new(backoff: Backoff) -> Self {
        Self { backoff, next: backoff.first }
    }

    /// After a success the sequence starts again.
    pub(crate) fn reset(&mut self) {
        self.next = self.backoff.first;
    }

    pub(crate) fn next(&mut self) -> Duration {
        let wait = self.next.min(self.backoff.longest);
        self.next = wait.saturating_mul(2);
        wait
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_double_up_to_the_longest_and_start_again() {
        let seconds = |wait: Duration| wait.as_secs();
        let mut waits = Waits::new(Backoff { first: Duration::from_secs(1), longest: Duration::from_secs(5) });
        assert_eq!([(); 5].map(|()| seconds(waits.next())), [1, 2, 4, 5, 5]);
        waits.reset();
        assert_eq!(seconds(waits.next()), 1);
    }
}
