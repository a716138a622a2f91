//! The configuration file, key for key. Unknown keys are errors: a misspelt one would silently mean its default.

use std::net::IpAddr;
use std::path::PathBuf;

use ipnet::IpNet;
use serde::{Deserialize, Deserializer};
use svpn_contract::wire::{Class, Label, MacAddr, Mtu, PortId, TtlMode, VlanId, VrfId};
use svpn_sip::config::{DigestAlgorithm, ListenAddress, SessionTimer, TlsFiles};
use toml::Spanned;

use super::agreements::{Group, HoursOfDays, Offset, Policy, Price, ProtectionWord, QuotaKeys, TunnelsWord};
use super::peers::{Nni, Peer};
use super::units::{PoolShare, Rate, maybe_number, number, numbers, text, text_or_texts, texts};

/// The whole file.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct File {
    pub(crate) provider: Provider,
    pub(crate) sip: Sip,
    pub(crate) records: Records,
    #[serde(default)]
    pub(crate) liveness: Option<Liveness>,
    #[serde(default, rename = "class")]
    pub(crate) classes: Vec<Spanned<ServiceClass>>,
    #[serde(rename = "router")]
    pub(crate) routers: Vec<Spanned<Router>>,
    #[serde(default, rename = "link")]
    pub(crate) links: Vec<Spanned<Link>>,
    #[serde(default, rename = "vpn")]
    pub(crate) vpns: Vec<Spanned<Vpn>>,
    #[serde(default, rename = "attachment")]
    pub(crate) attachments: Vec<Spanned<Attachment>>,
    #[serde(default, rename = "contract")]
    pub(crate) contracts: Vec<Spanned<Contract>>,
    #[serde(default, rename = "application")]
    pub(crate) applications: Vec<Spanned<Application>>,
    #[serde(default, rename = "group")]
    pub(crate) groups: Vec<Spanned<Group>>,
    #[serde(default, rename = "peer")]
    pub(crate) peers: Vec<Spanned<Peer>>,
    #[serde(default, rename = "nni")]
    pub(crate) nnis: Vec<Spanned<Nni>>,
    #[serde(default, rename = "price")]
    pub(crate) prices: Vec<Spanned<Price>>,
}

/// `[provider]`
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Provider {
    pub(crate) domain: String,
    #[serde(default)]
    pub(crate) ttl: Ttl,
}

/// How TTL crosses the provider's network (RFC 3443): `"uniform"`, or the TTL of the pipe.
#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(untagged, expecting = "expected \"uniform\", or the TTL of a pipe: 1 to 255")]
pub(crate) enum Ttl {
    Uniform(Uniform),
    Pipe(std::num::NonZeroU8),
}

/// The word `uniform`.
#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Uniform {
    Uniform,
}

impl Default for Ttl {
    fn default() -> Self {
        Self::Uniform(Uniform::Uniform)
    }
}

impl Ttl {
    pub(crate) fn mode(self) -> TtlMode {
        match self {
            Self::Uniform(Uniform::Uniform) => TtlMode::UNIFORM,
            Self::Pipe(ttl) => TtlMode::new(ttl.get()).unwrap_or(TtlMode::MAX),
        }
    }
}

/// `[sip]`
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Sip {
    #[serde(deserialize_with = "texts")]
    pub(crate) listen: Vec<ListenAddress>,
    /// Seconds.
    #[serde(default = "default_ring_timeout")]
    pub(crate) ring_timeout: std::num::NonZeroU32,
    /// Seconds until a session ends that has not followed its application to another CE.
    #[serde(default = "default_move_timeout")]
    pub(crate) move_timeout: std::num::NonZeroU32,
    /// Seconds from one refresh of a session (RFC 4028) to its end without another, 90 at least.
    #[serde(default = "default_session_expires", deserialize_with = "session_expires")]
    pub(crate) session_expires: u32,
    #[serde(default)]
    pub(crate) tls: Option<SipTls>,
    /// From one address, before the rest of what comes from there has to wait or is lost.
    #[serde(default)]
    pub(crate) messages_per_second: Option<std::num::NonZeroU32>,
    /// At once, before what begins something is answered 503.
    #[serde(default)]
    pub(crate) transactions: Option<std::num::NonZeroUsize>,
    /// `SHA-256` and `MD5`, in the order in which they are offered.
    #[serde(default = "default_digest", deserialize_with = "digests")]
    pub(crate) digest: Vec<DigestAlgorithm>,
}

