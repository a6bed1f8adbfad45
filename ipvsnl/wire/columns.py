"""Columns: changes that differ in a few fields, to load.

A column is anything with the buffer protocol (``array.array``, ``bytes``, a NumPy array) or a list of numbers or of
addresses.
"""

from __future__ import annotations

from struct import unpack_from

from ipvsnl import address as addresses
from ipvsnl.consts import AF_INET6, GENL_HEADER, NLA_TYPE_MASK, NLMSG_HEADER
from ipvsnl.errors import EncodeError
from ipvsnl.family import DEST, SERVICE, TOP_LEVEL, Command, Group, Kind
from ipvsnl.wire import records
from ipvsnl.wire.exchange import UNACKNOWLEDGED

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Any

    from ipvsnl.backends.contract import Backend, Column
    from ipvsnl.model import Destination, Service

_COMMANDS = {
    "add-service": Command.NEW_SERVICE, "edit-service": Command.SET_SERVICE, "delete-service": Command.DEL_SERVICE,
    "add-server": Command.NEW_DEST, "edit-server": Command.SET_DEST, "delete-server": Command.DEL_DEST,
}  # fmt: skip


def _place(group: Group, name: str, letter: str) -> tuple[int, int, str, bool]:
    """The number of the group, that of its attribute, the array letter, and whether the wire has network order."""
    outer = next(one.number for one in TOP_LEVEL.attributes if one.of is group)
    attribute = next(one for one in group.attributes if one.name == name)
    return outer, attribute.number, letter, attribute.kind == Kind.BE16


_FIELDS: dict[str, tuple[int, int, str, bool]] = {
    "address": _place(SERVICE, "addr", ""),
    "port": _place(SERVICE, "port", "H"),
    "fwmark": _place(SERVICE, "fwmark", "I"),
    "persistence": _place(SERVICE, "timeout", "I"),
    "server_address": _place(DEST, "addr", ""),
    "server_port": _place(DEST, "port", "H"),
    "forwarding": _place(DEST, "fwd_method", "I"),
    "weight": _place(DEST, "weight", "i"),
    "upper_threshold": _place(DEST, "u_thresh", "I"),
    "lower_threshold": _place(DEST, "l_thresh", "I"),
    "tunnel_port": _place(DEST, "tun_port", "H"),
}
"""A column's name: the attribute it goes to, its items' array letter (addresses have none), and whether swapped."""


class Columns:
    """Changes of one kind: ``service`` (and ``destination``) as they are, but for the fields that have columns.

        Columns("add-server", web, Destination("0.0.0.0", 80, "masq"), server_address=many, weight=weights)

    ``operation`` is one of :data:`ipvsnl.text.rules.OPERATIONS`. Columns: ``address``, ``port``, ``fwmark`` and
    ``persistence`` of the service; ``server_address``, ``server_port``, ``forwarding`` (as numbers), ``weight``,
    ``upper_threshold``, ``lower_threshold`` and ``tunnel_port`` of the real server. Addresses are 4 or 16 bytes each, in
    network order, of the family of the pattern's; ports and numbers are of the host's order and of exactly the field's
    size (2 bytes, 4 bytes). EncodeError for columns of different lengths, of another size, or of a field that the
    operation does not have.
    """

    def __init__(
        self, operation: str, service: Service, destination: Destination | None = None, **columns: Any
    ) -> None:
        if operation not in _COMMANDS:
            raise EncodeError(f"unknown operation {operation!r}: one of {', '.join(_COMMANDS)}")
        self._command = _COMMANDS[operation]
        if (destination is not None) is not operation.endswith("server"):
            raise EncodeError(f"{operation}: a real server belongs to the operations on servers, and to no others")
        self._service, self._destination = service, destination
        self._columns = {name: self._column(name, column) for name, column in columns.items()}
        lengths = {len(data) // width for data, width in self._columns.values()}
        if len(lengths) != 1:
            raise EncodeError(f"columns of different lengths: {sorted(lengths)}" if lengths else "there is no column")
        self.rows = lengths.pop()
        """How many changes there are."""

    def _column(self, name: str, column: Any) -> tuple[memoryview, int]:
        """The bytes of a column, and how many an item has."""
        if name not in _FIELDS:
            raise EncodeError(f"unknown column {name!r}: one of {', '.join(_FIELDS)}")
        letter = _FIELDS[name][2]
        if not letter:
            of = self._service if name == "address" else self._destination
            width = 16 if of is not None and of.family == AF_INET6 else 4
            if isinstance(column, list | tuple):
                column = b"".join([addresses.pack(text)[:width] for text in column])
            view = _contiguous(column)
            if len(view) % width:
                raise EncodeError(f"column {name!r}: {len(view)} bytes are no addresses of {width}")
            return view, width
        if isinstance(column, list | tuple):
            from array import array

            try:
                column = array(letter, column)
            except (OverflowError, TypeError) as wrong:
                raise EncodeError(f"column {name!r}: {wrong}") from None
        width = 2 if letter == "H" else 4
        if memoryview(column).itemsize != width:
            raise EncodeError(f"column {name!r}: items of {memoryview(column).itemsize} bytes, not {width}")
        return _contiguous(column), width

    def pattern(self, backend: Backend, family_id: int) -> bytes:
        """The request that all of them are like."""
        whole = self._command in (Command.NEW_SERVICE, Command.SET_SERVICE)
        service = records.service_record(self._service) if whole else records.service_key(self._service)
        dest = None
        if self._destination is not None:
            key = self._command == Command.DEL_DEST
            dest = (records.destination_key if key else records.destination_record)(self._destination)
        return backend.encode(family_id, self._command, UNACKNOWLEDGED, 0, service, dest)

    def places(self, pattern: bytes) -> list[Column]:
        """The columns with their places in the pattern, for :meth:`ipvsnl.backends.contract.Backend.stamp`."""
        where = {
            (outer, inner): here
            for outer, start, end in _attributes(pattern, NLMSG_HEADER + GENL_HEADER, len(pattern))
            for inner, here, _ in _attributes(pattern, start, end)
        }
        found: list[Column] = []
        for name, (view, width) in self._columns.items():
            group, number, _, swapped = _FIELDS[name]
            if (group, number) not in where:
                raise EncodeError(f"column {name!r}: the operation has no such field")
            found.append((view, width, width, where[group, number], swapped))
        return found


def _contiguous(column: Any) -> memoryview:
    view = memoryview(column)
    return view.cast("B") if view.c_contiguous else memoryview(view.tobytes())


def _attributes(message: bytes, here: int, end: int) -> Iterator[tuple[int, int, int]]:
    """The attributes between two offsets: number, payload's start, payload's end each."""
    while here < end:
        length, number = unpack_from("=HH", message, here)
        yield number & NLA_TYPE_MASK, here + 4, here + length
        here += length + 3 & ~3
