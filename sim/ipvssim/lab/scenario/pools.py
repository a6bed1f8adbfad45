"""Keep-alive pools, as a scenario writes them: clients that hold connections, and send many requests over each."""

from __future__ import annotations

from dataclasses import dataclass

from ipvssim.lab.scenario.reader import Reader

MOST = 1_000_000
"""Connections of a pool, and requests over one of them."""
IDLE = 60.0
"""Seconds for which a connection is held without a request, where nothing is said."""


@dataclass(frozen=True, slots=True)
class Pool:
    """The connections that each client holds.

    A request goes over the free one that was used last; where none is free, over a new one; where there are ``size`` of
    them, over the first that gets free. One is closed after ``requests`` of them (0: however many), or when it was free for
    ``idle`` seconds.
    """

    size: int
    requests: int
    idle: float


def read_pool(of: Reader) -> Pool | None:
    """The table ``pool`` of a stream."""
    if not of.has("pool"):
        return None
    with Reader(of.need("pool", dict), of.name("pool")).whole() as reader:
        return Pool(
            size=reader.whole_number("size", None, 1, MOST),
            requests=reader.whole_number("requests", 0, 0, MOST),
            idle=reader.positive("idle") if reader.has("idle") else IDLE,
        )
