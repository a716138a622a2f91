//! Any text as credentials, and as those of an application that exists.

#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| svpn_sip::fuzzing::credentials(bytes));
