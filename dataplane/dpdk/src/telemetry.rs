//! Answers to `dpdk-telemetry.py` and whatever else asks by DPDK's telemetry socket.
//!
//! The socket is `dpdk_telemetry.v2` in [`Eal::runtime_directory`], of type `SOCK_SEQPACKET`; a question is `/command` or
//! `/command,parameter`, an answer is JSON of at most 16 KiB.

use std::collections::BTreeMap;
use std::ffi::{CStr, CString, c_char, c_int};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::PathBuf;
use std::sync::{Arc, PoisonError, RwLock};

use nix::errno::Errno as Number;
use svpn_dpdk_sys as sys;
use thiserror::Error;

use crate::eal::Eal;
use crate::errno::Errno;

/// A value in an answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TelemetryValue {
    /// A number.
    Number(u64),
    /// At most 127 bytes; what is longer is cut.
    Text(String),
    /// At most 512 numbers; more are left out.
    Numbers(Vec<u64>),
    /// Values by name, one level deep.
    Group(TelemetryAnswer),
}

impl From<u64> for TelemetryValue {
    fn from(number: u64) -> Self {
        Self::Number(number)
    }
}

impl From<String> for TelemetryValue {
    fn from(text: String) -> Self {
        Self::Text(text)
    }
}

impl From<&str> for TelemetryValue {
    fn from(text: &str) -> Self {
        Self::Text(text.to_owned())
    }
}

/// Values by name. Names are letters, digits, `_` and `/`; there are at most 256.
pub type TelemetryAnswer = Vec<(String, TelemetryValue)>;

/// A question makes no sense: its answer is `null`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NoAnswer;

/// Why a command is not answered.
#[derive(Debug, Error)]
pub enum TelemetryError {
    /// The command or its help holds a NUL.
    #[error("telemetry command {0:?} or its help holds a NUL")]
    Nul(String),
    /// DPDK does not take the command: it does not begin with `/`, is too long, or there is no memory.
    #[error("telemetry command {command:?} is not taken: {errno}")]
    Refused {
        /// The command.
        command: String,
        /// DPDK's reason.
        errno: Errno,
    },
}

type Handler = dyn Fn(Option<&str>) -> Result<TelemetryAnswer, NoAnswer> + Send + Sync;

/// DPDK gives callbacks nothing of their own, so they are found by the command.
static HANDLERS: RwLock<BTreeMap<String, Arc<Handler>>> = RwLock::new(BTreeMap::new());

impl Eal {
    /// Has a telemetry command answered by a function of the parameter, on a thread of DPDK's, for as long as the process lives.
    /// A later function for the same command replaces it.
    ///
    /// # Errors
    /// [`TelemetryError`]; nothing has changed.
    pub fn answer_telemetry(
        self,
        command: &str,
        help: &str,
        answer: impl Fn(Option<&str>) -> Result<TelemetryAnswer, NoAnswer> + Send + Sync + 'static,
    ) -> Result<(), TelemetryError> {
        let nul = |_| TelemetryError::Nul(command.to_owned());
        let (c_command, c_help) = (CString::new(command).map_err(nul)?, CString::new(help).map_err(nul)?);
        let mut handlers = HANDLERS.write().unwrap_or_else(PoisonError::into_inner);
        if !handlers.contains_key(command) {
            // SAFETY: the EAL is initialised; both texts are C strings that are copied; `respond` may be called until the process ends.
            let code = unsafe { sys::rte_telemetry_register_cmd(c_command.as_ptr(), Some(respond), c_help.as_ptr()) };
            if code < 0 {
                return Err(TelemetryError::Refused { command: command.to_owned(), errno: Errno::from_return(code) });
            }
        }
        handlers.insert(command.to_owned(), Arc::new(answer));
        Ok(())
    }

