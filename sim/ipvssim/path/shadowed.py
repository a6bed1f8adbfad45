"""Dictionaries of connections in which two may have one key."""

from __future__ import annotations

from collections.abc import Iterator

from ipvssim._compiling import mypyc_attr
from ipvssim._parts import Part
from ipvssim.path.connections import SCTP, TCP, UDP, ConnectionEntry

Index = dict[bytes, ConnectionEntry]
Hashed = tuple[int, bytes, ConnectionEntry]
"""Protocol, key, and what has that key."""


@mypyc_attr(allow_interpreted_subclasses=True)
class Shadowed(Part):
    """Dictionaries whose newest entry hides older ones of the same key until it goes."""

    __slots__ = ("_older", "by_protocol", "fresh")

    def __init__(self) -> None:
        self.by_protocol: dict[int, Index] = {TCP: {}, UDP: {}, SCTP: {}}
        self._older: dict[tuple[int, bytes], list[ConnectionEntry]] = {}
        self.fresh: list[Hashed] | None = None
        """What was put in, where somebody wants to know."""

    def add(self, protocol: int, key: bytes, connection: ConnectionEntry) -> None:
        """Put it in front of those with the same key."""
        index = self.by_protocol.get(protocol)
        if index is None:
            index = self.by_protocol[protocol] = {}
        older = index.get(key)
        if older is not None:
            self._older.setdefault((protocol, key), []).append(older)
        index[key] = connection
        if self.fresh is not None:
            self.fresh.append((protocol, key, connection))

    def add_oldest(self, protocol: int, key: bytes, connection: ConnectionEntry) -> None:
        """Put it behind those with the same key."""
        newest = self.by_protocol[protocol].get(key)
        if newest is None:
            self.add(protocol, key, connection)
        else:
            self._older.setdefault((protocol, key), []).insert(0, connection)

    def is_alone(self, protocol: int, key: bytes, connection: ConnectionEntry) -> bool:
        """Whether it is there, and no other with that key."""
        return self.by_protocol[protocol].get(key) is connection and (protocol, key) not in self._older

    def remove(self, protocol: int, key: bytes, connection: ConnectionEntry) -> None:
        """Take it out, wherever it stands."""
        index = self.by_protocol[protocol]
        if not self._older:  # no key stands twice anywhere
            del index[key]
            return
        hidden = self._older.get((protocol, key))
        if index.get(key) is not connection:
            if hidden is not None:
                hidden.remove(connection)
        elif hidden:
            index[key] = hidden.pop()
        else:
            del index[key]
        if hidden is not None and not hidden:
            del self._older[protocol, key]

    def __iter__(self) -> Iterator[ConnectionEntry]:
        for index in self.by_protocol.values():
            yield from index.values()
        for hidden in self._older.values():
            yield from hidden

    def __len__(self) -> int:
        return sum(map(len, self.by_protocol.values())) + sum(map(len, self._older.values()))
