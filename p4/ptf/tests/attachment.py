"""attachment and station: whose frame it is, tags in and out."""

from scapy.packet import Padding

from router.base import Behaviour
from router.entries import CE_A, CE_B, CORE, VRF_A, VRF_B, ilm, nexthop, route, station, to_core, to_vrf
from router.frames import BROADCAST, DATA, MPLS, Dot1AD, Dot1Q, Ether, Raw, into, label, out_of, patched, router_mac, udp4


class Circuit(Behaviour):
    """Base: each VRF has a way out of its own."""

    def entries(self):
        return [route(VRF_A, "0.0.0.0/0", "local", nexthop=CORE), route(VRF_B, "0.0.0.0/0", "local", nexthop=CE_B)]

    def is_of(self, vrf, *layers, port=CE_A):
        """A frame with these tags leaves as a VRF's frames do."""
        egress = {VRF_A: CORE, VRF_B: CE_B}[vrf]
        self.forwards(port, into(port, *layers, udp4()), egress, out_of(egress, udp4(ttl=63)))


class UntaggedFrameIsOfItsPort(Circuit):
    """An untagged frame belongs to the VRF of its port."""

    def runTest(self):
        self.is_of(VRF_A)
        self.is_of(VRF_B, port=CE_B)


class TaggedFrameIsOfItsCircuit(Circuit):
    """A tagged frame belongs to the VRF of port and VLAN, and its tag is removed."""

    def runTest(self):
        self.write(to_vrf(CE_A, VRF_B, vlan=100))
        self.is_of(VRF_B, Dot1Q(vlan=100))
        self.is_of(VRF_A)


class TwoTagsAreOfTheirCircuit(Circuit):
    """A frame with two tags belongs to the VRF of port and both VLANs."""

    def runTest(self):
        self.write(to_vrf(CE_A, VRF_B, vlan=100, inner_vlan=200), to_vrf(CE_A, VRF_A, vlan=100, inner_vlan=201))
        self.is_of(VRF_B, Dot1AD(vlan=100), Dot1Q(vlan=200))
        self.is_of(VRF_A, Dot1AD(vlan=100), Dot1Q(vlan=201))


class TagsOfAnyEthertypeAreRead(Circuit):
    """0x8100 and 0x88a8 are the same on the way in, in any combination."""

    def runTest(self):
        self.write(to_vrf(CE_A, VRF_B, vlan=100, inner_vlan=200), to_vrf(CE_A, VRF_B, vlan=4095))
        for outer in (Dot1Q, Dot1AD):
            self.is_of(VRF_B, outer(vlan=4095))
            for inner in (Dot1Q, Dot1AD):
                tag = inner(vlan=200, type=0x0800)
                self.is_of(VRF_B, outer(vlan=100, type=0x8100 if inner is Dot1Q else 0x88A8), tag)


class PriorityTagIsAsNone(Circuit):
    """A tag with VID 0 is as no tag, whatever its priority, and is removed."""

    def runTest(self):
        self.is_of(VRF_A, Dot1Q(vlan=0, prio=5))
        self.write(to_vrf(CE_A, VRF_B, vlan=100))
        self.is_of(VRF_B, Dot1Q(vlan=100, prio=7, dei=1))


class UnknownVlanIsDropped(Circuit):
    """A VLAN of no circuit is dropped, and so is a known one with another inside, and one of another port."""

    def runTest(self):
        self.write(to_vrf(CE_B, VRF_B, vlan=100), to_vrf(CE_A, VRF_B, vlan=300))
        self.drops(CE_A, into(CE_A, Dot1Q(vlan=100), udp4()), "UNKNOWN_ATTACHMENT")
        self.drops(CE_A, into(CE_A, Dot1AD(vlan=300), Dot1Q(vlan=5), udp4()), "UNKNOWN_ATTACHMENT")


class UnknownPortIsDropped(Circuit):
    """A port without a circuit for untagged frames drops them."""

    def runTest(self):
        self.delete(to_vrf(CE_A, VRF_A))
        self.drops(CE_A, into(CE_A, udp4()), "UNKNOWN_ATTACHMENT")


class ThirdTagIsUnknown(Circuit):
    """Only two tags are read: a third is an unknown ethertype."""

    def runTest(self):
        self.write(to_vrf(CE_A, VRF_A, vlan=1, inner_vlan=2))
        frame = into(CE_A, Dot1AD(vlan=1), Dot1Q(vlan=2), Dot1Q(vlan=3), udp4())
        self.drops(CE_A, frame, "UNKNOWN_ETHERTYPE")


class SentTagIs8100(Circuit):
    """A next hop with a VLAN sends one tag 0x8100 of priority 0, whatever was received."""

    def runTest(self):
        self.write(to_vrf(CE_A, VRF_A, vlan=100), nexthop(9, CORE, vlan=300))
        self.modify(route(VRF_A, "0.0.0.0/0", "local", nexthop=9))
        expected = out_of(CORE, Dot1Q(vlan=300, prio=0), udp4(ttl=63))
        self.forwards(CE_A, into(CE_A, udp4()), CORE, expected)
        self.forwards(CE_A, into(CE_A, Dot1AD(vlan=100, prio=6, dei=1), udp4()), CORE, expected)


