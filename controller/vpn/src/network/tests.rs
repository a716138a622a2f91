use ipnet::IpNet;
use svpn_contract::wire::{Label, MacAddr, Mtu, TtlMode};

use super::*;
use crate::admission::{Part, Share};
use crate::testing::{application, attachment, class, link, network, port, router, spec, vlan};

fn refused(change: impl FnOnce(&mut NetworkSpec)) -> InvalidNetwork {
    let mut spec = spec();
    change(&mut spec);
    Network::build(spec).unwrap_err()
}

fn a_east() -> Item {
    Item::Attachment { ce: "a-east".into(), vpn: "vpn-a".into() }
}

fn a_lab() -> Item {
    Item::Attachment { ce: "a-lab".into(), vpn: "vpn-a".into() }
}

fn named(name: &str) -> Item {
    Item::Link(name.into())
}

#[test]
fn what_is_configured_is_found() {
    let network = network();
    let (id, pe2) = network.routers().nth(3).unwrap();
    assert_eq!((id.index(), pe2.name.as_str()), (3, "pe2"));
    assert_eq!(network.router(id), pe2);
    assert_eq!((pe2.first_label, pe2.last_label), (Label::FIRST_UNRESERVED, Label::MAX));
    let b_west = &network.circuits()[network.circuit(&CeName("b-west".into()), &VpnName("vpn-b".into())).unwrap()];
    assert_eq!((b_west.router, b_west.vrf.get(), b_west.tags(), b_west.mtu.get()), (id, 20, 1, 1500));
    assert!(b_west.reaches("10.2.0.255".parse().unwrap()) && !b_west.reaches("10.2.1.0".parse().unwrap()));
    assert_eq!(network.circuit(&CeName("b-west".into()), &VpnName("vpn-a".into())), None);
    assert_eq!(network.topology().links().count(), 12);
    let gold = network.contract_of(&application("storage", "vpn-a")).unwrap();
    assert_eq!(network.contract(gold).name, "gold");
    assert_eq!(network.contract_of(&application("storage", "vpn-c")), None);
    assert_eq!(network.mean_packet(class(3)), ClassSpec::DEFAULT_MEAN_PACKET);
    assert_eq!(network.ttl(), TtlMode::UNIFORM);
    let name = &network.topology().link(crate::topology::DirectedLinkId(1)).name;
    assert_eq!(name, "pe1-p1", "a link without a name has those of its routers");
}

#[test]
fn names_are_there_and_there_once() {
    assert_eq!(refused(|s| s.routers.push(router("p1"))), InvalidNetwork::Duplicate(Item::Router("p1".into())));
    assert_eq!(refused(|s| s.routers.push(router(""))), InvalidNetwork::Unnamed(Item::Router(String::new())));
    assert_eq!(refused(|s| s.links.push(link(("pe1", 20), ("p1", 20), 1, 1))), InvalidNetwork::Duplicate(named("pe1-p1")));
    assert_eq!(refused(|s| s.vpns.push(s.vpns[0].clone())), InvalidNetwork::Duplicate(Item::Vpn("vpn-a".into())));
    assert_eq!(refused(|s| s.attachments.push(s.attachments[0].clone())), InvalidNetwork::Duplicate(a_east()));
    assert_eq!(refused(|s| s.contracts.push(s.contracts[0].clone())), InvalidNetwork::Duplicate(Item::Contract("gold".into())));
    let twice = refused(|s| s.applications.push(s.applications[0].clone()));
    assert_eq!(twice, InvalidNetwork::Duplicate(Item::Application("storage@vpn-a".into())));
    let spec = ClassSpec { class: class(2), mean_packet: 100 };
    assert_eq!(refused(|s| s.classes = vec![spec, spec]), InvalidNetwork::Duplicate(Item::Class(class(2))));
}

