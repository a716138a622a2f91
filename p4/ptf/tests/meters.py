"""The meters of session, vrf_policer and punt_policer: two rates, three colours (RFC 2698).

Their rates are 0 and their buckets small, so a colour depends on what has come before and on no clock.
"""

from typing import ClassVar

from router.base import Behaviour, Count
from router.entries import (
    CE_A,
    CE_B,
    CORE,
    CORE_B,
    GREEN,
    RED,
    VRF_A,
    VRF_B,
    YELLOW,
    bursts,
    flow,
    ilm,
    marking,
    punt_policer,
    route,
    session,
    to_vrf,
    tunnel,
    vrf_policer,
)
from router.frames import HOST_A, HOST_A6, HOST_B, HOST_B6, LLDP_MAC, MPLS, Dot1Q, Ether, Raw, into, label, out_of, udp4, udp6
from router.schema import Meter

COLOURS = {1: "green", 2: "yellow", 3: "red"}
SMALL, LARGE = 68, 168


class Metered(Behaviour):
    """Base: everything goes into a tunnel with its colour as TC: green 1, yellow 2, red 3. Session 1 is that of port 5000."""

    def entries(self):
        yield tunnel(1, "lsp_0", nexthop=CORE)
        for colour, tc in ((GREEN, 1), (YELLOW, 2), (RED, 3)):
            yield marking(0, colour, tc)
        yield session(1, 1, 600)
        yield flow(VRF_A, HOST_A, HOST_B, 1)
        yield flow(VRF_A, HOST_A6, HOST_B6, 1)
        for vrf in (VRF_A, VRF_B):
            yield route(vrf, "0.0.0.0/0", "via_tunnel", tunnel=1, vpn_label=700, **{"class": 0})
            yield route(vrf, "::/0", "via_tunnel", tunnel=1, vpn_label=700, **{"class": 0})

    def colours(self, port, *burst):
        """What colours frames had, in the order they came in."""
        return [COLOURS[Ether(frame)[MPLS].cos] for _, frame in self.outcome(port, *burst).sent]


def of_bytes(length, dport=5000):
    """A frame of so many bytes."""
    return into(CE_A, udp4(dport=dport, data=b"m" * (length - 42)))


class SessionMeterHasThreeColours(Metered):
    """A session's packets are green while both buckets have their bytes, yellow while the peak's has, then red."""

    def runTest(self):
        self.modify(session(1, 1, 600, meter=bursts(3 * SMALL, 5 * SMALL)))
        self.assertEqual(self.colours(CE_A, *[of_bytes(SMALL)] * 7), ["green"] * 3 + ["yellow"] * 2 + ["red"] * 2)


class MeterTakesAPacketOrNot(Metered):
    """A packet larger than what is left in a bucket takes nothing from it; a smaller one after it still may."""

    def runTest(self):
        self.modify(session(1, 1, 600, meter=bursts(SMALL, LARGE + SMALL)))
        large, small = of_bytes(LARGE), of_bytes(SMALL)
        self.assertEqual(self.colours(CE_A, large, small, small), ["yellow", "green", "red"])


class MeterCountsToTheByte(Metered):
    """A bucket of exactly a packet's bytes takes it, of one byte less does not."""

    def runTest(self):
        for spare, colour in ((0, "green"), (-1, "red")):
            self.modify(session(1, 1, 600, meter=bursts(SMALL + spare, SMALL + spare)))
            self.assertEqual(self.colours(CE_A, of_bytes(SMALL)), [colour])


class MeterCountsTheFrameAsReceived(Metered):
    """The bytes of a meter are those of the frame as it came in, Ethernet and tags included, IPv4 and IPv6."""

    def runTest(self):
        self.write(to_vrf(CE_A, VRF_A, vlan=9))
        for packet in (udp4(), udp6()):
            tagged = into(CE_A, Dot1Q(vlan=9), packet)
            for spare, colour in ((0, "green"), (-1, "red")):
                size = len(tagged) + spare
                self.modify(session(1, 1, 600, meter=bursts(size, size)))
                self.assertEqual(self.colours(CE_A, tagged), [colour])


