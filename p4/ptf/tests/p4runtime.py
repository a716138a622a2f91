"""P4Runtime itself: what is written is read back, and what is wrong is refused."""

from typing import ClassVar

import grpc
from grpc import StatusCode as Code
from p4.v1 import p4runtime_pb2 as p4rt

from router.base import Behaviour
from router.client import DELETE, DEVICE, ELECTION, INSERT, MODIFY, PATIENCE, Client, Refused
from router.engine import ADDRESS
from router.entries import (
    CE_A,
    CORE,
    CORE_B,
    PE_TUNNEL,
    PE_TUNNEL_6,
    VRF_A,
    acl,
    arp_responder,
    bursts,
    flow,
    gre_ingress,
    ilm,
    marking,
    nexthop,
    nexthop_of,
    no_marking,
    punt_policer,
    rewrite,
    route,
    session,
    station,
    to_core,
    to_vrf,
    tunnel,
    tunnel_of,
    vrf_policer,
)
from router.frames import HOST_A, HOST_A6, HOST_B, HOST_B6, into, out_of, udp4
from router.schema import Member, Meter, to_bytes


def every_action():
    """An entry with each action of each table."""
    onward = {"tunnel": 65535, "vpn_label": 1048575, "class": 7}
    yield to_vrf(CE_A, 65535, vlan=4095, inner_vlan=4095)
    yield to_core(511, vlan=1)
    yield station(511, "ff:ff:ff:ff:ff:fe")
    yield arp_responder(CE_A, "255.255.255.255", "00:00:00:00:00:01", vlan=4095)
    yield flow(65535, HOST_A, HOST_B, 4095, proto=255, sport=65535, dport=0).but(idle_timeout_ns=3_600_000_000_000)
    yield flow(0, HOST_A6, HOST_B6, 0, sport=0)
    yield acl(1, 1, vrf=VRF_A, src=("10.0.0.0", 0xFF000000), dport=(1, 65534))
    yield acl(2, 0x7FFFFFFF, "v6", dst=(HOST_B6, (1 << 128) - 1), proto=17)
    yield acl(3, 5)
    yield session(4095, 65535, 16, 7, meter=Meter(1000, 2000, 3000, 4000))
    for dst in ("0.0.0.0/0", "::/0"):
        yield route(1, dst, "via_tunnel", **onward)
        yield route(2, dst, "local", nexthop=4095)
        yield route(3, dst, "receive")
        yield route(4, dst, "discard")
    yield route(5, "10.2.0.1/32", "discard")
    yield route(5, "2001:db8::/127", "discard")
    yield vrf_policer(65535, bursts(1, 2))
    yield punt_policer(7, bursts(3, 4))
    yield tunnel(1, "lsp_0", nexthop=0)
    yield tunnel(2, "lsp_1", l1=16, nexthop=1, ttl_mode=255)
    yield tunnel(3, "lsp_2", l1=16, l2=17, nexthop=1)
    yield tunnel(4, "lsp_3", l1=16, l2=17, l3=1048575, nexthop=1)
    yield tunnel(5, "gre_v4", **PE_TUNNEL, key=0xFFFFFFFF, nexthop=1)
    yield tunnel(6, "gre_v6", **PE_TUNNEL_6, key=0, nexthop=1)
    yield ilm(16, "swap", label=1048575, nexthop=1)
    yield ilm(17, "swap_push", label=16, l2=17, nexthop=1)
    yield ilm(18, "php", nexthop=1, ttl_mode=0)
    yield ilm(19, "pop_vrf", vrf=65535, ttl_mode=255)
    yield ilm(20, "pop_local", nexthop=1, ttl_mode=1)
    yield ilm(1048575, "pop_next", ttl_mode=0)
    for ends in (PE_TUNNEL, PE_TUNNEL_6):
        yield gre_ingress(**ends, key=0, action="decap_vrf", vrf=1)
        yield gre_ingress(**ends, key=0xFFFFFFFF, action="decap_mpls")
    yield nexthop(4095, 511, vlan=4095, inner_vlan=1, mtu=65535)
    yield marking(7, 2, 7, dscp=63)
    yield no_marking(0, 0)


def canonical(entry):
    """An entry as text, without what a read may add to it, its parts in one order."""
    plain = p4rt.TableEntry()
    plain.CopyFrom(entry)
    for name in ("counter_data", "meter_counter_data", "time_since_last_hit"):
        plain.ClearField(name)
    matches = sorted(plain.match, key=lambda match: match.field_id)
    del plain.match[:]
    plain.match.extend(matches)
    members = sorted(plain.action.action_profile_action_set.action_profile_actions, key=lambda one: one.SerializeToString())
    if members:
        del plain.action.action_profile_action_set.action_profile_actions[:]
        plain.action.action_profile_action_set.action_profile_actions.extend(members)
    return str(plain)


