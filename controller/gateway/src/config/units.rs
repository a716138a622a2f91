//! Quantities as people write them: `"50 Mbit/s"`, `"40 %"`.

use std::fmt;

use serde::Deserialize;
use serde::de::{self, Deserializer, Unexpected, Visitor};
use svpn_vpn::admission::{Part, Share};
use svpn_vpn::request::BitRate;

/// A rate, written as a number and a unit: `bit/s`, `kbit/s`, `Mbit/s`, `Gbit/s` or `Tbit/s` (powers of 1000).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Rate(pub(crate) BitRate);

const UNITS: [(&str, u64); 5] =
    [("bit/s", 1), ("kbit/s", 1_000), ("Mbit/s", 1_000_000), ("Gbit/s", 1_000_000_000), ("Tbit/s", 1_000_000_000_000)];

/// Reads `12`, `1.5` as so many thousandths of a unit, exactly; `None` for anything else.
pub(super) fn scaled(number: &str, unit: u64) -> Option<u64> {
    let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
    let digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
    if whole.is_empty() || !digits(whole) || !digits(fraction) || number.ends_with('.') {
        return None;
    }
    let mut bits = whole.parse::<u64>().ok()?.checked_mul(unit)?;
    let mut part = unit;
    for digit in fraction.bytes() {
        // A digit below one bit per second must be 0.
        if !part.is_multiple_of(10) {
            return (digit == b'0').then_some(bits);
        }
        part /= 10;
        bits = bits.checked_add(u64::from(digit - b'0') * part)?;
    }
    Some(bits)
}

struct RateVisitor;

impl Visitor<'_> for RateVisitor {
    type Value = Rate;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a rate like \"50 Mbit/s\" (bit/s, kbit/s, Mbit/s, Gbit/s, Tbit/s)")
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<Rate, E> {
        let wrong = || E::invalid_value(Unexpected::Str(text), &self);
        let (number, unit) = text.split_once(' ').ok_or_else(wrong)?;
        let (_, unit) = UNITS.iter().find(|(name, _)| *name == unit.trim()).ok_or_else(wrong)?;
        scaled(number, *unit).map(|bits| Rate(BitRate(bits))).ok_or_else(wrong)
    }
}

impl<'de> Deserialize<'de> for Rate {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_str(RateVisitor)
    }
}

/// A share of a link, written as a part of it, `40 %`, or as a rate.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct PoolShare(pub(crate) Share);

/// Millionths of a whole in a hundredth.
const PERCENT: u64 = 10_000;

struct ShareVisitor;

impl Visitor<'_> for ShareVisitor {
    type Value = PoolShare;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a share like \"40 %\" (0 to 100, four decimals at most) or \"4 Gbit/s\"")
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<PoolShare, E> {
        let wrong = || E::invalid_value(Unexpected::Str(text), &self);
        let Some(percent) = text.strip_suffix('%') else {
            return RateVisitor.visit_str::<E>(text).map(|rate| PoolShare(Share::Rate(rate.0))).map_err(|_| wrong());
        };
        let millionths = scaled(percent.trim_end(), PERCENT).and_then(|millionths| u32::try_from(millionths).ok());
        millionths.and_then(Part::from_millionths).map(|part| PoolShare(Share::Part(part))).ok_or_else(wrong)
    }
}

impl<'de> Deserialize<'de> for PoolShare {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_str(ShareVisitor)
    }
}

/// A whole number that fits a wire quantity.
pub(crate) fn number<'de, D, T>(deserializer: D) -> Result<T, D::Error>
where
    D: Deserializer<'de>,
    T: TryFrom<u64, Error: fmt::Display>,
{
    T::try_from(u64::deserialize(deserializer)?).map_err(de::Error::custom)
}

/// [`number`], where the key may be left out.
pub(crate) fn maybe_number<'de, D, T>(deserializer: D) -> Result<Option<T>, D::Error>
where
    D: Deserializer<'de>,
    T: TryFrom<u64, Error: fmt::Display>,
{
    number(deserializer).map(Some)
}

