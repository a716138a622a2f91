//! SIP set-ups: registrations, calls and hang-ups of many applications against a real gateway and real routers.
//!
//! Everything that is measured is a process of its own: the gateway as a user starts it, with its journal on a disk, and a
//! `svpn-forwarder` for each of two provider edges, which it programs by P4Runtime. The applications are in this process, behind two UDP
//! sockets: they repeat what is not answered as RFC 3261 has it, so a datagram that is lost, or an answer that is late, is seen.

mod callees;
mod callers;
mod digest;
mod load;
mod message;
mod outbox;
mod report;
pub mod signalling;
mod soak;
mod tally;
mod timers;
mod world;
mod write;

use std::io::{self, Write};
use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, ValueEnum};
use hdrhistogram::CreationError;
use thiserror::Error;

use crate::pipeline::Count;
use callers::{Callers, Job};
use load::{Load, Pace};
use report::Row;
pub use soak::Leak;
use world::World;
use write::Application;

/// SIP: set-ups and tear-downs a second, how long they take, and what a session costs the gateway in memory and processor time.
///
/// Callers register, place calls with digest authentication to applications that answer at once, and hang up; over UDP on loopback, with RFC 3261's
/// timers. What they call through is a svpn-gateway and two svpn-forwarders with a link between them, found beside this program and started for it: every
/// session is checked against a contract, reserved in the calendar, written to the journal (SQLite on the disk of --state), programmed into
/// both routers by P4Runtime, and in the end read out, billed and recorded.
///
/// Without --hold, --calls sessions are set up, stay until their SIP transactions are over (--settle), which tells what memory a session takes, and
/// are torn down. With --hold each call is hung up so long after its answer, and set-ups and tear-downs are mixed.
///
/// --signalling-only: the gateway's SIP server alone, in a process of its own, over something that grants whatever is asked for. No contract, no
/// calendar, no journal, no router, no bill: the figure to compare with SIP servers that only signal.
///
/// Processor time is all that the gateway uses, in user and kernel mode, until the last session is settled; that of the applications, of the
/// routers and of the disk is not in it. A session counts as set up when its caller has the 200.
#[allow(clippy::doc_markdown, reason = "the text of --help, where backticks are only noise")]
#[derive(Debug, Clone, Args)]
pub struct Arguments {
    /// Calls.
    #[arg(long, default_value = "10k")]
    pub calls: Count,
    /// Calls offered a second, whatever becomes of them. Without it the next begins when one is done, --concurrent at a time.
    #[arg(long)]
    pub rate: Option<Count>,
    /// With --rate: as many calls as are offered in so many seconds, instead of --calls.
    #[arg(long, requires = "rate")]
    pub seconds: Option<Count>,
    /// Without --rate: calls at a time that are being set up, or torn down; with --hold, those in service as well.
    #[arg(long, default_value = "64")]
    pub concurrent: Count,
    /// Milliseconds from a call's answer to its end. Without it, calls stay until all are set up.
    #[arg(long)]
    pub hold: Option<u64>,
    /// REGISTERs, beside one for each application.
    #[arg(long, default_value = "2k")]
    pub registrations: Count,
    /// Applications that call; as many are called.
    #[arg(long, default_value = "100")]
    pub applications: Count,
    /// How callers sign.
    #[arg(long, value_enum, default_value_t = Signing::Challenged)]
    pub signing: Signing,
    /// Only the SIP server.
    #[arg(long, conflicts_with = "soak")]
    pub signalling_only: bool,
    /// Set up and tear down so many calls instead, in --rounds of which each begins and ends with no session and is followed by --settle, and
    /// fail unless all is then as it was: the routers' tables and what the link has to offer as before the first call, no session and no tunnel kept, a charge record
    /// for each call, and the gateway's memory within --growth of what it was after the first round.
    #[arg(long)]
    pub soak: Option<Count>,
    /// With --soak: how many rounds.
    #[arg(long, default_value_t = 4, value_parser = clap::value_parser!(u32).range(2..))]
    pub rounds: u32,
    /// With --soak: MiB by which the gateway's memory may grow.
    #[arg(long, default_value = "16")]
    pub growth: Count,
    /// Seconds until memory is looked at: SIP transactions end 32 seconds after the last message, and what they answered is kept for as long
    /// again.
    #[arg(long, default_value_t = 70)]
    pub settle: u64,
    /// Where the gateway's database and the logs are: a folder on the disk to be measured.
    #[arg(long, default_value_os_t = std::env::temp_dir())]
    pub state: PathBuf,
    /// The gateway to measure, instead of the svpn-gateway beside this program.
    #[arg(long)]
    pub gateway: Option<PathBuf>,
    /// The router to measure with, instead of the svpn-forwarder beside this program.
    #[arg(long)]
    pub forwarder: Option<PathBuf>,
    /// Print one JSON object.
    #[arg(long)]
    pub json: bool,
}

/// How callers sign.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Signing {
    /// Every INVITE is challenged, acknowledged, and sent again with credentials: what a plain phone does.
    Challenged,
    /// With the nonce of the last challenge, until it is refused.
    Ahead,
}

