"""ilm: what each action does to the top label, and to TTL and TC."""

from scapy.layers.inet import IPOption

from router.base import Behaviour
from router.entries import CE_A, CE_B, CORE, CORE_B, VRF_A, VRF_B, ilm, nexthop, route
from router.frames import (
    DATA,
    HOST_B,
    Dot1Q,
    Raw,
    into,
    label,
    out_of,
    patched,
    udp4,
    udp6,
    upper,
)

PIPE = 255


class Labels(Behaviour):
    """Base: what becomes of a stack that the core brings."""

    def becomes(self, received, sent, port=CORE_B):
        """Layers behind Ethernet from the core leave as these."""
        self.forwards(CORE, into(CORE, *received), port, out_of(port, *sent))

    def expires(self, *received, vrf=0):
        """A frame from the core goes to the controller because of its TTL."""
        self.punts(CORE, into(CORE, *received), "TTL_EXPIRED", vrf)


class SwapReplacesTheLabel(Labels):
    """swap replaces the label and counts its TTL down; TC and bottom bit stay."""

    def entries(self):
        return [ilm(100, "swap", label=200, nexthop=CORE_B)]

    def runTest(self):
        for tc in range(8):
            self.becomes([label(100, tc=tc), udp4()], [label(200, ttl=63, tc=tc), udp4()])
        self.becomes([label(100, ttl=2), udp4()], [label(200, ttl=1), udp4()])
        self.becomes([label(100, ttl=255), udp6()], [label(200, ttl=254), udp6()])


class SwapTouchesTheTopOnly(Labels):
    """swap leaves the labels below as they are, however many there are."""

    def entries(self):
        return [ilm(1048575, "swap", label=16, nexthop=CORE_B)]

    def runTest(self):
        for depth in range(1, 9):
            below = [upper(300 + at, ttl=at, tc=at % 8) for at in range(depth)] + [label(999, ttl=3, tc=2)]
            self.becomes([upper(1048575, tc=4), *below, udp4()], [upper(16, ttl=63, tc=4), *below, udp4()])


class SwapDoesNotJudgeThePayload(Labels):
    """swap forwards any payload: wrong checksums, TTL 0, no IP at all, or none."""

    def entries(self):
        return [ilm(100, "swap", label=200, nexthop=CORE_B)]

    def runTest(self):
        for payload in (udp4(chksum=0x1234), udp4(ttl=0), Raw(DATA), Raw(b"\x45"), Raw(b"")):
            self.becomes([label(100), payload], [label(200, ttl=63), payload])


class SwapPushAddsALabel(Labels):
    """swap_push replaces the label and puts another above it, both with the decremented TTL and the TC received."""

    def entries(self):
        return [ilm(100, "swap_push", label=200, l2=300, nexthop=CORE_B)]

    def runTest(self):
        self.becomes([label(100, tc=5), udp4()], [upper(300, ttl=63, tc=5), label(200, ttl=63, tc=5), udp4()])
        below = [upper(400, ttl=9, tc=1), label(500, ttl=8), udp6()]
        self.becomes([upper(100, tc=2), *below], [upper(300, ttl=63, tc=2), upper(200, ttl=63, tc=2), *below])


class PhpExposesALabel(Labels):
    """php removes the label above another one, whose label, TC and bottom bit stay."""

    def entries(self):
        return [ilm(100, "php", nexthop=CORE_B, ttl_mode=0)]

    def runTest(self):
        self.becomes([upper(100), label(200, ttl=99, tc=3), udp4()], [label(200, ttl=63, tc=3), udp4()])
        deep = [upper(200, ttl=99), upper(300, ttl=98), upper(400), upper(500), label(600), udp4()]
        self.becomes([upper(100), *deep], [upper(200, ttl=63), *deep[1:]])


class UniformPhpTakesTheLesserTtl(Labels):
    """php in the uniform model exposes the lesser of the label's own TTL and the outer one less one (RFC 3443)."""

    def entries(self):
        return [ilm(100, "php", nexthop=CORE_B, ttl_mode=0)]

    def runTest(self):
        for outer, own, left in ((64, 99, 63), (64, 63, 63), (64, 62, 62), (2, 255, 1), (64, 1, 1), (64, 0, 0)):
            self.becomes([upper(100, ttl=outer), label(200, ttl=own), udp4()], [label(200, ttl=left), udp4()])


