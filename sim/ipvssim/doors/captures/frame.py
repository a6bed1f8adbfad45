"""A frame of a capture, and the error about one that can't be read."""

from __future__ import annotations

from typing import NamedTuple


class CaptureError(ValueError):
    """A capture that can't be read, or not to its end: the file, the packet, and the cause."""


class Frame(NamedTuple):
    """A packet as the file has it: its number (from 1), its time in microseconds, its link type, its bytes, how many there
    were on the wire, the interface's name (pcapng), and whether that said "in" or "out"."""

    number: int
    when: int
    link: int
    data: bytes
    size: int
    interface: str = ""
    direction: str = ""


class Plain(NamedTuple):
    """How records that are alike can be read: byte order, whether they are blocks (pcapng), bytes before a packet (pcap),
    the unit of times in parts of a microsecond, the link type, microseconds added to times, the interface's name."""

    order: str
    blocks: bool
    head: int
    parts: int
    link: int
    offset: int
    interface: str
