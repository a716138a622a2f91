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

PORT = 9000
# Linux: a receive buffer beyond the system's limit, for root.
SO_RCVBUFFORCE = 33
# While a policer's bucket is still full, more arrives than is granted: not counted into the rate.
SETTLING_SECONDS = 2.0


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


class Tally:
    """What has arrived."""

    def __init__(self, mark: str) -> None:
        self.mark = mark.encode()
        self.own = self.foreign = 0
        self.first = self.settled_at = self.last = None
        self.settled_bytes = 0

    def add(self, datagram: bytes, now: float) -> None:
        if datagram.startswith(self.mark):
            self.own += 1
        else:
            self.foreign += 1
        self.first = self.first or now
        if now >= self.first + SETTLING_SECONDS:
            if self.settled_at is None:
                self.settled_at = now
            else:
                self.settled_bytes += len(datagram)
        self.last = now

    def result(self) -> dict:
        """Datagrams with this customer's mark, with any other, and bit/s of UDP payload."""
        seconds = self.last - self.settled_at if self.settled_at else 0
        rate = round(self.settled_bytes * 8 / seconds) if seconds else 0
        return {"own": self.own, "foreign": self.foreign, "rate": rate}


def receive(arguments: argparse.Namespace) -> None:
    """Counts until nothing has come for two seconds after the first datagram, or until the time limit."""
    tally = Tally(arguments.mark)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as connection:
        connection.setsockopt(socket.SOL_SOCKET, SO_RCVBUFFORCE, 4 << 20)
        connection.bind((arguments.bind, PORT))
        connection.settimeout(10)
        deadline = time.monotonic() + arguments.limit
        while time.monotonic() < deadline:
            try:
                datagram = connection.recv(65536)
            except TimeoutError:
                break
            tally.add(datagram, time.monotonic())
            connection.settimeout(2)
    pathlib.Path(arguments.result).write_text(json.dumps(tally.result()) + "\n")


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
