"""Entries of the contract's tables, in as few words as they need."""

from __future__ import annotations

from router.frames import PE1, PE1_6, PE2, PE2_6, neighbour_mac, router_mac
from router.schema import UNLIMITED, Entry, Member, Meter, Value

CE_A, CE_B, CORE, CORE_B = 1, 2, 3, 4
VRF_A, VRF_B = 1, 2


def to_vrf(port: int, vrf: int, vlan: int = 0, inner_vlan: int = 0) -> Entry:
    """An attachment circuit of a VRF."""
    return Entry("attachment", {"port": port, "vlan": vlan, "inner_vlan": inner_vlan}, "to_vrf", {"vrf": vrf})


def to_core(port: int, vlan: int = 0, inner_vlan: int = 0) -> Entry:
    """A circuit to another router of the provider."""
    return Entry("attachment", {"port": port, "vlan": vlan, "inner_vlan": inner_vlan}, "to_core")


def station(port: int, mac: str | None = None) -> Entry:
    """The router's address at a port."""
    return Entry("station", {"port": port, "dst_mac": mac or router_mac(port)}, "accept")


def arp_responder(port: int, target: str, mac: str, vlan: int = 0) -> Entry:
    """An address that is answered for."""
    return Entry("arp_responder", {"port": port, "vlan": vlan, "target": target}, "reply", {"mac": mac})


def _version(address: object) -> str:
    return "v6" if ":" in str(address) else "v4"


def route(vrf: int, dst: str, action: str, **params: Value) -> Entry:
    """A route of a VRF, by the version of its prefix."""
    return Entry(f"route_{_version(dst)}", {"vrf": vrf, "dst": dst}, action, params)


def flow(vrf: int, src: str, dst: str, session: int, *, proto: int = 17, sport: int = 4000, dport: int = 5000) -> Entry:
    """A 5-tuple of a session."""
    match = {"vrf": vrf, "src": src, "dst": dst, "proto": proto, "sport": sport, "dport": dport}
    return Entry(f"flow_{_version(src)}", match, "assign", {"session": session})


def acl(session: int, priority: int, version: str = "v4", **match: object) -> Entry:
    """Hosts, sites and ranges of ports of a session; what is not named matches everything."""
    return Entry(f"flow_acl_{version}", match, "assign", {"session": session}, priority=priority)


def session(number: int, tunnel: int, vpn_label: int, service_class: int = 0, *, meter: Meter | None = UNLIMITED) -> Entry:
    """Where a session's packets go, and at which rate."""
    params = {"tunnel": tunnel, "vpn_label": vpn_label, "class": service_class}
    return Entry("session", {"session": number}, "carry", params, meter=meter)


def tunnel(number: int, action: str, **params: Value) -> Entry:
    """A tunnel with one member; uniform TTL unless told."""
    return Entry("tunnel", {"tunnel": number}, action, {"ttl_mode": 0} | params)


def tunnel_of(number: int, *members: Member) -> Entry:
    """A tunnel with several members."""
    return Entry("tunnel", {"tunnel": number}, members=members)


def ilm(incoming: int, action: str, **params: Value) -> Entry:
    """What to do with an incoming label."""
    return Entry("ilm", {"label": incoming}, action, params)


def rewrite(port: int, *, vlan: int = 0, inner_vlan: int = 0, mtu: int = 1500) -> dict[str, Value]:
    """How a frame leaves for the neighbour at a port."""
    macs = {"src_mac": router_mac(port), "dst_mac": neighbour_mac(port)}
    return {"port": port, "vlan": vlan, "inner_vlan": inner_vlan, "mtu": mtu} | macs


def nexthop(number: int, port: int, *, vlan: int = 0, inner_vlan: int = 0, mtu: int = 1500) -> Entry:
    """A neighbour."""
    return Entry("nexthop", {"nexthop": number}, "rewrite", rewrite(port, vlan=vlan, inner_vlan=inner_vlan, mtu=mtu))


def nexthop_of(number: int, *members: Member) -> Entry:
    """A choice of neighbours."""
    return Entry("nexthop", {"nexthop": number}, members=members)


def marking(service_class: int, colour: int, tc: int, dscp: int = 0) -> Entry:
    """TC and DSCP of a class's colour."""
    return Entry("marking", {"class": service_class, "colour": colour}, "mark", {"tc": tc, "dscp": dscp})


def no_marking(service_class: int, colour: int) -> Entry:
    """A class's colour that is discarded."""
    return Entry("marking", {"class": service_class, "colour": colour}, "discard")


def gre_ingress(src: str, dst: str, key: int, action: str, **params: Value) -> Entry:
    """A GRE tunnel that ends here."""
    return Entry(f"gre_ingress_{_version(src)}", {"src": src, "dst": dst, "key": key}, action, params)


def vrf_policer(vrf: int, meter: Meter) -> Entry:
    """The ceiling on what a VRF sends without a session."""
    return Entry("vrf_policer", {"vrf": vrf}, "police", meter=meter)


def punt_policer(reason: int, meter: Meter) -> Entry:
    """The ceiling on what is punted for a reason, in packets."""
    return Entry("punt_policer", {"reason": reason}, "police", meter=meter)


GREEN, YELLOW, RED = 0, 1, 2


def bursts(committed: int, peak: int) -> Meter:
    """A meter that does not depend on time: nothing is ever added to its buckets."""
    return Meter(cir=0, cburst=committed, pir=0, pburst=peak)


def world() -> list[Entry]:
    """Two customers and two core links; a next hop to the neighbour at each port, with the number of the port."""
    circuits = [to_vrf(CE_A, VRF_A), to_vrf(CE_B, VRF_B), to_core(CORE), to_core(CORE_B)]
    ports = (CE_A, CE_B, CORE, CORE_B)
    return [*circuits, *(station(port) for port in ports), *(nexthop(port, port) for port in ports)]


# Ends of the GRE tunnels in both directions.
PE_TUNNEL: dict[str, Value] = {"src": PE1, "dst": PE2}
PE_TUNNEL_6: dict[str, Value] = {"src": PE1_6, "dst": PE2_6}
