"""A progress bar for long restores, on a terminal's standard error, drawn by rich (loaded only then)."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from typing import TextIO

BIG = 1 << 20
"""Bytes of input from which on a terminal is shown the progress unasked: some 20,000 rules."""
EVERY = 512
"""Lines between two looks at the bar."""


def shown(lines: TextIO, terminal: TextIO, *, always: bool) -> Iterable[str]:
    """``lines``, with a bar on ``terminal`` if ``always``, or if it is a terminal and the input a big file."""
    size = _size(lines)
    if always or (terminal.isatty() and size >= BIG):
        return _with_bar(lines, terminal, size)
    return lines


def _size(lines: TextIO) -> int:
    """Bytes of a regular file, else 0: a pipe's end is unknown, and a bar without an end pulses."""
    from os import fstat

    try:
        return fstat(lines.fileno()).st_size
    except (OSError, ValueError, AttributeError):
        return 0


def _with_bar(lines: TextIO, terminal: TextIO, size: int) -> Iterator[str]:
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
        read = 0
        for number, line in enumerate(lines, start=1):
            read += len(line)
            if number % EVERY == 0:
                progress.update(task, completed=read, rules=number)
            yield line
        progress.update(task, completed=size or read)