class SessionsHaveMetersOfTheirOwn(Metered):
    """What one session sends is not taken from another; two flows of one session share its meter."""

    def runTest(self):
        meter = bursts(2 * SMALL, 2 * SMALL)
        self.modify(session(1, 1, 600, meter=meter))
        self.write(session(2, 1, 600, meter=meter), flow(VRF_A, HOST_A, HOST_B, 2, dport=5002), flow(VRF_A, HOST_A, HOST_B, 1, dport=5001))
        self.assertEqual(self.colours(CE_A, of_bytes(SMALL), of_bytes(SMALL, 5001), of_bytes(SMALL)), ["green", "green", "red"])
        self.assertEqual(self.colours(CE_A, *[of_bytes(SMALL, 5002)] * 3), ["green", "green", "red"])


class NewMeterIsFull(Metered):
    """A meter that is configured anew begins with full buckets."""

    def runTest(self):
        for packets in (1, 2):
            self.modify(session(1, 1, 600, meter=bursts(packets * SMALL, packets * SMALL)))
            self.assertEqual(self.colours(CE_A, *[of_bytes(SMALL)] * 3), ["green"] * packets + ["red"] * (3 - packets))


class GreatRateIsNeverExceeded(Metered):
    """At the greatest rate that the contract names, 400 Gbit/s, a burst of a few packets is green."""

    def runTest(self):
        rate = 400_000_000_000 // 8
        self.modify(session(1, 1, 600, meter=Meter(rate, 100_000, rate, 100_000)))
        self.assertEqual(self.colours(CE_A, *[of_bytes(LARGE)] * 48), ["green"] * 48)


class BucketsFillAgain(Metered):
    """An empty bucket fills at its rate: after some time a packet is green again."""

    def runTest(self):
        # Of the peak's bucket there is always enough.
        self.modify(session(1, 1, 600, meter=Meter(10_000, SMALL, 1 << 40, 1 << 30)))
        self.assertEqual(self.colours(CE_A, of_bytes(SMALL)), ["green"])
        for _ in range(1000):
            if self.colours(CE_A, of_bytes(SMALL)) == ["green"]:
                return
        self.fail("the bucket does not fill")


class SessionWithoutAMeterIsGreen(Metered):
    """A session whose meter configuration is taken away is green at any rate."""

    skip_on: ClassVar = {"bmv2": "BMv2 keeps the configuration of a meter that is modified to have none"}

    def runTest(self):
        self.modify(session(1, 1, 600, meter=bursts(0, 0)))
        self.assertEqual(self.colours(CE_A, of_bytes(LARGE)), ["red"])
        self.modify(session(1, 1, 600, meter=None))
        self.assertEqual(self.colours(CE_A, *[of_bytes(LARGE)] * 48), ["green"] * 48)


class DroppedPacketsHaveUsedTheMeter(Metered):
    """What marking discards was metered before; what is expired was not."""

    def runTest(self):
        self.delete(marking(0, RED, 3))
        self.modify(session(1, 1, 600, meter=bursts(SMALL, SMALL)))
        self.punts(CE_A, into(CE_A, udp4(ttl=1, data=b"m" * (SMALL - 42))), "TTL_EXPIRED", VRF_A)
        self.assertEqual(self.colours(CE_A, of_bytes(SMALL)), ["green"])
        self.drops(CE_A, of_bytes(SMALL), "RED_DISCARD")


class VrfPolicerColoursRoutes(Metered):
    """A VRF's ceiling colours what its routes send into tunnels, IPv4 and IPv6 together."""

    def runTest(self):
        other = [into(CE_A, packet) for packet in (udp4("10.9.0.1"), udp6("2001:db8:9::1"))]
        first = sum(len(frame) for frame in other)
        self.write(vrf_policer(VRF_A, bursts(first, 2 * first)))
        self.assertEqual(self.colours(CE_A, *other, *other, *other), ["green"] * 2 + ["yellow"] * 2 + ["red"] * 2)


