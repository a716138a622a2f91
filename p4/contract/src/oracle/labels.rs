//! `ilm`: what to do with an incoming label (RFC 3031, RFC 3032), and how TTL crosses a pop (RFC 3443).
//!
//! A label stack entry is four bytes: label (20 bits), TC (3), bottom of stack (1), TTL (8).

use super::attachment::Side;
use super::five_tuple::FiveTuple;
use super::frame::ETHERTYPE_MPLS;
use super::ip::{Family, IPV4_HEADER, IPV6_HEADER, Ip};
use super::nexthop::Packet;
use super::{Sent, Stop, Walk};
use crate::tables::{Entry, IlmAction, IlmKey, Reason};
use crate::wire::{Label, NextHopId, TrafficClass, TtlMode};

/// The byte of the TTL in a label stack entry.
const LABEL_TTL: usize = 3;
/// How many labels of a frame are acted upon at most, and how many are looked through.
const DEPTH: usize = 4;

const BAD_STACK: Stop = Stop::Drop(Reason::BadLabelStack);
const EXPIRED: Stop = Stop::Punt(Reason::TtlExpired);

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct StackEntry {
    pub(super) label: Label,
    pub(super) tc: TrafficClass,
    pub(super) bottom: bool,
    pub(super) ttl: u8,
}

impl StackEntry {
    /// The first entry of a stack, and what is below it.
    fn split(stack: &[u8]) -> Option<(Self, &[u8])> {
        let (entry, below) = stack.split_first_chunk()?;
        let word = u32::from_be_bytes(*entry);
        let [.., ttl] = *entry;
        let tc = TrafficClass::try_from(u64::from(word >> 9 & 7)).ok()?;
        Some((Self { label: Label::new(word >> 12).ok()?, tc, bottom: word >> 8 & 1 == 1, ttl }, below))
    }

    pub(super) fn write(self) -> [u8; 4] {
        let tc = u32::from(self.tc.get());
        (self.label.get() << 12 | tc << 9 | u32::from(self.bottom) << 8 | u32::from(self.ttl)).to_be_bytes()
    }
}

/// What lies behind at most four labels.
fn inner(stack: &[u8]) -> Option<&[u8]> {
    let mut rest = stack;
    for _ in 0..DEPTH {
        let (entry, below) = StackEntry::split(rest)?;
        rest = below;
        if entry.bottom {
            return Some(rest);
        }
    }
    None
}

/// What the pop of the top label exposes, where it leaves as it is.
fn popped(top: StackEntry, rest: &[u8], ttl_mode: TtlMode) -> Result<Packet, Stop> {
    let mut bytes = rest.to_vec();
    let (ethertype, place) = match (top.bottom, rest.first().map(|first| first >> 4)) {
        (false, _) if rest.len() >= 4 => (ETHERTYPE_MPLS, LABEL_TTL),
        (false, _) => return Err(BAD_STACK),
        (true, Some(4)) if rest.len() >= IPV4_HEADER => (Family::V4.ethertype(), Family::V4.ttl_at()),
        (true, Some(6)) if rest.len() >= IPV6_HEADER => (Family::V6.ethertype(), Family::V6.ttl_at()),
        (true, _) => return Err(Stop::Drop(Reason::UnknownPayload)),
    };
    let ttl = rest[place].min(top.ttl - 1);
    if ttl_mode == TtlMode::UNIFORM && ttl != rest[place] {
        if top.bottom {
            Family::of_payload(rest).set_ttl(&mut bytes, ttl);
        } else {
            bytes[place] = ttl;
        }
    }
    Ok(Packet { ethertype, bytes })
}

/// The label whose turn it is.
#[derive(Debug, Clone, Copy)]
struct Turn<'a> {
    /// The stack from it on.
    stack: &'a [u8],
    /// What the pop of the label above leaves it of its TTL.
    ceiling: u8,
    /// How many labels of the frame have been acted upon when it has.
    number: usize,
}

/// What becomes of a label.
enum Acted<'a> {
    /// The frame leaves.
    Sent(Sent),
    /// The label was popped, and the next one is acted upon.
    Next(Turn<'a>),
}

impl<'a> Turn<'a> {
    /// The label below this one; `ceiling` bounds its TTL.
    fn next(self, below: &'a [u8], ceiling: u8) -> Self {
        Self { stack: below, ceiling, number: self.number + 1 }
    }
}

