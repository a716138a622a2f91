"""marking: class and colour to TC of labels and DSCP of GRE."""

from router.base import Behaviour, Count
from router.entries import CE_A, CORE, GREEN, PE_TUNNEL, RED, VRF_A, YELLOW, bursts, flow, marking, no_marking, route, session, tunnel
from router.frames import HOST_A, HOST_B, delivery4, gre, into, label, out_of, udp4, upper


class Marked(Behaviour):
    """Base: a session of each class, with the number of the class and that port; tunnel 1 has labels, tunnel 2 is GRE."""

    via = 1

    def entries(self):
        yield tunnel(1, "lsp_3", l1=501, l2=502, l3=503, nexthop=CORE)
        yield tunnel(2, "gre_v4", **PE_TUNNEL, key=0, nexthop=CORE)
        for number in range(8):
            yield session(number, self.via, 600, number)
            yield flow(VRF_A, HOST_A, HOST_B, number, dport=number)

    def is_marked(self, number, tc, **fields):
        """A packet of a session leaves with this TC in all labels, its own DSCP as it was."""
        stack = [upper(501, ttl=63, tc=tc), upper(502, ttl=63, tc=tc), upper(503, ttl=63, tc=tc), label(600, ttl=63, tc=tc)]
        expected = out_of(CORE, *stack, udp4(dport=number, ttl=63, **fields))
        self.forwards(CE_A, into(CE_A, udp4(dport=number, **fields)), CORE, expected)


class ClassIsTheTcWithoutMarking(Marked):
    """Without an entry the class is the TC of every label pushed."""

    def runTest(self):
        for number in range(8):
            self.is_marked(number, number)


class MarkingSetsTheTc(Marked):
    """An entry sets the TC of every label pushed, for its class and colour only."""

    def runTest(self):
        self.write(marking(3, GREEN, 6), marking(4, GREEN, 0), marking(5, YELLOW, 1))
        for number, tc in ((3, 6), (4, 0), (5, 5), (2, 2)):
            self.is_marked(number, tc)


class CustomersDscpIsNotChanged(Marked):
    """The customer's own DSCP and ECN stay, whatever is marked."""

    def runTest(self):
        self.write(marking(1, GREEN, 7, dscp=63))
        self.is_marked(1, 7, tos=0x2B)
        self.is_marked(2, 2, tos=0xFC)


class MarkingDiscards(Marked):
    """A class's colour that is discarded is dropped, and counted as not carried by the session."""

    def runTest(self):
        self.write(no_marking(2, GREEN))
        before = self.client.discards(2)
        frame = into(CE_A, udp4(dport=2))
        self.drops(CE_A, frame, "MARKING_DISCARD")
        self.assertEqual(self.client.discards(2) - before, Count(1, len(frame)))
        self.is_marked(3, 3)


class MarkingIsModified(Marked):
    """An entry that is modified marks otherwise; without it the class counts again."""

    def runTest(self):
        self.write(marking(3, GREEN, 6))
        self.modify(marking(3, GREEN, 1))
        self.is_marked(3, 1)
        self.modify(no_marking(3, GREEN))
        self.drops(CE_A, into(CE_A, udp4(dport=3)), "MARKING_DISCARD")
        self.delete(no_marking(3, GREEN))
        self.is_marked(3, 3)


class RouteIntoATunnelIsMarked(Marked):
    """Packets of no session that are routed into a tunnel are marked by the route's class; local ones are not."""

    def runTest(self):
        onward = {"tunnel": 1, "vpn_label": 600, "class": 3}
        self.write(
            marking(3, GREEN, 5), route(VRF_A, "10.2.0.0/16", "via_tunnel", **onward), route(VRF_A, "10.3.0.0/16", "local", nexthop=CORE)
        )
        self.is_marked(99, 5)
        self.write(no_marking(0, GREEN), marking(1, GREEN, 1, dscp=9))
        self.forwards(CE_A, into(CE_A, udp4("10.3.0.1")), CORE, out_of(CORE, udp4("10.3.0.1", ttl=63)))


class ColoursAreMarked(Marked):
    """Green, yellow and red packets of a session have TCs of their own; a marked red is not dropped."""

    def runTest(self):
        self.write(marking(2, GREEN, 1), marking(2, YELLOW, 4), marking(2, RED, 7))
        frame = into(CE_A, udp4(dport=2))
        self.modify(session(2, 1, 600, 2, meter=bursts(len(frame), 2 * len(frame))))
        for tc in (1, 4, 7, 7):
            self.is_marked(2, tc)


class RedIsDiscarded(Marked):
    """Red without an entry is dropped; yellow without an entry has the class for a TC."""

    def runTest(self):
        frame = into(CE_A, udp4(dport=2))
        self.modify(session(2, 1, 600, 2, meter=bursts(len(frame), 2 * len(frame))))
        before = self.client.discards(2)
        self.is_marked(2, 2)
        self.is_marked(2, 2)
        self.drops(CE_A, frame, "RED_DISCARD")
        self.assertEqual(self.client.discards(2) - before, Count(1, len(frame)))


class DscpIsOfTheDeliveryHeader(Marked):
    """In GRE the DSCP of the delivery header is as marked, or eight times the class; the TC is the VPN label's."""

    via = 2

    def runTest(self):
        self.write(marking(3, GREEN, 6, dscp=46))
        for number, tc, dscp in ((3, 6, 46), (1, 1, 8), (7, 7, 56)):
            expected = out_of(CORE, delivery4(63, dscp=dscp), gre(0x8847), label(600, ttl=63, tc=tc), udp4(dport=number, ttl=63))
            self.forwards(CE_A, into(CE_A, udp4(dport=number)), CORE, expected)
