//! The server as applications meet it: on loopback, over UDP and TCP.

mod calls;
mod changes;
mod forks;
mod hostile;
mod peers;
mod reliable;
mod support;
mod timers;
mod torture;
