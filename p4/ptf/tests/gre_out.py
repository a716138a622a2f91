"""tunnel: GRE over IPv4 and IPv6, with the customer's packet or a VPN label in it."""

from scapy.packet import Padding

from router.base import Behaviour
from router.entries import CE_A, CORE, CORE_B, PE_TUNNEL, PE_TUNNEL_6, VRF_A, flow, ilm, nexthop, route, session, tunnel
from router.frames import HOST_A, HOST_B, Dot1Q, delivery4, delivery6, gre, into, label, out_of, udp4, udp6

PLAIN = {udp4: 0x0800, udp6: 0x86DD}
MPLS_UNICAST = 0x8847


class GreOut(Behaviour):
    """Base: packets of VRF A go into tunnel 1, plain; those of session 1 with VPN label 600 and class 5."""

    def entries(self):
        for dst in ("0.0.0.0/0", "::/0"):
            yield route(VRF_A, dst, "via_tunnel", tunnel=1, vpn_label=3, **{"class": 0})
        yield flow(VRF_A, HOST_A, HOST_B, 1, dport=6000)
        yield session(1, 1, 600, 5)

    def leaves(self, packet, *sent, port=CORE):
        """A packet of VRF A leaves in these layers."""
        self.forwards(CE_A, into(CE_A, packet), port, out_of(port, *sent))


class GreOverIpv4(GreOut):
    """IPv4 and IPv6 in GRE over IPv4 without a key: identification 0, DF set, checksum right."""

    def runTest(self):
        self.write(tunnel(1, "gre_v4", **PE_TUNNEL, key=0, nexthop=CORE))
        for packet, protocol in PLAIN.items():
            self.leaves(packet(), delivery4(63), gre(protocol), packet(ttl=63))


class GreOverIpv4WithKey(GreOut):
    """A key that is not 0 is in GRE's key field, in all of its 32 bits."""

    def runTest(self):
        for key in (1, 0xFFFFFFFF, 0x80000000):
            self.write(tunnel(1, "gre_v4", **PE_TUNNEL, key=key, nexthop=CORE))
            self.leaves(udp4(), delivery4(63), gre(0x0800, key=key), udp4(ttl=63))
            self.delete(tunnel(1, "gre_v4"))


class GreOverIpv6(GreOut):
    """IPv4 and IPv6 in GRE over IPv6, with and without a key: flow label 0, payload length right."""

    def runTest(self):
        for key in (None, 0xDEADBEEF):
            self.write(tunnel(1, "gre_v6", **PE_TUNNEL_6, key=key or 0, nexthop=CORE))
            for packet, protocol in PLAIN.items():
                self.leaves(packet(), delivery6(63), gre(protocol, key=key), packet(ttl=63))
            self.delete(tunnel(1, "gre_v6"))


class LabelInGre(GreOut):
    """A VPN label goes into GRE as MPLS, at the bottom, with the class for TC and the delivery header's TTL (RFC 4023)."""

    def runTest(self):
        sent = [label(600, ttl=63, tc=5), udp4(dport=6000, ttl=63)]
        self.write(tunnel(1, "gre_v4", **PE_TUNNEL, key=7, nexthop=CORE))
        self.leaves(udp4(dport=6000), delivery4(63, dscp=40), gre(MPLS_UNICAST, key=7), *sent)
        self.modify(tunnel(1, "gre_v6", **PE_TUNNEL_6, key=0, nexthop=CORE))
        self.leaves(udp4(dport=6000), delivery6(63, dscp=40), gre(MPLS_UNICAST), *sent)


class UniformDeliveryTakesTheIpTtl(GreOut):
    """In the uniform model the delivery header takes the decremented IP TTL, over IPv4 and IPv6."""

    def runTest(self):
        for action, params, header in (("gre_v4", PE_TUNNEL, delivery4), ("gre_v6", PE_TUNNEL_6, delivery6)):
            self.write(tunnel(1, action, **params, key=0, nexthop=CORE))
            for ttl in (255, 2):
                self.leaves(udp4(ttl=ttl), header(ttl - 1), gre(0x0800), udp4(ttl=ttl - 1))
            self.delete(tunnel(1, action))


