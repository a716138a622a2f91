"""What an IP header must be to be acted upon, and what is changed in it."""

from scapy.layers.inet import IPOption
from scapy.utils import checksum

from router.base import Behaviour
from router.entries import CE_A, CORE, VRF_A, route
from router.frames import into, out_of, patched, udp4, udp6

ETHERNET = 14


class Header(Behaviour):
    """Base: everything of VRF A is routed."""

    def entries(self):
        return [route(VRF_A, "0.0.0.0/0", "local", nexthop=CORE), route(VRF_A, "::/0", "local", nexthop=CORE)]

    def passes(self, packet, sent):
        """A packet leaves as another."""
        self.forwards(CE_A, into(CE_A, packet), CORE, out_of(CORE, sent))

    def refuses(self, reason, *frames):
        """Frames are dropped."""
        for frame in frames:
            self.drops(CE_A, frame, reason)


class CutIpv4IsDropped(Header):
    """Fewer than 20 bytes behind the ethertype of IPv4 are dropped as truncated, whatever they say."""

    def runTest(self):
        whole = bytes(into(CE_A, udp4()))
        self.refuses("IP_TRUNCATED", *(whole[: ETHERNET + length] for length in (0, 1, 19)))
        self.refuses("IP_TRUNCATED", patched(into(CE_A, udp4()), ETHERNET, b"\x65")[: ETHERNET + 19])


class CutIpv6IsDropped(Header):
    """Fewer than 40 bytes behind the ethertype of IPv6 are dropped as truncated."""

    def runTest(self):
        whole = bytes(into(CE_A, udp6()))
        self.refuses("IP_TRUNCATED", *(whole[: ETHERNET + length] for length in (0, 1, 20, 39)))


class WrongVersionIsDropped(Header):
    """A header whose version is not that of the ethertype is dropped for it, before all that follows."""

    def runTest(self):
        for version in (0, 5, 6, 15):
            self.refuses("IP_BAD_VERSION", patched(into(CE_A, udp4()), ETHERNET, bytes([version << 4 | 5])))
        for version in (0, 4, 5, 7):
            self.refuses("IP_BAD_VERSION", patched(into(CE_A, udp6()), ETHERNET, bytes([version << 4])))


class ShortHeaderLengthIsDropped(Header):
    """An IPv4 header length of fewer than five words is dropped."""

    def runTest(self):
        for words in range(5):
            self.refuses("IP_BAD_HEADER_LENGTH", patched(into(CE_A, udp4()), ETHERNET, bytes([0x40 | words])))


class HeaderBeyondTheFrameIsDropped(Header):
    """An IPv4 header with options beyond the end of the frame is dropped as truncated."""

    def runTest(self):
        frame = patched(into(CE_A, udp4()), ETHERNET, b"\x4f")
        self.refuses("IP_TRUNCATED", frame[: ETHERNET + 59], frame[: ETHERNET + 20])


class WrongTotalLengthIsDropped(Header):
    """A total length shorter than the header, or beyond the frame by one byte, is dropped."""

    def runTest(self):
        length = len(udp4())
        self.refuses("IP_BAD_LENGTH", *(into(CE_A, udp4(len=wrong)) for wrong in (0, 19, length + 1, 65535)))
        self.refuses("IP_BAD_LENGTH", into(CE_A, udp4(len=23, options=[IPOption(b"\x01" * 4)])))
        self.passes(udp4(len=20), udp4(len=20, ttl=63))


class WrongPayloadLengthIsDropped(Header):
    """An IPv6 payload length beyond the frame is dropped; a shorter one is not."""

    def runTest(self):
        length = len(udp6()) - 40
        self.refuses("IP_BAD_LENGTH", into(CE_A, udp6(plen=length + 1)), into(CE_A, udp6(plen=65535)))
        for plen in (0, 1, length):
            self.passes(udp6(plen=plen), udp6(plen=plen, ttl=63))


class WrongChecksumIsDropped(Header):
    """An IPv4 header with one wrong bit is dropped, wherever it is."""

    def runTest(self):
        whole = bytes(into(CE_A, udp4()))
        # Those of version, header length and total length are found before.
        for at in (1, 4, 5, 6, 7, 8, 9, 10, 11, 12, 15, 16, 19):
            self.refuses("IP_BAD_CHECKSUM", patched(whole, ETHERNET + at, bytes([whole[ETHERNET + at] ^ 0x10])))