class PipePhpLeavesWhatItExposes(Labels):
    """php in the pipe model leaves what it exposes alone: label, IPv4, IPv6, also with TTL 0 or a wrong checksum."""

    def entries(self):
        return [ilm(100, "php", nexthop=CORE_B, ttl_mode=PIPE)]

    def runTest(self):
        self.becomes([upper(100, ttl=2), label(200, ttl=99), udp4()], [label(200, ttl=99), udp4()])
        for packet in (udp4(ttl=99), udp6(ttl=99), udp4(ttl=0), udp6(ttl=0), udp4(chksum=0x1234)):
            self.becomes([label(100, ttl=2), packet], [packet])


class UniformPhpChangesTheIpTtl(Labels):
    """php in the uniform model exposes IPv4 and IPv6 with the lesser TTL, the IPv4 checksum right."""

    def entries(self):
        return [ilm(100, "php", nexthop=CORE_B, ttl_mode=0)]

    def runTest(self):
        for outer, own, left in ((64, 99, 63), (64, 63, 63), (64, 10, 10), (2, 255, 1)):
            self.becomes([label(100, ttl=outer), udp4(ttl=own)], [udp4(ttl=left)])
            self.becomes([label(100, ttl=outer), udp6(ttl=own)], [udp6(ttl=left)])


class WrongChecksumStaysWrong(Labels):
    """php does not heal a checksum: one that is wrong is wrong by as much when the TTL has changed."""

    def entries(self):
        return [ilm(100, "php", nexthop=CORE_B, ttl_mode=0)]

    def runTest(self):
        right, changed = udp4(ttl=99), udp4(ttl=63)
        before, after = (int.from_bytes(bytes(packet)[10:12], "big") for packet in (right, changed))
        self.becomes([label(100), udp4(ttl=99, chksum=before - 0x123)], [udp4(ttl=63, chksum=after - 0x123)])


class PhpNeedsToKnowThePayload(Labels):
    """php at the bottom drops what is neither IPv4 nor IPv6, and what is too short to be it."""

    def entries(self):
        return [ilm(100, "php", nexthop=CORE_B, ttl_mode=PIPE)]

    def runTest(self):
        for payload in (b"", b"\x45", b"\x45" * 19, b"\x60" * 39, b"\x55" * 60, b"\x00" * 60, b"\xf5" * 60):
            self.drops(CORE, into(CORE, label(100), Raw(payload)), "UNKNOWN_PAYLOAD")
        self.becomes([label(100), Raw(b"\x45" * 20)], [udp4().__class__(b"\x45" * 20)])


class PhpNeedsAWholeLabel(Labels):
    """php drops a stack that ends within the label below."""

    def entries(self):
        return [ilm(100, "php", nexthop=CORE_B, ttl_mode=PIPE)]

    def runTest(self):
        for length in (0, 3):
            self.drops(CORE, into(CORE, upper(100), Raw(b"\0" * length)), "BAD_LABEL_STACK")


class PopVrfRoutesInTheVrf(Labels):
    """pop_vrf routes what is below the VPN label in its VRF, IPv4 and IPv6, to an untagged or a tagged circuit."""

    def entries(self):
        yield nexthop(9, CE_B, vlan=77)
        for incoming, vrf, hop in ((100, VRF_A, CE_A), (101, VRF_B, 9)):
            yield ilm(incoming, "pop_vrf", vrf=vrf, ttl_mode=PIPE)
            yield route(vrf, "10.2.0.0/16", "local", nexthop=hop)
            yield route(vrf, "2001:db8:2::/48", "local", nexthop=hop)

    def runTest(self):
        for packet, sent in ((udp4(), udp4(ttl=63)), (udp6(), udp6(ttl=63))):
            self.becomes([label(100), packet], [sent], CE_A)
            self.becomes([label(101), packet], [Dot1Q(vlan=77), sent], CE_B)


