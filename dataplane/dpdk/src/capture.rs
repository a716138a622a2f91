//! Packet capture by other processes.

use svpn_dpdk_sys as sys;
use thiserror::Error;

use crate::eal::Eal;
use crate::errno::Errno;

/// Other processes cannot capture packets.
#[derive(Debug, Error)]
#[error("DPDK does not offer packets for capture: {0}")]
pub struct CaptureError(Errno);

impl Eal {
    /// Lets `dpdk-dumpcap`, a process of its own, copy the packets that ports receive and send. Costs nothing until it does.
    ///
    /// It can attach only where the EAL's memory is [`Memory::Shared`](crate::Memory::Shared).
    ///
    /// # Errors
    /// [`CaptureError`] if DPDK has no memory for its counters, or was asked before.
    pub fn offer_capture(self) -> Result<(), CaptureError> {
        // SAFETY: the EAL is initialised; the function registers what answers requests of other processes.
        let code = unsafe { sys::rte_pdump_init() };
        if code < 0 { Err(CaptureError(Errno::last())) } else { Ok(()) }
    }
}
