//! A configuration either means what it says or says where it does not.

use std::path::Path;

use super::*;

const GOOD: &str = include_str!("../../tests/svpn.toml");

fn refused(text: &str) -> String {
    match read(Path::new("svpn.toml"), text) {
        Ok(_) => panic!("it must be refused:\n{text}"),
        Err(error) => error.to_string(),
    }
}

/// The good file with one text replaced, and the line that is changed.
fn changed(from: &str, to: &str) -> (String, usize) {
    assert_eq!(GOOD.matches(from).count(), 1, "{from:?} stands once in the file");
    let at = GOOD.find(from).expect("it is there");
    (GOOD.replacen(from, to, 1), GOOD[..at].matches('\n').count() + 1)
}

#[test]
fn the_manual_shows_a_configuration_that_is_read() {
    let manual = include_str!("../../README.md");
    let (_, rest) = manual.split_once("```toml\n").expect("it shows one");
    let (shown, _) = rest.split_once("```").expect("it ends");
    let config = read(Path::new("README.md"), shown).unwrap_or_else(|error| panic!("{error}"));
    assert_eq!(config.network.topology().links().count(), 2);
}

#[test]
fn a_good_file_is_taken() {
    let config = read(Path::new("svpn.toml"), GOOD).expect("it is good");
    assert_eq!(config.routers.iter().map(|router| router.name.as_str()).collect::<Vec<_>>(), ["pe1", "p1", "pe2"]);
    assert_eq!(config.network.circuits().len(), 5, "four here, and one that stands for what is abroad");
    let peer = &config.sip.peering.peers[0];
    assert_eq!((peer.nnis.as_slice(), peer.vpns.len()), (&[CeName("to-abroad".to_owned())][..], 1));
    assert_eq!(config.network.nnis()[0].name, peer.nnis[0]);
    assert_eq!(config.sip.listen.len(), 2);
    let gre = config.network.routers().map(|(_, router)| router.gre.len()).collect::<Vec<_>>();
    assert_eq!(gre, [0, 2, 0]);
    let (_, west) = config.network.topology().links().find(|(_, link)| link.name == "west").expect("it is configured");
    assert_eq!((west.pools.len(), west.risks.len()), (2, 1));
    assert!(config.network.topology().affinities(["gold", "terrestrial"]).is_ok_and(|both| both == west.affinities));
    let gold = &config.network.contracts()[0];
    assert_eq!((gold.options.max_priority, gold.options.hours.hours.len(), gold.options.quota.megabit_hours), (3, 2, Some(50_000)));
    let price = gold.options.price.as_ref().expect("it has one");
    assert_eq!((price.set_up.0, price.other_classes.megabit_hour.0, price.times[0].percent), (500_000, 12_000, 50));
    let storage = ApplicationId { name: "storage".to_owned(), vpn: VpnName("vpn-a".to_owned()) };
    assert_eq!(config.secrets.get(&storage), Some(&Secret("s3cret".to_owned())));
}

#[test]
fn a_vpn_may_ask_that_callees_name_their_callers() {
    let (asked, _) = changed("name = \"vpn-a\"\nvrf = 10", "name = \"vpn-a\"\nvrf = 10\npolicy = { consent = \"named\" }");
    let named = asked.replacen("secret = \"s3cret-too\"", "secret = \"s3cret-too\"\naccepts = [\"storage@vpn-a\"]", 1);
    let network = read(Path::new("svpn.toml"), &named).expect("it is good").network;
    let [storage, backup] = ["storage", "backup"].map(|name| ApplicationId { name: name.to_owned(), vpn: VpnName("vpn-a".to_owned()) });
    assert_eq!((network.accepted_by(&backup), network.accepted_by(&storage)), (&[storage.clone()][..], &[][..]));
    assert!(network.policy(&backup.vpn).is_some_and(|policy| policy.consent == svpn_vpn::agreement::Consent::Named));
    assert!(refused(&named.replace("storage@vpn-a\"]\n", "stranger@vpn-a\"]\n")).contains("stranger@vpn-a"));
}