class PopVrfTtlModels(Labels):
    """pop_vrf: in the uniform model IP leaves with the lesser TTL less one, in the pipe model with its own less one."""

    def entries(self):
        yield ilm(100, "pop_vrf", vrf=VRF_A, ttl_mode=0)
        yield ilm(101, "pop_vrf", vrf=VRF_A, ttl_mode=PIPE)
        yield route(VRF_A, "10.2.0.0/16", "local", nexthop=CE_A)
        yield route(VRF_A, "2001:db8:2::/48", "local", nexthop=CE_A)

    def runTest(self):
        for outer, own, uniform in ((64, 99, 63), (64, 64, 63), (64, 10, 9), (2, 255, 1), (255, 2, 1)):
            for packet in (udp4, udp6):
                self.becomes([label(100, ttl=outer), packet(ttl=own)], [packet(ttl=uniform)], CE_A)
                self.becomes([label(101, ttl=outer), packet(ttl=own)], [packet(ttl=own - 1)], CE_A)


class PopVrfChecksIp(Labels):
    """pop_vrf judges the packet below as IPv6 if its first nibble is 6, otherwise as IPv4."""

    def entries(self):
        return [ilm(100, "pop_vrf", vrf=VRF_A, ttl_mode=PIPE), route(VRF_A, "0.0.0.0/0", "local", nexthop=CE_A)]

    def runTest(self):
        cases = {
            "IP_TRUNCATED": [b"", bytes(udp4())[:19], bytes(udp6())[:39]],
            "IP_BAD_VERSION": [patched(udp4(), 0, b"\x55"), b"\0" * 40],
            "IP_BAD_HEADER_LENGTH": [patched(udp4(), 0, b"\x44")],
            "IP_BAD_LENGTH": [bytes(udp4())[:-1], bytes(udp6())[:-1]],
            "IP_BAD_CHECKSUM": [bytes(udp4(chksum=1))],
            "IP_TTL_ZERO": [bytes(udp4(ttl=0)), bytes(udp6(ttl=0))],
        }
        for reason, payloads in cases.items():
            for payload in payloads:
                self.drops(CORE, into(CORE, label(100), Raw(payload)), reason)


class PopVrfFollowsTheRoute(Labels):
    """pop_vrf ends as the route of the VRF says: no route, discard, receive with the VRF."""

    def entries(self):
        yield ilm(100, "pop_vrf", vrf=VRF_B, ttl_mode=PIPE)
        yield route(VRF_B, "10.2.0.0/24", "discard")
        yield route(VRF_B, f"{HOST_B}/32", "receive")

    def runTest(self):
        self.drops(CORE, into(CORE, label(100), udp4("10.9.0.1")), "NO_ROUTE")
        self.drops(CORE, into(CORE, label(100), udp4("10.2.0.2")), "ROUTE_DISCARD")
        self.punts(CORE, into(CORE, label(100, tc=3), udp4()), "RECEIVE", VRF_B)


class PopVrfSeesOptions(Labels):
    """Below a label IPv4 options are part of the header: of its checksum, and kept."""

    def entries(self):
        return [ilm(100, "pop_vrf", vrf=VRF_A, ttl_mode=0), route(VRF_A, "0.0.0.0/0", "local", nexthop=CE_A)]

    def runTest(self):
        options = [IPOption(b"\x94\x04\x00\x00")]
        self.becomes([label(100), udp4(options=options)], [udp4(options=options, ttl=63)], CE_A)


class PopLocalLooksUpNothing(Labels):
    """pop_local sends IPv4 and IPv6 to its next hop without a route, in both TTL models."""

    def entries(self):
        return [ilm(100, "pop_local", nexthop=CE_A, ttl_mode=0), ilm(101, "pop_local", nexthop=CE_A, ttl_mode=PIPE)]

    def runTest(self):
        for packet in (udp4, udp6):
            self.becomes([label(100, ttl=20), packet()], [packet(ttl=19)], CE_A)
            self.becomes([label(101, ttl=20), packet()], [packet(ttl=63)], CE_A)
        self.drops(CORE, into(CORE, label(101), Raw(patched(udp4(), 0, b"\x55"))), "IP_BAD_VERSION")


