"""Action selectors of tunnel and nexthop: spread, stickiness, and members whose port is down."""

from collections import Counter
from random import Random

from router.base import IN_FLIGHT, Behaviour
from router.entries import CE_A, CORE, CORE_B, PE_TUNNEL, VRF_A, gre_ingress, ilm, nexthop_of, rewrite, route, tunnel, tunnel_of
from router.frames import MPLS, Ether, Raw, gre, into, ip4, label, udp, udp4, udp6, upper
from router.schema import Member

GROUP = 9
FLOWS = 64
# Far more than a router needs to notice, however busy the machine.
ROUNDS = 200


def hop(port, **more):
    """A member of a next hop."""
    return Member("rewrite", rewrite(port), **more)


def path(outermost, port, **more):
    """A member of a tunnel."""
    return Member("lsp_1", {"l1": outermost, "nexthop": port, "ttl_mode": 0}, **more)


class Choice(Behaviour):
    """Base: next hop 9 leaves by either core port; VRF A is routed to it."""

    def entries(self):
        yield nexthop_of(GROUP, hop(CORE), hop(CORE_B))
        yield route(VRF_A, "0.0.0.0/0", "local", nexthop=GROUP)
        yield route(VRF_A, "::/0", "local", nexthop=GROUP)

    def ports(self, port, *burst):
        """How many frames left by each port; all did."""
        outcome = self.outcome(port, *burst)
        self.assertEqual(len(outcome.sent), len(burst), "all leave")
        return Counter(port for port, _ in outcome.sent)

    def is_spread(self, port, *burst):
        """Frames leave by both core ports, by neither of them too rarely for chance: less than one in 10,000,000."""
        counts = self.ports(port, *burst)
        self.assertEqual(set(counts), {CORE, CORE_B}, counts)
        self.assertGreater(min(counts.values()), len(burst) // 8, counts)


class FlowsAreSpread(Choice):
    """Flows that differ in ports or addresses are spread over the members, IPv4 and IPv6."""

    def runTest(self):
        self.is_spread(CE_A, *(into(CE_A, udp4(sport=1000 + at)) for at in range(FLOWS)))
        self.is_spread(CE_A, *(into(CE_A, udp4(dport=1000 + at)) for at in range(FLOWS)))
        self.is_spread(CE_A, *(into(CE_A, udp4(f"10.2.0.{at}")) for at in range(FLOWS)))
        self.is_spread(CE_A, *(into(CE_A, udp4(src=f"10.1.0.{at}")) for at in range(FLOWS)))
        self.is_spread(CE_A, *(into(CE_A, udp6(sport=1000 + at)) for at in range(FLOWS)))
        self.is_spread(CE_A, *(into(CE_A, udp6(f"2001:db8:2::{at:x}")) for at in range(FLOWS)))


class FlowKeepsItsPath(Choice):
    """All packets of one 5-tuple take one path, whatever else differs, and in order."""

    def runTest(self):
        for sport in range(8):
            burst = [into(CE_A, udp4(sport=sport, tos=at * 4, ttl=64 - at, id=at, data=bytes([at]) * (at + 1))) for at in range(16)]
            outcome = self.outcome(CE_A, *burst)
            self.assertEqual(len(outcome.sent), len(burst))
            self.assertEqual(len({port for port, _ in outcome.sent}), 1, "one path")
            self.assertEqual([Ether(frame)["IP"].id for _, frame in outcome.sent], list(range(16)), "in order")


class FragmentsKeepOnePath(Choice):
    """All fragments between two hosts take one path: they have no ports."""

    def runTest(self):
        burst = [into(CE_A, ip4(proto=17, flags="MF", frag=at) / Raw(bytes(udp(sport=at)))) for at in range(32)]
        self.assertEqual(len(self.ports(CE_A, *burst)), 1)


class LabelledFlowsAreSpread(Choice):
    """Labelled packets are spread by the 5-tuple below their labels, and one of them keeps its path."""

    def entries(self):
        return [nexthop_of(GROUP, hop(CORE), hop(CORE_B)), ilm(100, "swap", label=200, nexthop=GROUP)]

    def runTest(self):
        for stack in ([label(100)], [upper(100), upper(7), upper(8), label(9)]):
            self.is_spread(CORE, *(into(CORE, *stack, udp4(sport=at)) for at in range(FLOWS)))
            self.is_spread(CORE, *(into(CORE, *stack, udp6(dport=at)) for at in range(FLOWS)))
        self.assertEqual(len(self.ports(CORE, *(into(CORE, upper(100), label(16 + at), udp4()) for at in range(32)))), 1)


class GreFlowsAreSpread(Choice):
    """What goes into GRE, or comes out of it, is spread by the 5-tuple inside."""

    def entries(self):
        yield nexthop_of(GROUP, hop(CORE), hop(CORE_B))
        yield tunnel(1, "gre_v4", **PE_TUNNEL, key=0, nexthop=GROUP)
        yield route(VRF_A, "0.0.0.0/0", "via_tunnel", tunnel=1, vpn_label=3, **{"class": 0})
        yield gre_ingress(**PE_TUNNEL, key=0, action="decap_vrf", vrf=7)
        yield route(7, "0.0.0.0/0", "local", nexthop=GROUP)

    def runTest(self):
        outer = ip4("192.0.2.2", src="192.0.2.1", proto=47)
        self.is_spread(CE_A, *(into(CE_A, udp4(sport=at)) for at in range(FLOWS)))
        self.is_spread(CORE, *(into(CORE, outer, gre(0x0800), udp4(sport=at)) for at in range(FLOWS)))


class TunnelMembersAreChosen(Choice):
    """A tunnel with two paths spreads its flows over both, and each flow keeps its own."""

    def entries(self):
        yield tunnel_of(1, path(501, CORE), path(502, CORE_B))
        yield route(VRF_A, "0.0.0.0/0", "via_tunnel", tunnel=1, vpn_label=600, **{"class": 0})

    def runTest(self):
        burst = [into(CE_A, udp4(sport=at)) for at in range(FLOWS)]
        self.is_spread(CE_A, *burst)
        for frame in burst[:8]:
            outcome = self.outcome(CE_A, frame, frame)
            outermost = {501: CORE, 502: CORE_B}
            self.assertEqual({outermost[Ether(sent)[MPLS].label] for _, sent in outcome.sent}, {port for port, _ in outcome.sent})
            self.assertEqual(len({sent for _, sent in outcome.sent}), 1)


class ChoicesAreIndependent(Choice):
    """Tunnel and next hop choose independently: flows are on all four ways through two choices of two."""

    def entries(self):
        yield nexthop_of(GROUP, hop(CORE), hop(CORE_B))
        yield tunnel_of(1, path(501, GROUP), path(502, GROUP))
        yield route(VRF_A, "0.0.0.0/0", "via_tunnel", tunnel=1, vpn_label=600, **{"class": 0})

    def runTest(self):
        outcome = self.outcome(CE_A, *(into(CE_A, udp4(sport=at, dport=at * 7)) for at in range(2 * FLOWS)))
        ways = Counter((Ether(frame)[MPLS].label, port) for port, frame in outcome.sent)
        self.assertEqual(set(ways), {(outermost, port) for outermost in (501, 502) for port in (CORE, CORE_B)}, ways)


class WeightsAreKept(Choice):
    """A member of three times the weight gets most of the flows, the other some."""

    def runTest(self):
        self.modify(nexthop_of(GROUP, hop(CORE, weight=3), hop(CORE_B, weight=1)))
        # A CRC is linear: flows that count up may differ in bits that cancel each other out.
        chance = Random(1)
        flows = [(chance.randrange(65536), chance.randrange(65536)) for _ in range(4 * FLOWS)]
        counts = self.ports(CE_A, *(into(CE_A, udp4(sport=sport, dport=dport)) for sport, dport in flows))
        self.assertGreater(counts[CORE], 2 * FLOWS, counts)
        self.assertGreater(counts[CORE_B], 0, counts)


class MembersAreModified(Choice):
    """A member that was taken out gets nothing any more; one that was put in gets its share."""

    def runTest(self):
        burst = [into(CE_A, udp4(sport=at)) for at in range(FLOWS)]
        self.modify(nexthop_of(GROUP, hop(CORE_B)))
        self.assertEqual(self.ports(CE_A, *burst), {CORE_B: FLOWS})
        self.modify(nexthop_of(GROUP, hop(CORE_B), hop(CORE)))
        self.is_spread(CE_A, *burst)


class WatchedPortFailsOver(Choice):
    """While a member's watched port is down all flows take the other, without the controller; then they are spread again."""

    def entries(self):
        yield nexthop_of(GROUP, hop(CORE, watch_port=CORE), hop(CORE_B, watch_port=CORE_B))
        yield route(VRF_A, "0.0.0.0/0", "local", nexthop=GROUP)

    def round(self):
        """How many of a round of flows left by each port. Some may be lost until the router has noticed."""
        burst = [into(CE_A, udp4(sport=at)) for at in range(FLOWS)]
        for start in range(0, FLOWS, IN_FLIGHT):
            self.inject_and_wait(CE_A, *burst[start : start + IN_FLIGHT])
        return Counter(port for port, _ in self.come_out(FLOWS, within=0.5))

    def until(self, expected):
        """Waits for a round in which the flows leave as expected."""
        counts = Counter()
        for _ in range(ROUNDS):
            counts = self.round()
            if expected(counts):
                return
        self.fail(f"after {ROUNDS} rounds flows still leave by {counts}")

    def come_up(self):
        """The link is there again, and what comes out of it is seen."""
        self.engine.set_link(CORE_B, "up")
        self.dataplane.port_add(self.engine.cable(CORE_B), 0, CORE_B)

    def runTest(self):
        def spread(counts):
            return set(counts) == {CORE, CORE_B} and sum(counts.values()) == FLOWS

        self.until(spread)
        self.dataplane.port_remove(0, CORE_B)
        self.addCleanup(self.until, spread)
        self.addCleanup(self.come_up)
        self.engine.set_link(CORE_B, "down")
        self.until(lambda counts: counts == {CORE: FLOWS})
