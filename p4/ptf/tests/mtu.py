"""nexthop: what is too big for a link, counted behind Ethernet and tags as it would leave."""

from typing import ClassVar

from scapy.packet import Padding

from router.base import Behaviour, Count
from router.entries import CE_A, CE_B, CORE, CORE_B, PE_TUNNEL, PE_TUNNEL_6, VRF_A, flow, ilm, nexthop, route, session, tunnel
from router.frames import (
    HOST_A,
    HOST_A6,
    HOST_B,
    HOST_B6,
    Dot1AD,
    Dot1Q,
    Raw,
    delivery4,
    gre,
    into,
    label,
    out_of,
    udp4,
    udp6,
    upper,
)

LINK = 9
MTU = 600


def packet4(length, **fields):
    """An IPv4 packet of so many bytes."""
    return udp4(data=b"4" * (length - 28), **fields)


def packet6(length, **fields):
    """An IPv6 packet of so many bytes."""
    return udp6(data=b"6" * (length - 48), **fields)


class Link(Behaviour):
    """Base: next hop 9 has an MTU of 600 bytes; VRF A is routed to it."""

    def entries(self):
        yield nexthop(LINK, CORE_B, mtu=MTU)
        yield route(VRF_A, "0.0.0.0/0", "local", nexthop=LINK)
        yield route(VRF_A, "::/0", "local", nexthop=LINK)


class PacketOfTheMtuPasses(Link):
    """A packet as long as the MTU passes, with DF or without, IPv4 and IPv6."""

    def runTest(self):
        for flags in ("", "DF"):
            self.forwards(CE_A, into(CE_A, packet4(MTU, flags=flags)), CORE_B, out_of(CORE_B, packet4(MTU, flags=flags, ttl=63)))
        self.forwards(CE_A, into(CE_A, packet6(MTU)), CORE_B, out_of(CORE_B, packet6(MTU, ttl=63)))


class TooBigWithDfIsPunted(Link):
    """An IPv4 packet with DF that is one byte too big goes to the controller, which answers it."""

    def runTest(self):
        self.punts(CE_A, into(CE_A, packet4(MTU + 1, flags="DF")), "TOO_BIG", VRF_A)


class TooBigWithoutDfIsDropped(Link):
    """An IPv4 packet without DF that is too big is dropped: it is not fragmented here."""

    def runTest(self):
        self.drops(CE_A, into(CE_A, packet4(MTU + 1)), "TOO_BIG_DROP")
        self.drops(CE_A, into(CE_A, packet4(1400, flags="MF")), "TOO_BIG_DROP")


class TooBigIpv6IsPunted(Link):
    """An IPv6 packet that is too big goes to the controller."""

    def runTest(self):
        self.punts(CE_A, into(CE_A, packet6(MTU + 1)), "TOO_BIG", VRF_A)


class TagsAreNotCounted(Link):
    """Neither received nor sent tags count for the MTU."""

    def runTest(self):
        self.modify(nexthop(LINK, CORE_B, mtu=MTU, vlan=5, inner_vlan=6))
        expected = out_of(CORE_B, Dot1AD(vlan=5), Dot1Q(vlan=6), packet4(MTU, ttl=63))
        self.forwards(CE_A, into(CE_A, Dot1Q(vlan=0), packet4(MTU)), CORE_B, expected)
        self.drops(CE_A, into(CE_A, Dot1Q(vlan=0), packet4(MTU + 1)), "TOO_BIG_DROP")


class TrailingBytesAreCounted(Link):
    """Bytes behind the packet count for the MTU."""

    def runTest(self):
        padding = Padding(b"12")
        self.forwards(CE_A, into(CE_A, packet4(MTU - 2), padding), CORE_B, out_of(CORE_B, packet4(MTU - 2, ttl=63), padding))
        self.drops(CE_A, into(CE_A, packet4(MTU - 1), padding), "TOO_BIG_DROP")


