"""ctypes types of what stands on the wire and in records, generated from the family's tables; and who moves between.

A *mover* knows one attribute: ``read`` takes its payload into a record's field, ``write`` makes the whole attribute.
"""

from __future__ import annotations

import ctypes

from ipvsnl import family
from ipvsnl.backends.contract import Fault, encode_error
from ipvsnl.consts import NLA_F_NESTED, NLA_HEADER, NLA_TYPE_MASK
from ipvsnl.errors import DecodeError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Any, Protocol

    class Mover(Protocol):
        """One attribute, both ways."""

        def read(self, datagram: bytes, start: int, end: int, record: ctypes.Structure) -> None:
            """The payload between ``start`` and ``end`` into the record."""

        def write(self, record: ctypes.Structure) -> bytes:
            """The attribute: header, payload, padding."""


class MessageHeader(ctypes.Structure):
    """``struct nlmsghdr``."""

    _fields_ = [
        ("length", ctypes.c_uint32),
        ("type", ctypes.c_uint16),
        ("flags", ctypes.c_uint16),
        ("sequence", ctypes.c_uint32),
        ("port", ctypes.c_uint32),
    ]


class GenericHeader(ctypes.Structure):
    """``struct genlmsghdr``."""

    _fields_ = [("command", ctypes.c_uint8), ("version", ctypes.c_uint8), ("reserved", ctypes.c_uint16)]


class AttributeHeader(ctypes.Structure):
    """``struct nlattr``."""

    _fields_ = [("length", ctypes.c_uint16), ("type", ctypes.c_uint16)]


_LETTERS: dict[str, Any] = {
    "Q": ctypes.c_uint64,
    "I": ctypes.c_uint32,
    "i": ctypes.c_int32,
    "H": ctypes.c_uint16,
    "B": ctypes.c_uint8,
}
_KINDS: dict[str, Any] = {
    family.Kind.U8: ctypes.c_uint8,
    family.Kind.U16: ctypes.c_uint16,
    family.Kind.U32: ctypes.c_uint32,
    family.Kind.U64: ctypes.c_uint64,
    family.Kind.S32: ctypes.c_int32,
    family.Kind.BE16: ctypes.c_uint16,
}


def _payload(kind: str) -> Any:
    """The payload of an integer attribute, in its byte order."""
    base = ctypes.BigEndianStructure if kind == family.Kind.BE16 else ctypes.Structure
    return type(kind, (base,), {"_fields_": [("value", _KINDS[kind])]})


class FlagsPayload(ctypes.Structure):
    """``struct ip_vs_flags``."""

    _fields_ = [("flags", ctypes.c_uint32), ("mask", ctypes.c_uint32)]


PAYLOADS = {kind: _payload(kind) for kind in _KINDS}


def _record(group: family.Group) -> type[ctypes.Structure]:
    """The ctypes twin of core.h's ``struct ipvsnl_<group>``."""
    fields = [
        (field.name or "reserved_", _LETTERS.get(field.format) or ctypes.c_uint8 * field.size) for field in group.fields
    ]
    return type(group.name, (ctypes.Structure,), {"_fields_": fields})


def attribute(number: int, payload: bytes) -> bytes:
    """One attribute, padded to a multiple of 4."""
    return bytes(AttributeHeader(NLA_HEADER + len(payload), number)) + payload + bytes(-len(payload) % 4)


def attributes(datagram: bytes, here: int, limit: int) -> Iterator[tuple[int, int, int]]:
    """The attributes between two offsets: (type, payload's start, payload's end) each.

    DecodeError at a malformed one, when it is reached. Padding after the last one may be missing.
    """
    while here < limit:
        left = limit - here
        if left < NLA_HEADER:
            raise DecodeError(Fault.STRAY, here)
        header = AttributeHeader.from_buffer_copy(datagram, here)
        length = header.length
        if length < NLA_HEADER:
            raise DecodeError(Fault.SHORT_ATTRIBUTE, here)
        if length > left:
            raise DecodeError(Fault.LONG_ATTRIBUTE, here)
        yield header.type & NLA_TYPE_MASK, here + NLA_HEADER, here + length
        here += min(length + 3 & ~3, left)


def text_end(datagram: bytes, start: int, end: int, most: int | None) -> int:
    """Where a payload's text ends: at its first NUL, which must be there and at most ``most`` characters in."""
    nul = datagram.find(b"\0", start, end)
    if nul < 0:
        raise DecodeError(Fault.NO_NUL, start)
    if most is not None and nul - start > most:
        raise DecodeError(Fault.LONG_TEXT, start)
    return nul


class _Field:
    """An attribute and its field: what every mover of one field knows."""

    def __init__(self, group: str, field: family.Field, attribute: family.Attribute) -> None:
        self.group, self.field, self.offset = group, field.name, field.offset
        self.number, self.size = attribute.number, attribute.size
        self.payload: Any = PAYLOADS.get(attribute.kind)


