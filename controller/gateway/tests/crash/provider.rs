//! The provider's routers: each is the contract's oracle behind a P4Runtime server over loopback. They outlive every gateway, and what
//! they do with a customer's packet can be seen.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::net::{SocketAddr, TcpListener};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Instant;

use p4runtime_proto::p4::v1 as proto;
use p4runtime_proto::p4::v1::stream_message_response::Update as Answer;
use svpn_contract::oracle::{Oracle, Outcome};
use svpn_contract::packet::{PacketIn, PacketOut};
use svpn_contract::wire::PortId;
use svpn_contract::{Entry, EntryKey, Reason};
use svpn_double::Arbitration;
use tokio::runtime::Runtime;
use tokio::sync::watch;

use crate::service::Service;

/// The routers, in the order of the configuration; the number of each is its device id.
pub(crate) const ROUTERS: [&str; 4] = ["pe1", "p1", "p2", "pe2"];

/// The links: router and port at either end. Over `p1` it is nearer than over `p2`.
pub(crate) const LINKS: [[(usize, u16); 2]; 4] = [[(0, 3), (1, 1)], [(1, 2), (3, 3)], [(0, 4), (2, 1)], [(2, 2), (3, 4)]];

/// Which of them are PEs.
const PES: [usize; 3] = [0, 2, 3];

/// The port of every PE at which its CE is.
const CUSTOMER: u16 = 1;
/// Likewise of p2, to which a CE is attached, too.
const CUSTOMER_OF_P2: u16 = 5;

fn customer(router: usize) -> PortId {
    port(if ROUTERS[router] == "p2" { CUSTOMER_OF_P2 } else { CUSTOMER })
}

/// One router.
pub(crate) struct Device {
    pub(crate) oracle: Oracle,
    pub(crate) pipeline: Option<proto::ForwardingPipelineConfig>,
    pub(crate) arbitration: Arbitration,
}

impl Device {
    fn new(number: u64) -> Self {
        Self { oracle: empty(), pipeline: None, arbitration: Arbitration::new(number) }
    }

    fn punt(&self, packet: PacketIn) {
        self.arbitration.tell_primary(Answer::Packet(packet.encode()));
    }
}

/// Empty tables, as after a start.
pub(crate) fn empty() -> Oracle {
    Oracle::new((1..=5).map(port))
}

fn port(number: u16) -> PortId {
    PortId::new(number).unwrap()
}

