//! Signalling: registrar, B2BUA, SDP to request and back.
//!
//! The way of a request: `stack` (sockets, screens, the library) → `serve` (who asks, what for) → `call` (a task per call around a pure
//! machine) → [`sessions::Sessions`] (the gateway). Beside them `registrar`, `digest`, `sdp` and `address`, pure and without sockets.
//!
//! Not served, and refused with a reason: offers in the 200 of a first INVITE, changes in service that the callee asks for, `Require` of
//! anything (preconditions, 100rel), `sips:` and IPv6 media. A call goes to the callee's latest contact only. Requests within a
//! dialog are known by its tags and not challenged again. Over UDP a malformed request gets its 4xx if it says how to answer it; over TCP what the
//! library cannot parse closes the connection.
//!
//! # Libraries
//! - `rsipstack`, pinned to one version because its interface moves between releases: transactions (RFC 3261 section 17 with RFC 6026: absorbed
//!   retransmissions, 2xx repeated until its ACK, CANCEL answered and matched) and transports. Compared with `ezk-sip-core` 0.9 by sending both
//!   200,000 mutated requests: rsipstack did not panic once, the other did 1,229 times (a Via without a value), and it leaves the repetition of
//!   2xx, the matching of ACK and CANCEL and most timers to its user. What rsipstack does badly is caught in front of it, in the module `stack`: it drops
//!   methods it does not know, and accepts wrong versions, lengths and `CSeq`. At level `info` it logs whole messages: filter it at `warn`.
//! - `sdp-types`: SDP (RFC 8866) in and out.
//! - `md-5`, `sha2`, `hmac`: the hashes of digest authentication; `rand`: its nonces.

#![allow(clippy::similar_names, reason = "caller and callee are the words of the trade")]

mod address;
mod call;
pub mod config;
mod digest;
mod options;
mod refusal;
mod registrar;
mod sdp;
mod serve;
pub mod server;
mod services;
pub mod sessions;
mod stack;
