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
