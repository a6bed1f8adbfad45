"""``struct msghdr`` of another process: read, and filled in (include/linux/socket.h, 64-bit machines)."""

from __future__ import annotations

from collections.abc import Sequence
from errno import EMSGSIZE
from os import strerror
from struct import Struct
from typing import NamedTuple

from ipvssim.run import memory
from ipvssim.run.calls import MSG_TRUNC

SIZE, MANY_SIZE = 56, 64
"""Bytes of struct msghdr, and of struct mmsghdr, which has a length behind it."""
_CUT_CONTROL = 8
_HEADER = Struct("=QI4xQQQQI4x")
_PIECE = Struct("=QQ")
"""struct iovec."""
_MOST_PIECES = 1024
LARGEST_NAME = 128
_BESIDE = 512


class Message(NamedTuple):
    """Where a program wants what: the peer's name, the pieces of the datagram, control messages."""

    at: int
    header: tuple[int, ...]
    """As it stands there: name, its size, list of pieces, their number, control messages, their size, flags."""
    pieces: Sequence[tuple[int, int]]
    """Address and length of each."""
    room: int
    """Bytes that all pieces hold."""


def message(thread: int, at: int) -> Message:
    """The message header at an address. OSError: EFAULT, EMSGSIZE.

    Most programs have the list of its pieces beside it, on their stack; so what stands around it is read with it.
    """
    page = at & -memory.PAGE
    start, end = max(at - _BESIDE, page), min(at + SIZE + _BESIDE, page + memory.PAGE)
    if at + SIZE > end:  # it goes on on another page, and what follows there may be nobody's
        start, end = at, at + SIZE
    around = memory.read(thread, start, end - start)
    header = _HEADER.unpack_from(around, at - start)
    vector, count = header[2:4]
    if count > _MOST_PIECES:
        raise OSError(EMSGSIZE, strerror(EMSGSIZE))
    size = _PIECE.size * count
    if start <= vector and vector + size <= end:
        listed = around[vector - start : vector - start + size]
    else:
        listed = memory.read(thread, vector, size)
    if count == 1:
        piece = _PIECE.unpack(listed)
        return Message(at, header, (piece,), piece[1])
    pieces = list(_PIECE.iter_unpack(listed))
    return Message(at, header, pieces, sum(length for _, length in pieces))


def gathered(thread: int, message: Message) -> tuple[bytes, bytes]:
    """The datagram that lies in its pieces, and the name of whom it is for, as far as one may be long."""
    name, size = message.header[:2]
    size = min(size, LARGEST_NAME) if name else 0
    both = memory.read_all(thread, (name, size), *message.pieces)
    return both[size:], both[:size]


def fill(thread: int, message: Message, data: bytes, name: bytes, control: bytes) -> None:
    """Put a datagram into its pieces as far as they hold it, with the name of whom it came from and control messages where
    there is room for them, and write the header anew. OSError: EFAULT."""
    found: list[tuple[int, bytes]] = []
    at = 0
    for address, length in message.pieces:
        if at >= len(data):
            break
        found.append((address, data[at : at + length]))
        at += length
    flags = MSG_TRUNC if len(data) > message.room else 0
    where, name_size, vector, count, where_control, room, _ = message.header
    if where:
        found.append((where, name[:name_size]))
        name_size = len(name)
    if len(control) > room:
        control, flags = b"", flags | _CUT_CONTROL
    found.append((where_control, control))
    header = _HEADER.pack(where, name_size, vector, count, where_control, len(control), flags)
    found.append((message.at, header))  # of a piece: each one more costs as much as the whole header
    memory.write(thread, found)
