//! The stream to a router: arbitration, packets, notices; and what a primary owes.

use std::convert::Infallible;
use std::future::{Future, pending};
use std::pin::Pin;
use std::sync::Arc;

use p4runtime_proto::p4::v1 as proto;
use p4runtime_proto::p4::v1::stream_message_response::Update as Answer;
use svpn_contract::EntryKey;
use svpn_contract::packet::PacketIn;
use tokio::sync::mpsc;
use tonic::{Code, Status};
use tracing::{Instrument, debug, info, info_span, warn};

use crate::client::Client;
use crate::election::ElectionId;
use crate::pipeline::{self, Pipeline};
use crate::reconcile::ReconcileError;
use crate::settings::Waits;
use crate::switch::{Connection, Shared, State};

/// Most messages that wait for the router.
const REQUESTS: usize = 1024;

/// What a router tells by itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    /// A packet it did not forward.
    Packet(PacketIn),
    /// Entries that no packet hit for their idle time-out.
    Idle(Vec<EntryKey>),
}

/// Why a stream ended.
#[derive(Debug, thiserror::Error)]
enum LinkError {
    #[error("the router closed the stream")]
    Closed,
    #[error("the stream broke: {0}")]
    Broken(#[from] Box<Status>),
    #[error("the pipeline was not put into service: {0}")]
    Pipeline(#[source] Box<Status>),
    #[error(transparent)]
    Reconcile(#[from] ReconcileError),
}

/// Keeps a stream to the router, for ever.
pub(crate) async fn keep(shared: Arc<Shared>, events: mpsc::Sender<Event>) {
    let span = info_span!("router", uri = %shared.settings.endpoint.uri(), device = shared.settings.device);
    async {
        let mut waits = Waits::new(shared.settings.backoff);
        let mut link = Link { shared: &shared, events: &events, bid: shared.settings.election };
        loop {
            let Err(error) = link.serve(&mut waits).await;
            // Before the connection goes, so that nobody is told of a state without one.
            shared.set_state(State::Disconnected);
            *shared.connection() = None;
            let wait = waits.next();
            warn!(%error, ?wait, "the link to the router is down");
            tokio::time::sleep(wait).await;
        }
    }
    .instrument(span)
    .await;
}

type Upkeep<'a> = Pin<Box<dyn Future<Output = LinkError> + Send + 'a>>;

struct Link<'a> {
    shared: &'a Shared,
    events: &'a mpsc::Sender<Event>,
    /// Raised when there is no primary; it outlives the stream, since the router remembers it too.
    bid: ElectionId,
}

impl<'a> Link<'a> {
    /// One stream, from its beginning to its end. The waits start again when it was of use.
    async fn serve(&mut self, waits: &mut Waits) -> Result<Infallible, LinkError> {
        let client = Client::new(&self.shared.settings, self.bid);
        let (requests, mut answers) = client.stream(REQUESTS).await.map_err(Box::new)?;
        *self.shared.connection() = Some(Connection { client, requests });
        let mut upkeep: Upkeep<'_> = Box::pin(pending());
        let mut states = self.shared.watch();
        loop {
            let answer = tokio::select! {
                answer = answers.message() => answer.map_err(Box::new)?.ok_or(LinkError::Closed)?,
                error = &mut upkeep => return Err(error),
                Ok(()) = states.changed() => {
                    if matches!(*states.borrow_and_update(), State::Ready | State::Backup { .. }) {
                        waits.reset();
                    }
                    continue;
                }
            };
            match answer.update {
                Some(Answer::Arbitration(update)) => self.arbitrate(update, &mut upkeep),
                Some(Answer::Packet(packet)) => self.packet(packet),
                Some(Answer::IdleTimeoutNotification(notice)) => self.idle(&notice),
                Some(Answer::Error(error)) => debug!(code = error.canonical_code, error.message, "the router refused a packet-out"),
                Some(Answer::Digest(_) | Answer::Other(_)) | None => debug!("the router sent what the contract does not know"),
            }
        }
    }

    /// Who is primary was said anew (P4Runtime specification, "Client Arbitration Notifications"); only what differs from before has a
    /// consequence.
    fn arbitrate<'u>(&mut self, update: proto::MasterArbitrationUpdate, upkeep: &mut Upkeep<'u>)
    where
        'a: 'u,
    {
        if update.device_id != self.shared.settings.device {
            return;
        }
        let code = update.status.map_or(Code::Ok, |status| Code::from_i32(status.code));
        let highest = update.election_id.and_then(|election| ElectionId::decode(election).ok());
        if code != Code::Ok {
            let primary = highest.filter(|_| code != Code::NotFound);
            info!(?primary, "backup");
            self.shared.set_state(State::Backup { primary });
            *upkeep = Box::pin(pending());
            if let (None, Some(highest)) = (primary, highest) {
                self.raise(highest);
            }
        } else if self.shared.primary_client().is_err() {
            info!(bid = %self.bid, "primary");
            self.shared.set_state(State::Synchronising);
            if let Ok(client) = self.shared.primary_client() {
                *upkeep = Box::pin(keep_up(self.shared, client));
            }
        }
    }

    /// Nobody is primary: bids more than the router has ever seen, which alone makes primary.
    fn raise(&mut self, highest: ElectionId) {
        let Some(bid) = self.bid.above(highest) else { return };
        let mut connection = self.shared.connection();
        if let Some(Connection { client, requests }) = connection.take() {
            info!(%bid, "nobody is primary");
            self.bid = bid;
            let client = client.bidding(bid);
            // A queue that is full is one of packets; the next stream makes this bid.
            if requests.try_send(client.bid()).is_err() {
                warn!(%bid, "the bid was not sent");
            }
            *connection = Some(Connection { client, requests });
        }
    }

    fn packet(&self, packet: proto::PacketIn) {
        match PacketIn::decode(packet) {
            Ok(packet) => self.report(Event::Packet(packet)),
            Err(error) => debug!(%error, "a packet-in cannot be read"),
        }
    }

    fn idle(&self, notice: &proto::IdleTimeoutNotification) {
        let keys: Vec<_> = notice.table_entry.iter().filter_map(|entry| EntryKey::decode(entry).ok()).collect();
        if !keys.is_empty() {
            self.report(Event::Idle(keys));
        }
    }

    /// Never waits: a flood of packets must not keep us from hearing who is primary.
    fn report(&self, event: Event) {
        if self.events.try_send(event).is_err() {
            debug!("nobody takes the router's packets; one is shed");
        }
    }
}

/// What a primary owes, as long as it is: the pipeline in service, and the tables as desired whenever there is a doubt.
async fn keep_up(shared: &Shared, client: Client) -> LinkError {
    match pipeline::ensure(&client, &shared.settings.device_config).await {
        Ok(Pipeline::Kept) => info!("the pipeline is in service already"),
        Ok(Pipeline::Replaced) => info!("the pipeline was put into service"),
        Err(status) => return LinkError::Pipeline(Box::new(status)),
    }
    let mut waits = Waits::new(shared.settings.backoff);
    loop {
        let report = match shared.reconcile().await {
            Ok(report) => report,
            Err(error) => return error.into(),
        };
        info!(report.inserted, report.modified, report.deleted, refused = report.refused.len(), "reconciled");
        // A router that refuses some entries is still of use for the others.
        shared.set_state(State::Ready);
        match report.refused.first() {
            None => {
                waits.reset();
                shared.repair.notified().await;
            }
            Some(first) => {
                warn!(change = first.change, code = ?first.code, message = first.message, "the router refused changes");
                tokio::time::sleep(waits.next()).await;
            }
        }
    }
}