class PushedLabelsAreCounted(Link):
    """Labels that are pushed count for the MTU, and the customer's DF decides."""

    def entries(self):
        yield nexthop(LINK, CORE_B, mtu=MTU)
        yield tunnel(1, "lsp_3", l1=501, l2=502, l3=503, nexthop=LINK)
        for dst in ("0.0.0.0/0", "::/0"):
            yield route(VRF_A, dst, "via_tunnel", tunnel=1, vpn_label=600, **{"class": 0})

    def runTest(self):
        stack = [upper(501, ttl=63), upper(502, ttl=63), upper(503, ttl=63), label(600, ttl=63)]
        fitting = MTU - 16
        self.forwards(CE_A, into(CE_A, packet4(fitting)), CORE_B, out_of(CORE_B, *stack, packet4(fitting, ttl=63)))
        self.drops(CE_A, into(CE_A, packet4(fitting + 1)), "TOO_BIG_DROP")
        self.punts(CE_A, into(CE_A, packet4(fitting + 1, flags="DF")), "TOO_BIG", VRF_A)
        self.punts(CE_A, into(CE_A, packet6(fitting + 1)), "TOO_BIG", VRF_A)


class DeliveryHeaderIsCounted(Link):
    """GRE and its delivery header count for the MTU; the DF that counts is the customer's."""

    def runTest(self):
        self.modify(*(route(VRF_A, dst, "via_tunnel", tunnel=1, vpn_label=3, **{"class": 0}) for dst in ("0.0.0.0/0", "::/0")))
        self.write(tunnel(1, "gre_v4", **PE_TUNNEL, key=7, nexthop=LINK))
        fitting = MTU - 28
        expected = out_of(CORE_B, delivery4(63), gre(0x0800, key=7), packet4(fitting, ttl=63))
        self.forwards(CE_A, into(CE_A, packet4(fitting)), CORE_B, expected)
        self.drops(CE_A, into(CE_A, packet4(fitting + 1)), "TOO_BIG_DROP")
        self.modify(tunnel(1, "gre_v6", **PE_TUNNEL_6, key=0, nexthop=LINK))
        fitting = MTU - 44
        self.punts(CE_A, into(CE_A, packet4(fitting + 1, flags="DF")), "TOO_BIG", VRF_A)
        self.punts(CE_A, into(CE_A, packet6(fitting + 1)), "TOO_BIG", VRF_A)
        self.assertEqual(len(self.outcome(CE_A, into(CE_A, packet4(fitting)), into(CE_A, packet6(fitting))).sent), 2)


class SwappedPacketMeetsTheMtu(Link):
    """A labelled packet that is too big is judged by the IP packet below its labels."""

    def entries(self):
        yield nexthop(LINK, CORE_B, mtu=MTU)
        yield ilm(100, "swap", label=200, nexthop=LINK)
        yield ilm(101, "swap_push", label=200, l2=300, nexthop=LINK)

    def runTest(self):
        fitting = MTU - 8
        stack = [upper(100), label(7)]
        expected = out_of(CORE_B, upper(200, ttl=63), label(7), packet4(fitting))
        self.forwards(CORE, into(CORE, *stack, packet4(fitting)), CORE_B, expected)
        self.drops(CORE, into(CORE, *stack, packet4(fitting + 1)), "TOO_BIG_DROP")
        self.punts(CORE, into(CORE, *stack, packet4(fitting + 1, flags="DF")), "TOO_BIG", 0)
        self.punts(CORE, into(CORE, *stack, packet6(fitting + 1)), "TOO_BIG", 0)
        self.drops(CORE, into(CORE, label(101), packet4(fitting + 1)), "TOO_BIG_DROP")
        self.assertEqual(len(self.outcome(CORE, into(CORE, label(101), packet4(fitting))).sent), 1)