/// Why there is no figure, or a bad one.
#[derive(Debug, Error)]
pub enum SipError {
    /// A program does not start.
    #[error("{program} does not start: {source}")]
    Program {
        /// Which.
        program: String,
        /// Why.
        source: io::Error,
    },
    /// A program started and is not ready.
    #[error("{name} does not become ready; the end of its log:\n{log}")]
    NotReady {
        /// Which.
        name: &'static str,
        /// What it said last.
        log: String,
    },
    /// The gateway's program refuses to tell what it keeps.
    #[error("svpn-gateway does not tell what it keeps: {0}")]
    Asked(String),
    /// Sessions that are over are still kept.
    #[error("{0} sessions are over and not settled")]
    Unsettled(usize),
    /// The load could not even begin.
    #[error("{failed} of {all} applications could not register")]
    Unregistered {
        /// Those that could not.
        failed: u64,
        /// All.
        all: u64,
    },
    /// After a soak something is not as it was.
    #[error(transparent)]
    Leak(#[from] Leak),
    /// There is no memory to count times.
    #[error(transparent)]
    Histogram(#[from] CreationError),
    /// A socket, a file or the output: also the gateway's socket, where it has ended.
    #[error("{0}")]
    System(#[from] io::Error),
}

/// Calls before those that count.
const WARM_UP: u32 = 200;
/// Bit/s of a call's media.
const RATE: u64 = 64_000;

/// Measures, and writes the results.
///
/// # Errors
/// [`SipError`]: also where a soak finds that something is left.
pub fn run(arguments: &Arguments, output: &mut impl Write) -> Result<(), SipError> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        let world = World::start(arguments)?;
        let mut load = Load::connect(world.address, arguments.signing, arguments.applications.0).await?;
        match arguments.soak {
            Some(calls) => soak::run(arguments, calls.0, &world, &mut load, output).await,
            None => measure(arguments, &world, &mut load).await?.write(arguments.json, output),
        }
    })
}

/// Every application registers, and then some do again.
async fn register(arguments: &Arguments, load: &mut Load) -> Result<tally::Tally, SipError> {
    let callers = arguments.applications.0;
    let all = callers * 2 + if arguments.soak.is_some() { 0 } else { arguments.registrations.0 };
    let mut number = 0;
    load.run(Pace::AtOnce(arguments.concurrent.0 as usize), |callers_side, now, out| {
        let application = match number % (2 * callers) {
            caller if caller < callers => Application::Caller(caller),
            callee => Application::Callee(callee - callers),
        };
        number += 1;
        let more = number <= all;
        if more {
            callers_side.begin(Job::Register(application), now, out);
        }
        more
    })
    .await?;
    let tally = load.take_tally()?;
    if tally.registrations.count() < u64::from(all) {
        return Err(SipError::Unregistered { failed: u64::from(all) - tally.registrations.count(), all: all.into() });
    }
    Ok(tally)
}

/// Places calls; with `hold`, each is hung up.
async fn call(arguments: &Arguments, load: &mut Load, calls: u32, pace: Pace, hold: Option<Duration>) -> Result<(), SipError> {
    let mut number = 0;
    load.run(pace, |callers, now, out| {
        let caller = number % arguments.applications.0;
        number += 1;
        let more = number <= calls;
        if more {
            callers.begin(Job::Call { caller, rate: RATE, hold }, now, out);
        }
        more
    })
    .await
}

async fn measure(arguments: &Arguments, world: &World, load: &mut Load) -> Result<Row, SipError> {
    let registered = register(arguments, load).await?;
    call(arguments, load, WARM_UP, Pace::AtOnce(16), Some(Duration::ZERO)).await?;
    world.settled().await?;
    if arguments.hold.is_none() {
        load.linger(Duration::from_secs(arguments.settle)).await?;
    }
    load.take_tally()?;
    let (memory, time) = (world.gateway.memory()?, world.gateway.processor_time()?);
    let at_once = Pace::AtOnce(arguments.concurrent.0 as usize);
    let pace = arguments.rate.map_or(at_once, |rate| Pace::Rate(f64::from(rate.0)));
    let calls = match (arguments.rate, arguments.seconds) {
        (Some(rate), Some(seconds)) => rate.0.saturating_mul(seconds.0),
        _ => arguments.calls.0,
    };
    call(arguments, load, calls, pace, arguments.hold.map(Duration::from_millis)).await?;
    let set_up_time = world.gateway.processor_time()?.saturating_sub(time);
    let mut session_memory = None;
    if arguments.hold.is_none() {
        load.linger(Duration::from_secs(arguments.settle)).await?;
        let held = u64::try_from(load.held()).unwrap_or(u64::MAX);
        session_memory = world.gateway.memory()?.saturating_sub(memory).checked_div(held);
        load.run(pace, Callers::hang_up).await?;
    }
    world.settled().await?;
    let whole_time = world.gateway.processor_time()?.saturating_sub(time);
    let tally = load.take_tally()?;
    Ok(Row::new(arguments, &tally, &registered, report::Cost { set_up_time, whole_time, session_memory }))
}