#[test]
fn names_that_are_used_are_configured() {
    let missing = |item, missing| InvalidNetwork::Missing { item, missing };
    let nowhere = Item::Router("nowhere".into());
    assert_eq!(refused(|s| s.links[0].b.router = "nowhere".into()), missing(named("pe1-nowhere"), nowhere.clone()));
    assert_eq!(refused(|s| s.attachments[0].router = "nowhere".into()), missing(a_east(), nowhere));
    let vpn_c = Item::Vpn("vpn-c".into());
    let lost = Item::Attachment { ce: "a-east".into(), vpn: "vpn-c".into() };
    assert_eq!(refused(|s| s.attachments[0].vpn = VpnName("vpn-c".into())), missing(lost, vpn_c.clone()));
    assert_eq!(refused(|s| s.contracts[0].vpns.push(VpnName("vpn-c".into()))), missing(Item::Contract("gold".into()), vpn_c.clone()));
    let stray = refused(|s| s.applications[0].id = application("storage", "vpn-c"));
    assert_eq!(stray, missing(Item::Application("storage@vpn-c".into()), vpn_c));
    let unpaid = refused(|s| s.applications[0].contract = "lead".into());
    assert_eq!(unpaid, missing(Item::Application("storage@vpn-a".into()), Item::Contract("lead".into())));
}

#[test]
fn quantities_make_sense() {
    let zero = |item, quantity| InvalidNetwork::Zero { item, quantity };
    assert_eq!(refused(|s| s.links[0].capacity = BitRate(0)), zero(named("pe1-p1"), "the capacity"));
    assert_eq!(refused(|s| s.links[0].metric = Some(0)), zero(named("pe1-p1"), "the metric"));
    let mean = ClassSpec { class: class(1), mean_packet: 0 };
    assert_eq!(refused(|s| s.classes.push(mean)), zero(Item::Class(class(1)), "the mean packet"));
    assert_eq!(refused(|s| s.last_session = Some(0)), InvalidNetwork::NoSessions);
    let small = Mtu::new(67).unwrap();
    assert_eq!(refused(|s| s.links[0].mtu = Some(small)), InvalidNetwork::Mtu { item: named("pe1-p1"), mtu: small });
    assert_eq!(refused(|s| s.attachments[0].mtu = Some(small)), InvalidNetwork::Mtu { item: a_east(), mtu: small });
    let (first, last) = (Label::new(15).unwrap(), Label::new(99).unwrap());
    for labels in [(first, last), (last, Label::new(98).unwrap())] {
        let item = Item::Router("pe1".into());
        assert_eq!(refused(|s| s.routers[0].labels = Some(labels)), InvalidNetwork::Labels { item, first: labels.0, last: labels.1 });
    }
    let group = MacAddr([1, 0, 0, 0, 0, 1]);
    assert_eq!(refused(|s| s.links[0].a.mac = group), InvalidNetwork::Mac { item: named("pe1-p1"), mac: group });
    assert_eq!(refused(|s| s.attachments[0].ce_mac = group), InvalidNetwork::Mac { item: a_east(), mac: group });
    let nobody = std::net::Ipv4Addr::UNSPECIFIED.into();
    assert_eq!(refused(|s| s.attachments[0].addresses[0] = nobody), InvalidNetwork::Address { item: a_east(), address: nobody });
    let other = refused(|s| s.contracts[0].default_class = class(7));
    assert_eq!(other, InvalidNetwork::DefaultClass { item: Item::Contract("gold".into()), class: class(7) });
    let looped = refused(|s| s.links[0].b.router = "pe1".into());
    assert_eq!(looped, InvalidNetwork::Loop { item: named("pe1-pe1"), router: "pe1".into() });
}

#[test]
fn ports_and_tags_have_one_user() {
    let taken = |first, second| InvalidNetwork::PortInUse { router: "pe1".into(), port: port(10), first, second };
    assert_eq!(refused(|s| s.links[2].a.port = port(10)), taken(named("pe1-p1"), named("pe1-p2")));
    assert_eq!(refused(|s| s.attachments[0].port = port(10)), taken(named("pe1-p1"), a_east()));
    let clash = refused(|s| s.attachments[3].port = port(1));
    let (first, second) = (a_east(), a_lab());
    let (router, port, vlan_0) = ("pe1".to_owned(), port(1), vlan(0));
    assert_eq!(clash, InvalidNetwork::CircuitInUse { router, port, vlan: vlan_0, inner_vlan: vlan_0, first, second });
    assert_eq!(refused(|s| s.attachments[0].vlan = vlan(4095)), InvalidNetwork::ReservedVlan { item: a_east() });
    assert_eq!(refused(|s| s.attachments[0].inner_vlan = vlan(5)), InvalidNetwork::InnerVlanAlone { item: a_east() });
}

