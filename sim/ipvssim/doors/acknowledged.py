"""What a server acknowledged since its table file was written last: ``FILE.served``, beside the file.

Each request that may change something is appended, with its moment, before its answer goes out. A server that ends by
itself writes the table and removes this file. One that is killed leaves both: whoever reads the table next carries the
requests out again, in their order and at their moments, and has what the server had (connections aside).

The file: a line with its format, the first line of the table file that it continues (empty where there was none), then
records of a moment (microseconds of the simulated clock), a length, a CRC and the datagram.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from struct import Struct
from typing import TYPE_CHECKING

from ipvsnl import _files as files
from ipvssim.schedulers import LoadingError
from ipvssim.state.saving import StateError

if TYPE_CHECKING:
    from ipvssim.kernel import Kernel

_MAGIC = b"ipvssim served 1\n"
_RECORD = Struct("<QII")
_ANSWER = 1 << 20
_NEW_FILE = (
    os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_APPEND | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_BINARY", 0)
)


def place(table: Path) -> Path:
    """Where it lies."""
    return Path(f"{table}.served")


class Acknowledged:
    """The file while its server lives."""

    def __init__(self, table: Path, base: bytes) -> None:
        """A new one, which continues the table file whose first line is ``base``; OSError where it can't be made."""
        self._handle = os.open(place(table), _NEW_FILE, 0o600)
        self._append(_MAGIC + base + b"\n")

    def add(self, moment: int, datagram: bytes) -> None:
        """A datagram of requests that was executed at that moment; OSError where the disk is full."""
        from zlib import crc32

        self._append(_RECORD.pack(moment, len(datagram), crc32(datagram)) + datagram)

    def close(self) -> None:
        """Write no more."""
        os.close(self._handle)

    def _append(self, data: bytes) -> None:
        whole, rest = os.fstat(self._handle).st_size, memoryview(data)
        try:
            while rest:
                rest = rest[os.write(self._handle, rest) :]
        except OSError:
            os.ftruncate(self._handle, whole)
            raise


def repeat(kernel: Kernel, table: Path, base: bytes) -> float | None:
    """Carry out what a server acknowledged that was killed; when it wrote last (as ``time.time``), None where there is
    nothing that continues this table.

    StateError: it is damaged. OSError as of :func:`ipvsnl._files.read`.
    """
    try:
        text, status = files.read(place(table), _MAGIC)
    except FileNotFoundError:
        return None
    if not text.startswith(_MAGIC):
        raise StateError("no record of a server")
    of, _, records = text[len(_MAGIC) :].partition(b"\n")
    if of != base:
        return None  # of an older table: the server wrote the new one, and was killed then
    client = kernel.socket()
    for moment, datagram in _records(records):
        kernel.clock.advance_to(moment)
        with suppress(LoadingError):  # it was refused then, and it is now
            client.send(datagram)
        with suppress(OSError):  # there are no more answers
            while True:
                client.recv(_ANSWER)
    client.close()
    return status.st_mtime


def _records(data: bytes) -> Iterator[tuple[int, bytes]]:
    """The records; one that is cut at the end was not acknowledged."""
    from zlib import crc32

    at = 0
    while len(data) - at >= _RECORD.size:
        moment, length, check = _RECORD.unpack_from(data, at)
        datagram = data[at + _RECORD.size : at + _RECORD.size + length]
        if len(datagram) < length:
            return
        if crc32(datagram) != check:
            raise StateError(f"damaged at byte {at} of its requests")
        yield moment, datagram
        at += _RECORD.size + length


def forget(table: Path) -> None:
    """The table file holds it all."""
    with suppress(FileNotFoundError):
        place(table).unlink()
