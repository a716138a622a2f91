//! The kernel's word on the links of interfaces that ports are built on.
//!
//! DPDK's drivers for such interfaces (`af_packet`, `af_xdp`, `pcap`) say "up" whatever the interface does, so the kernel is asked for its flags,
//! by netlink (`RTM_GETLINK`, rtnetlink(7)). It is asked again and again and not listened to: what it says unasked about a lost carrier may be a
//! second late, and its answers never are.

use std::io;

use netlink_packet_core::{NLM_F_REQUEST, NetlinkHeader, NetlinkMessage, NetlinkPayload};
use netlink_packet_route::RouteNetlinkMessage;
use netlink_packet_route::link::{LinkAttribute, LinkExtentMask, LinkFlags, LinkMessage};
use netlink_sys::protocols::NETLINK_ROUTE;
use netlink_sys::{Socket, SocketAddr};

use crate::entries::PortState;

/// Bytes of an answer; an interface says far less without its statistics.
const ANSWER: usize = 16 << 10;

/// Asks the kernel of the network namespace it was made in.
#[derive(Debug)]
pub(super) struct Links {
    socket: Socket,
    asked: u32,
    answer: Vec<u8>,
}

impl Links {
    pub(super) fn new() -> io::Result<Self> {
        let mut socket = Socket::new(NETLINK_ROUTE)?;
        socket.bind_auto()?;
        socket.connect(&SocketAddr::new(0, 0))?;
        // The kernel has answered when a question has been sent.
        socket.set_non_blocking(true)?;
        Ok(Self { socket, asked: 0, answer: vec![0; ANSWER] })
    }

    /// The state of an interface, by its index. One that is not there any more is down.
    pub(super) fn state(&mut self, interface: u32) -> io::Result<PortState> {
        self.ask(interface)?;
        loop {
            let length = self.socket.recv(&mut &mut self.answer[..], 0)?;
            let answer = NetlinkMessage::<RouteNetlinkMessage>::deserialize(self.answer.get(..length).unwrap_or_default());
            let answer = answer.map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error.to_string()))?;
            if answer.header.sequence_number != self.asked {
                // To a question that was given up.
                continue;
            }
            let up = match answer.payload {
                NetlinkPayload::InnerMessage(RouteNetlinkMessage::NewLink(link)) => {
                    link.header.flags.contains(LinkFlags::Up | LinkFlags::LowerUp)
                }
                _ => false,
            };
            return Ok(if up { PortState::Up } else { PortState::Down });
        }
    }

    fn ask(&mut self, interface: u32) -> io::Result<()> {
        let mut link = LinkMessage::default();
        link.header.index = interface;
        link.attributes.push(LinkAttribute::ExtMask(vec![LinkExtentMask::SkipStats]));
        self.asked = self.asked.wrapping_add(1);
        let mut header = NetlinkHeader::default();
        header.flags = NLM_F_REQUEST;
        header.sequence_number = self.asked;
        let mut question = NetlinkMessage::new(header, NetlinkPayload::from(RouteNetlinkMessage::GetLink(link)));
        question.finalize();
        let mut bytes = vec![0; question.buffer_len()];
        question.serialize(&mut bytes);
        self.socket.send(&bytes, 0).map(drop)
    }
}

#[cfg(test)]
mod tests {
    use std::process::Command;

    use nix::net::if_::if_nametoindex;
    use nix::sched::{CloneFlags, unshare};

    use super::*;

    fn ip(arguments: &str) {
        assert!(Command::new("ip").args(arguments.split_whitespace()).status().expect("ip runs").success(), "ip {arguments}");
    }

    /// In a network namespace of its own; only this thread is in it, and what it starts.
    #[test]
    fn a_pair_is_up_while_both_ends_are() {
        unshare(CloneFlags::CLONE_NEWNET).expect("this test may make network namespaces");
        ip("link add one type veth peer name other");
        let index = if_nametoindex("one").unwrap();
        let mut links = Links::new().unwrap();
        let mut state = || links.state(index).unwrap();
        assert_eq!(state(), PortState::Down, "nothing is up at first");
        ip("link set one up");
        assert_eq!(state(), PortState::Down, "the other end is down");
        ip("link set other up");
        assert_eq!(state(), PortState::Up);
        for _ in 0..3 {
            ip("link set other down");
            assert_eq!(state(), PortState::Down);
            ip("link set other up");
            assert_eq!(state(), PortState::Up);
        }
        ip("link del one");
        assert_eq!(state(), PortState::Down);
    }
}