#[test]
fn circuits_of_one_outer_tag_agree_on_arp() {
    let share = |s: &mut NetworkSpec| {
        s.attachments[0].vlan = vlan(9);
        s.attachments[0].inner_vlan = vlan(1);
        s.attachments[3].vlan = vlan(9);
        s.attachments[3].inner_vlan = vlan(2);
        s.attachments[3].port = s.attachments[0].port;
        s.attachments[3].addresses = s.attachments[0].addresses.clone();
    };
    let address = spec().attachments[0].addresses[0];
    assert_eq!(refused(share), InvalidNetwork::ArpConflict { first: a_east(), second: a_lab(), address });
    let mut agreed = spec();
    share(&mut agreed);
    agreed.attachments[3].mac = agreed.attachments[0].mac;
    assert_eq!(Network::build(agreed).map(drop), Ok(()));
}

#[test]
fn an_address_has_one_owner() {
    assert_eq!(refused(|s| s.vpns[0].vrf = VrfId::new(0).unwrap()), InvalidNetwork::ProviderVrf { item: Item::Vpn("vpn-a".into()) });
    let (first, second) = (Item::Vpn("vpn-a".into()), Item::Vpn("vpn-b".into()));
    let vrf = VrfId::new(10).unwrap();
    assert_eq!(refused(|s| s.vpns[1].vrf = vrf), InvalidNetwork::VrfInUse { vrf, first, second });
    assert_eq!(refused(|s| s.attachments[0].prefixes.clear()), InvalidNetwork::NoPrefixes { item: a_east() });
    let prefix: IpNet = "10.1.0.5/24".parse().unwrap();
    assert_eq!(refused(|s| s.attachments[0].prefixes[0] = prefix), InvalidNetwork::HostBits { item: a_east(), prefix });
    for overlapping in ["10.1.0.0/24", "10.1.0.128/25", "10.0.0.0/8"] {
        let overlapping: IpNet = overlapping.parse().unwrap();
        let error = refused(|s| s.attachments.push(attachment("a-new", "vpn-a", ("pe3", 9, 0), &[&overlapping.to_string()])));
        let second = Item::Attachment { ce: "a-new".into(), vpn: "vpn-a".into() };
        let prefix = "10.1.0.0/24".parse().unwrap();
        assert_eq!(error, InvalidNetwork::PrefixesOverlap { first: a_east(), second, prefixes: Box::new([prefix, overlapping]) });
    }
}

