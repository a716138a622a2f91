#!/usr/bin/env python3
"""Sends UDP datagrams that carry a customer's mark, and counts what arrives by mark.

Where two customers use the same addresses and ports, only the payload tells whose a datagram is.
"""

import argparse
import json
import pathlib
import signal
import socket
import time

import datagrams

PORT = 9000


def send(arguments: argparse.Namespace) -> None:
    """Sends at an even pace; what the kernel cannot take at once is made up for."""
    mark = arguments.mark.encode()
    datagram = mark + b"." * (arguments.size - len(mark))
    interval = arguments.size * 8 / arguments.rate
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as connection:
        connection.connect((arguments.to, PORT))
        start = time.monotonic()
        sent = 0
        while (now := time.monotonic()) < start + arguments.seconds:
            due = int((now - start) / interval)
            while sent < due:
                try:
                    connection.send(datagram)
                except ConnectionRefusedError:
                    pass  # nobody listens there yet, or any more
                sent += 1
            time.sleep(0.001)


def receive(arguments: argparse.Namespace) -> None:
    """Counts datagrams with this customer's mark and with any other, until none has come for two seconds after the first."""
    mark = arguments.mark.encode()
    counts = {"own": 0, "foreign": 0}
    with datagrams.receiver(arguments.bind, PORT) as connection:
        deadline = time.monotonic() + arguments.limit
        while time.monotonic() < deadline:
            try:
                datagram = connection.recv(65536)
            except TimeoutError:
                break
            counts["own" if datagram.startswith(mark) else "foreign"] += 1
            connection.settimeout(2)
    pathlib.Path(arguments.result).write_text(json.dumps(counts) + "\n")


def main() -> None:
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(required=True)
    sender = commands.add_parser("send")
    sender.add_argument("--to", required=True, help="IPv4 address")
    sender.add_argument("--rate", type=int, required=True, help="bit/s of UDP payload")
    sender.add_argument("--seconds", type=float, required=True)
    sender.add_argument("--size", type=int, required=True, help="bytes of UDP payload")
    sender.set_defaults(run=send)
    receiver = commands.add_parser("receive")
    receiver.add_argument("--bind", required=True, help="IPv4 address")
    receiver.add_argument("--result", required=True, help="file to write the counts to")
    receiver.add_argument("--limit", type=float, default=60, help="seconds")
    receiver.set_defaults(run=receive)
    for command in (sender, receiver):
        command.add_argument("--mark", required=True, help="what the customer's datagrams begin with")
    arguments = parser.parse_args()
    arguments.run(arguments)


if __name__ == "__main__":
    main()