impl Walk<'_> {
    /// A label stack that the core brought, as a frame's payload or in GRE.
    pub(super) fn labels(&mut self, stack: &[u8]) -> Result<Sent, Stop> {
        let mut turn = Turn { stack, ceiling: u8::MAX, number: 1 };
        loop {
            match self.label(turn)? {
                Acted::Sent(sent) => return Ok(sent),
                Acted::Next(next) => turn = next,
            }
        }
    }

    fn label<'a>(&mut self, turn: Turn<'a>) -> Result<Acted<'a>, Stop> {
        let cut_short = if turn.number == 1 { Stop::Drop(Reason::FrameTruncated) } else { BAD_STACK };
        let (top, below) = StackEntry::split(turn.stack).ok_or(cut_short)?;
        let top = StackEntry { ttl: top.ttl.min(turn.ceiling), ..top };
        self.tuple = inner(turn.stack).and_then(FiveTuple::of_packet);
        match top.label.get() {
            0 => self.explicit_null(turn, top, below, Family::V4),
            2 => self.explicit_null(turn, top, below, Family::V6),
            1 | 13 | 14 => Err(Stop::Punt(Reason::MplsAlert)),
            3..16 => Err(Stop::Drop(Reason::ReservedLabel)),
            _ => self.ilm(turn, top, below),
        }
    }

    /// A label that only says what it carries (RFC 3032 section 2.1), popped as pipe.
    fn explicit_null<'a>(&mut self, turn: Turn<'a>, top: StackEntry, below: &'a [u8], family: Family) -> Result<Acted<'a>, Stop> {
        if !top.bottom && turn.number == DEPTH {
            return Err(BAD_STACK);
        }
        if top.ttl <= 1 {
            return Err(EXPIRED);
        }
        if !top.bottom {
            return Ok(Acted::Next(turn.next(below, u8::MAX)));
        }
        let ip = Ip::checked(family, below, u8::MAX)?;
        self.tuple = Some(ip.tuple);
        self.route(&ip, Side::Core).map(Acted::Sent)
    }

    fn ilm<'a>(&mut self, turn: Turn<'a>, top: StackEntry, below: &'a [u8]) -> Result<Acted<'a>, Stop> {
        let key = IlmKey { label: top.label }.into();
        let Some(Entry::Ilm(entry)) = self.oracle.tables.find(&key) else {
            return Err(Stop::Drop(Reason::UnknownLabel));
        };
        let action = entry.action;
        self.effects.counted.push(key);
        let fits = match action {
            IlmAction::PopVrf { .. } | IlmAction::PopLocal { .. } => top.bottom,
            IlmAction::PopNext { .. } => !top.bottom && below.len() >= 4 && turn.number < DEPTH,
            IlmAction::Swap { .. } | IlmAction::SwapPush { .. } | IlmAction::Php { .. } => true,
        };
        if !fits {
            return Err(BAD_STACK);
        }
        if let IlmAction::PopVrf { vrf, .. } = action {
            self.vrf = vrf;
        }
        if top.ttl <= 1 {
            return Err(EXPIRED);
        }
        let swapped = StackEntry { ttl: top.ttl - 1, ..top };
        let seen = inner(turn.stack);
        let sent = match action {
            IlmAction::Swap { label, nexthop } => self.switch(seen, &[StackEntry { label, ..swapped }], below, nexthop),
            IlmAction::SwapPush { label, l2, nexthop } => {
                let above = StackEntry { label: l2, bottom: false, ..swapped };
                self.switch(seen, &[above, StackEntry { label, ..swapped }], below, nexthop)
            }
            IlmAction::Php { nexthop, ttl_mode } => self.nexthop(seen, nexthop, &popped(top, below, ttl_mode)?),
            IlmAction::PopVrf { ttl_mode, .. } => {
                let ip = self.exposed(below, ceiling(ttl_mode, top.ttl))?;
                self.route(&ip, Side::Core)
            }
            IlmAction::PopLocal { nexthop, ttl_mode } => {
                let ip = self.exposed(below, ceiling(ttl_mode, top.ttl))?;
                if ip.ttl <= 1 { Err(EXPIRED) } else { self.leave(&ip, nexthop) }
            }
            IlmAction::PopNext { ttl_mode } => return Ok(Acted::Next(turn.next(below, ceiling(ttl_mode, top.ttl - 1)))),
        };
        sent.map(Acted::Sent)
    }

    /// Sends labels over what is below them.
    fn switch(&mut self, seen: Option<&[u8]>, labels: &[StackEntry], below: &[u8], nexthop: NextHopId) -> Result<Sent, Stop> {
        let mut bytes: Vec<u8> = labels.iter().flat_map(|label| label.write()).collect();
        bytes.extend(below);
        self.nexthop(seen, nexthop, &Packet { ethertype: ETHERTYPE_MPLS, bytes })
    }

    /// The packet that a pop at the bottom of the stack exposes.
    fn exposed<'a>(&mut self, below: &'a [u8], ceiling: u8) -> Result<Ip<'a>, Stop> {
        let ip = Ip::checked(Family::of_payload(below), below, ceiling)?;
        self.tuple = Some(ip.tuple);
        Ok(ip)
    }
}

/// What a pop leaves of the TTL below it: in the uniform model no more than this.
fn ceiling(ttl_mode: TtlMode, ttl: u8) -> u8 {
    if ttl_mode == TtlMode::UNIFORM { ttl } else { u8::MAX }
}
