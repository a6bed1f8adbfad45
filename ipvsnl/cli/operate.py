"""The sub-commands ``plan``, ``apply``, ``convert``, ``top`` ``export``: their arguments, and what is common."""

from __future__ import annotations

from argparse import ArgumentParser, ArgumentTypeError

from ipvsnl.cli.ending import FAILED
from ipvsnl.cli.streams import words as said
from ipvsnl.errors import IPVSError, LinkError
from ipvsnl.refusals import KernelError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from argparse import Namespace as Arguments
    from collections.abc import Sequence
    from typing import NoReturn, TextIO

    from ipvsnl.cli.streams import ClientFactory


SHORTEST, LONGEST = 0.1, 86400 * 365
"""Seconds between two looks of ``top``; the longest is any waiting's."""


FORMATS = ("rules", "json", "keepalived", "listing", "proc")
"""What ``convert`` writes; the words of :mod:`ipvsnl.tables.wanted`."""
_HZ = "ticks a second (CONFIG_HZ) of the kernel whose /proc/net/ip_vs FILE is: it counts persistence in them"


class _Wrong(Exception):  # noqa: N818 (a refused command line)
    """What is wrong with the arguments."""


class _Parser(ArgumentParser):
    """Refuses without leaving the process: 2 is a status with a meaning."""

    def error(self, message: str) -> NoReturn:
        self.color = False  # Python 3.14 asks standard output whether to colour, and this goes to standard error
        raise _Wrong(f"{self.prog}: {message}\n{self.format_usage()}")


def parsers() -> dict[str, ArgumentParser]:
    """What reads the arguments of each of the sub-commands."""
    return _parser()[1]


def _parser() -> tuple[ArgumentParser, dict[str, ArgumentParser]]:
    parser = _Parser(prog="ipvsnl")
    commands = parser.add_subparsers(dest="command", required=True)
    plan = commands.add_parser("plan", help="show what apply would do; status 0: nothing, 2: something")
    plan.add_argument("--json", action="store_true", help="the plan as JSON")
    apply = commands.add_parser("apply", help="make the table be the file's: all of it, or nothing")
    apply.add_argument("-q", "--quiet", action="store_true", help="do not show what is done")
    for one in (plan, apply):
        one.add_argument(
            "file",
            metavar="FILE",
            help="rules as -S writes them, a listing, JSON, keepalived.conf; - is standard input",
        )
        one.add_argument("--prune", action="store_true", help="delete what the file does not have")
        one.add_argument(
            "--drain", type=_seconds, metavar="SECONDS", help="give servers that go weight 0, and so long to idle"
        )
        one.add_argument("--keep-weights", action="store_true", help="live servers keep the weights that they have")
        one.add_argument(
            "--only",
            type=_kinds,
            metavar="KINDS",
            help="make only these changes: of add,edit,delete; leave out the others",
        )
        one.add_argument("--hz", type=_ticks, metavar="N", help=_HZ)
    convert = commands.add_parser("convert", help="what is read of a file, as rules or in another format")
    convert.add_argument("file", metavar="FILE", help="as of apply")
    convert.add_argument("--hz", type=_ticks, metavar="N", help=_HZ)
    convert.add_argument("--to", choices=FORMATS, default="rules", help="the format (rules)")
    top = commands.add_parser("top", help="a live view")
    top.add_argument("--interval", type=_interval, default=2.0, metavar="SECONDS", help="between two looks (2)")
    top.add_argument("--once", action="store_true", help="one look, and done")
    export = commands.add_parser("export", help="the table as metrics for Prometheus")
    export.add_argument(
        "--listen", type=_listen, metavar="[ADDRESS:]PORT", help="serve them (by default: write them once)"
    )
    export.add_argument("--node-names", action="store_true", help="also under the names that node_exporter has")
    return parser, {"plan": plan, "apply": apply, "convert": convert, "top": top, "export": export}


