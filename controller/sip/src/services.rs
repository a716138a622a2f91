//! What every handler needs.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use crate::address::Domain;
use crate::call::{Calls, Groups};
use crate::config::SessionTimer;
use crate::digest::Authenticator;
use crate::peers::Peers;
use crate::registrar::Registrar;
use crate::sessions::Sessions;
use crate::stack::Stack;

/// The server's parts.
pub(crate) struct Services<S: Sessions> {
    pub(crate) sessions: Arc<S>,
    pub(crate) stack: Stack,
    pub(crate) domain: Domain,
    pub(crate) calls: Calls,
    pub(crate) groups: Groups,
    pub(crate) ring_timeout: Duration,
    /// How long a session may take to follow an application to another CE.
    pub(crate) move_timeout: Duration,
    pub(crate) session_timer: SessionTimer,
    pub(crate) authenticator: Arc<Mutex<Authenticator>>,
    pub(crate) registrar: Mutex<Registrar>,
    pub(crate) peers: Peers,
}

impl<S: Sessions> Services<S> {
    pub(crate) fn authenticator(&self) -> MutexGuard<'_, Authenticator> {
        self.authenticator.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn registrar(&self) -> MutexGuard<'_, Registrar> {
        self.registrar.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
