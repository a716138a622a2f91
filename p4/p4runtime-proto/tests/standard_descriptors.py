#!/usr/bin/env python3
"""Writes the descriptors of the PyPI package `p4runtime` as one encoded FileDescriptorSet.

Usage: standard_descriptors.py CACHE OUTPUT

The packages are installed into CACHE once, by the pip of a virtual environment made there. They are
read, not imported: the descriptors lie in the generated modules as byte literals, and reading them
needs neither protobuf nor grpc.
"""

import ast
import fcntl
import pathlib
import subprocess
import sys
import venv

REQUIREMENTS = ["p4runtime==1.6.0", "googleapis-common-protos==1.70.0"]
MODULES = [
    "google/rpc/status_pb2.py",
    "p4/config/v1/p4types_pb2.py",
    "p4/config/v1/p4info_pb2.py",
    "p4/v1/p4data_pb2.py",
    "p4/v1/p4runtime_pb2.py",
]


def install(cache: pathlib.Path) -> pathlib.Path:
    """The directory of the packages; a stamp says that it is whole and holds these versions."""
    packages, stamp = cache / "packages", cache / "installed"
    cache.mkdir(parents=True, exist_ok=True)
    with open(cache / "lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not stamp.exists() or stamp.read_text().split() != REQUIREMENTS:
            venv.create(cache / "venv", with_pip=True, clear=True)
            pip = [cache / "venv/bin/python", "-m", "pip", "--disable-pip-version-check"]
            where = ["--no-deps", "--upgrade", "--target", packages]
            subprocess.run([*pip, "install", "--quiet", *where, *REQUIREMENTS], check=True)
            stamp.write_text("\n".join(REQUIREMENTS))
    return packages


def descriptor(module: pathlib.Path) -> bytes:
    """The encoded FileDescriptorProto in a module that protoc generated, whichever its version."""
    for call in ast.walk(ast.parse(module.read_text())):
        if not isinstance(call, ast.Call):
            continue
        literals = [word.value for word in call.keywords if word.arg == "serialized_pb"]
        if getattr(call.func, "attr", "") == "AddSerializedFile":
            literals += call.args
        for literal in literals:
            if isinstance(literal, ast.Constant) and isinstance(literal.value, bytes):
                return literal.value
    raise SystemExit(f"{module}: no serialized descriptor")


def varint(number: int) -> bytes:
    encoded = bytearray()
    while number > 0x7F:
        encoded.append(number & 0x7F | 0x80)
        number >>= 7
    encoded.append(number)
    return bytes(encoded)


def main() -> None:
    cache, output = map(pathlib.Path, sys.argv[1:])
    packages = install(cache)
    files = [descriptor(packages / module) for module in MODULES]
    # FileDescriptorSet { repeated FileDescriptorProto file = 1; }
    output.write_bytes(b"".join(b"\x0a" + varint(len(file)) + file for file in files))


if __name__ == "__main__":
    main()
