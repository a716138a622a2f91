"""Direct counters, drops and session_discards: packets and bytes of the frame as received."""

from p4.v1 import p4runtime_pb2 as p4rt

from router.base import Behaviour, Count
from router.client import MODIFY
from router.entries import CE_A, CORE, GREEN, VRF_A, flow, ilm, no_marking, route, session, to_vrf, tunnel
from router.frames import HOST_A, HOST_A6, HOST_B, HOST_B6, Dot1AD, Dot1Q, into, label, udp4, udp6, upper

CARRIED = session(1, 1, 600)
TUNNEL = tunnel(1, "lsp_0", nexthop=CORE)


class Counted(Behaviour):
    """Base: session 1 carries port 5000 of both IP versions in tunnel 1; everything else of VRF A is routed into it."""

    def entries(self):
        yield CARRIED
        yield TUNNEL
        yield flow(VRF_A, HOST_A, HOST_B, 1)
        yield flow(VRF_A, HOST_A6, HOST_B6, 1)
        yield route(VRF_A, "0.0.0.0/0", "via_tunnel", tunnel=1, vpn_label=700, **{"class": 0})

    def sends(self, *burst):
        """Frames of a customer; returns what they amount to."""
        self.outcome(CE_A, *burst)
        return Count(len(burst), sum(len(frame) for frame in burst))


class SessionCountsWhatItCarries(Counted):
    """A session counts packets and bytes of all its flows, IPv4 and IPv6, and of nothing else."""

    def runTest(self):
        self.assertEqual(self.client.counted(CARRIED), Count(0, 0))
        carried = self.sends(*(into(CE_A, packet) for packet in (udp4(), udp6(), udp4(data=b""), udp4(data=b"x" * 1400))))
        self.sends(into(CE_A, udp4(dport=1)))
        self.assertEqual(self.client.counted(CARRIED), carried)


class TagsAreCounted(Counted):
    """Tags of the frame received are counted, labels pushed and tags sent are not."""

    def runTest(self):
        self.write(to_vrf(CE_A, VRF_A, vlan=1), to_vrf(CE_A, VRF_A, vlan=1, inner_vlan=2))
        carried = self.sends(into(CE_A, Dot1Q(vlan=1), udp4()), into(CE_A, Dot1AD(vlan=1), Dot1Q(vlan=2), udp4()))
        self.assertEqual(carried.bytes, 2 * len(into(CE_A, udp4())) + 12)
        self.assertEqual(self.client.counted(CARRIED), carried)


class TunnelCountsWhatGoesIn(Counted):
    """A tunnel counts what sessions and routes send into it, by the bytes received."""

    def runTest(self):
        sent = self.sends(into(CE_A, udp4()), into(CE_A, udp4(dport=1)), into(CE_A, udp6()))
        self.assertEqual(self.client.counted(TUNNEL), sent)


class TunnelDoesNotCountWhatMarkingDiscards(Counted):
    """What marking discards is counted by the session and by its discards, and not by the tunnel."""

    def runTest(self):
        self.write(no_marking(0, GREEN))
        before = self.client.discards(1)
        sent = self.sends(into(CE_A, udp4()), into(CE_A, udp6()))
        self.assertEqual(self.client.counted(CARRIED), sent)
        self.assertEqual(self.client.discards(1) - before, sent)
        self.assertEqual(self.client.counted(TUNNEL), Count(0, 0))


class DiscardsAreOfTheirSession(Counted):
    """Drops of packets without a session, and of another session, are not counted as this session's."""

    def runTest(self):
        self.write(session(2, 9, 600), flow(VRF_A, HOST_A, HOST_B, 2, dport=5002))
        before = [self.client.discards(number) for number in (1, 2)]
        frame = into(CE_A, udp4(dport=5002))
        self.drops(CE_A, frame, "NO_TUNNEL")
        self.drops(CE_A, into(CE_A, udp4(ttl=0)), "IP_TTL_ZERO")
        self.sends(into(CE_A, udp4()))
        self.assertEqual(self.client.discards(1) - before[0], Count(0, 0))
        self.assertEqual(self.client.discards(2) - before[1], Count(1, len(frame)))


class CarriedLessDiscardedIsSent(Counted):
    """What a session counts less what it discards is what left by a port: that is billed."""

    def runTest(self):
        before = self.client.discards(1)
        burst = [into(CE_A, udp4(data=b"x" * length)) for length in (100, 1400, 1440, 1450, 1460, 1472)]
        outcome = self.outcome(CE_A, *burst)
        self.assertLess(0, len(outcome.sent))
        self.assertLess(len(outcome.sent), len(burst))
        carried, discarded = self.client.counted(CARRIED), self.client.discards(1) - before
        self.assertEqual(carried, Count(len(burst), sum(len(frame) for frame in burst)))
        # Each left with one label of 4 bytes more.
        sent = Count(len(outcome.sent), sum(len(frame) - 4 for _, frame in outcome.sent))
        self.assertEqual(carried - discarded, sent)


