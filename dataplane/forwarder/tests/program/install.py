#!/usr/bin/env python3
"""Installs the PyPI package `p4runtime-shell` into a virtual environment, once.

Usage: install.py CACHE

The environment is CACHE/venv; a stamp says that it is whole and holds this version.
"""

import fcntl
import pathlib
import subprocess
import sys
import venv

REQUIREMENTS = ["p4runtime-shell==0.0.4", "setuptools==80.9.0"]


def main() -> None:
    cache = pathlib.Path(sys.argv[1])
    cache.mkdir(parents=True, exist_ok=True)
    stamp = cache / "installed"
    with open(cache / "lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not stamp.exists() or stamp.read_text().split() != REQUIREMENTS:
            venv.create(cache / "venv", with_pip=True, clear=True)
            pip = [cache / "venv/bin/python", "-m", "pip", "--disable-pip-version-check"]
            subprocess.run([*pip, "install", "--quiet", *REQUIREMENTS], check=True)
            stamp.write_text("\n".join(REQUIREMENTS))


if __name__ == "__main__":
    main()
