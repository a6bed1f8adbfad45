"""The simulator's command: ``ipvssim serve``, ``ipvssim replay`` and whatever else registers here."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from importlib import import_module
from io import StringIO
from typing import Any

from ipvsnl._later import Kept
from ipvsnl.cli.ending import INTERRUPTED, Output, at_once, guarded, impatient

TYPE_CHECKING = False
if TYPE_CHECKING:
    from argparse import ArgumentParser

PROG = "ipvssim"
COMMANDS = {
    "serve": ("ipvssim.doors.serve", "the simulated kernel's netlink family on a Unix socket"),
    "run": ("ipvssim.doors.run", "any program, on the simulated kernel"),
    "send": ("ipvssim.lab.send", "packets into a table that is served, or kept in a file"),
    "lab": ("ipvssim.lab.command", "compare schedulers under traffic, before you deploy them"),
    "pcap": ("ipvssim.doors.pcap", "what a director with given rules makes of a capture"),
    "why": ("ipvssim.doors.why", "what happens to a packet, what decided it, and what would change that"),
    "kernels": ("ipvssim.doors.kernels", "what IPVS does otherwise from release to release"),
    "replay": ("ipvssim.doors.replay", "replay recorded traces, and compare with what a kernel answered"),
    "completion": ("ipvssim.completion", "the completion script of a shell: bash, zsh or fish"),
}
"""Name to (module, what it does). The module's ``main`` takes the remaining arguments and gives the exit status; its
``parser`` makes what reads them."""
USAGE_ERROR = 2
_AT_ONCE = "run"
"""The command that leaves no file for Python's own end to close, and whose end somebody waits for."""


def main(arguments: Sequence[str] | None = None) -> int:
    """The exit status of one command line."""
    given = list(sys.argv[1:] if arguments is None else arguments)
    before = sys.stdout, sys.stderr
    stdout, stderr = Output(sys.stdout or StringIO()), Output(sys.stderr or StringIO())
    streams: Any = stdout, stderr
    sys.stdout, sys.stderr = streams  # the commands print: a failing output is told from a failing file
    try:
        status = guarded(PROG, given, lambda: _run(given), stdout, stderr)
    except KeyboardInterrupt:  # before it began, or when all was done
        status = INTERRUPTED
    finally:
        sys.stdout, sys.stderr = before
        if arguments is None:
            impatient()
    return at_once(status) if arguments is None and given[:1] == [_AT_ONCE] else status


def _run(given: list[str]) -> int:
    if not given or given[0] in ("-h", "--help"):
        print(_usage(), end="")
        return 0 if given else USAGE_ERROR
    if given == ["--version"]:
        from ipvsnl import __version__

        print(f"ipvssim {__version__}")
        return 0
    if given[0] not in COMMANDS:
        print(f"{PROG}: unknown command {given[0]!r}\n{_usage()}", end="", file=sys.stderr)
        return USAGE_ERROR
    with Kept():
        module = import_module(COMMANDS[given[0]][0])
    if given[0] == "completion":
        return int(module.main(given[1:], parser))
    command: Callable[[Sequence[str]], int] = module.main
    return command(given[1:])


def parser() -> ArgumentParser:
    """The whole program as a parser, for completion and the manual page; it does not parse."""
    from argparse import ArgumentParser

    whole = ArgumentParser(prog="ipvssim", usage="ipvssim COMMAND [ARGUMENT...]")
    whole.add_argument("--version", action="store_true", help="the version")
    commands = whole.add_subparsers(metavar="COMMAND")
    for name, (module, words) in COMMANDS.items():
        below: ArgumentParser = import_module(module).parser()
        commands.add_parser(name, help=words)
        commands.choices[name] = below
    return whole


def _usage() -> str:
    lines = [f"  {name:<10} {words}\n" for name, (_, words) in COMMANDS.items()]
    return (
        "usage: ipvssim COMMAND [ARGUMENT...]\n       ipvssim --version\n\n"
        + "".join(lines)
        + "\nipvssim COMMAND -h tells more.\n"
    )