class VrfPolicerIsOfItsVrf(Metered):
    """A VRF's ceiling is not another's; without an entry everything is green."""

    def runTest(self):
        self.write(vrf_policer(VRF_A, bursts(0, 0)))
        self.assertEqual(self.colours(CE_A, into(CE_A, udp4("10.9.0.1"))), ["red"])
        self.assertEqual(self.colours(CE_B, *[into(CE_B, udp4("10.9.0.1"))] * 20), ["green"] * 20)
        self.delete(vrf_policer(VRF_A, bursts(0, 0)))
        self.assertEqual(self.colours(CE_A, *[into(CE_A, udp4("10.9.0.1"))] * 20), ["green"] * 20)


class VrfPolicerDropsLocalRed(Metered):
    """What a VRF sends to a local neighbour over its ceiling is dropped; up to it, green and yellow, it passes unmarked."""

    def runTest(self):
        frame = into(CE_A, udp4("10.8.0.1"))
        self.write(route(VRF_A, "10.8.0.0/16", "local", nexthop=CORE_B), vrf_policer(VRF_A, bursts(len(frame), 2 * len(frame))))
        expected = out_of(CORE_B, udp4("10.8.0.1", ttl=63))
        self.forwards(CE_A, frame, CORE_B, expected)
        self.forwards(CE_A, frame, CORE_B, expected)
        self.drops(CE_A, frame, "RED_DISCARD")


class VrfPolicerSparesSessions(Metered):
    """A VRF's ceiling does not concern packets of sessions, and they take nothing from it."""

    def runTest(self):
        frame = into(CE_A, udp4(dport=1))
        self.write(vrf_policer(VRF_A, bursts(len(frame), len(frame))))
        self.assertEqual(self.colours(CE_A, *[of_bytes(SMALL)] * 20), ["green"] * 20)
        self.assertEqual(self.colours(CE_A, frame, frame), ["green", "red"])
        self.assertEqual(self.colours(CE_A, of_bytes(SMALL)), ["green"])


class VrfPolicerSparesTheCore(Metered):
    """A VRF's ceiling does not concern what the core brings into it, by a label."""

    def runTest(self):
        self.write(ilm(100, "pop_vrf", vrf=VRF_A, ttl_mode=0), vrf_policer(VRF_A, bursts(0, 0)), vrf_policer(0, bursts(0, 0)))
        self.write(route(0, "0.0.0.0/0", "via_tunnel", tunnel=1, vpn_label=700, **{"class": 0}))
        self.assertEqual(self.colours(CORE, into(CORE, label(100), udp4()), into(CORE, udp4())), ["green"] * 2)


class VrfPolicerComesAfterTheRoute(Metered):
    """What has no route, is discarded, received or expired takes nothing from a VRF's ceiling."""

    def runTest(self):
        frame = into(CE_A, udp4("10.9.0.1"))
        self.write(vrf_policer(VRF_A, bursts(len(frame), len(frame))))
        self.write(route(VRF_A, "10.7.0.0/16", "discard"), route(VRF_A, "10.6.0.0/16", "receive"))
        self.drops(CE_A, into(CE_A, udp4("10.7.0.1")), "ROUTE_DISCARD")
        self.punts(CE_A, into(CE_A, udp4("10.6.0.1")), "RECEIVE", VRF_A)
        self.punts(CE_A, into(CE_A, udp4("10.9.0.1", ttl=1)), "TTL_EXPIRED", VRF_A)
        self.assertEqual(self.colours(CE_A, frame, frame), ["green", "red"])


