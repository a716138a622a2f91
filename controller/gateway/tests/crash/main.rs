//! The gateway as a process of its own, killed at every fail-point and put through every misfortune, against routers that are oracles
//! and outlive it, and applications that remember what they were told.

mod agent;
mod bench;
mod frames;
mod life;
mod matrix;
mod message;
mod misfortunes;
mod moves;
mod operator;
mod provider;
mod service;
mod verdict;

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::time::Duration;

use life::Life;

#[test]
fn calls_survive_every_kill() {
    matrix::run(Life::Calls);
}

#[test]
fn bookings_survive_every_kill() {
    matrix::run(Life::Bookings);
}

#[test]
fn moved_sessions_survive_every_kill() {
    matrix::run(Life::Failures);
}

#[test]
fn sessions_on_the_move_survive_every_kill() {
    matrix::run(Life::Moves);
}

#[test]
fn a_gateway_that_returns_survives_every_kill() {
    matrix::run(Life::Return);
}

#[test]
fn no_fail_point_is_passed_by_nobody() {
    matrix::all_points();
}

/// Every fail-point of the gateway and its libraries, as their sources have them.
pub(crate) fn points() -> Vec<String> {
    let controller = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
    let mut points = BTreeSet::new();
    for krate in ["gateway", "sip", "store", "switch", "vpn"] {
        collect(&controller.join(krate).join("src"), &mut points);
    }
    points.into_iter().collect()
}

fn collect(folder: &Path, points: &mut BTreeSet<String>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            collect(&path, points);
        } else {
            let text = fs::read_to_string(&path).unwrap();
            for (index, rest) in text.split("fail_point!(\"").enumerate().skip(1) {
                let point = rest.split('"').next().unwrap().to_owned();
                assert!(points.insert(point), "{}: the {index}. fail-point has the name of another", path.display());
            }
        }
    }
}

/// What may come true: some value, or why not yet.
pub(crate) trait Attempt<T> {
    /// The value, or why not.
    fn outcome(self) -> Result<T, String>;
}

impl<T> Attempt<T> for Option<T> {
    fn outcome(self) -> Result<T, String> {
        self.ok_or_else(String::new)
    }
}

impl<T> Attempt<T> for Result<T, String> {
    fn outcome(self) -> Result<T, String> {
        self
    }
}

/// Longer than anything here takes.
const PATIENCE: Duration = Duration::from_mins(1);

/// Waits until something comes true.
pub(crate) async fn soon<T, A: Attempt<T>>(what: &str, mut attempt: impl AsyncFnMut() -> A) -> T {
    let began = tokio::time::Instant::now();
    loop {
        match attempt().await.outcome() {
            Ok(value) => return value,
            Err(why) => assert!(began.elapsed() < PATIENCE, "it does not happen that {what}: {why}"),
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// The same of something that takes no time to look at.
pub(crate) async fn until<T, A: Attempt<T>>(what: &str, mut attempt: impl FnMut() -> A) -> T {
    let began = tokio::time::Instant::now();
    loop {
        match attempt().outcome() {
            Ok(value) => return value,
            Err(why) => assert!(began.elapsed() < PATIENCE, "it does not happen that {what}: {why}"),
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}
