//! The configuration: one TOML file, read once at start. What is wrong with it is said with file, line and what was expected.

mod agreements;
mod error;
mod file;
mod links;
mod peers;
mod units;

use std::collections::HashMap;
use std::num::{NonZeroU32, NonZeroUsize};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use svpn_sip::config::{Limits, SessionTimer, SipConfig};
use svpn_sip::sessions::Secret;
use svpn_switch::{ElectionId, Settings};
use svpn_vpn::network::{
    ApplicationSpec, AttachmentSpec, ClassSpec, ContractSpec, GroupSpec, Item, LinkEndSpec, LinkSpec, Network, NetworkSpec, NniSpec,
    PoolSpec, RouterSpec, VpnSpec,
};
use svpn_vpn::price::PricePlan;
use svpn_vpn::request::{ApplicationId, CeName, VpnName};
use svpn_vpn::{Domain, RouterId};
use toml::Spanned;
use tonic::transport::Endpoint;

use crate::liveness::{self, Probes};
pub use error::ConfigError;
use error::{Place, Span};
pub use links::LinkConfig;

/// Everything the gateway was told.
#[derive(Debug)]
pub struct Config {
    /// The network and who may use it.
    pub network: Network,
    /// What of each link is to be used, and how much: this may change while the gateway runs.
    pub links: Vec<LinkConfig>,
    /// How each router is reached.
    pub routers: Vec<RouterConfig>,
    /// The passwords.
    pub secrets: HashMap<ApplicationId, Secret>,
    /// The SIP server.
    pub sip: SipConfig,
    /// Where records are kept.
    pub records: RecordsConfig,
    /// How links are watched.
    pub liveness: liveness::Settings,
}

/// Where records are kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RecordsConfig {
    /// `sqlite:PATH`, or `postgres://USER@HOST/NAME`.
    pub database: String,
    /// Whose they are, where several gateways share a database.
    pub gateway: String,
}

/// How a router is reached.
#[derive(Debug, Clone)]
pub struct RouterConfig {
    /// Its number in the domain.
    pub id: RouterId,
    /// Its name.
    pub name: String,
    /// Its P4Runtime server.
    pub endpoint: Endpoint,
    /// Its number there.
    pub device: u64,
    /// What the target wants besides the P4Info.
    pub device_config: Vec<u8>,
}

impl RouterConfig {
    /// What the P4Runtime client needs to know, with this bid for mastership.
    pub fn settings(&self, election: ElectionId) -> Settings {
        let settings = Settings::new(self.endpoint.clone(), self.device, election);
        Settings { device_config: self.device_config.clone(), ..settings }
    }
}

/// Reads and checks a configuration.
///
/// # Errors
/// [`ConfigError`] says where in the file, and what was expected.
pub fn load(path: &Path) -> Result<Config, ConfigError> {
    let text = std::fs::read_to_string(path).map_err(|source| ConfigError::Unreadable { path: path.to_path_buf(), source })?;
    read(path, &text)
}

fn read(path: &Path, text: &str) -> Result<Config, ConfigError> {
    let place = |span: Option<Span>| Place::new(path, text, span);
    let file: file::File =
        toml::from_str(text).map_err(|error| ConfigError::Wrong { place: place(error.span()), reason: error.message().to_owned() })?;
    let mut places = Places::default();
    let prices = prices(&file, &place)?;
    let spec = spec(&file, &prices, &place, &mut places)?;
    let invalid = |error: svpn_vpn::InvalidNetwork| {
        let span = error.item().and_then(|item| places.0.get(item).cloned());
        ConfigError::Wrong { place: place(span), reason: error.to_string() }
    };
    let network = Network::build(spec).map_err(invalid)?;
    // Whether the routers have numbers enough for what is configured.
    Domain::new(network.clone()).map_err(invalid)?;
    let ids: Vec<_> = network.routers().map(|(id, _)| id).collect();
    let routers = file.routers.iter().zip(ids).map(|(router, id)| router_config(id, router.get_ref(), path, &place));
    let secrets = file.applications.iter().map(Spanned::get_ref);
    let secrets = secrets.map(|application| (application_id(application), Secret(application.secret.clone()))).collect();
    if file.sip.listen.is_empty() {
        return Err(ConfigError::Wrong {
            place: place(None),
            reason: "sip.listen is empty: expected [\"udp:ADDRESS:PORT\", …]".to_owned(),
        });
    }
    Ok(Config {
        links: links::links(&file, &network),
        routers: routers.collect::<Result<_, _>>()?,
        secrets,
        sip: SipConfig {
            domain: file.provider.domain.clone(),
            listen: file.sip.listen.clone(),
            ring_timeout: Duration::from_secs(file.sip.ring_timeout.get().into()),
            move_timeout: Duration::from_secs(file.sip.move_timeout.get().into()),
            peering: peers::peering(&file, &place)?,
            tls: file.sip.tls.clone().map(Into::into),
            limits: limits(&file.sip),
            digest: file.sip.digest.clone(),
            session_timer: SessionTimer { interval: Duration::from_secs(file.sip.session_expires.into()), minimum: SessionTimer::LEAST },
        },
        records: RecordsConfig { database: file.records.database.clone(), gateway: file.records.gateway.clone() },
        liveness: file.liveness.as_ref().map_or_else(liveness::Settings::default, |settings| liveness::Settings {
            probes: if settings.probes { Probes::Sent } else { Probes::Off },
            interval: Duration::from_millis(settings.interval.get().into()),
            misses: settings.misses.get(),
        }),
        network,
    })
}

