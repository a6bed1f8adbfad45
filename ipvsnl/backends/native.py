"""The backend in C: a thin layer over ``ipvsnl._native._core`` (its contract is in ``core.h``).

Every call takes a workspace of its own from a free list, because C runs without Python's lock: list.pop and list.append
are atomic, so that threads and signal handlers never share one.
"""

from __future__ import annotations

from _struct import Struct  # "struct" is one file more to open at every start

from ipvsnl._native._core import ffi, lib
from ipvsnl.backends.contract import Fault, encode_error, family_name
from ipvsnl.errors import DecodeError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from ipvsnl.backends._native_bulk import deletions as deletions
    from ipvsnl.backends._native_bulk import printed as printed
    from ipvsnl.backends._native_bulk import rules as rules
    from ipvsnl.backends._native_bulk import stamp as stamp
    from ipvsnl.backends._native_bulk import take_records as take_records
    from ipvsnl.backends._native_talk import converse as converse
    from ipvsnl.backends._native_talk import dump as dump
    from ipvsnl.backends._native_talk import dump_servers as dump_servers

    Workspace = tuple[Any, Any, Any, Any, Any]

name = "native"

_NULL = ffi.NULL
_unpack: Callable[[Any, int], bytes] = ffi.unpack
_buffer = ffi.buffer
_encode_rule = lib.ipvsnl_encode_rule
_decode = lib.ipvsnl_decode
_split = lib.ipvsnl_split
_decode_error = lib.ipvsnl_decode_error
_decode_done = lib.ipvsnl_decode_done

_WORDS: dict[int, str] = {
    code: getattr(Fault, word.removeprefix("IPVSNL_")) for code, word in ffi.typeof("enum ipvsnl_code").elements.items()
}
_GROUPS: dict[int, str] = {
    number: word.removeprefix("IPVSNL_GROUP_").lower()
    for number, word in ffi.typeof("enum ipvsnl_group").elements.items()
}
_NUMBERS = {group: number for number, group in _GROUPS.items()}
_CAPACITY: int = max(lib.ipvsnl_request_max(), *(ffi.sizeof(f"struct ipvsnl_{group}") for group in _NUMBERS))
_MESSAGE = Struct("=IIIIQQ")
_MESSAGE_SIZE = _MESSAGE.size
_MESSAGES = 128
"""Messages that one call of the C splits off: more than a datagram of a dump has (32 KB hold about 100)."""

_requests: list[tuple[Any, Any]] = []
_free: list[Workspace] = []


def _workspace() -> Workspace:
    messages = ffi.new("struct ipvsnl_message[]", _MESSAGES)
    extack = ffi.new("struct ipvsnl_extack *")
    return ffi.new("char[]", _CAPACITY), ffi.new("struct ipvsnl_fault *"), messages, _buffer(messages), extack


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
    try:
        request, out = space = _requests.pop()
    except IndexError:
        request = ffi.new("struct ipvsnl_request *")
        out = request.bytes
        space = request, out
    try:
        if config is None and daemon is None and dest is not None and service is not None:  # most of them
            length = _encode_rule(
                request, family_id, command, flags, sequence, service, len(service), dest, len(dest)
            )  # fmt: skip
        else:
            length = _encode_any(request, family_id, command, flags, sequence, service, dest, daemon, config)
        if length < 0:
            fault = request.fault
            raise encode_error(_WORDS[fault.code], _GROUPS.get(fault.group, ""), fault.offset)
        return _unpack(out, length)
    except OverflowError:
        raise encode_error(Fault.RANGE) from None
    finally:
        _requests.append(space)


def _encode_any(request: Any, *rest: Any) -> int:
    """The C's encoder, with records that may be None."""
    *header, service, dest, daemon, config = rest
    records: list[Any] = []
    for record in (service, dest, daemon, config):
        records += (_NULL, 0) if record is None else (record, len(record))
    fault = ffi.addressof(request, "fault")
    return int(lib.ipvsnl_encode(request.bytes, lib.IPVSNL_REQUEST_ROOM, *header, *records, fault))


