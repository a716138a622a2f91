//! What is wrong with a configuration, and where.

use std::fmt;
use std::io;
use std::ops::Range;
use std::path::{Path, PathBuf};

/// Bytes of the file.
pub(crate) type Span = Range<usize>;

/// A place in a configuration file, written `svpn.toml:12`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    path: PathBuf,
    line: Option<usize>,
}

impl Place {
    pub(crate) fn new(path: &Path, text: &str, span: Option<Span>) -> Self {
        // A span may point behind the last byte: something is missing at the end.
        let before = |span: Span| text.as_bytes().iter().take(span.start);
        let line = span.map(|span| before(span).fold(1, |line, byte| line + usize::from(*byte == b'\n')));
        Self { path: path.to_path_buf(), line }
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.path.display())?;
        self.line.map_or(Ok(()), |line| write!(f, ":{line}"))
    }
}

/// Why the gateway does not start.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// The file is not there or cannot be read.
    #[error("{path}: {source}", path = .path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// Something in the file is wrong.
    #[error("{place}: {reason}")]
    Wrong {
        /// Where.
        place: Place,
        /// What, and what was expected.
        reason: String,
    },
}
