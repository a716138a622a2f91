//! Whether a request can be served at all, before anything is taken for it.

use std::time::SystemTime;

use svpn_contract::wire::Class;

use super::WAYS;
use super::resources::no_addresses;
use crate::admission::Interval;
use crate::agreement::{self, Consent};
use crate::demand::{Demand, Framing};
use crate::network::{Circuit, ContractId, Network};
use crate::request::{ApplicationId, CeName, Direction, IpVersion, Match, MediaEnd, Medium, Refusal, SessionRequest, TunnelType, Window};

/// A request that makes sense.
#[derive(Debug)]
pub(super) struct Wanted {
    pub(super) contract: ContractId,
    pub(super) class: Class,
    pub(super) priority: u8,
    pub(super) circuits: [usize; 2],
    pub(super) demands: [Option<Demand>; 2],
    pub(super) interval: Interval,
}

pub(super) fn examine(network: &Network, request: &SessionRequest, now: SystemTime) -> Result<Wanted, Refusal> {
    let [caller_nni, callee_nni] = [(&request.caller_ce, &request.caller), (&request.callee_ce, &request.callee)]
        .map(|(ce, application)| network.crossing(ce, &application.vpn));
    if caller_nni.is_some() && callee_nni.is_some() {
        return Err(Refusal::Forbidden("both ends are beyond links to other providers: this one passes nothing on".into()));
    }
    // What another provider's application asks, that provider pays.
    let contract = caller_nni.map_or_else(|| known(network, &request.caller), |nni| Ok(nni.contract))?;
    if callee_nni.is_none() {
        known(network, &request.callee)?;
    }
    if request.caller.vpn != request.callee.vpn {
        return Err(Refusal::Forbidden(format!("{} and {} are in different VPNs", request.caller, request.callee)));
    }
    let class = agreement::class(network.contract(contract), &request.caller.vpn, request.class)?;
    let priority = agreement::priority(network.contract(contract), request.priority)?;
    if let Some(policy) = network.policy(&request.caller.vpn) {
        policy.allows(&request.caller.vpn, class, priority, request.matching)?;
    }
    reaches(network, &request.caller, &request.callee)?;
    consents(network, &request.caller, &request.callee)?;
    let circuits = [attached(network, &request.caller_ce, &request.caller)?, attached(network, &request.callee_ce, &request.callee)?];
    let [from, to] = circuits.map(|circuit| &network.circuits()[circuit]);
    if request.tunnel == TunnelType::Gre && (caller_nni.is_some() || callee_nni.is_some()) {
        return Err(Refusal::NotAcceptable(
            "tunnel=gre does not reach another provider, whose link takes labels: ask for tunnel=mpls".into(),
        ));
    }
    if network.encapsulation(request.tunnel, from.router, to.router).is_none() {
        return Err(no_addresses(network, [from.router, to.router]));
    }
    if from.router == to.router {
        return Err(Refusal::NotAcceptable(format!(
            "CE {} and CE {} are on one router, {}: nothing between them crosses the network",
            from.ce.0,
            to.ce.0,
            network.router(from.router).name
        )));
    }
    let interval = interval(request.window, now)?;
    agreement::hours(network.contract(contract), interval)?;
    if request.media.is_empty() {
        return Err(Refusal::NotAcceptable("there is no medium in the offer".into()));
    }
    offered(&request.media, [from, to], request.matching)?;
    let demands = demands(network, circuits, class, request.matching, &request.media.iter().collect::<Vec<_>>())?;
    Ok(Wanted { contract, class, priority, circuits, demands, interval })
}

fn known(network: &Network, application: &ApplicationId) -> Result<ContractId, Refusal> {
    network.contract_of(application).ok_or_else(|| {
        Refusal::NotFound(if network.has_vpn(&application.vpn) {
            format!("application {application}")
        } else {
            format!("VPN {}", application.vpn.0)
        })
    })
}

/// Who is in a closed user group reaches those that are in one of the same.
fn reaches(network: &Network, caller: &ApplicationId, callee: &ApplicationId) -> Result<(), Refusal> {
    let [from, to] = [caller, callee].map(|application| network.groups_of(application));
    if (from.is_empty() && to.is_empty()) || from.iter().any(|group| to.contains(group)) {
        return Ok(());
    }
    let list = |groups: &[String]| if groups.is_empty() { "none".to_owned() } else { groups.join(", ") };
    Err(Refusal::Forbidden(format!(
        "{caller} and {callee} are in no closed user group together: {caller} is in {}, {callee} in {}",
        list(from),
        list(to)
    )))
}

