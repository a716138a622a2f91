"""route_v4 and route_v6: packets of no session, from customers and in the provider's own VRF 0."""

from router.base import Behaviour
from router.entries import CE_A, CE_B, CORE, CORE_B, VRF_A, VRF_B, ilm, route, tunnel
from router.frames import HOST_A6, HOST_B, HOST_B6, into, label, out_of, udp4, udp6, upper


class RouteLeadsToANeighbour(Behaviour):
    """A local route sends IPv4 to its next hop, TTL counted down."""

    def entries(self):
        return [route(VRF_A, "10.2.0.0/16", "local", nexthop=CE_B)]

    def runTest(self):
        self.forwards(CE_A, into(CE_A, udp4()), CE_B, out_of(CE_B, udp4(ttl=63)))
        self.forwards(CE_A, into(CE_A, udp4(ttl=255)), CE_B, out_of(CE_B, udp4(ttl=254)))
        self.forwards(CE_A, into(CE_A, udp4(ttl=2)), CE_B, out_of(CE_B, udp4(ttl=1)))


class RouteLeadsToANeighbourV6(Behaviour):
    """A local route sends IPv6 to its next hop, hop limit counted down."""

    def entries(self):
        return [route(VRF_A, "2001:db8:2::/48", "local", nexthop=CE_B)]

    def runTest(self):
        self.forwards(CE_A, into(CE_A, udp6()), CE_B, out_of(CE_B, udp6(ttl=63)))
        self.forwards(CE_A, into(CE_A, udp6(ttl=2)), CE_B, out_of(CE_B, udp6(ttl=1)))


class RouteLeadsIntoATunnel(Behaviour):
    """A route into a tunnel pushes the VPN label under the tunnel's, for IPv4 and IPv6."""

    def entries(self):
        routes = [route(VRF_A, dst, "via_tunnel", tunnel=1, vpn_label=600, **{"class": 0}) for dst in ("0.0.0.0/0", "::/0")]
        return [*routes, tunnel(1, "lsp_1", l1=500, nexthop=CORE)]

    def runTest(self):
        for packet, sent in ((udp4(), udp4(ttl=63)), (udp6(), udp6(ttl=63))):
            expected = out_of(CORE, upper(500, ttl=63), label(600, ttl=63), sent)
            self.forwards(CE_A, into(CE_A, packet), CORE, expected)


class LongestPrefixWins(Behaviour):
    """Of IPv4 routes the longest prefix wins, whatever the order in which they were written."""

    def runTest(self):
        prefixes = {"10.2.0.0/16": CE_B, "0.0.0.0/0": CORE, "10.2.0.1/32": CORE_B, "10.2.0.0/31": CE_A, "10.0.0.0/8": CE_B}
        self.write(*(route(VRF_A, dst, "local", nexthop=hop) for dst, hop in prefixes.items()))
        for dst, hop in {"10.2.0.1": CORE_B, "10.2.0.0": CE_A, "10.2.0.2": CE_B, "10.3.0.0": CE_B, "11.0.0.0": CORE}.items():
            self.forwards(CE_A, into(CE_A, udp4(dst)), hop, out_of(hop, udp4(dst, ttl=63)))


class LongestPrefixWinsV6(Behaviour):
    """Of IPv6 routes the longest prefix wins, at any length up to 128 bits."""

    def runTest(self):
        prefixes = {
            "2001:db8:2::/48": CE_B,
            "::/0": CORE,
            "2001:db8:2::1/128": CORE_B,
            "2001:db8:2::/127": CE_A,
            "2001:db8:2:8000::/49": CORE_B,
        }
        self.write(*(route(VRF_A, dst, "local", nexthop=hop) for dst, hop in prefixes.items()))
        ways = {"2001:db8:2::1": CORE_B, "2001:db8:2::": CE_A, "2001:db8:2::2": CE_B, "2001:db8:2:ffff::": CORE_B, "fd00::1": CORE}
        for dst, hop in ways.items():
            self.forwards(CE_A, into(CE_A, udp6(dst)), hop, out_of(hop, udp6(dst, ttl=63)))


class DefaultRouteIsOfItsVrf(Behaviour):
    """A default route counts in its own VRF only."""

    def entries(self):
        return [route(VRF_A, "0.0.0.0/0", "local", nexthop=CORE)]

    def runTest(self):
        self.forwards(CE_A, into(CE_A, udp4("198.51.100.1")), CORE, out_of(CORE, udp4("198.51.100.1", ttl=63)))
        self.drops(CE_B, into(CE_B, udp4("198.51.100.1")), "NO_ROUTE")


