"""gre_ingress_v4 and gre_ingress_v6: GRE that ends here, and GRE that does not."""

from scapy.layers.inet import IPOption
from scapy.layers.inet6 import IPv6ExtHdrFragment
from scapy.packet import Padding

from router.base import Behaviour
from router.entries import CE_A, CE_B, CORE, CORE_B, VRF_A, VRF_B, gre_ingress, ilm, route
from router.frames import HOST_B, PE1, PE1_6, PE2, PE2_6, Dot1Q, Raw, gre, into, ip4, ip6, label, out_of, udp4, udp6, upper

ENDS = {"src": PE1, "dst": PE2}
ENDS_6 = {"src": PE1_6, "dst": PE2_6}
MPLS_UNICAST = 0x8847
TEB = 0x6558


def outer4(ttl=64, **fields):
    """The delivery header of another router."""
    return ip4(PE2, src=PE1, ttl=ttl, proto=47, **fields)


def outer6(ttl=64, **fields):
    """The same over IPv6."""
    return ip6(PE2_6, src=PE1_6, ttl=ttl, **{"nh": 47} | fields)


OUTERS = (outer4, outer6)


class GreIn(Behaviour):
    """Base: GRE of key 0 ends in VRF A, of key 7 in VRF B, of key 8 carries labels, over IPv4 and IPv6; VRF 0 has a route on."""

    def entries(self):
        for ends in (ENDS, ENDS_6):
            yield gre_ingress(**ends, key=0, action="decap_vrf", vrf=VRF_A)
            yield gre_ingress(**ends, key=7, action="decap_vrf", vrf=VRF_B)
            yield gre_ingress(**ends, key=8, action="decap_mpls")
        for vrf, hop in ((VRF_A, CE_A), (VRF_B, CE_B), (0, CORE_B)):
            yield route(vrf, "0.0.0.0/0", "local", nexthop=hop)
            yield route(vrf, "::/0", "local", nexthop=hop)
        yield ilm(100, "swap", label=200, nexthop=CORE_B)
        yield ilm(101, "pop_vrf", vrf=VRF_A, ttl_mode=0)
        yield ilm(102, "pop_next", ttl_mode=0)
        yield ilm(103, "php", nexthop=CORE_B, ttl_mode=0)

    def becomes(self, received, sent, port=CE_A):
        """Layers from the core leave by a port as these."""
        self.forwards(CORE, into(CORE, *received), port, out_of(port, *sent))

    def refuses(self, reason, *layers):
        """Layers from the core are dropped."""
        self.drops(CORE, into(CORE, *layers), reason)


class GreEndsInAVrf(GreIn):
    """GRE over IPv4 ends in the VRF of its ends: IPv4 and IPv6 inside are routed there, TTL their own less one."""

    def runTest(self):
        self.becomes([outer4(), gre(0x0800), udp4()], [udp4(ttl=63)])
        self.becomes([outer4(), gre(0x86DD), udp6()], [udp6(ttl=63)])


class GreEndsInAVrfV6(GreIn):
    """GRE over IPv6 ends in the VRF of its ends: IPv4 and IPv6 inside are routed there."""

    def runTest(self):
        self.becomes([outer6(), gre(0x0800), udp4()], [udp4(ttl=63)])
        self.becomes([outer6(), gre(0x86DD), udp6()], [udp6(ttl=63)])


class GreKeyNamesTheVrf(GreIn):
    """The key is of the look-up: another key ends in another VRF, over IPv4 and IPv6."""

    def runTest(self):
        for outer in OUTERS:
            self.becomes([outer(), gre(0x0800, key=7), udp4()], [udp4(ttl=63)], CE_B)
            self.becomes([outer(), gre(0x86DD, key=7), udp6()], [udp6(ttl=63)], CE_B)


class GreKey0IsAsNone(GreIn):
    """A key field that says 0 is as no key field."""

    def runTest(self):
        for outer in OUTERS:
            self.becomes([outer(), gre(0x0800, key=0), udp4()], [udp4(ttl=63)])


class GreChecksumIsSkipped(GreIn):
    """A checksum field is skipped, right or wrong, and the key is found behind it."""

    def runTest(self):
        for outer in OUTERS:
            for checksum in (None, 0x1234):
                header = gre(0x0800, chksum_present=1, chksum=checksum)
                self.becomes([outer(), header, udp4()], [udp4(ttl=63)])
                keyed = gre(0x0800, key=7, chksum_present=1, chksum=checksum)
                self.becomes([outer(), keyed, udp4()], [udp4(ttl=63)], CE_B)


