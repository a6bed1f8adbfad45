"""``ipvssim run -- PROGRAM``: any program on the simulated kernel, as an ordinary user, on a machine without IPVS."""

from __future__ import annotations

import argparse
import os
import sys
import time
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path

from ipvsnl.errors import LinkError
from ipvssim.doors import debug_option, directors, kernel_options
from ipvssim.doors.server import Server
from ipvssim.doors.table_file import TableFile
from ipvssim.kernel import Kernel
from ipvssim.run.joining import Door, join
from ipvssim.run.launch import RunError, complain, surroundings
from ipvssim.run.session import Session
from ipvssim.run.supervisor import Supervisor
from ipvssim.run.trace import Trace
from ipvssim.run.worlds import Worlds

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
        return _run(chosen, words)
    except (RunError, LinkError, OSError, ValueError) as wrong:
        named = isinstance(wrong, OSError) and wrong.filename is not None
        complain(f"{wrong.filename}: {wrong.strerror}" if named and isinstance(wrong, OSError) else str(wrong))
        return FAILED


def _run(chosen: argparse.Namespace, words: Sequence[str]) -> int:
    file = TableFile(chosen.table) if chosen.table else None
    if chosen.join and (file is not None or chosen.rules):
        raise ValueError("--join: the table is another run's, so --table and --rules are not for this one")
    how = kernel_options.made_of(chosen)
    if file is not None:
        file.lock()
    try:
        kernel = Kernel(**how) if file is None else file.load(**how)
        if chosen.rules:
            directors.load(kernel, chosen.rules)
        debug_option.tell(kernel)
        worlds = Worlds(kernel, lambda: Kernel(**how), netlink=chosen.netlink)
        try:
            session, status = _played(chosen, words, kernel, worlds)
        finally:
            if file is not None:
                file.save(kernel.namespace)
    finally:
        if file is not None:
            file.unlock()
    session.leave()
    return status


def _played(chosen: argparse.Namespace, words: Sequence[str], kernel: Kernel, worlds: Worlds) -> tuple[Session, int]:
    """Run the program; who else shares the table does so meanwhile."""
    with ExitStack() as ending:
        supervisor = Supervisor(worlds, complain=complain, told=Trace(sys.stderr) if chosen.trace else None)
        ending.callback(supervisor.close)
        if chosen.serve:
            server = Server(kernel, chosen.serve, now=time.monotonic)
            ending.callback(server.close)
            supervisor.watch(server.fileno(), lambda _: server.turn(0))
            ending.callback(Door(chosen.serve, supervisor).close)
        session = Session(supervisor, ending.enter_context(join(chosen.join)) if chosen.join else None)
        return session, session.run(words, surroundings(os.environ))
