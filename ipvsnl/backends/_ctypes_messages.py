"""Messages of the ctypes backend, over the types of ``_layout``: one at a time, both ways."""

from __future__ import annotations

import ctypes

from ipvsnl.backends._layout import LAYOUTS, GenericHeader, Layout, MessageHeader, attribute, attributes, text_end
from ipvsnl.backends.contract import ERRNO_MAX, FAMILY_NAME_MAX, Fault, encode_error, family_name
from ipvsnl.consts import (
    CTRL_ATTR_FAMILY_ID,
    CTRL_ATTR_FAMILY_NAME,
    CTRL_CMD_GETFAMILY,
    GENL_HEADER,
    GENL_ID_CTRL,
    NLA_F_NESTED,
    NLM_F_ACK_TLVS,
    NLM_F_CAPPED,
    NLM_F_REQUEST,
    NLMSG_HEADER,
    NLMSGERR_ATTR_MSG,
    NLMSGERR_ATTR_OFFS,
)
from ipvsnl.errors import DecodeError
from ipvsnl.family import VERSION


def encode(
    family_id: int,
    command: int,
    flags: int,
    sequence: int,
    service: bytes | None = None,
    dest: bytes | None = None,
    daemon: bytes | None = None,
    config: bytes | None = None,
) -> bytes:
    """One whole request; see :class:`ipvsnl.backends.contract.Backend`."""
    _in_range(family_id, 16)
    _in_range(command, 8)
    _in_range(flags, 16)
    _in_range(sequence, 32)
    body = b""
    for group, record in (("service", service), ("dest", dest), ("daemon", daemon), ("config", config)):
        if record is not None:
            body += _write(LAYOUTS[group], record)
    return _message(family_id, flags, sequence, command, body)


def encode_getfamily(sequence: int, name: str) -> bytes:
    """The controller's CTRL_CMD_GETFAMILY; see :class:`ipvsnl.backends.contract.Backend`."""
    _in_range(sequence, 32)
    text = family_name(name)
    if not 0 < len(text) <= FAMILY_NAME_MAX or b"\0" in text:
        raise encode_error(Fault.FAMILY_NAME)
    body = attribute(CTRL_ATTR_FAMILY_NAME, text + b"\0")
    return _message(GENL_ID_CTRL, NLM_F_REQUEST, sequence, CTRL_CMD_GETFAMILY, body)


def _in_range(value: int, bits: int) -> None:
    if value < 0 or value >> bits:
        raise encode_error(Fault.RANGE)


def _message(type: int, flags: int, sequence: int, command: int, body: bytes) -> bytes:
    header = MessageHeader(NLMSG_HEADER + GENL_HEADER + len(body), type, flags, sequence, 0)
    return bytes(header) + bytes(GenericHeader(command, VERSION, 0)) + body


def _write(layout: Layout, data: bytes) -> bytes:
    """The attributes of one record, in their container if they have one."""
    if len(data) != layout.size:
        raise encode_error(Fault.RECORD_SIZE, layout.name, len(data))
    record = layout.record.from_buffer_copy(data)
    present: int = record.present
    if present & ~layout.known:
        raise encode_error(Fault.UNKNOWN_BIT, layout.name, layout.present_offset)
    body = b"".join([mover.write(record) for number, mover in layout.movers.items() if present >> number & 1])
    return attribute(layout.container | NLA_F_NESTED, body) if layout.container else body


def split(datagram: bytes) -> list[tuple[int, int, int, int, int, int]]:
    """The messages of a datagram; see :class:`ipvsnl.backends.contract.Backend`."""
    messages: list[tuple[int, int, int, int, int, int]] = []
    start, limit = 0, len(datagram)
    while start < limit:
        left = limit - start
        if left < NLMSG_HEADER:
            raise DecodeError(Fault.CUT_HEADER, start)
        header = MessageHeader.from_buffer_copy(datagram, start)
        size: int = header.length
        if size < NLMSG_HEADER:
            raise DecodeError(Fault.SHORT_MESSAGE, start)
        if size > left:
            raise DecodeError(Fault.LONG_MESSAGE, start)
        ends = (start + NLMSG_HEADER, start + size)
        messages.append((header.type, header.flags, header.sequence, header.port, *ends))
        start += min(size + 3 & ~3, left)
    return messages