class PuntPolicerDropsRed(Metered):
    """Punts of a reason are handed on up to the ceiling in packets, green and yellow, and dropped above it."""

    def runTest(self):
        self.write(punt_policer(self.schema.reasons["TTL_EXPIRED"], bursts(2, 5)))
        frame = into(CE_A, udp4("10.9.0.1", ttl=1, data=b"m" * 1000))
        for _ in range(5):
            self.punts(CE_A, frame, "TTL_EXPIRED", VRF_A)
        self.drops(CE_A, frame, "PUNT_POLICED")
        self.drops(CE_A, into(CE_A, udp6(ttl=1)), "PUNT_POLICED")


class PuntPolicerIsOfItsReason(Metered):
    """The ceiling of one reason does not concern another."""

    def runTest(self):
        self.write(punt_policer(self.schema.reasons["ARP"], bursts(0, 0)), route(VRF_A, f"{HOST_B}/32", "receive"))
        arp = Ether(dst="ff:ff:ff:ff:ff:ff", src="06:00:00:00:00:01") / Raw(b"\0\1\x08\0\6\4\0\2" + bytes(20))
        arp.type = 0x0806
        self.drops(CE_A, arp, "PUNT_POLICED")
        for _ in range(3):
            self.punts(CE_A, into(CE_A, udp4(dport=1)), "RECEIVE", VRF_A)


class PuntPolicerIsOfAllReasons(Metered):
    """Every reason to punt can be policed: labels, what is received, what is too big, and neighbour discovery."""

    def runTest(self):
        reasons = ("MPLS_ALERT", "RECEIVE", "TOO_BIG", "ND")
        self.write(*(punt_policer(self.schema.reasons[reason], bursts(1, 1)) for reason in reasons))
        self.write(route(VRF_A, "10.6.0.0/16", "receive"))
        discovery = into(CE_A, udp6("ff02::1", ttl=255, nh=58), dst="33:33:00:00:00:01")
        frame = bytearray(bytes(discovery))
        frame[14 + 40] = 135
        big = into(CE_A, udp6("2001:db8:9::1", data=b"m" * 1600))
        cases = {
            "MPLS_ALERT": (CORE, into(CORE, label(1)), 0),
            "RECEIVE": (CE_A, into(CE_A, udp4("10.6.0.1")), VRF_A),
            "TOO_BIG": (CE_A, big, VRF_A),
            "ND": (CE_A, bytes(frame), VRF_A),
        }
        for reason, (port, punted, vrf) in cases.items():
            self.punts(port, punted, reason, vrf)
            self.drops(port, punted, "PUNT_POLICED")


class PolicedPuntOfASessionIsDiscardedOnce(Metered):
    """A session's packet that is too big, and whose punt is policed, is counted once as not carried."""

    def runTest(self):
        self.write(punt_policer(self.schema.reasons["TOO_BIG"], bursts(0, 0)))
        before = self.client.discards(1)
        big = into(CE_A, udp6(data=b"m" * 1600))
        self.drops(CE_A, big, "PUNT_POLICED")
        self.assertEqual(self.client.discards(1) - before, Count(1, len(big)))


class LldpIsPoliced(Metered):
    """LLDP, which meets no other table, meets the ceiling of its reason."""

    def runTest(self):
        self.write(punt_policer(self.schema.reasons["LLDP"], Meter(0, 1 << 20, 0, 1 << 20)))
        frame = Ether(dst=LLDP_MAC, src="06:00:00:00:00:01") / Raw(bytes(30))
        frame.type = 0x88CC
        self.punts(CE_A, frame, "LLDP", 0)
        # Nothing behind a policed LLDP tells that it has been looked at; its drop does.
        self.modify(punt_policer(self.schema.reasons["LLDP"], bursts(0, 0)))
        before = self.client.drops()["PUNT_POLICED"]
        self.inject(CE_A, frame)
        for _ in range(1000):
            counted = self.client.drops()["PUNT_POLICED"] - before
            if counted.packets:
                break
        self.assertEqual(counted, Count(1, len(frame)))
        self.assertTrue(self.client.punts.empty())