/// Where a customer's frame came out, or why it did not.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Arrival {
    /// At the CE of this router, over these routers, always with labels between them.
    At { router: &'static str, over: Vec<&'static str>, frame: Vec<u8> },
    /// It left this router over a link that is cut: whatever was counted of it was carried.
    Lost { router: &'static str },
    /// It went no further.
    Dropped { router: &'static str, reason: Reason },
}

/// All routers, and the links between them.
pub(crate) struct Network {
    pub(crate) devices: Vec<Device>,
    up: [bool; LINKS.len()],
    began: Instant,
}

impl Network {
    /// Where a frame arrives that leaves a router by a port; nothing where the link is cut.
    fn across(&self, router: usize, leaves: PortId) -> Option<(usize, PortId)> {
        LINKS.iter().zip(self.up).filter(|(_, up)| *up).find_map(|(&[a, b], _)| {
            [(a, b), (b, a)].into_iter().find(|(from, _)| (from.0, port(from.1)) == (router, leaves)).map(|(_, to)| (to.0, port(to.1)))
        })
    }

    /// A controller sends a frame out of a port: whatever is there takes it.
    pub(crate) fn packet_out(&mut self, router: usize, packet: &PacketOut) {
        let Some((next, arrives)) = self.across(router, packet.egress_port) else { return };
        let now = self.began.elapsed();
        if let Outcome::Punt(packet) = self.devices[next].oracle.process(arrives, &packet.frame, now) {
            self.devices[next].punt(packet);
        }
    }

    /// A CE sends a frame, which goes from router to router.
    fn send(&mut self, from: usize, frame: &[u8]) -> Arrival {
        let now = self.began.elapsed();
        let (mut router, mut arrives, mut frame) = (from, customer(from), frame.to_vec());
        let mut over = Vec::new();
        loop {
            over.push(ROUTERS[router]);
            assert!(over.len() < 8, "a frame goes round in circles: {over:?}");
            match self.devices[router].oracle.process(arrives, &frame, now) {
                Outcome::Sent { port: leaves, frame } if PES.contains(&router) && leaves == customer(router) => {
                    return Arrival::At { router: ROUTERS[router], over, frame };
                }
                Outcome::Sent { port: leaves, frame: sent } => {
                    assert_eq!(sent[12..14], [0x88, 0x47], "a customer's packet crosses the core without labels");
                    let Some(next) = self.across(router, leaves) else {
                        return Arrival::Lost { router: ROUTERS[router] };
                    };
                    ((router, arrives), frame) = (next, sent);
                }
                Outcome::Dropped(reason) => return Arrival::Dropped { router: ROUTERS[router], reason },
                Outcome::Punt(packet) => panic!("punted: {packet:?}"),
            }
        }
    }
}

/// The routers' servers.
pub(crate) struct Provider {
    network: Arc<Mutex<Network>>,
    servers: Mutex<Vec<Option<Runtime>>>,
    addresses: Vec<SocketAddr>,
    /// Which routers do not answer.
    silent: Vec<watch::Sender<bool>>,
}

impl Provider {
    /// Routers that nobody has written to yet.
    pub(crate) fn new() -> Self {
        let devices = (1..).take(ROUTERS.len()).map(Device::new).collect();
        let network = Network { devices, up: [true; LINKS.len()], began: Instant::now() };
        let mut provider =
            Self { network: Arc::new(Mutex::new(network)), servers: Mutex::default(), addresses: Vec::new(), silent: Vec::new() };
        for router in 0..ROUTERS.len() {
            let listener = TcpListener::bind("127.0.0.1:0").unwrap();
            provider.addresses.push(listener.local_addr().unwrap());
            provider.silent.push(watch::Sender::new(false));
            let server = provider.serve(router, listener);
            provider.servers.lock().unwrap().push(Some(server));
        }
        provider
    }

    fn serve(&self, router: usize, listener: TcpListener) -> Runtime {
        svpn_double::serve(listener, Service { network: Arc::clone(&self.network), router, silent: self.silent[router].subscribe() })
    }

    pub(crate) fn network(&self) -> MutexGuard<'_, Network> {
        self.network.lock().unwrap()
    }

    pub(crate) fn address(&self, router: usize) -> SocketAddr {
        self.addresses[router]
    }

    /// A link is cut, or whole again.
    pub(crate) fn set_link(&self, link: usize, up: bool) {
        self.network().up[link] = up;
    }

    /// Whether a link is whole.
    pub(crate) fn is_up(&self, link: usize) -> bool {
        self.network().up[link]
    }

    /// Every link is whole again.
    pub(crate) fn mend(&self) {
        self.network().up = [true; LINKS.len()];
    }

    /// A router stops to answer its controllers, and forwards on.
    pub(crate) fn set_silent(&self, router: usize, silent: bool) {
        self.silent[router].send_replace(silent);
    }

    /// A router's management network breaks, until what is returned is dropped: what is sent there is taken by nobody. It forwards on.
    pub(crate) fn cut_off(&self, router: usize) -> CutOff {
        let (whole, broken) = std::sync::mpsc::channel::<Infallible>();
        let servers = self.servers.lock().unwrap();
        // The only thread of its server waits, so that not even the connection is kept alive.
        servers[router].as_ref().expect("it runs").spawn(async move { broken.recv().is_err() });
        CutOff(whole)
    }

    /// A router loses its power, and comes back empty.
    pub(crate) async fn reboot(&self, router: usize) {
        let old = self.servers.lock().unwrap()[router].take();
        old.expect("it runs").shutdown_background();
        self.network().devices[router] = Device::new(router as u64 + 1);
        // The old socket may be open for a moment more.
        let listener = crate::until("its port is free", || TcpListener::bind(self.addresses[router]).ok()).await;
        let server = self.serve(router, listener);
        self.servers.lock().unwrap()[router] = Some(server);
    }

    /// What a router's tables hold.
    pub(crate) fn entries(&self, router: usize) -> BTreeMap<EntryKey, Entry> {
        self.network().devices[router].oracle.entries().map(|entry| (entry.key(), entry.clone())).collect()
    }

    /// A frame leaves the CE of a PE.
    pub(crate) fn send(&self, from: usize, frame: &[u8]) -> Arrival {
        self.network().send(from, frame)
    }
}

/// As long as this is kept a router cannot be reached.
pub(crate) struct CutOff(#[expect(dead_code, reason = "it is only dropped")] std::sync::mpsc::Sender<Infallible>);

impl Drop for Provider {
    fn drop(&mut self) {
        for server in self.servers.lock().unwrap().drain(..).flatten() {
            server.shutdown_background();
        }
    }
}
