//! Any bytes as a stream, in pieces.

#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| svpn_sip::fuzzing::streams(bytes));