class GreSequenceIsSkipped(GreIn):
    """A sequence number is skipped, alone and with all other fields."""

    def runTest(self):
        for outer in OUTERS:
            self.becomes([outer(), gre(0x0800, seqnum_present=1, sequence_number=99), udp4()], [udp4(ttl=63)])
            keyed = gre(0x0800, key=7, seqnum_present=1, sequence_number=1)
            self.becomes([outer(), keyed, udp4()], [udp4(ttl=63)], CE_B)
            everything = gre(0x86DD, key=7, seqnum_present=1, sequence_number=0xFFFFFFFF, chksum_present=1)
            self.becomes([outer(), everything, udp6()], [udp6(ttl=63)], CE_B)


class OtherReservedBitsAreIgnored(GreIn):
    """The strict source route bit and the recursion bits of RFC 1701 change nothing."""

    def runTest(self):
        self.becomes([outer4(), gre(0x0800, strict_route_source=1, recursion_control=7, flags=31), udp4()], [udp4(ttl=63)])


class GreOfOthersIsRouted(GreIn):
    """GRE of a key, source or destination that does not end here is routed in VRF 0 as any IP, whatever is wrong with it."""

    def runTest(self):
        others = [
            [ip4(PE2, src=PE1, proto=47), gre(0x0800, key=9), udp4()],
            [ip4(PE2, src="192.0.2.9", proto=47), gre(0x0800), udp4()],
            [ip4("192.0.2.9", src=PE1, proto=47), gre(0x0800), udp4()],
            [ip4("192.0.2.9", src=PE1, proto=47), gre(0x0800, version=1), udp4()],
            [ip4("192.0.2.9", src=PE1, proto=47, flags="MF"), gre(0x0800, routing_present=1), udp4()],
        ]
        for layers in others:
            sent = [layers[0].copy(), *layers[1:]]
            sent[0].ttl = 63
            self.becomes(layers, sent, CORE_B)
        self.becomes([outer6(), gre(0x0800, key=9), udp4()], [outer6(ttl=63), gre(0x0800, key=9), udp4()], CORE_B)


class OtherProtocolIsNoGre(GreIn):
    """Packets between the ends of a GRE tunnel that are not GRE are routed in VRF 0."""

    def runTest(self):
        self.becomes([udp4(PE2, src=PE1)], [udp4(PE2, src=PE1, ttl=63)], CORE_B)
        self.becomes([udp6(PE2_6, src=PE1_6)], [udp6(PE2_6, src=PE1_6, ttl=63)], CORE_B)


class CustomersGreDoesNotEnd(GreIn):
    """GRE from a customer is ordinary IP, even between the ends of a tunnel."""

    def runTest(self):
        sent = out_of(CE_B, outer4(ttl=63), gre(0x0800), udp4())
        self.forwards(CE_B, into(CE_B, outer4(), gre(0x0800), udp4()), CE_B, sent)


class GreInGreEndsOnce(GreIn):
    """Only the outermost GRE ends: one inside, between the same ends, is routed in the VRF."""

    def runTest(self):
        inner = [gre(0x0800), udp4()]
        self.becomes([outer4(), gre(0x0800), outer4(), *inner], [outer4(ttl=63), *inner])


class GreBelowALabelDoesNotEnd(GreIn):
    """GRE below a label, a VPN's or an explicit null, is routed as any IP."""

    def runTest(self):
        inner = [gre(0x0800), udp4()]
        self.becomes([label(101), outer4(), *inner], [outer4(ttl=63), *inner])
        self.becomes([label(0), outer4(), *inner], [outer4(ttl=63), *inner], CORE_B)


class OuterTtlIsNotLookedAt(GreIn):
    """GRE ends whatever its outer TTL is, but 0: that is dropped as any IP with TTL 0."""

    def runTest(self):
        for outer in OUTERS:
            self.becomes([outer(ttl=1), gre(0x0800), udp4()], [udp4(ttl=63)])
            self.refuses("IP_TTL_ZERO", outer(ttl=0), gre(0x0800), udp4())


