//! A world of entries by its number, and whatever happens in it made of the bytes behind: frames, batches of the controller's, links that come
//! and go. The forwarder does what the oracle says.
#![no_main]

use libfuzzer_sys::fuzz_target;
use svpn_contract::Update;
use svpn_forwarder_fuzz::twin::{BUFFERS, Cutting, Difference, Twin, pool, steps};
use svpn_forwarder_fuzz::{from_bytes, world};

fn run(input: &[u8]) -> Result<(), Difference> {
    let Some((number, bytes)) = input.split_first_chunk() else { return Ok(()) };
    let number = u32::from_le_bytes(*number);
    let Some(steps) = from_bytes(&steps(Cutting::Odd), bytes) else { return Ok(()) };
    let mut twin = Twin::new(number.into());
    for entry in world(number) {
        twin.apply(&Update::Insert(entry))?;
    }
    twin.publish();
    twin.go(&steps)
}

fuzz_target!(|input: &[u8]| {
    run(input).unwrap_or_else(|difference| panic!("{difference}"));
    assert_eq!(pool().available(), BUFFERS);
});
