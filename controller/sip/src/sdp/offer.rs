//! The offer of an INVITE.

use std::time::{Duration, SystemTime};

use sdp_types::{Bandwidth as BandwidthLine, Media, Session};
use serde::{Deserialize, Serialize};
use svpn_vpn::request::{Bandwidth, BitRate, Class, Direction, Match, Medium, Transport, TunnelType, Window};

use super::parse::{attribute, end, parse, transport};
use super::svpn::{GroupWish, Wishes};
use super::{MediumError, SdpError, TimeError};

/// NTP counts seconds from 1900, Unix from 1970 (RFC 8866 section 5.9).
const NTP_TO_UNIX: u64 = 2_208_988_800;

/// A start as little as this ahead of our clock is now.
const NOW: Duration = Duration::from_secs(5);

/// An offer, understood: what a session request takes from it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Offer {
    /// As it came.
    pub(crate) session: Session,
    /// The media with a port.
    pub(crate) media: Vec<Medium>,
    pub(crate) class: Option<Class>,
    pub(crate) priority: Option<u8>,
    pub(crate) matching: Match,
    pub(crate) tunnel: TunnelType,
    pub(crate) window: Window,
    /// The group it is to be one of.
    pub(crate) group: Option<GroupWish>,
}

/// What a change in service cannot change.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Fixed {
    priority: Option<u8>,
    matching: Match,
    tunnel: TunnelType,
}

impl Offer {
    /// What later offers of the session have to agree to.
    pub(crate) fn fixed(&self) -> Fixed {
        Fixed { priority: self.priority, matching: self.matching, tunnel: self.tunnel }
    }
}

/// Reads the offer of an INVITE that came at `now`.
pub(crate) fn read_offer(body: &[u8], now: SystemTime) -> Result<Offer, SdpError> {
    let session = parse(body)?;
    let wishes = read_wishes(&session)?;
    understand(session, &wishes, now)
}

/// Reads an offer of a change that came at `now`, where `agreed` is the offer that holds. What it leaves out stays as it is.
pub(crate) fn read_change(body: &[u8], now: SystemTime, agreed: &Session, fixed: Fixed) -> Result<Offer, SdpError> {
    let session = parse(body)?;
    if session.medias.len() < agreed.medias.len() {
        return Err(SdpError::FewerMedia { agreed: agreed.medias.len(), offered: session.medias.len() });
    }
    let mut wishes = read_wishes(&session)?;
    if wishes.priority.is_some() && wishes.priority != fixed.priority {
        return Err(SdpError::Fixed("priority"));
    }
    if *wishes.matching.get_or_insert(fixed.matching) != fixed.matching {
        return Err(SdpError::Fixed("match"));
    }
    if *wishes.tunnel.get_or_insert(fixed.tunnel) != fixed.tunnel {
        return Err(SdpError::Fixed("tunnel"));
    }
    wishes.priority = fixed.priority;
    understand(session, &wishes, now)
}

fn read_wishes(session: &Session) -> Result<Wishes, SdpError> {
    let mut wishes = Wishes::default();
    for attribute in session.attributes.iter().chain(session.medias.iter().flat_map(|medium| &medium.attributes)) {
        if attribute.attribute.eq_ignore_ascii_case("svpn") {
            wishes.add(attribute.value.as_deref().unwrap_or_default())?;
        }
    }
    Ok(wishes)
}

fn understand(session: Session, wishes: &Wishes, now: SystemTime) -> Result<Offer, SdpError> {
    let matching = wishes.matching.unwrap_or_default();
    let wanted = session.medias.iter().filter(|medium| medium.port != 0).count();
    let mut media = Vec::new();
    for (index, medium) in session.medias.iter().enumerate() {
        if medium.port == 0 {
            continue;
        }
        let read = read_medium(&session, medium, matching, wanted);
        media.push(read.map_err(|error| SdpError::Medium(index + 1, error))?);
    }
    if media.is_empty() {
        return Err(SdpError::NoMedia);
    }
    Ok(Offer {
        group: wishes.group()?,
        media,
        class: wishes.class,
        priority: wishes.priority,
        matching,
        tunnel: wishes.tunnel.unwrap_or_default(),
        window: window(&session, now)?,
        session,
    })
}

fn read_medium(session: &Session, medium: &Media, matching: Match, wanted: usize) -> Result<Medium, MediumError> {
    let transport = transport(&medium.proto)?;
    let caller = end(session, medium)?;
    let active = attribute(session, medium, &["setup"]).and_then(|setup| setup.value.as_deref()) == Some("active");
    // RFC 4145 section 4.1: who will open the connection writes the discard port.
    if transport == Transport::Tcp && matching == Match::Ports && active && caller.port == 9 {
        return Err(MediumError::NoPort);
    }
    Ok(Medium { transport, caller, direction: direction(session, medium)?, bandwidth: bandwidth(session, medium, wanted)? })
}

