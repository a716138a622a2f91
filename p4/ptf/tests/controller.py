"""Packets from the controller, and what the router tells it unasked."""

import queue
import time

from router.base import PORTS, Behaviour
from router.client import PATIENCE
from router.entries import CE_A, CE_B, CORE, VRF_A, flow, route, to_vrf
from router.frames import HOST_A, HOST_A6, HOST_B, HOST_B6, Dot1AD, Dot1Q, Ether, into, label, out_of, udp4


class PacketOutLeaves(Behaviour):
    """A packet-out leaves by the port it names as it is: tags, labels and anything else."""

    def runTest(self):
        payloads = [
            out_of(CE_A, udp4()),
            out_of(CE_A, Dot1AD(vlan=5), Dot1Q(vlan=6, prio=7), udp4(chksum=1)),
            out_of(CE_A, label(100), udp4()),
            Ether(bytes(12) + b"\x88\xcc" + bytes(range(50))),
        ]
        for port in PORTS:
            for payload in payloads:
                self.client.packet_out(port, bytes(payload))
                sent = self.come_out(1)
                self.assertEqual([port for port, _ in sent], [port])
                self.same_frame(sent[0][1], payload, f"out of port {port}")


class PacketOutMeetsNoTable(Behaviour):
    """A packet-out is not routed, metered or counted, even if it looks like a customer's."""

    def entries(self):
        return [route(VRF_A, "10.2.0.0/16", "local", nexthop=CORE)]

    def runTest(self):
        before = self.client.drops()
        self.client.packet_out(CE_A, bytes(into(CE_A, udp4(ttl=0))))
        self.assertEqual(self.come_out(1), [(CE_A, bytes(into(CE_A, udp4(ttl=0))))])
        self.assertEqual(self.client.drops(), before)


class PacketsOutKeepTheirOrder(Behaviour):
    """Packets-out to one port leave in the order they were sent."""

    def runTest(self):
        frames = [bytes(out_of(CE_B, udp4(id=at))) for at in range(100)]
        for frame in frames:
            self.client.packet_out(CE_B, frame)
        self.assertEqual(self.come_out(len(frames)), [(CE_B, frame) for frame in frames])


class PacketInNamesItsPort(Behaviour):
    """A packet-in names the port it came in on, its reason and the VRF of its circuit."""

    def runTest(self):
        vrfs = {CE_A: 0xFFFF, CE_B: 0x0100}
        self.modify(*(to_vrf(port, vrf) for port, vrf in vrfs.items()))
        for port, vrf in vrfs.items():
            self.write(route(vrf, "0.0.0.0/0", "receive"))
            self.punts(port, into(port, udp4()), "RECEIVE", vrf)


class PacketsInKeepTheirOrder(Behaviour):
    """Packets-in from one port come in the order the frames came in."""

    def entries(self):
        return [route(VRF_A, "0.0.0.0/0", "receive")]

    def runTest(self):
        frames = [into(CE_A, udp4(id=at)) for at in range(48)]
        punts = self.outcome(CE_A, *frames).punts
        self.assertEqual([Ether(punt.frame)["IP"].id for punt in punts], list(range(48)))


class LongPacketInIsWhole(Behaviour):
    """A packet-in of 1500 bytes, and one of 14, come whole."""

    def entries(self):
        return [route(VRF_A, "0.0.0.0/0", "receive")]

    def runTest(self):
        self.punts(CE_A, into(CE_A, udp4(data=bytes(1472))), "RECEIVE", VRF_A)
        shortest = Ether(dst="01:80:c2:00:00:0e", src="06:00:00:00:00:01")
        shortest.type = 0x88CC
        self.punts(CE_A, shortest, "LLDP", 0)


class Idle(Behaviour):
    """Base: what the controller hears of idle flows."""

    TIMEOUT_NS = 1_000_000_000

    def told_until(self, entry):
        """Keys of flows that the controller is told of, until this one is among them. Some may be of an earlier behaviour."""
        key, told = self.schema.key(entry), []
        wanted = (key.table_id, list(key.match))
        end = time.monotonic() + PATIENCE
        while wanted not in told:
            try:
                notification = self.client.idle.get(timeout=max(0.0, end - time.monotonic()))
            except queue.Empty:
                self.fail(f"nobody says that the flow is idle; told: {told}")
            self.assertGreater(notification.timestamp, 0)
            told += [(one.table_id, list(one.match)) for one in notification.table_entry]
        return told


class IdleFlowIsTold(Idle):
    """The controller hears of a flow that nothing has hit for its idle time-out, IPv4 and IPv6, and the flow stays."""

    def runTest(self):
        for src, dst in ((HOST_A, HOST_B), (HOST_A6, HOST_B6)):
            entry = flow(VRF_A, src, dst, 1).but(idle_timeout_ns=self.TIMEOUT_NS)
            self.write(entry)
            self.told_until(entry)
            self.assertEqual(len(self.client.entries(self.schema.key(entry))), 1)


class FlowWithoutTimeoutIsNotTold(Idle):
    """Of a flow without an idle time-out the controller hears nothing, while it hears of another beside it."""

    def runTest(self):
        forever = flow(VRF_A, HOST_A, HOST_B, 1, dport=7000)
        brief = flow(VRF_A, HOST_A, HOST_B, 1, dport=7001).but(idle_timeout_ns=self.TIMEOUT_NS)
        self.write(forever, brief)
        silent = self.schema.key(forever)
        self.assertNotIn((silent.table_id, list(silent.match)), self.told_until(brief))


class ForwardingOutlivesTheController(Behaviour):
    """A router whose controller has gone forwards on."""

    def entries(self):
        return [route(VRF_A, "10.2.0.0/16", "local", nexthop=CORE)]

    def runTest(self):
        self.client.close()
        self.addCleanup(self.engine.connect, self.schema)
        for ttl in (64, 10):
            self.inject(CE_A, into(CE_A, udp4(ttl=ttl)))
            self.assertEqual(self.come_out(1), [(CORE, bytes(out_of(CORE, udp4(ttl=ttl - 1))))])
