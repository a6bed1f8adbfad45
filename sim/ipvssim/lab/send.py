"""``ipvssim send``: packets of a capture, or traffic by the laboratory's laws, into a table that others look at."""

from __future__ import annotations

import argparse
import sys
import tomllib
from collections.abc import Iterator, Sequence
from pathlib import Path

from ipvsnl.errors import IPVSError
from ipvssim.doors import sending
from ipvssim.doors.captures import marks
from ipvssim.doors.sending import Sent, Timed
from ipvssim.lab.scenario.reader import ScenarioError

FAILED, WRONG, INTERRUPTED = 1, 2, 130
_EPILOG = """TRAFFIC are the keys of a scenario's [traffic] in one line (docs/use/scheduler-laboratory.md), with the service:
'service = "-t 192.0.2.1:80", arrivals = {kind = "poisson", rate = 50}, seconds = 10'.
docs/use/how-to.md shows it at work."""


def parser() -> argparse.ArgumentParser:
    """What reads the arguments."""
    parser = argparse.ArgumentParser(
        prog="ipvssim send", description="Send packets through a simulated table.", epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )  # fmt: skip
    parser.add_argument("target", metavar="TARGET", help="unix:PATH (ipvssim serve PATH), sim or sim:FILE")
    what = parser.add_mutually_exclusive_group(required=True)
    what.add_argument("capture", type=Path, nargs="?", help="pcap or pcapng; all of its IP packets come in; - is stdin")
    what.add_argument("--traffic", metavar="TRAFFIC", help="traffic by laws instead")
    parser.add_argument(
        "--fast", action="store_true", help="do not wait between packets (a served kernel's clock is real)"
    )
    parser.add_argument("--seed", type=int, default=1, metavar="N", help="of the traffic's chance")
    parser.add_argument(
        "--on", metavar="DEVICE", help="by which they come in (else: the one their source is reached by)"
    )
    parser.add_argument(
        "--mark", metavar="RULE", action="append", default=[],
        help="a firewall mark for packets, the first rule that holds: 'tcp dport 80,443 -> 7'",
    )  # fmt: skip
    return parser


def main(arguments: Sequence[str] | None = None) -> int:
    """The exit status: 0, 1 where something cannot be done, 2 for traffic or an option that is wrong, 130 where it was
    interrupted: then it tells what was sent so far."""
    chosen = parser().parse_args(arguments)
    sent = Sent()
    try:
        _send(chosen, sent)
    except KeyboardInterrupt:
        print(sent)
        return INTERRUPTED
    except ScenarioError as wrong:
        return _fail(f"--traffic: {wrong}", WRONG)
    except ImportError as missing:
        return _fail(f"traffic needs {missing.name}: pip install 'ipvsnl[lab]'", FAILED)
    except (IPVSError, OSError, ValueError) as wrong:
        named = isinstance(wrong, OSError) and wrong.filename
        return _fail(
            f"{wrong.filename}: {wrong.strerror}" if named and isinstance(wrong, OSError) else str(wrong), FAILED
        )
    print(sent)
    return 0


def _send(chosen: argparse.Namespace, sent: Sent) -> None:
    rules = tuple(map(marks.read, chosen.mark))
    packets = drawn(chosen.traffic, chosen.seed) if chosen.traffic else sending.captured(chosen.capture, rules)
    into = sending.target(chosen.target, chosen.on, hurried=chosen.fast)
    try:
        sending.give(packets, into, sent)
    finally:
        into.close()
    if sent.opened and not into.keeps_connections:
        print("A table in a file keeps counters and no connections: a served kernel keeps both.", file=sys.stderr)


def drawn(line: str, seed: int) -> Iterator[Timed]:
    """The clients' packets of a line of traffic, in order; ScenarioError says what is wrong with the line."""
    from ipvssim.lab.run.traffic import draw
    from ipvssim.lab.scenario.definition import build

    try:
        stream = tomllib.loads(f"traffic = {{{line}}}")["traffic"]
    except ValueError as wrong:
        raise ScenarioError(f"{wrong}") from wrong
    if not isinstance(stream.get("service"), str):
        raise ScenarioError('traffic.service is missing: service = "-t 192.0.2.1:80"')
    traffic = draw(build({"table": {"service": stream["service"]}, "traffic": [{"replies": False, **stream}]}), seed)
    mark = traffic.flows[0].end.mark
    yield from (Timed(when, data, mark) for when, data in traffic.packets())


def _fail(why: str, status: int) -> int:
    print(f"ipvssim send: {why}", file=sys.stderr)
    return status
