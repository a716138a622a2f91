"""P4Runtime: what is wrong is refused, and changes nothing."""

from typing import ClassVar

import grpc
from grpc import StatusCode as Code
from p4.v1 import p4runtime_pb2 as p4rt

from router.client import DELETE, DEVICE, ELECTION, INSERT, MODIFY, PATIENCE, Client, Refused
from router.engine import ADDRESS
from router.entries import (
    CE_A,
    CORE,
    CORE_B,
    VRF_A,
    acl,
    flow,
    ilm,
    marking,
    nexthop,
    route,
    station,
    to_vrf,
)
from router.frames import HOST_A, HOST_B, into, out_of, udp4
from router.service import Service, every_action, update

INVALID = (Code.INVALID_ARGUMENT,)


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
