"""arp_responder, neighbour discovery and LLDP: answered here, or by the controller."""

from scapy.layers.inet import ICMP
from scapy.layers.inet6 import (
    ICMPv6EchoRequest,
    ICMPv6ND_NA,
    ICMPv6ND_NS,
    ICMPv6ND_RA,
    ICMPv6ND_Redirect,
    ICMPv6ND_RS,
    IPv6ExtHdrHopByHop,
    PadN,
)
from scapy.packet import Padding

from router.base import Behaviour
from router.entries import CE_A, CORE, VRF_A, arp_responder, route, to_vrf
from router.frames import ARP, BROADCAST, HOST_A, LLDP_MAC, Dot1AD, Dot1Q, Ether, Raw, into, ip4, ip6, neighbour_mac, out_of, tags

GATEWAY = "10.1.0.254"
MAC = "02:aa:bb:cc:dd:ee"


def request(target=GATEWAY, **fields):
    """An ARP request of host A."""
    return ARP(op=1, hwsrc=neighbour_mac(CE_A), psrc=HOST_A, hwdst="00:00:00:00:00:00", pdst=target, **fields)


def reply():
    """What the router answers for the gateway's address."""
    return ARP(op=2, hwsrc=MAC, psrc=GATEWAY, hwdst=neighbour_mac(CE_A), pdst=HOST_A)


def asked(*layers):
    """A broadcast of host A."""
    return into(CE_A, *layers, dst=BROADCAST)


def answered(*layers):
    """An answer to host A."""
    return tags(Ether(dst=neighbour_mac(CE_A), src=MAC), *layers)


class Neighbour(Behaviour):
    """Base: the gateway's address is answered for."""

    def entries(self):
        return [arp_responder(CE_A, GATEWAY, MAC)]


class ArpRequestIsAnswered(Neighbour):
    """A request for an address that is known is answered on the same port, from its MAC address."""

    def runTest(self):
        self.forwards(CE_A, asked(request()), CE_A, answered(reply()))


class ArpNeedsNoStation(Neighbour):
    """A request to any unicast address is answered, as probes of a known neighbour are."""

    def runTest(self):
        self.forwards(CE_A, into(CE_A, request(), dst="02:99:99:99:99:99"), CE_A, answered(reply()))


class ArpAnswerGoesToTheSender(Neighbour):
    """The answer goes to the sender that ARP names, whatever the frame's source is."""

    def runTest(self):
        frame = asked(request())
        frame.src = "06:00:00:00:ff:ff"
        self.forwards(CE_A, frame, CE_A, answered(reply()))


class ArpAnswerKeepsTheTag(Neighbour):
    """The answer to a tagged request has the VLAN and priority 0, and the bytes behind the request."""

    def runTest(self):
        self.write(to_vrf(CE_A, VRF_A, vlan=100), arp_responder(CE_A, GATEWAY, MAC, vlan=100))
        padding = Padding(b"\0" * 18)
        frame = asked(Dot1Q(vlan=100, prio=5), request(), padding)
        self.forwards(CE_A, frame, CE_A, answered(Dot1Q(vlan=100), reply() / padding))


class ArpAnswerKeepsTwoTags(Neighbour):
    """The answer to a request with two tags has both VLANs, 0x88a8 outside; the outer one is of the key."""

    def runTest(self):
        self.write(to_vrf(CE_A, VRF_A, vlan=100, inner_vlan=200), arp_responder(CE_A, GATEWAY, MAC, vlan=100))
        frame = asked(Dot1Q(vlan=100, prio=1, type=0x8100), Dot1Q(vlan=200, prio=2), request())
        self.forwards(CE_A, frame, CE_A, answered(Dot1AD(vlan=100), Dot1Q(vlan=200), reply()))


class ArpAnswerDropsAPriorityTag(Neighbour):
    """The answer to a request with VID 0 has no tag."""

    def runTest(self):
        self.forwards(CE_A, asked(Dot1Q(vlan=0, prio=7), request()), CE_A, answered(reply()))


class UnknownArpTargetIsPunted(Neighbour):
    """A request for another address, or for one of another VLAN, goes to the controller with the VRF."""

    def runTest(self):
        self.punts(CE_A, asked(request("10.1.0.253")), "ARP", VRF_A)
        self.write(to_vrf(CE_A, 77, vlan=100))
        self.punts(CE_A, asked(Dot1Q(vlan=100), request()), "ARP", 77)


class ArpReplyIsPunted(Neighbour):
    """A reply goes to the controller, also from the core."""

    def runTest(self):
        frame = into(CE_A, ARP(op=2, hwsrc=neighbour_mac(CE_A), psrc=HOST_A, hwdst=MAC, pdst=GATEWAY))
        self.punts(CE_A, frame, "ARP", VRF_A)
        self.punts(CORE, frame, "ARP", 0)


