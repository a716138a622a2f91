//! Every point at which a gateway can be killed, in every script, and what must hold then.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use crate::bench::Bench;
use crate::life::{Life, began};
use crate::verdict;

/// How many gateways run at once: most of their time they wait.
const AT_ONCE: usize = 6;

/// Goes through a script once, killed at a point or at its end; the points it passed, and how often.
async fn go(life: Life, end: Option<(usize, String)>) -> BTreeMap<String, usize> {
    let bench = Bench::new(life.clock()).await;
    life.go(&bench, end).await;
    let mut passed = BTreeMap::new();
    for point in bench.passed() {
        *passed.entry(point).or_default() += 1;
    }
    let mut charged = began(&bench).await;
    let mut gateway = verdict::judge(&bench, &life.ends_by_itself(&bench)).await;
    charged.extend(began(&bench).await);
    verdict::close(&bench, &gateway, &charged).await;
    assert!(!gateway.is_dead(), "{:#?}", gateway.log());
    passed
}

/// Runs something in a runtime of its own.
pub(crate) fn alone<T>(what: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(what)
}

/// Goes through every script without a kill, and sees to it that every fail-point there is was passed in one of them.
pub(crate) fn all_points() {
    let passed: BTreeSet<String> = thread::scope(|scope| {
        let lives = Life::ALL.map(|life| scope.spawn(move || alone(go(life, None))));
        lives.into_iter().flat_map(|life| life.join().expect("it goes well").into_keys()).collect()
    });
    let known: BTreeSet<String> = crate::points().into_iter().collect();
    assert_eq!(passed, known, "fail-points that no script passes are tested by none");
}

/// One case; what went wrong, if something did.
fn case(life: Life, point: &str, number: usize) -> Result<(), String> {
    let end = Some((number, point.to_owned()));
    let result = thread::Builder::new().name(format!("{point} {number}")).spawn(move || alone(go(life, end))).unwrap().join();
    result.map(drop).map_err(|panic| {
        let words = panic.downcast_ref::<String>().cloned().or_else(|| panic.downcast_ref::<&str>().map(ToString::to_string));
        format!("{life:?}, killed at {point:?} for the {number}. time: {}", words.unwrap_or_default())
    })
}

/// Kills a gateway in every way that a script has; only in that of the variable `SVPN_CASE`, as `3@journal: after a commit`, where it is set.
pub(crate) fn run(life: Life) {
    let passed = alone(go(life, None));
    assert!(!passed.is_empty(), "{life:?} passes no point");
    let only = std::env::var("SVPN_CASE").ok();
    let cases = passed.iter().flat_map(|(point, &times)| (1..=times).map(move |number| (point, number)));
    let cases: Vec<_> = cases.filter(|(point, number)| only.as_ref().is_none_or(|only| *only == format!("{number}@{point}"))).collect();
    let (next, failed) = (AtomicUsize::new(0), Mutex::new(Vec::new()));
    thread::scope(|scope| {
        for _ in 0..AT_ONCE {
            scope.spawn(|| {
                while let Some((point, number)) = cases.get(next.fetch_add(1, Ordering::Relaxed)) {
                    if let Err(why) = case(life, point, *number) {
                        failed.lock().unwrap().push(why);
                    }
                }
            });
        }
    });
    let failed = failed.into_inner().unwrap();
    assert!(failed.is_empty(), "{} of {} cases failed:\n{}", failed.len(), cases.len(), failed.join("\n"));
    println!("{life:?}: {} cases", cases.len());
}