class ChecksumCoversOptions(Header):
    """The IPv4 checksum is over the options too: options are kept, and one wrong bit in them is found."""

    def runTest(self):
        for length in (4, 8, 40):
            options = [IPOption(b"\x01" * (length - 1) + b"\x00")]
            self.passes(udp4(options=options), udp4(options=options, ttl=63))
            frame = patched(into(CE_A, udp4(options=options)), ETHERNET + 20, b"\x00")
            self.refuses("IP_BAD_CHECKSUM", frame)


class ChecksumFfffIsRight(Header):
    """A checksum of 0xffff verifies where 0x0000 would (RFC 1071), and leaves as computed."""

    def runTest(self):
        fields = with_checksum(0x0000)
        self.passes(udp4(**fields), udp4(**fields, ttl=63))
        self.passes(udp4(**fields, chksum=0xFFFF), udp4(**fields, ttl=63))
        self.refuses("IP_BAD_CHECKSUM", into(CE_A, udp4(**with_checksum(0x0001), chksum=0xFFFF)))


class ChecksumIsChangedRightly(Header):
    """The checksum after the TTL was counted down is what scapy computes of the whole header, at every carry (RFC 1624)."""

    def runTest(self):
        for wanted in (0x0000, 0x0001, 0x00FF, 0x0100, 0x7FFF, 0x8000, 0xFE00, 0xFEFE, 0xFEFF, 0xFF00, 0xFF01, 0xFFFE):
            for ttl in (64, 255, 2):
                fields = with_checksum(wanted, ttl=ttl)
                self.passes(udp4(ttl=ttl, **fields), udp4(ttl=ttl - 1, **fields))


class ChecksumOfManyHeaders(Header):
    """The checksum is right for many identifications and lengths, looked at by scapy."""

    def runTest(self):
        packets = [udp4(id=at * 257 % 65536, data=b"z" * (at % 50)) for at in range(64)]
        outcome = self.outcome(CE_A, *(into(CE_A, packet) for packet in packets))
        self.assertEqual(len(outcome.sent), len(packets))
        for _, frame in outcome.sent:
            self.assertEqual(checksum(frame[ETHERNET : ETHERNET + 20]), 0)


class TtlZeroIsDropped(Header):
    """A TTL or hop limit of 0 is dropped, even for the router itself."""

    def runTest(self):
        self.write(route(VRF_A, "10.2.0.1/32", "receive"))
        self.refuses("IP_TTL_ZERO", into(CE_A, udp4(ttl=0)), into(CE_A, udp6(ttl=0)), into(CE_A, udp4("10.9.0.1", ttl=0)))


class FirstFaultCounts(Header):
    """Of several faults the first in the order of the checks is named: length, checksum, TTL."""

    def runTest(self):
        self.refuses("IP_BAD_LENGTH", into(CE_A, udp4(len=19, chksum=1, ttl=0)))
        self.refuses("IP_BAD_CHECKSUM", into(CE_A, udp4(chksum=1, ttl=0)))
        self.refuses("IP_BAD_LENGTH", into(CE_A, udp6(plen=9999, ttl=0)))
        self.refuses("UNKNOWN_STATION", into(CE_A, udp4(chksum=1), dst="02:ff:ff:ff:ff:ff"))


class CoreMeetsTheSameChecks(Header):
    """IP from a core port meets the same checks."""

    def runTest(self):
        self.write(route(0, "0.0.0.0/0", "local", nexthop=CORE))
        for reason, packet in (
            ("IP_BAD_CHECKSUM", udp4(chksum=1)),
            ("IP_TTL_ZERO", udp4(ttl=0)),
            ("IP_BAD_LENGTH", udp6(plen=9999)),
        ):
            self.drops(CORE, into(CORE, packet), reason)
        self.drops(CORE, bytes(into(CORE, udp4()))[: ETHERNET + 19], "IP_TRUNCATED")


class LargestPacketsPass(Header):
    """Packets of 1500 bytes pass whole, IPv4 and IPv6."""

    def runTest(self):
        for packet, header in ((udp4, 28), (udp6, 48)):
            data = bytes(at % 251 for at in range(1500 - header))
            self.passes(packet(data=data), packet(data=data, ttl=63))


def with_checksum(wanted, ttl=64):
    """Fields of a header from host A to host B whose checksum is this one."""
    header = bytearray(bytes(udp4(ttl=ttl, id=0))[:20])
    # In one's complement, where 0xffff is 0 (RFC 1071).
    identification = (int.from_bytes(header[10:12], "big") - wanted) % 0xFFFF
    header[4:6], header[10:12] = identification.to_bytes(2, "big"), b"\0\0"
    assert checksum(bytes(header)) == wanted, f"{wanted:#06x}"
    return {"id": identification}