class _Integer(_Field):
    """Integers, in the order of their payload type; a record's field may be wider."""

    def read(self, datagram: bytes, start: int, end: int, record: ctypes.Structure) -> None:
        if end - start != self.size:
            raise DecodeError(Fault.INTEGER_SIZE, start)
        setattr(record, self.field, self.payload.from_buffer_copy(datagram, start).value)

    def write(self, record: ctypes.Structure) -> bytes:
        return attribute(self.number, bytes(self.payload(getattr(record, self.field))))


class _Flags(_Field):
    """Flags and their mask, two fields of a record."""

    def read(self, datagram: bytes, start: int, end: int, record: ctypes.Structure) -> None:
        if end - start != ctypes.sizeof(FlagsPayload):
            raise DecodeError(Fault.INTEGER_SIZE, start)
        payload = FlagsPayload.from_buffer_copy(datagram, start)
        setattr(record, self.field, payload.flags)
        setattr(record, f"{self.field}_mask", payload.mask)

    def write(self, record: ctypes.Structure) -> bytes:
        return attribute(
            self.number, bytes(FlagsPayload(getattr(record, self.field), getattr(record, f"{self.field}_mask")))
        )


class _Bytes(_Field):
    """Bytes of at most a size; shorter is zero-extended."""

    def read(self, datagram: bytes, start: int, end: int, record: ctypes.Structure) -> None:
        if end - start > self.size:
            raise DecodeError(Fault.LONG_BYTES, start)
        getattr(record, self.field)[:] = datagram[start:end].ljust(self.size, b"\0")

    def write(self, record: ctypes.Structure) -> bytes:
        return attribute(self.number, bytes(getattr(record, self.field)))


class _Text(_Field):
    """Text up to its first NUL."""

    def read(self, datagram: bytes, start: int, end: int, record: ctypes.Structure) -> None:
        text = datagram[start : text_end(datagram, start, end, self.size)]
        getattr(record, self.field)[:] = text.ljust(self.size + 1, b"\0")

    def write(self, record: ctypes.Structure) -> bytes:
        text, nul, _ = bytes(getattr(record, self.field)).partition(b"\0")
        if not nul:
            raise encode_error(Fault.RECORD_TEXT, self.group, self.offset)
        return attribute(self.number, text + nul)


class _Nested:
    """Attributes of another table, flat in the record. They have no bits: all are written, absent ones read as 0."""

    def __init__(self, group: family.Group, attribute: family.Attribute, table: family.Table) -> None:
        self.number = attribute.number
        self.movers: dict[int, Mover] = {}
        fields = [field for field in group.fields if field.attribute == attribute.number]
        self.begin, self.extent = fields[0].offset, sum(field.size for field in fields)
        by_name = {field.name: field for field in fields}
        for inner in table.attributes:
            if inner.kind != family.Kind.PAD:
                self.movers[inner.number] = _Integer(group.name, by_name[f"{attribute.name}_{inner.name}"], inner)

    def read(self, datagram: bytes, start: int, end: int, record: ctypes.Structure) -> None:
        ctypes.memset(ctypes.addressof(record) + self.begin, 0, self.extent)
        for number, first, last in attributes(datagram, start, end):
            if number in self.movers:
                self.movers[number].read(datagram, first, last, record)

    def write(self, record: ctypes.Structure) -> bytes:
        return attribute(self.number | NLA_F_NESTED, b"".join(mover.write(record) for mover in self.movers.values()))


_MOVERS: dict[str, Any] = {family.Kind.FLAGS: _Flags, family.Kind.BYTES: _Bytes, family.Kind.STRING: _Text}


class Layout:
    """A group for ctypes: its record's type, its movers by attribute number, and the container of it (0: flat)."""

    def __init__(self, group: family.Group) -> None:
        self.name, self.size, self.record = group.name, group.record_size, _record(group)
        fields = {field.name: field for field in group.fields}
        self.present_offset = fields["present"].offset
        containers = {attribute.name: attribute.number for attribute in family.TOP_LEVEL.attributes}
        self.container = containers.get(group.name, 0)
        self.movers: dict[int, Mover] = {}
        for wanted in group.attributes:
            if wanted.of is not None:
                self.movers[wanted.number] = _Nested(group, wanted, wanted.of)
            else:
                mover = _MOVERS.get(wanted.kind, _Integer)
                self.movers[wanted.number] = mover(group.name, fields[wanted.name], wanted)
        self.known = sum(1 << number for number in self.movers)


LAYOUTS = {
    group.name: Layout(group) for group in (family.SERVICE, family.DEST, family.DAEMON, family.CONFIG, family.INFO)
}
