"""flow_v4, flow_v6, flow_acl_v4, flow_acl_v6 and session: which packets a session carries."""

from scapy.layers.inet import ICMP, IPOption
from scapy.layers.inet6 import IPv6ExtHdrDestOpt, IPv6ExtHdrFragment, IPv6ExtHdrHopByHop, PadN

from router.base import Behaviour, Count
from router.entries import CE_A, CE_B, CORE, CORE_B, VRF_A, VRF_B, acl, flow, ilm, route, session, tunnel
from router.frames import (
    DATA,
    GRE,
    HOST_A,
    HOST_A6,
    HOST_B,
    HOST_B6,
    HOST_C,
    SCTP,
    TCP,
    Raw,
    into,
    ip4,
    ip6,
    label,
    out_of,
    udp,
    udp4,
    udp6,
)

MASK32 = 0xFFFFFFFF


class Flows(Behaviour):
    """Base: sessions 1 to 3 push labels 601 to 603, packets of no session are routed to port CORE_B."""

    def entries(self):
        yield tunnel(1, "lsp_0", nexthop=CORE)
        for number in (1, 2, 3):
            yield session(number, 1, 600 + number)
        for vrf in (VRF_A, VRF_B):
            yield route(vrf, "0.0.0.0/0", "local", nexthop=CORE_B)
            yield route(vrf, "::/0", "local", nexthop=CORE_B)

    def is_of_session(self, number, packet, port=CE_A):
        """A packet is carried by a session."""
        self.forwards(port, into(port, packet), CORE, out_of(CORE, label(600 + number, ttl=63), counted_down(packet)))

    def is_of_none(self, packet, port=CE_A):
        """A packet is routed."""
        self.forwards(port, into(port, packet), CORE_B, out_of(CORE_B, counted_down(packet)))


def counted_down(packet):
    """The same packet with a TTL less one."""
    packet = packet.copy()
    field = "ttl" if packet.version == 4 else "hlim"
    setattr(packet, field, getattr(packet, field) - 1)
    return packet


class FlowIsOfASession(Flows):
    """A packet whose 5-tuple is in flow_v4 is carried by its session: VPN label, tunnel and class of that."""

    def runTest(self):
        self.write(flow(VRF_A, HOST_A, HOST_B, 2))
        self.is_of_session(2, udp4())


class FlowIsOfASessionV6(Flows):
    """A packet whose 5-tuple is in flow_v6 is carried by its session."""

    def runTest(self):
        self.write(flow(VRF_A, HOST_A6, HOST_B6, 3))
        self.is_of_session(3, udp6())
        self.is_of_none(udp6(dport=5001))
        self.is_of_none(udp6(src="2001:db8:1::2"))
        self.is_of_none(udp4())


class FlowIsExact(Flows):
    """A packet that differs in any part of the 5-tuple is of no session, and so is the way back."""

    def runTest(self):
        self.write(flow(VRF_A, HOST_A, HOST_B, 1))
        for other in (
            udp4(HOST_C),
            udp4(src="10.1.0.2"),
            udp4(sport=4001),
            udp4(dport=5001),
            ip4() / TCP(sport=4000, dport=5000) / Raw(DATA),
            udp4(HOST_A, src=HOST_B, sport=5000, dport=4000),
        ):
            self.is_of_none(other)
        self.is_of_session(1, udp4())


class FlowIsOfItsVrf(Flows):
    """The same 5-tuple is another session in another VRF."""

    def runTest(self):
        self.write(flow(VRF_A, HOST_A, HOST_B, 1))
        self.is_of_none(udp4(), port=CE_B)
        self.write(flow(VRF_B, HOST_A, HOST_B, 2))
        self.is_of_session(1, udp4())
        self.is_of_session(2, udp4(), port=CE_B)


class FlowOfAnyProtocol(Flows):
    """TCP and SCTP have ports as UDP has; ICMP and any other protocol have ports 0."""

    def runTest(self):
        packets = {6: ip4() / TCP(sport=4000, dport=5000), 132: ip4() / SCTP(sport=4000, dport=5000)}
        for proto, packet in packets.items():
            self.is_of_none(packet)
            self.write(flow(VRF_A, HOST_A, HOST_B, 1, proto=proto))
            self.is_of_session(1, packet)
        others = {1: ip4() / ICMP(id=4000) / Raw(DATA), 47: ip4() / GRE(proto=0x0800) / udp4(), 50: ip4(proto=50) / Raw(DATA)}
        for proto, packet in others.items():
            self.write(flow(VRF_A, HOST_A, HOST_B, 2, proto=proto, sport=0, dport=0))
            self.is_of_session(2, packet)


class FragmentHasNoPorts(Flows):
    """Every IPv4 fragment, the first too, has ports 0."""

    def runTest(self):
        self.write(flow(VRF_A, HOST_A, HOST_B, 1))
        for fields in ({"flags": "MF"}, {"flags": "MF", "frag": 100}, {"frag": 185}):
            fragment = ip4(proto=17, id=7, **fields) / Raw(bytes(udp()))
            self.is_of_none(fragment)
            self.write(flow(VRF_A, HOST_A, HOST_B, 2, sport=0, dport=0))
            self.is_of_session(2, fragment)
            self.delete(flow(VRF_A, HOST_A, HOST_B, 2, sport=0, dport=0))
        self.is_of_session(1, udp4())
        self.is_of_session(1, udp4(flags="DF"))