class Service(Behaviour):
    """Base: what a write is answered with, and that a refused one changed nothing."""

    def found(self, message):
        """Entries that a message asks for, with their meters: those are told to who asks (P4Runtime, "Direct resources")."""
        if message.table_id in self.schema.metered:
            message.meter_config.SetInParent()
        return self.client.entries(message)

    def entries_as_text(self):
        """All entries, in one order."""
        tables = (p4rt.TableEntry(table_id=table.preamble.id) for table in self.schema.tables.values())
        return sorted(canonical(entry) for table in tables for entry in self.found(table))

    def refused(self, codes, *updates):
        """Each of these updates is refused with one of these codes, and they change nothing."""
        before = self.client.entries()
        with self.assertRaises(Refused) as caught:
            self.client.write_updates(updates)
        refusal = caught.exception
        self.assertEqual(refusal.code, Code.UNKNOWN, refusal)
        self.assertEqual(len(refusal.updates), len(updates), refusal)
        self.assertLessEqual(set(refusal.updates), set(codes), refusal)
        self.assertEqual(sorted(map(canonical, self.client.entries())), sorted(map(canonical, before)))

    def wrong(self, codes, entry, change=lambda message: None):
        """The insert of an entry, its message changed, is refused."""
        message = self.schema.encode(entry)
        change(message)
        self.refused(codes, update(INSERT, message))

    def all_wrong(self, code, kind, entries):
        """All these updates are refused with this code."""
        encode = self.schema.key if kind == DELETE else self.schema.encode
        self.refused((code,), *(update(kind, encode(entry)) for entry in entries))


def update(kind, message):
    """An update of an entry."""
    return p4rt.Update(type=kind, entity=p4rt.Entity(table_entry=message))


INVALID = (Code.INVALID_ARGUMENT,)


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


class DuplicateInsertIsRefused(Service):
    """An entry that is there cannot be inserted, with the same action or another; it stays as it was."""

    def runTest(self):
        wanted = list(every_action())
        self.write(*wanted)
        self.all_wrong(Code.ALREADY_EXISTS, INSERT, wanted)
        self.delete(*wanted)
        self.write(route(VRF_A, "10.2.0.0/16", "local", nexthop=CORE))
        self.wrong((Code.ALREADY_EXISTS,), route(VRF_A, "10.2.0.0/16", "discard"))
        self.forwards(CE_A, into(CE_A, udp4()), CORE, out_of(CORE, udp4(ttl=63)))


class MissingEntryIsRefused(Service):
    """An entry that is not there can be neither modified nor deleted."""

    def runTest(self):
        self.client.clear()
        self.all_wrong(Code.NOT_FOUND, MODIFY, every_action())
        self.all_wrong(Code.NOT_FOUND, DELETE, every_action())


class KeysOfOneValueAreDifferent(Service):
    """Prefixes of one address and different length, and ACL entries of one match and different priority, are different entries."""

    def runTest(self):
        for entry in (*(route(1, f"10.0.0.0/{length}", "discard") for length in (8, 9, 32)), acl(1, 1, vrf=1), acl(1, 2, vrf=1)):
            self.write(entry)
        self.delete(route(1, "10.0.0.0/9", "discard"), acl(1, 1, vrf=1))
        self.all_wrong(Code.NOT_FOUND, DELETE, [route(1, "10.0.0.0/9", "discard"), acl(1, 1, vrf=1)])
        self.delete(route(1, "10.0.0.0/8", "discard"), route(1, "10.0.0.0/32", "discard"), acl(1, 2, vrf=1))


class UnknownTableIsRefused(Service):
    """A table that is not in the P4Info is refused."""

    def runTest(self):
        def other_table(message):
            message.table_id = 0x02FFFFFF

        self.wrong((Code.INVALID_ARGUMENT, Code.NOT_FOUND), station(1, "02:00:00:00:00:99"), other_table)


class UnknownActionIsRefused(Service):
    """An action that is not in the P4Info, is another table's, or is for defaults only, is refused."""

    def runTest(self):
        for action_id in (0x01FFFFFF, self.schema.actions["accept"].preamble.id, self.schema.actions["NoAction"].preamble.id):

            def other_action(message, action_id=action_id):
                message.action.action.action_id = action_id
                del message.action.action.params[:]

            self.wrong((Code.INVALID_ARGUMENT, Code.NOT_FOUND, Code.PERMISSION_DENIED), ilm(100, "pop_next", ttl_mode=0), other_action)


