"""The contract's P4Info, and P4Runtime messages made of names and numbers as people write them.

A value is a number, or text: an IPv4 or IPv6 address, or a MAC address. On the wire it is the shortest string of bytes that
holds the number (P4Runtime specification, "Bytestrings").
"""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass, field, replace
from pathlib import Path

from google.protobuf import text_format
from p4.config.v1 import p4info_pb2
from p4.v1 import p4runtime_pb2 as p4rt

Value = int | str


@dataclass(frozen=True)
class Member:
    """One of several actions of an entry with an action selector."""

    action: str
    params: dict[str, Value]
    weight: int = 1
    watch_port: int | None = None


@dataclass(frozen=True)
class Meter:
    """A trTCM of RFC 2698, in units of the table's meter per second and at once."""

    cir: int
    cburst: int
    pir: int
    pburst: int


# Green whatever comes. BMv2 lets a new entry without a meter configuration inherit that of one deleted before, so an entry has
# this one unless a behaviour wants another.
UNLIMITED = Meter(1 << 40, 1 << 30, 1 << 40, 1 << 30)


@dataclass(frozen=True)
class Entry:
    """A table entry by names. Exact keys are values, prefixes "address/length", masked ones (value, mask), ranges (low, high)."""

    table: str
    match: dict[str, object]
    action: str | None = None
    params: dict[str, Value] = field(default_factory=dict)
    members: tuple[Member, ...] = ()
    priority: int = 0
    meter: Meter | None = UNLIMITED
    idle_timeout_ns: int = 0

    def but(self, **changes: object) -> Entry:
        """The same with some of it changed."""
        return replace(self, **changes)


def number(value: Value) -> int:
    """The number that a value stands for."""
    if isinstance(value, int):
        return value
    if value.count(":") == 5 and "::" not in value:
        return int(value.replace(":", ""), 16)
    return int(ipaddress.ip_address(value))


def to_bytes(value: Value) -> bytes:
    """A value as it is on the wire."""
    numeric = number(value)
    return numeric.to_bytes(max(1, (numeric.bit_length() + 7) // 8), "big")


def prefix(value: object) -> tuple[int, int]:
    """Number and length of "address/length"."""
    network = ipaddress.ip_network(str(value))
    return int(network.network_address), network.prefixlen


class Schema:
    """The P4Info, asked by name."""

    def __init__(self, path: Path) -> None:
        self.p4info = text_format.Parse(path.read_text(), p4info_pb2.P4Info())
        self.tables = {table.preamble.name: table for table in self.p4info.tables}
        self.actions = {action.preamble.name: action for action in self.p4info.actions}
        self.counters = {counter.preamble.name: counter.preamble.id for counter in self.p4info.counters}
        members = self.p4info.type_info.serializable_enums["Reason"].members
        self.reasons = {member.name: int.from_bytes(member.value, "big") for member in members}
        self.metered = {meter.direct_table_id for meter in self.p4info.direct_meters}

    def reason_name(self, value: int) -> str:
        """The name of a reason to punt or to drop."""
        return next((name for name, other in self.reasons.items() if other == value), str(value))

    def table_name(self, table_id: int) -> str:
        """The name of a table."""
        return next(name for name, table in self.tables.items() if table.preamble.id == table_id)

    def action_name(self, action_id: int) -> str:
        """The name of an action."""
        return next(name for name, action in self.actions.items() if action.preamble.id == action_id)

    def field_match(self, info: p4info_pb2.MatchField, wanted: object) -> p4rt.FieldMatch | None:
        """One field of a key; none where every value matches."""
        match = p4rt.FieldMatch(field_id=info.id)
        if info.match_type == p4info_pb2.MatchField.EXACT:
            match.exact.value = to_bytes(wanted)
        elif info.match_type == p4info_pb2.MatchField.LPM:
            value, length = prefix(wanted)
            if length == 0:
                return None
            match.lpm.value, match.lpm.prefix_len = to_bytes(value), length
        elif info.match_type == p4info_pb2.MatchField.TERNARY:
            value, mask = wanted if isinstance(wanted, tuple) else (wanted, (1 << info.bitwidth) - 1)
            match.ternary.value, match.ternary.mask = to_bytes(value), to_bytes(mask)
        else:
            low, high = wanted if isinstance(wanted, tuple) else (wanted, wanted)
            match.range.low, match.range.high = to_bytes(low), to_bytes(high)
        return match

    def action(self, name: str, params: dict[str, Value]) -> p4rt.Action:
        """An action with its parameters."""
        info = self.actions[name]
        unknown = set(params) - {param.name for param in info.params}
        if unknown:
            raise KeyError(f"{name} has no parameters {unknown}")
        action = p4rt.Action(action_id=info.preamble.id)
        for param in info.params:
            if param.name in params:
                action.params.add(param_id=param.id, value=to_bytes(params[param.name]))
        return action

    def key(self, entry: Entry) -> p4rt.TableEntry:
        """What names an entry."""
        table = self.tables[entry.table]
        unknown = set(entry.match) - {info.name for info in table.match_fields}
        if unknown:
            raise KeyError(f"{entry.table} has no fields {unknown}")
        message = p4rt.TableEntry(table_id=table.preamble.id, priority=entry.priority)
        for info in table.match_fields:
            if info.name in entry.match:
                match = self.field_match(info, entry.match[info.name])
                if match is not None:
                    message.match.append(match)
        return message

    def encode(self, entry: Entry) -> p4rt.TableEntry:
        """All of an entry."""
        message = self.key(entry)
        table = self.tables[entry.table]
        if table.implementation_id:
            # A set of actions in the entry itself, also where there is one only.
            members = entry.members or (Member(entry.action, entry.params),)
            for member in members:
                one = message.action.action_profile_action_set.action_profile_actions.add(weight=member.weight)
                one.action.CopyFrom(self.action(member.action, member.params))
                if member.watch_port is not None:
                    one.watch_port = to_bytes(member.watch_port)
        elif entry.action is not None:
            message.action.action.CopyFrom(self.action(entry.action, entry.params))
        if table.preamble.id in self.metered and entry.meter is not None:
            message.meter_config.cir, message.meter_config.cburst = entry.meter.cir, entry.meter.cburst
            message.meter_config.pir, message.meter_config.pburst = entry.meter.pir, entry.meter.pburst
        message.idle_timeout_ns = entry.idle_timeout_ns
        return message