#[test]
fn links_are_probed_every_second_unless_it_is_said_otherwise() {
    let with = |keys: &str| read(Path::new("svpn.toml"), &format!("{GOOD}\n[liveness]\n{keys}")).expect("it is good").liveness;
    assert_eq!(read(Path::new("svpn.toml"), GOOD).expect("it is good").liveness, liveness::Settings::default());
    assert_eq!(with(""), liveness::Settings::default());
    assert_eq!(with("interval = 200"), liveness::Settings { interval: Duration::from_millis(200), ..liveness::Settings::default() });
    assert_eq!(with("probes = false"), liveness::Settings { probes: Probes::Off, ..liveness::Settings::default() });
}

#[test]
fn what_strangers_can_do_is_bounded_as_it_is_said() {
    let with = |keys: &str| {
        let (text, _) = changed("[sip]\n", &format!("[sip]\n{keys}\n"));
        read(Path::new("svpn.toml"), &text).expect("it is good").sip.limits
    };
    assert_eq!(with(""), Limits::default());
    assert_eq!(with("transactions = 4000"), Limits { transactions: 4000, ..Limits::default() });
    assert_eq!(with("messages_per_second = 7"), Limits { messages_per_source: 7, ..Limits::default() });
    assert!(refused(&changed("[sip]\n", "[sip]\ntransactions = 0\n").0).contains("nonzero"));
}

#[test]
fn a_missing_file_is_named() {
    let error = load(Path::new("/nowhere/svpn.toml")).expect_err("it is not there").to_string();
    assert!(error.starts_with("/nowhere/svpn.toml: "), "{error}");
}

#[test]
fn what_is_wrong_is_said_with_its_line_and_what_was_expected() {
    let cases = [
        ("capacity = \"100 Mbit/s\" # west", "capacity = 100 # west", "a rate like"),
        ("capacity = \"100 Mbit/s\" # west", "capacity = \"fast\" # west", "a rate like"),
        ("share = \"60 %\"", "share = \"160 %\"", "a share like"),
        ("share = \"60 %\"", "share = 0.6", "a share like"),
        ("classes = [5, 6, 7]", "classes = [5, 6, 8]", "3 bits"),
        ("affinity = [", "affinities = [", "unknown field `affinities`"),
        ("ttl = \"uniform\"", "ttl = 0", "uniform"),
        ("ring_timeout = 5", "ring_timeout = -5", "-5"),
        ("ring_timeout = 5", "session_expires = 89", "90 seconds at least"),
        ("default_class = 5", "default_class = 8", "3 bits"),
        ("\"2001:db8::/64\"]", "\"2001:db8::/129\"]", "2001:db8::/129"),
        ("[\"10.1.0.1\", \"2001:db8:b1::1\"]", "[\"10.1.0.1\", \"2001:db8:b1::1::\"]", "2001:db8:b1::1::"),
        ("[\"10.1.0.1\", \"2001:db8:b1::1\"]", "7", "expected \"ONE\""),
        ("device_id = 2", "device-id = 2", "unknown field `device-id`"),
        ("p4runtime = \"http://127.0.0.1:9561\"", "p4runtime = \"127.0.0.1\"", "http://HOST:PORT"),
        ("listen = [\"udp:127.0.0.1:5060\", \"tcp:127.0.0.1:5060\"]", "listen = [\"127.0.0.1:5060\"]", "udp:"),
        ("ring_timeout = 5", "digest = [\"SHA-1\"]", "SHA-256"),
        ("ring_timeout = 5", "digest = []", "one algorithm at least"),
        ("ring_timeout = 5", "tls = { certificate = \"gateway.pem\" }", "key"),
        ("mac = \"02:00:00:00:01:01\"", "mac = \"02:00:00:00:01\"", "expected six bytes"),
        ("prefixes = [\"10.2.0.0/24\"] # a-west", "prefixes = [\"10.2.0.300/24\"] # a-west", "10.2.0.300"),
        ("max_sessions = 100", "max_session = 100", "unknown field `max_session`"),
        ("protection = \"disjoint\"", "protection = \"twice\"", "`disjoint`"),
        ("from = \"22:00\"", "from = \"22:60\"", "a time like"),
        ("from = \"07:00\", until = \"19:00\"", "from = \"19:00\", until = \"07:00\"", "the end after the beginning"),
        ("utc_offset = \"+01:00\"", "utc_offset = \"01:00\"", "an offset from UTC like"),
        ("set_up = \"0.50\"", "set_up = 0.50", "expected a string"),
        ("megabit_hour = \"0.012\"", "megabit_hour = \"0.0000001\"", "six decimals"),
        ("price = \"standard\"", "price = \"free\"", "there is no price \"free\""),
        ("members = [\"storage@vpn-a\", \"backup@vpn-a\"]", "members = [\"storage\"]", "NAME@VPN"),
        ("sip = \"udp:127.0.0.9:5060\"", "sip = \"127.0.0.9\"", "udp:"),
        ("there = \"acme\"", "their = \"acme\"", "unknown field `their`"),
    ];
    for (from, to, expected) in cases {
        let (text, line) = changed(from, to);
        let error = refused(&text);
        assert!(error.starts_with(&format!("svpn.toml:{line}: ")), "{error:?} is not about line {line}");
        assert!(error.contains(expected), "{error:?} does not say {expected:?}");
    }
}

