"""``--trace``: each netlink message of each program, both ways, decoded, a line each."""

from __future__ import annotations

from typing import TextIO

from ipvsnl.wire.shown import lines
from ipvssim.run.endpoint import Endpoint


class Trace:
    """Writes them; called with each datagram and its direction (``>`` to the kernel, ``<`` from it)."""

    def __init__(self, out: TextIO) -> None:
        self._out = out

    def __call__(self, endpoint: Endpoint, way: str, datagram: bytes) -> None:
        """One datagram."""
        for line in lines(datagram):
            self._out.write(f"ipvssim run: port {endpoint.netlink.port} {way} {line}\n")
        self._out.flush()
