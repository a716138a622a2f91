//! What the callee offers in service, as the caller would have to offer it.

use sdp_types::{Attribute, Media, Session};

use super::SdpError;
use super::offer::is_served;
use super::parse::attribute;

/// The offer of the caller that comes to what the callee offers, where `agreed` is the caller's offer that holds: the callee's bandwidths,
/// directions and `a=svpn`, and the caller's ends and times.
pub(crate) fn as_callers(agreed: &Session, callees: &Session) -> Result<Session, SdpError> {
    if callees.medias.len() != agreed.medias.len() {
        return Err(SdpError::OnlyCaller);
    }
    let mut session = agreed.clone();
    let wishes = |attribute: &Attribute| attribute.attribute.eq_ignore_ascii_case("svpn");
    let all = || callees.attributes.iter().chain(callees.medias.iter().flat_map(|medium| &medium.attributes));
    if all().any(wishes) {
        session.attributes.retain(|attribute| !wishes(attribute));
        session.medias.iter_mut().for_each(|medium| medium.attributes.retain(|attribute| !wishes(attribute)));
        session.attributes.extend(all().filter(|attribute| wishes(attribute)).cloned());
    }
    for (medium, theirs) in session.medias.iter_mut().zip(&callees.medias) {
        match (medium.port, theirs.port) {
            (_, 0) => medium.port = 0,
            (0, _) => return Err(SdpError::OnlyCaller),
            _ => adopt(medium, callees, theirs),
        }
    }
    session.attributes.retain(|attribute| mirrored(attribute).is_none());
    Ok(session)
}

/// The offer of the caller that comes to what it answers to an offer of ours, where `agreed` is its offer that holds: its ends and directions as
/// the answer has them, and the rest as agreed.
pub(crate) fn with_answer(agreed: &Session, answer: &Session) -> Result<Session, SdpError> {
    let (offered, answered) = (agreed.medias.len(), answer.medias.len());
    if offered != answered {
        return Err(SdpError::MediaCount { offered, answered });
    }
    let mut session = agreed.clone();
    for (medium, theirs) in session.medias.iter_mut().zip(&answer.medias).filter(|(medium, _)| medium.port != 0) {
        medium.port = theirs.port;
        medium.connections =
            if theirs.connections.is_empty() { answer.connection.clone().into_iter().collect() } else { theirs.connections.clone() };
        medium.attributes.retain(|attribute| mirrored(attribute).is_none());
        let direction = attribute(answer, theirs, &DIRECTIONS).map_or("sendrecv", |direction| direction.attribute.as_str());
        medium.attributes.push(Attribute { attribute: direction.to_owned(), value: None });
    }
    session.attributes.retain(|attribute| mirrored(attribute).is_none());
    Ok(session)
}

fn adopt(medium: &mut Media, callees: &Session, theirs: &Media) {
    let bandwidths = if theirs.bandwidths.iter().any(is_served) { &theirs.bandwidths } else { &callees.bandwidths };
    if bandwidths.iter().any(is_served) {
        medium.bandwidths.clone_from(bandwidths);
    }
    if let Some(rate) = attribute(callees, theirs, &["maxprate"]) {
        medium.attributes.retain(|attribute| !attribute.attribute.eq_ignore_ascii_case("maxprate"));
        medium.attributes.push(rate.clone());
    }
    medium.attributes.retain(|attribute| mirrored(attribute).is_none());
    let direction = attribute(callees, theirs, &DIRECTIONS).and_then(mirrored).unwrap_or("sendrecv");
    medium.attributes.push(Attribute { attribute: direction.to_owned(), value: None });
}

const DIRECTIONS: [&str; 4] = ["sendrecv", "sendonly", "recvonly", "inactive"];

/// A direction, seen from the other end; `None` for what is none.
fn mirrored(attribute: &Attribute) -> Option<&'static str> {
    match attribute.attribute.to_ascii_lowercase().as_str() {
        "sendrecv" => Some("sendrecv"),
        "sendonly" => Some("recvonly"),
        "recvonly" => Some("sendonly"),
        "inactive" => Some("inactive"),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn session(lines: &str) -> Session {
        let text = format!("v=0\r\no=a 1 1 IN IP4 10.1.0.5\r\ns=-\r\nc=IN IP4 10.1.0.5\r\n{lines}");
        Session::parse(text.as_bytes()).unwrap()
    }

    #[test]
    fn the_callees_bandwidth_and_direction_and_the_callers_ends_and_times() {
        let agreed = session("t=0 5000000000\r\na=svpn:class=5\r\nm=audio 4000 RTP/AVP 0\r\nb=TIAS:50000\r\na=maxprate:50\r\n");
        let callees = session("t=0 0\r\na=svpn:class=3\r\nm=audio 5000 RTP/AVP 0\r\nb=TIAS:80000\r\na=maxprate:80\r\na=sendonly\r\n");
        let expected =
            session("t=0 5000000000\r\na=svpn:class=3\r\nm=audio 4000 RTP/AVP 0\r\nb=TIAS:80000\r\na=maxprate:80\r\na=recvonly\r\n");
        assert_eq!(as_callers(&agreed, &callees), Ok(expected));
    }

    #[test]
    fn what_the_callee_leaves_out_stays_and_a_medium_can_end() {
        let agreed = session("t=0 0\r\nm=audio 4000 RTP/AVP 0\r\nb=AS:64\r\nm=video 4002 RTP/AVP 31\r\nb=AS:640\r\n");
        let callees = session("t=0 0\r\nm=audio 5000 RTP/AVP 0\r\nm=video 0 RTP/AVP 31\r\n");
        let wanted = as_callers(&agreed, &callees).unwrap();
        assert_eq!((wanted.medias[0].port, wanted.medias[1].port), (4000, 0));
        assert_eq!(wanted.medias[0].bandwidths, agreed.medias[0].bandwidths);
    }

    #[test]
    fn only_the_caller_can_add_media() {
        let agreed = session("t=0 0\r\nm=audio 0 RTP/AVP 0\r\n");
        let back = session("t=0 0\r\nm=audio 5000 RTP/AVP 0\r\n");
        let more = session("t=0 0\r\nm=audio 5000 RTP/AVP 0\r\nm=video 5002 RTP/AVP 31\r\n");
        assert_eq!(as_callers(&agreed, &back), Err(SdpError::OnlyCaller));
        assert_eq!(as_callers(&agreed, &more), Err(SdpError::OnlyCaller));
    }
}
