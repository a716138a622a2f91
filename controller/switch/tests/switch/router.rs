//! A router's P4Runtime server, with its state in the test's hand.

use std::collections::BTreeMap;
use std::net::{SocketAddr, TcpListener};
use std::sync::{Arc, Mutex, MutexGuard};

use p4runtime_proto::p4::v1 as proto;
use p4runtime_proto::p4::v1::p4_runtime_server::P4RuntimeServer;
use p4runtime_proto::p4::v1::stream_message_response::Update as Answer;
use prost::Message;
use svpn_contract::Entry;
use tokio::runtime::Runtime;
use tokio::sync::mpsc;
use tokio_stream::wrappers::TcpListenerStream;
use tonic::transport::{Endpoint, Server};
use tonic::{Code, Status};

use crate::service::Service;

pub(crate) const DEVICE: u64 = 7;

/// What the router does with the next write.
#[derive(Debug, Clone)]
pub(crate) enum Trouble {
    /// It refuses these of its updates.
    Refuse(Vec<(usize, Code)>),
    /// It fails the call, with nothing carried out.
    Fail(Code),
    /// It carries the write out, and does not answer.
    Swallow,
}

/// What a read answers for a session that is not there.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) enum Missing {
    /// Nothing.
    #[default]
    LeftOut,
    /// Everything else, and an error that details which it was.
    Detailed,
    /// An error, and nothing more.
    Fatal,
}

/// A controller's stream.
#[derive(Debug)]
pub(crate) struct Controller {
    pub(crate) stream: u64,
    pub(crate) election: u128,
    pub(crate) answers: mpsc::UnboundedSender<Result<proto::StreamMessageResponse, Status>>,
}

/// What is in the router.
#[derive(Debug, Default)]
pub(crate) struct Device {
    pub(crate) pipeline: Option<proto::ForwardingPipelineConfig>,
    /// How often a pipeline was put into service.
    pub(crate) commits: usize,
    /// By table, match and priority.
    pub(crate) entries: BTreeMap<Vec<u8>, proto::TableEntry>,
    pub(crate) session_counters: BTreeMap<u32, proto::CounterData>,
    pub(crate) session_discards: BTreeMap<u32, proto::CounterData>,
    /// How a read of a session that is not there fails.
    pub(crate) missing: Missing,
    pub(crate) troubles: Vec<Trouble>,
    /// How many updates each write had.
    pub(crate) writes: Vec<usize>,
    pub(crate) packets_out: Vec<proto::PacketOut>,
    pub(crate) controllers: Vec<Controller>,
    /// The highest bid it has ever seen; only a stream that bids it is primary.
    pub(crate) highest: Option<u128>,
    pub(crate) streams: u64,
    /// How many streams it ended because of their bid.
    pub(crate) refused_bids: u64,
}

impl Device {
    pub(crate) fn primary(&self) -> Option<u128> {
        self.controllers.iter().map(|controller| controller.election).find(|election| Some(*election) == self.highest)
    }

    /// Tells every controller who is primary now.
    pub(crate) fn announce(&self) {
        for controller in &self.controllers {
            let code = match self.primary() {
                None => Code::NotFound,
                Some(primary) if primary == controller.election => Code::Ok,
                Some(_) => Code::AlreadyExists,
            };
            let update = proto::MasterArbitrationUpdate {
                device_id: DEVICE,
                role: None,
                election_id: self.highest.map(uint128),
                status: Some(p4runtime_proto::google::rpc::Status { code: code.into(), ..Default::default() }),
            };
            let answer = proto::StreamMessageResponse { update: Some(Answer::Arbitration(update)) };
            // One whose stream has ended is about to be removed.
            let _ = controller.answers.send(Ok(answer));
        }
    }

    /// Sends to every controller.
    pub(crate) fn tell(&self, update: &Answer) {
        for controller in &self.controllers {
            let answer = proto::StreamMessageResponse { update: Some(update.clone()) };
            controller.answers.send(Ok(answer)).expect("the stream is there");
        }
    }

    pub(crate) fn put(&mut self, entry: proto::TableEntry) {
        self.entries.insert(key(&entry), entry);
    }
}

/// What names an entry.
pub(crate) fn key(entry: &proto::TableEntry) -> Vec<u8> {
    let proto::TableEntry { table_id, r#match, priority, .. } = entry.clone();
    proto::TableEntry { table_id, r#match, priority, ..Default::default() }.encode_to_vec()
}

pub(crate) fn uint128(number: u128) -> proto::Uint128 {
    proto::Uint128 { high: u64::try_from(number >> 64).unwrap(), low: u64::try_from(number & u128::from(u64::MAX)).unwrap() }
}

/// A server on a port of the loopback interface. It runs in a runtime of its own, so that it can be cut off as by a crash.
pub(crate) struct Router {
    device: Arc<Mutex<Device>>,
    address: SocketAddr,
    runtime: Option<Runtime>,
}

impl Router {
    /// A router without a pipeline.
    pub(crate) fn new() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let mut router = Self { device: Arc::default(), address, runtime: None };
        router.serve(listener);
        router
    }

    fn serve(&mut self, listener: TcpListener) {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        let service = P4RuntimeServer::new(Service(Arc::clone(&self.device)));
        listener.set_nonblocking(true).unwrap();
        runtime.spawn(async move {
            let listener = TcpListenerStream::new(tokio::net::TcpListener::from_std(listener).unwrap());
            Server::builder().add_service(service).serve_with_incoming(listener).await.unwrap();
        });
        self.runtime = Some(runtime);
    }

    /// Breaks every connection; what was programmed stays.
    pub(crate) fn cut(&mut self) {
        self.runtime.take().expect("it runs").shutdown_background();
        self.device().controllers.clear();
    }

    /// Takes connections again, at the same address.
    pub(crate) async fn restore(&mut self) {
        let mut listener = None;
        // The old socket may be open for a moment more.
        crate::until(|| {
            listener = TcpListener::bind(self.address).ok();
            listener.is_some()
        })
        .await;
        self.serve(listener.expect("bound"));
    }

    pub(crate) fn device(&self) -> MutexGuard<'_, Device> {
        self.device.lock().unwrap()
    }

    pub(crate) fn endpoint(&self) -> Endpoint {
        Endpoint::from_shared(format!("http://{}", self.address)).unwrap()
    }

    /// The entries, as the contract has them.
    pub(crate) fn entries(&self) -> Vec<Entry> {
        self.device().entries.values().map(|entry| Entry::decode(entry).expect("an entry of the contract")).collect()
    }

    /// Whether it has these entries and no other.
    pub(crate) fn has_just(&self, entries: &[Entry]) -> bool {
        let here = self.entries();
        here.len() == entries.len() && entries.iter().all(|entry| here.contains(entry))
    }

    /// As [`Router::has_just`], for many: looked up by their keys.
    pub(crate) fn has_all_of(&self, entries: &[Entry]) -> bool {
        let device = self.device();
        let same = |entry: &Entry| {
            let here = device.entries.get(&key(&entry.encode()));
            here.and_then(|here| Entry::decode(here).ok()).is_some_and(|here| here == *entry)
        };
        device.entries.len() == entries.len() && entries.iter().all(same)
    }

    pub(crate) fn trouble(&self, trouble: Trouble) {
        self.device().troubles.push(trouble);
    }
}

impl Drop for Router {
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}
