"""``ipvssim serve``: a simulated kernel behind a Unix socket, until a signal ends it."""

from __future__ import annotations

import argparse
import signal
import sys
import time
from collections.abc import Callable, Sequence

from ipvsnl.cli.ending import once_more
from ipvsnl.errors import LinkError
from ipvssim.doors import debug_option, kernel_options
from ipvssim.doors.server import Executed, Server
from ipvssim.doors.table_file import TableFile
from ipvssim.kernel import Kernel
from ipvssim.net.networks import ServedNetwork


class _Leave(BaseException):
    """A signal asks for the end."""


def _leave_once() -> Callable[[], None]:
    """The first SIGTERM or SIGINT ends it; the others do nothing, at whatever moment they come: what was acknowledged is
    written, whoever is impatient. What is returned makes signals what they were before."""
    asked: list[int] = []
    numbers = signal.SIGTERM, signal.SIGINT
    before, hook = [signal.getsignal(number) for number in numbers], sys.unraisablehook

    def leave(number: int, _: object) -> None:
        asked.append(number)
        if len(asked) == 1:
            raise _Leave

    sys.unraisablehook = once_more(_Leave, asked.clear)
    for number in numbers:
        signal.signal(number, leave)

    def restore() -> None:
        for number, handler in zip(numbers, before, strict=True):
            signal.signal(number, handler)
        sys.unraisablehook = hook

    return restore


def parser() -> argparse.ArgumentParser:
    """What reads the arguments."""
    parser = argparse.ArgumentParser(
        prog="ipvssim serve", description="The simulated kernel's netlink family on a Unix socket."
    )
    parser.add_argument("path", metavar="PATH", help="where the socket is made (SOCK_SEQPACKET)")
    parser.add_argument("--table", metavar="FILE", help="start from a table file, and write it at the end")
    kernel_options.add(parser)
    parser.add_argument("--padding", action="store_true", help="pad 64-bit attributes as some machines' kernels do")
    return parser


def main(arguments: Sequence[str] | None = None) -> int:
    """``ipvssim serve PATH``: until SIGINT or SIGTERM."""
    chosen = parser().parse_args(arguments)
    try:
        restore = _leave_once()
        try:
            status = _serve(chosen)
        except Exception:
            restore()
            raise
        restore()
    except _Leave:
        return 0  # more signals may come until the process has gone, and do nothing
    return status


def _keeping(file: TableFile, kernel: Kernel) -> Executed:
    """What the server acknowledges outlives it, however it ends."""
    file.keep(kernel.namespace)

    def executed(datagram: bytes) -> None:
        try:
            file.acknowledge(kernel.clock.now, datagram)
        except LinkError as wrong:
            print(f"ipvssim serve: {wrong.strerror}", file=sys.stderr)
            raise

    return executed


def _serve(chosen: argparse.Namespace) -> int:
    file = TableFile(chosen.table) if chosen.table else None
    try:
        how = {**kernel_options.made_of(chosen), "padding": chosen.padding}
        if file is None:
            kernel = Kernel(network=ServedNetwork(), **how)
        else:
            file.lock()
            kernel = file.load(network=ServedNetwork(), **how)
        debug_option.tell(kernel)
        executed = _keeping(file, kernel) if file is not None else None
        server = Server(kernel, chosen.path, now=time.monotonic, executed=executed)
        try:
            server.serve()
        finally:
            server.close()
            if file is not None:
                file.save(kernel.namespace)
    except (LinkError, OSError, ValueError) as wrong:
        said = str(wrong)
        if isinstance(wrong, OSError) and not isinstance(wrong, LinkError):
            said = f"{wrong.filename or chosen.path}: {wrong.strerror or wrong}"
        print(f"ipvssim serve: {said}", file=sys.stderr)
        return 1
    finally:
        if file is not None:
            file.unlock()
    return 0
