//! Any bytes as a session description that is offered.

#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| svpn_sip::fuzzing::offers(bytes));
