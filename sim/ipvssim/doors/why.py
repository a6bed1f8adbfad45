"""``ipvssim why``: what happens to a packet, what decided it, and what would change that, in prose."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from ipvsnl.errors import IPVSError
from ipvssim.doors import directors, packet_words

if TYPE_CHECKING:
    from ipvssim.doors.captures.marks import Mark
    from ipvssim.kernel import Kernel
    from ipvssim.path.whatif import Why

FAILED, INTERRUPTED = 1, 130
_WAIT = "wait"


def main(arguments: Sequence[str] | None = None) -> int:
    """The command; its exit status is 0, or 1 where a table, a file, a packet or a change can't be used."""
    given = list(sys.argv[1:] if arguments is None else arguments)
    reader = parser()
    chosen = reader.parse_args(
        [word for word in given if word != "->"]
    )  # an arrow that the shell was told to leave alone
    if bool(chosen.flow) == (chosen.packet is not None) or (chosen.pcap is None) != (chosen.packet is None):
        reader.error("ask about a packet in words, or about --packet N of --pcap FILE")
    try:
        answer = _answer(chosen)
    except KeyboardInterrupt:
        return INTERRUPTED
    except (IPVSError, OSError, ValueError) as wrong:
        named = isinstance(wrong, OSError) and wrong.filename is not None
        said = f"{wrong.filename}: {wrong.strerror}" if named and isinstance(wrong, OSError) else str(wrong)
        print(f"ipvssim why: {said}", file=sys.stderr)
        return FAILED
    print(json.dumps(answer.as_json(), indent=2) if chosen.json else "\n".join(answer.lines()))
    return 0


def parser() -> argparse.ArgumentParser:
    """What reads the arguments."""
    parser = argparse.ArgumentParser(
        prog="ipvssim why", description="Tell what happens to a packet, what decided it, and what would change that.",
        epilog="docs/use/why.md tells more.",
    )  # fmt: skip
    parser.add_argument(
        "flow", metavar="PACKET", nargs="*",
        help="'tcp 198.51.100.7:1024 -> 192.0.2.1:80' (the quotes keep > from the shell), and ack, rst, mark=N, ttl=N, ...",
    )  # fmt: skip
    table = parser.add_mutually_exclusive_group(required=True)
    table.add_argument("--rules", metavar="FILE", type=Path, help="a table in any format that ipvsnl convert reads")
    table.add_argument("--table", metavar="FILE", type=Path, help="the table of ipvsnl --target sim:FILE")
    parser.add_argument(
        "--if", dest="changes", metavar="CHANGE", action="append", default=[],
        help="what would be otherwise: weight=1, 'server 10.9.8.7:80 weight=1', 'sysctl conn_reuse_mode=0', scheduler=wlc,"
        " mark=7, wait=12; several are made at once",
    )  # fmt: skip
    parser.add_argument("--json", action="store_true", help="tell it in JSON")
    before = parser.add_argument_group("what came before")
    before.add_argument(
        "--after", metavar="PACKET", action="append", default=[],
        help="a packet that came before, in the same words, or 'wait SECONDS'; several come in their order",
    )  # fmt: skip
    before.add_argument("--pcap", metavar="FILE", type=Path, help="a capture; its packets before --packet come first")
    before.add_argument(
        "--packet", metavar="N", type=int, help="ask about that packet of the capture, the first being 1"
    )
    before.add_argument("--on", choices=("client", "server"), help="the device by which it all comes in")
    directors.options(parser)
    return parser


def _answer(chosen: argparse.Namespace) -> Why:
    from ipvssim.doors.captures import marks

    rules = list(map(marks.read, chosen.mark))
    asked = packet_words.read(" ".join(chosen.flow)) if chosen.flow else None
    kernel = _kernel(chosen)
    for text in chosen.after:
        _before(kernel, text, chosen.on, rules)
    if asked is not None:
        mark = asked.mark or marks.mark_of(rules, asked.data)
        return kernel.why(asked.data, on=chosen.on, mark=mark, if_=chosen.changes)
    from ipvssim.doors.capture import until

    found = until(kernel.director, chosen.pcap, chosen.packet, on=chosen.on, marks=rules)
    return kernel.why(found.data, on=found.on, mark=found.mark, if_=chosen.changes)


def _kernel(chosen: argparse.Namespace) -> Kernel:
    """The director, with its table, tunables and connections."""
    kernel = directors.kept(chosen.table, chosen.kernel) if chosen.table is not None else None
    kernel = directors.described(chosen, kernel)
    if chosen.rules is not None:
        directors.load(kernel, chosen.rules)
    if chosen.start_state is not None:
        directors.start(kernel, chosen.start_state)
    kernel.director.explaining = True
    return kernel


def _before(kernel: Kernel, text: str, on: str | None, rules: Sequence[Mark]) -> None:
    """What came before: a packet, or time."""
    from ipvssim.doors.captures import marks

    words = text.split()
    if words[:1] == [_WAIT]:
        try:
            kernel.advance(float(" ".join(words[1:])))
        except ValueError:
            raise ValueError(f"--after {text!r}: it is 'wait SECONDS'") from None
        return
    try:
        packet = packet_words.read(text)
    except ValueError as wrong:
        raise ValueError(f"--after {wrong}") from None
    kernel.receive(packet.data, on, packet.mark or marks.mark_of(rules, packet.data))
