"""What ``ipvssim run`` does, on Linux."""

from __future__ import annotations

import argparse
import gc
import os
import sys
import time
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING

from ipvsnl.errors import LinkError
from ipvssim.doors import debug_option, directors, kernel_options
from ipvssim.kernel import Kernel
from ipvssim.net.networks import ServedNetwork
from ipvssim.run.launch import complain, surroundings
from ipvssim.run.session import Session
from ipvssim.run.supervisor import Supervisor
from ipvssim.run.system import RunError
from ipvssim.run.trace import Trace
from ipvssim.run.worlds import Worlds

if TYPE_CHECKING:
    from ipvssim.doors.table_file import TableFile


def run(chosen: argparse.Namespace, words: Sequence[str], failed: int) -> int:
    """The program's exit status; ``failed`` where it can't be run."""
    try:
        return _run(chosen, words)
    except (RunError, LinkError, OSError, ValueError) as wrong:
        named = isinstance(wrong, OSError) and wrong.filename is not None
        complain(f"{wrong.filename}: {wrong.strerror}" if named and isinstance(wrong, OSError) else str(wrong))
        return failed


def _run(chosen: argparse.Namespace, words: Sequence[str]) -> int:
    file = _table(chosen.table) if chosen.table else None
    if chosen.join and (file is not None or chosen.rules):
        raise ValueError("--join: the table is another run's, so --table and --rules are not for this one")
    if chosen.join and chosen.packets:
        raise ValueError("--join: the table is another run's, and packets come in there: ipvssim send unix:PATH")
    how = kernel_options.made_of(chosen)
    if file is not None:
        file.lock()
    try:
        kernel = Kernel(**how) if file is None else file.load(network=ServedNetwork(), **how)
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


# What most runs do not need is imported where it is: every program that is run waits for the imports.


def _table(path: str) -> TableFile:
    from ipvssim.doors.table_file import TableFile

    return TableFile(path)


def _played(chosen: argparse.Namespace, words: Sequence[str], kernel: Kernel, worlds: Worlds) -> tuple[Session, int]:
    """Run the program; who else shares the table does so meanwhile."""
    with ExitStack() as ending:
        supervisor = Supervisor(worlds, complain=complain, told=Trace(sys.stderr) if chosen.trace else None)
        ending.callback(supervisor.close)
        if chosen.serve:
            _serve(chosen.serve, kernel, supervisor, ending)
        if chosen.packets:
            _let_arrive(chosen.packets, kernel, worlds, supervisor, ending)
        joined = None
        if chosen.join:
            from ipvssim.run.joining import join

            joined = ending.enter_context(join(chosen.join))
        gc.freeze()  # what there is now stays to the end, and need not be looked through again and again
        session = Session(supervisor, joined)
        return session, session.run(words, surroundings(os.environ))


def _serve(path: str, kernel: Kernel, supervisor: Supervisor, ending: ExitStack) -> None:
    """Let others speak to the kernel, and hand over their programs."""
    from ipvssim.doors.server import Server
    from ipvssim.run.joining import Door

    server = Server(kernel, path, now=time.monotonic)
    ending.callback(server.close)
    supervisor.watch(server.fileno(), lambda _: server.turn(0))
    ending.callback(Door(path, supervisor).close)


def _let_arrive(source: Path, kernel: Kernel, worlds: Worlds, supervisor: Supervisor, ending: ExitStack) -> None:
    """Let the packets of a capture come into the first namespace's kernel."""
    from ipvssim.doors.arriving import Arriving

    def came(packet: bytes) -> None:
        worlds.tick(worlds.first)
        try:
            kernel.receive(packet)
        except Exception as wrong:  # a fault of ours, or of a user's scheduler: the programs go on
            complain(f"--packets: {type(wrong).__name__}: {wrong}")

    arriving = Arriving(source, came, complain)
    ending.callback(arriving.close)

    def ready(_: int) -> None:
        if not arriving.arrived():
            supervisor.unwatch(arriving.fileno())

    supervisor.watch(arriving.fileno(), ready)
