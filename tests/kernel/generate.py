"""Random traces: `python -m tests.kernel.generate --kind KIND --seed N -o FILE`. Same kind and seed, same bytes."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from tests.kernel.traces import (
    administration,
    calls,
    corners,
    crowds,
    edges,
    lapses,
    lessons,
    lifetimes,
    local,
    mutants,
    narrow,
    paths,
    pieces,
    quotes,
    releases,
    reused,
    scarce,
    scheduling,
    sessions,
    settings,
    tables,
    tracking,
    tracking_cases,
    tracking_tunables,
    upheaval,
    wide,
)  # fmt: skip

_FILES = (
    administration, scheduling, lifetimes, paths, corners, pieces, local, crowds, mutants, tracking, sessions, calls,
    releases, tables, settings, narrow, tracking_tunables, edges, wide, quotes,
    upheaval, scarce, reused, tracking_cases, lessons,
    lapses,
)  # fmt: skip
KINDS = {kind: make for file in _FILES for kind, make in file.KINDS.items()}


def generate(kind: str, seed: int) -> str:
    """The text of a trace."""
    return str(KINDS[kind](seed).text())


def main(arguments: Sequence[str]) -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.kernel.generate", description=__doc__)
    parser.add_argument("--kind", required=True, choices=sorted(KINDS))
    parser.add_argument("--seed", type=int, required=True)
    parser.add_argument("-o", "--output", type=Path, help="the file to write (standard output)")
    chosen = parser.parse_args(arguments)
    text = generate(chosen.kind, chosen.seed)
    if chosen.output:
        chosen.output.write_text(text)
    else:
        sys.stdout.write(text)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