class StrangeArpIsPunted(Neighbour):
    """A request that is not about IPv4 on Ethernet goes to the controller."""

    def runTest(self):
        for fields in ({"hwtype": 6}, {"ptype": 0x86DD}, {"hwlen": 8}, {"plen": 16}):
            frame = bytearray(bytes(asked(request())))
            for name, value in fields.items():
                at, size = {"hwtype": (14, 2), "ptype": (16, 2), "hwlen": (18, 1), "plen": (19, 1)}[name]
                frame[at : at + size] = value.to_bytes(size, "big")
            self.punts(CE_A, bytes(frame), "ARP", VRF_A)
        frame = asked(request())
        frame[ARP].op = 8
        self.punts(CE_A, frame, "ARP", VRF_A)


class CutArpIsDropped(Neighbour):
    """ARP of fewer than 28 bytes is dropped as truncated, even if the rest is not needed."""

    def runTest(self):
        whole = bytes(asked(request()))
        for length in (14, 15, 14 + 8, 14 + 27):
            self.drops(CE_A, whole[:length], "FRAME_TRUNCATED")


class ArpOfNoCircuitIsDropped(Neighbour):
    """ARP on a VLAN of no circuit is neither answered nor punted."""

    def runTest(self):
        self.drops(CE_A, asked(Dot1Q(vlan=5), request()), "UNKNOWN_ATTACHMENT")


class ArpResponderIsModified(Neighbour):
    """An entry that is modified answers with the new MAC address, and one that is deleted not at all."""

    def runTest(self):
        other = "02:11:22:33:44:55"
        self.modify(arp_responder(CE_A, GATEWAY, other))
        expected = Ether(dst=neighbour_mac(CE_A), src=other) / ARP(op=2, hwsrc=other, psrc=GATEWAY, hwdst=neighbour_mac(CE_A), pdst=HOST_A)
        self.forwards(CE_A, asked(request()), CE_A, expected)
        self.delete(arp_responder(CE_A, GATEWAY, other))
        self.punts(CE_A, asked(request()), "ARP", VRF_A)


SOLICITED = "33:33:ff:00:00:01"


class NeighbourDiscoveryIsPunted(Behaviour):
    """All five kinds of neighbour discovery go to the controller, from a customer with the VRF and from the core."""

    def runTest(self):
        kinds = (ICMPv6ND_RS(), ICMPv6ND_RA(), ICMPv6ND_NS(tgt="fe80::1"), ICMPv6ND_NA(tgt="fe80::1"), ICMPv6ND_Redirect())
        for message in kinds:
            packet = ip6("ff02::1", src="fe80::2", ttl=255) / message
            self.punts(CE_A, into(CE_A, packet, dst=SOLICITED), "ND", VRF_A)
            self.punts(CORE, into(CORE, packet, dst=SOLICITED), "ND", 0)


class DistantDiscoveryIsNone(Behaviour):
    """What has been forwarded once is no neighbour discovery: hop limit 254 is not punted."""

    def runTest(self):
        packet = ip6("ff02::1", src="fe80::2", ttl=254) / ICMPv6ND_NS(tgt="fe80::1")
        self.drops(CE_A, into(CE_A, packet, dst=SOLICITED), "UNKNOWN_STATION")


class OtherIcmpv6IsRouted(Behaviour):
    """An echo request with hop limit 255 is routed, and so is discovery behind an extension header."""

    def entries(self):
        return [route(VRF_A, "::/0", "local", nexthop=CORE)]

    def runTest(self):
        behind = IPv6ExtHdrHopByHop(options=[PadN(optdata=b"\0\0\0\0")]) / ICMPv6ND_NS(tgt="fe80::1")
        for message in (ICMPv6EchoRequest(data=b"ping"), behind):
            frame = into(CE_A, ip6(ttl=255) / message)
            self.forwards(CE_A, frame, CORE, out_of(CORE, ip6(ttl=254) / message))


class PingIsReceived(Behaviour):
    """An ICMP echo to an address of the router goes to the controller as it is, VLAN tag and all."""

    def entries(self):
        return [to_vrf(CE_A, VRF_A, vlan=100), route(VRF_A, f"{GATEWAY}/32", "receive")]

    def runTest(self):
        packet = ip4(GATEWAY) / ICMP(id=7, seq=1) / Raw(b"ping")
        self.punts(CE_A, into(CE_A, packet), "RECEIVE", VRF_A)
        self.punts(CE_A, into(CE_A, Dot1Q(vlan=100, prio=3), packet), "RECEIVE", VRF_A)


class LldpIsPunted(Behaviour):
    """LLDP goes to the controller before any look-up, from a port without a circuit and behind tags too."""

    def runTest(self):
        self.delete(to_vrf(CE_A, VRF_A))
        lldp = Raw(b"\x02\x07\x04\x02\x00\x00\x00\x00\x01\x04\x02\x07a\x06\x02\x00x\x00\x00")
        head = Ether(dst=LLDP_MAC, src=neighbour_mac(CE_A))
        head.type = 0x88CC
        self.punts(CE_A, head / lldp, "LLDP", 0)
        tagged = Ether(dst=LLDP_MAC, src=neighbour_mac(CE_A)) / Dot1AD(vlan=9) / Dot1Q(vlan=8, type=0x88CC) / lldp
        self.punts(CE_A, tagged, "LLDP", 0)
