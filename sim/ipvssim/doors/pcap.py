"""``ipvssim pcap``: what a director with these rules makes of a capture, and whether the captured one did the same.

Clients are on the device ``client``, the real servers that the rules name on ``server``; the virtual addresses that they
name are the director's own. Packets come in by the device that their source is reached by. What left the captured director
is compared, and not played.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Sequence
from functools import partial
from ipaddress import ip_address
from pathlib import Path
from typing import TYPE_CHECKING

from ipvsnl.errors import IPVSError
from ipvssim.doors import directors

if TYPE_CHECKING:
    from ipvssim.doors.capture import Captured
    from ipvssim.kernel import Kernel
    from ipvssim.path.result import Result

FAILED, INTERRUPTED = 1, 130
_STOPPED = "interrupted"


def main(arguments: Sequence[str] | None = None) -> int:
    """The command; its exit status is 0, 1 where the rules, an option or a file can't be used, 130 where it was
    interrupted: then, and where a capture is damaged, it tells what it found so far."""
    chosen = parser().parse_args(arguments)
    from ipvssim.doors.capture import Captured

    counts = Captured()
    try:
        _play(chosen, counts)
    except KeyboardInterrupt:
        _report(chosen, counts, _STOPPED)
        return INTERRUPTED
    except (IPVSError, OSError, ValueError) as wrong:
        named = isinstance(wrong, OSError) and wrong.filename is not None
        said = f"{wrong.filename}: {wrong.strerror}" if named and isinstance(wrong, OSError) else str(wrong)
        _report(chosen, counts, said)
        return FAILED
    _report(chosen, counts)
    return 0


def parser() -> argparse.ArgumentParser:
    """What reads the arguments."""
    parser = argparse.ArgumentParser(
        prog="ipvssim pcap", description="Give a capture to a director.", epilog="docs/use/packet-path.md tells more."
    )
    parser.add_argument("rules", type=Path, help="rules, or any other table that ipvsnl convert reads")
    parser.add_argument("capture", type=Path, help="pcap or pcapng of any usual link type; - is standard input")
    parser.add_argument("out", type=Path, nargs="?", help="where what leaves is written (pcap), once all is done")
    told = parser.add_mutually_exclusive_group()
    told.add_argument("--explain", action="store_true", help="tell every packet's way")
    told.add_argument("--json", action="store_true", help="tell it in JSON")
    directors.options(parser)
    sides = parser.add_argument_group("which packets came in, and which left the captured director")
    sides.add_argument("--director", metavar="MAC", action="append", default=[], help="a MAC address of its own")
    for side in ("client", "server"):
        sides.add_argument(
            f"--{side}-side", metavar="INTERFACE", action="append", default=[],
            help=f"an interface towards {side}s: its name (pcapng) or number (cooked captures)",
        )  # fmt: skip
    sides.add_argument(
        "--server-mac", metavar="MAC=ADDRESS", action="append", default=[], help="whose MAC address that is"
    )
    sides.add_argument("--on", choices=("client", "server"), help="the device by which all of it comes in")
    return parser


def _play(chosen: argparse.Namespace, counts: Captured) -> None:
    from ipvssim.doors.capture import play
    from ipvssim.doors.captures import marks, sides
    from ipvssim.doors.captures.progress import watched
    from ipvssim.lane import Lane
    from ipvssim.path.explain import lines

    kernel = _director(chosen)
    kernel.director.explaining = chosen.explain
    told: Callable[[Result], object] | None = None
    if chosen.explain:
        told = lambda result: print("\n".join(lines(result)))  # noqa: E731
    play(
        kernel.director, chosen.capture, chosen.out, on=chosen.on, told=told, noted=print if chosen.explain else None,
        sides=sides.told(chosen.director, chosen.client_side, chosen.server_side, map(_owner, chosen.server_mac)),
        marks=list(map(marks.read, chosen.mark)), counts=counts,
        watched=None if chosen.explain else partial(watched, source=chosen.capture),
        lane=Lane(kernel.director, kernel.receive),
    )  # fmt: skip


def _director(chosen: argparse.Namespace) -> Kernel:
    """The director that the options describe; ValueError names the option or the rule that is wrong."""
    from ipvssim.doors.captures.files import check_distinct

    if chosen.out is not None:
        check_distinct(chosen.rules, chosen.out)
    if str(chosen.rules) == str(chosen.capture) == "-":
        raise ValueError("rules and capture can't both be standard input")
    kernel = directors.described(chosen)
    directors.load(kernel, chosen.rules)
    if chosen.start_state is not None:
        directors.start(kernel, chosen.start_state)
    return kernel


def _owner(given: str) -> tuple[bytes, bytes]:
    from ipvssim.doors.captures.sides import mac

    name, _, address = given.partition("=")
    try:
        return mac(name), ip_address(address).packed
    except ValueError as wrong:
        raise ValueError(f"--server-mac {given}: {wrong}") from wrong


def _report(chosen: argparse.Namespace, counts: Captured, error: str = "") -> None:
    """What was found, and why it ended early where it did."""
    from ipvssim.doors.captures.report import as_json, lines

    if chosen.json:
        for piece in as_json(counts, error):
            sys.stdout.write(piece)
        print()
    elif counts.received or counts.left or counts.other or error in ("", _STOPPED):
        for line in lines(counts):
            print(line)
    if error:
        sys.stdout.flush()
        unwritten = f" ({chosen.out} is not written)" if chosen.out is not None else ""
        print(f"ipvssim pcap: {error}{unwritten}", file=sys.stderr)
