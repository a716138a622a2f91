#!/usr/bin/env python3
"""A controller made of `p4runtime-shell`: sets the pipeline, writes entries, reads them back, and makes mistakes.

Usage: controller.py ADDRESS P4INFO DEVICE_CONFIG

Ends with the line "done", or with the assertion that does not hold.
"""

import sys

import p4runtime_sh.shell as sh
from p4runtime_sh.p4runtime import P4RuntimeWriteException


def session(number: int) -> sh.TableEntry:
    entry = sh.TableEntry("session")(action="carry")
    entry.match["session"] = str(number)
    entry.action["tunnel"] = "4"
    entry.action["vpn_label"] = "1000"
    entry.action["class"] = "5"
    entry.meter_config.cir, entry.meter_config.cburst = 125000, 3000
    entry.meter_config.pir, entry.meter_config.pburst = 250000, 6000
    return entry


def sessions() -> None:
    session(3).insert()
    wanted = sh.TableEntry("session")
    wanted.meter_config.cir = 0
    wanted.counter_data.packet_count = 0
    [entry] = wanted.read()
    assert entry.match["session"].exact.value == b"\x03", entry
    assert entry.meter_config.pburst == 6000, entry
    assert entry.counter_data.packet_count == 0, entry
    try:
        session(3).insert()
    except P4RuntimeWriteException as refused:
        [(index, error)] = refused.errors
        assert index == 0 and error.canonical_code == 6 and "exists already" in error.message, error
    else:
        raise AssertionError("a second insert was taken")
    session(3).delete()
    assert list(sh.TableEntry("session").read()) == []


def tunnels() -> None:
    entry = sh.TableEntry("tunnel")
    entry.match["tunnel"] = "4"
    members = sh.Oneshot("tunnel")
    for label in ["100", "200"]:
        action = sh.Action("lsp_1")
        action["l1"], action["nexthop"], action["ttl_mode"] = label, "1", "0"
        members.add(action, weight=2)
    entry.oneshot = members
    entry.insert()
    [read] = sh.TableEntry("tunnel").read()
    assert [action.weight for action in read.oneshot.actions] == [2, 2], read
    assert read.oneshot.msg() == members.msg(), read


def acls() -> None:
    for priority, ports in [(1, "80..90"), (2, "0..1023")]:
        entry = sh.TableEntry("flow_acl_v4")(action="assign")
        entry.match["src"] = "10.0.0.0&&&255.0.0.0"
        entry.match["dport"] = ports
        entry.priority = priority
        entry.action["session"] = str(priority)
        entry.insert()
    wanted = sh.TableEntry("flow_acl_v4")
    wanted.priority = 2
    [entry] = wanted.read()
    assert entry.match["dport"].range.high == b"\x03\xff", entry


def counters() -> None:
    cells = list(sh.CounterEntry("drops").read())
    assert len(cells) == 256 and all(cell.packet_count == 0 for cell in cells), cells


def main() -> None:
    address, p4info, device_config = sys.argv[1:]
    sh.setup(device_id=7, grpc_addr=address, election_id=(0, 1), config=sh.FwdPipeConfig(p4info, device_config))
    try:
        assert sh.client.api_version() == "1.6.0", sh.client.api_version()
        for scene in [sessions, tunnels, acls, counters]:
            scene()
    finally:
        # Without it the stream's thread keeps the program alive.
        sh.teardown()
    print("done")


if __name__ == "__main__":
    main()