class InnerTtlIsItsOwn(GreIn):
    """What GRE brings with TTL 1 is punted as received, with its VRF; with TTL 0 it is dropped."""

    def runTest(self):
        for outer in OUTERS:
            self.punts(CORE, into(CORE, outer(), gre(0x0800), udp4(ttl=1)), "TTL_EXPIRED", VRF_A)
            self.punts(CORE, into(CORE, outer(), gre(0x86DD, key=7), udp6(ttl=1)), "TTL_EXPIRED", VRF_B)
            self.refuses("IP_TTL_ZERO", outer(), gre(0x0800), udp4(ttl=0))


class InnerRouteCounts(GreIn):
    """What GRE brings ends as the routes of its VRF say: received as the whole frame, discarded, or without a route."""

    def runTest(self):
        self.write(route(VRF_A, f"{HOST_B}/32", "receive"), route(VRF_A, "10.3.0.0/16", "discard"))
        self.punts(CORE, into(CORE, outer4(), gre(0x0800), udp4()), "RECEIVE", VRF_A)
        self.refuses("ROUTE_DISCARD", outer6(), gre(0x0800), udp4("10.3.0.1"))
        self.delete(route(VRF_B, "0.0.0.0/0", "local"))
        self.refuses("NO_ROUTE", outer4(), gre(0x0800, key=7), udp4())


class InnerPacketIsChecked(GreIn):
    """What GRE brings meets all checks of IP, by the protocol type that GRE says."""

    def runTest(self):
        for outer in OUTERS:
            self.refuses("IP_BAD_CHECKSUM", outer(), gre(0x0800), udp4(chksum=1))
            self.refuses("IP_BAD_VERSION", outer(), gre(0x0800), udp6())
            self.refuses("IP_BAD_VERSION", outer(), gre(0x86DD), udp4())
            self.refuses("IP_TRUNCATED", outer(), gre(0x0800), Raw(bytes(udp4())[:19]))
            self.refuses("IP_TRUNCATED", outer(), gre(0x86DD), Raw(bytes(udp6())[:39]))
            self.refuses("IP_BAD_LENGTH", outer(), gre(0x0800), Raw(bytes(udp4())[:-1]))


class OuterPacketIsChecked(GreIn):
    """A delivery header with a wrong checksum or a length beyond the frame is dropped before GRE is looked at."""

    def runTest(self):
        self.refuses("IP_BAD_CHECKSUM", outer4(chksum=1), gre(0x0800), udp4())
        self.refuses("IP_BAD_LENGTH", outer4(len=1000), gre(0x0800), udp4())
        self.refuses("IP_BAD_LENGTH", outer6(plen=1000), gre(0x0800), udp4())


class RoutingBitIsRefused(GreIn):
    """GRE that ends here with the routing bit is dropped (RFC 2784)."""

    def runTest(self):
        for outer in OUTERS:
            frame = into(CORE, outer(), Raw(b"\x40\x00\x08\x00"), Raw(bytes(udp4())))
            self.drops(CORE, frame, "BAD_GRE")


class OtherGreVersionIsRefused(GreIn):
    """GRE that ends here of another version than 0 is dropped, version 1 of PPTP too."""

    def runTest(self):
        for outer in OUTERS:
            for version in (1, 7):
                self.refuses("BAD_GRE", outer(), gre(0x0800, version=version), udp4())


class FragmentedGreIsRefused(GreIn):
    """GRE that ends here in fragments is dropped, the first and the others; so is one with an IPv6 fragment header at all."""

    def runTest(self):
        self.refuses("BAD_GRE", outer4(flags="MF"), gre(0x0800), udp4())
        self.refuses("BAD_GRE", outer4(frag=10), gre(0x0800), udp4())
        for fields in ({"m": 1}, {"offset": 10}, {}):
            self.refuses("BAD_GRE", outer6(nh=44), IPv6ExtHdrFragment(nh=47, **fields), gre(0x0800), udp4())


class CutGreIsRefused(GreIn):
    """GRE that ends here and whose header is beyond the packet's own length is dropped."""

    def runTest(self):
        for length in (0, 3):
            self.refuses("BAD_GRE", outer4(len=20 + length), gre(0x0800), udp4())
            self.refuses("BAD_GRE", outer6(plen=length), gre(0x0800), udp4())
        self.refuses("BAD_GRE", outer4(len=20 + 7), gre(0x0800, key=7), udp4())
        self.refuses("BAD_GRE", outer4(), Raw(b"\0\0\x08"))


