//! DPDK behind safe types: EAL, pools, ports, queues, lcores.
