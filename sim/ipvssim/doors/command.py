"""The simulator's command: ``ipvssim serve``, ``ipvssim replay`` and whatever else registers here."""

from __future__ import annotations

import argparse
import signal
import sys
import time
from collections.abc import Callable, Sequence
from importlib import import_module

from ipvsnl.errors import LinkError

COMMANDS = {
    "serve": ("ipvssim.doors.command:serve", "the simulated kernel's netlink family on a Unix socket"),
    "lab": ("ipvssim.lab.command:main", "compare schedulers under traffic, before you deploy them"),
    "pcap": ("ipvssim.doors.pcap:main", "what a director with given rules makes of a capture"),
    "replay": ("ipvssim.doors.replay:main", "replay recorded traces, and compare with what a kernel answered"),
}
"""Name to (module and function, which takes the remaining arguments and gives the exit status; what it does)."""
USAGE_ERROR = 2


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
    command: Callable[[Sequence[str]], int] = getattr(import_module(module), function)
    try:
        return command(given[1:])
    except BrokenPipeError:
        sys.stderr.close()  # nobody reads: say nothing about it at exit either
        return 1


def _usage() -> str:
    lines = [f"  {name:<8} {words}\n" for name, (_, words) in COMMANDS.items()]
    return "usage: ipvssim COMMAND [ARGUMENT...]\n\n" + "".join(lines) + "\nipvssim COMMAND -h tells more.\n"


def serve(arguments: Sequence[str]) -> int:
    """``ipvssim serve PATH``: until SIGINT or SIGTERM."""
    from ipvssim.doors.server import Server
    from ipvssim.doors.table_file import TableFile
    from ipvssim.kernel import Kernel
    from ipvssim.net.networks import default_network
    from ipvssim.state.namespace import RELEASE

    parser = argparse.ArgumentParser(prog="ipvssim serve", description=COMMANDS["serve"][1])
    parser.add_argument("path", help="where the socket is made (SOCK_SEQPACKET)")
    parser.add_argument("--table", metavar="FILE", help="start from a table file, and write it at the end")
    parser.add_argument("--kernel", metavar="RELEASE", default=RELEASE, help="behave as that release of Linux 6.1")
    parser.add_argument("--padding", action="store_true", help="pad 64-bit attributes as some machines' kernels do")
    chosen = parser.parse_args(arguments)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    file = TableFile(chosen.table) if chosen.table else None
    try:
        how = {"release": chosen.kernel, "padding": chosen.padding}
        if file is None:
            kernel = Kernel(network=default_network(), **how)
        else:
            file.lock()
            kernel = file.load(**how)
        server = Server(kernel, chosen.path, now=time.monotonic)
        try:
            server.serve()
        except KeyboardInterrupt:
            return 0
        finally:
            for number in (signal.SIGTERM, signal.SIGINT):  # what was acknowledged is written, whoever is impatient
                signal.signal(number, signal.SIG_IGN)
            server.close()
            if file is not None:
                file.save(kernel.namespace)
    except (LinkError, OSError, ValueError) as wrong:
        print(f"ipvssim serve: {wrong.strerror if isinstance(wrong, LinkError) else wrong}", file=sys.stderr)
        return 1
    finally:
        if file is not None:
            file.unlock()
    return 0


if __name__ == "__main__":
    sys.exit(main())