class VpnLabelIsAtTheBottom(Labels):
    """pop_vrf and pop_local drop a label that is not at the bottom of the stack, even if it has expired."""

    def entries(self):
        return [ilm(100, "pop_vrf", vrf=VRF_A, ttl_mode=0), ilm(101, "pop_local", nexthop=CE_A, ttl_mode=0)]

    def runTest(self):
        for incoming in (100, 101):
            for ttl in (64, 1):
                self.drops(CORE, into(CORE, upper(incoming, ttl=ttl), label(200), udp4()), "BAD_LABEL_STACK")


class ExpiredLabelIsPunted(Labels):
    """Every action punts a label with TTL 1 or 0, as received; pop_vrf with its VRF."""

    def entries(self):
        yield ilm(100, "swap", label=200, nexthop=CORE_B)
        yield ilm(101, "swap_push", label=200, l2=300, nexthop=CORE_B)
        yield ilm(102, "php", nexthop=CORE_B, ttl_mode=0)
        yield ilm(103, "php", nexthop=CORE_B, ttl_mode=PIPE)
        yield ilm(104, "pop_vrf", vrf=VRF_A, ttl_mode=PIPE)
        yield ilm(105, "pop_local", nexthop=CE_A, ttl_mode=PIPE)

    def runTest(self):
        for ttl in (1, 0):
            for incoming in (100, 101, 102, 103, 105):
                self.expires(label(incoming, ttl=ttl, tc=6), udp4())
            self.expires(label(104, ttl=ttl), udp4(), vrf=VRF_A)


class ExpiredPacketBelowIsPunted(Labels):
    """Below a VPN label a packet with TTL 1 is punted as received; a uniform label of TTL 2 leaves it 1."""

    def entries(self):
        yield ilm(100, "pop_vrf", vrf=VRF_A, ttl_mode=PIPE)
        yield ilm(101, "pop_vrf", vrf=VRF_A, ttl_mode=0)
        yield ilm(102, "pop_local", nexthop=CE_A, ttl_mode=PIPE)
        yield route(VRF_A, "10.2.0.0/16", "local", nexthop=CE_A)

    def runTest(self):
        self.expires(label(100), udp4(ttl=1), vrf=VRF_A)
        self.expires(label(101), udp4(ttl=1), vrf=VRF_A)
        self.expires(label(102), udp4(ttl=1))
        self.becomes([label(101, ttl=2), udp4()], [udp4(ttl=1)], CE_A)


class UnknownLabelIsDropped(Labels):
    """A label that is not in the table drops, whatever its TTL."""

    def entries(self):
        return [ilm(100, "swap", label=200, nexthop=CORE_B)]

    def runTest(self):
        for incoming, ttl in ((101, 64), (99, 1), (1048575, 0), (16, 64)):
            self.drops(CORE, into(CORE, label(incoming, ttl=ttl), udp4()), "UNKNOWN_LABEL")


class LabelWithoutNextHopIsDropped(Labels):
    """A label that leads to a next hop that is not there drops."""

    def entries(self):
        yield ilm(100, "swap", label=200, nexthop=999)
        yield ilm(101, "pop_local", nexthop=999, ttl_mode=0)

    def runTest(self):
        for incoming in (100, 101):
            self.drops(CORE, into(CORE, label(incoming), udp4()), "NO_NEXTHOP")


class LabelIsModified(Labels):
    """A label whose entry is modified is treated otherwise at once; one whose entry is deleted is unknown."""

    def entries(self):
        return [ilm(100, "swap", label=200, nexthop=CORE_B)]

    def runTest(self):
        self.becomes([label(100), udp4()], [label(200, ttl=63), udp4()])
        self.modify(ilm(100, "php", nexthop=CE_B, ttl_mode=PIPE))
        self.becomes([label(100), udp4()], [udp4()], CE_B)
        self.delete(ilm(100, "php"))
        self.drops(CORE, into(CORE, label(100), udp4()), "UNKNOWN_LABEL")


class CutTopLabelIsDropped(Labels):
    """A frame that ends within its first label is dropped as truncated."""

    def runTest(self):
        whole = bytes(into(CORE, label(100)))
        for length in (14, 15, 17):
            self.drops(CORE, whole[:length], "FRAME_TRUNCATED")
