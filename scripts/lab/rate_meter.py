#!/usr/bin/env python3
"""Prints how many bit/s of UDP payload an interface receives: the median of equal windows.

Every process of the lab shares a few processors, and a machine that stands still for longer than a policer's bucket lasts makes everybody lose
their turn. The median is the network's figure; a mean would be the machine's, too.
"""

import argparse
import pathlib
import statistics
import time


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--interface", required=True)
    parser.add_argument("--overhead", type=int, required=True, help="bytes of each frame that are no UDP payload")
    parser.add_argument("--windows", type=int, default=10)
    parser.add_argument("--seconds", type=float, default=0.5, help="of each window")
    arguments = parser.parse_args()

    statistics_directory = pathlib.Path("/sys/class/net") / arguments.interface / "statistics"

    def payload() -> int:
        packets, length = (int((statistics_directory / name).read_text()) for name in ("rx_packets", "rx_bytes"))
        return length - packets * arguments.overhead

    rates = []
    begin, at_begin = time.monotonic(), payload()
    for _ in range(arguments.windows):
        time.sleep(arguments.seconds)
        end, at_end = time.monotonic(), payload()
        rates.append((at_end - at_begin) * 8 / (end - begin))
        begin, at_begin = end, at_end
    print(round(statistics.median(rates)))


if __name__ == "__main__":
    main()