class LabelCountsItsHits(Counted):
    """A label counts every frame that comes to it, expired and dropped ones too, and not those of other labels."""

    def runTest(self):
        entry = ilm(100, "swap", label=200, nexthop=CORE)
        self.write(entry, ilm(101, "pop_vrf", vrf=VRF_A, ttl_mode=0))
        frames = [into(CORE, label(100), udp4()), into(CORE, upper(100), label(7), udp6()), into(CORE, label(100, ttl=1), udp4())]
        self.outcome(CORE, *frames, into(CORE, label(101), udp4()), into(CORE, label(999), udp4()))
        self.assertEqual(self.client.counted(entry), Count(3, sum(len(frame) for frame in frames)))
        wrong = into(CORE, upper(101), label(5), udp4())
        self.drops(CORE, wrong, "BAD_LABEL_STACK")
        self.assertEqual(self.client.counted(ilm(101, "")).packets, 2)


class NewEntryCountsFromZero(Counted):
    """An entry that is deleted and inserted again counts from zero, and one that is modified goes on."""

    def runTest(self):
        sent = self.sends(into(CE_A, udp4()))
        self.modify(session(1, 1, 601))
        self.assertEqual(self.client.counted(CARRIED), sent)
        self.delete(CARRIED)
        self.write(CARRIED)
        self.assertEqual(self.client.counted(CARRIED), Count(0, 0))


class CountersAreRead(Counted):
    """A wildcard reads the direct counters of all entries of a table, each with its key."""

    def runTest(self):
        self.write(session(2, 1, 600), flow(VRF_A, HOST_A, HOST_B, 2, dport=5002))
        first, second = self.sends(into(CE_A, udp4())), self.sends(*[into(CE_A, udp4(dport=5002))] * 3)
        wanted = p4rt.DirectCounterEntry(table_entry=p4rt.TableEntry(table_id=self.schema.tables["session"].preamble.id))
        found = {}
        for entity in self.client.read(p4rt.Entity(direct_counter_entry=wanted)):
            entry = entity.direct_counter_entry
            key = int.from_bytes(entry.table_entry.match[0].exact.value, "big")
            found[key] = Count(entry.data.packet_count, entry.data.byte_count)
        self.assertEqual(found, {1: first, 2: second})


class CountersComeWithEntries(Counted):
    """Reading entries with counter_data set reads their counters too."""

    def runTest(self):
        sent = self.sends(into(CE_A, udp4()), into(CE_A, udp6()))
        key = self.schema.key(CARRIED)
        key.counter_data.SetInParent()
        [entry] = self.client.entries(key)
        self.assertEqual(Count(entry.counter_data.packet_count, entry.counter_data.byte_count), sent)


class CountersAreWritten(Counted):
    """The controller may set a direct counter and a cell of session_discards, and they count on from there."""

    def runTest(self):
        direct = p4rt.DirectCounterEntry(table_entry=self.schema.key(CARRIED), data=p4rt.CounterData(packet_count=1000, byte_count=1 << 40))
        cell = p4rt.CounterEntry(
            counter_id=self.schema.counters["session_discards"],
            index=p4rt.Index(index=1),
            data=p4rt.CounterData(packet_count=5, byte_count=6),
        )
        entities = (p4rt.Entity(direct_counter_entry=direct), p4rt.Entity(counter_entry=cell))
        self.client.write_updates(p4rt.Update(type=MODIFY, entity=entity) for entity in entities)
        self.assertEqual(self.client.discards(1), Count(5, 6))
        sent = self.sends(into(CE_A, udp4()))
        self.assertEqual(self.client.counted(CARRIED), Count(1001, (1 << 40) + sent.bytes))


class DropsAreCountedByReason(Counted):
    """A burst of frames with different faults is counted by reason, all of it."""

    def runTest(self):
        faults = {
            "IP_TTL_ZERO": [udp4(ttl=0), udp6(ttl=0)],
            "IP_BAD_CHECKSUM": [udp4(chksum=1)] * 3,
            "NO_ROUTE": [udp6("2001:db8:9::1")],
        }
        frames = {reason: [into(CE_A, packet) for packet in packets] for reason, packets in faults.items()}
        outcome = self.outcome(CE_A, *(frame for burst in frames.values() for frame in burst))
        expected = {reason: Count(len(burst), sum(len(frame) for frame in burst)) for reason, burst in frames.items()}
        self.assertEqual(outcome.drops, expected)
        self.assertEqual((outcome.sent, outcome.punts), ([], []))
