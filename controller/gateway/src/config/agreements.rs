//! What contracts say besides their ceilings, price plans, closed user groups, and the policies of VPNs: key for key, and what the
//! domain makes of them.

use std::collections::HashMap;
use std::sync::Arc;

use serde::Deserialize;
use serde::de::{self, Deserializer, Unexpected};
use svpn_contract::wire::Class;
use svpn_vpn::agreement::{Consent, Days, Hours, Options, Preemptable, Preemption, Protection, Quota, Schedule, UtcOffset, VpnPolicy};
use svpn_vpn::durable::TunnelOrigin;
use svpn_vpn::price::{ClassPrice, Micros, PricePlan, TimeOfDay};
use svpn_vpn::request::Match;
use toml::Spanned;

use super::file::Contract;
use super::units::{number, numbers, scaled};

/// `protection = "disjoint"`
#[derive(Debug, Clone, Copy, Default, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum ProtectionWord {
    #[default]
    None,
    Disjoint,
}

/// `quota = { bytes = 1000000000000, megabit_hours = 5000 }`, each month.
#[derive(Debug, Clone, Copy, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct QuotaKeys {
    #[serde(default)]
    pub(crate) bytes: Option<u64>,
    #[serde(default)]
    pub(crate) megabit_hours: Option<u64>,
}

/// `{ days = ["mon", "tue"], from = "08:00", until = "17:00" }`; without days, every day.
#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(try_from = "HourKeys")]
pub(crate) struct HoursOfDays(pub(crate) Hours);

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct HourKeys {
    #[serde(default)]
    days: Option<Vec<Weekday>>,
    from: Minute,
    until: Minute,
}

#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Weekday {
    Mon,
    Tue,
    Wed,
    Thu,
    Fri,
    Sat,
    Sun,
}

impl TryFrom<HourKeys> for HoursOfDays {
    type Error = svpn_vpn::agreement::NoHours;

    fn try_from(keys: HourKeys) -> Result<Self, Self::Error> {
        let days = keys.days.map_or(Days::ALL, |days| days.into_iter().fold(Days::NONE, |set, day| set.with(day as u8)));
        Hours::new(days, keys.from.0, keys.until.0).map(Self)
    }
}

/// A time of the day, `"17:30"`: minutes after midnight.
#[derive(Debug, Clone, Copy)]
struct Minute(u16);

impl<'de> Deserialize<'de> for Minute {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        let minutes = hours_and_minutes(&text).filter(|minutes| *minutes <= 24 * 60);
        minutes.map(Self).ok_or_else(|| de::Error::invalid_value(Unexpected::Str(&text), &"a time like \"17:30\", to \"24:00\""))
    }
}

fn hours_and_minutes(text: &str) -> Option<u16> {
    let (hours, minutes) = text.split_once(':')?;
    let digits = |part: &str| part.len() == 2 && part.bytes().all(|byte| byte.is_ascii_digit());
    let (hours, minutes) = (digits(hours) && digits(minutes)).then_some((hours, minutes))?;
    let (hours, minutes): (u16, u16) = (hours.parse().ok()?, minutes.parse().ok()?);
    (minutes < 60).then_some(hours * 60 + minutes)
}

/// How far local time is ahead of UTC: `"+05:30"`, `"-03:00"`.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Offset(pub(crate) UtcOffset);

impl<'de> Deserialize<'de> for Offset {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        let signed = text.strip_prefix('+').map(|rest| (1, rest)).or_else(|| text.strip_prefix('-').map(|rest| (-1, rest)));
        let minutes = signed.and_then(|(sign, rest)| Some(sign * i16::try_from(hours_and_minutes(rest)?).ok()?));
        let minutes = minutes.filter(|minutes| minutes.abs() <= 14 * 60);
        let expected = &"an offset from UTC like \"+05:30\", to 14 hours";
        minutes.map(|minutes| Self(UtcOffset(minutes))).ok_or_else(|| de::Error::invalid_value(Unexpected::Str(&text), expected))
    }
}

/// An amount of money, `"0.50"`, exact to a millionth.
#[derive(Debug, Clone, Copy, Default)]
struct Money(Micros);

impl<'de> Deserialize<'de> for Money {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        let expected = &"an amount like \"0.25\", six decimals at most";
        scaled(&text, 1_000_000)
            .map(|micros| Self(Micros(micros)))
            .ok_or_else(|| de::Error::invalid_value(Unexpected::Str(&text), expected))
    }
}

