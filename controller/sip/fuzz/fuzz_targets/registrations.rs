//! Any header fields in a REGISTER.

#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| svpn_sip::fuzzing::registrations(bytes));
