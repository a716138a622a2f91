//! Preconditions (RFC 3312, RFC 4032) in session descriptions: `a=curr`, `a=des` and `a=conf`, of the type `qos`.
//!
//! The gateway reserves from end to end before the callee is invited, so what is desired of `e2e` is met whenever a description leaves it.
//! `local` and `remote` are the ends' own segments, of which only they can say what is reserved: they go through as they are.

use sdp_types::{Attribute, Media, Session};

use super::parse::attribute;

/// Which part of the way is meant.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Segment {
    EndToEnd,
    Local,
    Remote,
}

impl Segment {
    fn read(text: &str) -> Option<Self> {
        match text.to_ascii_lowercase().as_str() {
            "e2e" => Some(Self::EndToEnd),
            "local" => Some(Self::Local),
            "remote" => Some(Self::Remote),
            _ => None,
        }
    }

    const fn name(self) -> &'static str {
        match self {
            Self::EndToEnd => "e2e",
            Self::Local => "local",
            Self::Remote => "remote",
        }
    }
}

/// Directions, seen from who wrote the description.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Flow(u8);

impl Flow {
    const NONE: Self = Self(0);
    const SEND: Self = Self(1);
    const RECEIVE: Self = Self(2);
    const BOTH: Self = Self(3);

    fn read(text: &str) -> Option<Self> {
        match text.to_ascii_lowercase().as_str() {
            "none" => Some(Self::NONE),
            "send" => Some(Self::SEND),
            "recv" => Some(Self::RECEIVE),
            "sendrecv" => Some(Self::BOTH),
            _ => None,
        }
    }

    const fn name(self) -> &'static str {
        match self {
            Self::NONE => "none",
            Self::SEND => "send",
            Self::RECEIVE => "recv",
            _ => "sendrecv",
        }
    }

    const fn and(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    const fn covers(self, other: Self) -> bool {
        self.0 & other.0 == other.0
    }

    /// The same, seen from the other end.
    const fn mirrored(self) -> Self {
        match self {
            Self::SEND => Self::RECEIVE,
            Self::RECEIVE => Self::SEND,
            other => other,
        }
    }
}

/// One line, understood.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Line {
    Current(Segment, Flow),
    Desired { strength: String, segment: Segment, flow: Flow },
    Confirm,
}

/// Why a session was refused, in the words of RFC 3312 section 8.
const FAILURE: &str = "failure";
const MANDATORY: &str = "mandatory";

/// `None` for any other attribute, and for one that cannot be read: that is left to the ends.
fn read(attribute: &Attribute) -> Option<Line> {
    let mut words = attribute.value.as_deref()?.split_ascii_whitespace();
    if !words.next()?.eq_ignore_ascii_case("qos") {
        return None;
    }
    let line = match attribute.attribute.to_ascii_lowercase().as_str() {
        "curr" => Line::Current(Segment::read(words.next()?)?, Flow::read(words.next()?)?),
        "des" => Line::Desired {
            strength: words.next()?.to_ascii_lowercase(),
            segment: Segment::read(words.next()?)?,
            flow: Flow::read(words.next()?)?,
        },
        "conf" => Line::Confirm,
        _ => return None,
    };
    Some(line)
}

fn lines(medium: &Media) -> impl Iterator<Item = Line> {
    medium.attributes.iter().filter_map(read)
}

fn current(segment: Segment, flow: Flow) -> Attribute {
    line("curr", format!("qos {} {}", segment.name(), flow.name()))
}

fn desired(strength: &str, segment: Segment, flow: Flow) -> Attribute {
    line("des", format!("qos {strength} {} {}", segment.name(), flow.name()))
}

fn line(name: &str, value: String) -> Attribute {
    Attribute { attribute: name.to_owned(), value: Some(value) }
}

/// What is desired of a segment, in all.
fn wish(medium: &Media, wanted: Segment) -> Option<Flow> {
    let flows = lines(medium).filter_map(|line| match line {
        Line::Desired { segment, flow, .. } if segment == wanted => Some(flow),
        _ => None,
    });
    flows.reduce(Flow::and)
}

