//! `tunnel`: what is pushed, ready but for TC and TTL.

use svpn_contract::{Member, TunnelAction, wire::NextHopId};

use super::group::MemberLine;
use super::words::LINE;

/// A member of a tunnel.
///
/// ```text
/// word 0: | 16 | labels 8 | TTL mode 8 | share 32 |
///      1: | 32 | next hop slot 32 |
///      2: | label stack entry 32, label only | 32 |
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct TunnelMember {
    /// Slot of the next hop.
    pub(crate) nexthop: u32,
    /// 0 uniform, else the TTL of the labels pushed.
    pub(crate) ttl_mode: u8,
    /// The transport label's stack entry, without TC, S and TTL; `None` for a tunnel of one hop.
    pub(crate) transport: Option<u32>,
}

impl TunnelMember {
    #[inline]
    #[allow(clippy::cast_possible_truncation, reason = "each part is cut to its width")]
    pub(crate) fn from_line(line: [u64; LINE]) -> Self {
        let transport = (line[0] >> 40 & 0xff != 0).then_some((line[2] >> 32) as u32);
        Self { nexthop: line[1] as u32, ttl_mode: (line[0] >> 32) as u8, transport }
    }

    fn line(self) -> [u64; LINE] {
        let labels = u64::from(self.transport.is_some());
        let transport = u64::from(self.transport.unwrap_or_default()) << 32;
        [labels << 40 | u64::from(self.ttl_mode) << 32, u64::from(self.nexthop), transport, 0, 0, 0, 0, 0]
    }
}

/// The next hop of a member.
pub(crate) fn nexthop(action: &TunnelAction) -> NextHopId {
    let (TunnelAction::Lsp0 { nexthop, .. }
    | TunnelAction::Lsp1 { nexthop, .. }
    | TunnelAction::Lsp2 { nexthop, .. }
    | TunnelAction::Lsp3 { nexthop, .. }
    | TunnelAction::GreV4 { nexthop, .. }
    | TunnelAction::GreV6 { nexthop, .. }) = *action;
    nexthop
}

/// Whether a line can say what an action does.
pub(crate) fn fits_line(action: &TunnelAction) -> bool {
    matches!(action, TunnelAction::Lsp0 { .. } | TunnelAction::Lsp1 { .. })
}

/// The line of a member whose next hop has this slot, if [`fits_line`] said so.
pub(crate) fn member_line(member: &Member<TunnelAction>, slot: u32) -> MemberLine {
    let (transport, ttl_mode) = match member.action {
        TunnelAction::Lsp1 { l1, ttl_mode, .. } => (Some(l1.get() << 12), ttl_mode),
        TunnelAction::Lsp0 { ttl_mode, .. }
        | TunnelAction::Lsp2 { ttl_mode, .. }
        | TunnelAction::Lsp3 { ttl_mode, .. }
        | TunnelAction::GreV4 { ttl_mode, .. }
        | TunnelAction::GreV6 { ttl_mode, .. } => (None, ttl_mode),
    };
    let made = TunnelMember { nexthop: slot, ttl_mode: ttl_mode.get(), transport };
    MemberLine { weight: member.weight.get(), line: made.line() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_member_survives_its_line() {
        for transport in [None, Some(0), Some(0xffff_f000)] {
            let member = TunnelMember { nexthop: u32::MAX, ttl_mode: 255, transport };
            assert_eq!(TunnelMember::from_line(member.line()), member);
        }
    }
}