/// `[sip.tls]`: files in PEM.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct SipTls {
    pub(crate) certificate: PathBuf,
    pub(crate) key: PathBuf,
    /// With it, who connects has to show a certificate of one of these authorities.
    #[serde(default)]
    pub(crate) client_ca: Option<PathBuf>,
    /// Whose certificates are believed of those that the gateway connects to.
    #[serde(default)]
    pub(crate) server_ca: Option<PathBuf>,
}

impl From<SipTls> for TlsFiles {
    fn from(SipTls { certificate, key, client_ca, server_ca }: SipTls) -> Self {
        Self { certificate, key, client_ca, server_ca }
    }
}

fn default_digest() -> Vec<DigestAlgorithm> {
    DigestAlgorithm::BOTH.to_vec()
}

fn digests<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<DigestAlgorithm>, D::Error> {
    let digests: Vec<DigestAlgorithm> = texts(deserializer)?;
    if digests.is_empty() {
        return Err(serde::de::Error::custom("expected one algorithm at least, such as \"SHA-256\""));
    }
    Ok(digests)
}

/// Half an hour, as RFC 4028 recommends.
const fn default_session_expires() -> u32 {
    1800
}

fn session_expires<'de, D: Deserializer<'de>>(deserializer: D) -> Result<u32, D::Error> {
    let seconds = u32::deserialize(deserializer)?;
    if u64::from(seconds) < SessionTimer::LEAST.as_secs() {
        let least = SessionTimer::LEAST.as_secs();
        return Err(serde::de::Error::custom(format!("expected {least} seconds at least (RFC 4028)")));
    }
    Ok(seconds)
}

fn default_move_timeout() -> std::num::NonZeroU32 {
    let seconds = u32::try_from(svpn_sip::config::MOVE_TIMEOUT.as_secs()).ok();
    seconds.and_then(std::num::NonZeroU32::new).unwrap_or(std::num::NonZeroU32::MIN)
}

/// As long as a person lets it ring.
fn default_ring_timeout() -> std::num::NonZeroU32 {
    std::num::NonZeroU32::MIN.saturating_add(59)
}

/// `[records]`
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Records {
    /// `sqlite:PATH`, or `postgres://USER@HOST/NAME`.
    pub(crate) database: String,
    /// Whose records these are, where several gateways share a database.
    #[serde(default = "default_gateway")]
    pub(crate) gateway: String,
}

fn default_gateway() -> String {
    "gateway".to_owned()
}

/// `[liveness]`
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Liveness {
    /// Whether links are probed at all.
    #[serde(default = "default_probes")]
    pub(crate) probes: bool,
    /// Milliseconds between two probes.
    #[serde(default = "default_interval")]
    pub(crate) interval: std::num::NonZeroU32,
    /// Probes lost one after the other until a link is down.
    #[serde(default = "default_misses")]
    pub(crate) misses: std::num::NonZeroU32,
}

fn default_probes() -> bool {
    true
}

fn default_interval() -> std::num::NonZeroU32 {
    std::num::NonZeroU32::MIN.saturating_add(999)
}

fn default_misses() -> std::num::NonZeroU32 {
    std::num::NonZeroU32::MIN.saturating_add(2)
}

/// `[[class]]`
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct ServiceClass {
    #[serde(deserialize_with = "number")]
    pub(crate) class: Class,
    pub(crate) mean_packet: u16,
}

/// `[[router]]`
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Router {
    pub(crate) name: String,
    pub(crate) p4runtime: Spanned<String>,
    pub(crate) device_id: u64,
    /// What the target wants besides the P4Info: BMv2 its JSON.
    #[serde(default)]
    pub(crate) device_config: Option<Spanned<PathBuf>>,
    #[serde(default)]
    pub(crate) labels: Option<Labels>,
    /// Whether sessions are to go around it.
    #[serde(default)]
    pub(crate) drained: bool,
    /// Its addresses in the provider's own network: a prefix of IPv4, of IPv6, or one of each.
    #[serde(default, deserialize_with = "texts")]
    pub(crate) gre: Vec<IpNet>,
}