class FragmentHasNoPortsV6(Flows):
    """An IPv6 fragment has the protocol behind its fragment header and ports 0, even if it is the only one."""

    def runTest(self):
        self.write(flow(VRF_A, HOST_A6, HOST_B6, 1), flow(VRF_A, HOST_A6, HOST_B6, 2, sport=0, dport=0))
        for header in ({"m": 1}, {"m": 1, "offset": 100}, {"offset": 185}, {}):
            fragment = ip6() / IPv6ExtHdrFragment(nh=17, id=7, **header) / Raw(bytes(udp()))
            self.is_of_session(2, fragment)
        self.is_of_session(1, udp6())


class OptionsAreSkipped(Flows):
    """Ports are found behind IPv4 options of any length."""

    def runTest(self):
        self.write(flow(VRF_A, HOST_A, HOST_B, 1))
        for options in (4, 20, 40):
            self.is_of_session(1, udp4(options=[IPOption(b"\x01" * options)]))


class ExtensionHeaderIsTheProtocol(Flows):
    """IPv6 extension headers but the fragment header are not looked behind: their own number is the protocol, ports are 0."""

    def runTest(self):
        padding = PadN(optdata=b"\0\0\0\0")
        headers = {0: IPv6ExtHdrHopByHop(options=[padding]), 60: IPv6ExtHdrDestOpt(options=[padding])}
        self.write(flow(VRF_A, HOST_A6, HOST_B6, 1))
        for number, header in headers.items():
            self.is_of_none(ip6() / header / udp())
            self.write(flow(VRF_A, HOST_A6, HOST_B6, 2, proto=number, sport=0, dport=0))
            self.is_of_session(2, ip6() / header / udp())


class CutPortsAreNone(Flows):
    """Ports count only if the packet's own length covers all four bytes, whatever follows in the frame."""

    def runTest(self):
        self.write(flow(VRF_A, HOST_A, HOST_B, 1, sport=0, dport=0), flow(VRF_A, HOST_A, HOST_B, 2))
        self.write(flow(VRF_A, HOST_A6, HOST_B6, 1, sport=0, dport=0), flow(VRF_A, HOST_A6, HOST_B6, 2))
        for length, number in ((0, 1), (3, 1), (4, 2)):
            self.is_of_session(number, udp4(len=20 + length))
            self.is_of_session(number, udp6(plen=length))


class FlowIsForCustomersOnly(Flows):
    """What the core brings is of no session, as IP in VRF 0 or under a label of a VRF."""

    def runTest(self):
        self.write(flow(0, HOST_A, HOST_B, 1), flow(VRF_A, HOST_A, HOST_B, 1), route(0, "0.0.0.0/0", "local", nexthop=CORE_B))
        self.write(ilm(100, "pop_vrf", vrf=VRF_A, ttl_mode=0), acl(1, 10))
        self.is_of_none(udp4(), port=CORE)
        self.forwards(CORE, into(CORE, label(100), udp4()), CORE_B, out_of(CORE_B, udp4(ttl=63)))


class AclMatchesSites(Flows):
    """An ACL entry matches everything between two prefixes of a VRF."""

    def runTest(self):
        sites = {"src": ("10.1.0.0", 0xFFFF0000), "dst": ("10.2.0.0", 0xFFFF0000)}
        self.write(acl(1, 10, vrf=VRF_A, **sites))
        self.is_of_session(1, udp4())
        self.is_of_session(1, ip4("10.2.255.255", src="10.1.255.255") / ICMP() / Raw(DATA))
        self.is_of_none(udp4("10.3.0.0"))
        self.is_of_none(udp4(src="10.0.255.255"))
        self.is_of_none(udp4(), port=CE_B)


class AclMatchesSitesV6(Flows):
    """An IPv6 ACL entry matches prefixes, protocol and ports."""

    def runTest(self):
        mask = ((1 << 48) - 1) << 80
        entry = acl(1, 10, "v6", vrf=VRF_A, src=("2001:db8:1::", mask), dst=("2001:db8:2::", mask), proto=17, dport=(5000, 5009))
        self.write(entry)
        self.is_of_session(1, udp6())
        self.is_of_session(1, udp6("2001:db8:2:ffff::9", src="2001:db8:1:1::", dport=5009))
        self.is_of_none(udp6(dport=5010))
        self.is_of_none(udp6("2001:db8:3::"))
        self.is_of_none(ip6() / TCP(sport=4000, dport=5000))
        self.is_of_none(udp4())


class AclMasksAreAnyBits(Flows):
    """A mask need not be a prefix: only its bits are compared."""

    def runTest(self):
        self.write(acl(1, 10, vrf=VRF_A, dst=("0.0.0.1", 0x000000FF), proto=(0x10, 0xF0)))
        self.is_of_session(1, udp4("10.2.7.1"))
        self.is_of_session(1, udp4("192.168.200.1"))
        self.is_of_none(udp4("10.2.7.2"))
        self.is_of_none(ip4("10.2.7.1") / TCP())


