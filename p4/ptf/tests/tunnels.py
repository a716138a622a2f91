"""tunnel: label switched paths, and the TTL of what is pushed."""

from router.base import Behaviour, Count
from router.entries import CE_A, CORE, CORE_B, VRF_A, flow, nexthop, route, session, tunnel
from router.frames import HOST_A, HOST_A6, HOST_B, HOST_B6, Dot1AD, Dot1Q, into, label, out_of, udp4, udp6, upper


class Tunnels(Behaviour):
    """Base: session 1 goes into tunnel 1 with VPN label 600, session 2 with implicit null; its packets have port 5001."""

    def entries(self):
        yield session(1, 1, 600, 5)
        yield session(2, 1, 3, 5)
        for number, dport in ((1, 5000), (2, 5001)):
            yield flow(VRF_A, HOST_A, HOST_B, number, dport=dport)
            yield flow(VRF_A, HOST_A6, HOST_B6, number, dport=dport)

    def pushes(self, *stack, packet=None, sent=None, port=CORE, tags=()):
        """A packet leaves with these labels; IPv4 with TTL 64 unless told."""
        packet = packet or udp4()
        sent = sent or udp4(ttl=63)
        self.forwards(CE_A, into(CE_A, packet), port, out_of(port, *tags, *stack, sent))


class OneHopHasTheVpnLabelOnly(Tunnels):
    """lsp_0 pushes the VPN label and nothing else."""

    def runTest(self):
        self.write(tunnel(1, "lsp_0", nexthop=CORE))
        self.pushes(label(600, ttl=63, tc=5))


class OneTransportLabel(Tunnels):
    """lsp_1 pushes a transport label above the VPN label."""

    def runTest(self):
        self.write(tunnel(1, "lsp_1", l1=501, nexthop=CORE))
        self.pushes(upper(501, ttl=63, tc=5), label(600, ttl=63, tc=5))


class TwoTransportLabels(Tunnels):
    """lsp_2 pushes two transport labels, the first outermost."""

    def runTest(self):
        self.write(tunnel(1, "lsp_2", l1=501, l2=502, nexthop=CORE))
        self.pushes(upper(501, ttl=63, tc=5), upper(502, ttl=63, tc=5), label(600, ttl=63, tc=5))


class ThreeTransportLabels(Tunnels):
    """lsp_3 pushes three transport labels, the first outermost; labels have any of 20 bits."""

    def runTest(self):
        self.write(tunnel(1, "lsp_3", l1=16, l2=1048575, l3=0x5A5A5, nexthop=CORE))
        self.pushes(upper(16, ttl=63, tc=5), upper(1048575, ttl=63, tc=5), upper(0x5A5A5, ttl=63, tc=5), label(600, ttl=63, tc=5))


class Ipv6GoesIntoLabels(Tunnels):
    """IPv6 goes into the same tunnels as IPv4."""

    def runTest(self):
        self.write(tunnel(1, "lsp_2", l1=501, l2=502, nexthop=CORE))
        stack = [upper(501, ttl=63, tc=5), upper(502, ttl=63, tc=5), label(600, ttl=63, tc=5)]
        self.pushes(*stack, packet=udp6(), sent=udp6(ttl=63))


class ImplicitNullIsNotPushed(Tunnels):
    """VPN label 3 stands for none: the innermost transport label is at the bottom."""

    def runTest(self):
        actions = {"lsp_1": [501], "lsp_2": [501, 502], "lsp_3": [501, 502, 503]}
        for action, labels in actions.items():
            params = {f"l{at}": value for at, value in enumerate(labels, 1)}
            self.write(tunnel(1, action, **params, nexthop=CORE))
            stack = [upper(value, ttl=63, tc=5) for value in labels[:-1]] + [label(labels[-1], ttl=63, tc=5)]
            self.pushes(*stack, packet=udp4(dport=5001), sent=udp4(dport=5001, ttl=63))
            self.delete(tunnel(1, action))


