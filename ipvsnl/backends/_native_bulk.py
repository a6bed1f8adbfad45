"""Bulk over the C core: rule text and columns to requests, dumps to records, records to text.

Loaded when it is first needed. The buffers that C writes to are the caller's (``bytearray``, ``array``) or a workspace
from a free list, as in ``native``. What borrows a caller's buffer gives it back with ``with``, also when a signal's
handler raises: the traceback holds every frame, and cffi's borrowed buffers do not survive the collector of circles.
"""

from __future__ import annotations

from ipvsnl._native._core import ffi, lib
from ipvsnl.backends.contract import Fault, Print, Stop, encode_error
from ipvsnl.errors import DecodeError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from typing import Any

    from ipvsnl.backends.contract import Column, Progress

_WORDS: dict[int, str] = {
    code: getattr(Fault, word.removeprefix("IPVSNL_")) for code, word in ffi.typeof("enum ipvsnl_code").elements.items()
}
_GROUPS = {"service": lib.IPVSNL_GROUP_SERVICE, "dest": lib.IPVSNL_GROUP_DEST, "daemon": lib.IPVSNL_GROUP_DAEMON}
_TEXT = 1 << 15
"""Bytes of text at a time."""
_untouched = ffi.new_allocator(should_clear_after_alloc=False)

_READING = 1 << 16
"""Bytes of records that are decoded at a time, where a datagram is given."""

_readings: list[Any] = []


def _decode_error(fault: Any) -> DecodeError:
    return DecodeError(_WORDS[fault.code], fault.offset)


# --- requests --------------------------------------------------------------------------------------------------------


def rules(
    text: Any, progress: Progress, family_id: int, stops: bytes, out: bytearray, used: int, origins: memoryview,
    count: int,
) -> None:  # fmt: skip
    """Rule text to requests; see :class:`ipvsnl.backends.contract.Backend`."""
    state = ffi.new("struct ipvsnl_text *")
    fault = ffi.new("struct ipvsnl_fault *")
    state.at, state.line, state.sequence = progress.at, progress.line, progress.sequence
    state.family_id, state.final, state.additions = family_id, progress.final, progress.additions
    state.few, state.dry = progress.few, progress.dry
    with (
        ffi.from_buffer(text) as source,
        ffi.from_buffer("char[]", out, require_writable=True) as target,
        ffi.from_buffer("struct ipvsnl_origin[]", origins, require_writable=True) as places,
    ):
        made = lib.ipvsnl_rules(
            source, len(source), stops, len(stops), state, target + used, len(out) - used, places + count,
            len(origins) // 2 - count, fault,
        )  # fmt: skip
    if made < 0:
        raise encode_error(_WORDS[fault.code], "", fault.offset)
    progress.made, progress.length, progress.last = made, state.length, used + state.last
    progress.at, progress.line, progress.sequence = state.at, state.line, state.sequence
    progress.edits, progress.stop = state.edits, state.stop


def deletions(
    text: Any, progress: Progress, family_id: int, out: bytearray, used: int, origins: memoryview, count: int
) -> None:
    """Rule text to the requests that delete what it adds; see :class:`ipvsnl.backends.contract.Backend`."""
    state = ffi.new("struct ipvsnl_text *")
    fault = ffi.new("struct ipvsnl_fault *")
    state.at, state.sequence, state.family_id = progress.at, progress.sequence, family_id
    with (
        ffi.from_buffer(text) as source,
        ffi.from_buffer("char[]", out, require_writable=True) as target,
        ffi.from_buffer("struct ipvsnl_origin[]", origins, require_writable=True) as places,
    ):
        room = target + used, len(out) - used, places + count, len(origins) // 2 - count
        made = lib.ipvsnl_deletions(source, len(source), state, *room, fault)
    if made < 0:
        raise encode_error(_WORDS[fault.code], "", fault.offset)
    progress.made, progress.length, progress.last = made, state.length, used + state.last
    progress.at, progress.sequence = state.at, state.sequence


