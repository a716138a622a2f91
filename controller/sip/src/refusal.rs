//! What a refusal is in SIP: a status, and a reason a person can act on.

use svpn_vpn::request::Refusal;

use crate::stack::{sip, warning};

/// RFC 3261 section 20.43: "insufficient bandwidth" and "miscellaneous warning".
const INSUFFICIENT_BANDWIDTH: u16 = 370;
const MISCELLANEOUS: u16 = 399;

/// After how many seconds somebody turned away for load may come back.
const RETRY_AFTER: u32 = 5;

/// A final response that is no success.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Rejection {
    /// The status code.
    pub(crate) status: u16,
    warning: u16,
    /// The reason.
    pub(crate) reason: String,
    /// Header fields the status asks for.
    headers: Vec<sip::Header>,
}

impl Rejection {
    pub(crate) fn new(status: u16, reason: impl Into<String>) -> Self {
        Self { status, warning: MISCELLANEOUS, reason: reason.into(), headers: Vec::new() }
    }

    /// With another header field.
    pub(crate) fn with(mut self, header: sip::Header) -> Self {
        self.headers.push(header);
        self
    }

    /// 503 with Retry-After.
    pub(crate) fn unavailable(reason: impl Into<String>) -> Self {
        Self::new(503, reason).with(sip::Header::RetryAfter(RETRY_AFTER.to_string().into()))
    }

    /// 500 with Retry-After: another request of the same end is not decided yet (RFC 3261 section 14.2, RFC 3311 section 5.2).
    pub(crate) fn overlapping() -> Self {
        let seconds = rand::random_range(0..=10).to_string();
        Self::new(500, "the offer before this one is not answered yet").with(sip::Header::RetryAfter(seconds.into()))
    }

    /// The header fields of the response.
    pub(crate) fn into_headers(self) -> Vec<sip::Header> {
        let mut headers = self.headers;
        headers.push(warning(self.warning, &self.reason));
        headers
    }
}

impl From<Refusal> for Rejection {
    fn from(refusal: Refusal) -> Self {
        let reason = refusal.to_string();
        match refusal {
            Refusal::NotAcceptable(_) => Self::new(488, reason),
            Refusal::Forbidden(_) => Self::new(403, reason),
            Refusal::NotFound(_) => Self::new(404, reason),
            Refusal::NoBandwidth { .. } => Self { warning: INSUFFICIENT_BANDWIDTH, ..Self::new(580, reason) },
            Refusal::NoPath { .. } | Refusal::AllOrNone(_) => Self::new(580, reason),
            Refusal::Unavailable(_) => Self::unavailable(reason),
        }
    }
}

/// What another provider's gateway said of its own network: its status, and its warning.
pub(crate) fn told(status: u16, response: &sip::Response, domain: &str) -> Rejection {
    let warning =
        response.headers.iter().find_map(|header| if let sip::Header::Warning(value) = header { Some(value.value()) } else { None });
    // `<code> <agent> "<text>"` (RFC 3261 section 20.43).
    let mut parts = warning.unwrap_or_default().splitn(3, ' ');
    let (code, text) = (parts.next().and_then(|code| code.parse().ok()), parts.nth(1).map(|text| text.trim_matches('"')));
    let reason = text.map_or_else(|| format!("{domain} declined with {status}"), |text| format!("{domain}: {text}"));
    let rejection = if status == 503 { Rejection::unavailable(reason) } else { Rejection::new(status, reason) };
    Rejection { warning: code.unwrap_or(MISCELLANEOUS), ..rejection }
}

#[cfg(test)]
mod tests {
    use super::*;
    use svpn_vpn::request::BitRate;

    #[test]
    fn a_full_link_is_580_with_warning_370_and_the_figures() {
        let rejection = Rejection::from(Refusal::NoBandwidth {
            link: "pe1-p1".to_owned(),
            asked: BitRate(50_000_000),
            fits: BitRate(20_000_000),
            full: (std::time::SystemTime::UNIX_EPOCH, None),
            next_start: None,
        });
        assert_eq!(rejection.status, 580);
        let headers = rejection.into_headers();
        let warning = headers[0].to_string();
        assert!(warning.starts_with("Warning: 370 svpn-gateway \""), "{warning}");
        for part in ["pe1-p1", "50000000", "20000000"] {
            assert!(warning.contains(part), "{warning}");
        }
    }

    #[test]
    fn every_refusal_has_its_status() {
        let text = || "x".to_owned();
        for (refusal, status) in [
            (Refusal::NotAcceptable(text()), 488),
            (Refusal::Forbidden(text()), 403),
            (Refusal::NotFound(text()), 404),
            (Refusal::NoPath { from: text(), to: text(), why: text() }, 580),
            (Refusal::AllOrNone(text()), 580),
            (Refusal::Unavailable(text()), 503),
        ] {
            assert_eq!(Rejection::from(refusal).status, status);
        }
    }

    #[test]
    fn an_overloaded_gateway_says_when_to_come_back() {
        let headers = Rejection::from(Refusal::Unavailable("busy".to_owned())).into_headers();
        assert!(headers.iter().any(|header| header.to_string() == "Retry-After: 5"));
    }
}