/// The directions in which a medium flows.
fn flow(session: &Session, medium: &Media) -> Flow {
    let names = ["sendrecv", "sendonly", "recvonly", "inactive"];
    match attribute(session, medium, &names).map(|attribute| attribute.attribute.to_ascii_lowercase()).as_deref() {
        Some("sendonly") => Flow::SEND,
        Some("recvonly") => Flow::RECEIVE,
        Some("inactive") => Flow::NONE,
        _ => Flow::BOTH,
    }
}

/// Whether a description has preconditions at all.
pub(crate) fn are_wanted(session: &Session) -> bool {
    session.medias.iter().any(|medium| lines(medium).next().is_some())
}

/// Whether something mandatory is left when the gateway has reserved: the callee must not be alerted before the ends have done their part.
pub(crate) fn remain(offer: &Session) -> bool {
    let mut offer = offer.clone();
    fulfil(&mut offer);
    !are_met(&offer)
}

/// Whether everything mandatory is met.
fn are_met(session: &Session) -> bool {
    let mut wanted = session.medias.iter().filter(|medium| medium.port != 0);
    wanted.all(|medium| {
        let now = |wanted: Segment| {
            let flows = lines(medium).filter_map(|line| match line {
                Line::Current(segment, flow) if segment == wanted => Some(flow),
                _ => None,
            });
            flows.fold(Flow::NONE, Flow::and)
        };
        lines(medium).all(|line| match line {
            Line::Desired { strength, segment, flow } if strength == MANDATORY => now(segment).covers(flow),
            _ => true,
        })
    })
}

/// The description without them.
pub(crate) fn without(session: &Session) -> Session {
    let mut session = session.clone();
    for medium in &mut session.medias {
        medium.attributes.retain(|attribute| read(attribute).is_none());
    }
    session
}

/// Says of `e2e` that it is reserved.
pub(super) fn fulfil(session: &mut Session) {
    for index in 0..session.medias.len() {
        let flow = flow(session, &session.medias[index]);
        let medium = &mut session.medias[index];
        let Some(wish) = wish(medium, Segment::EndToEnd) else { continue };
        // What does not flow needs nothing.
        let met = current(Segment::EndToEnd, flow.and(wish));
        let at = medium.attributes.iter().position(|attribute| read(attribute).is_some()).unwrap_or_default();
        medium.attributes.retain(|attribute| !matches!(read(attribute), Some(Line::Current(Segment::EndToEnd, _))));
        medium.attributes.insert(at.min(medium.attributes.len()), met);
    }
}

/// What an answer owes the offer (RFC 3312 section 6): whoever wanted `e2e` is told of it, also where the callee knows no preconditions.
pub(super) fn fulfil_answer(answer: &mut Session, offer: &Session) {
    for (offered, answered) in offer.medias.iter().zip(&mut answer.medias) {
        if answered.port == 0 || wish(answered, Segment::EndToEnd).is_some() {
            continue;
        }
        let owed = lines(offered).filter_map(|line| match line {
            Line::Desired { strength, segment: Segment::EndToEnd, flow } => Some(desired(&strength, Segment::EndToEnd, flow.mirrored())),
            _ => None,
        });
        answered.attributes.extend(owed);
    }
    fulfil(answer);
}

/// Takes over the preconditions of a later description of the same media.
pub(crate) fn adopt(session: &mut Session, later: &Session) {
    for (medium, later) in session.medias.iter_mut().zip(&later.medias) {
        medium.attributes.retain(|attribute| read(attribute).is_none());
        medium.attributes.extend(later.attributes.iter().filter(|attribute| read(attribute).is_some()).cloned());
    }
}

/// The offer as it is refused with 580 (RFC 3312 section 8): each mandatory line says that it failed.
pub(super) fn fail(offer: &mut Session) {
    for medium in &mut offer.medias {
        let failed: Vec<_> = lines(medium)
            .filter_map(|line| match line {
                Line::Desired { strength, segment, flow } if strength == MANDATORY => Some(desired(FAILURE, segment, flow)),
                _ => None,
            })
            .collect();
        medium.attributes.retain(|attribute| read(attribute).is_none());
        medium.attributes.extend(failed);
    }
}

#[cfg(test)]
mod tests;
