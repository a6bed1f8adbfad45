"""Bulk without a compiler: the functions of ``_native_bulk`` that need no socket, with the same bytes and errors."""

from __future__ import annotations

import ctypes

from ipvsnl.backends import Stop, portable
from ipvsnl.backends._faults import Fault, encode_error
from ipvsnl.backends._layout import LAYOUTS, MessageHeader
from ipvsnl.backends._portable_lines import named, read_line
from ipvsnl.consts import NLM_F_REQUEST, NLMSG_DONE, NLMSG_ERROR, NLMSG_HEADER, NLMSG_MIN_TYPE, NLMSG_OVERRUN
from ipvsnl.errors import DecodeError
from ipvsnl.family import Command

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any

    from ipvsnl.backends import Column, Progress
    from ipvsnl.backends._portable_lines import Fields, Line

_SEQUENCES = 0xFFFFFFFF
_KEY = 0x3E
"""The bits of the attributes that make a service's key."""


def rules(
    text: Any, progress: Progress, family_id: int, stops: bytes, out: bytearray, used: int, origins: memoryview,
    count: int,
) -> None:  # fmt: skip
    """Rule text to requests; see :class:`ipvsnl.backends.Backend`."""
    text, start, most = bytes(text), used, len(origins) // 2
    if progress.at > len(text):
        raise encode_error(Fault.BOUNDS, "", progress.at)
    progress.made, progress.edits, progress.stop = 0, 0, Stop.END
    while progress.at < len(text):
        end = text.find(b"\n", progress.at)
        if end < 0 and not progress.final:
            break
        line = text[progress.at : end] if end >= 0 else text[progress.at :]
        if line:
            said = read_line(line)
            if said is None or _is_callers(said, stops, text, len(line), progress):
                progress.stop = Stop.LINE
                break
            if not progress.dry:
                request = _request(said, family_id, progress.sequence)
                if count + progress.made == most or len(request) > len(out) - used:
                    progress.stop = Stop.FULL
                    break
                origins[2 * (count + progress.made)] = progress.at
                origins[2 * (count + progress.made) + 1] = progress.line
                used = _put(request, progress, out, used)
            progress.made += 1
            progress.edits += said[0] not in (Command.NEW_SERVICE, Command.NEW_DEST)
        progress.line += 1
        progress.at = end + 1 if end >= 0 else len(text)
    progress.length = used - start


def _put(request: bytes, progress: Progress, out: bytearray, used: int) -> int:
    """Another request in its place; where the next one goes."""
    out[used : used + len(request)] = request
    progress.last, progress.sequence = used, progress.sequence % _SEQUENCES + 1
    return used + len(request)


def deletions(
    text: Any, progress: Progress, family_id: int, out: bytearray, used: int, origins: memoryview, count: int
) -> None:
    """Rule text to the requests that delete what it adds; see :class:`ipvsnl.backends.Backend`."""
    text, start, most = bytes(text), used, len(origins) // 2
    if progress.at > len(text):
        raise encode_error(Fault.BOUNDS, "", progress.at)
    progress.made = 0
    while progress.at:
        end = progress.at - (text[progress.at - 1] == 10)
        here = text.rfind(b"\n", 0, end) + 1
        said = read_line(text[here:end])
        if said is not None and said[0] == Command.NEW_SERVICE:
            key = {**said[1], "present": said[1]["present"] & _KEY}
            request = _request((Command.DEL_SERVICE, key, None), family_id, progress.sequence)
            if count + progress.made == most or len(request) > len(out) - used:
                break
            origins[2 * (count + progress.made)], origins[2 * (count + progress.made) + 1] = here, 0
            used = _put(request, progress, out, used)
            progress.made += 1
        progress.at = here
    progress.length = used - start


def _is_callers(said: Line, stops: bytes, text: bytes, length: int, progress: Progress) -> bool:
    command, service, _ = said
    if command == Command.NEW_SERVICE:
        if service["sched_name"] not in stops.split(b"\0")[:-1]:
            return False
        words = named(text[progress.at : progress.at + length])
        return _many_follow(words, text, min(progress.at + length + 1, len(text)), progress)
    return progress.additions and command != Command.NEW_DEST


