"""A progress bar for long captures, on a terminal's standard error, drawn by rich (loaded only then)."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator
from pathlib import Path

from ipvssim.doors.captures.files import Frame, Reader

BIG = 1 << 22
"""Bytes of a capture from which on a terminal is shown the progress."""
_EVERY = 500
"""Packets between two looks at how far it is."""


def watched(reader: Reader, source: Path) -> Iterable[Frame]:
    """The frames of a reader, with a bar if standard error is a terminal and the file is big, or no file of known size."""
    if not sys.stderr.isatty():
        return reader
    size = source.stat().st_size if source.is_file() else 0
    return _with_bar(reader, size) if size >= BIG or not size else reader


def _with_bar(reader: Reader, size: int) -> Iterator[Frame]:
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeElapsedColumn

    columns = (
        TextColumn("{task.description}"), BarColumn(), TaskProgressColumn(), TextColumn("{task.fields[packets]} packets"),
        TimeElapsedColumn(),
    )  # fmt: skip
    with Progress(*columns, console=Console(file=sys.stderr), transient=True, redirect_stdout=False) as progress:
        task = progress.add_task("capture", total=size or None, packets=0)
        for frame in reader:
            yield frame
            if not frame.number % _EVERY:
                progress.update(task, completed=reader.position, packets=frame.number)
