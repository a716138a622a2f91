"""The suite itself: wrong expectations fail, so the others mean something."""

from scapy.packet import Padding

from router.base import Behaviour
from router.entries import CE_A, CE_B, CORE, VRF_A, route
from router.frames import HOST_B, LLDP_MAC, Ether, Raw, into, out_of, udp4


class WrongExpectation(Behaviour):
    """Base of what must fail."""

    def entries(self):
        return [route(VRF_A, "10.2.0.0/16", "local", nexthop=CORE)]

    def refuted(self, expectation, *arguments):
        """Fails unless the expectation does."""
        with self.assertRaises(self.failureException):
            expectation(*arguments)


class OneWrongByteIsSeen(WrongExpectation):
    """A frame that leaves with another TTL than expected fails."""

    def runTest(self):
        frame = into(CE_A, udp4(ttl=64))
        self.refuted(self.forwards, CE_A, frame, CORE, out_of(CORE, udp4(ttl=62)))
        self.forwards(CE_A, frame, CORE, out_of(CORE, udp4(ttl=63)))


class OneByteMoreIsSeen(WrongExpectation):
    """A frame that leaves with a byte more than expected fails."""

    def runTest(self):
        self.refuted(self.forwards, CE_A, into(CE_A, udp4(), Padding(b".")), CORE, out_of(CORE, udp4(ttl=63)))


class WrongPortIsSeen(WrongExpectation):
    """A frame that leaves by another port than expected fails."""

    def runTest(self):
        self.refuted(self.forwards, CE_A, into(CE_A, udp4()), CE_B, out_of(CORE, udp4(ttl=63)))


class SurplusIsSeen(WrongExpectation):
    """A frame that leaves where none is expected fails."""

    def runTest(self):
        self.refuted(self.drops, CE_A, into(CE_A, udp4()), "NO_ROUTE")
        self.refuted(self.punts, CE_A, into(CE_A, udp4()), "RECEIVE", VRF_A)


class WrongReasonIsSeen(WrongExpectation):
    """A drop for another reason than expected fails, and so does one where a frame should leave."""

    def runTest(self):
        frame = into(CE_A, udp4("10.99.0.1"))
        self.refuted(self.drops, CE_A, frame, "ROUTE_DISCARD")
        self.refuted(self.forwards, CE_A, frame, CORE, out_of(CORE, udp4("10.99.0.1", ttl=63)))
        self.drops(CE_A, frame, "NO_ROUTE")


class WrongPuntIsSeen(WrongExpectation):
    """A packet-in with another reason, VRF or frame than expected fails."""

    def runTest(self):
        self.write(route(VRF_A, f"{HOST_B}/32", "receive"))
        frame = into(CE_A, udp4())
        self.refuted(self.punts, CE_A, frame, "TTL_EXPIRED", VRF_A)
        self.refuted(self.punts, CE_A, frame, "RECEIVE", 0)
        self.punts(CE_A, frame, "RECEIVE", VRF_A)


class LostFrameIsSeen(WrongExpectation):
    """Anything that is sent unexpectedly is found at the end of a behaviour."""

    def runTest(self):
        self.client.packet_out(CE_B, bytes(Ether(dst=LLDP_MAC) / Raw(b"unexpected")))
        sent = self.come_out(1)
        self.assertEqual(len(sent), 1)
        self.client.packet_out(CE_B, sent[0][1])
        sent = self.come_out(1)
        # As if it had come a moment later.
        with self.dataplane.cvar:
            self.dataplane.packet_queues[(0, CE_B)].append((sent[0][1], 0.0))
        self.refuted(self._nothing_more)
