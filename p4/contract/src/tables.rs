//! Typed tables and actions, generated from the P4Info, and the words they are made of.

#![allow(clippy::pedantic, reason = "generated code is not read line by line")]

use std::fmt;
use std::net::{Ipv4Addr, Ipv6Addr};
use std::num::NonZeroU32;
use std::time::Duration;

use p4runtime_proto::p4::v1 as proto;

use crate::codec::{
    ActionCodec, ActionField, MatchReader, MatchWriter, ParamReader, decode_idle_timeout, decode_meter, encode_action, encode_idle_timeout,
    forbid_idle_timeout, forbid_meter,
};
use crate::error::DecodeError;
use crate::value::Value as _;
use crate::wire::{
    Class, Colour, Dscp, GreKey, L4Port, Label, MacAddr, Mtu, NextHopId, PortId, Protocol, SessionId, TrafficClass, TtlMode, TunnelId,
    VlanId, VrfId,
};

/// A longest-prefix match; a length of 0 matches everything.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Prefix<T> {
    /// The address, zero after the prefix.
    pub value: T,
    /// Bits that count.
    pub length: u8,
}

/// A ternary match; a mask of 0 matches everything.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Ternary<T> {
    /// What the masked bits must be; zero outside the mask.
    pub value: T,
    /// The bits that count, in the representation of the value.
    pub mask: T,
}

/// A range match, both ends included.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Range<T> {
    /// The first value that matches.
    pub low: T,
    /// The last value that matches.
    pub high: T,
}

/// The priority of an entry of a ternary or range table: 1 or more, higher wins.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Priority(i32);

impl Priority {
    /// A priority, if it is positive.
    pub const fn new(priority: i32) -> Option<Self> {
        if priority > 0 { Some(Self(priority)) } else { None }
    }

    /// The number.
    pub const fn get(self) -> i32 {
        self.0
    }
}

/// The members of an action selector's one-shot action set (P4Runtime specification, "One Shot Action Selector Programming").
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Choice<A> {
    /// At least one.
    pub members: Vec<Member<A>>,
}

/// A member of a [`Choice`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Member<A> {
    /// What it does.
    pub action: A,
    /// Its share of the flows.
    pub weight: NonZeroU32,
    /// The member is left out while this port is down.
    pub watch_port: Option<PortId>,
}

impl<A> Choice<A> {
    /// One member, always chosen.
    pub fn only(action: A) -> Self {
        Self { members: vec![Member { action, weight: NonZeroU32::MIN, watch_port: None }] }
    }
}

/// A trTCM meter (RFC 2698), colour-blind: rates in bytes per second and bursts in bytes, or both in packets where the table's
/// [`Metering`] is of packets.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct MeterConfig {
    /// Committed information rate.
    pub cir: u64,
    /// Committed burst size.
    pub cburst: u64,
    /// Peak information rate, not below the committed one.
    pub pir: u64,
    /// Peak burst size.
    pub pburst: u64,
}

/// Whether a table's entries count packets and bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Counting {
    /// They do not.
    None,
    /// Each entry has a direct counter.
    Direct,
}

/// What the meters of a table's entries measure.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Metering {
    /// There are none.
    None,
    /// Each entry has a direct meter of bytes.
    Bytes,
    /// Each entry has a direct meter of packets.
    Packets,
}

/// What is known of a table without its entries.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TableFacts {
    /// Its P4Runtime id.
    pub id: u32,
    /// Its name.
    pub name: &'static str,
    /// How many entries it promises to take.
    pub size: u64,
    /// Whether its entries count.
    pub counting: Counting,
    /// Whether its entries police, and what.
    pub metering: Metering,
}

include!(concat!(env!("OUT_DIR"), "/tables.rs"));
