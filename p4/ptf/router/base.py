"""What a behaviour is made of."""

from __future__ import annotations

import difflib
import queue
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import ClassVar

import ptf
import ptf.base_tests
import ptf.dataplane
from scapy.compat import raw
from scapy.packet import Packet

from router import frames
from router.client import DELETE, INSERT, MODIFY, PATIENCE, Client, Count, Punt
from router.engine import PORTS, Engine
from router.entries import world
from router.frames import Ether
from router.schema import Entry, Schema

Frame = Packet | bytes

# As many frames are on their way at once; an engine's receive ring may have no more than 31 places.
IN_FLIGHT = 16
# How long it is waited for what should not come. It would be seen when the next behaviour begins, too.
GRACE = 0.005


@dataclass
class Outcome:
    """What became of some frames. Each is in one of these: inputs = outputs + punts + drops."""

    sent: list[tuple[int, bytes]] = field(default_factory=list)
    punts: list[Punt] = field(default_factory=list)
    drops: dict[str, Count] = field(default_factory=dict)

    def __str__(self) -> str:
        lines = [f"sent to port {port}: {Ether(frame).summary()}" for port, frame in self.sent]
        lines += [f"punted from port {punt.ingress_port}: {punt.reason}, VRF {punt.vrf}" for punt in self.punts]
        lines += [f"dropped: {reason} {count}" for reason, count in self.drops.items()]
        return "; ".join(lines) or "nothing"


def described(frame: bytes) -> list[str]:
    """A frame in scapy's words, and in bytes."""
    hexadecimal = [frame[start : start + 16].hex(" ") for start in range(0, len(frame), 16)]
    return [*Ether(frame).show(dump=True).splitlines(), *hexadecimal]


