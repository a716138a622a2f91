//! What a contract says besides its ceilings.

use std::sync::Arc;

use svpn_contract::wire::Class;

use super::Schedule;
use crate::price::PricePlan;
use crate::request::Match;

/// How important sessions are: 0 to 7, higher is more.
pub const MAX_PRIORITY: u8 = 7;

/// What a contract says besides its ceilings.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Options {
    /// The priority of a request that names none.
    pub priority: u8,
    /// The highest priority a request may name.
    pub max_priority: u8,
    /// Whether its sessions have a second way.
    pub protection: Protection,
    /// Whether its sessions may take the room of others.
    pub preemption: Preemption,
    /// Whether others may take the room of its sessions; `None` = those of priority 0.
    pub preemptable: Option<Preemptable>,
    /// Affinities that every link of its sessions has.
    pub include: Vec<String>,
    /// Affinities that no link of its sessions has.
    pub exclude: Vec<String>,
    /// When sessions may run.
    pub hours: Schedule,
    /// What it has each month.
    pub quota: Quota,
    /// What it pays; `None` = nothing.
    pub price: Option<Arc<PricePlan>>,
}

/// What a contract has each month (UTC); `None` = no end to it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct Quota {
    /// Bytes carried.
    pub bytes: Option<u64>,
    /// Bandwidth reserved times time: 1 Mbit/s, reserved one way for an hour.
    pub megabit_hours: Option<u64>,
}

/// What the sessions of a VPN may be, whatever their contracts say; `None` = anything.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct VpnPolicy {
    /// Their classes.
    pub classes: Option<Vec<Class>>,
    /// Their highest priority.
    pub max_priority: Option<u8>,
    /// What may count as their packets.
    pub matches: Option<Vec<Match>>,
    /// How a callee agrees to its sessions.
    pub consent: Consent,
}

/// How a callee agrees to sessions with it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum Consent {
    /// By answering.
    #[default]
    Answer,
    /// By answering callers it has named beforehand; others do not reach it, and nothing is reserved for them.
    Named,
}

/// Whether sessions have a second way.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum Protection {
    /// They have one way, and are moved when it fails.
    #[default]
    None,
    /// They have two that share neither router nor link nor risk, each reserved in full.
    Disjoint,
}

/// Whether a session that does not fit may take the room of less important ones.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum Preemption {
    /// It is refused.
    #[default]
    Never,
    /// It takes the room of those with lower priority, where their contracts allow it.
    LowerPriority,
}

/// Whether a more important session may take the room of these.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Preemptable {
    /// Any session of higher priority may.
    Always,
    /// None may.
    Never,
}

impl Options {
    /// Whether a session of this contract and priority may be ousted by one of another priority.
    pub fn yields(&self, priority: u8, to: u8) -> bool {
        let preemptable = match self.preemptable {
            None => priority == 0,
            Some(preemptable) => preemptable == Preemptable::Always,
        };
        preemptable && priority < to
    }
}
