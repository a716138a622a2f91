//! A world of entries by its number, and whatever happens in it made of the bytes behind: frames, batches of the controller's, links that come
//! and go. The forwarder does what the oracle says.
//!
//! ```text
//! number of the world 4 | step: kind 1, count 1, then
//!   frames: for each 4 bytes of cuts and 60 of which a frame is made | a batch: 64 bytes of which it is made | a link: its port and state in the count
//! ```
#![no_main]

use std::time::Duration;

use libfuzzer_sys::fuzz_target;
use svpn_contract::Update;
use svpn_contract::generators::{PORTS, arrival, changes};
use svpn_contract::oracle::Link;
use svpn_contract::wire::PortId;
use svpn_forwarder_fuzz::twin::{Arrival, BUFFERS, Difference, Step, Twin, pool};
use svpn_forwarder_fuzz::{from_bytes, world};

/// Takes so many bytes off the front, or what there is.
fn take<'a>(bytes: &mut &'a [u8], count: usize) -> &'a [u8] {
    let (front, rest) = bytes.split_at(count.min(bytes.len()));
    *bytes = rest;
    front
}

fn frame(bytes: &mut &[u8]) -> Option<Arrival> {
    // Bytes above 200 cut nothing.
    let cuts = take(bytes, 4).iter().filter(|&&cut| cut <= 200).map(|&cut| cut.into()).collect();
    let (port, frame) = from_bytes(&arrival(), take(bytes, 60))?;
    Some(Arrival { port, frame, cuts })
}

fn step(bytes: &mut &[u8]) -> Option<Step> {
    let &[kind, count] = take(bytes, 2) else { return None };
    Some(match kind % 8 {
        0 => Step::Batch(from_bytes(&changes(), take(bytes, 64))?),
        1 => {
            let port = PortId::new(PORTS[usize::from(count) % PORTS.len()]).ok()?;
            Step::Link(port, if count & 128 == 0 { Link::Up } else { Link::Down })
        }
        wait => {
            let frames = (0..=count % 32).map_while(|_| if bytes.is_empty() { None } else { frame(bytes) }).collect();
            Step::Frames(frames, Duration::from_millis(u64::from(wait - 2) * 20))
        }
    })
}

fn run(input: &[u8]) -> Result<(), Difference> {
    let Some((number, mut bytes)) = input.split_first_chunk() else { return Ok(()) };
    let number = u32::from_le_bytes(*number);
    let mut twin = Twin::new(number.into());
    for entry in world(number) {
        twin.apply(&Update::Insert(entry))?;
    }
    twin.publish();
    let steps: Vec<Step> = std::iter::from_fn(|| step(&mut bytes)).take(12).collect();
    twin.go(&steps)
}

fuzz_target!(|input: &[u8]| {
    run(input).unwrap_or_else(|difference| panic!("{difference}"));
    assert_eq!(pool().available(), BUFFERS);
});
