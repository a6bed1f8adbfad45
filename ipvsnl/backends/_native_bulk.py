"""Bulk over the C core: rule text and columns to requests, conversations over a socket, dumps to records.

Loaded when it is first needed. The buffers that C writes to are the caller's (``bytearray``, ``array``) or a workspace
from a free list, as in ``native``.
"""

from __future__ import annotations

from errno import EMSGSIZE, ETIMEDOUT
from os import strerror

from ipvsnl._native._core import ffi, lib
from ipvsnl.backends._faults import Fault, encode_error
from ipvsnl.backends.contract import Print, Stop
from ipvsnl.errors import DecodeError, LinkError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from typing import Any

    from ipvsnl.backends.contract import Column, Outcome, Progress

_WORDS: dict[int, str] = {
    code: getattr(Fault, word.removeprefix("IPVSNL_")) for code, word in ffi.typeof("enum ipvsnl_code").elements.items()
}
_GROUPS = {"service": lib.IPVSNL_GROUP_SERVICE, "dest": lib.IPVSNL_GROUP_DEST, "daemon": lib.IPVSNL_GROUP_DAEMON}
_NULL = ffi.NULL
_ANSWERS = 64 * lib.IPVSNL_ANSWER_SLOT
_DUMPS = 4 * lib.IPVSNL_DUMP_SLOT
"""Bytes received by one system call at most."""
_FIRST_RECORDS = 1 << 22
"""Bytes of records before more room is needed; memory that is never touched costs nothing."""
_TEXT = 1 << 15
"""Bytes of text at a time."""
_untouched = ffi.new_allocator(should_clear_after_alloc=False)

_READING = 1 << 16
"""Bytes of records that are decoded at a time, where a datagram is given."""

_free: list[Any] = []
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
    source = ffi.from_buffer(text)
    target = ffi.from_buffer("char[]", out, require_writable=True)
    places = ffi.from_buffer("struct ipvsnl_origin[]", origins, require_writable=True)
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
    source = ffi.from_buffer(text)
    target = ffi.from_buffer("char[]", out, require_writable=True)
    places = ffi.from_buffer("struct ipvsnl_origin[]", origins, require_writable=True)
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
    kept = []
    for item, (data, stride, width, target, swapped) in zip(items, columns, strict=True):
        source = ffi.from_buffer(data)
        kept.append(source)
        item.data, item.length, item.stride = source, len(source), stride
        item.width, item.target, item.form = width, target, swapped
    place = ffi.from_buffer("char[]", out, require_writable=True)
    length = lib.ipvsnl_stamp(
        pattern, len(pattern), sequence, items, len(columns), first, rows, place + used, len(out) - used, fault
    )
    if length < 0:
        raise encode_error(_WORDS[fault.code], "", fault.offset)


# --- conversations ---------------------------------------------------------------------------------------------------


def _trouble(fault: Any, timeout: float) -> LinkError | DecodeError:
    """A fault of a conversation as an exception."""
    if fault.code == lib.IPVSNL_SILENT:
        return LinkError(ETIMEDOUT, f"the kernel did not answer in {timeout:g} s")
    if fault.code == lib.IPVSNL_LOST:
        return LinkError(fault.offset, Fault.LOST)
    if fault.code == lib.IPVSNL_SYSTEM:
        words = "a reply was longer than the buffer and was cut" if fault.offset == EMSGSIZE else strerror(fault.offset)
        return LinkError(fault.offset, f"the conversation failed: {words}")
    return _decode_error(fault)


