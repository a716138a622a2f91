//! The P4Runtime service and messages: server and client.
