"""pcapng's blocks: an interface's description, and options."""

from __future__ import annotations

from collections.abc import Iterator
from struct import Struct
from typing import NamedTuple

from ipvssim.clock import SECOND

_IF_NAME, _IF_RESOLUTION, _IF_OFFSET = 2, 9, 14


class Interface(NamedTuple):
    """Where packets were captured."""

    link: int
    longest: int
    name: str
    ticks: int
    """A second's."""
    offset: int


class Block(NamedTuple):
    """A block: the byte order of its section, its kind, what it carries."""

    order: str
    kind: int
    body: bytes


def described(block: Block) -> Interface | None:
    """The interface that a block describes; None where it is damaged."""
    if len(block.body) < 8:
        return None
    link, _, longest = Struct(block.order + "HHI").unpack_from(block.body)
    name, ticks, offset = "", SECOND, 0
    for code, value in options(block.order, block.body, 8):
        if code == _IF_NAME:
            name = value.rstrip(b"\0").decode("utf-8", "replace")
        elif code == _IF_RESOLUTION and value:
            ticks = 1 << (value[0] & 0x7F) if value[0] & 0x80 else 10 ** value[0]
        elif code == _IF_OFFSET and len(value) == 8:
            offset = Struct(block.order + "q").unpack(value)[0]
    return Interface(link, longest, name, ticks, offset)


def options(order: str, body: bytes, at: int) -> Iterator[tuple[int, bytes]]:
    """The options of a block, as far as they can be read."""
    unpack = Struct(order + "HH").unpack_from
    while at + 4 <= len(body):
        code, length = unpack(body, at)
        if not code or at + 4 + length > len(body):
            return
        yield code, body[at + 4 : at + 4 + length]
        at += 4 + (length + 3 & ~3)
