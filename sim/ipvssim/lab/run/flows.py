"""The connections of one stream of traffic, as columns."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ipvssim.lab.run.draws import Bytes, Integers
from ipvssim.lab.scenario.rules import Endpoint
from ipvssim.lab.scenario.values import Stream


@dataclass(slots=True)
class Flows:
    """The connections of one stream, numbered from ``first`` on within the run; ``client`` counts within the stream."""

    stream: Stream
    end: Endpoint
    first: int
    opened: Integers
    closed: Integers
    client: Integers
    port: Integers
    addresses: Bytes
    replies: bool
    recorded: list[bytes]
    """The packets themselves, where they were read from a file: then each counts as a connection here."""
    user: Integers | None = None
    """Whose each connection is, of closed-loop users."""
    requests: tuple[Integers, Integers] | None = None
    """Of keep-alive pools: when each request is sent, and over which connection (counted within the stream)."""

    def __len__(self) -> int:
        return len(self.opened)

    def key(self, own: int) -> bytes:
        """That of one of them (:meth:`keys`)."""
        if self.recorded:
            return self.recorded[own]
        client: bytes = self.addresses[self.client[own]].tobytes()
        return client + self.end.address + (int(self.port[own]) << 16 | self.end.port).to_bytes(4, "big")

    def keys(self, own: Integers) -> list[bytes]:
        """The flows of connections (counted within the stream) as their clients' packets carry them now: client, virtual
        address, client's port, virtual port. Of a recording, the packets."""
        if self.recorded:
            return [self.recorded[one] for one in own]
        size, end, port = len(self.end.address), self.end, self.port[own]
        rows = np.empty((len(own), 2 * size + 4), np.uint8)
        rows[:, :size] = self.addresses[self.client[own]]
        rows[:, size : 2 * size] = np.frombuffer(end.address, np.uint8)
        rows[:, -4], rows[:, -3] = port >> 8, port & 0xFF
        rows[:, -2:] = end.port >> 8, end.port & 0xFF
        found: list[bytes] = rows.view(f"V{rows.shape[1]}").ravel().tolist()
        return found
