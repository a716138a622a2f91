"""The programs that can be a router, and how their ports are cabled.

Everything is in the network namespace that p4/ptf/run made, which goes when the last process in it has gone.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import tempfile
from pathlib import Path

import grpc

from router.client import Client
from router.schema import Schema

ROOT = Path(__file__).resolve().parents[3]
COMPILED = ROOT / "p4/compiled"
ADDRESS = "127.0.0.1:9559"
PORTS = (1, 2, 3, 4)
MTU = 9000


class Unavailable(Exception):
    """An engine's program is not there, or does not take the contract's pipeline."""


def ip(arguments: str) -> None:
    """Runs `ip`."""
    subprocess.run(["ip", *arguments.split()], check=True)


class Engine:
    """A running router."""

    name = ""

    def __init__(self, schema: Schema) -> None:
        self.said = tempfile.TemporaryFile()  # noqa: SIM115  It is needed as long as the program.
        # `setpriv` has the kernel kill the program should this process be killed.
        self.process = subprocess.Popen(
            ["setpriv", "--pdeathsig", "KILL", "--", *self.command()],
            stdin=subprocess.DEVNULL,
            stdout=self.said,
            stderr=subprocess.STDOUT,
        )
        try:
            self.connect(schema)
            self.client.set_pipeline(self.device_config())
        except (grpc.RpcError, grpc.FutureTimeoutError) as error:
            self.process.kill()
            self.process.wait()
            reason = error.details() if isinstance(error, grpc.RpcError) else "it does not listen"
            raise Unavailable(f"{self.name} cannot be used: {reason}; it said:\n{self.last_words()}") from error
        for port in PORTS:
            ip(f"link set {self.cable(port)} mtu {MTU} up")

    def connect(self, schema: Schema) -> None:
        """Makes a controller its primary."""
        self.client = Client(ADDRESS, schema)
        self.client.bid()

    def command(self) -> list[str]:
        """The program and its arguments; what it needs is made here."""
        raise NotImplementedError

    def device_config(self) -> bytes:
        """What it wants besides the P4Info."""
        return b""

    def cable(self, port: int) -> str:
        """The device by which frames get into a port and come out of it."""
        raise NotImplementedError

    def set_link(self, port: int, state: str) -> None:
        """Takes a port's link "down" or "up"."""
        ip(f"link set {self.cable(port)} {state}")

    def last_words(self) -> str:
        """The end of what the program said."""
        self.said.seek(max(0, self.said.seek(0, os.SEEK_END) - 4000))
        return self.said.read().decode(errors="replace")

    def stop(self) -> None:
        """Ends it."""
        self.client.close()
        self.process.send_signal(signal.SIGTERM)
        try:
            self.process.wait(timeout=10)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()


class Forwarder(Engine):
    """svpn-forwarder. Its ports are TAP devices that it makes itself, so that it sees frames as they were sent: a packet socket,
    as DPDK's af_packet has it, loses which of the two ethertypes a tag had."""

    name = "forwarder"
    PREFIX = f"svpn-ptf-{os.getpid()}"

    def command(self) -> list[str]:
        target = Path(os.environ.get("CARGO_TARGET_DIR", ROOT / "target"))
        program = os.environ.get("SVPN_FORWARDER", str(target / "debug/svpn-forwarder"))
        if not os.access(program, os.X_OK):
            raise Unavailable(f"{program} is not there: cargo build -p svpn-forwarder")
        arguments = [program, "--device-id", "1", "--grpc", ADDRESS, "--file-prefix", self.PREFIX, "--packets", "4095"]
        # Small tables start at once.
        for table in ("flow_v4", "flow_v6", "route_v4", "route_v6", "session", "tunnel", "ilm", "nexthop"):
            arguments += ["--size", f"{table}=4096"]
        for port in PORTS:
            arguments += ["--port", f"{port}=net_tap{port},iface=port{port}"]
        return [*arguments, "--", "--no-huge", "-m", "128", "--no-pci"]

    def cable(self, port: int) -> str:
        return f"port{port}"

    def stop(self) -> None:
        super().stop()
        shutil.rmtree(f"/var/run/dpdk/{self.PREFIX}", ignore_errors=True)


class Bmv2(Engine):
    """simple_switch_grpc of BMv2 with what p4c made of the contract, on veth pairs. libpcap puts back the tags that the kernel
    takes off."""

    name = "bmv2"
    # Of p4/v1model.p4.
    CPU_PORT = 510

    def command(self) -> list[str]:
        if shutil.which("simple_switch_grpc") is None:
            raise Unavailable("simple_switch_grpc is not on the PATH")
        # Without an address of its own for notifications it makes a socket in /tmp, named after the device.
        arguments = ["simple_switch_grpc", "--device-id", "1", "--no-p4", "--notifications-addr", "tcp://127.0.0.1:9560"]
        for port in PORTS:
            ip(f"link add port{port} type veth peer name cable{port}")
            ip(f"link set port{port} mtu {MTU} up")
            ip(f"link set cable{port} mtu {MTU} up")
            arguments += ["-i", f"{port}@port{port}"]
        return [*arguments, "--", "--cpu-port", str(self.CPU_PORT), "--grpc-server-addr", ADDRESS]

    def device_config(self) -> bytes:
        return (COMPILED / "bmv2.json").read_bytes()

    def cable(self, port: int) -> str:
        return f"cable{port}"


ENGINES: dict[str, type[Engine]] = {engine.name: engine for engine in (Forwarder, Bmv2)}
