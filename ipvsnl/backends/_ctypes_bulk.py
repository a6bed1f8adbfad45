"""Bulk without a compiler: the functions of ``_native_bulk`` that need no socket, with the same bytes and errors."""

from __future__ import annotations

import ctypes

from ipvsnl.backends import _ctypes_messages as messages
from ipvsnl.backends._layout import MessageHeader
from ipvsnl.backends.contract import Fault, encode_error
from ipvsnl.consts import NLM_F_DUMP_INTR, NLMSG_DONE, NLMSG_ERROR, NLMSG_HEADER, NLMSG_MIN_TYPE, NLMSG_OVERRUN
from ipvsnl.errors import DecodeError
from ipvsnl.family import REPLY_COMMANDS

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from ipvsnl.backends.contract import Column

_SEQUENCES = 0xFFFFFFFF


def stamp(
    pattern: bytes, sequence: int, columns: Sequence[Column], first: int, rows: int, out: bytearray, used: int
) -> None:
    """Columns to requests; see :class:`ipvsnl.backends.contract.Backend`."""
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


def take_records(group: str, datagram: bytes, sequence: int) -> tuple[bytes, bool, int, bool]:
    """A datagram of a dump to records; see :class:`ipvsnl.backends.contract.Backend`."""
    records: list[bytes] = []
    finished, errno, changed = False, 0, False
    start = 0
    while start < len(datagram):
        # One by one, as the C does: what stands before a broken message is read, and its faults come first.
        kind, flags, its, _, begin, end = _one(datagram, start)
        start = min(end + 3 & ~3, len(datagram))
        if its != sequence:
            continue
        changed = changed or bool(flags & NLM_F_DUMP_INTR)
        if kind == NLMSG_OVERRUN:
            raise DecodeError(Fault.LOST, begin - NLMSG_HEADER)
        if kind == NLMSG_DONE:
            finished, errno = True, messages.decode_done(flags, datagram, begin, end)[0]
        elif kind == NLMSG_ERROR:
            finished, errno = True, messages.decode_error(flags, datagram, begin, end)[0]
        elif kind >= NLMSG_MIN_TYPE:
            if begin < end and datagram[begin] != REPLY_COMMANDS[group]:
                raise DecodeError(Fault.OTHER_REPLY, begin)
            records.append(messages.decode(group, datagram, begin, end))
    return b"".join(records), finished, errno, changed


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