fn limits(sip: &file::Sip) -> Limits {
    let by_default = Limits::default();
    Limits {
        messages_per_source: sip.messages_per_second.map_or(by_default.messages_per_source, NonZeroU32::get),
        transactions: sip.transactions.map_or(by_default.transactions, NonZeroUsize::get),
    }
}

fn router_config(
    id: RouterId,
    router: &file::Router,
    path: &Path,
    place: &impl Fn(Option<Span>) -> Place,
) -> Result<RouterConfig, ConfigError> {
    let uri = router.p4runtime.get_ref();
    let endpoint = Endpoint::from_shared(uri.clone()).ok().filter(|endpoint| endpoint.uri().scheme_str() == Some("http"));
    let endpoint = endpoint.ok_or_else(|| ConfigError::Wrong {
        place: place(Some(router.p4runtime.span())),
        reason: format!("{uri:?} is no P4Runtime address: expected \"http://HOST:PORT\""),
    })?;
    let device_config = match &router.device_config {
        None => Vec::new(),
        Some(named) => {
            // Beside the configuration, unless it says otherwise.
            let file = path.parent().unwrap_or(Path::new("")).join(named.get_ref());
            std::fs::read(&file).map_err(|source| ConfigError::Wrong {
                place: place(Some(named.span())),
                reason: format!("cannot read {}: {source}", file.display()),
            })?
        }
    };
    Ok(RouterConfig { id, name: router.name.clone(), endpoint, device: router.device_id, device_config })
}

/// Where in the file an item stands; of two with one name, the second.
#[derive(Default)]
struct Places(HashMap<Item, Span>);

