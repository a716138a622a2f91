//! `svpn-bench`: the command line.

use std::io::{self, Write as _};
use std::process::ExitCode;

use clap::{Parser, Subcommand};
use svpn_bench::{admission, latency, memory, p4runtime, pipeline, sip, updates};

/// How fast svpn is, beside its peers in the same run.
///
/// Absolute figures belong to one machine on one day. What to compare is the ratio to the peer, which had the same cores, ports and
/// frames, turn by turn. Rates are per second of processor time, so time that other programs take is not counted; but what they
/// leave in caches, and a busy sibling of a hardware thread, can halve a rate, and not everybody's alike. Measure on a quiet machine what you want
/// to publish.
#[derive(Debug, Parser)]
#[command(version)]
struct CommandLine {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    Pipeline(pipeline::Arguments),
    Scaling(pipeline::scaling::Arguments),
    Memory(memory::Arguments),
    Updates(updates::Arguments),
    Latency(latency::Arguments),
    #[command(name = "p4runtime")]
    P4Runtime(p4runtime::Arguments),
    Repair(p4runtime::repair::Arguments),
    Admission(admission::Arguments),
    Sip(sip::Arguments),
    #[command(hide = true)]
    SipServer(sip::signalling::ServerArguments),
}

fn main() -> ExitCode {
    let mut output = io::stdout().lock();
    let error: Box<dyn std::error::Error> = match CommandLine::parse().command {
        Command::Pipeline(arguments) => match pipeline::run(&arguments, &mut output) {
            Ok(()) => return ExitCode::SUCCESS,
            Err(error) => error.into(),
        },
        Command::Scaling(arguments) => match pipeline::scaling::run(&arguments, &mut output) {
            Ok(()) => return ExitCode::SUCCESS,
            Err(error) => error.into(),
        },
        Command::Latency(arguments) => match latency::run(&arguments, &mut output) {
            Ok(()) => return ExitCode::SUCCESS,
            Err(error) => error.into(),
        },
        Command::Memory(arguments) => match memory::run(&arguments, &mut output) {
            Ok(()) => return ExitCode::SUCCESS,
            Err(error) => error.into(),
        },
        Command::Updates(arguments) => match updates::run(&arguments, &mut output) {
            Ok(()) => return ExitCode::SUCCESS,
            Err(error) => error.into(),
        },
        Command::Admission(arguments) => match admission::run(&arguments, &mut output) {
            Ok(()) => return ExitCode::SUCCESS,
            Err(error) => error.into(),
        },
        Command::Repair(arguments) => match p4runtime::repair::run(&arguments, &mut output) {
            Ok(()) => return ExitCode::SUCCESS,
            Err(error) => error.into(),
        },
        Command::Sip(arguments) => match sip::run(&arguments, &mut output) {
            Ok(()) => return ExitCode::SUCCESS,
            Err(error) => error.into(),
        },
        Command::SipServer(arguments) => match sip::signalling::run(&arguments) {
            Ok(()) => return ExitCode::SUCCESS,
            Err(error) => error.into(),
        },
        Command::P4Runtime(arguments) => match p4runtime::run(&arguments, &mut output) {
            Ok(()) => return ExitCode::SUCCESS,
            Err(error) => error.into(),
        },
    };
    // Nowhere is left to say that standard error is closed.
    let _ = writeln!(io::stderr(), "svpn-bench: {error}");
    ExitCode::FAILURE
}
