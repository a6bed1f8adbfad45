"""Records a long session of the real ipvsadm on a real kernel, by netlink and by the old interface.

    ipvsnl lab-kernel --as-root -- python -m tests.kernel.ipvsadm_sessions FIRST_SEED COUNT >sessions.json

The session is ipvsadm's steps of random traces, those of one seed after those of another, in one fresh network
namespace: the later ones meet what the earlier ones left. For the old interface a filter of system calls takes generic
netlink away: ipvsadm then falls back to setsockopt, as it does on old kernels. The recordings are
tests/data/cli/sessions.json.xz, which ``ipvssim run`` has to equal.
"""

from __future__ import annotations

import ctypes
import json
import struct
import subprocess
import sys
from collections.abc import Callable
from errno import EPROTONOSUPPORT
from typing import Any

from tests.conftest import enter_fresh_namespace
from tests.kernel.generate import generate

COMMANDS = 60
"""Of a seed, at most."""
NETWORK = ("ip link set lo up", "ip addr add 10.0.0.1/16 dev lo", "ip addr add fd00:10::1/64 dev lo")
"""Servers have a route; a name server has none, or each name that is sought would take seconds."""
_SOCKET, _NETLINK, _GENERIC = 41, 16, 16  # the system call's number on x86-64, and its arguments
_PR_SET_SECCOMP, _FILTER = 22, 2


def commands(seed: int) -> list[dict[str, Any]]:
    """A seed's steps: argument list, and standard input where there is one."""
    steps = [json.loads(line) for line in generate("admin", seed).splitlines()[1:]]
    steps += [json.loads(line) for line in generate("mixed", seed).splitlines()[1:]]
    asked = [step for step in steps if step["do"] == "ipvsadm" and "--rate" not in step["args"]]
    return [{"args": step["args"], "stdin": step.get("stdin", "")} for step in asked[:COMMANDS]]


def without_netlink() -> None:
    """From now on this process and its children have no generic netlink: the call fails as on a kernel without it."""
    code = [
        (0x20, 0, 0, 0), (0x15, 0, 5, _SOCKET),
        (0x20, 0, 0, 16), (0x15, 0, 3, _NETLINK),
        (0x20, 0, 0, 32), (0x15, 0, 1, _GENERIC),
        (0x06, 0, 0, 0x00050000 | EPROTONOSUPPORT), (0x06, 0, 0, 0x7FFF0000),
    ]  # fmt: skip
    program = ctypes.create_string_buffer(b"".join(struct.pack("=HBBI", *one) for one in code))
    described = ctypes.create_string_buffer(struct.pack("=HxxxxxxQ", len(code), ctypes.addressof(program)))
    if ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_SECCOMP, _FILTER, described, 0, 0):
        raise OSError(ctypes.get_errno(), "prctl(PR_SET_SECCOMP)")


def answered(steps: list[dict[str, Any]], before: Callable[[], None] | None) -> list[dict[str, Any]]:
    """The steps with status, output and messages of each."""
    found = []
    for step in steps:
        done = subprocess.run(
            ["ipvsadm", *step["args"]], input=step["stdin"], capture_output=True, text=True, preexec_fn=before
        )
        found.append({**step, "rc": done.returncode, "stdout": done.stdout, "stderr": done.stderr})
    return found


def main(first: int, count: int) -> None:
    """Record, and write the session to standard output, both ways."""
    sessions = []
    steps = [step for seed in range(first, first + count) for step in commands(seed)]
    for way, before in (("yes", None), ("none", without_netlink)):
        enter_fresh_namespace()
        for line in NETWORK:
            subprocess.run(line.split(), check=True)
        sessions.append({"netlink": way, "steps": answered(steps, before)})
    json.dump(sessions, sys.stdout)


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
