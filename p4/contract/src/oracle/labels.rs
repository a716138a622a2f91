//! `ilm`: what to do with an incoming label (RFC 3031, RFC 3032), and how TTL crosses a pop (RFC 3443).
//!
//! A label stack entry is four bytes: label (20 bits), TC (3), bottom of stack (1), TTL (8).

use super::attachment::Side;
use super::frame::{ETHERTYPE_IPV4, ETHERTYPE_IPV6, ETHERTYPE_MPLS, Frame};
use super::ipv4::{self, TTL};
use super::output::Packet;
use super::{Sent, Stop, Walk};
use crate::tables::{Entry, IlmAction, IlmKey, Reason};
use crate::wire::{Label, TrafficClass, TtlMode};

/// The byte of the TTL in a label stack entry.
const LABEL_TTL: usize = 3;
/// The byte of the hop limit in an IPv6 header.
const HOP_LIMIT: usize = 7;
/// How many labels are looked through.
const DEPTH: usize = 4;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct StackEntry {
    pub(super) label: Label,
    pub(super) tc: TrafficClass,
    pub(super) bottom: bool,
    pub(super) ttl: u8,
}

impl StackEntry {
    fn read(bytes: &[u8]) -> Option<Self> {
        let word = u32::from_be_bytes(*bytes.first_chunk()?);
        let [.., ttl] = word.to_be_bytes();
        Some(Self {
            label: Label::new(word >> 12).ok()?,
            tc: TrafficClass::try_from(u64::from(word >> 9 & 7)).ok()?,
            bottom: word >> 8 & 1 == 1,
            ttl,
        })
    }

    pub(super) fn write(self) -> [u8; 4] {
        let tc = u32::from(self.tc.get());
        (self.label.get() << 12 | tc << 9 | u32::from(self.bottom) << 8 | u32::from(self.ttl)).to_be_bytes()
    }
}

/// What lies behind at most four labels.
pub(super) fn inner(stack: &[u8]) -> Option<&[u8]> {
    let mut rest = stack;
    for _ in 0..DEPTH {
        let entry = StackEntry::read(rest)?;
        rest = &rest[4..];
        if entry.bottom {
            return Some(rest);
        }
    }
    None
}

/// What the pop of the top label exposes.
fn popped(top: StackEntry, rest: &[u8], ttl_mode: TtlMode) -> Result<Packet, Stop> {
    let mut bytes = rest.to_vec();
    let (ethertype, place) = match (top.bottom, rest.first().map(|first| first >> 4)) {
        (false, _) if rest.len() >= 4 => (ETHERTYPE_MPLS, LABEL_TTL),
        (false, _) => return Err(Stop::Drop(Reason::BadLabelStack)),
        (true, Some(4)) if rest.len() >= 20 => (ETHERTYPE_IPV4, TTL),
        (true, Some(6)) if rest.len() >= 40 => (ETHERTYPE_IPV6, HOP_LIMIT),
        (true, _) => return Err(Stop::Drop(Reason::UnknownPayload)),
    };
    let ttl = rest[place].min(top.ttl - 1);
    if ttl_mode == TtlMode::UNIFORM && ttl != rest[place] {
        if ethertype == ETHERTYPE_IPV4 {
            ipv4::set_ttl(&mut bytes, ttl);
        } else {
            bytes[place] = ttl;
        }
    }
    Ok(Packet { ethertype, bytes })
}

impl Walk<'_> {
    pub(super) fn labels(&mut self, frame: &Frame<'_>, side: Side) -> Result<Sent, Stop> {
        if side == Side::Attachment {
            return Err(Stop::Drop(Reason::MplsOnAttachment));
        }
        let top = StackEntry::read(frame.payload).ok_or(Stop::Drop(Reason::FrameTruncated))?;
        let rest = &frame.payload[4..];
        match top.label.get() {
            1 | 13 | 14 => return Err(Stop::Punt(Reason::MplsAlert)),
            0..16 => return Err(Stop::Drop(Reason::ReservedLabel)),
            _ => {}
        }
        let key = IlmKey { label: top.label }.into();
        let Some(Entry::Ilm(entry)) = self.oracle.tables.find(&key) else {
            return Err(Stop::Drop(Reason::UnknownLabel));
        };
        self.effects.counted.push(key);
        if let IlmAction::PopVrf { vrf, .. } = entry.action {
            if !top.bottom {
                return Err(Stop::Drop(Reason::BadLabelStack));
            }
            self.vrf = vrf;
        }
        if top.ttl <= 1 {
            return Err(Stop::Punt(Reason::TtlExpired));
        }
        match entry.action {
            IlmAction::Swap { label, nexthop } => {
                let swapped = StackEntry { label, ttl: top.ttl - 1, ..top };
                let bytes = [&swapped.write(), rest].concat();
                self.nexthop(frame, nexthop, &Packet { ethertype: ETHERTYPE_MPLS, bytes })
            }
            IlmAction::SwapPush { label, l2, nexthop } => {
                let swapped = StackEntry { label, ttl: top.ttl - 1, ..top };
                let above = StackEntry { label: l2, bottom: false, ..swapped };
                let bytes = [&above.write(), &swapped.write(), rest].concat();
                self.nexthop(frame, nexthop, &Packet { ethertype: ETHERTYPE_MPLS, bytes })
            }
            IlmAction::PopLocal { .. } | IlmAction::PopNext { .. } => Err(Stop::Drop(Reason::UnknownLabel)),
            IlmAction::Php { nexthop, ttl_mode } => self.nexthop(frame, nexthop, &popped(top, rest, ttl_mode)?),
            IlmAction::PopVrf { ttl_mode, .. } => {
                let ceiling = (ttl_mode == TtlMode::UNIFORM).then_some(top.ttl);
                self.ipv4(frame, rest, side, ceiling)
            }
        }
    }
}