/// `[[price]]`
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Price {
    pub(crate) name: String,
    currency: String,
    #[serde(default)]
    set_up: Money,
    #[serde(default)]
    megabit_hour: Money,
    #[serde(default)]
    gigabyte: Money,
    #[serde(default)]
    classes: Vec<PriceOfClass>,
    #[serde(default)]
    times: Vec<PriceOfTime>,
    #[serde(default)]
    utc_offset: Offset,
}

/// `{ class = 5, megabit_hour = "0.02", gigabyte = "0.01" }`
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct PriceOfClass {
    #[serde(deserialize_with = "number")]
    class: Class,
    #[serde(default)]
    megabit_hour: Money,
    #[serde(default)]
    gigabyte: Money,
}

/// `{ hours = { from = "22:00", until = "24:00" }, percent = 50 }`
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct PriceOfTime {
    hours: HoursOfDays,
    percent: u32,
}

impl Price {
    pub(crate) fn plan(&self) -> PricePlan {
        let class = |price: &PriceOfClass| (price.class, ClassPrice { megabit_hour: price.megabit_hour.0, gigabyte: price.gigabyte.0 });
        PricePlan {
            name: self.name.clone(),
            currency: self.currency.clone(),
            set_up: self.set_up.0,
            other_classes: ClassPrice { megabit_hour: self.megabit_hour.0, gigabyte: self.gigabyte.0 },
            classes: self.classes.iter().map(class).collect(),
            times: self.times.iter().map(|time| TimeOfDay { hours: time.hours.0, percent: time.percent }).collect(),
            offset: self.utc_offset.0,
        }
    }
}

impl Contract {
    pub(crate) fn options(&self, prices: &HashMap<String, Arc<PricePlan>>) -> Options {
        let preemptable = |yes| if yes { Preemptable::Always } else { Preemptable::Never };
        Options {
            priority: self.priority,
            max_priority: self.max_priority.unwrap_or(self.priority),
            protection: match self.protection {
                ProtectionWord::None => Protection::None,
                ProtectionWord::Disjoint => Protection::Disjoint,
            },
            preemption: if self.preempt { Preemption::LowerPriority } else { Preemption::Never },
            preemptable: self.preemptable.map(preemptable),
            include: self.include.clone(),
            exclude: self.exclude.clone(),
            hours: Schedule { offset: self.utc_offset.0, hours: self.hours.iter().map(|hours| hours.0).collect() },
            quota: Quota { bytes: self.quota.bytes, megabit_hours: self.quota.megabit_hours },
            price: self.price.as_ref().and_then(|name| prices.get(name.get_ref()).cloned()),
        }
    }
}

/// `[[group]]`
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Group {
    pub(crate) name: String,
    /// `"storage@vpn-a"`
    pub(crate) members: Vec<Spanned<String>>,
}

/// The keys of `[[vpn]]` that say what its sessions may be; each may be left out.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Policy {
    #[serde(default, deserialize_with = "maybe_numbers")]
    classes: Option<Vec<Class>>,
    #[serde(default)]
    max_priority: Option<u8>,
    #[serde(default)]
    matches: Option<Vec<MatchWord>>,
    #[serde(default)]
    consent: ConsentWord,
}

/// `consent = "named"`
#[derive(Debug, Clone, Copy, Default, Deserialize)]
#[serde(rename_all = "lowercase")]
enum ConsentWord {
    #[default]
    Answer,
    Named,
}

fn maybe_numbers<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Vec<Class>>, D::Error> {
    numbers(deserializer).map(Some)
}

#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(rename_all = "lowercase")]
enum MatchWord {
    Ports,
    Hosts,
    Sites,
}

impl Policy {
    pub(crate) fn policy(&self) -> VpnPolicy {
        let word = |word: &MatchWord| match word {
            MatchWord::Ports => Match::Ports,
            MatchWord::Hosts => Match::Hosts,
            MatchWord::Sites => Match::Sites,
        };
        VpnPolicy {
            classes: self.classes.clone(),
            max_priority: self.max_priority,
            matches: self.matches.as_ref().map(|matches| matches.iter().map(word).collect()),
            consent: match self.consent {
                ConsentWord::Answer => Consent::Answer,
                ConsentWord::Named => Consent::Named,
            },
        }
    }
}

/// `tunnels = "premade"`
#[derive(Debug, Clone, Copy, Default, Deserialize)]
pub(crate) enum TunnelsWord {
    #[default]
    #[serde(rename = "on demand")]
    OnDemand,
    #[serde(rename = "premade")]
    Premade,
}

impl From<TunnelsWord> for TunnelOrigin {
    fn from(word: TunnelsWord) -> Self {
        match word {
            TunnelsWord::OnDemand => Self::OnDemand,
            TunnelsWord::Premade => Self::Premade,
        }
    }
}
