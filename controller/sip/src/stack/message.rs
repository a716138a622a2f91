//! Pieces of messages.

use std::net::IpAddr;

use rsipstack::sip::prelude::{HeadersExt, ToTypedHeader};
use rsipstack::sip::{CSeq, Header, Param, Request, To};
use rsipstack::transaction::make_tag;

/// The To of a response that begins a dialog or answers outside one: with a tag of ours, unless it has one.
pub(crate) fn to_with_new_tag(to: &To) -> To {
    match to.tag() {
        Ok(None) => to.clone().with_tag(make_tag()),
        Ok(Some(_)) | Err(_) => to.clone(),
    }
}

/// A To with another tag of ours than the one it has.
pub(crate) fn with_other_tag(to: &To) -> To {
    let address = to.value().rsplit_once(";tag=").map_or(to.value(), |(address, _)| address);
    To::from(address.to_owned()).with_tag(make_tag())
}

/// The number of `CSeq`, which every message that got past the screens has.
pub(crate) fn sequence(message: &impl HeadersExt) -> u32 {
    message.cseq_header().and_then(CSeq::seq).unwrap_or(0)
}

/// Where a request came from. The library has put it into the topmost Via, where that says otherwise (RFC 3261 section 18.2.1), and lets
/// nobody else do so.
pub(crate) fn source(request: &Request) -> Option<IpAddr> {
    let via = request.top_via_header().ok()?.typed().ok()?;
    let received = via.params.iter().find_map(|param| if let Param::Received(received) = param { Some(received) } else { None });
    match received {
        Some(received) => received.parse().ok(),
        None => via.uri.host().to_string().trim_matches(['[', ']']).parse().ok(),
    }
}

/// `Warning: <code> svpn-gateway "<text>"` (RFC 3261 section 20.43); what would break the quotes is taken out of the text.
pub(crate) fn warning(code: u16, text: &str) -> Header {
    Header::Warning(format!("{code} svpn-gateway \"{}\"", quotable(text)).into())
}

/// The text without quotes, backslashes and control characters.
pub(crate) fn quotable(text: &str) -> String {
    text.chars()
        .map(|character| match character {
            '"' | '\\' => '\'',
            control if control.is_control() => ' ',
            other => other,
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_warning_cannot_be_broken_out_of() {
        assert_eq!(warning(399, "no \"such\"\r\nVia: thing").to_string(), "Warning: 399 svpn-gateway \"no 'such'  Via: thing\"");
    }
}
