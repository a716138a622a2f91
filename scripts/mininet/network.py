#!/usr/bin/python3
"""Mininet makes the lab's network and starts an engine in every router; ../lab plays its scenes there. Started by ./run.

It is told what to do by the lines of a pipe, `start` and `cli`, and takes the network down at its end. Mininet is Debian's, and so is
the Python that has it.
"""

import argparse
import pathlib
import signal
import subprocess
import sys
import typing

from mininet.cli import CLI
from mininet.link import Intf
from mininet.net import Mininet
from mininet.node import Host, Switch
from mininet.topo import Topo

LAB = pathlib.Path(__file__).resolve().parent.parent / "lab"
sys.path.insert(0, str(LAB))
# Nothing is left behind, neither there.
sys.dont_write_bytecode = True

import plan as lab  # noqa: E402

GATEWAY = "gw"


class Router(Switch):
    """A router of the provider: an engine of the pipeline contract, with port N at the interface ethN, and mgmt0 for the gateway."""

    engine: typing.ClassVar[str]

    def __init__(self, name: str, plan: lab.Router, state: pathlib.Path, **parameters: object) -> None:
        super().__init__(name, dpid=f"{plan.device_id:x}", **parameters)
        self.plan = plan
        self.log = state / f"router-{name}.log"
        self.program: subprocess.Popen | None = None

    def start(self, _controllers: object) -> None:
        """Starts the engine; a controller is not Mininet's business: the gateway comes by P4Runtime."""
        server = f"{self.plan.management}:{self.plan.grpc_port}"
        command = [str(LAB / "engines" / self.engine), str(self.plan.device_id), server, *map(str, self.plan.ports)]
        with self.log.open("w") as log:
            self.program = self.popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=subprocess.STDOUT)

    def stop(self, deleteIntfs: bool = True) -> None:
        """Ends the engine, at once."""
        if self.program:
            self.program.kill()
            self.program.wait()
        super().stop(deleteIntfs)


class ForwarderSwitch(Router):
    """A router that runs svpn-forwarder."""

    engine = "forwarder"


class Bmv2Switch(Router):
    """A router that runs BMv2's simple_switch_grpc."""

    engine = "bmv2"


ROUTERS = {router.engine: router for router in (ForwarderSwitch, Bmv2Switch)}


def node(space: str) -> str:
    """A box's name in Mininet, whose prompt takes no dashes."""
    return space.replace("-", "_")


class Interface(Intf):
    """An interface, which at the prompt says whose it is: several boxes have an eth0."""

    def __str__(self) -> str:
        return f"{self.node.name}-{self.name}"


class Provider(Topo):
    """Routers, sites and gateway of a plan, and their cables."""

    def build(self, plan: lab.Plan, router: type[Router], state: pathlib.Path) -> None:
        self.addHost(GATEWAY, ip=None)
        for one in plan.routers:
            self.addSwitch(one.name, cls=router, inNamespace=True, plan=one, state=state)
            self.addLink(one.name, GATEWAY, intf=Interface, intfName1="mgmt0", intfName2=f"mgmt-{one.name}")
        for site in plan.sites:
            self.addHost(node(site.name), ip=None)
            self.addLink(node(site.name), GATEWAY, intf=Interface, intfName1="sig0", intfName2=f"sig-{site.name}")
        for cable in plan.cables:
            near, far = cable.ends
            self.addLink(node(near.space), node(far.space), intf=Interface, intfName1=near.device, intfName2=far.device)


def build(plan: lab.Plan, router: type[Router], state: pathlib.Path) -> Mininet:
    # Mininet would raise limits of the whole machine, for networks of hundreds of boxes.
    Mininet.inited = True
    return Mininet(topo=Provider(plan=plan, router=router, state=state), controller=None, build=True)


def run_cli(net: Mininet) -> None:
    """The prompt, at which an interrupt ends what runs there and not the lab."""
    signal.signal(signal.SIGINT, signal.default_int_handler)
    CLI(net)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--engine", choices=ROUTERS, required=True)
    parser.add_argument("--config", type=pathlib.Path, required=True, help="the gateway's configuration, which says what to build")
    parser.add_argument("--state", type=pathlib.Path, required=True, help="folder: has the pipe `control`, and gets logs and `nodes`")
    arguments = parser.parse_args()

    # When the run that started this is over, however it ended (see backend.sh), the network goes.
    signal.signal(signal.SIGTERM, lambda _signal, _frame: sys.exit(1))
    net = build(lab.read([arguments.config]), ROUTERS[arguments.engine], arguments.state)
    try:
        nodes = arguments.state / "nodes"
        unfinished = nodes.with_suffix(".part")
        unfinished.write_text("".join(f"{one.name.replace('_', '-')} {one.pid}\n" for one in net.hosts + net.switches))
        unfinished.rename(nodes)
        with (arguments.state / "control").open() as control:
            for line in control:
                {"start": net.start, "cli": lambda: run_cli(net)}[line.strip()]()
    finally:
        net.stop()


if __name__ == "__main__":
    main()
