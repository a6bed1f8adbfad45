"""The simulator's command: ``ipvssim serve``, ``ipvssim replay`` and whatever else registers here."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from importlib import import_module
from io import StringIO
from typing import Any

from ipvsnl.cli.ending import Output, guarded, impatient

PROG = "ipvssim"
COMMANDS = {
    "serve": ("ipvssim.doors.serve:main", "the simulated kernel's netlink family on a Unix socket"),
    "lab": ("ipvssim.lab.command:main", "compare schedulers under traffic, before you deploy them"),
    "pcap": ("ipvssim.doors.pcap:main", "what a director with given rules makes of a capture"),
    "replay": ("ipvssim.doors.replay:main", "replay recorded traces, and compare with what a kernel answered"),
}
"""Name to (module and function, which takes the remaining arguments and gives the exit status; what it does)."""
USAGE_ERROR = 2


def main(arguments: Sequence[str] | None = None) -> int:
    """The exit status of one command line."""
    given = list(sys.argv[1:] if arguments is None else arguments)
    before = sys.stdout, sys.stderr
    stdout, stderr = Output(sys.stdout or StringIO()), Output(sys.stderr or StringIO())
    streams: Any = stdout, stderr
    sys.stdout, sys.stderr = streams  # the commands print: a failing output is told from a failing file
    try:
        return guarded(PROG, given, lambda: _run(given), stdout, stderr)
    finally:
        sys.stdout, sys.stderr = before
        if arguments is None:
            impatient()


def _run(given: list[str]) -> int:
    if not given or given[0] in ("-h", "--help"):
        print(_usage(), end="")
        return 0 if given else USAGE_ERROR
    if given[0] not in COMMANDS:
        print(f"{PROG}: unknown command {given[0]!r}\n{_usage()}", end="", file=sys.stderr)
        return USAGE_ERROR
    module, _, function = COMMANDS[given[0]][0].partition(":")
    command: Callable[[Sequence[str]], int] = getattr(import_module(module), function)
    return command(given[1:])


def _usage() -> str:
    lines = [f"  {name:<8} {words}\n" for name, (_, words) in COMMANDS.items()]
    return "usage: ipvssim COMMAND [ARGUMENT...]\n\n" + "".join(lines) + "\nipvssim COMMAND -h tells more.\n"
