//! What the tables take from the forwarder's `entries`.

/// A counter's value.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct CounterData {
    /// Packets.
    pub packets: u64,
    /// Bytes.
    pub bytes: u64,
}