class WrongParameterIsRefused(Service):
    """An action with a parameter too few, or an unknown one, is refused."""

    def runTest(self):
        def missing(message):
            del message.action.action.params[0]

        def unknown(message):
            message.action.action.params[0].param_id = 99

        for change in (missing, unknown):
            self.wrong((Code.INVALID_ARGUMENT, Code.NOT_FOUND), ilm(100, "swap", label=200, nexthop=1), change)


class ParameterTwiceIsRefused(Service):
    """An action with one parameter twice, and another not at all, is refused."""

    skip_on: ClassVar = {"bmv2": "BMv2 counts parameters only"}

    def runTest(self):
        def twice(message):
            message.action.action.params[1].param_id = message.action.action.params[0].param_id

        self.wrong(INVALID, ilm(100, "swap", label=200, nexthop=1), twice)


class TooLargeValueIsRefused(Service):
    """A value of more bits than its field or parameter has is refused."""

    def runTest(self):
        for entry in (
            to_vrf(CE_A, 1, vlan=4096),
            to_vrf(512, 1),
            to_vrf(CE_A, 65536, vlan=9),
            ilm(1 << 20, "pop_next", ttl_mode=0),
            ilm(100, "swap", label=1 << 20, nexthop=1),
            ilm(100, "pop_next", ttl_mode=256),
            marking(8, 0, 1),
            marking(1, 0, 8),
            marking(1, 0, 1, dscp=64),
            nexthop(50, 512),
            nexthop(50, 1, mtu=65536),
            flow(1, HOST_A, HOST_B, 1 << 32),
            flow(1, HOST_A, HOST_B, 1, sport=65536),
        ):
            self.wrong((Code.INVALID_ARGUMENT, Code.OUT_OF_RANGE), entry)


class EmptyValueIsRefused(Service):
    """A value of no bytes is refused, in a key and in a parameter."""

    skip_on: ClassVar = {"bmv2": "BMv2 takes no bytes for 0"}

    def runTest(self):
        def empty_key(message):
            message.match[0].exact.value = b""

        def empty_parameter(message):
            message.action.action.params[0].value = b""

        for change in (empty_key, empty_parameter):
            self.wrong((Code.INVALID_ARGUMENT, Code.OUT_OF_RANGE), ilm(100, "pop_next", ttl_mode=0), change)


class WrongKeyIsRefused(Service):
    """A key with an exact field too few, an unknown field, a field twice, or a match of another kind is refused."""

    def runTest(self):
        def missing(message):
            del message.match[0]

        def unknown(message):
            message.match[0].field_id = 99

        def twice(message):
            message.match.append(message.match[0])

        def another_kind(message):
            value = message.match[0].exact.value
            message.match[0].ternary.value, message.match[0].ternary.mask = value, b"\xff"

        for change in (missing, unknown, twice, another_kind):
            self.wrong((Code.INVALID_ARGUMENT, Code.NOT_FOUND), station(1, "02:00:00:00:00:99"), change)


class WrongPrefixIsRefused(Service):
    """A prefix longer than its address, of length 0, or with bits beyond its length is refused."""

    def runTest(self):
        def length(value):
            def change(message):
                message.match[1].lpm.prefix_len = value

            return change

        for value in (33, -1, 0, 8):
            self.wrong(INVALID, route(1, "10.2.0.0/16", "discard"), length(value))


class WrongMaskIsRefused(Service):
    """A masked field with bits outside its mask, or an empty mask, is refused."""

    def runTest(self):
        self.wrong(INVALID, acl(1, 1, proto=(0x11, 0x0F)))
        self.wrong(INVALID, acl(1, 1, proto=(0, 0)))


class WrongRangeIsRefused(Service):
    """A range whose low end is above its high end is refused."""

    def runTest(self):
        self.wrong(INVALID, acl(1, 1, sport=(2, 1)))


class PriorityIsForAclsOnly(Service):
    """A table of masks or ranges needs a priority above 0, any other has none."""

    def runTest(self):
        self.wrong(INVALID, acl(1, 0, vrf=1))
        self.wrong((*INVALID, Code.UNKNOWN), acl(1, -1, vrf=1))
        self.wrong(INVALID, station(1, "02:00:00:00:00:99").but(priority=1))
        self.wrong(INVALID, route(1, "10.2.0.0/16", "discard").but(priority=5))


