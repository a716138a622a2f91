//! Signalling: registrar, B2BUA, SDP to request and back.
//!
//! The way of a request: `stack` (sockets, screens, the library) → `serve` (who asks, what for) → `call` (a task per call around a pure
//! machine) → [`sessions::Sessions`] (the gateway). Beside them `registrar`, `digest`, `sdp` and `address`, pure and without sockets.
//!
//! Served in a call: forking to all contacts of the callee in the order of their `q` (RFC 3261 section 16.7), reliable provisional responses
//! (RFC 3262), preconditions (RFC 3312) and session timers (RFC 4028), each on both legs, and Reason (RFC 3326). The gateway reserves from end to
//! end before anybody rings, so it meets `e2e` preconditions itself; `local` and `remote` are the ends' own and go from one to the other by
//! 183, PRACK and UPDATE, through the early dialog whose answer the caller knows.
//!
//! Either end can ask for a change in service; what the callee asks for is reserved first and then put to the caller, whose session it is. An end
//! that answers 491 is asked again (RFC 3261 section 14.1). To a re-INVITE without an offer the 200 offers what holds; what the ACK answers is a change
//! like any other, but that it cannot be refused: where it cannot be had, the call ends.
//!
//! Who registers at another CE of its VPN takes its sessions along: those of `match=sites` at once; the others when it then offers, by re-INVITE or UPDATE,
//! addresses behind the new CE, for which it has `move_timeout`. So the order is REGISTER, then re-INVITE: addresses of a CE where the application has
//! not registered are refused with 403. A session that finds no room there, or is not told the new addresses in time, is ended with BYE and a Reason:
//! the registration is taken, since the application is where it is. A re-INVITE that finds no room is 580, and may be tried again with less.
//!
//! Not served, and refused with a reason: an INVITE without an offer, media that the callee adds, changes of anything but
//! preconditions before the callee has answered, `Require` of anything else and `sips:`. Requests within a dialog are known by
//! its tags and not challenged again.
//!
//! An INVITE without an offer would say what to reserve only in its ACK, when the callee has rung and answered: but nobody rings here before the
//! bandwidth is reserved. The callee's 2xx, whose offer the caller would be sent, would have to wait for that answer to be acknowledged; `rsipstack`
//! acknowledges every 2xx at once, or with `auto_ack_2xx` off none, for all calls of the endpoint. So it is 488, and the reason says what is missing.
//!
//! Other providers' gateways are `peers`: `call::crossing` has what a call between two providers waits for.
//!
//! # What comes in from the wire
//! Every message is held against the grammar before the library sees it (module `stack`): a malformed request gets its 4xx and the reason if it
//! says how to answer it, a malformed response or ACK is dropped. Of the 49 torture messages of RFC 4475 and the 12 of RFC 5118, sent as they
//! are to a running server, each gets what the RFC prescribes; `tests/torture/verdicts.txt` has them one by one. The one that
//! is refused where an RFC allows more is RFC 4475's last: a From without a tag, of RFC 2543.
//! Who an application is, is said to nobody without its password: a name that does not exist is asked for credentials like any other.
//!
//! Over TCP and TLS (with client certificates if the configuration names their authority) connections are cut into messages, answered when they are
//! malformed, kept alive by CRLF (RFC 5626), and closed when half a message does not become a whole one. Who registers by a connection is called by it.
//! Over WebSocket (RFC 7118), with TLS or without, it is the same, but for the framing; and who registers there can be called in no other way. A contact stands for a connection
//! to its own application only, so nobody gets another's calls by registering its contact (`stack/ways.rs`).
//! `sips:` is refused with 416: it promises encryption up to the other end. An answer goes to where the request came from (RFC 3581), over IPv4 and IPv6.
//!
//! # What strangers can do
//! - Each address may send so many messages per second ([`config::Limits`]); a flood over UDP is dropped, over a stream it is read later.
//! - An INVITE or REGISTER that is not signed with a nonce given to the address it comes from is answered once, at the gate (`stack/gate.rs`): nothing is
//!   remembered of it and nothing repeated (RFC 3261 section 26.3.2.4), and over UDP the answer is at most three times as long as the question.
//! - With too many transactions or requests under way what begins something is answered 503 with Retry-After, calls first. What is within a dialog is served.
//! - Connections, handshakes, header fields, addresses, Vias, parameters and bodies are bounded in number and length.
//!
//! Of digest algorithms the configuration says which are offered, and in which order. RFC 8760 has SHA-256 first; Debian's SIPp 3.6 reads the first challenge
//! only and knows only MD5, and its baresip 1.0 and `JsSIP` 3.13 give up where SHA-256 is offered at all, so where such programs are, MD5 goes first or alone.
//!
//! SIPp, baresip and `JsSIP` are the peers of the tests: `tests/sipp/README.md` lists what each scenario does. `fuzz/` has a target for each thing that a packet can reach.
//!
//! # Libraries
//! - `rsipstack`, pinned to one version because its interface moves between releases: transactions (RFC 3261 section 17 with RFC 6026: absorbed
//!   retransmissions, 2xx repeated until its ACK, CANCEL answered and matched) and transports. Compared with `ezk-sip-core` 0.9 by sending both
//!   200,000 mutated requests: rsipstack did not panic once, the other did 1,229 times (a Via without a value), and it leaves the repetition of
//!   2xx, the matching of ACK and CANCEL and most timers to its user. What rsipstack reads badly is read in front of it, in the module `stack`: it drops
//!   methods it does not know, accepts wrong versions, lengths and `CSeq`, and takes punctuation in quotes for punctuation. At level `info` it logs whole messages: filter it at `warn`.
//! - `sdp-types`: SDP (RFC 8866) in and out.
//! - `tokio-rustls` with `ring`: TLS 1.2 and 1.3, in memory-safe code and without a C library to keep up to date.
//! - `tokio-tungstenite`: frames of WebSocket, with bounds on their length, over streams that are accepted here; the one that `rsipstack` has. `futures-util`: its halves.
//! - `nix`: the length of a socket's queue, which neither the standard library nor tokio sets.
//! - `fail`: names the points at which tests kill the gateway; only a build for such tests has them.
//! - `percent-encoding`: undoes escapes in addresses.
//! - `md-5`, `sha2`, `hmac`: the hashes of digest authentication; `rand`: its nonces.

#![allow(clippy::similar_names, reason = "caller and callee are the words of the trade")]

mod address;
mod call;
pub mod config;
mod digest;
#[cfg(feature = "fuzzing")]
pub mod fuzzing;
mod options;
mod peers;
mod refusal;
mod registrar;
mod sdp;
mod serve;
pub mod server;
mod services;
pub mod sessions;
mod stack;