/// Where the VPN's policy says so, a callee is reached by those it has named.
fn consents(network: &Network, caller: &ApplicationId, callee: &ApplicationId) -> Result<(), Refusal> {
    let asked = network.policy(&callee.vpn).is_some_and(|policy| policy.consent == Consent::Named);
    if !asked || network.accepted_by(callee).contains(caller) {
        return Ok(());
    }
    Err(Refusal::Forbidden(format!("{callee} has not agreed to sessions with {caller}, which the policy of VPN {} asks for", callee.vpn.0)))
}

fn attached(network: &Network, ce: &CeName, application: &ApplicationId) -> Result<usize, Refusal> {
    network.circuit(ce, &application.vpn).ok_or_else(|| {
        if network.has_ce(ce) {
            Refusal::Forbidden(format!("CE {} of {application} is not attached to VPN {}", ce.0, application.vpn.0))
        } else {
            Refusal::NotFound(format!("CE {} of {application}", ce.0))
        }
    })
}

/// When it runs; a start that has come, or comes in a moment, is now.
pub(super) fn interval(window: Window, now: SystemTime) -> Result<Interval, Refusal> {
    let later = window.start.filter(|&start| start > now);
    let start = later.unwrap_or(now);
    Interval::new(start, window.stop).map_err(|_| {
        let why = if later.is_some() { "the session stops before it starts" } else { "the session's stop time has passed" };
        Refusal::NotAcceptable(why.into())
    })
}

/// An end of a medium must be one that its CE can send from: nobody may name packets that are not theirs. Sites are named by the
/// configuration, so there the ends do not matter.
pub(super) fn belongs(end: MediaEnd, circuit: &Circuit, matching: Match) -> Result<(), Refusal> {
    if matching == Match::Sites {
        return Ok(());
    }
    if !circuit.reaches(end.address) {
        return Err(Refusal::Forbidden(format!("address {} is not behind CE {}", end.address, circuit.ce.0)));
    }
    if matching == Match::Ports && end.port == 0 {
        return Err(Refusal::NotAcceptable(format!("a medium at {} has port 0: match=ports needs its port", end.address)));
    }
    Ok(())
}

/// The caller's ends must be its own, and of a version of IP that the callee's side has, too.
pub(super) fn offered(media: &[Medium], [from, to]: [&Circuit; 2], matching: Match) -> Result<(), Refusal> {
    if matching == Match::Sites {
        return if common_versions([from, to]).next().is_some() {
            Ok(())
        } else {
            Err(Refusal::NotAcceptable(format!("CE {} and CE {} have no version of IP in common", from.ce.0, to.ce.0)))
        };
    }
    for medium in media {
        belongs(medium.caller, from, matching)?;
        let version = IpVersion::of(medium.caller.address);
        if !to.speaks(version) {
            return Err(Refusal::NotAcceptable(format!("a medium is of {version}, and nothing behind CE {} is", to.ce.0)));
        }
    }
    Ok(())
}

fn common_versions(circuits: [&Circuit; 2]) -> impl Iterator<Item = IpVersion> {
    [IpVersion::V6, IpVersion::V4].into_iter().filter(move |version| circuits.iter().all(|circuit| circuit.speaks(*version)))
}

/// Whether packets of a medium go this way.
pub(super) fn goes(medium: Direction, way: Direction) -> bool {
    medium == Direction::Both || medium == way
}

/// What each way needs for these media. Between sites packets may be of every version that both have: then the larger headers count.
pub(super) fn demands(
    network: &Network,
    circuits: [usize; 2],
    class: Class,
    matching: Match,
    media: &[&Medium],
) -> Result<[Option<Demand>; 2], Refusal> {
    let largest = common_versions(circuits.map(|circuit| &network.circuits()[circuit])).next().filter(|_| matching == Match::Sites);
    let mut demands = [None; 2];
    for ((demand, way), circuit) in demands.iter_mut().zip(WAYS).zip(circuits) {
        let going = media.iter().filter(|medium| goes(medium.direction, way));
        let mut going =
            going.map(|medium| (largest.unwrap_or(IpVersion::of(medium.caller.address)), medium.transport, medium.bandwidth)).peekable();
        if going.peek().is_some() {
            let framing = Framing { tags: network.circuits()[circuit].tags(), mean_packet: network.mean_packet(class) };
            *demand = Some(Demand::of(going, framing).map_err(|why| Refusal::NotAcceptable(why.to_string()))?);
        }
    }
    Ok(demands)
}
