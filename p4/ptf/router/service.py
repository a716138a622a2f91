"""What behaviours of P4Runtime itself have in common: entries of every kind, and what a write is answered with."""

from grpc import StatusCode as Code
from p4.v1 import p4runtime_pb2 as p4rt

from router.base import Behaviour
from router.client import DELETE, INSERT, Refused
from router.entries import (
    CE_A,
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
    no_marking,
    punt_policer,
    route,
    session,
    station,
    to_core,
    to_vrf,
    tunnel,
    vrf_policer,
)
from router.frames import HOST_A, HOST_A6, HOST_B, HOST_B6
from router.schema import Meter


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