class UnknownPayloadOfGreIsDropped(GreIn):
    """A protocol type that the tunnel does not take is dropped: Ethernet, labels where IP is expected, IP where labels are."""

    def runTest(self):
        for outer in OUTERS:
            self.refuses("UNKNOWN_PAYLOAD", outer(), gre(TEB), Raw(bytes(into(CE_A, udp4()))))
            self.refuses("UNKNOWN_PAYLOAD", outer(), gre(MPLS_UNICAST), label(100), udp4())
            self.refuses("UNKNOWN_PAYLOAD", outer(), gre(0x0800, key=8), udp4())


class LabelsInGreAreActedUpon(GreIn):
    """Labels in GRE are acted upon as from a core port, over IPv4 and IPv6: swapped, popped, looked below, removed (RFC 4023)."""

    def runTest(self):
        for outer in OUTERS:
            before = [outer(), gre(MPLS_UNICAST, key=8)]
            self.becomes([*before, label(100, tc=3), udp4()], [label(200, ttl=63, tc=3), udp4()], CORE_B)
            self.becomes([*before, label(101, ttl=20), udp4()], [udp4(ttl=19)])
            self.becomes([*before, label(101, ttl=20), udp6()], [udp6(ttl=19)])
            self.becomes([*before, upper(102), upper(0), label(101), udp4()], [udp4(ttl=63)])
            self.becomes([*before, upper(103), label(9, ttl=9), udp4()], [label(9, ttl=9), udp4()], CORE_B)


class LabelsInGreAreJudged(GreIn):
    """Labels in GRE are judged as any: unknown, reserved, alert, expired, cut short."""

    def runTest(self):
        for outer in OUTERS:
            before = [outer(), gre(MPLS_UNICAST, key=8)]
            self.refuses("UNKNOWN_LABEL", *before, label(999), udp4())
            self.refuses("RESERVED_LABEL", *before, label(3), udp4())
            self.refuses("FRAME_TRUNCATED", *before, Raw(b"\0\0\0"))
            self.punts(CORE, into(CORE, *before, label(1), udp4()), "MPLS_ALERT", 0)
            self.punts(CORE, into(CORE, *before, label(100, ttl=1), udp4()), "TTL_EXPIRED", 0)


class OuterOptionsAreSkipped(GreIn):
    """GRE is found behind the delivery header's options."""

    def runTest(self):
        options = [IPOption(b"\x94\x04\x00\x00"), IPOption(b"\x01" * 36)]
        self.becomes([outer4(options=options), gre(0x0800, key=7), udp4()], [udp4(ttl=63)], CE_B)


class TrailingBytesAreKeptOfGre(GreIn):
    """What is behind the packet in GRE leaves with it, whatever the delivery header's length says."""

    def runTest(self):
        tail = Padding(b"tail")
        self.becomes([outer4(), gre(0x0800), udp4(), tail], [udp4(ttl=63), tail])
        # The delivery header's length covers GRE only.
        self.becomes([outer4(len=24), gre(0x0800), udp4()], [udp4(ttl=63)])


class GreIngressIsModified(GreIn):
    """An entry that is modified ends elsewhere, or takes labels; one that is deleted ends nothing."""

    def runTest(self):
        layers = [outer4(), gre(0x0800), udp4()]
        self.modify(gre_ingress(**ENDS, key=0, action="decap_vrf", vrf=VRF_B))
        self.becomes(layers, [udp4(ttl=63)], CE_B)
        self.modify(gre_ingress(**ENDS, key=0, action="decap_mpls"))
        self.refuses("UNKNOWN_PAYLOAD", *layers)
        self.delete(gre_ingress(**ENDS, key=0, action="decap_mpls"))
        self.becomes(layers, [outer4(ttl=63), gre(0x0800), udp4()], CORE_B)


class PuntOfGreIsAsReceived(GreIn):
    """A punt of what GRE brought carries the whole frame, delivery header and all."""

    def runTest(self):
        frame = into(CORE, Dot1Q(vlan=0, prio=6), outer4(tos=0xB8), gre(0x0800, key=7), udp4(ttl=1), Padding(b"tail"))
        self.punts(CORE, frame, "TTL_EXPIRED", VRF_B)
