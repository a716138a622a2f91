"""The primary controller of the router under test, over P4Runtime."""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass

import grpc
from google.rpc import status_pb2
from p4.v1 import p4runtime_pb2 as p4rt
from p4.v1 import p4runtime_pb2_grpc as p4rt_grpc

from router.schema import Entry, Schema, to_bytes

# How long an answer may take on a machine that has other things to do.
PATIENCE = 120.0
DEVICE = 1
ELECTION = p4rt.Uint128(high=0, low=10)
INSERT, MODIFY, DELETE = p4rt.Update.INSERT, p4rt.Update.MODIFY, p4rt.Update.DELETE


class Refused(Exception):
    """A write that did not take place as a whole: the code of the call and of each update."""

    def __init__(self, error: grpc.RpcError) -> None:
        self.code: grpc.StatusCode = error.code()
        self.updates: list[grpc.StatusCode] = []
        self.messages: list[str] = []
        by_number = {code.value[0]: code for code in grpc.StatusCode}
        for key, value in error.trailing_metadata() or ():
            if key == "grpc-status-details-bin":
                for detail in status_pb2.Status.FromString(value).details:
                    one = p4rt.Error()
                    detail.Unpack(one)
                    self.updates.append(by_number[one.canonical_code])
                    self.messages.append(one.message)
        super().__init__(f"{self.code.name}: {error.details()}; {[code.name for code in self.updates]} {self.messages}")


@dataclass(frozen=True)
class Punt:
    """A packet-in."""

    ingress_port: int
    reason: str
    vrf: int
    frame: bytes


@dataclass(frozen=True)
class Count:
    """What a counter's cell says."""

    packets: int
    bytes: int

    def __sub__(self, other: Count) -> Count:
        return Count(self.packets - other.packets, self.bytes - other.bytes)


