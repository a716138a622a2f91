//! Fail-points, in builds for tests only: the process can be killed where it says `fail_point!`.
//!
//! `SVPN_FAILPOINTS` names the points, separated by `|`; `SVPN_PASSED` a file to which a line is appended for each that is passed; and
//! `SVPN_KILL` is `<number>@<point>`: when that point is passed for that time the process ends by SIGKILL, so that nothing is tidied up. Where
//! `SVPN_ARMED` names a file, points count only when it is there.

use std::collections::HashMap;
use std::fs::{File, OpenOptions};
use std::io::Write as _;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

use nix::sys::signal::{Signal, raise};

/// What was passed, and where it ends.
struct Passages {
    log: Option<File>,
    counts: HashMap<String, usize>,
    end: Option<(usize, String)>,
    /// Not before this is there.
    armed: Option<PathBuf>,
}

/// Does what the variables say; what they say wrongly ends the process, for it is a test's mistake.
pub(crate) fn arm() {
    let variable = |name: &str| std::env::var(name).ok();
    let Some(points) = variable("SVPN_FAILPOINTS") else { return };
    let open = |path: String| OpenOptions::new().append(true).create(true).open(path).expect("SVPN_PASSED can be written");
    let end = variable("SVPN_KILL").map(|end| {
        let (number, point) = end.split_once('@').expect("SVPN_KILL is NUMBER@POINT");
        (number.parse().expect("SVPN_KILL begins with a number"), point.to_owned())
    });
    let passages =
        Passages { log: variable("SVPN_PASSED").map(open), counts: HashMap::new(), end, armed: variable("SVPN_ARMED").map(PathBuf::from) };
    let passages = Arc::new(Mutex::new(passages));
    for point in points.split('|').map(str::to_owned) {
        let (passages, name) = (Arc::clone(&passages), point.clone());
        let pass = move || passages.lock().unwrap_or_else(PoisonError::into_inner).pass(&name);
        fail::cfg_callback(point, pass).expect("a callback is always understood");
    }
}

impl Passages {
    fn pass(&mut self, point: &str) {
        if self.armed.as_ref().is_some_and(|armed| !armed.exists()) {
            return;
        }
        let count = self.counts.entry(point.to_owned()).or_default();
        *count += 1;
        if let Some(log) = &mut self.log {
            writeln!(log, "{point}").expect("SVPN_PASSED can be written");
        }
        if self.end.as_ref().is_some_and(|(number, end)| number == count && end == point) {
            raise(Signal::SIGKILL).expect("a process may kill itself");
        }
    }
}
