"""The simulator's command: ``ipvssim serve``, ``ipvssim replay`` and whatever else registers here."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from importlib import import_module

COMMANDS = {
    "serve": ("ipvssim.doors.serve:main", "the simulated kernel's netlink family on a Unix socket"),
    "lab": ("ipvssim.lab.command:main", "compare schedulers under traffic, before you deploy them"),
    "pcap": ("ipvssim.doors.pcap:main", "what a director with given rules makes of a capture"),
    "replay": ("ipvssim.doors.replay:main", "replay recorded traces, and compare with what a kernel answered"),
}
"""Name to (module and function, which takes the remaining arguments and gives the exit status; what it does)."""
USAGE_ERROR = 2
INTERRUPTED = 130


def main(arguments: Sequence[str] | None = None) -> int:
    """The exit status of one command line."""
    given = list(sys.argv[1:] if arguments is None else arguments)
    if not given or given[0] in ("-h", "--help"):
        print(_usage(), end="")
        return 0 if given else USAGE_ERROR
    if given[0] not in COMMANDS:
        print(f"ipvssim: unknown command {given[0]!r}\n{_usage()}", end="", file=sys.stderr)
        return USAGE_ERROR
    module, _, function = COMMANDS[given[0]][0].partition(":")
    try:
        command: Callable[[Sequence[str]], int] = getattr(import_module(module), function)
        return command(given[1:])
    except KeyboardInterrupt:
        print(f"ipvssim {given[0]}: interrupted", file=sys.stderr)
        return INTERRUPTED
    except BrokenPipeError:
        sys.stderr.close()  # nobody reads: say nothing about it at exit either
        return 1


def _usage() -> str:
    lines = [f"  {name:<8} {words}\n" for name, (_, words) in COMMANDS.items()]
    return "usage: ipvssim COMMAND [ARGUMENT...]\n\n" + "".join(lines) + "\nipvssim COMMAND -h tells more.\n"