class Behaviour(ptf.base_tests.BaseTest):
    """One behaviour of a router: a test with a docstring of one line that says it.

    It begins with the world of `entries.world` in the tables, or with what `entries` gives.
    """

    # Why an engine cannot be asked, by its name.
    skip_on: ClassVar[dict[str, str]] = {}
    _barriers = 0

    def entries(self) -> Iterable[Entry]:
        """What is in the tables when it begins, besides the world."""
        return ()

    def setUp(self) -> None:
        super().setUp()
        self.engine: Engine = ptf.config["engine"]
        if self.engine.name in self.skip_on:
            self.skipTest(self.skip_on[self.engine.name])
        self.client: Client = self.engine.client
        self.schema: Schema = self.client.schema
        self.dataplane: ptf.dataplane.DataPlane = ptf.dataplane_instance
        self.addCleanup(self._nothing_more)
        self.client.clear()
        self.write(*world(), *self.entries())
        self._dropped = self.client.drops()

    def _nothing_more(self) -> None:
        time.sleep(GRACE)
        left = self._queued()
        while not self.client.punts.empty():
            left.append((0, self.client.punts.get().frame))
        if left:
            self.fail(f"frames that nobody expected: {left}")

    # The controller.

    def write(self, *entries: Entry) -> None:
        """Inserts entries."""
        self.client.write(INSERT, entries)

    def modify(self, *entries: Entry) -> None:
        """Modifies entries."""
        self.client.write(MODIFY, entries)

    def delete(self, *entries: Entry) -> None:
        """Deletes entries."""
        self.client.write(DELETE, entries)

    # Frames.

    def inject(self, port: int, frame: Frame) -> None:
        """Sends a frame into a port."""
        self.dataplane.send(0, port, raw(frame))

    def _queued(self) -> list[tuple[int, bytes]]:
        with self.dataplane.cvar:
            return [(port, frame) for port, frame, _ in self.dataplane.packets(0)]

    def come_out(self, count: int, within: float = PATIENCE) -> list[tuple[int, bytes]]:
        """What comes out of the ports: so many frames, and more if they are there already; fewer when the time is over."""
        end = time.monotonic() + within
        sent = self._queued()
        while len(sent) < count and time.monotonic() < end:
            with self.dataplane.cvar:
                if not any(self.dataplane.packet_queues.values()):
                    self.dataplane.cvar.wait(0.1)
            sent += self._queued()
        return sent

    def inject_and_wait(self, port: int, *burst: Frame) -> list[Punt]:
        """Sends a few frames into a port, and waits until all have been looked at; returns those that were punted."""
        Behaviour._barriers += 1
        last = frames.barrier(Behaviour._barriers)
        for frame in (*burst, last):
            self.inject(port, frame)
        # An engine keeps the order of frames that come in on one port and go to the controller.
        try:
            return self.client.punts_until(lambda punt: punt.frame == last)
        except queue.Empty:
            self.fail(f"frames on port {port} were not looked at; {self.engine.last_words()}")

    def _burst(self, port: int, burst: Sequence[bytes], outcome: Outcome) -> None:
        punts = self.inject_and_wait(port, *burst)
        drops = self.client.drops()
        dropped = {reason: count - self._dropped[reason] for reason, count in drops.items()}
        dropped = {reason: count for reason, count in dropped.items() if count.packets}
        self._dropped = drops
        outcome.punts += punts
        for reason, count in dropped.items():
            before = outcome.drops.get(reason, Count(0, 0))
            outcome.drops[reason] = Count(before.packets + count.packets, before.bytes + count.bytes)
        expected = len(burst) - len(punts) - sum(count.packets for count in dropped.values())
        sent = self.come_out(expected)
        outcome.sent += sent
        if len(sent) != expected:
            self.fail(f"of {len(burst)} inputs {expected - len(sent)} are no output, punt or drop; all of them: {outcome}")

    def outcome(self, port: int, *burst: Frame) -> Outcome:
        """Sends frames into a port, and waits until each has left, been punted or been counted as dropped."""
        outcome = Outcome()
        frames_in = [raw(frame) for frame in burst]
        for start in range(0, len(frames_in), IN_FLIGHT):
            self._burst(port, frames_in[start : start + IN_FLIGHT], outcome)
        return outcome

    def same_frame(self, actual: bytes, expected: Frame, what: str) -> None:
        """Fails with scapy's view of both where bytes differ."""
        if actual != raw(expected):
            lines = difflib.unified_diff(described(raw(expected)), described(actual), "expected", "actual", lineterm="", n=1)
            self.fail("\n".join([what, *lines]))

    # Expectations.

    def forwards(self, port: int, frame: Frame, egress: int, expected: Frame) -> None:
        """A frame comes in on a port, and goes out of another one as this frame."""
        outcome = self.outcome(port, frame)
        if [port for port, _ in outcome.sent] != [egress]:
            self.fail(f"expected out of port {egress}; {outcome}")
        self.same_frame(outcome.sent[0][1], expected, f"out of port {egress}")

    def punts(self, port: int, frame: Frame, reason: str, vrf: int = 0) -> None:
        """A frame comes in on a port, and goes to the controller as it is, with this reason and VRF."""
        outcome = self.outcome(port, frame)
        if len(outcome.punts) != 1:
            self.fail(f"expected to be punted as {reason}; {outcome}")
        [punt] = outcome.punts
        self.assertEqual((punt.ingress_port, punt.reason, punt.vrf), (port, reason, vrf), "what the packet-in says")
        self.same_frame(punt.frame, frame, "the packet-in's payload")

    def drops(self, port: int, frame: Frame, reason: str) -> None:
        """A frame comes in on a port, and is counted as dropped for this reason, with all its bytes."""
        outcome, expected = self.outcome(port, frame), {reason: Count(1, len(raw(frame)))}
        if outcome.drops != expected:
            self.fail(f"expected to be counted as {expected}; {outcome}")


__all__ = ["PORTS", "Behaviour", "Count", "Frame", "Outcome"]