class NoRouteIsDropped(Behaviour):
    """A packet that no route matches is dropped, IPv4 and IPv6, and one that has expired for that reason too."""

    def entries(self):
        return [route(VRF_A, "10.2.0.0/24", "local", nexthop=CORE), route(VRF_A, "2001:db8:2::/64", "local", nexthop=CORE)]

    def runTest(self):
        self.drops(CE_A, into(CE_A, udp4("10.2.1.0")), "NO_ROUTE")
        self.drops(CE_A, into(CE_A, udp4("10.2.1.0", ttl=1)), "NO_ROUTE")
        self.drops(CE_A, into(CE_A, udp6("2001:db8:2:1::")), "NO_ROUTE")


class RouteDiscards(Behaviour):
    """A route that discards does, IPv4 and IPv6, before the TTL is looked at."""

    def entries(self):
        return [route(VRF_A, "10.2.0.0/16", "discard"), route(VRF_A, "2001:db8:2::/48", "discard"), route(VRF_A, "0.0.0.0/0", "receive")]

    def runTest(self):
        self.drops(CE_A, into(CE_A, udp4()), "ROUTE_DISCARD")
        self.drops(CE_A, into(CE_A, udp4(ttl=1)), "ROUTE_DISCARD")
        self.drops(CE_A, into(CE_A, udp6()), "ROUTE_DISCARD")


class ReceiveIsPunted(Behaviour):
    """A packet for the router itself goes to the controller with its VRF, even with TTL 1."""

    def entries(self):
        return [route(VRF_B, "10.2.0.1/32", "receive"), route(VRF_B, "2001:db8:2::1/128", "receive")]

    def runTest(self):
        for packet in (udp4(), udp4(ttl=1), udp6(), udp6(ttl=1)):
            self.punts(CE_B, into(CE_B, packet), "RECEIVE", VRF_B)


class ExpiredPacketIsPunted(Behaviour):
    """A packet with TTL or hop limit 1 that is to be forwarded goes to the controller, which answers traceroute."""

    def entries(self):
        routes = [route(VRF_A, "10.2.0.0/16", "local", nexthop=CORE), route(VRF_A, "2001:db8:2::/48", "local", nexthop=CORE)]
        into_tunnel = {"tunnel": 1, "vpn_label": 600, "class": 0}
        return [*routes, tunnel(1, "lsp_0", nexthop=CORE), route(VRF_B, "0.0.0.0/0", "via_tunnel", **into_tunnel)]

    def runTest(self):
        self.punts(CE_A, into(CE_A, udp4(ttl=1)), "TTL_EXPIRED", VRF_A)
        self.punts(CE_A, into(CE_A, udp6(ttl=1)), "TTL_EXPIRED", VRF_A)
        self.punts(CE_B, into(CE_B, udp4(ttl=1)), "TTL_EXPIRED", VRF_B)


class CustomersMayUseTheSameAddresses(Behaviour):
    """The same IPv4 and IPv6 addresses lead elsewhere in each VRF."""

    def entries(self):
        for vrf, hop in ((VRF_A, CORE), (VRF_B, CORE_B)):
            yield route(vrf, f"{HOST_B}/32", "local", nexthop=hop)
            yield route(vrf, f"{HOST_B6}/128", "local", nexthop=hop)

    def runTest(self):
        for port, hop in ((CE_A, CORE), (CE_B, CORE_B)):
            self.forwards(port, into(port, udp4()), hop, out_of(hop, udp4(ttl=63)))
            self.forwards(port, into(port, udp6()), hop, out_of(hop, udp6(ttl=63)))


class CoreIsVrf0(Behaviour):
    """IP from a core port is routed in VRF 0, IPv4 and IPv6, and nowhere else."""

    def entries(self):
        return [route(0, "10.2.0.0/16", "local", nexthop=CORE_B), route(0, "2001:db8:2::/48", "local", nexthop=CORE_B)]

    def runTest(self):
        self.forwards(CORE, into(CORE, udp4()), CORE_B, out_of(CORE_B, udp4(ttl=63)))
        self.forwards(CORE, into(CORE, udp6()), CORE_B, out_of(CORE_B, udp6(ttl=63)))
        self.drops(CE_A, into(CE_A, udp4()), "NO_ROUTE")
        self.delete(route(0, "10.2.0.0/16", "local"))
        self.write(route(VRF_A, "10.2.0.0/16", "local", nexthop=CORE_B))
        self.drops(CORE, into(CORE, udp4()), "NO_ROUTE")


