//! Any bytes as a datagram: screened, read, and read again as it was written.

#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| svpn_sip::fuzzing::messages(bytes));