def stamp(
    pattern: bytes, sequence: int, columns: Sequence[Column], first: int, rows: int, out: bytearray, used: int
) -> None:
    """Columns to requests; see :class:`ipvsnl.backends.contract.Backend`."""
    fault = ffi.new("struct ipvsnl_fault *")
    items = ffi.new("struct ipvsnl_column[]", len(columns))
    kept: list[Any] = []
    try:
        for item, (data, stride, width, target, swapped) in zip(items, columns, strict=True):
            kept.append(ffi.from_buffer(data))
            item.data, item.length, item.stride = kept[-1], len(kept[-1]), stride
            item.width, item.target, item.form = width, target, swapped
        with ffi.from_buffer("char[]", out, require_writable=True) as place:
            length = lib.ipvsnl_stamp(
                pattern, len(pattern), sequence, items, len(columns), first, rows, place + used, len(out) - used, fault
            )
    finally:
        for source in kept:
            ffi.release(source)
    if length < 0:
        raise encode_error(_WORDS[fault.code], "", fault.offset)


# --- replies -----------------------------------------------------------------------------------------------------------


def take_records(group: str, datagram: bytes, sequence: int) -> tuple[bytes, bool, int, bool]:
    """A datagram of a dump to records; see :class:`ipvsnl.backends.contract.Backend`."""
    try:
        state, fault, records = space = _readings.pop()
    except IndexError:
        state, fault, records = space = (
            ffi.new("struct ipvsnl_dump *"),
            ffi.new("struct ipvsnl_fault *"),
            _untouched("char[]", _READING),
        )
    number, length = _GROUPS[group], len(datagram)
    state.at, state.sequence, state.error, state.finished = 0, sequence, 0, 0  # the shape of the last one stays
    state.changed, found = 0, b""
    try:
        while True:
            count = lib.ipvsnl_take_records(number, datagram, length, state, records, _READING, fault)
            if count < 0:
                raise _decode_error(fault)
            found += ffi.unpack(records, count * lib.ipvsnl_record_size(number))
            if state.at >= length:
                return found, bool(state.finished), state.error, bool(state.changed)
    finally:
        _readings.append(space)


# --- text from records -----------------------------------------------------------------------------------------------


def printed(kind: int, services: Any, servers: Any, counts: memoryview, options: int) -> Iterator[bytes | int]:
    """Records to text; see :class:`ipvsnl.backends.contract.Backend`."""
    with (
        ffi.from_buffer(services) as first,
        ffi.from_buffer(servers) as second,
        ffi.from_buffer("uint32_t[]", counts) as third,
    ):
        yield from _printed(kind, (first, second, third), counts, options)


def _printed(kind: int, held: tuple[Any, Any, Any], counts: memoryview, options: int) -> Iterator[bytes | int]:
    """Carry :func:`printed` out; ``held`` are the buffers of services, servers and counts."""
    fault, state = ffi.new("struct ipvsnl_fault *"), ffi.new("struct ipvsnl_print *")
    total = len(held[1]) // lib.ipvsnl_record_size(_GROUPS["dest"])
    first = _untouched("uint32_t[]", len(counts) + 1)
    scratch = _untouched("uint32_t[]", max(len(counts), total) + 1)

    def ordered(group: str, records: Any, of: Any, ranges: int, room: int) -> Any:
        if options & Print.UNSORTED:
            return ffi.new("uint32_t[]", list(range(room)) or 1)
        order = _untouched("uint32_t[]", room + 1)
        if lib.ipvsnl_order(_GROUPS[group], records, len(records), of, ranges, order, scratch, room, fault) != room:
            raise encode_error(_WORDS.get(fault.code, Fault.BOUNDS), group, fault.offset)
        return order

    kept = (
        ordered("service", held[0], ffi.new("uint32_t *", len(counts)), 1, len(counts)),
        ordered("dest", held[1], held[2], len(counts), total),
    )
    here = 0
    for index, count in enumerate(counts):
        first[index] = here
        here += count
    state.services, state.servers, state.counts, state.first = *held, first
    state.service_order, state.server_order = kept
    state.count, state.servers_count, state.kind = len(counts), total, kind
    state.thresholds, state.exact = bool(options & Print.WITH_THRESHOLDS), bool(options & Print.EXACT)
    state.narrow, state.own = bool(options & Print.NARROW), bool(options & Print.OWN)
    size = _TEXT
    while state.at < state.count:
        out = _untouched("char[]", size)
        length = lib.ipvsnl_print(state, out, size, fault)
        if length < 0:
            raise encode_error(_WORDS[fault.code], "", fault.offset)
        if length:
            yield ffi.unpack(out, length)
        elif state.stop == Stop.FULL:
            size *= 4
        if state.stop == Stop.LINE:
            yield kept[0][state.at]
            state.at += 1
