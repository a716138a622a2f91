//! The EAL's and the drivers' log.

use std::ffi::c_char;
use std::sync::OnceLock;

use svpn_dpdk_sys as sys;

/// How much a line of the log matters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum LogLevel {
    /// What was asked for does not work.
    Error,
    /// It works, but perhaps not as meant.
    Warning,
    /// What happens.
    Info,
    /// For those who develop DPDK.
    Debug,
}

impl LogLevel {
    fn new(level: u32) -> Self {
        match level {
            ..=sys::RTE_LOG_ERR => Self::Error,
            sys::RTE_LOG_WARNING => Self::Warning,
            sys::RTE_LOG_NOTICE | sys::RTE_LOG_INFO => Self::Info,
            _ => Self::Debug,
        }
    }
}

static WRITER: OnceLock<fn(LogLevel, &str)> = OnceLock::new();

/// Sends the EAL's and the drivers' log to a function, line by line, instead of standard error. Call it before
/// [`Eal::init`](crate::Eal::init); the first call of a process counts. The function is called by whichever thread logs and must
/// not call DPDK.
pub fn log_to(writer: fn(LogLevel, &str)) {
    WRITER.get_or_init(|| writer);
}

/// Opens the log.
pub(crate) fn open() {
    // SAFETY: both set up a stream that lives until the process ends; `write` may be called at any time by any thread. Without memory
    // for the stream the log goes where DPDK sends it by itself.
    unsafe {
        if WRITER.get().is_some() {
            sys::svpn_log_to(Some(write))
        } else {
            sys::svpn_log_to_stderr()
        };
    }
}

/// # Safety
/// `text` is `length` bytes that live for the call.
unsafe extern "C" fn write(level: u32, text: *const c_char, length: usize) {
    let Some(writer) = WRITER.get() else { return };
    // SAFETY: the caller's promise.
    let text = unsafe { std::slice::from_raw_parts(text.cast::<u8>(), length) };
    for line in String::from_utf8_lossy(text).lines().map(str::trim_end).filter(|line| !line.is_empty()) {
        writer(LogLevel::new(level), line);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_level_of_dpdk_has_one_here() {
        use LogLevel::{Debug, Error, Info, Warning};
        let levels = (sys::RTE_LOG_EMERG..=sys::RTE_LOG_DEBUG + 1).map(LogLevel::new).collect::<Vec<_>>();
        assert_eq!(levels, [Error, Error, Error, Error, Warning, Info, Info, Debug, Debug]);
    }
}