class UnseenPacketIsDropped(Link):
    """What is too big and not seen to be IP is dropped: below a fifth label, or of another kind."""

    def entries(self):
        return [nexthop(LINK, CORE_B, mtu=MTU), ilm(100, "swap", label=200, nexthop=LINK)]

    def runTest(self):
        self.drops(CORE, into(CORE, label(100), Raw(b"\x55" * MTU)), "TOO_BIG_DROP")
        four = [upper(100), upper(7), upper(8), label(9)]
        self.punts(CORE, into(CORE, *four, packet6(MTU)), "TOO_BIG", 0)
        self.drops(CORE, into(CORE, upper(100), upper(6), *four[1:], packet6(MTU)), "TOO_BIG_DROP")


class PoppedLabelIsNotCounted(Link):
    """A label that is removed does not count: php and a VPN label make a packet fit."""

    def entries(self):
        yield nexthop(LINK, CORE_B, mtu=MTU)
        yield ilm(100, "php", nexthop=LINK, ttl_mode=255)
        yield ilm(101, "pop_local", nexthop=LINK, ttl_mode=255)

    def runTest(self):
        self.forwards(CORE, into(CORE, label(100), packet4(MTU)), CORE_B, out_of(CORE_B, packet4(MTU)))
        self.forwards(CORE, into(CORE, label(101), packet6(MTU)), CORE_B, out_of(CORE_B, packet6(MTU, ttl=63)))
        self.drops(CORE, into(CORE, label(100), packet4(MTU + 1)), "TOO_BIG_DROP")
        self.punts(CORE, into(CORE, label(101), packet6(MTU + 1)), "TOO_BIG", 0)


class TooBigOfASessionIsNotCarried(Link):
    """A session counts what was too big for the link as carried and as discarded, dropped or punted."""

    def runTest(self):
        self.write(tunnel(1, "lsp_0", nexthop=LINK), session(1, 1, 600), flow(VRF_A, HOST_A, HOST_B, 1), flow(VRF_A, HOST_A6, HOST_B6, 1))
        before = self.client.discards(1)
        dropped, punted, sent = (into(CE_A, packet) for packet in (packet4(MTU), packet6(MTU), packet4(MTU - 4)))
        self.drops(CE_A, dropped, "TOO_BIG_DROP")
        self.punts(CE_A, punted, "TOO_BIG", VRF_A)
        self.forwards(CE_A, sent, CORE_B, out_of(CORE_B, label(600, ttl=63), packet4(MTU - 4, ttl=63)))
        lengths = [len(dropped), len(punted)]
        self.assertEqual(self.client.discards(1) - before, Count(2, sum(lengths)))
        self.assertEqual(self.client.counted(session(1, 1, 600)), Count(3, sum(lengths) + len(sent)))


class LinkWithoutAnMtuTakesNothing(Link):
    """A next hop with an MTU of 0 drops or punts everything; another neighbour is not concerned."""

    def runTest(self):
        self.modify(nexthop(LINK, CORE_B, mtu=0))
        self.write(route(VRF_A, "10.3.0.0/16", "local", nexthop=CE_B))
        self.drops(CE_A, into(CE_A, udp4()), "TOO_BIG_DROP")
        self.forwards(CE_A, into(CE_A, udp4("10.3.0.1")), CE_B, out_of(CE_B, udp4("10.3.0.1", ttl=63)))


class AbsentPortIsUnavailable(Link):
    """A next hop whose port is not there drops, after the MTU was looked at; the session's packet is counted as not carried."""

    skip_on: ClassVar = {"bmv2": "BMv2 neither knows nor counts what it sends to a port that is not there"}

    def runTest(self):
        self.modify(nexthop(LINK, 99, mtu=MTU))
        self.drops(CE_A, into(CE_A, packet4(MTU)), "PORT_UNAVAILABLE")
        self.drops(CE_A, into(CE_A, packet4(MTU + 1)), "TOO_BIG_DROP")
        self.write(tunnel(1, "lsp_0", nexthop=LINK), session(1, 1, 600), flow(VRF_A, HOST_A, HOST_B, 1))
        before = self.client.discards(1)
        frame = into(CE_A, udp4())
        self.drops(CE_A, frame, "PORT_UNAVAILABLE")
        self.assertEqual(self.client.discards(1) - before, Count(1, len(frame)))