fn direction(session: &Session, medium: &Media) -> Result<Direction, MediumError> {
    let names = ["sendrecv", "sendonly", "recvonly", "inactive"];
    let Some(attribute) = attribute(session, medium, &names) else {
        return Ok(Direction::Both);
    };
    match attribute.attribute.to_ascii_lowercase().as_str() {
        "sendonly" => Ok(Direction::FromCaller),
        "recvonly" => Ok(Direction::FromCallee),
        "inactive" => Err(MediumError::Inactive),
        _ => Ok(Direction::Both),
    }
}

fn bandwidth(session: &Session, medium: &Media, wanted: usize) -> Result<Bandwidth, MediumError> {
    let packets_per_second = packet_rate(session, medium)?;
    let lines = if medium.bandwidths.iter().any(is_served) {
        &medium.bandwidths
    } else if !session.bandwidths.iter().any(is_served) {
        return Err(MediumError::NoBandwidth);
    } else if wanted > 1 {
        return Err(MediumError::SharedBandwidth);
    } else {
        &session.bandwidths
    };
    let find = |kind: &str| lines.iter().find(|line| line.bwtype.eq_ignore_ascii_case(kind));
    let (bandwidth, rate) = if let Some(line) = find("TIAS") {
        let rate = BitRate(line.bandwidth);
        (Bandwidth::TransportIndependent { rate, packets_per_second }, rate)
    } else {
        let line = find("AS").ok_or(MediumError::NoBandwidth)?;
        let rate = BitRate(line.bandwidth.checked_mul(1000).ok_or(MediumError::Bandwidth)?);
        (Bandwidth::ApplicationSpecific { rate, packets_per_second }, rate)
    };
    // No interface carries more than 2^48 bit/s, and sums of such rates do not overflow.
    if rate.0 == 0 || rate.0 > 1 << 48 {
        return Err(MediumError::Bandwidth);
    }
    Ok(bandwidth)
}

pub(super) fn is_served(line: &BandwidthLine) -> bool {
    line.bwtype.eq_ignore_ascii_case("TIAS") || line.bwtype.eq_ignore_ascii_case("AS")
}

/// `a=maxprate:<packets>[.<fraction>]` (RFC 3890 section 6.3), rounded up.
fn packet_rate(session: &Session, medium: &Media) -> Result<Option<u64>, MediumError> {
    let Some(attribute) = attribute(session, medium, &["maxprate"]) else {
        return Ok(None);
    };
    let text = attribute.value.as_deref().unwrap_or_default().trim();
    let wrong = || MediumError::PacketRate(text.to_owned());
    let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
    let digits = |part: &str| part.bytes().all(|byte| byte.is_ascii_digit());
    if whole.is_empty() || !digits(whole) || !digits(fraction) {
        return Err(wrong());
    }
    let whole: u64 = whole.parse().map_err(|_| wrong())?;
    let more = u64::from(fraction.bytes().any(|byte| byte != b'0'));
    let rate = whole.checked_add(more).ok_or_else(wrong)?;
    if rate == 0 || rate > 1 << 40 {
        return Err(wrong());
    }
    Ok(Some(rate))
}

fn window(session: &Session, now: SystemTime) -> Result<Window, TimeError> {
    let (start, stop) = match session.times.as_slice() {
        [] => (0, 0),
        [time] if time.repeats.is_empty() => (time.start_time, time.stop_time),
        _ => return Err(TimeError::Several),
    };
    let start = instant(start)?.filter(|start| *start > now + NOW);
    let stop = instant(stop)?;
    if stop.is_some_and(|stop| stop <= now) {
        return Err(TimeError::Past);
    }
    if let (Some(start), Some(stop)) = (start, stop)
        && stop <= start
    {
        return Err(TimeError::Backwards);
    }
    Ok(Window { start, stop })
}

/// `None` for 0, which means unbounded.
fn instant(ntp: u64) -> Result<Option<SystemTime>, TimeError> {
    if ntp == 0 {
        return Ok(None);
    }
    let unix = ntp.checked_sub(NTP_TO_UNIX).ok_or(TimeError::Range)?;
    // NTP timestamps of SDP are ten digits or so; far beyond, clocks overflow.
    if unix > 1 << 40 {
        return Err(TimeError::Range);
    }
    SystemTime::UNIX_EPOCH.checked_add(Duration::from_secs(unix)).map(Some).ok_or(TimeError::Range)
}

#[cfg(test)]
mod tests;
