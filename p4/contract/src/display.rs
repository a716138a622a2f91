//! How matches, choices and meters read as text, for logs and for people.

use std::fmt;

use crate::tables::{Choice, MeterConfig, Prefix, Range, Reason, Ternary};
use crate::value::Value;

impl<V: fmt::Display> fmt::Display for Prefix<V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.value, self.length)
    }
}

impl<V: Value + fmt::Display> fmt::Display for Ternary<V> {
    /// `*` for everything, the value alone where every bit counts, else value and mask.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if *self == Self::any() {
            f.write_str("*")
        } else if *self == Self::exact(self.value) {
            write!(f, "{}", self.value)
        } else {
            write!(f, "{}&{}", self.value, self.mask)
        }
    }
}

impl<V: Value + fmt::Display> fmt::Display for Range<V> {
    /// `*` for everything, one value alone, else both ends.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if *self == Self::any() {
            f.write_str("*")
        } else if self.low == self.high {
            write!(f, "{}", self.low)
        } else {
            write!(f, "{}..{}", self.low, self.high)
        }
    }
}

impl<A: fmt::Display> fmt::Display for Choice<A> {
    /// The members with a bar between them, each with its weight where that is not 1 and its watch port where it has one.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, member) in self.members.iter().enumerate() {
            if index > 0 {
                f.write_str(" | ")?;
            }
            write!(f, "{}", member.action)?;
            if member.weight.get() != 1 {
                write!(f, " weight={}", member.weight)?;
            }
            if let Some(port) = member.watch_port {
                write!(f, " watch_port={port}")?;
            }
        }
        Ok(())
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl fmt::Display for MeterConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "cir={} cburst={} pir={} pburst={}", self.cir, self.cburst, self.pir, self.pburst)
    }
}

#[cfg(test)]
mod tests {
    use crate::tables::*;
    use crate::wire::{Class, L4Port, Label, NextHopId, Protocol, SessionId, TtlMode, TunnelId, VrfId};

    #[test]
    fn entries_read_as_people_write_them() {
        let session: Entry = SessionEntry {
            key: SessionKey { session: SessionId::new(1).unwrap() },
            action: SessionAction::Carry {
                tunnel: TunnelId::new(2).unwrap(),
                vpn_label: Label::new(16).unwrap(),
                class: Class::new(5).unwrap(),
            },
            meter: Some(MeterConfig { cir: 1, cburst: 2, pir: 3, pburst: 4 }),
        }
        .into();
        assert_eq!(session.to_string(), "session session=1 -> carry tunnel=2 vpn_label=16 class=5 cir=1 cburst=2 pir=3 pburst=4");

        let acl = FlowAclV4Key {
            vrf: Ternary::exact(VrfId::new(10).unwrap()),
            src: Ternary { value: [10, 1, 0, 0].into(), mask: [255, 255, 0, 0].into() },
            dst: Ternary::any(),
            proto: Ternary::exact(Protocol::new(17).unwrap()),
            sport: Range::any(),
            dport: Range { low: L4Port::new(1).unwrap(), high: L4Port::new(9).unwrap() },
            priority: Priority::new(3).unwrap(),
        };
        let expected = "flow_acl_v4 vrf=10 src=10.1.0.0&255.255.0.0 dst=* proto=17 sport=* dport=1..9 priority=3";
        assert_eq!(EntryKey::from(acl).to_string(), expected);

        let nexthop = NextHopId::new(4).unwrap();
        let tunnel: Entry = TunnelEntry {
            key: TunnelKey { tunnel: TunnelId::new(2).unwrap() },
            action: Choice::only(TunnelAction::Lsp1 { l1: Label::new(17).unwrap(), nexthop, ttl_mode: TtlMode::UNIFORM }),
        }
        .into();
        assert_eq!(tunnel.to_string(), "tunnel tunnel=2 -> lsp_1 l1=17 nexthop=4 ttl_mode=0");
    }
}