impl Places {
    fn note<'a, T>(&mut self, found: &'a Spanned<T>, item: impl FnOnce(&'a T) -> Item) -> &'a T {
        self.0.insert(item(found.get_ref()), found.span());
        found.get_ref()
    }
}

fn application_id(application: &file::Application) -> ApplicationId {
    ApplicationId { name: application.name.clone(), vpn: VpnName(application.vpn.clone()) }
}

/// The price plans, by name; every contract's is there.
fn prices(file: &file::File, place: &impl Fn(Option<Span>) -> Place) -> Result<HashMap<String, Arc<PricePlan>>, ConfigError> {
    let mut plans = HashMap::new();
    for price in &file.prices {
        let plan = price.get_ref().plan();
        if plans.insert(plan.name.clone(), Arc::new(plan)).is_some() {
            let reason = format!("price {:?} is there twice", price.get_ref().name);
            return Err(ConfigError::Wrong { place: place(Some(price.span())), reason });
        }
    }
    let named = file.contracts.iter().filter_map(|contract| contract.get_ref().price.as_ref());
    match named.into_iter().find(|name| !plans.contains_key(name.get_ref())) {
        None => Ok(plans),
        Some(unknown) => Err(ConfigError::Wrong {
            place: place(Some(unknown.span())),
            reason: format!("there is no price {:?}: expected the name of a [[price]]", unknown.get_ref()),
        }),
    }
}

fn group(group: &agreements::Group, place: &impl Fn(Option<Span>) -> Place) -> Result<GroupSpec, ConfigError> {
    Ok(GroupSpec { name: group.name.clone(), members: members(&group.members, place)? })
}

/// Applications by their names, `NAME@VPN`.
fn members(names: &[Spanned<String>], place: &impl Fn(Option<Span>) -> Place) -> Result<Vec<ApplicationId>, ConfigError> {
    let member = |member: &Spanned<String>| {
        let wrong = || ConfigError::Wrong {
            place: place(Some(member.span())),
            reason: format!("{:?} is no application: expected \"NAME@VPN\"", member.get_ref()),
        };
        let (name, vpn) = member.get_ref().split_once('@').ok_or_else(wrong)?;
        Ok(ApplicationId { name: name.to_owned(), vpn: VpnName(vpn.to_owned()) })
    };
    names.iter().map(member).collect()
}

fn spec(
    file: &file::File,
    prices: &HashMap<String, Arc<PricePlan>>,
    place: &impl Fn(Option<Span>) -> Place,
    places: &mut Places,
) -> Result<NetworkSpec, ConfigError> {
    let groups = file.groups.iter().map(|found| group(places.note(found, |group| Item::Group(group.name.clone())), place));
    let groups = groups.collect::<Result<_, _>>()?;
    let applications = file.applications.iter().map(|found| application(places.note(found, application_item), place));
    let applications = applications.collect::<Result<_, _>>()?;
    Ok(NetworkSpec {
        groups,
        nnis: file.nnis.iter().map(|found| nni(found, places)).collect(),
        ttl: file.provider.ttl.mode(),
        last_session: None,
        classes: file.classes.iter().map(|found| class(places.note(found, |class| Item::Class(class.class)))).collect(),
        routers: file.routers.iter().map(|found| router(places.note(found, |router| Item::Router(router.name.clone())))).collect(),
        links: file.links.iter().map(|found| link(places.note(found, |link| Item::Link(link_name(link))))).collect(),
        vpns: file.vpns.iter().map(|found| vpn(places.note(found, |vpn| Item::Vpn(vpn.name.clone())))).collect(),
        attachments: file.attachments.iter().map(|found| attachment(places.note(found, attachment_item))).collect(),
        contracts: file
            .contracts
            .iter()
            .map(|found| contract(places.note(found, |sla| Item::Contract(sla.name.clone())), prices))
            .collect(),
        applications,
    })
}

/// A link to another provider, and what the domain makes of it.
fn nni(found: &Spanned<peers::Nni>, places: &mut Places) -> NniSpec {
    for item in peers::items(found.get_ref()) {
        places.note(found, |_| item);
    }
    peers::nni(found.get_ref())
}

fn attachment_item(attachment: &file::Attachment) -> Item {
    Item::Attachment { ce: attachment.ce.clone(), vpn: attachment.vpn.clone() }
}

fn application_item(application: &file::Application) -> Item {
    Item::Application(application_id(application).to_string())
}

fn link_name(link: &file::Link) -> String {
    link.name.clone().unwrap_or_else(|| format!("{}-{}", link.a.router, link.b.router))
}

fn class(class: &file::ServiceClass) -> ClassSpec {
    ClassSpec { class: class.class, mean_packet: class.mean_packet }
}

fn router(router: &file::Router) -> RouterSpec {
    let labels = router.labels.map(|labels| (labels.first, labels.last));
    RouterSpec { name: router.name.clone(), labels, gre: router.gre.clone() }
}

fn link(link: &file::Link) -> LinkSpec {
    let end = |end: &file::LinkEnd| LinkEndSpec { router: end.router.clone(), port: end.port, mac: end.mac };
    let pool = |pool: &file::Pool| PoolSpec { classes: pool.classes.clone(), share: pool.share.0 };
    LinkSpec {
        name: link.name.clone(),
        capacity: link.capacity.0,
        metric: link.metric,
        mtu: link.mtu,
        affinity: link.affinity.clone(),
        risk: link.risk.clone(),
        pools: link.pools.iter().map(pool).collect(),
        a: end(&link.a),
        b: end(&link.b),
    }
}

fn vpn(vpn: &file::Vpn) -> VpnSpec {
    VpnSpec { name: VpnName(vpn.name.clone()), vrf: vpn.vrf, policy: vpn.policy.policy(), tunnels: vpn.tunnels.into() }
}

fn attachment(attachment: &file::Attachment) -> AttachmentSpec {
    AttachmentSpec {
        ce: CeName(attachment.ce.clone()),
        vpn: VpnName(attachment.vpn.clone()),
        router: attachment.router.clone(),
        port: attachment.port,
        vlan: attachment.vlan,
        inner_vlan: attachment.inner_vlan,
        mac: attachment.mac,
        addresses: attachment.address.clone(),
        ce_mac: attachment.ce_mac,
        prefixes: attachment.prefixes.clone(),
        mtu: attachment.mtu,
    }
}

fn contract(contract: &file::Contract, prices: &HashMap<String, Arc<PricePlan>>) -> ContractSpec {
    ContractSpec {
        name: contract.name.clone(),
        vpns: contract.vpns.iter().cloned().map(VpnName).collect(),
        classes: contract.classes.clone(),
        default_class: contract.default_class,
        max_rate: contract.max_rate.0,
        max_sessions: contract.max_sessions,
        options: contract.options(prices),
    }
}

fn application(application: &file::Application, place: &impl Fn(Option<Span>) -> Place) -> Result<ApplicationSpec, ConfigError> {
    let accepts = members(&application.accepts, place)?;
    Ok(ApplicationSpec { id: application_id(application), contract: application.contract.clone(), accepts })
}

#[cfg(test)]
mod tests;
