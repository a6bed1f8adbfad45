"""``ipvssim pcap``: what a director with these rules makes of a capture, and whether the captured one did the same.

Clients are on the device ``client``, the real servers that the rules name on ``server``; the virtual addresses that they
name are the director's own. Packets come in by the device that their source is reached by. What left the captured director
is compared, and not played.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable, Sequence
from functools import partial
from ipaddress import ip_address
from pathlib import Path
from typing import TYPE_CHECKING

from ipvsnl.errors import IPVSError
from ipvsnl.text.hints import printable
from ipvssim.kernel import Kernel
from ipvssim.state.namespace import RELEASE

if TYPE_CHECKING:
    from ipvssim.doors.capture import Captured
    from ipvssim.path.result import Result

FAILED, INTERRUPTED = 1, 130
_STOPPED = "interrupted"
_MOST = 1 << 28
"""Bytes: a device may be endless."""


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
    parser.add_argument("rules", type=Path, help="rules, as ipvsadm -S writes them")
    parser.add_argument("capture", type=Path, help="pcap or pcapng of any usual link type; - is standard input")
    parser.add_argument("out", type=Path, nargs="?", help="where what leaves is written (pcap), once all is done")
    told = parser.add_mutually_exclusive_group()
    told.add_argument("--explain", action="store_true", help="tell every packet's way")
    told.add_argument("--json", action="store_true", help="tell it in JSON")
    director = parser.add_argument_group("the director")
    director.add_argument("--kernel", metavar="RELEASE", default=RELEASE, help="behave as that release of Linux 6.1")
    director.add_argument(
        "--module",
        metavar="NAME",
        action="append",
        default=[],
        help="load ip_vs_ftp or ip_vs_twos, too (again for more)",
    )
    director.add_argument(
        "--sysctl", metavar="NAME=VALUE", action="append", default=[], help="a tunable (net.ipv4.vs.*)"
    )
    director.add_argument(
        "--set", metavar=("TCP", "TCPFIN", "UDP"), nargs=3, help="timeouts in seconds, as ipvsadm --set"
    )
    director.add_argument(
        "--mark", metavar="RULE", action="append", default=[],
        help="a firewall mark for packets, the first rule that holds: 'tcp dst 192.0.2.0/24 dport 80,443 -> 7'",
    )  # fmt: skip
    director.add_argument(
        "--start-state", metavar="FILE", type=Path, help="connections that it had before: ipvsadm -Lnc >FILE"
    )
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
    )  # fmt: skip


def _director(chosen: argparse.Namespace) -> Kernel:
    """The director that the options describe; ValueError names the option or the rule that is wrong."""
    from ipvssim.doors.captures.files import check_distinct

    if chosen.out is not None:
        check_distinct(chosen.rules, chosen.out)
    if str(chosen.rules) == str(chosen.capture) == "-":
        raise ValueError("rules and capture can't both be standard input")
    rules = _text(chosen.rules)
    kernel = Kernel(release=chosen.kernel, modules=chosen.module)
    for given in chosen.sysctl:
        name, equals, value = given.partition("=")
        try:
            if not equals:
                raise ValueError("it is NAME=VALUE")
            kernel.sysctl[name] = value
        except KeyError as wrong:
            raise ValueError(f"--sysctl {given}: {wrong.args[0]}") from wrong
        except (OSError, ValueError) as wrong:
            raise ValueError(f"--sysctl {given}: {getattr(wrong, 'strerror', None) or wrong}") from wrong
    if chosen.set is not None:
        done = kernel.ipvsadm("--set", *chosen.set)
        if done.status:
            raise ValueError(f"--set {' '.join(chosen.set)}: {done.stderr.strip().splitlines()[0]}")
    try:
        kernel.load(rules)
    except ValueError as wrong:  # it may have more than one line
        raise ValueError("\n".join(f"{chosen.rules}: {printable(line)}" for line in str(wrong).split("\n"))) from wrong
    if chosen.start_state is not None:
        from ipvssim.doors.captures import start

        try:
            start.load(kernel.director, _text(chosen.start_state))
        except ValueError as wrong:
            raise ValueError(f"{chosen.start_state}: {wrong}") from wrong
    return kernel


def _text(path: Path) -> str:
    from ipvssim.doors.captures.files import opened

    with opened(path) as file:
        data = file.read(_MOST + 1)
    if len(data) > _MOST:
        raise ValueError(f"{path}: more than {_MOST >> 20} MB of text")
    try:
        return data.decode()
    except UnicodeDecodeError as wrong:
        raise ValueError(f"{path}: no text: {wrong}") from wrong


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
        print(json.dumps(as_json(counts, error), indent=2))
    elif counts.received or counts.left or counts.other or error in ("", _STOPPED):
        print("\n".join(lines(counts)))
    if error:
        sys.stdout.flush()
        unwritten = f" ({chosen.out} is not written)" if chosen.out is not None else ""
        print(f"ipvssim pcap: {error}{unwritten}", file=sys.stderr)
