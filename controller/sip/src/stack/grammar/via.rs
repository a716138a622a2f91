//! One element of Via.

use std::fmt::Write as _;
use std::net::SocketAddr;
use std::str::FromStr as _;

use rsipstack::sip::Transport;

use super::address::write_parameters;
use super::uri::host_port;
use super::{MAX_PARAMETERS, is_blank, is_token, parameters};

/// Reads an element of Via, and writes it as the library reads it right.
pub(in crate::stack) fn via(text: &str, hop: Hop) -> Option<String> {
    let (protocol, rest) = text.split_once('/')?;
    let (version, rest) = rest.split_once('/')?;
    let rest = rest.trim_start_matches(is_blank);
    let (transport, rest) = rest.split_once(is_blank)?;
    let sound = is_protocol(protocol, "SIP") && is_protocol(version, "2.0") && is_token(transport);
    let known = hop == Hop::Further || Transport::from_str(transport).is_ok();
    if !sound || !known {
        return None;
    }
    let rest = rest.trim_matches(is_blank);
    let (sent_by, after) = rest.split_at(rest.find(';').unwrap_or(rest.len()));
    // Spaces may stand around the colon of the port.
    let sent_by: String = sent_by.split(is_blank).collect();
    let mut parameters = parameters(after)?;
    let named = |name: &str| parameters.iter().find(|(known, _)| known.eq_ignore_ascii_case(name)).and_then(|(_, value)| *value);
    let is_port = |port: &str| port.bytes().all(|byte| byte.is_ascii_digit()) && port.parse::<u16>().is_ok();
    if named("rport").is_some_and(|port| !is_port(port)) || named("branch").is_some_and(|branch| branch.len() > MAX_BRANCH) {
        return None;
    }
    let mut canonical = format!("SIP/2.0/{transport} {}", host_port(&sent_by)?);
    if let Hop::Sender(_) = hop {
        parameters.retain(|(name, _)| !["received", "rport"].iter().any(|marked| marked.eq_ignore_ascii_case(name)));
        // With the two that follow there are no more than whoever reads it next lets through.
        if parameters.len() > MAX_PARAMETERS - 2 {
            return None;
        }
    }
    write_parameters(&mut canonical, &parameters);
    if let Hop::Sender(from) = hop {
        // Where it came from, asked or not: an answer goes there and nowhere else (RFC 3261 section 18.2.1, RFC 3581 section 4).
        write!(canonical, ";received={};rport={}", from.ip(), from.port()).ok()?;
    }
    Some(canonical)
}

/// Which Via it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::stack) enum Hop {
    /// The topmost of a request that came from here: its transport must exist, and the answer goes back here.
    Sender(SocketAddr),
    /// The topmost of a response, which is ours.
    Own,
    /// One that is only copied.
    Further,
}

/// An honest branch is shorter.
const MAX_BRANCH: usize = 512;

fn is_protocol(text: &str, expected: &str) -> bool {
    text.trim_matches(is_blank).eq_ignore_ascii_case(expected)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use rsipstack::sip::typed;

    #[test]
    fn spaces_and_folds_go() {
        let text = "SIP  / 2.0  / TCP     spindle.example.com   ;   branch  =   z9hG4bK9ikj8";
        assert_eq!(via(text, Hop::Own).unwrap(), "SIP/2.0/TCP spindle.example.com;branch=z9hG4bK9ikj8");
        assert_eq!(via("SIP/2.0/UDP [2001:db8::1] : 5070;rport", Hop::Own).unwrap(), "SIP/2.0/UDP [2001:db8::1]:5070;rport");
        let received = "SIP/2.0/UDP [2001:db8::9:1];received=[2001:db8::9:255];branch=z9hG4bKas3-111";
        assert_eq!(via(received, Hop::Own).as_deref(), Some(received));
    }

    #[test]
    fn a_request_is_marked_with_where_it_came_from() {
        let from = |text: &str| Hop::Sender(text.parse().unwrap());
        assert_eq!(
            via("SIP/2.0/UDP 10.0.0.1;rport;received=9.9.9.9;branch=b", from("192.0.2.1:5")).unwrap(),
            "SIP/2.0/UDP 10.0.0.1;branch=b;received=192.0.2.1;rport=5"
        );
        assert_eq!(
            via("SIP/2.0/UDP [2001:db8::1]:5060", from("[2001:db8::2]:6")).unwrap(),
            "SIP/2.0/UDP [2001:db8::1]:5060;received=2001:db8::2;rport=6"
        );
    }

    #[test]
    fn what_is_marked_is_read_again() {
        let from = Hop::Sender("192.0.2.1:5".parse().unwrap());
        let with = |count: usize| format!("SIP/2.0/UDP a{}", ";b".repeat(count));
        assert_eq!(via(&with(MAX_PARAMETERS - 1), from), None);
        let marked = via(&with(MAX_PARAMETERS - 2), from).unwrap();
        assert_eq!(via(&marked, from).as_ref(), Some(&marked));
    }

    #[test]
    fn a_transport_that_does_not_exist_may_only_be_further_away() {
        assert_eq!(via("SIP/2.0/UNKNOWN t4.example.com", Hop::Own), None);
        assert!(via("SIP/2.0/UNKNOWN t4.example.com", Hop::Further).is_some());
    }

    #[test]
    fn malformed_ones_are_none() {
        for text in [
            "",
            "SIP/2.0/UDP",
            "SIP/7.0/UDP a",
            "HTTP/2.0/UDP a",
            "SIP/2.0/UDP 192.0.2.15;;",
            "SIP/2.0/UDP a;rport=x",
            "SIP/2.0/UDP 2001:db8::1",
        ] {
            assert_eq!(via(text, Hop::Own), None, "{text}");
        }
    }

    proptest! {
        #[test]
        fn the_library_reads_what_is_let_through(text in "SIP ?/2.0/ ?UDP [ab.:1\\[\\]]{1,9}[;a=\"b ]{0,9}") {
            if let Some(canonical) = via(&text, Hop::Own) {
                prop_assert!(typed::Via::parse(&canonical).is_ok(), "{canonical}");
            }
        }
    }
}
