//! A soak: after any number of calls everything is as it was before the first, as seen from the outside.

use std::collections::BTreeSet;
use std::io::Write;
use std::time::{Duration, Instant};

use thiserror::Error;

use super::callers::Job;
use super::load::{Load, Pace};
use super::world::World;
use super::{Arguments, SipError, call, register};

/// More than any link has: the refusal names what would have fitted.
const TOO_MUCH: u64 = 900_000_000_000;

/// What is not as it was.
#[derive(Debug, Error)]
pub enum Leak {
    /// Calls failed.
    #[error("of {calls} calls {failed} failed: {kinds}")]
    Failed {
        /// All calls.
        calls: u32,
        /// Those that failed.
        failed: u64,
        /// How.
        kinds: String,
    },
    /// The routers hold other entries than before.
    #[error("the routers' tables have changed by {} entries; first {}", .0.len(), .0.first().map_or("", String::as_str))]
    Tables(Vec<String>),
    /// The gateway keeps what should be gone.
    #[error("{count} {what} are kept that belong to nothing")]
    Kept {
        /// What.
        what: &'static str,
        /// How many.
        count: usize,
    },
    /// A call is not billed, or twice.
    #[error("{calls} calls were answered, and {records} charge records are kept")]
    Charges {
        /// Calls.
        calls: u64,
        /// Records.
        records: u64,
    },
    /// The calendar has more or less to offer.
    #[error("the gateway offered this before: {before}; and this afterwards: {after}")]
    Calendar {
        /// What a refusal said before.
        before: String,
        /// What it said afterwards.
        after: String,
    },
    /// The gateway has grown.
    #[error("the gateway's memory has grown from {before} to {after} MiB")]
    Memory {
        /// After the first round.
        before: u64,
        /// After the last.
        after: u64,
    },
}

/// What can be seen from the outside while there is no session.
struct Seen {
    tables: Vec<String>,
    offered: String,
}

impl Seen {
    async fn look(world: &World, load: &mut Load) -> Result<Self, SipError> {
        let mut asked = false;
        load.run(Pace::AtOnce(1), |callers, now, out| {
            let first = !asked;
            if first {
                callers.begin(Job::Call { caller: 0, rate: TOO_MUCH, hold: Some(Duration::ZERO) }, now, out);
            }
            asked = true;
            first
        })
        .await?;
        let warning = load.take_tally()?.warning.unwrap_or_default();
        Ok(Self { tables: world.tables()?, offered: without_times(&warning) })
    }
}

/// What a refusal says of the link and its bandwidth, but for when.
fn without_times(warning: &str) -> String {
    warning.split(' ').filter(|word| !(word.contains('T') && word.contains(':'))).collect::<Vec<_>>().join(" ")
}

/// Sets up and tears down, and compares.
pub(super) async fn run(
    arguments: &Arguments,
    calls: u32,
    world: &World,
    load: &mut Load,
    output: &mut impl Write,
) -> Result<(), SipError> {
    register(arguments, load).await?;
    let before = Seen::look(world, load).await?;
    let (mut answered, mut first_memory) = (0, 0);
    let settle = Duration::from_secs(arguments.settle);
    let pace = Pace::AtOnce(arguments.concurrent.0 as usize);
    let start = Instant::now();
    let rounds = arguments.rounds;
    for round in 0..rounds {
        let some = calls / rounds + u32::from(round < calls % rounds);
        call(arguments, load, some, pace, Some(Duration::from_millis(arguments.hold.unwrap_or(0)))).await?;
        world.settled().await?;
        let tally = load.take_tally()?;
        answered += tally.set_ups.count();
        let failed = tally.failed_in_all();
        if failed > 0 {
            let kinds: Vec<String> = tally.failures.iter().map(|(failure, count)| format!("{count} × {failure}")).collect();
            let kinds = kinds.join(", ") + &tally.warning.map_or_else(String::new, |warning| format!("; last {warning}"));
            return Err(Leak::Failed { calls: some, failed, kinds }.into());
        }
        // All rounds begin alike, so that the first takes as much memory at its height as the others do.
        load.linger(settle).await?;
        let memory = world.gateway.memory()?;
        if round == 0 {
            first_memory = memory;
        }
        writeln!(
            output,
            "round {:>2}: {some} set-ups and tear-downs, p99 {:.1} ms, sent again {}, memory {} MiB, {:.0} s",
            round + 1,
            tally.set_ups.milliseconds(0.99),
            tally.sent_again,
            memory >> 20,
            start.elapsed().as_secs_f64()
        )?;
        output.flush()?;
    }
    compare(world, load, &before, answered).await?;
    let memory = check_memory(arguments, first_memory, world.gateway.memory()?)?;
    writeln!(
        output,
        "{answered} sessions set up, torn down and billed; {} table entries, the calendar and the records are as before; {memory}",
        before.tables.len()
    )?;
    Ok(())
}

fn check_memory(arguments: &Arguments, before: u64, after: u64) -> Result<String, Leak> {
    let (before, after, growth) = (before >> 20, after >> 20, u64::from(arguments.growth.0));
    if after > before + growth {
        return Err(Leak::Memory { before, after });
    }
    Ok(format!("memory {before} MiB after the first round, {after} MiB after the last (at most {growth} more)"))
}

async fn compare(world: &World, load: &mut Load, before: &Seen, answered: u64) -> Result<(), SipError> {
    let after = Seen::look(world, load).await?;
    let (old, new): (BTreeSet<_>, BTreeSet<_>) = (before.tables.iter().collect(), after.tables.iter().collect());
    let changed: Vec<String> = old.symmetric_difference(&new).map(|entry| (*entry).clone()).collect();
    if !changed.is_empty() {
        return Err(Leak::Tables(changed).into());
    }
    for what in ["sessions", "tunnels"] {
        let count = world.records(what)?.len();
        if count > 0 {
            return Err(Leak::Kept { what, count }.into());
        }
    }
    let records = u64::try_from(world.records("charges")?.len()).unwrap_or(u64::MAX);
    if records != answered {
        return Err(Leak::Charges { calls: answered, records }.into());
    }
    if before.offered != after.offered || before.offered.is_empty() {
        return Err(Leak::Calendar { before: before.offered.clone(), after: after.offered }.into());
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_offered_is_compared_without_its_time() {
        let said =
            |time: &str, fits: u32| without_times(&format!("370 svpn-gateway \"link pe1-pe2 has {fits} bit/s free from {time} on\""));
        assert_eq!(said("2026-11-22T18:00:00Z", 7), said("2026-11-22T18:00:09Z", 7));
        assert_ne!(said("2026-11-22T18:00:00Z", 7), said("2026-11-22T18:00:00Z", 8));
    }
}
