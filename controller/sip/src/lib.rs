//! Signalling: registrar, B2BUA, SDP to request and back.