def _many_follow(words: bytes, text: bytes, here: int, progress: Progress) -> bool:
    """Whether so many lines that add servers to the service follow; also where the text ends too early to tell."""
    for count in range(progress.few):
        if len(text) - here < len(words) + 4:
            return not progress.final
        if not text.startswith(b"-a " + words, here) or text[here + 3 + len(words)] not in b" \t\r":
            return False
        here = text.find(b"\n", here) + 1
        if not here:
            return not progress.final or count + 1 == progress.few
    return True


def _request(said: Line, family_id: int, sequence: int) -> bytes:
    command, service, dest = said
    records = [_record("service", service), None if dest is None else _record("dest", dest)]
    return portable.encode(family_id, command, NLM_F_REQUEST, sequence, *records)


def _record(group: str, fields: Fields) -> bytes:
    record = LAYOUTS[group].record()
    for name, value in fields.items():
        if isinstance(value, bytes):
            getattr(record, name)[: len(value)] = value
        else:
            setattr(record, name, value)
    return bytes(record)


def stamp(
    pattern: bytes, sequence: int, columns: Sequence[Column], first: int, rows: int, out: bytearray, used: int
) -> None:
    """Columns to requests; see :class:`ipvsnl.backends.Backend`."""
    if len(pattern) < NLMSG_HEADER:
        raise encode_error(Fault.SHORT_MESSAGE)
    if rows > (len(out) - used) // len(pattern):
        raise encode_error(Fault.NO_ROOM, "", len(out) - used)
    sources: list[Column] = [(memoryview(one[0]).cast("B"), *one[1:]) for one in columns]
    for number, (data, stride, width, target, swapped) in enumerate(sources):
        ends = rows and (width > len(data) or (first + rows - 1) * stride > len(data) - width)
        if target + width > len(pattern) or (swapped and width != 2) or ends:
            raise encode_error(Fault.COLUMN, "", number)
    for row in range(first, first + rows):
        out[used : used + len(pattern)] = pattern
        out[used + 8 : used + 12] = bytes(ctypes.c_uint32(sequence))
        for data, stride, width, target, swapped in sources:
            item = bytes(data[row * stride : row * stride + width])
            if swapped:
                item = ctypes.c_uint16.from_buffer_copy(item).value.to_bytes(2, "big")
            out[used + target : used + target + width] = item
        used += len(pattern)
        sequence = sequence % _SEQUENCES + 1


def take_records(group: str, datagram: bytes, sequence: int) -> tuple[bytes, bool, int]:
    """A datagram of a dump to records; see :class:`ipvsnl.backends.Backend`."""
    records: list[bytes] = []
    finished, errno = False, 0
    start = 0
    while start < len(datagram):
        # One by one, as the C does: what stands before a broken message is read, and its faults come first.
        kind, flags, its, _, begin, end = _one(datagram, start)
        start = min(end + 3 & ~3, len(datagram))
        if its != sequence:
            continue
        if kind == NLMSG_OVERRUN:
            raise DecodeError(Fault.LOST, begin - NLMSG_HEADER)
        if kind == NLMSG_DONE:
            finished, errno = True, portable.decode_done(flags, datagram, begin, end)[0]
        elif kind == NLMSG_ERROR:
            finished, errno = True, portable.decode_error(flags, datagram, begin, end)[0]
        elif kind >= NLMSG_MIN_TYPE:
            records.append(portable.decode(group, datagram, begin, end))
    return b"".join(records), finished, errno


def _one(datagram: bytes, start: int) -> tuple[int, int, int, int, int, int]:
    """The message that begins at ``start``."""
    left = len(datagram) - start
    if left < NLMSG_HEADER:
        raise DecodeError(Fault.CUT_HEADER, start)
    found = MessageHeader.from_buffer_copy(datagram, start)
    if found.length < NLMSG_HEADER:
        raise DecodeError(Fault.SHORT_MESSAGE, start)
    if found.length > left:
        raise DecodeError(Fault.LONG_MESSAGE, start)
    ends = (start + NLMSG_HEADER, start + found.length)
    return found.type, found.flags, found.sequence, found.port, *ends