def encode_getfamily(sequence: int, name: str) -> bytes:
    """The controller's CTRL_CMD_GETFAMILY; see :class:`ipvsnl.backends.contract.Backend`."""
    out, fault, _, _, _ = _workspace()
    text = family_name(name)
    try:
        length = lib.ipvsnl_encode_getfamily(out, _CAPACITY, sequence, text, len(text), fault)
    except OverflowError:
        raise encode_error(Fault.RANGE) from None
    if length < 0:
        raise encode_error(_WORDS[fault.code])
    return _unpack(out, length)


def split(datagram: bytes) -> list[tuple[int, int, int, int, int, int]]:
    """The messages of a datagram; see :class:`ipvsnl.backends.contract.Backend`."""
    try:
        _, fault, out, view, _ = space = _free.pop()
    except IndexError:
        _, fault, out, view, _ = space = _workspace()
    messages: list[Any] = []
    start = 0
    try:
        while True:
            count = _split(datagram, len(datagram), start, out, _MESSAGES, fault)
            if count < 0:
                raise DecodeError(_WORDS[fault.code], fault.offset)
            messages += _MESSAGE.iter_unpack(view[: count * _MESSAGE_SIZE])
            if count < _MESSAGES:
                return messages
            start = messages[-1][5] + 3 & ~3
    finally:
        _free.append(space)


def decode(group: str, datagram: bytes, start: int, end: int) -> bytes:
    """The record of a reply's group; see :class:`ipvsnl.backends.contract.Backend`."""
    try:
        out, fault, _, _, _ = space = _free.pop()
    except IndexError:
        out, fault, _, _, _ = space = _workspace()
    try:
        length = _decode(_NUMBERS[group], datagram, len(datagram), start, end, out, _CAPACITY, fault)
        if length < 0:
            raise DecodeError(_WORDS[fault.code], fault.offset)
        return _unpack(out, length)
    except OverflowError:
        raise DecodeError(Fault.BOUNDS, start) from None
    finally:
        _free.append(space)


def decode_error(flags: int, datagram: bytes, start: int, end: int) -> tuple[int, str | None, int | None]:
    """An NLMSG_ERROR's errno and extack; see :class:`ipvsnl.backends.contract.Backend`."""
    return _verdict(_decode_error, flags, datagram, start, end)


def decode_done(flags: int, datagram: bytes, start: int, end: int) -> tuple[int, str | None, int | None]:
    """An NLMSG_DONE's errno and extack; see :class:`ipvsnl.backends.contract.Backend`."""
    return _verdict(_decode_done, flags, datagram, start, end)


def _verdict(read: Any, flags: int, datagram: bytes, start: int, end: int) -> tuple[int, str | None, int | None]:
    try:
        _, fault, _, _, extack = space = _free.pop()
    except IndexError:
        _, fault, _, _, extack = space = _workspace()
    try:
        errno = read(flags & 0xFFFF, datagram, len(datagram), start, end, extack, fault)
        if errno < 0:
            raise DecodeError(_WORDS[fault.code], fault.offset)
        words = None
        if extack.has_text:
            text = extack.text
            words = datagram[text : text + extack.text_length].decode(errors="replace")
        return errno, words, extack.offset if extack.has_offset else None
    except OverflowError:
        raise DecodeError(Fault.BOUNDS, start) from None
    finally:
        _free.append(space)


def __getattr__(wanted: str) -> Any:
    """The functions for bulk and for talk are loaded when the first of them is asked for."""
    if wanted in ("converse", "dump", "dump_servers"):
        import ipvsnl.backends._native_talk as talk

        return getattr(talk, wanted)
    if wanted not in ("rules", "deletions", "stamp", "take_records", "printed"):
        raise AttributeError(wanted)
    import ipvsnl.backends._native_bulk as bulk

    return getattr(bulk, wanted)


def decode_family_id(datagram: bytes, start: int, end: int) -> int:
    """The family's number; see :class:`ipvsnl.backends.contract.Backend`."""
    fault = ffi.new("struct ipvsnl_fault *")
    try:
        family_id: int = lib.ipvsnl_decode_family_id(datagram, len(datagram), start, end, fault)
    except OverflowError:
        raise DecodeError(Fault.BOUNDS, start) from None
    if family_id < 0:
        raise DecodeError(_WORDS[fault.code], fault.offset)
    return family_id
