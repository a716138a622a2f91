//! The log of the program.

use std::fs::{File, OpenOptions};
use std::io::{self, IsTerminal as _, Write};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use svpn_dpdk::LogLevel;
use tracing_subscriber::EnvFilter;
use tracing_subscriber::fmt::MakeWriter;

use crate::arguments::{Arguments, LogFormat};

/// Why there is no log.
#[derive(Debug, thiserror::Error)]
pub(crate) enum LogError {
    /// The filter is none.
    #[error("--log {filter}: {source}; expected a level, or levels by part, as in info,svpn_forwarder::p4runtime=debug")]
    Filter {
        /// The filter.
        filter: String,
        /// What is wrong with it.
        source: tracing_subscriber::filter::ParseError,
    },
    /// The file cannot be written.
    #[error("cannot log into {path}: {source}")]
    File {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
}

/// Begins to log. The returned file is reopened on a hang-up.
pub(crate) fn start(arguments: &Arguments) -> Result<Option<LogFile>, LogError> {
    let filter = EnvFilter::try_new(&arguments.log).map_err(|source| LogError::Filter { filter: arguments.log.clone(), source })?;
    let file = arguments.log_file.as_deref().map(LogFile::open).transpose()?;
    let builder = tracing_subscriber::fmt().with_env_filter(filter);
    match (&file, arguments.log_format) {
        (None, LogFormat::Text) => builder.with_ansi(io::stderr().is_terminal()).with_writer(io::stderr).init(),
        (None, LogFormat::Json) => builder.json().flatten_event(true).with_writer(io::stderr).init(),
        (Some(file), LogFormat::Text) => builder.with_ansi(false).with_writer(file.clone()).init(),
        (Some(file), LogFormat::Json) => builder.json().flatten_event(true).with_writer(file.clone()).init(),
    }
    svpn_dpdk::log_to(from_dpdk);
    Ok(file)
}

/// A line of DPDK's log.
fn from_dpdk(level: LogLevel, line: &str) {
    match level {
        LogLevel::Error => tracing::error!(target: "dpdk", "{line}"),
        LogLevel::Warning => tracing::warn!(target: "dpdk", "{line}"),
        LogLevel::Info => tracing::info!(target: "dpdk", "{line}"),
        LogLevel::Debug => tracing::debug!(target: "dpdk", "{line}"),
    }
}

/// A file that is appended to, and can be opened anew by its name.
#[derive(Debug, Clone)]
pub(crate) struct LogFile {
    path: Arc<Path>,
    file: Arc<Mutex<File>>,
}

impl LogFile {
    fn open(path: &Path) -> Result<Self, LogError> {
        Ok(Self { file: Arc::new(Mutex::new(append(path)?)), path: Arc::from(path) })
    }

    /// Opens the file anew: what was moved away is written no more.
    ///
    /// # Errors
    /// [`LogError::File`]; the old file is written on.
    pub(crate) fn reopen(&self) -> Result<(), LogError> {
        let file = append(&self.path)?;
        *self.file.lock().unwrap_or_else(PoisonError::into_inner) = file;
        Ok(())
    }
}

fn append(path: &Path) -> Result<File, LogError> {
    let file = OpenOptions::new().append(true).create(true).open(path);
    file.map_err(|source| LogError::File { path: path.to_owned(), source })
}

/// The file for one line.
pub(crate) struct Line<'a>(MutexGuard<'a, File>);

impl Write for Line<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.0.flush()
    }
}

impl<'a> MakeWriter<'a> for LogFile {
    type Writer = Line<'a>;

    fn make_writer(&'a self) -> Line<'a> {
        Line(self.file.lock().unwrap_or_else(PoisonError::into_inner))
    }
}