#[test]
fn what_does_not_hang_together_is_said_with_its_line() {
    let cases = [
        ("share = \"25 Mbit/s\"", "share = \"101 Mbit/s\"", "more than the link has"),
        ("classes = [5, 6, 7]", "classes = [5, 5, 7]", "class \"5\" twice"),
        ("risk = [\"duct-7\"]", "risk = [\"duct-7\", \"duct-7\"]", "\"duct-7\" twice"),
        ("vrf = 20", "vrf = 10", "VRF 10"),
        ("max_priority = 3", "max_priority = 8", "expected 0 to 7"),
        ("include = [\"gold\"]", "include = [\"copper\"]", "the affinity \"copper\""),
        ("members = [\"storage@vpn-a\", \"backup@vpn-a\"]", "members = [\"storage@vpn-c\"]", "not configured"),
        ("name = \"vpn-b\"\nvrf", "name = \"vpn-a\"\nvrf", "twice"),
        ("router = \"pe2\", port = 3", "router = \"pe9\", port = 3", "not configured"),
        ("contract = \"silver\"", "contract = \"lead\"", "not configured"),
        ("peer = \"abroad.example\"", "peer = \"nowhere.example\"", "expected the domain of a [[peer]]"),
        ("sip = \"udp:127.0.0.9:5060\"", "sip = \"wss:127.0.0.9:443\"", "expected udp:, tcp: or tls:"),
        ("there = \"acme\"", "there = \"a c\"", "no VPN of a domain"),
        ("domain = \"abroad.example\"", "domain = \"provider.example\"", "there twice"),
        ("prefixes = [\"10.9.0.0/24\"]", "prefixes = [\"10.2.0.0/25\"]", "10.2.0.0/24"),
        ("contract = \"gold\" # abroad", "contract = \"lead\" # abroad", "not configured"),
        ("address = [\"10.1.0.1\", \"2001:db8:b1::1\"]", "address = \"10.1.0.1\"", "no IPv6 address"),
        ("\"2001:db8::/64\"]", "\"2001:db8::1/64\"]", "expected 2001:db8::/64"),
        ("\"2001:db8::/64\"]", "\"192.0.2.16/31\"]", "three at least"),
        ("\"2001:db8::/64\"]", "\"192.0.2.16/28\"]", "besides another of the family"),
    ];
    for (from, to, expected) in cases {
        let (text, _) = changed(from, to);
        let error = refused(&text);
        let line = error.strip_prefix("svpn.toml:").and_then(|rest| rest.split_once(':')).map(|(line, _)| line.parse::<usize>());
        assert!(matches!(line, Some(Ok(1..))), "{error:?} names no line");
        assert!(error.contains(expected), "{error:?} does not say {expected:?}");
    }
}

#[test]
fn a_file_cut_short_anywhere_is_refused_or_whole_never_a_panic() {
    for end in (0..GOOD.len()).filter(|end| GOOD.is_char_boundary(*end)) {
        let _ = read(Path::new("svpn.toml"), &GOOD[..end]);
    }
}
