//! Every scenario forwards everything and agrees with the oracle; nothing here says how fast.

use clap::Parser;
use serde_json::Value;
use svpn_bench::pipeline::{self, Arguments, PipelineError, Scenario};

#[derive(Debug, Parser)]
struct CommandLine {
    #[command(flatten)]
    arguments: Arguments,
}

/// Runs with these words after what makes it short.
fn run(words: &str) -> Result<String, PipelineError> {
    let short = "pipeline --rounds 2 --seconds 0.001 --keys 3000 ";
    let line = CommandLine::parse_from((short.to_owned() + words).split_whitespace());
    let mut output = Vec::new();
    pipeline::run(&line.arguments, &mut output)?;
    Ok(String::from_utf8(output).unwrap())
}

#[test]
fn every_scenario_forwards_as_the_oracle_says() {
    let output = run("--json --entries 1,300,5k --frame 64,1500").unwrap();
    let rows: Vec<Value> = output.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let mut expected = Vec::new();
    for scenario in Scenario::ALL {
        for entries in [1, 300, 5000] {
            let frames: &[u64] = if scenario == Scenario::Imix { &[344] } else { &[64, 1500] };
            expected.extend(frames.iter().map(|frame| (scenario.to_string(), entries, *frame)));
        }
    }
    let measured =
        |row: &Value| (row["scenario"].as_str().unwrap().to_owned(), row["entries"].as_u64().unwrap(), row["frame"].as_u64().unwrap());
    assert_eq!(rows.iter().map(measured).collect::<Vec<_>>(), expected);
    for row in &rows {
        assert_eq!(row["cores"], 1);
        assert!(row["mpps"].as_f64().unwrap() > 0.0 && row["cycles_per_packet"].as_f64().unwrap() > 0.0, "{row}");
        assert!(row["bare_mpps"].is_null() && row["ceiling_mpps"].is_null() && row["ratio"].is_null(), "{row}");
    }
}

#[test]
fn the_table_has_a_line_for_each_measurement() {
    let output = run("--scenario swap,imix --entries 1k,2k").unwrap();
    let lines: Vec<&str> = output.lines().collect();
    assert_eq!(lines.len(), 6, "{output}");
    assert!(lines[0].starts_with("Packets in "));
    for (line, start) in lines[1..].iter().zip(["SCENARIO", "swap", "swap", "imix", "imix"]) {
        assert!(line.starts_with(start), "{output}");
    }
}

#[test]
fn two_workers_share_the_tables() {
    // Both on one processor, so that any machine can do it.
    let output = run("--scenario session,egress --entries 300 --cores 2 --processors 0,0 --json").unwrap();
    let cores = |line: &str| serde_json::from_str::<Value>(line).unwrap()["cores"].as_u64();
    assert_eq!(output.lines().map(cores).collect::<Vec<_>>(), [Some(2), Some(2)]);
}

#[test]
fn what_cannot_be_measured_is_refused_with_the_reason() {
    let error = run("--scenario swap --entries 2M").unwrap_err().to_string();
    assert_eq!(error, "swap with 2000000 entries cannot be set up: it has 1 to 1048560 entries");
}

#[test]
fn cores_that_are_not_there_are_refused() {
    let error = run("--cores 2 --processors 0").unwrap_err().to_string();
    assert!(error.starts_with("2 cores were asked for, and this process may use 1"), "{error}");
}
