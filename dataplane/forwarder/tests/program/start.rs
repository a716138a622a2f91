//! Starting, stopping, and saying what is wrong.

use std::net::TcpListener;

use crate::forwarder::{Forwarder, command, failure};

#[test]
fn signals_stop_it_in_order() {
    for signal in ["-TERM", "-INT"] {
        let forwarder = Forwarder::start(&["1=net_ring0", "2=net_ring1"]);
        let (code, said) = forwarder.end(signal);
        assert_eq!(code, Some(0), "{said}");
        assert!(said.trim_end().ends_with("stopped"), "{said}");
    }
}

#[test]
fn mistakes_say_what_to_do() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let said = failure(&["--grpc", &address, "--port", "1=net_ring0"]);
    assert!(said.contains(&format!("cannot listen for P4Runtime on {address}")) && said.contains("choose another --grpc"), "{said}");
    let start = |port| failure(&["--grpc", "127.0.0.1:0", "--port", port]);
    let said = start("1=net_af_packet0,iface=none-such");
    assert!(said.contains("port 1: net_af_packet0,iface=none-such: there is no interface \"none-such\"; there are: "), "{said}");
    let said = start("1=net_nosuch0");
    assert!(said.contains("the router does not start: port 1: net_nosuch0"), "{said}");
    let said = failure(&["--grpc", "127.0.0.1:0", "--port", "1=net_ring0", "--port", "1=net_ring1"]);
    assert!(said.contains("port number 1 is given twice"), "{said}");
}

#[test]
fn help_names_every_option() {
    let output = command(&["--help"]).output().unwrap();
    let help = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success());
    for word in
        ["--device-id", "--grpc", "--port", "--mtu", "--workers", "--processors", "--idle", "--size", "--packets", "--seed", "Examples:"]
    {
        assert!(help.contains(word), "{word} is missing in {help}");
    }
}
