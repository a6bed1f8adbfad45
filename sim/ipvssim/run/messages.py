"""``struct msghdr`` of another process: read, and filled in (include/linux/socket.h, 64-bit machines)."""

from __future__ import annotations

from errno import EMSGSIZE
from os import strerror
from struct import Struct, unpack
from typing import NamedTuple

from ipvssim.run import memory
from ipvssim.run.calls import MSG_TRUNC
from ipvssim.run.endpoint import ADDRESS

SIZE, MANY_SIZE = 56, 64
"""Bytes of struct msghdr, and of struct mmsghdr, which has a length behind it."""
_CUT_CONTROL = 8
_HEADER = Struct("=QI4xQQQQi4x")
_U32, _U64 = Struct("=I"), Struct("=Q")
_NAME_SIZE, _CONTROL_SIZE, _FLAGS = 8, 40, 48
_MOST_PIECES = 1024
_LARGEST_NAME = 128
_BESIDE = 256
_PIECE = 16
"""Bytes of struct iovec."""


class Message(NamedTuple):
    """Where a program wants what: the peer's name, the pieces of the datagram, control messages."""

    at: int
    name: int
    name_size: int
    pieces: list[tuple[int, int]]
    """Address and length of each."""
    control: int
    control_size: int

    room: int
    """Bytes that all pieces hold."""


def read(thread: int, at: int) -> Message:
    """The message header at an address. OSError: EFAULT, EMSGSIZE.

    Most programs have the list of its pieces beside it, on their stack; so what stands around it is read with it.
    """
    start = max(at - _BESIDE, at & -memory.PAGE)
    end = min(at + SIZE + _BESIDE, (at & -memory.PAGE) + memory.PAGE)
    if at + SIZE > end:  # it goes on on another page, and what follows there may be nobody's
        start, end = at, at + SIZE
    around = memory.read(thread, (start, end - start))
    name, name_size, vector, count, control, control_size, _ = _HEADER.unpack_from(around, at - start)
    if count > _MOST_PIECES:
        raise OSError(EMSGSIZE, strerror(EMSGSIZE))
    size = _PIECE * count
    if start <= vector and vector + size <= end:
        listed = around[vector - start : vector - start + size]
    else:
        listed = memory.read(thread, (vector, size))
    numbers = unpack(f"={2 * count}Q", listed)
    return Message(
        at, name, name_size if name else 0, list(zip(numbers[::2], numbers[1::2], strict=True)), control, control_size,
        sum(numbers[1::2]),
    )  # fmt: skip


def gathered(thread: int, message: Message) -> tuple[bytes, bytes]:
    """The datagram that lies in its pieces, and the name of whom it is for, as far as one may be long."""
    size = min(message.name_size, _LARGEST_NAME)
    both = memory.read(thread, (message.name, size), *message.pieces)
    return both[size:], both[:size]


def name_of(thread: int, address: int, size: int) -> bytes:
    """A socket's name, as far as one may be long."""
    return memory.read(thread, (address, min(size, _LARGEST_NAME))) if address and size else b""


def filled(message: Message, data: bytes, name: bytes, control: bytes) -> list[tuple[int, bytes]]:
    """What has to be written where, for a datagram that came from ``name``."""
    found: list[tuple[int, bytes]] = []
    at = 0
    for address, length in message.pieces:
        if at >= len(data):
            break
        found.append((address, data[at : at + length]))
        at += length
    flags = MSG_TRUNC if len(data) > message.room else 0
    if len(control) > message.control_size:
        control, flags = b"", flags | (_CUT_CONTROL if control else 0)
    if message.name:
        found.append((message.name, name[: message.name_size]))
        found.append((message.at + _NAME_SIZE, _U32.pack(ADDRESS.size)))
    found += [(message.control, control), (message.at + _CONTROL_SIZE, _U64.pack(len(control)))]
    found.append((message.at + _FLAGS, _U32.pack(flags)))
    return found
