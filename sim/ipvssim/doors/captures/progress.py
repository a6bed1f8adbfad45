"""A progress bar for long captures, on a terminal's standard error, drawn by rich (loaded only then)."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Protocol

BIG = 1 << 22
"""Bytes of a capture from which on a terminal is shown the progress."""
_EVERY = 500
"""Packets between two looks at how far it is."""


class Packets(Protocol):
    """Packets on their way, one after the other or many at a time: the last one's number, and how much of the file was
    read."""

    @property
    def number(self) -> int:
        """From 1."""

    @property
    def position(self) -> int:
        """In bytes."""

    def __iter__(self) -> Iterator[object]: ...


def watched(packets: Packets, source: Path) -> Iterable[object]:
    """The packets, with a bar if standard error is a terminal and the file is big, or no file of known size."""
    if not sys.stderr.isatty():
        return packets
    size = source.stat().st_size if source.is_file() else 0
    return _with_bar(packets, size) if size >= BIG or not size else packets


def _with_bar(packets: Packets, size: int) -> Iterator[object]:
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeElapsedColumn

    columns = (
        TextColumn("{task.description}"), BarColumn(), TaskProgressColumn(), TextColumn("{task.fields[packets]} packets"),
        TimeElapsedColumn(),
    )  # fmt: skip
    with Progress(*columns, console=Console(file=sys.stderr), transient=True, redirect_stdout=False) as progress:
        task = progress.add_task("capture", total=size or None, packets=0)
        shown = 0
        for one in packets:
            yield one
            if packets.number >= shown + _EVERY:
                shown = packets.number
                progress.update(task, completed=packets.position, packets=shown)
