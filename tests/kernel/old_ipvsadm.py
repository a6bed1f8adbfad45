"""Records what ipvsadm prints where it has the old interface alone, in the laboratory kernel: tests/data/cli/old.json.xz.

    ipvsnl lab-kernel --as-root -- .venv/bin/python -m tests.kernel.old_ipvsadm

The command lines are those of the other recordings of tests/data/cli. ipvsadm turns to setsockopt where it can open no
generic-netlink socket: a library that is loaded before libc's sees to that.
"""

from __future__ import annotations

import json
import lzma
import os
import subprocess
import tempfile
from pathlib import Path
from typing import Any

from tests.conftest import enter_fresh_namespace
from tests.ipvsnl.cli.recordings import HELP, groups
from tests.places import DATA

RECORDED = DATA / "cli" / "old.json.xz"
_LIBRARY = """
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
int socket(int family, int type, int protocol) {
    if (family == 16 && protocol == 16) { errno = EPROTONOSUPPORT; return -1; }
    return ((int (*)(int, int, int))dlsym((void *)-1L, "socket"))(family, type, protocol);
}
"""


NAMES = ("words and values", "daemons", "restore", "restore words", "mixed.rules", "widths")


def chosen() -> list[Any]:
    """The groups of command lines that are played."""
    return [group for group in groups("grammar.json", "restore.json", "listings.json") if group["name"] in NAMES]


def main() -> None:
    """Play them all, and write what came."""
    with tempfile.TemporaryDirectory() as folder:
        library = Path(folder, "old.so")
        subprocess.run(
            ["cc", "-shared", "-fPIC", "-x", "c", "-", "-o", library, "-ldl"], input=_LIBRARY.encode(), check=True
        )
        played = [{"name": group["name"], "steps": _played(group, library)} for group in chosen()]
    RECORDED.write_bytes(lzma.compress(json.dumps(played, separators=(",", ":")).encode()))


def _played(group: Any, library: Path) -> list[Any]:
    enter_fresh_namespace()
    for words in ("ip link add d0 type dummy", "ip addr add 10.0.0.1/8 dev d0", "ip link set d0 up"):
        subprocess.run(words.split(), check=True)
    return [_step(step, library) for step in group["steps"]]


def _step(step: Any, library: Path) -> list[Any]:
    """Exit status, output, messages."""
    done = subprocess.run(
        ["ipvsadm", *map(str, step["args"])], input=step.get("stdin", ""), capture_output=True, text=True,
        env={**os.environ, "LD_PRELOAD": str(library)},
    )  # fmt: skip
    return [done.returncode, HELP if step.get("stdout") == HELP else done.stdout, done.stderr]


if __name__ == "__main__":
    main()
