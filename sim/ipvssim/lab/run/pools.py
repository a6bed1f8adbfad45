"""The connections of keep-alive pools, and the requests over each: known before the first packet, since when a request comes
and how long it takes does not depend on its server."""

from __future__ import annotations

from collections.abc import Sequence
from heapq import heappop, heappush

import numpy as np

from ipvssim.lab.run.draws import Floats, Integers
from ipvssim.lab.scenario.pools import Pool


class _Client:
    """One client's pool."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool
        self._idle: list[tuple[float, int]] = []
        """Free connections, and since when; the one that was used last stands last."""
        self._busy: list[tuple[float, int]] = []
        """A heap of the others, and until when."""
        self._served: dict[int, int] = {}

    def takes(self, now: float, lasting: float, connections: Connections, client: int) -> None:
        """A request comes."""
        self._pass(now, connections)
        begins = now
        if not self._idle and len(self._busy) == self._pool.size:
            begins = self._busy[0][0]
            self._pass(begins, connections)
        one = self._idle.pop()[1] if self._idle else connections.open(begins, client)
        self._served[one] = self._served.get(one, 0) + 1
        connections.requests.append((begins, one))
        heappush(self._busy, (begins + lasting, one))

    def end(self, connections: Connections) -> None:
        """No request comes any more: what is open is closed when its time is over."""
        while self._busy:
            self._pass(self._busy[0][0], connections)
        self._pass(float("inf"), connections)

    def _pass(self, now: float, connections: Connections) -> None:
        """Connections get free, and are closed, up to a moment."""
        while self._busy and self._busy[0][0] <= now:
            at, one = heappop(self._busy)
            if self._served[one] == self._pool.requests:
                connections.closed[one] = at
            else:
                self._idle.append((at, one))
        while self._idle and self._idle[0][0] + self._pool.idle <= now:
            since, one = self._idle.pop(0)
            connections.closed[one] = since + self._pool.idle


class Connections:
    """Those of all pools: when each was opened and closed, whose it is; and the requests, each with its time and connection.
    Times are seconds."""

    def __init__(self) -> None:
        self.opened: list[float] = []
        self.closed: list[float] = []
        self.client: list[int] = []
        self.requests: list[tuple[float, int]] = []

    def open(self, now: float, client: int) -> int:
        """A new one; its number."""
        self.opened.append(now)
        self.closed.append(now)
        self.client.append(client)
        return len(self.opened) - 1


def drawn(
    pool: Pool, times: Floats, lasting: Floats, client: Sequence[int]
) -> tuple[Floats, Floats, Integers, Floats, Integers]:
    """The pools of requests that come at ``times`` (ascending) from those clients and take so long.

    The connections' opening, end and client, in the order of their opening; and the requests' beginning and connection.
    """
    found, clients = Connections(), dict[int, _Client]()
    for now, takes, whose in zip(times.tolist(), lasting.tolist(), client, strict=True):
        if whose not in clients:
            clients[whose] = _Client(pool)
        clients[whose].takes(now, takes, found, whose)
    for one in clients.values():
        one.end(found)
    order = np.argsort(np.array(found.opened), kind="stable")
    place = np.empty(len(order), np.int64)
    place[order] = np.arange(len(order))
    begins = np.array([at for at, _ in found.requests], float)
    over = place[np.array([one for _, one in found.requests], np.int64)]
    return (
        np.array(found.opened)[order], np.array(found.closed)[order], np.array(found.client, np.int64)[order], begins, over,
    )  # fmt: skip
