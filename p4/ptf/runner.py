"""Runs behaviours against an engine; see p4/ptf/README.md."""

from __future__ import annotations

import argparse
import contextlib
import fnmatch
import importlib.util
import logging
import os
import sys
import time
import traceback
import unittest
from pathlib import Path

import ptf

ptf.config.update(platform="eth", log_dir=None, log_file=os.devnull, qlen=10_000)
# scapy says that there is no route to where nobody goes.
logging.getLogger("scapy.runtime").setLevel(logging.ERROR)

# It says on standard output which packets it knows.
with contextlib.redirect_stdout(None):
    import ptf.dataplane

from router.base import Behaviour  # noqa: E402
from router.engine import COMPILED, ENGINES, PORTS, Engine, Unavailable  # noqa: E402
from router.schema import Schema  # noqa: E402

TESTS = Path(__file__).resolve().parent / "tests"


def behaviours() -> dict[str, type[Behaviour]]:
    """All behaviours, by group and name, in the order of the files."""
    found: dict[str, type[Behaviour]] = {}
    for path in sorted(TESTS.glob("*.py")):
        spec = importlib.util.spec_from_file_location(f"behaviours_{path.stem}", path)
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
        for name, member in vars(module).items():
            if isinstance(member, type) and issubclass(member, Behaviour) and "runTest" in vars(member):
                found[f"{path.stem}.{name}"] = member
    return found


def says(behaviour: type[Behaviour]) -> str:
    """The line that says a behaviour."""
    return (behaviour.__doc__ or "").strip().splitlines()[0]


def chosen(everything: dict[str, type[Behaviour]], wanted: list[str]) -> dict[str, type[Behaviour]]:
    """Those that are wanted: names, groups, or patterns of a shell."""

    def is_wanted(name: str) -> bool:
        return any(fnmatch.fnmatch(name, one) or name.split(".")[0] == one for one in wanted)

    for one in wanted:
        if not any(fnmatch.fnmatch(name, one) or name.split(".")[0] == one for name in everything):
            sys.exit(f"error: no behaviour is called '{one}'; see p4/ptf/run --list")
    return {name: one for name, one in everything.items() if not wanted or is_wanted(name)}


class Report(unittest.TestResult):
    """A line for each behaviour, and what went wrong under it."""

    def __init__(self) -> None:
        super().__init__()
        self.passed = 0
        self.name = ""

    def _line(self, verdict: str, more: str = "") -> None:
        print(f"{verdict:4} {self.name}{more}", flush=True)

    def addSuccess(self, test: unittest.TestCase) -> None:
        self.passed += 1
        self._line("ok")

    def addSkip(self, test: unittest.TestCase, reason: str) -> None:
        super().addSkip(test, reason)
        self._line("skip", f": {reason}")

    def addFailure(self, test: unittest.TestCase, err: tuple) -> None:
        super().addFailure(test, err)
        self._line("FAIL", f": {says(type(test))}\n{err[1]}")

    def addError(self, test: unittest.TestCase, err: tuple) -> None:
        super().addError(test, err)
        self._line("FAIL", f": {says(type(test))}\n{''.join(traceback.format_exception(*err))}")


def run(engine: Engine, wanted: dict[str, type[Behaviour]]) -> Report:
    """Runs behaviours one after the other, as long as the engine lives."""
    ptf.config["engine"] = engine
    ptf.dataplane_instance = ptf.dataplane.DataPlane(ptf.config)
    for port in PORTS:
        ptf.dataplane_instance.port_add(engine.cable(port), 0, port)
    report = Report()
    for report.name, behaviour in wanted.items():
        behaviour()(report)
        if engine.process.poll() is not None:
            print(f"the engine has ended with {engine.process.returncode}; it said:\n{engine.last_words()}")
            break
    ptf.dataplane_instance.kill()
    return report


def main() -> int:
    parser = argparse.ArgumentParser(prog="p4/ptf/run", description="Runs the behaviours of the pipeline contract against an engine.")
    parser.add_argument("--engine", choices=ENGINES, required=True, help="the program that is the router")
    parser.add_argument("--list", action="store_true", help="list the behaviours and run nothing")
    parser.add_argument("tests", nargs="*", metavar="TEST", help="names, groups, or patterns like 'gre_in.*V6*'; all without any")
    arguments = parser.parse_args()
    wanted = chosen(behaviours(), arguments.tests)
    if arguments.list:
        print("".join(f"{name}: {says(behaviour)}\n" for name, behaviour in wanted.items()), end="")
        return 0
    begin = time.monotonic()
    try:
        engine = ENGINES[arguments.engine](Schema(COMPILED / "p4info.txtpb"))
    except Unavailable as error:
        sys.exit(f"error: {error}")
    try:
        report = run(engine, wanted)
    finally:
        engine.stop()
    skipped = len(report.skipped)
    # What was not come to has failed.
    failed = len(wanted) - report.passed - skipped
    print(f"\n{arguments.engine}, {time.monotonic() - begin:.0f} s: {report.passed} passed, {failed} failed, {skipped} skipped")
    return 1 if failed else 0


if __name__ == "__main__":
    status = main()
    sys.stdout.flush()
    # Threads of gRPC and PTF may still wait for what will not come.
    os._exit(status)