/// Whole numbers that fit a wire quantity.
pub(crate) fn numbers<'de, D, T>(deserializer: D) -> Result<Vec<T>, D::Error>
where
    D: Deserializer<'de>,
    T: TryFrom<u64, Error: fmt::Display>,
{
    Vec::<u64>::deserialize(deserializer)?.into_iter().map(|each| T::try_from(each).map_err(de::Error::custom)).collect()
}

/// Text with a form of its own: an address, a prefix, a MAC address.
pub(crate) fn text<'de, D, T>(deserializer: D) -> Result<T, D::Error>
where
    D: Deserializer<'de>,
    T: std::str::FromStr<Err: fmt::Display>,
{
    String::deserialize(deserializer)?.parse().map_err(de::Error::custom)
}

/// Texts with a form of their own.
pub(crate) fn texts<'de, D, T>(deserializer: D) -> Result<Vec<T>, D::Error>
where
    D: Deserializer<'de>,
    T: std::str::FromStr<Err: fmt::Display>,
{
    let texts = Vec::<String>::deserialize(deserializer)?;
    texts.into_iter().map(|each| each.parse().map_err(|error| de::Error::custom(format!("{each:?}: {error}")))).collect()
}

/// One text with a form of its own, or several.
pub(crate) fn text_or_texts<'de, D, T>(deserializer: D) -> Result<Vec<T>, D::Error>
where
    D: Deserializer<'de>,
    T: std::str::FromStr<Err: fmt::Display>,
{
    #[derive(Deserialize)]
    #[serde(untagged, expecting = "expected \"ONE\", or [\"ONE\", \"ANOTHER\"]")]
    enum Texts {
        One(String),
        Several(Vec<String>),
    }
    let texts = match Texts::deserialize(deserializer)? {
        Texts::One(text) => vec![text],
        Texts::Several(texts) => texts,
    };
    texts.into_iter().map(|each| each.parse().map_err(|error| de::Error::custom(format!("{each:?}: {error}")))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, Deserialize)]
    struct Holder {
        rate: Rate,
    }

    fn rate(text: &str) -> Option<u64> {
        toml::from_str::<Holder>(&format!("rate = {text:?}")).ok().map(|holder| holder.rate.0.0)
    }

    #[test]
    fn rates_are_exact() {
        assert_eq!(rate("50 Mbit/s"), Some(50_000_000));
        assert_eq!(rate("1.5 Gbit/s"), Some(1_500_000_000));
        assert_eq!(rate("0.064 kbit/s"), Some(64));
        assert_eq!(rate("400 Gbit/s"), Some(400_000_000_000));
        assert_eq!(rate("7 bit/s"), Some(7));
        assert_eq!(rate("7.0 bit/s"), Some(7));
    }

    #[derive(Debug, Deserialize)]
    struct Sharer {
        share: PoolShare,
    }

    fn share(text: &str) -> Option<Share> {
        toml::from_str::<Sharer>(&format!("share = {text:?}")).ok().map(|sharer| sharer.share.0)
    }

    #[test]
    fn shares_are_parts_or_rates() {
        let part = |millionths| Part::from_millionths(millionths).map(Share::Part);
        assert_eq!(share("40 %"), part(400_000));
        assert_eq!(share("33.3333%"), part(333_333));
        assert_eq!(share("100 %"), part(1_000_000));
        assert_eq!(share("4 Gbit/s"), Some(Share::Rate(BitRate(4_000_000_000))));
        for text in ["", "%", "40", "100.0001 %", "101 %", "-1 %", "0.00001 %", "4 GBit/s", "40 % %", "4294967296 %"] {
            assert_eq!(share(text), None, "{text}");
        }
    }

    #[test]
    fn what_is_no_rate_is_refused() {
        for text in
            ["", "50", "50Mbit/s", "50 mbit/s", "-1 bit/s", "1. bit/s", ".5 bit/s", "0.5 bit/s", "1e3 bit/s", "99999999999999 Tbit/s"]
        {
            assert_eq!(rate(text), None, "{text}");
        }
    }
}
