"""A whole table as it was read: a sequence of values that are made when they are looked at, over columns."""

from __future__ import annotations

from ipvsnl import wire
from ipvsnl.columns import Records
from ipvsnl.family import DEST, SERVICE
from ipvsnl.model import Entry

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from typing import Any, overload

    Base = Sequence[Entry]
else:
    Base = object  # importing collections.abc would cost more than the rest of the package


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
        self._columns = TableColumns(Records(SERVICE, services), Records(DEST, servers), counts)
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
        (service,) = wire.read_services(columns.services.data[index * size : (index + 1) * size])
        servers = columns.servers.data[first * width : (first + columns.counts[index]) * width]
        return Entry(service, tuple(wire.read_destinations(servers)))

    def _made(self) -> list[Entry]:
        if self._entries is None:
            columns = self._columns
            servers = iter(wire.read_destinations(columns.servers.data))
            self._entries = [
                Entry(status, tuple([next(servers) for _ in range(count)]))
                for status, count in zip(wire.read_services(columns.services.data), columns.counts, strict=True)
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