class SentTagsAre88a8And8100(Circuit):
    """A next hop with two VLANs sends 0x88a8 outside 0x8100, both of priority 0."""

    def runTest(self):
        self.write(nexthop(9, CORE, vlan=300, inner_vlan=4094))
        self.modify(route(VRF_A, "0.0.0.0/0", "local", nexthop=9))
        expected = out_of(CORE, Dot1AD(vlan=300), Dot1Q(vlan=4094), udp4(ttl=63))
        self.forwards(CE_A, into(CE_A, udp4()), CORE, expected)


class InnerTagAloneIs8100(Circuit):
    """A next hop with an inner VLAN only sends that as one tag 0x8100."""

    def runTest(self):
        self.write(nexthop(9, CORE, inner_vlan=7))
        self.modify(route(VRF_A, "0.0.0.0/0", "local", nexthop=9))
        self.forwards(CE_A, into(CE_A, udp4()), CORE, out_of(CORE, Dot1Q(vlan=7), udp4(ttl=63)))


class CircuitIsModified(Circuit):
    """A circuit that is given to another VRF belongs to it from then on."""

    def runTest(self):
        self.is_of(VRF_A)
        self.modify(to_vrf(CE_A, VRF_B))
        self.is_of(VRF_B)


class CoreCircuitMayBeTagged(Behaviour):
    """Labels are taken from a core circuit with one tag or two, and leave with those of the next hop."""

    def entries(self):
        tagged = [to_core(CORE, vlan=10), to_core(CORE, vlan=10, inner_vlan=20)]
        return [*tagged, nexthop(9, CORE, vlan=10, inner_vlan=20), ilm(100, "swap", label=200, nexthop=9)]

    def runTest(self):
        expected = out_of(CORE, Dot1AD(vlan=10), Dot1Q(vlan=20, type=0x8847), label(200, ttl=63), udp4())
        for tags in ([Dot1Q(vlan=10, type=0x8847)], [Dot1AD(vlan=10), Dot1Q(vlan=20, type=0x8847)]):
            self.forwards(CORE, into(CORE, *tags, label(100), udp4()), CORE, expected)


class UnknownStationIsDropped(Circuit):
    """A frame for another MAC address is dropped, broadcast too."""

    def runTest(self):
        for mac in ("02:00:00:00:01:01", BROADCAST, "01:00:5e:00:00:05", "00:00:00:00:00:00"):
            self.drops(CE_A, into(CE_A, udp4(), dst=mac), "UNKNOWN_STATION")


class StationIsOfItsPort(Circuit):
    """A MAC address of the router counts at its own port only; a port may have several."""

    def runTest(self):
        frame = into(CE_A, udp4(), dst=router_mac(CE_B))
        self.drops(CE_A, frame, "UNKNOWN_STATION")
        self.write(station(CE_A, router_mac(CE_B)))
        self.forwards(CE_A, frame, CORE, out_of(CORE, udp4(ttl=63)))
        self.is_of(VRF_A)


class UnknownEthertypeIsDropped(Circuit):
    """An ethertype that nobody knows is dropped, from a customer and from the core, also MPLS with an upstream label."""

    def runTest(self):
        for port in (CE_A, CORE):
            for ethertype in (0x1234, 0x8848, 0x0000, 0x05DC, 0xFFFF):
                frame = Ether(bytes(into(port, Raw(DATA)))[:12] + ethertype.to_bytes(2, "big") + DATA)
                self.drops(port, frame, "UNKNOWN_ETHERTYPE")


class CustomersLabelIsDropped(Circuit):
    """MPLS from a customer is dropped, even if its label is known: a CE cannot name one."""

    def runTest(self):
        self.write(ilm(100, "swap", label=200, nexthop=CORE))
        self.drops(CE_A, into(CE_A, label(100), udp4()), "MPLS_ON_ATTACHMENT")
        self.drops(CE_A, into(CE_A, MPLS(label=1, s=1, ttl=0)), "MPLS_ON_ATTACHMENT")


class CutTagIsDropped(Circuit):
    """A frame that ends in its second tag is dropped as truncated."""

    def runTest(self):
        head = bytes(into(CE_A, Dot1Q(vlan=1, type=0x8100)))
        for rest in (b"\0\1", b"\0\1\x08"):
            self.drops(CE_A, head + rest, "FRAME_TRUNCATED")


class TrailingBytesAreKept(Circuit):
    """What is behind the IP packet leaves with it, with or without tags on the way."""

    def runTest(self):
        self.write(nexthop(9, CORE, vlan=300))
        for hop, tags in ((CORE, []), (9, [Dot1Q(vlan=300)])):
            self.modify(route(VRF_A, "0.0.0.0/0", "local", nexthop=hop))
            padding = Padding(b"behind the packet")
            self.forwards(CE_A, into(CE_A, udp4(), padding), CORE, out_of(CORE, *tags, udp4(ttl=63), padding))


class SmallestPacketPasses(Circuit):
    """An IP header without anything in it is a packet."""

    def runTest(self):
        frame = into(CE_A, udp4())
        header = patched(frame, 14 + 2, b"\0\x14")[: 14 + 20]
        whole = Ether(header)
        del whole["IP"].chksum
        whole["IP"].proto = 253
        expected = out_of(CORE, whole["IP"].copy())
        expected["IP"].ttl = 63
        self.forwards(CE_A, whole, CORE, expected)
