//! A router's P4Runtime server, with its state in the test's hand.

use std::collections::BTreeMap;
use std::net::{SocketAddr, TcpListener};
use std::sync::{Arc, Mutex, MutexGuard};

use p4runtime_proto::p4::v1 as proto;
use prost::Message;
use svpn_contract::Entry;
use svpn_double::Arbitration;
use tokio::runtime::Runtime;
use tonic::Code;
use tonic::transport::Endpoint;

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

/// What is in the router.
#[derive(Debug)]
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
    pub(crate) arbitration: Arbitration,
    /// How many streams it ended because of their bid.
    pub(crate) refused_bids: u64,
}

impl Device {
    fn new() -> Self {
        Self {
            pipeline: None,
            commits: 0,
            entries: BTreeMap::new(),
            session_counters: BTreeMap::new(),
            session_discards: BTreeMap::new(),
            missing: Missing::default(),
            troubles: Vec::new(),
            writes: Vec::new(),
            packets_out: Vec::new(),
            arbitration: Arbitration::new(DEVICE),
            refused_bids: 0,
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
        let device = Arc::new(Mutex::new(Device::new()));
        let runtime = svpn_double::serve(listener, Service(Arc::clone(&device)));
        Self { device, address, runtime: Some(runtime) }
    }

    /// Breaks every connection; what was programmed stays.
    pub(crate) fn cut(&mut self) {
        self.runtime.take().expect("it runs").shutdown_background();
        self.device().arbitration.cut();
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
        self.runtime = Some(svpn_double::serve(listener.expect("bound"), Service(Arc::clone(&self.device))));
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