class EntryWithoutActionIsRefused(Service):
    """An entry without an action is refused, and so is a set of no actions, or one of weight 0."""

    def runTest(self):
        def no_action(message):
            message.ClearField("action")

        def no_members(message):
            del message.action.action_profile_action_set.action_profile_actions[:]

        def no_weight(message):
            message.action.action_profile_action_set.action_profile_actions[0].weight = 0

        self.wrong(INVALID, station(1, "02:00:00:00:00:99"), no_action)
        self.wrong((*INVALID, Code.UNIMPLEMENTED), nexthop(77, CORE), no_members)
        self.wrong(INVALID, nexthop(77, CORE), no_weight)


class SelectorTakesNoPlainAction(Service):
    """A table with an action selector takes no action alone, and another table no set."""

    def runTest(self):
        def plain(message):
            action = p4rt.Action()
            action.CopyFrom(message.action.action_profile_action_set.action_profile_actions[0].action)
            message.action.action.CopyFrom(action)

        def in_a_set(message):
            action = p4rt.Action()
            action.CopyFrom(message.action.action)
            message.action.action_profile_action_set.action_profile_actions.add(weight=1).action.CopyFrom(action)

        self.wrong(INVALID, nexthop(77, CORE), plain)
        self.wrong(INVALID, station(1, "02:00:00:00:00:99"), in_a_set)


class DefaultIsConstant(Service):
    """The default action of a table is NoAction, and stays it."""

    def runTest(self):
        table = self.schema.tables["station"].preamble.id
        default = p4rt.TableEntry(table_id=table, is_default_action=True)
        default.action.action.CopyFrom(self.schema.action("accept", {}))
        self.refused((Code.INVALID_ARGUMENT, Code.PERMISSION_DENIED), update(MODIFY, default))
        found = self.client.read(p4rt.Entity(table_entry=p4rt.TableEntry(table_id=table, is_default_action=True)))
        actions = {entity.table_entry.action.action.action_id for entity in found if entity.table_entry.HasField("action")}
        self.assertLessEqual(actions, {self.schema.actions["NoAction"].preamble.id})
        self.drops(CE_A, into(CE_A, udp4(), dst="02:00:00:00:00:99"), "UNKNOWN_STATION")


class BatchGoesOnAfterErrors(Service):
    """In a batch that goes on after errors each update has its own answer, and the good ones take place."""

    def runTest(self):
        good, bad, last = (ilm(number, "swap", label=16, nexthop=CORE_B) for number in (100, 101, 102))
        self.write(bad)
        with self.assertRaises(Refused) as caught:
            self.write(good, bad, last)
        self.assertEqual(caught.exception.updates, [Code.OK, Code.ALREADY_EXISTS, Code.OK])
        table = p4rt.TableEntry(table_id=self.schema.tables["ilm"].preamble.id)
        self.assertEqual(len(self.client.entries(table)), 3)


class UpdateNeedsAKind(Service):
    """An update that is neither an insert, a modification nor a deletion is refused, and one of nothing too."""

    def runTest(self):
        entity = p4rt.Entity(table_entry=self.schema.encode(station(1, "02:00:00:00:00:99")))
        self.refused((*INVALID, Code.UNIMPLEMENTED), p4rt.Update(entity=entity))
        self.refused((*INVALID, Code.UNIMPLEMENTED, Code.UNKNOWN), p4rt.Update(type=INSERT))


class BackupReadsAndDoesNotWrite(Service):
    """A controller of a lower election id is told that there is a primary; it may read, and its writes are refused."""

    def runTest(self):
        backup = Client(ADDRESS, self.schema, p4rt.Uint128(low=ELECTION.low - 1))
        self.addCleanup(backup.close)
        self.assertEqual(backup.bid().status.code, Code.ALREADY_EXISTS.value[0])
        request = p4rt.WriteRequest(device_id=DEVICE, election_id=backup.election)
        request.updates.add(type=INSERT).entity.table_entry.CopyFrom(self.schema.encode(station(1, "02:00:00:00:00:99")))
        with self.assertRaises(grpc.RpcError) as caught:
            backup.stub.Write(request, timeout=PATIENCE)
        self.assertEqual(caught.exception.code(), Code.PERMISSION_DENIED)
        self.assertEqual(len(backup.entries()), len(self.client.entries()))


class OtherDeviceIsRefused(Service):
    """A write for another device is refused."""

    def runTest(self):
        request = p4rt.WriteRequest(device_id=DEVICE + 1, election_id=ELECTION)
        request.updates.add(type=INSERT).entity.table_entry.CopyFrom(self.schema.encode(station(1, "02:00:00:00:00:99")))
        before = self.entries_as_text()
        with self.assertRaises(grpc.RpcError) as caught:
            self.client.stub.Write(request, timeout=PATIENCE)
        self.assertIn(caught.exception.code(), (Code.NOT_FOUND, Code.PERMISSION_DENIED))
        self.assertEqual(self.entries_as_text(), before)


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
