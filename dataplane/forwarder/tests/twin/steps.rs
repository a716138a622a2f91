//! Random things that happen to both.

use std::time::Duration;

use proptest::prelude::*;
use svpn_contract::Update;
use svpn_contract::generators::{PORTS, arrival, changes};
use svpn_contract::oracle::Link;
use svpn_contract::wire::PortId;

use super::{Arrival, Difference, Twin};

/// One thing that happens to both.
#[derive(Debug, Clone)]
pub enum Step {
    /// Frames come in, at a time after the step before.
    Frames(Vec<Arrival>, Duration),
    /// The controller writes a batch.
    Batch(Vec<Update>),
    /// A link changes.
    Link(PortId, Link),
}

/// How frames are cut into segments.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cutting {
    /// Each frame is one segment.
    Whole,
    /// Some are several, of odd sizes; headers are split as anything else.
    Odd,
}

fn cuts(cutting: Cutting) -> BoxedStrategy<Vec<usize>> {
    let size = prop_oneof![4 => 0..40_usize, 1 => 0..200_usize];
    match cutting {
        Cutting::Whole => Just(Vec::new()).boxed(),
        Cutting::Odd => prop::collection::vec(size, 0..5).boxed(),
    }
}

/// Some steps.
pub fn steps(cutting: Cutting) -> impl Strategy<Value = Vec<Step>> {
    let wait = prop_oneof![Just(0_u64), 0..100_000_000_u64].prop_map(Duration::from_nanos);
    let arrival = (arrival(), cuts(cutting)).prop_map(|((port, frame), cuts)| Arrival { port, frame, cuts });
    let port = prop::sample::select(&PORTS[..]).prop_filter_map("a port", |port| PortId::new(port).ok());
    let step = prop_oneof![
        8 => (prop::collection::vec(arrival, 1..40), wait).prop_map(|(frames, wait)| Step::Frames(frames, wait)),
        2 => changes().prop_map(Step::Batch),
        1 => (port, prop::sample::select(&[Link::Up, Link::Down][..])).prop_map(|(port, link)| Step::Link(port, link)),
    ];
    prop::collection::vec(step, 1..12)
}

impl Twin {
    /// The steps happen to both, one after the other, and nothing differs after any of them.
    pub fn go(&mut self, steps: &[Step]) -> Result<(), Difference> {
        let mut now = Duration::from_secs(1);
        for step in steps {
            match step {
                Step::Frames(arrivals, wait) => {
                    now += *wait;
                    self.receive(arrivals, now)?;
                }
                Step::Batch(updates) => {
                    for update in updates {
                        self.apply(update)?;
                    }
                    self.publish();
                }
                Step::Link(port, link) => self.set_link(*port, *link),
            }
            self.compare()?;
        }
        self.compare_lists()
    }
}