/// `labels = { first = 16, last = 1048575 }`
#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Labels {
    #[serde(deserialize_with = "number")]
    pub(crate) first: Label,
    #[serde(deserialize_with = "number")]
    pub(crate) last: Label,
}

/// `[[link]]`
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Link {
    #[serde(default)]
    pub(crate) name: Option<String>,
    pub(crate) capacity: Rate,
    /// Whether sessions are to go around it.
    #[serde(default)]
    pub(crate) drained: bool,
    #[serde(default)]
    pub(crate) metric: Option<u32>,
    #[serde(default, deserialize_with = "maybe_number")]
    pub(crate) mtu: Option<Mtu>,
    #[serde(default)]
    pub(crate) affinity: Vec<String>,
    #[serde(default)]
    pub(crate) risk: Vec<String>,
    #[serde(default)]
    pub(crate) pools: Vec<Pool>,
    pub(crate) a: LinkEnd,
    pub(crate) b: LinkEnd,
}

/// `{ classes = [0, 1], share = "40 %" }`
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Pool {
    #[serde(deserialize_with = "numbers")]
    pub(crate) classes: Vec<Class>,
    pub(crate) share: PoolShare,
}

/// One end of a link.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct LinkEnd {
    pub(crate) router: String,
    #[serde(deserialize_with = "number")]
    pub(crate) port: PortId,
    #[serde(deserialize_with = "text")]
    pub(crate) mac: MacAddr,
}

/// `[[vpn]]`
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Vpn {
    pub(crate) name: String,
    #[serde(deserialize_with = "number")]
    pub(crate) vrf: VrfId,
    #[serde(default)]
    pub(crate) policy: Policy,
    #[serde(default)]
    pub(crate) tunnels: TunnelsWord,
}

/// `[[attachment]]`
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Attachment {
    pub(crate) ce: String,
    pub(crate) vpn: String,
    pub(crate) router: String,
    #[serde(deserialize_with = "number")]
    pub(crate) port: PortId,
    #[serde(default, deserialize_with = "number")]
    pub(crate) vlan: VlanId,
    #[serde(default, deserialize_with = "number")]
    pub(crate) inner_vlan: VlanId,
    #[serde(deserialize_with = "text")]
    pub(crate) mac: MacAddr,
    /// The PE's, of each version of IP that the prefixes have.
    #[serde(deserialize_with = "text_or_texts")]
    pub(crate) address: Vec<IpAddr>,
    #[serde(deserialize_with = "text")]
    pub(crate) ce_mac: MacAddr,
    #[serde(deserialize_with = "texts")]
    pub(crate) prefixes: Vec<IpNet>,
    #[serde(default, deserialize_with = "maybe_number")]
    pub(crate) mtu: Option<Mtu>,
}

/// `[[contract]]`
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Contract {
    pub(crate) name: String,
    pub(crate) vpns: Vec<String>,
    #[serde(deserialize_with = "numbers")]
    pub(crate) classes: Vec<Class>,
    #[serde(deserialize_with = "number")]
    pub(crate) default_class: Class,
    pub(crate) max_rate: Rate,
    pub(crate) max_sessions: u32,
    #[serde(default)]
    pub(crate) priority: u8,
    /// As high as the default, where nothing is said.
    #[serde(default)]
    pub(crate) max_priority: Option<u8>,
    #[serde(default)]
    pub(crate) protection: ProtectionWord,
    #[serde(default)]
    pub(crate) preempt: bool,
    /// Those of priority 0, where nothing is said.
    #[serde(default)]
    pub(crate) preemptable: Option<bool>,
    #[serde(default)]
    pub(crate) include: Vec<String>,
    #[serde(default)]
    pub(crate) exclude: Vec<String>,
    #[serde(default)]
    pub(crate) hours: Vec<HoursOfDays>,
    #[serde(default)]
    pub(crate) utc_offset: Offset,
    #[serde(default)]
    pub(crate) quota: QuotaKeys,
    #[serde(default)]
    pub(crate) price: Option<Spanned<String>>,
}

/// `[[application]]`
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Application {
    pub(crate) name: String,
    pub(crate) vpn: String,
    pub(crate) contract: String,
    pub(crate) secret: String,
    /// `["storage@vpn-a"]`: whose sessions it agrees to, where its VPN's policy has `consent = "named"`.
    #[serde(default)]
    pub(crate) accepts: Vec<Spanned<String>>,
}
