//! The fast path does what the oracle of the contract says: the same entries, the same frames, the same outcomes, byte for byte, and the same
//! counters, for a million random frames in random networks.
//!
//! The seeds are the same each time; `ORACLE_SEED` in the environment starts elsewhere, `ORACLE_FRAMES` asks for more or fewer. A case that
//! fails is made smaller and written out as text. It is tried again by `ORACLE_CASE`, the name of a file with that text; what was mended
//! stays in `tests/cases`.

mod twin;

use std::ops::Range;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::time::Duration;
use std::{env, fs};

use svpn_contract::Update;
use svpn_contract::generators::{Case, Derived, Origin, Step, derived};
use svpn_contract::wire::PortId;
use twin::{Arrival, BUFFERS, Difference, Twin, pool};

/// Frames of all parts together.
const FRAMES: u64 = 1_000_000;
/// Frames through one network.
const OF_A_CASE: usize = 400;
/// Tests that share the frames, so that they run beside each other.
const PARTS: u64 = 4;

/// A number from the environment.
fn number(name: &str) -> Option<u64> {
    let text = env::var(name).ok()?;
    Some(text.parse().unwrap_or_else(|error| panic!("{name}={text}: {error}")))
}

/// In how many places a frame is cut, and where: some of them are, so that any header can lie across two buffers.
fn arrival(port: PortId, frame: &[u8], place: usize) -> Arrival {
    let cuts = if place % 8 == 7 { (1..=place % 5).map(|cut| (place * 31 + cut * 17) % 61).collect() } else { Vec::new() };
    Arrival { port, frame: frame.to_vec(), cuts }
}

/// The same happens to both, and nothing differs after any step.
fn go(case: &Case) -> Result<(), Difference> {
    let mut twin = Twin::new(case.0.len() as u64);
    let mut now = Duration::from_secs(1);
    for step in &case.0 {
        match step {
            Step::Write(updates) => {
                updates.iter().try_for_each(|update| twin.apply(update))?;
                twin.publish();
                twin.compare()?;
            }
            Step::Frames { after, frames } => {
                now += *after;
                let arrivals = frames.iter().enumerate().map(|(place, (port, frame))| arrival(*port, frame, place));
                twin.receive(&arrivals.collect::<Vec<_>>(), now)?;
                twin.compare_drops()?;
            }
            Step::Link(port, link) => twin.set_link(*port, *link),
        }
    }
    twin.compare()?;
    twin.compare_lists()
}

/// Why a case fails: by a difference, a panic, or buffers that did not come back.
fn failure(case: &Case) -> Option<String> {
    match catch_unwind(AssertUnwindSafe(|| go(case))) {
        Err(panic) => {
            let text = panic.downcast_ref::<String>().map(String::as_str).or(panic.downcast_ref::<&str>().copied());
            Some(format!("panicked: {}", text.unwrap_or("without a word")))
        }
        Ok(Err(difference)) => Some(difference.to_string()),
        Ok(Ok(())) if pool().available() != BUFFERS => Some(format!("{} of {BUFFERS} buffers are back", pool().available())),
        Ok(Ok(())) => None,
    }
}

/// Makes a case that fails smaller, and says all about it.
fn report(name: &str, case: &Case, first: &str) -> ! {
    // A panic would be written for each of the many that are tried.
    let hook = std::panic::take_hook();
    std::panic::set_hook(Box::new(|_| {}));
    let smallest = case.smallest(|case| failure(case).is_some());
    let why = failure(&smallest).unwrap_or_else(|| first.to_owned());
    std::panic::set_hook(hook);
    panic!("{name}: {why}\n\nThe smallest case that fails; ORACLE_CASE=<file with these lines> tries it again:\n{smallest}");
}

fn try_seeds(seeds: Range<u64>) {
    let first = number("ORACLE_SEED").unwrap_or_default();
    for seed in seeds.map(|seed| first.wrapping_add(seed)) {
        let case = Case::random(seed, OF_A_CASE);
        if let Some(why) = failure(&case) {
            report(&format!("seed {seed}"), &case, &why);
        }
    }
}

/// The seeds of a part.
fn try_part(part: u64) {
    let each = number("ORACLE_FRAMES").unwrap_or(FRAMES).div_ceil(PARTS * OF_A_CASE as u64);
    try_seeds(part * each..(part + 1) * each);
}

#[test]
fn the_forwarder_does_what_the_oracle_says_1() {
    try_part(0);
}

#[test]
fn the_forwarder_does_what_the_oracle_says_2() {
    try_part(1);
}

#[test]
fn the_forwarder_does_what_the_oracle_says_3() {
    try_part(2);
}

#[test]
fn the_forwarder_does_what_the_oracle_says_4() {
    try_part(3);
}

/// Every case that failed once, and the one that is asked for.
#[test]
fn what_failed_once_fails_no_more() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/cases");
    let files = fs::read_dir(&folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
    let files = files.map(|file| file.expect("the folder is readable").path());
    for file in files.chain(env::var_os("ORACLE_CASE").map(Into::into)) {
        let name = file.display().to_string();
        let text = fs::read_to_string(&file).unwrap_or_else(|error| panic!("{name}: {error}"));
        let case: Case = text.parse().unwrap_or_else(|error| panic!("{name}: {error}"));
        if let Some(why) = failure(&case) {
            report(&name, &case, &why);
        }
    }
}

/// What p4testgen derived from the P4 program happens to both.
fn follow(case: &Derived, port: PortId, frame: &[u8]) -> Result<(), Difference> {
    let now = Duration::from_secs(1);
    let mut twin = Twin::new(case.number);
    case.entries.iter().try_for_each(|entry| twin.apply(&Update::Insert(entry.clone())))?;
    twin.publish();
    twin.expect(port, frame, now, &case.outcome)?;
    twin.receive(&[arrival(port, frame, usize::try_from(case.number).unwrap_or_default())], now)?;
    twin.compare()
}

#[test]
fn the_forwarder_does_what_the_p4_program_says() {
    let (mut replayed, mut packet_outs, mut failed) = (0, 0, Vec::new());
    for case in derived().unwrap_or_else(|error| panic!("{error}")) {
        match &case.origin {
            Origin::Port(port, frame) => {
                replayed += 1;
                failed.extend(follow(&case, *port, frame).err().map(|difference| format!("case {}: {difference}", case.number)));
            }
            Origin::Controller(_) => packet_outs += 1,
        }
    }
    println!("{replayed} cases replayed; left out: {packet_outs} packet-outs, which the fast path does not see");
    assert!(failed.is_empty(), "{} of {replayed} cases:\n{}", failed.len(), failed.join("\n"));
    assert!(replayed > 0);
}
