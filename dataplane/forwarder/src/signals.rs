//! What signals do: SIGTERM and SIGINT stop the program in order and, sent again, at once; SIGHUP reopens the log and tells of the ports.

use std::io;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock, Weak};

use svpn_forwarder::Router;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio_util::sync::{CancellationToken, WaitForCancellationFutureOwned};

use crate::link;
use crate::logging::LogFile;

/// What a shell adds to a signal's number when a program ends by it.
const BY_SIGNAL: i32 = 128;

/// Signals, from now to the end of the process.
pub(crate) struct Signals {
    stop: CancellationToken,
    router: Arc<OnceLock<Weak<Router>>>,
}

impl Signals {
    /// Begins to take signals. To be called in a runtime.
    ///
    /// # Errors
    /// The system's.
    pub(crate) fn start(log: Option<LogFile>) -> io::Result<Self> {
        let signals = Self { stop: CancellationToken::new(), router: Arc::default() };
        let terminate = signal(SignalKind::terminate())?;
        let interrupt = signal(SignalKind::interrupt())?;
        let mut hang_up = signal(SignalKind::hangup())?;
        let asked = Arc::new(AtomicBool::new(false));
        tokio::spawn(end(terminate, "SIGTERM", SignalKind::terminate(), Arc::clone(&asked), signals.stop.clone()));
        tokio::spawn(end(interrupt, "SIGINT", SignalKind::interrupt(), asked, signals.stop.clone()));
        let router = Arc::clone(&signals.router);
        tokio::spawn(async move {
            while hang_up.recv().await.is_some() {
                reopen(log.as_ref());
                if let Some(router) = router.get().and_then(Weak::upgrade) {
                    tell(&router);
                }
            }
        });
        Ok(signals)
    }

    /// Tells of this router on a hang-up, as long as it lives.
    pub(crate) fn watch(&self, router: &Arc<Router>) {
        // There is one router in a process.
        self.router.get_or_init(|| Arc::downgrade(router));
    }

    /// Ready when the program is to stop.
    pub(crate) fn stop(&self) -> WaitForCancellationFutureOwned {
        self.stop.clone().cancelled_owned()
    }
}

/// The first signal stops in order, a second one of either kind at once.
async fn end(mut signal: Signal, name: &'static str, kind: SignalKind, asked: Arc<AtomicBool>, stop: CancellationToken) {
    while signal.recv().await.is_some() {
        // Both kinds may come at the same moment, to two threads.
        if asked.swap(true, Ordering::Relaxed) {
            tracing::warn!(signal = name, "stopping at once");
            std::process::exit(BY_SIGNAL + kind.as_raw_value());
        }
        tracing::info!(signal = name, "stopping");
        stop.cancel();
    }
}

fn reopen(log: Option<&LogFile>) {
    match log.map(LogFile::reopen) {
        Some(Err(error)) => tracing::error!(%error, "the log file is the old one still"),
        Some(Ok(())) => tracing::info!(signal = "SIGHUP", "the log file is opened anew"),
        None => tracing::info!(signal = "SIGHUP", "there is no configuration and no log file to read or open anew"),
    }
}

/// Logs the state of every port.
fn tell(router: &Router) {
    match router.port_stats() {
        Ok(reports) => {
            for port in reports {
                let counts = &port.statistics;
                tracing::info!(
                    port = port.number.get(),
                    device = port.device,
                    link = link(port.link),
                    rx_packets = counts.rx_packets,
                    tx_packets = counts.tx_packets,
                    rx_missed = counts.rx_missed,
                    "a port"
                );
            }
        }
        Err(error) => tracing::warn!(%error, "a port does not answer"),
    }
}
