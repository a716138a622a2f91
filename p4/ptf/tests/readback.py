"""P4Runtime: what is written is read back."""

import grpc
from grpc import StatusCode as Code
from p4.v1 import p4runtime_pb2 as p4rt

from router.client import DEVICE, INSERT, PATIENCE
from router.entries import (
    CORE,
    CORE_B,
    acl,
    bursts,
    flow,
    ilm,
    nexthop_of,
    rewrite,
    session,
    tunnel_of,
)
from router.frames import HOST_A, HOST_B
from router.schema import Member, to_bytes
from router.service import Service, canonical, every_action, update


class EverythingIsReadBack(Service):
    """An entry with each action of each table is read as it was written."""

    def runTest(self):
        wanted = list(every_action())
        tables = {(entry.table, action) for entry in wanted for action in [entry.action]}
        refs = {
            (name, self.schema.action_name(ref.id))
            for name, table in self.schema.tables.items()
            for ref in table.action_refs
            if self.schema.action_name(ref.id) != "NoAction"
        }
        self.assertEqual(tables, refs, "an action without an entry")
        self.client.clear()
        self.write(*wanted)
        self.assertEqual(self.entries_as_text(), sorted(canonical(self.schema.encode(entry)) for entry in wanted))
        self.delete(*wanted)
        self.assertEqual(self.client.entries(), [])


class OneTableIsRead(Service):
    """A read of one table gives its entries and no others; of one key, that entry; of a key that is not there, none."""

    def runTest(self):
        labels = [ilm(number, "swap", label=number, nexthop=CORE) for number in range(100, 110)]
        self.write(*labels)
        table = p4rt.TableEntry(table_id=self.schema.tables["ilm"].preamble.id)
        found = sorted(canonical(entry) for entry in self.client.entries(table))
        self.assertEqual(found, sorted(canonical(self.schema.encode(entry)) for entry in labels))
        [one] = self.client.entries(self.schema.key(labels[3]))
        self.assertEqual(canonical(one), canonical(self.schema.encode(labels[3])))
        try:
            self.assertEqual(self.client.entries(self.schema.key(ilm(999, ""))), [])
        except grpc.RpcError as error:
            self.assertEqual(error.code(), Code.NOT_FOUND)


class MembersAreReadBack(Service):
    """A set of actions is read back with weights and watched ports."""

    def runTest(self):
        hops = [Member("rewrite", rewrite(port), weight=port, watch_port=port) for port in (CORE, CORE_B)]
        paths = [Member("lsp_1", {"l1": 100 + at, "nexthop": CORE, "ttl_mode": 0}) for at in range(8)]
        for entry in (nexthop_of(77, *hops), tunnel_of(77, *paths)):
            self.write(entry)
            [found] = self.client.entries(self.schema.key(entry))
            self.assertEqual(canonical(found), canonical(self.schema.encode(entry)))


class ModifiedEntryIsReadBack(Service):
    """An entry that is modified is read with its new action, meter and idle time-out."""

    def runTest(self):
        pairs = [
            (session(1, 1, 600, meter=bursts(1, 2)), session(1, 2, 700, 3, meter=bursts(3, 4))),
            (flow(1, HOST_A, HOST_B, 1).but(idle_timeout_ns=60_000_000_000), flow(1, HOST_A, HOST_B, 2)),
            (ilm(100, "swap", label=1, nexthop=1), ilm(100, "pop_vrf", vrf=1, ttl_mode=0)),
            (acl(1, 7, vrf=1), acl(2, 7, vrf=1)),
        ]
        for before, after in pairs:
            self.write(before)
            self.modify(after)
            [found] = self.found(self.schema.key(after))
            self.assertEqual(canonical(found), canonical(self.schema.encode(after)))


class ValuesNeedNotBeShortest(Service):
    """A value with zeros in front is the same value, and is read back in its shortest form."""

    def runTest(self):
        entry = ilm(100, "swap", label=200, nexthop=CORE)
        message = self.schema.encode(entry)
        message.match[0].exact.value = b"\0" + to_bytes(100)
        for param in message.action.action.params:
            param.value = b"\0" + param.value
        self.client.write_updates([update(INSERT, message)])
        [found] = self.client.entries(self.schema.key(entry))
        self.assertEqual(canonical(found), canonical(self.schema.encode(entry)))


class PipelineIsRead(Service):
    """The router gives back the P4Info it was given."""

    def runTest(self):
        request = p4rt.GetForwardingPipelineConfigRequest(device_id=DEVICE)
        answer = self.client.stub.GetForwardingPipelineConfig(request, timeout=PATIENCE)
        self.assertEqual(answer.config.p4info, self.schema.p4info)


class VersionIsTold(Service):
    """The router tells which version of P4Runtime it speaks: one of version 1."""

    def runTest(self):
        answer = self.client.stub.Capabilities(p4rt.CapabilitiesRequest(), timeout=PATIENCE)
        self.assertRegex(answer.p4runtime_api_version, r"^v?1\.\d+\.\d+")
