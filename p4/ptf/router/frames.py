"""Frames, made by scapy.

Everything about a frame that a behaviour expects is written down anew, checksums computed by scapy from nothing: what a router
changed step by step is held against what it should have become.
"""

from __future__ import annotations

import struct

from scapy.compat import raw
from scapy.contrib.mpls import MPLS
from scapy.layers.inet import IP, TCP, UDP
from scapy.layers.inet6 import IPv6
from scapy.layers.l2 import ARP, GRE, Dot1AD, Dot1Q, Ether
from scapy.layers.sctp import SCTP
from scapy.packet import NoPayload, Packet, Raw

__all__ = ["ARP", "GRE", "IP", "MPLS", "SCTP", "TCP", "UDP", "Dot1AD", "Dot1Q", "Ether", "IPv6", "Packet", "Raw"]

# Sites of the customers, who use the same addresses, and of the core.
HOST_A, HOST_B, HOST_C = "10.1.0.1", "10.2.0.1", "10.3.0.1"
HOST_A6, HOST_B6, HOST_C6 = "2001:db8:1::1", "2001:db8:2::1", "2001:db8:3::1"
PE1, PE2 = "192.0.2.1", "192.0.2.2"
PE1_6, PE2_6 = "2001:db8:ffff::1", "2001:db8:ffff::2"

LLDP_MAC = "01:80:c2:00:00:0e"
BROADCAST = "ff:ff:ff:ff:ff:ff"
DATA = bytes(range(26))


def router_mac(port: int) -> str:
    """The router's own address at a port."""
    return f"02:00:00:00:00:{port:02x}"


def neighbour_mac(port: int) -> str:
    """The address of the one neighbour at a port."""
    return f"06:00:00:00:00:{port:02x}"


def tags(*layers: Packet) -> Packet:
    """Layers on top of each other."""
    head = NoPayload()
    for layer in layers:
        head = layer if isinstance(head, NoPayload) else head / layer
    return head


def into(port: int, *layers: Packet, dst: str | None = None) -> Packet:
    """A frame from the neighbour at a port to the router."""
    return tags(Ether(dst=dst or router_mac(port), src=neighbour_mac(port)), *layers)


def out_of(port: int, *layers: Packet) -> Packet:
    """A frame from the router to the neighbour at a port."""
    return tags(Ether(dst=neighbour_mac(port), src=router_mac(port)), *layers)


def ip4(dst: str = HOST_B, *, src: str = HOST_A, ttl: int = 64, **fields: object) -> IP:
    """An IPv4 header."""
    return IP(src=src, dst=dst, ttl=ttl, **fields)


def ip6(dst: str = HOST_B6, *, src: str = HOST_A6, ttl: int = 64, **fields: object) -> IPv6:
    """An IPv6 header."""
    return IPv6(src=src, dst=dst, hlim=ttl, **fields)


def udp(sport: int = 4000, dport: int = 5000, data: bytes = DATA) -> Packet:
    """UDP with something in it."""
    return UDP(sport=sport, dport=dport) / Raw(data)


def udp4(dst: str = HOST_B, *, sport: int = 4000, dport: int = 5000, data: bytes = DATA, **fields: object) -> Packet:
    """A UDP packet over IPv4, from host A to host B unless told."""
    return ip4(dst, **fields) / udp(sport, dport, data)


def udp6(dst: str = HOST_B6, *, sport: int = 4000, dport: int = 5000, data: bytes = DATA, **fields: object) -> Packet:
    """A UDP packet over IPv6, from host A to host B unless told."""
    return ip6(dst, **fields) / udp(sport, dport, data)


def label(value: int, *, ttl: int = 64, tc: int = 0, bottom: int = 1) -> MPLS:
    """A label stack entry, the bottom one unless told."""
    return MPLS(label=value, cos=tc, s=bottom, ttl=ttl)


def upper(value: int, *, ttl: int = 64, tc: int = 0) -> MPLS:
    """A label stack entry with another below it."""
    return label(value, ttl=ttl, tc=tc, bottom=0)


def gre(protocol: int, *, key: int | None = None, **fields: object) -> GRE:
    """A GRE header; its key field is there if a key is given."""
    if key is not None:
        fields |= {"key_present": 1, "key": key}
    return GRE(proto=protocol, **fields)


def delivery4(ttl: int, *, dscp: int = 0, src: str = PE1, dst: str = PE2) -> IP:
    """The IPv4 header that this router puts before GRE."""
    return IP(src=src, dst=dst, ttl=ttl, tos=dscp << 2, id=0, flags="DF", proto=47)


def delivery6(ttl: int, *, dscp: int = 0, src: str = PE1_6, dst: str = PE2_6) -> IPv6:
    """The IPv6 header that this router puts before GRE."""
    return IPv6(src=src, dst=dst, hlim=ttl, tc=dscp << 2, fl=0, nh=47)


def patched(packet: Packet, offset: int, replacement: bytes) -> bytes:
    """The bytes of a frame with some of them replaced, and nothing computed anew."""
    whole = raw(packet)
    return whole[:offset] + replacement + whole[offset + len(replacement) :]


def barrier(number: int) -> bytes:
    """A frame that is punted before any look-up (IEEE 802.1AB), and no other has its number."""
    return raw(Ether(dst=LLDP_MAC, src="02:6c:61:73:74:00", type=0x88CC)) + struct.pack("!Q", number)