class CoreIsReceived(Behaviour):
    """A packet from the core for the router itself, and one that expired, go to the controller with VRF 0."""

    def entries(self):
        return [route(0, "192.0.2.2/32", "receive"), route(0, "0.0.0.0/0", "local", nexthop=CORE_B)]

    def runTest(self):
        self.punts(CORE, into(CORE, udp4("192.0.2.2")), "RECEIVE", 0)
        self.punts(CORE, into(CORE, udp4("192.0.2.3", ttl=1)), "TTL_EXPIRED", 0)


class CoreMayEnterATunnel(Behaviour):
    """A packet that the core brought, by a label or in VRF 0, may be sent into a tunnel again."""

    def entries(self):
        onward = {"tunnel": 1, "vpn_label": 600, "class": 3}
        routes = [route(VRF_A, "10.2.0.0/16", "via_tunnel", **onward), route(0, "10.2.0.0/16", "via_tunnel", **onward)]
        return [*routes, tunnel(1, "lsp_1", l1=500, nexthop=CORE_B), ilm(100, "pop_vrf", vrf=VRF_A, ttl_mode=255)]

    def runTest(self):
        expected = out_of(CORE_B, upper(500, ttl=63, tc=3), label(600, ttl=63, tc=3), udp4(ttl=63))
        self.forwards(CORE, into(CORE, label(100), udp4()), CORE_B, expected)
        self.forwards(CORE, into(CORE, udp4()), CORE_B, expected)


class RouteIsModified(Behaviour):
    """A route that is modified leads elsewhere at once; without it the next shorter prefix counts."""

    def entries(self):
        return [route(VRF_A, "10.2.0.0/16", "local", nexthop=CORE), route(VRF_A, "10.0.0.0/8", "local", nexthop=CORE_B)]

    def runTest(self):
        self.forwards(CE_A, into(CE_A, udp4()), CORE, out_of(CORE, udp4(ttl=63)))
        self.modify(route(VRF_A, "10.2.0.0/16", "discard"))
        self.drops(CE_A, into(CE_A, udp4()), "ROUTE_DISCARD")
        self.delete(route(VRF_A, "10.2.0.0/16", "discard"))
        self.forwards(CE_A, into(CE_A, udp4()), CORE_B, out_of(CORE_B, udp4(ttl=63)))
        self.delete(route(VRF_A, "10.0.0.0/8", "local"))
        self.drops(CE_A, into(CE_A, udp4()), "NO_ROUTE")


class HairpinIsAllowed(Behaviour):
    """A packet may leave by the port it came in on."""

    def entries(self):
        return [route(VRF_A, "10.2.0.0/16", "local", nexthop=CE_A)]

    def runTest(self):
        self.forwards(CE_A, into(CE_A, udp4()), CE_A, out_of(CE_A, udp4(ttl=63)))


class CustomersMarkingStays(Behaviour):
    """DSCP, ECN and flow label of a routed packet are those it came with."""

    def entries(self):
        return [route(VRF_A, "0.0.0.0/0", "local", nexthop=CORE), route(VRF_A, "::/0", "local", nexthop=CORE)]

    def runTest(self):
        for tos in (0xB8, 0x03, 0xFF):
            self.forwards(CE_A, into(CE_A, udp4(tos=tos)), CORE, out_of(CORE, udp4(tos=tos, ttl=63)))
            fields = {"tc": tos, "fl": 0xABCDE}
            self.forwards(CE_A, into(CE_A, udp6(**fields)), CORE, out_of(CORE, udp6(ttl=63, **fields)))


class MulticastIsRoutedAsUnicast(Behaviour):
    """Nothing is flooded: what is sent to a multicast or broadcast address follows its one route."""

    def entries(self):
        return [route(VRF_A, "224.0.0.0/4", "local", nexthop=CORE)]

    def runTest(self):
        self.forwards(CE_A, into(CE_A, udp4("224.1.2.3")), CORE, out_of(CORE, udp4("224.1.2.3", ttl=63)))
        self.drops(CE_A, into(CE_A, udp4("255.255.255.255")), "NO_ROUTE")


class UnknownNextHopIsDropped(Behaviour):
    """A route to a next hop that is not there drops."""

    def entries(self):
        return [route(VRF_A, "10.2.0.0/16", "local", nexthop=999), route(VRF_A, f"{HOST_A6}/128", "local", nexthop=999)]

    def runTest(self):
        self.drops(CE_A, into(CE_A, udp4()), "NO_NEXTHOP")
        self.drops(CE_A, into(CE_A, udp6(HOST_A6)), "NO_NEXTHOP")
