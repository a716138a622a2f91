//! Any bytes as a frame, through the real fast path with a fixed set of entries that has every table and every action: nothing panics, the
//! frame ends as exactly one of output, punt and drop, as the oracle says, and no buffer is lost.
//!
//! ```text
//! port 2 bits, cut 1 bit, unused 5 bits | sizes of two segments, 1 byte each | the frame
//! ```
#![no_main]

use std::cell::RefCell;
use std::time::Duration;

use libfuzzer_sys::fuzz_target;
use svpn_contract::Update;
use svpn_contract::generators::PORTS;
use svpn_contract::wire::PortId;
use svpn_forwarder_fuzz::every_action;
use svpn_forwarder_fuzz::twin::{Arrival, BUFFERS, Twin, pool};

/// Long enough for every meter's bucket to be full again, so that an input's outcome depends on it alone.
const BETWEEN: Duration = Duration::from_secs(100);
/// Inputs until both start afresh: the oracle remembers every 5-tuple's choice, and the clock must not wrap.
const LIFE: u32 = 50_000;
/// Inputs between two comparisons of everything there is.
const INTERVAL: u32 = 500;

struct Bed {
    twin: Twin,
    now: Duration,
    inputs: u32,
}

impl Bed {
    fn new() -> Self {
        let mut twin = Twin::new(1);
        for entry in every_action() {
            twin.apply(&Update::Insert(entry)).unwrap_or_else(|difference| panic!("{difference}"));
        }
        twin.publish();
        Self { twin, now: Duration::ZERO, inputs: 0 }
    }
}

thread_local! {
    static BED: RefCell<Option<Bed>> = const { RefCell::new(None) };
}

fuzz_target!(|input: &[u8]| {
    let [flags, first, second, frame @ ..] = input else { return };
    let port = PORTS[usize::from(flags & 3)];
    let cuts = if flags & 4 == 0 { Vec::new() } else { vec![usize::from(*first), usize::from(*second)] };
    let arrival = Arrival { port: PortId::new(port).expect("a port"), frame: frame.to_vec(), cuts };
    BED.with_borrow_mut(|place| {
        let mut bed = place.take().unwrap_or_else(Bed::new);
        bed.now += BETWEEN;
        bed.inputs += 1;
        let fail = |difference| panic!("{difference}");
        bed.twin.receive(&[arrival], bed.now).unwrap_or_else(fail);
        bed.twin.compare_drops().unwrap_or_else(fail);
        assert_eq!(pool().available(), BUFFERS);
        if bed.inputs % INTERVAL == 0 {
            bed.twin.compare().unwrap_or_else(fail);
        }
        if bed.inputs < LIFE {
            *place = Some(bed);
        }
    });
});
