"""ilm: reserved labels, explicit nulls, and labels acted upon one after the other."""

from router.base import Behaviour, Count
from router.entries import CE_A, CORE, CORE_B, VRF_A, ilm, route
from router.frames import Raw, into, label, out_of, udp4, udp6, upper

PIPE = 255
DEEPEST = 4


class Stacks(Behaviour):
    """Base: labels 101 to 104 look at the label below, uniform; 111 to 114 as pipe; 200 is swapped for 300; 201 ends in VRF A."""

    def entries(self):
        for at in range(1, DEEPEST + 1):
            yield ilm(100 + at, "pop_next", ttl_mode=0)
            yield ilm(110 + at, "pop_next", ttl_mode=PIPE)
        yield ilm(200, "swap", label=300, nexthop=CORE_B)
        yield ilm(201, "pop_vrf", vrf=VRF_A, ttl_mode=0)
        yield ilm(202, "php", nexthop=CORE_B, ttl_mode=0)
        for vrf, hop in ((VRF_A, CE_A), (0, CORE_B)):
            yield route(vrf, "10.2.0.0/16", "local", nexthop=hop)
            yield route(vrf, "2001:db8:2::/48", "local", nexthop=hop)

    def becomes(self, received, sent, port=CORE_B):
        """Layers behind Ethernet from the core leave as these."""
        self.forwards(CORE, into(CORE, *received), port, out_of(port, *sent))


class AlertLabelIsPunted(Stacks):
    """Labels 1, 13 and 14 go to the controller, whatever their TTL and wherever in the stack they are."""

    def runTest(self):
        for value in (1, 13, 14):
            for ttl in (64, 0):
                self.punts(CORE, into(CORE, upper(value, ttl=ttl), label(200), udp4()), "MPLS_ALERT", 0)
            self.punts(CORE, into(CORE, label(value), Raw(b"\x10\0\0\x07")), "MPLS_ALERT", 0)
            self.punts(CORE, into(CORE, upper(101), label(value), udp4()), "MPLS_ALERT", 0)


class ReservedLabelIsDropped(Stacks):
    """Labels 3 to 12 and 15 are dropped, at the top and below."""

    def runTest(self):
        for value in (*range(3, 13), 15):
            self.drops(CORE, into(CORE, label(value), udp4()), "RESERVED_LABEL")
        self.drops(CORE, into(CORE, upper(101), label(3), udp4()), "RESERVED_LABEL")
        self.drops(CORE, into(CORE, label(7, ttl=1), udp4()), "RESERVED_LABEL")


class ExplicitNullIsRoutedInVrf0(Stacks):
    """Label 0 at the bottom exposes IPv4, label 2 IPv6, routed in VRF 0 with their own TTL."""

    def runTest(self):
        self.becomes([label(0, ttl=9), udp4()], [udp4(ttl=63)])
        self.becomes([label(2, ttl=9), udp6()], [udp6(ttl=63)])


class ExplicitNullNamesThePayload(Stacks):
    """Label 0 over IPv6, and label 2 over IPv4, is of the wrong version."""

    def runTest(self):
        self.drops(CORE, into(CORE, label(0), udp6()), "IP_BAD_VERSION")
        self.drops(CORE, into(CORE, label(2), udp4(data=bytes(60))), "IP_BAD_VERSION")
        self.drops(CORE, into(CORE, label(2), Raw(bytes(udp6())[:39])), "IP_TRUNCATED")


class ExplicitNullAboveALabel(Stacks):
    """An explicit null above another label is popped, and the one below is acted upon with its own TTL."""

    def runTest(self):
        for null in (0, 2):
            self.becomes([upper(null, ttl=5), label(200), udp4()], [label(300, ttl=63), udp4()])
            self.becomes([upper(null, ttl=5), label(201, ttl=20), udp4()], [udp4(ttl=19)], CE_A)
        self.drops(CORE, into(CORE, upper(0), label(999), udp4()), "UNKNOWN_LABEL")


class ExpiredExplicitNullIsPunted(Stacks):
    """An explicit null with TTL 1 or 0 goes to the controller."""

    def runTest(self):
        for ttl in (1, 0):
            self.punts(CORE, into(CORE, label(0, ttl=ttl), udp4()), "TTL_EXPIRED", 0)
            self.punts(CORE, into(CORE, upper(2, ttl=ttl), label(200), udp4()), "TTL_EXPIRED", 0)
        self.punts(CORE, into(CORE, label(0), udp4(ttl=1)), "TTL_EXPIRED", 0)


class PopNextActsOnTheLabelBelow(Stacks):
    """pop_next removes its label, and the one below is looked up: swapped, popped into a VRF, or removed."""

    def runTest(self):
        self.becomes([upper(101), label(200, ttl=50, tc=6), udp4()], [label(300, ttl=49, tc=6), udp4()])
        self.becomes([upper(111), label(201, ttl=50), udp4()], [udp4(ttl=49)], CE_A)
        self.becomes([upper(111), label(202, ttl=50), udp6()], [udp6(ttl=49)])
        self.becomes([upper(101), upper(200, ttl=50), label(7, ttl=3), udp4()], [upper(300, ttl=49), label(7, ttl=3), udp4()])