class Client:
    """One controller of the router; primary, if it has the highest election id."""

    def __init__(self, address: str, schema: Schema, election: p4rt.Uint128 = ELECTION) -> None:
        self.schema = schema
        self.election = election
        # Answers with many entries are large.
        self.channel = grpc.insecure_channel(address, options=[("grpc.max_receive_message_length", 64 << 20)])
        grpc.channel_ready_future(self.channel).result(timeout=PATIENCE)
        self.stub = p4rt_grpc.P4RuntimeStub(self.channel)
        self._requests: queue.Queue[p4rt.StreamMessageRequest | None] = queue.Queue()
        self._answers: queue.Queue[p4rt.StreamMessageResponse] = queue.Queue()
        self.punts: queue.Queue[Punt] = queue.Queue()
        self.idle: queue.Queue[p4rt.IdleTimeoutNotification] = queue.Queue()
        # Cell by cell: an answer with all 256 takes longer than everything else.
        cells = (p4rt.CounterEntry(counter_id=schema.counters["drops"], index=p4rt.Index(index=at)) for at in schema.reasons.values())
        self._drops = [p4rt.Entity(counter_entry=cell) for cell in cells]
        self._stream = self.stub.StreamChannel(iter(self._requests.get, None))
        threading.Thread(target=self._listen, daemon=True).start()

    def _listen(self) -> None:
        try:
            for answer in self._stream:
                kind = answer.WhichOneof("update")
                if kind == "packet":
                    self.punts.put(self._punt(answer.packet))
                elif kind == "idle_timeout_notification":
                    self.idle.put(answer.idle_timeout_notification)
                else:
                    self._answers.put(answer)
        except grpc.RpcError:
            # The stream was closed; who waits for an answer will miss it.
            return

    def _punt(self, packet: p4rt.PacketIn) -> Punt:
        values = {metadata.metadata_id: int.from_bytes(metadata.value, "big") for metadata in packet.metadata}
        header = next(one for one in self.schema.p4info.controller_packet_metadata if one.preamble.name == "packet_in")
        ids = {one.name: one.id for one in header.metadata}
        reason = self.schema.reason_name(values[ids["reason"]])
        return Punt(values[ids["ingress_port"]], reason, values[ids["vrf"]], packet.payload)

    def close(self) -> None:
        """Hangs up."""
        self._requests.put(None)
        self.channel.close()

    def bid(self) -> p4rt.MasterArbitrationUpdate:
        """Bids for mastership, and returns the answer."""
        request = p4rt.StreamMessageRequest()
        request.arbitration.device_id = DEVICE
        request.arbitration.election_id.CopyFrom(self.election)
        self._requests.put(request)
        return self.answer().arbitration

    def answer(self) -> p4rt.StreamMessageResponse:
        """The next message of the stream that is neither a packet nor about an idle entry."""
        return self._answers.get(timeout=PATIENCE)

    def set_pipeline(self, device_config: bytes) -> None:
        """Puts the contract's pipeline into service. Once for each process: BMv2 keeps the memory of the one before."""
        request = p4rt.SetForwardingPipelineConfigRequest(device_id=DEVICE, election_id=self.election)
        request.action = p4rt.SetForwardingPipelineConfigRequest.VERIFY_AND_COMMIT
        request.config.p4info.CopyFrom(self.schema.p4info)
        request.config.p4_device_config = device_config
        self.stub.SetForwardingPipelineConfig(request, timeout=PATIENCE)

    def write_updates(self, updates: Iterable[p4rt.Update]) -> None:
        """Writes a batch that goes on after errors; raises Refused if there were any."""
        request = p4rt.WriteRequest(device_id=DEVICE, election_id=self.election, updates=updates)
        if not request.updates:
            return
        try:
            self.stub.Write(request, timeout=PATIENCE)
        except grpc.RpcError as error:
            raise Refused(error) from None

    def write(self, kind: int, entries: Iterable[Entry]) -> None:
        """Inserts, modifies or deletes entries."""
        encode = self.schema.key if kind == DELETE else self.schema.encode
        self.write_updates(p4rt.Update(type=kind, entity=p4rt.Entity(table_entry=encode(entry))) for entry in entries)

    def read(self, *entities: p4rt.Entity) -> list[p4rt.Entity]:
        """What there is of these."""
        request = p4rt.ReadRequest(device_id=DEVICE, entities=entities)
        return [entity for answer in self.stub.Read(request, timeout=PATIENCE) for entity in answer.entities]

    def entries(self, wanted: p4rt.TableEntry | None = None) -> list[p4rt.TableEntry]:
        """Entries; without a wish, all of all tables."""
        found = self.read(p4rt.Entity(table_entry=wanted or p4rt.TableEntry()))
        return [entity.table_entry for entity in found if not entity.table_entry.is_default_action]

    def clear(self) -> None:
        """Deletes all entries."""
        deletions = []
        for entry in self.entries():
            key = p4rt.TableEntry(table_id=entry.table_id, match=entry.match, priority=entry.priority)
            deletions.append(p4rt.Update(type=DELETE, entity=p4rt.Entity(table_entry=key)))
        self.write_updates(deletions)

    def drops(self) -> dict[str, Count]:
        """The counter of dropped packets, by reason."""
        cells = [entity.counter_entry for entity in self.read(*self._drops)]
        counts = {cell.index.index: Count(cell.data.packet_count, cell.data.byte_count) for cell in cells}
        return {name: counts[value] for name, value in self.schema.reasons.items()}

    def discards(self, session: int) -> Count:
        """A session's cell of what it carried and did not send."""
        wanted = p4rt.CounterEntry(counter_id=self.schema.counters["session_discards"], index=p4rt.Index(index=session))
        [found] = self.read(p4rt.Entity(counter_entry=wanted))
        return Count(found.counter_entry.data.packet_count, found.counter_entry.data.byte_count)

    def counted(self, entry: Entry) -> Count:
        """The direct counter of an entry."""
        wanted = p4rt.DirectCounterEntry(table_entry=self.schema.key(entry))
        [found] = self.read(p4rt.Entity(direct_counter_entry=wanted))
        return Count(found.direct_counter_entry.data.packet_count, found.direct_counter_entry.data.byte_count)

    def packet_out(self, port: int, frame: bytes) -> None:
        """Has the router send a frame."""
        header = next(one for one in self.schema.p4info.controller_packet_metadata if one.preamble.name == "packet_out")
        request = p4rt.StreamMessageRequest(packet=p4rt.PacketOut(payload=frame))
        for metadata in header.metadata:
            value = port if metadata.name == "egress_port" else 0
            request.packet.metadata.add(metadata_id=metadata.id, value=to_bytes(value))
        self._requests.put(request)

    def punts_until(self, is_last: Callable[[Punt], bool]) -> list[Punt]:
        """Packets-in up to one that is the last, which is left out; raises queue.Empty if it does not come."""
        punts: list[Punt] = []
        end = time.monotonic() + PATIENCE
        while True:
            punt = self.punts.get(timeout=max(0.0, end - time.monotonic()))
            if is_last(punt):
                return punts
            punts.append(punt)
