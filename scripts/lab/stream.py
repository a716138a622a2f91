#!/usr/bin/env python3
"""Sends numbered UDP datagrams, a millisecond apart, in turn by 16 flows, and tells which of them did not arrive.

A router that shares load between two ways keeps a flow on one of them: of 16 some take either.
"""

import argparse
import json
import pathlib
import signal
import socket
import struct
import time

import datagrams

PORT = 9001
FLOWS = 16
SPACING = 0.001
NUMBER = struct.Struct("!I")
PADDING = bytes(96)


def send(arguments: argparse.Namespace) -> None:
    """Sends them when they are due; those that are late, all at once."""
    flows = []
    for flow in range(FLOWS):
        one = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        one.bind(("", PORT + 1 + flow))
        flows.append(one)
    start = time.monotonic()
    for number in range(arguments.count):
        time.sleep(max(0.0, start + number * SPACING - time.monotonic()))
        flows[number % FLOWS].sendto(NUMBER.pack(number) + PADDING, (arguments.to, PORT))


def receive(arguments: argparse.Namespace) -> None:
    """Until all have come, or none for two seconds after the first."""
    seen = set()
    last = [-1] * FLOWS
    duplicated = overtaken = 0
    with datagrams.receiver(arguments.bind, PORT) as connection:
        while len(seen) < arguments.count:
            try:
                (number,) = NUMBER.unpack_from(connection.recv(2048))
            except TimeoutError:
                break
            connection.settimeout(2)
            duplicated += number in seen
            seen.add(number)
            flow = number % FLOWS
            overtaken += number < last[flow]
            last[flow] = max(last[flow], number)
    lost = sorted(set(range(arguments.count)) - seen)
    outage = round((lost[-1] - lost[0] + 1) * SPACING * 1000) if lost else 0
    result = {"lost": len(lost), "outage_ms": outage, "duplicated": duplicated, "overtaken": overtaken}
    pathlib.Path(arguments.result).write_text(json.dumps(result) + "\n")


def main() -> None:
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(required=True)
    sender = commands.add_parser("send")
    sender.add_argument("--to", required=True, help="IPv4 address")
    sender.set_defaults(run=send)
    receiver = commands.add_parser("receive")
    receiver.add_argument("--bind", required=True, help="IPv4 address")
    receiver.add_argument("--result", required=True, help="file to write what is missing to")
    receiver.set_defaults(run=receive)
    for command in (sender, receiver):
        command.add_argument("--count", type=int, required=True, help="how many datagrams")
    arguments = parser.parse_args()
    arguments.run(arguments)


if __name__ == "__main__":
    main()
