"""Servers in list order, with the next one after a place found by bisection."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Iterable

from ipvssim._compiling import mypyc_attr
from ipvssim._parts import Part
from ipvssim.schedulers._base import Server


@mypyc_attr(allow_interpreted_subclasses=True)
class Line(Part):
    """Some of a service's servers, sorted by ``order`` (smaller is newer, and nearer the list's head)."""

    __slots__ = ("_orders", "_place", "_servers")

    def __init__(self, servers: Iterable[Server] = ()) -> None:
        self._servers: dict[int, Server] = {server.order: server for server in servers}
        self._orders = sorted(self._servers)
        self._place = 0
        """Where the last answer of :meth:`after` stood: mostly the next question is for the one behind it."""

    def __len__(self) -> int:
        return len(self._orders)

    def put(self, server: Server) -> None:
        """Put it at its place; no change if it is there."""
        order = server.order
        if order not in self._servers:
            self._servers[order] = server
            self._orders.insert(bisect_left(self._orders, order), order)

    def extend(self, servers: list[Server]) -> None:
        """Put many that are not there, which costs no more than a sort of almost sorted runs."""
        for server in servers:
            self._servers[server.order] = server
            self._orders.append(server.order)
        self._orders.sort()

    def drop(self, server: Server) -> None:
        """Take it out; no change if it is not there."""
        if self._servers.pop(server.order, None) is not None:
            del self._orders[bisect_left(self._orders, server.order)]

    def clear(self) -> None:
        """Take all out."""
        self._servers.clear()
        self._orders.clear()

    def after(self, server: Server | None) -> Server | None:
        """The first one behind ``server``, which need not be in this line (None: the first of all); None at the end."""
        orders, place = self._orders, 0
        if server is not None:
            place = self._place
            if place < len(orders) and orders[place] == server.order:
                place += 1
            else:
                place = bisect_right(orders, server.order)
        if place >= len(orders):
            return None
        self._place = place
        return self._servers[orders[place]]

    def before(self, server: Server) -> Server | None:
        """The last one ahead of ``server``, or None."""
        place = bisect_left(self._orders, server.order)
        return self._servers[self._orders[place - 1]] if place else None
