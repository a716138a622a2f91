//! P4Runtime server with a DPDK poll-mode pipeline behind it.