class PopNextTtlModels(Stacks):
    """pop_next: in the uniform model the label below counts for at most the outer TTL less one, in the pipe model for its own."""

    def runTest(self):
        self.becomes([upper(101, ttl=10), label(200), udp4()], [label(300, ttl=8), udp4()])
        self.becomes([upper(101, ttl=64), label(200, ttl=10), udp4()], [label(300, ttl=9), udp4()])
        self.becomes([upper(111, ttl=10), label(200), udp4()], [label(300, ttl=63), udp4()])
        self.becomes([upper(101, ttl=10), label(201), udp4()], [udp4(ttl=8)], CE_A)
        self.becomes([upper(101, ttl=10), upper(102), label(202), udp4()], [udp4(ttl=7)])


class PopNextExpires(Stacks):
    """pop_next punts an expired label, and one that the uniform model leaves expired below."""

    def runTest(self):
        self.punts(CORE, into(CORE, upper(101, ttl=1), label(200), udp4()), "TTL_EXPIRED", 0)
        self.punts(CORE, into(CORE, upper(101, ttl=2), label(200), udp4()), "TTL_EXPIRED", 0)
        self.punts(CORE, into(CORE, upper(101), label(200, ttl=1), udp4()), "TTL_EXPIRED", 0)
        self.becomes([upper(111, ttl=2), label(200), udp4()], [label(300, ttl=63), udp4()])


class PopNextNeedsALabelBelow(Stacks):
    """pop_next drops a label at the bottom of the stack, and one above a label that is cut short, even if it has expired."""

    def runTest(self):
        for ttl in (64, 1):
            self.drops(CORE, into(CORE, label(101, ttl=ttl), udp4()), "BAD_LABEL_STACK")
            self.drops(CORE, into(CORE, upper(101, ttl=ttl), Raw(b"\0\0\0")), "BAD_LABEL_STACK")


class CutLabelBelowExplicitNull(Stacks):
    """A label cut short below an explicit null is found after the null's own TTL."""

    def runTest(self):
        self.drops(CORE, into(CORE, upper(0), Raw(b"\0\0\0")), "BAD_LABEL_STACK")
        self.punts(CORE, into(CORE, upper(0, ttl=1), Raw(b"\0\0\0")), "TTL_EXPIRED", 0)


class FourLabelsAreActedUpon(Stacks):
    """The fourth label of a stack may be the last to be acted upon: swapped, or popped into a VRF."""

    def runTest(self):
        three = [upper(111), upper(112), upper(0)]
        self.becomes([*three, label(200), udp4()], [label(300, ttl=63), udp4()])
        self.becomes([*three, label(201), udp6()], [udp6(ttl=63)], CE_A)
        below = [upper(9), label(8), udp4()]
        self.becomes([*three, upper(200), *below], [upper(300, ttl=63), *below])


class FifthLabelIsNotActedUpon(Stacks):
    """A stack of which a fifth label would be acted upon is dropped, even if the fourth has expired."""

    def runTest(self):
        for fourth in (upper(114), upper(104, ttl=1), upper(0)):
            frame = into(CORE, upper(111), upper(112), upper(113), fourth, label(200), udp4())
            self.drops(CORE, frame, "BAD_LABEL_STACK")


class UnknownLabelBelow(Stacks):
    """A label below that is unknown is dropped for that."""

    def runTest(self):
        self.drops(CORE, into(CORE, upper(101), label(999), udp4()), "UNKNOWN_LABEL")
        self.drops(CORE, into(CORE, upper(101), upper(102), upper(103), label(999), udp4()), "UNKNOWN_LABEL")


class PuntBelowIsAsReceived(Stacks):
    """A punt after labels have been popped carries all of the frame, labels and trailing bytes."""

    def runTest(self):
        self.modify(route(VRF_A, "10.2.0.0/16", "receive"))
        frame = into(CORE, upper(101, tc=1), upper(0), label(201), udp4(), Raw(b"tail"))
        self.punts(CORE, frame, "RECEIVE", VRF_A)


class EveryLabelActedUponCounts(Stacks):
    """Each entry counts a frame that comes to its label with all its bytes; explicit nulls count nowhere."""

    def runTest(self):
        frame = into(CORE, upper(101), upper(0), label(200), udp4())
        self.outcome(CORE, frame, frame)
        for incoming in (101, 200):
            self.assertEqual(self.client.counted(ilm(incoming, "")), Count(2, 2 * len(frame)))
        self.assertEqual(self.client.counted(ilm(102, "")), Count(0, 0))