class AclRangesAreInclusive(Flows):
    """Both ends of a range of ports belong to it."""

    def runTest(self):
        self.write(acl(1, 10, vrf=VRF_A, sport=(1000, 2000), dport=(65535, 65535)))
        for sport in (1000, 1500, 2000):
            self.is_of_session(1, udp4(sport=sport, dport=65535))
        for sport, dport in ((999, 65535), (2001, 65535), (1500, 65534), (0, 65535)):
            self.is_of_none(udp4(sport=sport, dport=dport))


class AclOfHighestPriorityWins(Flows):
    """Of ACL entries that match, the one with the greatest priority counts, whatever the order they were written in."""

    def runTest(self):
        wide, narrow = acl(1, 100, vrf=VRF_A), acl(2, 1, vrf=VRF_A, dst=(HOST_B, MASK32))
        self.write(narrow, wide, acl(3, 50, vrf=VRF_A, proto=17))
        self.is_of_session(1, udp4())
        self.delete(wide)
        self.is_of_session(3, udp4())
        self.is_of_session(2, ip4() / TCP())


class FlowIsBeforeAcl(Flows):
    """An exact flow counts before any ACL entry, also one of highest priority."""

    def runTest(self):
        self.write(flow(VRF_A, HOST_A, HOST_B, 1), acl(2, 0x7FFFFFFF))
        self.is_of_session(1, udp4())
        self.is_of_session(2, udp4(dport=5001))


class AclOfAllVrfs(Flows):
    """An ACL entry that names no VRF is for all customers."""

    def runTest(self):
        self.write(acl(1, 10, proto=17))
        self.is_of_session(1, udp4())
        self.is_of_session(1, udp4(), port=CE_B)


class AclSeesFragmentsWithoutPorts(Flows):
    """An ACL entry for the ports 0 is for fragments; one without ports is for all packets of its protocol."""

    def runTest(self):
        self.write(acl(1, 10, vrf=VRF_A, proto=17, dport=0), acl(2, 5, vrf=VRF_A, proto=17))
        self.is_of_session(1, ip4(proto=17, flags="MF") / Raw(bytes(udp())))
        self.is_of_session(2, udp4())


class FlowWithoutSessionIsDropped(Flows):
    """A flow of a session that is not there drops, and does not fall back to the route."""

    def runTest(self):
        self.write(flow(VRF_A, HOST_A, HOST_B, 9), acl(9, 10, "v6"))
        self.drops(CE_A, into(CE_A, udp4()), "NO_SESSION")
        self.drops(CE_A, into(CE_A, udp6()), "NO_SESSION")


class ExpiredPacketIsNotOfTheSession(Flows):
    """An expired packet of a session is punted before the session counts it, and even if the session is not there."""

    def runTest(self):
        self.write(flow(VRF_A, HOST_A, HOST_B, 1), flow(VRF_A, HOST_A6, HOST_B6, 9))
        self.punts(CE_A, into(CE_A, udp4(ttl=1)), "TTL_EXPIRED", VRF_A)
        self.punts(CE_A, into(CE_A, udp6(ttl=1)), "TTL_EXPIRED", VRF_A)
        self.assertEqual(self.client.counted(session(1, 1, 601)), Count(0, 0))


class SessionNeedsNoRoute(Flows):
    """A packet of a session does not care for routes: not for one that discards, nor for one that receives."""

    def runTest(self):
        self.write(flow(VRF_A, HOST_A, HOST_B, 1), route(VRF_A, f"{HOST_B}/32", "discard"))
        self.is_of_session(1, udp4())
        self.modify(route(VRF_A, f"{HOST_B}/32", "receive"))
        self.is_of_session(1, udp4())


class SessionIsModified(Flows):
    """A session that is modified sends its packets elsewhere; without it they are dropped; without its flow they are routed."""

    def runTest(self):
        self.write(flow(VRF_A, HOST_A, HOST_B, 1), tunnel(2, "lsp_0", nexthop=CE_B))
        self.modify(session(1, 2, 777, 5))
        self.forwards(CE_A, into(CE_A, udp4()), CE_B, out_of(CE_B, label(777, ttl=63, tc=5), udp4(ttl=63)))
        self.delete(session(1, 2, 777))
        self.drops(CE_A, into(CE_A, udp4()), "NO_SESSION")
        self.delete(flow(VRF_A, HOST_A, HOST_B, 1))
        self.is_of_none(udp4())


class FlowIsModified(Flows):
    """A flow that is modified belongs to another session at once."""

    def runTest(self):
        self.write(flow(VRF_A, HOST_A, HOST_B, 1), acl(1, 10, proto=6))
        self.modify(flow(VRF_A, HOST_A, HOST_B, 2), acl(3, 10, proto=6))
        self.is_of_session(2, udp4())
        self.is_of_session(3, ip4() / TCP(sport=1, dport=2))