    /// Where this process keeps its telemetry socket and, with shared memory, what other processes read.
    pub fn runtime_directory(self) -> PathBuf {
        // SAFETY: the function returns a C string that rte_eal_init has written and nobody changes.
        let text = unsafe { CStr::from_ptr(sys::rte_eal_get_runtime_dir()) };
        PathBuf::from(text.to_string_lossy().into_owned())
    }
}

/// # Safety
/// As DPDK's telemetry calls it: `command` and, unless null, `parameter` are C strings, `data` is an empty answer; all live for the call.
unsafe extern "C" fn respond(command: *const c_char, parameter: *const c_char, data: *mut sys::rte_tel_data) -> c_int {
    // SAFETY: the caller's promise.
    let (command, parameter) = unsafe {
        let parameter = (!parameter.is_null()).then(|| CStr::from_ptr(parameter).to_string_lossy());
        (CStr::from_ptr(command).to_string_lossy(), parameter)
    };
    let handler = HANDLERS.read().unwrap_or_else(PoisonError::into_inner).get(&*command).cloned();
    let Some(handler) = handler else { return -(Number::ENOENT as c_int) };
    // A panic must not cross C; the answer is none then, and the panic's message is in the log.
    let Ok(Ok(answer)) = catch_unwind(AssertUnwindSafe(|| handler(parameter.as_deref()))) else {
        return -(Number::EINVAL as c_int);
    };
    // SAFETY: `data` is empty and live.
    unsafe {
        sys::rte_tel_data_start_dict(data);
        fill(data, &answer)
    }
}

/// Adds values to a dictionary; 0 or an error that DPDK passes on.
///
/// # Safety
/// `data` is a dictionary that was started.
unsafe fn fill(data: *mut sys::rte_tel_data, answer: &TelemetryAnswer) -> c_int {
    for (name, value) in answer {
        let Ok(name) = CString::new(name.as_str()) else { return -(Number::EINVAL as c_int) };
        // SAFETY: `data` is a started dictionary, `name` a C string that is copied; a container is made here, started as what it is
        // filled as, and given to DPDK to free, or freed here where DPDK does not take it.
        let code = unsafe {
            match value {
                TelemetryValue::Number(number) => sys::rte_tel_data_add_dict_u64(data, name.as_ptr(), *number),
                TelemetryValue::Text(text) => {
                    let Ok(text) = CString::new(text.as_str()) else { return -(Number::EINVAL as c_int) };
                    sys::rte_tel_data_add_dict_string(data, name.as_ptr(), text.as_ptr())
                }
                TelemetryValue::Numbers(numbers) => {
                    let array = sys::rte_tel_data_alloc();
                    if array.is_null() {
                        return -(Number::ENOMEM as c_int);
                    }
                    sys::rte_tel_data_start_array(array, sys::RTE_TEL_U64_VAL);
                    for number in numbers {
                        sys::rte_tel_data_add_array_u64(array, *number);
                    }
                    add_container(data, &name, array)
                }
                TelemetryValue::Group(values) => {
                    let group = sys::rte_tel_data_alloc();
                    if group.is_null() {
                        return -(Number::ENOMEM as c_int);
                    }
                    sys::rte_tel_data_start_dict(group);
                    let code = fill(group, values);
                    if code < 0 {
                        sys::rte_tel_data_free(group);
                        return code;
                    }
                    add_container(data, &name, group)
                }
            }
        };
        // A text that is too long was cut.
        if code < 0 && code != -(Number::E2BIG as c_int) {
            return code;
        }
    }
    0
}

/// Gives a container to a dictionary.
///
/// # Safety
/// `data` is a started dictionary; `container` is live and used by nobody else.
unsafe fn add_container(data: *mut sys::rte_tel_data, name: &CStr, container: *mut sys::rte_tel_data) -> c_int {
    // SAFETY: the caller's promise. 0: DPDK frees the container with the dictionary.
    unsafe {
        let code = sys::rte_tel_data_add_dict_container(data, name.as_ptr(), container, 0);
        if code < 0 {
            sys::rte_tel_data_free(container);
        }
        code
    }
}
