//! DPDK's error numbers.

use std::fmt;

/// An error number of the C library, as DPDK returns it; never negative.
///
/// DPDK explains its reason in its log, on standard error.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Errno(i32);

impl Errno {
    /// From a DPDK function's return value, which is the negated number.
    pub(crate) fn from_return(code: i32) -> Self {
        Self(code.saturating_neg())
    }

    /// The number the calling thread's last failed DPDK call left behind.
    pub(crate) fn last() -> Self {
        // SAFETY: rte_errno is a thread-local integer that may be read at any time.
        Self(unsafe { svpn_dpdk_sys::svpn_errno() })
    }

    /// The number, for example 13 for `EACCES`.
    pub fn code(self) -> i32 {
        self.0
    }

    pub(crate) fn is(self, number: nix::errno::Errno) -> bool {
        self.0 == number as i32
    }
}

impl fmt::Display for Errno {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Many drivers answer -1 for any failure, which is also EPERM.
        if self.is(nix::errno::Errno::EPERM) {
            return formatter.write_str("no permission, or no reason given (-1)");
        }
        std::io::Error::from_raw_os_error(self.0).fmt(formatter)
    }
}

impl fmt::Debug for Errno {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "Errno({}, {self})", self.0)
    }
}
