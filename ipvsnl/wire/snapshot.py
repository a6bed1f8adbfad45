"""A whole table as it was read: a sequence of values that are made when they are looked at, over columns.

NumPy is used where it is asked for (:meth:`Records.array`), and needed nowhere.
"""

from __future__ import annotations

from ipvsnl.family import DEST, SERVICE, Kind

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from typing import Any, overload

    from ipvsnl import model
    from ipvsnl.family import Group
    from ipvsnl.model import Entry
    from ipvsnl.wire import records

    Base = Sequence[Entry]
else:
    from ipvsnl._later import Later

    Base = object  # importing collections.abc would cost more than the rest of the package
    model, records = Later("ipvsnl.model"), Later("ipvsnl.wire.records")

_FAMILY = next(field for field in DEST.fields if field.name == "addr_family")
_SERVICE_FAMILY = next(field for field in SERVICE.fields if field.name == "af")


class Records:
    """The records of one kind of a dump, as columns: views of the memory that they were decoded into.

    ``records["weight"]`` is a column: a memoryview with one number for each record, in the order of the dump; nothing is
    copied. The names are those of :mod:`ipvsnl.family`: ``weight``, ``u_thresh``, ``active_conns``, ``stats64_conns``
    (connections), ``stats64_inbytes`` (bytes), ``stats64_inbps`` (bytes a second), ``timeout`` (seconds), ... Integers are
    of the host's byte order. KeyError for a name that the record does not have, and for text and addresses: those are read
    by :meth:`bytes_of` and :meth:`array`. ``len(records)`` is how many records there are.
    """

    def __init__(self, group: Group, data: Any) -> None:
        self.group = group
        self.data = memoryview(data)
        """All records, one after the other: ``group.record_size`` bytes each."""
        self._fields = {field.name: field for field in group.fields if field.name}

    def __len__(self) -> int:
        return len(self.data) // self.group.record_size

    def __getitem__(self, name: str) -> Any:
        field = self._fields[name]
        if len(field.format) > 1:
            raise KeyError(f"{name} is text or bytes: see bytes_of() and array()")
        column: Any = self.data.cast(field.format)  # type: ignore[call-overload]
        return column[field.offset // field.size :: self.group.record_size // field.size]

    def bytes_of(self, name: str) -> list[bytes]:
        """A field of bytes or text (``addr``: 16 bytes, ``sched_name``: text with its NULs), one item for each record."""
        field, size = self._fields[name], self.group.record_size
        begin, end = field.offset, field.offset + field.size
        data = bytes(self.data)
        return [data[row + begin : row + end] for row in range(0, len(data), size)]

    def array(self) -> Any:
        """All fields as a structured NumPy array over the same memory. ImportError without NumPy."""
        import numpy

        letters = {"Q": "=u8", "I": "=u4", "i": "=i4", "H": "=u2", "B": "u1"}
        texts = {attribute.name for attribute in self.group.attributes if attribute.kind == Kind.STRING}
        names = list(self._fields)
        fields = list(self._fields.values())
        formats = [
            letters.get(one.format) or (f"S{one.size}" if one.name in texts else f"V{one.size}") for one in fields
        ]
        layout = {"names": names, "formats": formats, "offsets": [one.offset for one in fields]}
        kind: Any = {**layout, "itemsize": self.group.record_size}
        return numpy.frombuffer(self.data, dtype=numpy.dtype(kind))


def with_families(services: Any, servers: Any, counts: memoryview) -> Any:
    """The records of a table's servers, each with a family: where the kernel told none, its service's.

    The first one tells for all: a kernel knows the attribute or does not (it came with 3.18, ip_vs_ctl.c).
    """
    whole, at, size = memoryview(servers).cast("B"), _FAMILY.offset, _FAMILY.size
    if not len(whole) or any(whole[at : at + size]):
        return servers
    filled, of_services = bytearray(whole), memoryview(services).cast("B")
    for index, count in enumerate(counts):
        start = index * SERVICE.record_size + _SERVICE_FAMILY.offset
        for _ in range(count):
            if not any(filled[at : at + size]):
                filled[at : at + size] = of_services[start : start + size]
            at += DEST.record_size
    return filled


class TableColumns:
    """A table as columns: ``services`` and ``servers``, both in the kernel's order, and ``counts``.

    ``counts[n]`` is how many of ``servers`` belong to service ``n``; they stand in the services' order.
    """

    def __init__(self, services: Records, servers: Records, counts: memoryview) -> None:
        self.services = services
        self.servers = servers
        self.counts = counts


class Snapshot(Base):
    """All virtual services with their real servers, in the kernel's order: a sequence of :class:`ipvsnl.model.Entry`.

    Equal to any sequence of equal entries. :meth:`columns` is the same without a value made.
    """

    def __init__(self, services: Any, servers: Any, counts: memoryview) -> None:
        self._columns = TableColumns(
            Records(SERVICE, services), Records(DEST, with_families(services, servers, counts)), counts
        )  # fmt: skip
        self._entries: list[Entry] | None = None
        self._first: list[int] = []

    def columns(self) -> TableColumns:
        """The table as columns: views of what was read."""
        return self._columns

    def entry(self, index: int) -> Entry:
        """One entry, with no other made: ``index`` is from 0 to ``len(self) - 1``."""
        columns = self._columns
        if not self._first:
            from itertools import accumulate

            self._first = [0, *accumulate(columns.counts)]
        size, width, first = SERVICE.record_size, DEST.record_size, self._first[index]
        (service,) = records.read_services(columns.services.data[index * size : (index + 1) * size])
        servers = columns.servers.data[first * width : (first + columns.counts[index]) * width]
        return model.Entry(service, tuple(records.read_destinations(servers)))

    def _made(self) -> list[Entry]:
        if self._entries is None:
            columns = self._columns
            servers = iter(records.read_destinations(columns.servers.data))
            self._entries = [
                model.Entry(status, tuple([next(servers) for _ in range(count)]))
                for status, count in zip(records.read_services(columns.services.data), columns.counts, strict=True)
            ]
        return self._entries

    def __len__(self) -> int:
        return len(self._columns.counts)

    if TYPE_CHECKING:

        @overload
        def __getitem__(self, index: int) -> Entry: ...
        @overload
        def __getitem__(self, index: slice) -> list[Entry]: ...

    def __getitem__(self, index: int | slice) -> Entry | list[Entry]:
        return self._made()[index]

    def __iter__(self) -> Iterator[Entry]:
        return iter(self._made())

    def index(self, value: Any, start: int = 0, stop: int | None = None) -> int:
        """Where an entry stands; ValueError where it does not."""
        return self._made().index(value, start, len(self) if stop is None else stop)

    def count(self, value: Any) -> int:
        """How often an entry stands there."""
        return self._made().count(value)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Snapshot | list | tuple):
            return NotImplemented
        return self._made() == list(other)

    __hash__ = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        return f"<snapshot: {len(self)} services, {len(self._columns.servers)} servers>"
