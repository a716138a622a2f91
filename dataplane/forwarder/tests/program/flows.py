#!/usr/bin/env python3
"""Sends rounds of UDP flows into one interface, and counts on which of two others they come out.

Usage: flows.py FLOWS SENDER RECEIVER RECEIVER

For every line on standard input it sends one packet of each flow, waits until all have come out or half a second has passed, and writes how
many came out of each receiver. The flows of a round are those of the round before; each packet says of which round it is.
"""

import select
import socket
import struct
import sys
import time

ETH_P_IP = 0x0800
ETH_P_ALL = 3


def frame(flow: int, number: int) -> bytes:
    payload = struct.pack("!II", number, flow)
    header = struct.pack("!BBHHHBBH4s4s", 0x45, 0, 28 + len(payload), 0, 0, 64, 17, 0, bytes([10, 1, 0, 1]), bytes([10, 2, 0, 1]))
    total = sum(struct.unpack("!10H", header))
    total = (total & 0xFFFF) + (total >> 16)
    total = (total & 0xFFFF) + (total >> 16)
    header = header[:10] + struct.pack("!H", ~total & 0xFFFF) + header[12:]
    udp = struct.pack("!HHHH", 1000 + flow, 4000, 8 + len(payload), 0)
    return bytes([2] * 6 + [6] * 6) + struct.pack("!H", ETH_P_IP) + header + udp + payload


def open_interface(name: str) -> socket.socket:
    wire = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(ETH_P_ALL))
    wire.bind((name, ETH_P_ALL))
    wire.setblocking(False)
    return wire


def collect(wires: list[socket.socket], number: int, flows: int) -> list[int]:
    seen: list[set[int]] = [set() for _ in wires]
    end = time.monotonic() + 0.5
    while (left := end - time.monotonic()) > 0 and len(set().union(*seen)) < flows:
        for wire in select.select(wires, [], [], left)[0]:
            try:
                got, source = wire.recvfrom(2048)
            except OSError:
                # The interface went down.
                continue
            if source[2] != socket.PACKET_OUTGOING and len(got) >= 50 and got[12:14] == b"\x08\x00" and got[23] == 17:
                of, flow = struct.unpack("!II", got[42:50])
                if of == number:
                    seen[wires.index(wire)].add(flow)
    return [len(one) for one in seen]


def main() -> None:
    flows, sender, *receivers = sys.argv[1:]
    send = open_interface(sender)
    wires = [open_interface(name) for name in receivers]
    for number, _ in enumerate(sys.stdin):
        for flow in range(int(flows)):
            send.send(frame(flow, number))
        print(*collect(wires, number, int(flows)), flush=True)


if __name__ == "__main__":
    main()