def _kinds(text: str) -> frozenset[str]:
    """The kinds of change of ``add,edit``."""
    from ipvsnl.tables.plan import CHANGES

    kinds = frozenset(text.split(","))
    if not kinds <= set(CHANGES):
        raise ArgumentTypeError(f"{text!r}: of {', '.join(CHANGES)}, with commas between them")
    return kinds


def _seconds(text: str) -> float:
    """Seconds that a process may wait."""
    try:
        seconds = float(text)
    except ValueError:
        seconds = -1.0
    if not 0 <= seconds <= LONGEST:  # and so is what is no number
        raise ArgumentTypeError(f"{text!r} is not a number of seconds from 0 to {LONGEST}")
    return seconds


def _ticks(text: str) -> int:
    """Ticks a second that a kernel may have."""
    if not (text.isascii() and text.isdecimal() and len(text) <= 4 and 1 <= int(text) <= 1200):
        raise ArgumentTypeError(f"{text!r} is not a number of ticks from 1 to 1200 (100, 250, 300, 1000)")
    return int(text)


def _interval(text: str) -> float:
    seconds = _seconds(text)
    if seconds < SHORTEST:
        raise ArgumentTypeError(f"{text!r} is not a number of seconds from {SHORTEST} to {LONGEST}")
    return seconds


def _listen(text: str) -> tuple[str, int]:
    """Address (empty: not given) and port of ``PORT``, ``ADDRESS:PORT``, ``[V6]:PORT``."""
    address, colon, port = text.rpartition(":")
    if not (port.isascii() and port.isdecimal() and len(port) <= 5 and int(port) <= 65535):
        raise ArgumentTypeError(f"{text!r}: {port!r} is not a port, a number from 0 to 65535")
    bare = address.removeprefix("[").removesuffix("]")
    if (colon and not bare) or (bare != address) is not (":" in bare) or (bare != address and address != f"[{bare}]"):
        raise ArgumentTypeError(f"{text!r} is not PORT, ADDRESS:PORT or [IPV6]:PORT")
    return bare, int(port)


def operate(
    words: Sequence[str], client: ClientFactory, stdin: TextIO, stdout: TextIO, stderr: TextIO
) -> int:  # fmt: skip
    """Run the sub-command; the exit status."""
    try:
        parser, _ = _parser()
        arguments = parser.parse_args(words)
        if "delete" in (getattr(arguments, "only", None) or ()) and not arguments.prune:
            parser.error("--only delete is about what --prune deletes")
        if getattr(arguments, "drain", None) is not None and not arguments.prune:
            parser.error("--drain is about servers that go, and without --prune none does")
    except _Wrong as wrong:
        stderr.write(str(wrong))
        return FAILED
    except SystemExit:  # --help
        return 0
    try:
        return _command(arguments, client, stdin, stdout, stderr)
    except IPVSError as wrong:
        stderr.write(f"ipvsnl {arguments.command}: {message(wrong)}\n")
        return FAILED


def _command(arguments: Arguments, client: ClientFactory, stdin: TextIO, stdout: TextIO, stderr: TextIO) -> int:
    if arguments.command == "plan":
        from ipvsnl.cli.planning import plan

        return plan(arguments, client, stdin, stdout, stderr)
    if arguments.command == "apply":
        from ipvsnl.cli.planning import apply

        return apply(arguments, client, stdin, stdout, stderr)
    if arguments.command == "convert":
        from ipvsnl.cli.convert import convert

        return convert(arguments, stdin, stdout, stderr)
    if arguments.command == "top":
        from ipvsnl.cli.top import top

        return top(arguments, client, stdout)
    from ipvsnl.cli.export import export

    return export(arguments, client, stdout, stderr)


def message(error: IPVSError) -> str:
    """An error in words, with the likely cause; where there is no kernel, with the way out."""
    if isinstance(error, LinkError):
        return f"{said(error)}\nWithout a kernel: --target sim (or IPVSNL_TARGET=sim) works on a simulated one."
    if isinstance(error, KernelError):
        return f"{error}{f' (likely cause: {error.cause})' if error.cause else ''}"
    return str(error)
