"""``ipvssim kernels``: the behaviours that differ between releases, and which kernel has which."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from textwrap import fill

from ipvssim.behaviours import BEHAVIOURS, DEFAULT, TABLE, Release, resolve

_WIDTH = 100


def parser() -> argparse.ArgumentParser:
    """What reads the arguments."""
    parser = argparse.ArgumentParser(
        prog="ipvssim kernels", description="What IPVS does otherwise from release to release, or in the kernels named."
    )
    parser.add_argument("--json", action="store_true", help="tell it in JSON")
    parser.add_argument(
        "kernels", nargs="*", metavar="KERNEL",
        help="a release (6.12, 5.10.46), what uname -r says, debian11 to debian13, or here (this machine's)",
    )  # fmt: skip
    return parser


def main(arguments: Sequence[str] | None = None) -> int:
    """The command; its exit status is 0, or 2 where a kernel is unknown."""
    chosen = parser().parse_args(arguments)
    try:
        kernels = [(asked, resolve(asked)) for asked in chosen.kernels]
    except ValueError as wrong:
        print(f"ipvssim kernels: {wrong}", file=sys.stderr)
        return 2
    if chosen.json:
        print(json.dumps(_json(kernels), indent=2))
        return 0
    for line in map(_kernel, kernels) if kernels else map(_row, range(len(TABLE))):
        print(line)
    return 0


def _row(number: int) -> str:
    one = TABLE[number]
    seen = "" if one.recorded else " (read in the sources, not seen)"
    return f"{one.name}: from {', '.join(one.since.split())}{seen}\n" + _indented(f"{one.what} ({one.source})")


def _kernel(given: tuple[str, Release]) -> str:
    asked, kernel = given
    lines = [f"{asked}: {kernel.name}"]
    if kernel.note:
        lines.append(_indented(kernel.note))
    for one in TABLE:
        has = getattr(kernel.behaviours, one.name)
        if has != getattr(BEHAVIOURS, one.name):
            lines.append(_indented(f"{'+' if has else '-'} {one.name}: {one.what}"))
    if len(lines) == 1:
        lines.append(_indented(f"as {DEFAULT}"))
    return "\n".join(lines)


def _indented(text: str) -> str:
    return fill(text, _WIDTH, initial_indent="  ", subsequent_indent="    ")


def _json(kernels: list[tuple[str, Release]]) -> object:
    if not kernels:
        return [one._asdict() for one in TABLE]
    return [
        {"asked": asked, "release": one.name, "behaviours": sorted(one.behaviours.names), "note": one.note}
        for asked, one in kernels
    ]
