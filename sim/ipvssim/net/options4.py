"""IPv4 options that change on the way: Record Route and Timestamp (net/ipv4/ip_options.c, Linux 6.1)."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Final

END: Final = 0
NOOP: Final = 1
RECORD_ROUTE: Final = 7
TIMESTAMP: Final = 68
LOOSE_ROUTE: Final = 131
STRICT_ROUTE: Final = 137
ROUTER_ALERT: Final = 148
CIPSO: Final = 134
COPIED: Final = 0x80
TS_ONLY: Final = 0
TS_AND_ADDRESS: Final = 1
TS_PRESPECIFIED: Final = 3


class BadOptionError(Exception):
    """Options that are refused: ``pointer`` is the offending byte's place in the header; -1: dropped without an answer."""

    def __init__(self, pointer: int) -> None:
        super().__init__(f"bad IPv4 option at byte {pointer}")
        self.pointer = pointer


def received(options: bytes, own: bytes, is_remote: Callable[[bytes], bool], milliseconds: int) -> bytes:
    """The options as a host with the address ``own`` on this packet's way leaves them (``ip_options_compile``).

    ``is_remote`` tells whether an address is some other host's. Raises :class:`BadOptionError`.
    """
    changed = bytearray(options)
    seen: set[int] = set()
    for kind, start, size in _each(changed):
        if kind in (LOOSE_ROUTE, STRICT_ROUTE):
            raise BadOptionError(-1)
        if kind in (RECORD_ROUTE, TIMESTAMP):
            if kind in seen:
                raise BadOptionError(start + 20)
            seen.add(kind)
            if kind == RECORD_ROUTE:
                _record(changed, start, size, own)
            else:
                _stamp(changed, start, size, own, is_remote, milliseconds)
    return bytes(changed)


def _each(options: bytearray) -> Iterator[tuple[int, int, int]]:
    at = 0
    while at < len(options):
        kind = options[at]
        if kind == END:
            options[at:] = bytes(len(options) - at)
            return
        if kind == NOOP:
            at += 1
            continue
        if at + 1 >= len(options):
            raise BadOptionError(at + 20)
        size = options[at + 1]
        if size < 2 or at + size > len(options):
            raise BadOptionError(at + 20)
        yield kind, at, size
        at += size


def _record(options: bytearray, start: int, size: int, own: bytes) -> None:
    if size < 3:
        raise BadOptionError(start + 21)
    pointer = options[start + 2]
    if pointer < 4:
        raise BadOptionError(start + 22)
    if pointer <= size:
        if pointer + 3 > size:
            raise BadOptionError(start + 22)
        options[start + pointer - 1 : start + pointer + 3] = own
        options[start + 2] = pointer + 4


def _stamp(
    options: bytearray, start: int, size: int, own: bytes, is_remote: Callable[[bytes], bool], milliseconds: int
) -> None:
    if size < 4:
        raise BadOptionError(start + 21)
    pointer, form = options[start + 2], options[start + 3] & 15
    if pointer < 5:
        raise BadOptionError(start + 22)
    if pointer > size:
        if form != TS_PRESPECIFIED:
            _overflow(options, start)
        return
    if pointer + 3 > size or (form in (TS_AND_ADDRESS, TS_PRESPECIFIED) and pointer + 7 > size):
        raise BadOptionError(start + 22)
    at = start + pointer - 1
    now = (milliseconds & 0xFFFFFFFF).to_bytes(4, "big")
    if form == TS_ONLY:
        options[at : at + 4] = now
        options[start + 2] = pointer + 4
    elif form == TS_AND_ADDRESS:
        options[at : at + 8] = own + now
        options[start + 2] = pointer + 8
    elif form == TS_PRESPECIFIED and not is_remote(bytes(options[at : at + 4])):
        options[at + 4 : at + 8] = now
        options[start + 2] = pointer + 8


def _overflow(options: bytearray, start: int) -> None:
    """Count a host that found no room."""
    count = options[start + 3] >> 4
    if count == 15:
        raise BadOptionError(start + 23)
    options[start + 3] = options[start + 3] & 15 | count + 1 << 4


def echo(options: bytes, own: bytes, milliseconds: int) -> bytes:
    """The recording options of a received packet as an ICMP error about it carries them on, padded to a multiple of four
    (``__ip_options_echo``): a way that was recorded is recorded further, by the address ``own``."""
    if not options:
        return b""
    answer = bytearray()
    for kind, start, size in _each(bytearray(options)):
        if kind in (RECORD_ROUTE, TIMESTAMP):
            piece = bytearray(options[start : start + size])
            if kind == RECORD_ROUTE and piece[2] + 3 <= size:
                _record(piece, 0, size, own)
            elif kind == TIMESTAMP and piece[2] + (3, 7)[piece[3] & 15 != TS_ONLY] <= size:
                _stamp(piece, 0, size, own, lambda _: False, milliseconds)
            answer += piece
    return bytes(answer + bytes(-len(answer) % 4))


def of_later_fragments(options: bytes) -> bytes:
    """The options of later fragments: those without the copied bit become no-operations (``ip_options_fragment``)."""
    kept = bytearray(options)
    try:
        for kind, start, size in _each(kept):
            if not kind & COPIED:
                kept[start : start + size] = bytes((NOOP,)) * size
    except BadOptionError:
        return options
    return bytes(kept)
