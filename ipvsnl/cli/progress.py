"""A progress bar for long restores, on a terminal's standard error, drawn by rich (loaded only then)."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from typing import TextIO

BIG = 1 << 20
"""Bytes of input from which on a terminal is shown the progress unasked: some 20,000 rules."""


def shown(pieces: Iterable[bytes], source: TextIO, terminal: TextIO, *, always: bool) -> Iterable[bytes]:
    """The ``pieces`` of ``source``, with a bar on ``terminal`` if ``always``, or if it is one and the source a big file."""
    size = _size(source)
    if always or (terminal.isatty() and size >= BIG):
        return _with_bar(pieces, terminal, size)
    return pieces


def _size(source: TextIO) -> int:
    """Bytes of a regular file, else 0: a pipe's end is unknown, and a bar without an end pulses."""
    from os import fstat

    try:
        return fstat(source.fileno()).st_size
    except (OSError, ValueError, AttributeError):
        return 0


def _with_bar(pieces: Iterable[bytes], terminal: TextIO, size: int) -> Iterator[bytes]:
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeElapsedColumn

    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        TaskProgressColumn(),
        TextColumn("{task.fields[rules]} lines"),
        TimeElapsedColumn(),
    )
    with Progress(*columns, console=Console(file=terminal), transient=True) as progress:
        task = progress.add_task("restore", total=size or None, rules=0)
        read = rules = 0
        for piece in pieces:
            yield piece  # when the next is asked for, the rules of this one are loaded
            read += len(piece)
            rules += piece.count(b"\n")
            progress.update(task, completed=read, rules=rules)
        progress.update(task, completed=size or read)
