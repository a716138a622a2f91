//! The domain: sessions, topology, admission, labels, plans; no I/O.

pub mod request;
