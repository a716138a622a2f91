//! Frames in several buffers, of odd sizes: what becomes of them is what the oracle says of their bytes.

mod twin;

use proptest::prelude::*;
use svpn_contract::Update;
use svpn_contract::generators::network;
use twin::{BUFFERS, Cutting, Difference, Twin, pool, steps};

fn wrong(difference: &Difference) -> TestCaseError {
    TestCaseError::fail(difference.to_string())
}

proptest! {
    #![proptest_config(ProptestConfig { max_shrink_iters: 4000, ..ProptestConfig::default() })]

    #[test]
    fn the_forwarder_does_what_the_oracle_says_however_frames_are_cut(seed: u64, network in network(), steps in steps(Cutting::Odd)) {
        let mut twin = Twin::new(seed);
        for entry in network {
            twin.apply(&Update::Insert(entry)).map_err(|difference| wrong(&difference))?;
        }
        twin.publish();
        twin.go(&steps).map_err(|difference| wrong(&difference))?;
        // Every segment is back: none was kept, none was given back twice.
        drop(twin);
        prop_assert_eq!(pool().available(), BUFFERS);
    }
}