class NoLabelIsPlainIp(Tunnels):
    """A one-hop tunnel with implicit null sends plain IPv4 and IPv6."""

    def runTest(self):
        self.write(tunnel(1, "lsp_0", nexthop=CORE))
        self.pushes(packet=udp4(dport=5001), sent=udp4(dport=5001, ttl=63))
        self.pushes(packet=udp6(dport=5001), sent=udp6(dport=5001, ttl=63))


class UniformLabelsTakeTheIpTtl(Tunnels):
    """In the uniform model every label takes the decremented IP TTL (RFC 3443)."""

    def runTest(self):
        self.write(tunnel(1, "lsp_1", l1=501, nexthop=CORE))
        for ttl in (255, 128, 2):
            stack = [upper(501, ttl=ttl - 1, tc=5), label(600, ttl=ttl - 1, tc=5)]
            self.pushes(*stack, packet=udp4(ttl=ttl), sent=udp4(ttl=ttl - 1))
            self.pushes(*stack, packet=udp6(ttl=ttl), sent=udp6(ttl=ttl - 1))


class PipeLabelsTakeTheTunnelsTtl(Tunnels):
    """In the pipe model every label takes the tunnel's TTL, whatever the packet's is (RFC 3443)."""

    def runTest(self):
        for mode in (255, 7, 1):
            self.write(tunnel(1, "lsp_1", l1=501, nexthop=CORE, ttl_mode=mode))
            self.pushes(upper(501, ttl=mode, tc=5), label(600, ttl=mode, tc=5), packet=udp4(ttl=2), sent=udp4(ttl=1))
            self.delete(tunnel(1, "lsp_1"))


class LabelsFollowTheTags(Tunnels):
    """Labels are behind the tags of the next hop."""

    def runTest(self):
        self.write(nexthop(9, CORE, vlan=10, inner_vlan=20), tunnel(1, "lsp_1", l1=501, nexthop=9))
        tags = [Dot1AD(vlan=10), Dot1Q(vlan=20, type=0x8847)]
        self.pushes(upper(501, ttl=63, tc=5), label(600, ttl=63, tc=5), tags=tags)


class UnknownTunnelIsDropped(Tunnels):
    """A tunnel that is not there drops, of a session and of a route; the session's packet is counted as not carried."""

    def runTest(self):
        self.write(route(VRF_A, "0.0.0.0/0", "via_tunnel", tunnel=2, vpn_label=600, **{"class": 0}))
        before = self.client.discards(1)
        frame = into(CE_A, udp4())
        self.drops(CE_A, frame, "NO_TUNNEL")
        self.assertEqual(self.client.discards(1) - before, Count(1, len(frame)))
        self.drops(CE_A, into(CE_A, udp4("10.9.0.1")), "NO_TUNNEL")


class TunnelWithoutNextHopIsDropped(Tunnels):
    """A tunnel to a next hop that is not there drops; the session's packet is counted as not carried."""

    def runTest(self):
        self.write(tunnel(1, "lsp_1", l1=501, nexthop=999))
        before = self.client.discards(1)
        frame = into(CE_A, udp6())
        self.drops(CE_A, frame, "NO_NEXTHOP")
        self.assertEqual(self.client.discards(1) - before, Count(1, len(frame)))


class TunnelIsModified(Tunnels):
    """A tunnel that is modified takes another path, with another number of labels, at once."""

    def runTest(self):
        self.write(tunnel(1, "lsp_1", l1=501, nexthop=CORE))
        self.pushes(upper(501, ttl=63, tc=5), label(600, ttl=63, tc=5))
        self.modify(tunnel(1, "lsp_2", l1=701, l2=702, nexthop=CORE_B, ttl_mode=9))
        self.pushes(upper(701, ttl=9, tc=5), upper(702, ttl=9, tc=5), label(600, ttl=9, tc=5), port=CORE_B)


class NextHopIsModified(Tunnels):
    """A next hop that is modified sends everything that leads to it elsewhere."""

    def runTest(self):
        self.write(tunnel(1, "lsp_0", nexthop=CORE))
        self.modify(nexthop(CORE, CORE_B, vlan=8))
        self.pushes(label(600, ttl=63, tc=5), port=CORE_B, tags=[Dot1Q(vlan=8, type=0x8847)])