def converse(socket: int, requests: Any, first: int, closing: int, most: int, timeout: float) -> Outcome:
    """Send requests and take their answers in; see :class:`ipvsnl.backends.contract.Backend`."""
    try:
        space = _free.pop()
    except IndexError:
        space = (
            ffi.new("struct ipvsnl_fault *"),
            _untouched("struct ipvsnl_refusal[]", 1024),
            _untouched("char[]", _ANSWERS),
        )
    fault, refusals, buffer = space
    if most > len(refusals):
        refusals = _untouched("struct ipvsnl_refusal[]", most)
    answers = ffi.new("struct ipvsnl_answers *")
    answers.first, answers.closing = first, closing
    trouble: BaseException | None = None
    source = ffi.from_buffer(requests)
    while True:
        try:
            count = lib.ipvsnl_converse(
                socket, source, len(source), answers, refusals, most, buffer, _ANSWERS, int(timeout * 1000), fault
            )
            if count < 0 and fault.code != lib.IPVSNL_INTERRUPTED:
                trouble = trouble or _trouble(fault, timeout)
            elif count < 0:
                continue
        except BaseException as signal:  # of a signal's handler: what was sent is still accounted for
            trouble = signal
            if answers.sent and not answers.finished:
                continue
        break
    if answers.lost and trouble is None:
        trouble = LinkError(105, Fault.LOST)
    found = []
    for index in range(answers.refused):
        one = refusals[index]
        found.append((one.sequence, one.error, ffi.string(one.words).decode(errors="replace") or None))
    _free.append((fault, refusals, buffer))
    return found, bool(answers.sent), trouble


def dump(socket: int, request: bytes, group: str, sequence: int, timeout: float) -> tuple[Any, int]:
    """The records of a dump, and the errno that it ended with; see :class:`ipvsnl.backends.contract.Backend`."""
    fault = ffi.new("struct ipvsnl_fault *")
    talk = ffi.new("struct ipvsnl_talk *")
    talk.dump.sequence = sequence
    number = _GROUPS[group]

    def step(records: Any, size: int, buffer: Any) -> int:
        return int(
            lib.ipvsnl_dump(
                socket, request, len(request), number, talk, records, size, buffer, _DUMPS, int(timeout * 1000), fault
            )
        )

    return _collect(step, talk, fault, timeout), talk.dump.error


def dump_servers(
    socket: int, family_id: int, services: Any, sequence: int, counts: memoryview, timeout: float
) -> tuple[Any, int]:
    """The records of the servers of all ``services``, and the next sequence number; see ``Backend``."""
    fault = ffi.new("struct ipvsnl_fault *")
    talk = ffi.new("struct ipvsnl_talk *")
    talk.dump.sequence = sequence
    source = ffi.from_buffer(services)
    target = ffi.from_buffer("uint32_t[]", counts, require_writable=True)

    def step(records: Any, size: int, buffer: Any) -> int:
        limits = buffer, _DUMPS, int(timeout * 1000), fault
        places = talk, records, size, target, len(counts)
        return int(lib.ipvsnl_dump_servers(socket, family_id, source, len(source), *places, *limits))

    return _collect(step, talk, fault, timeout), talk.dump.sequence


def _collect(step: Any, talk: Any, fault: Any, timeout: float) -> Any:
    """Have a dump carried on until it is over, with more room for its records whenever they are full."""
    size = _FIRST_RECORDS
    records = _untouched("char[]", size)
    buffer = _untouched("char[]", _DUMPS)
    while (full := step(records, size, buffer)) != 0:
        if full > 0:
            more = _untouched("char[]", 4 * size)
            ffi.memmove(more, records, talk.used)
            records, size = more, 4 * size
        elif fault.code != lib.IPVSNL_INTERRUPTED:
            raise _trouble(fault, timeout)
    return memoryview(ffi.buffer(records, talk.used))


def take_records(group: str, datagram: bytes, sequence: int) -> tuple[bytes, bool, int]:
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
    state.at, state.sequence, state.error, state.finished = 0, sequence, 0, 0  # the plan of the last one stays
    found = b""
    try:
        while True:
            count = lib.ipvsnl_take_records(number, datagram, length, state, records, _READING, fault)
            if count < 0:
                raise _decode_error(fault)
            found += ffi.unpack(records, count * lib.ipvsnl_record_size(number))
            if state.at >= length:
                return found, bool(state.finished), state.error
    finally:
        _readings.append(space)


# --- text from records -----------------------------------------------------------------------------------------------


def printed(kind: int, services: Any, servers: Any, counts: memoryview, options: int) -> Iterator[bytes | int]:
    """Records to text; see :class:`ipvsnl.backends.contract.Backend`."""
    fault, state = ffi.new("struct ipvsnl_fault *"), ffi.new("struct ipvsnl_print *")
    held = ffi.from_buffer(services), ffi.from_buffer(servers), ffi.from_buffer("uint32_t[]", counts)
    total = len(servers) // lib.ipvsnl_record_size(_GROUPS["dest"])
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
    state.narrow = bool(options & Print.NARROW)
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
