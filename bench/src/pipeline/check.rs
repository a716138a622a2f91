//! A sample of packets, and what the contract's oracle says of them.

use std::time::Duration;

use svpn_contract::Update;
use svpn_contract::oracle::{ApplyError, Oracle, Outcome};
use svpn_contract::wire::{OutOfRange, PortId};
use svpn_dpdk::{AllocWithError, Burst, Online, Pool};
use svpn_forwarder::fastpath::{BURST, FastPath, Outputs};
use thiserror::Error;

use super::scenario::{Scenario, egress, ingress};
use super::traffic::Traffic;

/// Packets compared.
const SAMPLE: u32 = 192;

/// Why a scenario's packets do not come out as they should.
#[derive(Debug, Error)]
pub enum CheckError {
    /// The oracle does not take the entries.
    #[error("the oracle refuses an entry: {0}")]
    Apply(#[from] ApplyError),
    /// The scenario does not forward: it is no scenario of a rate.
    #[error("the oracle does not forward packet {packet}: {outcome:?}")]
    NotForwarded {
        /// Which of the sample.
        packet: usize,
        /// What becomes of it.
        outcome: Outcome,
    },
    /// There is no packet buffer.
    #[error("no packet buffer for the sample: {0}")]
    Buffer(#[from] AllocWithError),
    /// The router forwards fewer packets than came in.
    #[error("the router forwards {out} of {sent} packets of the sample")]
    Lost {
        /// Packets in.
        sent: usize,
        /// Packets out.
        out: usize,
    },
    /// The router does what the oracle does not.
    #[error("packet {packet} of the sample leaves as {frame:02x?}, the oracle says {expected:02x?}")]
    Differs {
        /// Which of the sample.
        packet: usize,
        /// As it left.
        frame: Vec<u8>,
        /// As it should.
        expected: Vec<u8>,
    },
    /// A number has no room on the wire.
    #[error(transparent)]
    Wire(#[from] OutOfRange),
}

/// Frames in, and frames out as they must be.
#[derive(Debug, Clone)]
pub struct Check {
    frames: Vec<(Vec<u8>, Vec<u8>)>,
    ingress: PortId,
}

impl Check {
    /// A sample over all entries. The oracle has only those it needs.
    pub fn new(scenario: Scenario, count: u32, traffic: &Traffic) -> Result<Self, CheckError> {
        let (ingress, egress) = (ingress()?, egress()?);
        let mut oracle = Oracle::new([ingress, egress]);
        for entry in scenario.common_entries()? {
            oracle.apply(&Update::Insert(entry))?;
        }
        let step = count.div_ceil(SAMPLE).max(1);
        let mut frames = Vec::new();
        for (place, index) in (0..count).step_by(step as usize).enumerate() {
            for entry in scenario.entries(index)? {
                oracle.apply(&Update::Insert(entry))?;
            }
            let frame = traffic.frame(scenario, index, place);
            match oracle.process(ingress, &frame, Duration::ZERO) {
                Outcome::Sent { port, frame: expected } if port == egress => frames.push((frame, expected)),
                outcome => return Err(CheckError::NotForwarded { packet: place, outcome }),
            }
        }
        Ok(Self { frames, ingress })
    }

    /// Sends the sample through a pipeline and compares.
    pub fn run(&self, fastpath: &mut FastPath, online: &mut Online<'_>, out: &mut Outputs, pool: Pool) -> Result<(), CheckError> {
        for (round, frames) in self.frames.chunks(BURST).enumerate() {
            let mut burst: Burst<BURST> = Burst::new();
            for (frame, _) in frames {
                // A burst has room for a chunk.
                drop(burst.push(pool.alloc_with(frame)?));
            }
            fastpath.process(online, &mut burst, self.ingress, svpn_dpdk::tsc(), out);
            let sent: Vec<Vec<u8>> = out
                .outlets()
                .iter_mut()
                .flat_map(|outlet| outlet.burst.drain().map(|mbuf| mbuf.data().to_vec()).collect::<Vec<_>>())
                .collect();
            out.outlets().iter_mut().for_each(svpn_forwarder::fastpath::Outlet::clear);
            out.punts.drain().for_each(drop);
            online.quiescent();
            if sent.len() != frames.len() {
                return Err(CheckError::Lost { sent: frames.len(), out: sent.len() });
            }
            for (place, (frame, (_, expected))) in sent.into_iter().zip(frames).enumerate() {
                if frame != *expected {
                    return Err(CheckError::Differs { packet: round * BURST + place, frame, expected: expected.clone() });
                }
            }
        }
        Ok(())
    }
}
