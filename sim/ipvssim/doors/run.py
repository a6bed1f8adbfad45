"""``ipvssim run -- PROGRAM``: any program on the simulated kernel, as an ordinary user, on a machine without IPVS."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from ipvsnl._later import Kept
from ipvssim.doors import kernel_options
from ipvssim.run.system import RunError, check_system

FAILED = 125
"""The exit status where the program did not begin (``env`` and ``timeout`` have the same)."""


def parser() -> argparse.ArgumentParser:
    """What reads the arguments."""
    parser = argparse.ArgumentParser(
        prog="ipvssim run", usage="ipvssim run [OPTION...] -- PROGRAM [ARGUMENT...]",
        description="Run a program whose calls about IPVS the simulated kernel answers.",
        epilog="docs/use/run.md tells more. It is a convenience, and no sandbox.",
    )  # fmt: skip
    parser.add_argument(
        "--rules",
        metavar="FILE",
        type=Path,
        help="begin with these rules, or any other table that ipvsnl convert reads",
    )
    parser.add_argument("--table", metavar="FILE", help="begin with a table file, and write it at the end")
    kernel_options.add(parser)
    parser.add_argument(
        "--netlink", choices=("yes", "refused", "none"), default="yes",
        help="refused: as where root is a user namespace's; none: there are no such sockets, and programs use setsockopt",
    )  # fmt: skip
    share = parser.add_mutually_exclusive_group()
    share.add_argument(
        "--serve", metavar="PATH", help="let others share the table: --target unix:PATH, run --join PATH"
    )
    share.add_argument("--join", metavar="PATH", help="run the program on the table that another run serves there")
    parser.add_argument(
        "--packets", metavar="PCAP", type=Path,
        help="meanwhile the packets of a capture come in, at its pace; -: standard input, and the program has an empty one",
    )  # fmt: skip
    parser.add_argument("--trace", action="store_true", help="show each netlink message, both ways, on standard error")
    parser.add_argument("program", nargs=argparse.REMAINDER, metavar="PROGRAM", help="the program, and its arguments")
    return parser


def main(arguments: Sequence[str] | None = None) -> int:
    """The command: the program's exit status; 125 where it can't be run, 126 and 127 where it can't be executed."""
    reader = parser()
    chosen = reader.parse_args(arguments)
    words = chosen.program[1:] if chosen.program[:1] == ["--"] else chosen.program
    if not words:
        reader.error("which program?")
    try:
        check_system()
        with Kept():
            from ipvssim.doors.running import run  # which needs Linux to be imported
    except RunError as wrong:
        print(f"ipvssim run: {wrong}", file=sys.stderr)
        return FAILED
    return run(chosen, words, FAILED)