def decode(group: str, datagram: bytes, start: int, end: int) -> bytes:
    """The record of a reply's group; see :class:`ipvsnl.backends.contract.Backend`."""
    layout = LAYOUTS[group]
    first = _open(datagram, start, end, GENL_HEADER, Fault.CUT_GENL)
    if not layout.container:
        return _read(layout, datagram, first, end)
    record: bytes | None = None
    for number, begin, limit in attributes(datagram, first, end):
        if number == layout.container:
            record = _read(layout, datagram, begin, limit)
    if record is None:
        raise DecodeError(Fault.NO_GROUP, start)
    return record


def _open(datagram: bytes, start: int, end: int, header: int, cut: str) -> int:
    """Where a message's attributes begin, past a header that must be there."""
    if not 0 <= start <= end <= len(datagram):
        raise DecodeError(Fault.BOUNDS, start)
    if end - start < header:
        raise DecodeError(cut, start)
    return start + header


def _read(layout: Layout, datagram: bytes, start: int, end: int) -> bytes:
    record, present, movers = layout.record(), 0, layout.movers
    for number, first, last in attributes(datagram, start, end):
        mover = movers.get(number)
        if mover is not None:
            mover.read(datagram, first, last, record)
            present |= 1 << number
    record.present = present
    return bytes(record)


def decode_error(flags: int, datagram: bytes, start: int, end: int) -> tuple[int, str | None, int | None]:
    """An NLMSG_ERROR's errno and extack; see :class:`ipvsnl.backends.contract.Backend`."""
    here = _open(datagram, start, end, 4 + NLMSG_HEADER, Fault.CUT_ERROR) - NLMSG_HEADER
    errno = _errno(datagram, start)
    if not flags & NLM_F_ACK_TLVS:  # only then is the echo looked at: see echo_length in bytes/decode.c
        return errno, None, None
    if flags & NLM_F_CAPPED:
        return errno, *_extack(datagram, here + NLMSG_HEADER, end)
    length: int = MessageHeader.from_buffer_copy(datagram, here).length
    if not NLMSG_HEADER <= length <= end - here:
        raise DecodeError(Fault.ECHO, here)
    return errno, *_extack(datagram, here + (length + 3 & ~3), end)


def decode_done(flags: int, datagram: bytes, start: int, end: int) -> tuple[int, str | None, int | None]:
    """An NLMSG_DONE's errno and extack; see :class:`ipvsnl.backends.contract.Backend`."""
    here = _open(datagram, start, end, 4, Fault.CUT_ERROR)
    errno = _errno(datagram, start)
    return errno, *(_extack(datagram, here, end) if flags & NLM_F_ACK_TLVS else (None, None))


def _errno(datagram: bytes, start: int) -> int:
    number = ctypes.c_int32.from_buffer_copy(datagram, start).value
    if not -ERRNO_MAX <= number <= 0:
        raise DecodeError(Fault.ERRNO, start)
    return -number


def _extack(datagram: bytes, start: int, end: int) -> tuple[str | None, int | None]:
    words: str | None = None
    offset: int | None = None
    for number, first, last in attributes(datagram, start, end):
        if number == NLMSGERR_ATTR_MSG:
            words = datagram[first : text_end(datagram, first, last, None)].decode(errors="replace")
        elif number == NLMSGERR_ATTR_OFFS:
            if last - first != 4:
                raise DecodeError(Fault.INTEGER_SIZE, first)
            offset = ctypes.c_uint32.from_buffer_copy(datagram, first).value
    return words, offset


def decode_family_id(datagram: bytes, start: int, end: int) -> int:
    """The family's number; see :class:`ipvsnl.backends.contract.Backend`."""
    family_id: int | None = None
    for number, first, last in attributes(datagram, _open(datagram, start, end, GENL_HEADER, Fault.CUT_GENL), end):
        if number == CTRL_ATTR_FAMILY_ID:
            if last - first != 2:
                raise DecodeError(Fault.INTEGER_SIZE, first)
            family_id = ctypes.c_uint16.from_buffer_copy(datagram, first).value
    if family_id is None:
        raise DecodeError(Fault.NO_FAMILY_ID, start)
    return family_id
