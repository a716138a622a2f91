#!/usr/bin/env python3
"""Sends a frame on an interface, or waits for one.

Usage: frames.py send INTERFACE HEX
       frames.py await INTERFACE HEX

`await` writes one byte when it listens, and ends when the frame has come in.
"""

import socket
import sys

ETH_P_ALL = 3


def main() -> None:
    what, interface, frame = sys.argv[1], sys.argv[2], bytes.fromhex(sys.argv[3])
    with socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(ETH_P_ALL)) as wire:
        wire.bind((interface, ETH_P_ALL))
        if what == "send":
            wire.send(frame)
            return
        wire.settimeout(60)
        sys.stdout.write("!")
        sys.stdout.flush()
        while wire.recv(65536) != frame:
            pass


if __name__ == "__main__":
    main()
