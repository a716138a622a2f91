//! The server as applications meet it: on loopback, over UDP, TCP and WebSocket.

mod baresip;
mod calls;
mod changes;
mod edge;
mod forks;
mod groups;
mod hostile;
mod jssip;
mod moves;
mod peers;
mod reliable;
mod scenarios;
mod support;
mod timers;
mod torture;
mod web_sockets;
