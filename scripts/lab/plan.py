#!/usr/bin/env python3
"""The network that the configurations of one gateway or several describe: what the lab builds.

The configuration says which routers there are, which cables are between them and which customers' sites are at them. The rest is the
lab's: a router's P4Runtime server has its address on a network of its own, the gateway has the first of that network; sites have the
.11, .12 and so on of the network where the gateway listens for SIP, and the second address of their prefix for their host.

Printed for a shell, a line for each thing:

    gateway MANAGEMENT SIGNALLING…                   the addresses of all gateways: they share the first
    router  NAME DEVICE_ID MANAGEMENT GRPC_PORT PORT…
    site    NAME SIGNALLING HOST PREFIX_LENGTH ROUTER    addresses
    cable   MTU SPACE DEVICE MAC SPACE DEVICE MAC
"""

import argparse
import dataclasses
import ipaddress
import itertools
import pathlib
import tomllib
from urllib.parse import urlsplit

# Bytes behind Ethernet: a customer's packet, and room for its labels in the core; what the gateway takes links to have, too.
CUSTOMER_MTU = 1500
CORE_MTU = 1600
NETWORK_LENGTH = 24
FIRST_SITE = 11


@dataclasses.dataclass(frozen=True)
class Router:
    """A router, with the numbers of its ports; port N is the interface ethN."""

    name: str
    device_id: int
    management: ipaddress.IPv4Address
    grpc_port: int
    ports: tuple[int, ...]


@dataclasses.dataclass(frozen=True)
class Site:
    """A customer's site: its host's addresses, and the PE's."""

    name: str
    signalling: ipaddress.IPv4Address
    host: ipaddress.IPv4Address
    prefix_length: int
    router: ipaddress.IPv4Address


@dataclasses.dataclass(frozen=True)
class End:
    """An end of a cable."""

    space: str
    device: str
    mac: str


@dataclasses.dataclass(frozen=True)
class Cable:
    """A cable between two boxes."""

    mtu: int
    ends: tuple[End, End]


@dataclasses.dataclass(frozen=True)
class Plan:
    """All of it."""

    gateway_management: ipaddress.IPv4Address
    gateways_signalling: tuple[ipaddress.IPv4Address, ...]
    routers: tuple[Router, ...]
    sites: tuple[Site, ...]
    cables: tuple[Cable, ...]


def device(port: int) -> str:
    return f"eth{port}"


def read_cables(config: dict) -> tuple[Cable, ...]:
    """Cables of the core, then those to the sites."""

    def end(one: dict) -> End:
        return End(one["router"], device(one["port"]), one["mac"])

    core = [Cable(link.get("mtu", CORE_MTU), (end(link["a"]), end(link["b"]))) for link in config.get("link", [])]
    sites = [
        Cable(circuit.get("mtu", CUSTOMER_MTU), (end(circuit), End(circuit["ce"], device(0), circuit["ce_mac"])))
        for circuit in config["attachment"]
    ]
    return tuple(core + sites)


def read_nnis(configs: list[dict]) -> tuple[Cable, ...]:
    """Cables between providers: each has an end in the configuration of either."""
    ends: dict[str, list[End]] = {}
    for nni in itertools.chain.from_iterable(config.get("nni", []) for config in configs):
        ends.setdefault(nni["name"], []).append(End(nni["router"], device(nni["port"]), nni["mac"]))
    return tuple(Cable(CORE_MTU, (one, other)) for one, other in ends.values())


def network_of(address: ipaddress.IPv4Address) -> ipaddress.IPv4Network:
    return ipaddress.ip_network(f"{address}/{NETWORK_LENGTH}", strict=False)


def read_router(router: dict, cables: tuple[Cable, ...]) -> Router:
    server = urlsplit(router["p4runtime"])
    devices = {end.device for cable in cables for end in cable.ends if end.space == router["name"]}
    ports = tuple(sorted(int(name.removeprefix("eth")) for name in devices))
    return Router(router["name"], router["device_id"], ipaddress.ip_address(server.hostname), server.port, ports)


def read_site(circuit: dict, signalling: ipaddress.IPv4Address) -> Site:
    if circuit.get("vlan", 0):
        raise SystemExit(f"plan.py: the site {circuit['ce']} has a VLAN, and the lab's sites send no tags")
    prefix = ipaddress.ip_network(circuit["prefixes"][0])
    host = next(itertools.islice(prefix.hosts(), 1, None))
    router = circuit["address"] if isinstance(circuit["address"], str) else circuit["address"][0]
    return Site(circuit["ce"], signalling, host, prefix.prefixlen, ipaddress.ip_address(router))


def read(paths: list[pathlib.Path]) -> Plan:
    """What configurations describe."""
    configs = [tomllib.loads(path.read_text()) for path in paths]
    cables = tuple(itertools.chain.from_iterable(map(read_cables, configs))) + read_nnis(configs)
    routers = tuple(read_router(router, cables) for config in configs for router in config["router"])
    management = next(network_of(routers[0].management).hosts())
    signalling = tuple(ipaddress.ip_address(config["sip"]["listen"][0].split(":")[1]) for config in configs)
    circuits = itertools.chain.from_iterable(config["attachment"] for config in configs)
    sites = tuple(read_site(circuit, network_of(signalling[0])[number]) for number, circuit in enumerate(circuits, FIRST_SITE))
    return Plan(management, signalling, routers, sites, cables)


def print_plan(plan: Plan) -> None:
    print("gateway", plan.gateway_management, *plan.gateways_signalling)
    for router in plan.routers:
        print("router", router.name, router.device_id, router.management, router.grpc_port, *router.ports)
    for site in plan.sites:
        print("site", site.name, site.signalling, site.host, site.prefix_length, site.router)
    for cable in plan.cables:
        ends = itertools.chain.from_iterable((end.space, end.device, end.mac) for end in cable.ends)
        print("cable", cable.mtu, *ends)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("configs", metavar="CONFIG", nargs="+", type=pathlib.Path, help="a gateway's configuration (TOML)")
    print_plan(read(parser.parse_args().configs))


if __name__ == "__main__":
    main()