class PipeDeliveryTakesTheTunnelsTtl(GreOut):
    """In the pipe model the delivery header, and the label in it, take the tunnel's TTL."""

    def runTest(self):
        for action, params, header in (("gre_v4", PE_TUNNEL, delivery4), ("gre_v6", PE_TUNNEL_6, delivery6)):
            self.write(tunnel(1, action, **params, key=0, nexthop=CORE, ttl_mode=200))
            self.leaves(udp4(ttl=5), header(200), gre(0x0800), udp4(ttl=4))
            sent = [label(600, ttl=200, tc=5), udp4(dport=6000, ttl=4)]
            self.leaves(udp4(dport=6000, ttl=5), header(200, dscp=40), gre(MPLS_UNICAST), *sent)
            self.delete(tunnel(1, action))


class DeliveryLengthIsThePackets(GreOut):
    """The delivery header's length covers the customer's packet by its own length; bytes behind it stay behind it."""

    def runTest(self):
        padding = Padding(b"trailing")
        self.write(tunnel(1, "gre_v4", **PE_TUNNEL, key=0, nexthop=CORE))
        self.leaves(udp4() / padding, delivery4(63), gre(0x0800), udp4(ttl=63), padding)
        self.modify(tunnel(1, "gre_v6", **PE_TUNNEL_6, key=1, nexthop=CORE))
        self.leaves(udp6() / padding, delivery6(63), gre(0x86DD, key=1), udp6(ttl=63), padding)


class DeliveryChecksumIsRight(GreOut):
    """The delivery header's IPv4 checksum is right for addresses that make its sum carry, and for many lengths."""

    def runTest(self):
        ends = [("255.255.255.255", "255.255.255.254"), ("0.0.0.1", "128.0.0.0"), ("192.0.2.1", "203.0.113.77")]
        for src, dst in ends:
            self.write(tunnel(1, "gre_v4", src=src, dst=dst, key=0, nexthop=CORE, ttl_mode=255))
            for length in (0, 1, 100, 1000):
                packet = {"data": b"x" * length}
                self.leaves(udp4(**packet), delivery4(255, src=src, dst=dst), gre(0x0800), udp4(ttl=63, **packet))
            self.delete(tunnel(1, "gre_v4"))


class CustomersFragmentGoesIntoGre(GreOut):
    """A customer's fragment goes into GRE as it is; the delivery header is no fragment, and its ECN is 0."""

    def runTest(self):
        self.write(tunnel(1, "gre_v4", **PE_TUNNEL, key=0, nexthop=CORE))
        fields = {"flags": "MF", "frag": 10, "tos": 0xFF}
        self.leaves(udp4(**fields), delivery4(63), gre(0x0800), udp4(ttl=63, **fields))


class GreLeavesTagged(GreOut):
    """GRE leaves with the tags of its next hop."""

    def runTest(self):
        self.write(nexthop(9, CORE_B, vlan=12), tunnel(1, "gre_v4", **PE_TUNNEL, key=0, nexthop=9))
        self.leaves(udp4(), Dot1Q(vlan=12), delivery4(63), gre(0x0800), udp4(ttl=63), port=CORE_B)


class TunnelChangesToGre(GreOut):
    """A tunnel that is modified from labels to GRE, and back, does so at once."""

    def runTest(self):
        self.write(tunnel(1, "lsp_1", l1=501, nexthop=CORE))
        self.leaves(udp4(), label(501, ttl=63), udp4(ttl=63))
        self.modify(tunnel(1, "gre_v6", **PE_TUNNEL_6, key=5, nexthop=CORE))
        self.leaves(udp4(), delivery6(63), gre(0x0800, key=5), udp4(ttl=63))
        self.modify(tunnel(1, "lsp_1", l1=501, nexthop=CORE))
        self.leaves(udp4(), label(501, ttl=63), udp4(ttl=63))


class CorePacketGoesIntoGre(GreOut):
    """What comes under a label may leave in GRE: a router between the two kinds of tunnel."""

    def runTest(self):
        self.write(tunnel(1, "gre_v4", **PE_TUNNEL, key=9, nexthop=CORE_B), ilm(100, "pop_vrf", vrf=VRF_A, ttl_mode=0))
        expected = out_of(CORE_B, delivery4(19), gre(0x0800, key=9), udp4(ttl=19))
        self.forwards(CORE, into(CORE, label(100, ttl=20), udp4()), CORE_B, expected)


class UnknownNextHopOfGreIsDropped(GreOut):
    """A GRE tunnel to a next hop that is not there drops."""

    def runTest(self):
        self.write(tunnel(1, "gre_v4", **PE_TUNNEL, key=0, nexthop=999))
        self.drops(CE_A, into(CE_A, udp4()), "NO_NEXTHOP")