#[test]
fn an_error_names_its_item() {
    let error = refused(|s| s.attachments[0].router = "nowhere".into());
    assert_eq!(error.to_string(), r#"attachment of CE "a-east" to VPN "vpn-a" names router "nowhere", which is not configured"#);
    let error = refused(|s| s.attachments[0].prefixes[0] = "10.1.0.5/24".parse().unwrap());
    assert!(error.to_string().ends_with("has the prefix 10.1.0.5/24: expected 10.1.0.0/24"), "{error}");
}

#[test]
fn kinds_risks_and_pools_of_a_link_make_sense() {
    let names = |names: &[&str]| names.iter().map(ToString::to_string).collect::<Vec<_>>();
    let (item, part) = (named("pe1-p1"), |millionths| Share::Part(Part::from_millionths(millionths).unwrap()));
    let pool = |numbers: &[u8], share| PoolSpec { classes: numbers.iter().map(|&number| class(number)).collect(), share };
    let twice = |what, name: &str| InvalidNetwork::Twice { item: item.clone(), what, name: name.into() };
    assert_eq!(refused(|s| s.links[0].affinity = names(&["gold", "gold"])), twice("the affinity", "gold"));
    assert_eq!(refused(|s| s.links[0].risk = names(&["duct", "", "duct"])), InvalidNetwork::Unnamed(item.clone()));
    assert_eq!(refused(|s| s.links[0].pools = vec![pool(&[5, 4, 5], part(1))]), twice("in a pool the class", "5"));
    assert_eq!(refused(|s| s.links[0].pools = vec![pool(&[], part(1))]), InvalidNetwork::NoClasses { item: item.clone() });
    for nothing in [part(0), Share::Rate(BitRate(0))] {
        let zero = InvalidNetwork::Zero { item: item.clone(), quantity: "the share of a pool" };
        assert_eq!(refused(|s| s.links[0].pools = vec![pool(&[5], nothing)]), zero);
    }
    let share = BitRate(spec().links[0].capacity.0 + 1);
    assert_eq!(
        refused(|s| s.links[0].pools = vec![pool(&[5], Share::Rate(share))]),
        InvalidNetwork::LargePool { item: item.clone(), share }
    );
    let many = |what, most| InvalidNetwork::TooMany { item: item.clone(), what, most };
    assert_eq!(refused(|s| s.links[0].pools = vec![pool(&[5], part(9)); 9]), many("pools", 8));
    let all: Vec<_> = (0..65).map(|number| number.to_string()).collect();
    assert_eq!(refused(|s| s.links[0].affinity.clone_from(&all)), many("affinities", 64));
    let mut good = spec();
    (good.links[0].affinity, good.links[1].affinity) = (all[..40].to_vec(), all[24..64].to_vec());
    (good.links[0].risk, good.links[1].risk) = (names(&["duct", "card"]), names(&["card"]));
    good.links[0].pools = vec![pool(&[5], part(250_000)); 8];
    let network = Network::build(good).unwrap();
    let topology = network.topology();
    let [first, second] = [0, 2].map(|id| topology.link(crate::topology::DirectedLinkId(id)));
    assert_eq!(topology.affinities(all[24..64].iter().map(String::as_str)), Ok(second.affinities));
    assert_eq!(topology.affinities(["63", "64"]), Err(crate::topology::UnknownAffinity { name: "64".into() }));
    let shared: Vec<_> = first.risks.iter().filter(|risk| second.risks.contains(risk)).map(|&risk| topology.risk(risk)).collect();
    assert_eq!((shared, first.risks.len(), first.pools.len()), (vec!["card"], 2, 8));
    assert_eq!(topology.link_named("p1-pe2").map(|link| link.directions().map(crate::topology::DirectedLinkId::index)), Some([2, 3]));
}

#[test]
fn addresses_for_gre_are_a_routers_own() {
    let with = |place: usize, prefixes: &[&str]| {
        let prefixes: Vec<IpNet> = prefixes.iter().map(|prefix| prefix.parse().unwrap()).collect();
        refused(|s| s.routers[place].gre = prefixes)
    };
    let (item, prefix) = (Item::Router("p1".into()), |text: &str| text.parse::<IpNet>().unwrap());
    let host_bits = InvalidNetwork::HostBits { item: item.clone(), prefix: prefix("198.51.100.1/24") };
    assert_eq!(with(1, &["198.51.100.1/24"]), host_bits);
    for strange in
        ["198.51.100.0/31", "2001:db8:9::/127", "127.0.0.0/8", "224.0.0.0/24", "255.255.255.0/24", "0.0.0.0/0", "::/64", "ff02::/16"]
    {
        assert_eq!(with(1, &[strange]), InvalidNetwork::GrePrefix { item: item.clone(), prefix: prefix(strange) });
    }
    let twice = InvalidNetwork::GreFamily { item: item.clone(), prefix: prefix("203.0.113.0/24") };
    assert_eq!(with(1, &["198.51.100.0/24", "203.0.113.0/24"]), twice);
    let overlap = with(4, &["192.0.2.0/24"]);
    assert_eq!(overlap.to_string(), "prefix 192.0.2.16/28 of router \"pe1\" and prefix 192.0.2.0/24 of router \"pe3\" overlap");
}

#[test]
fn ipv6_behind_a_ce_wants_an_address_of_the_pe_and_larger_packets() {
    let v6: IpNet = "2001:db8:a1::/64".parse().unwrap();
    let nobody = refused(|s| s.attachments[0].prefixes.push(v6));
    assert_eq!(nobody, InvalidNetwork::NoAddress { item: a_east(), version: IpVersion::V6 });
    let with = |change: fn(&mut AttachmentSpec)| {
        refused(|s| {
            *s = crate::testing::with_ipv6(s.clone());
            change(&mut s.attachments[0]);
        })
    };
    let bare = with(|at| at.addresses.truncate(1));
    assert_eq!(bare, nobody);
    let mtu = Mtu::new(1279).unwrap();
    assert_eq!(with(|at| at.mtu = Mtu::new(1279).ok()), InvalidNetwork::MtuForIpv6 { item: a_east(), mtu });
    let overlap = with(|at| at.prefixes.push("2001:db8:a2::/47".parse().unwrap()));
    assert!(matches!(overlap, InvalidNetwork::PrefixesOverlap { .. }), "{overlap}");
    let group = "ff02::1".parse().unwrap();
    assert_eq!(with(|at| at.addresses[1] = "ff02::1".parse().unwrap()), InvalidNetwork::Address { item: a_east(), address: group });
}
