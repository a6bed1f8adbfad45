"""What a director that explains remembers of connections beyond the table: when they began, and which ended when."""

from __future__ import annotations

from typing import Final, NamedTuple

from ipvssim._compiling import mypyc_attr
from ipvssim._parts import Part
from ipvssim.path.connections import F_ONE_PACKET, F_TEMPLATE, ConnectionEntry

MOST: Final = 4096
"""So many connections that ended are remembered."""


class Ended(NamedTuple):
    """A connection that is no more, the microsecond of its end, and whether its time had run out (else it was removed)."""

    connection: ConnectionEntry
    when: int
    expired: bool


@mypyc_attr(allow_interpreted_subclasses=True)
class Memory(Part):
    """Begins empty: of what was there before, only the table tells."""

    def __init__(self) -> None:
        self._began: dict[ConnectionEntry, int] = {}
        self._requests: dict[tuple[int, bytes], Ended] = {}
        self._replies: dict[tuple[int, bytes], Ended] = {}

    def began(self, connection: ConnectionEntry, now: int) -> None:
        """A connection or template was opened."""
        if not connection.flags & F_ONE_PACKET:
            self._began[connection] = now

    def ended(self, connection: ConnectionEntry, now: int) -> None:
        """It ends; a one-packet connection was never kept, and a template answers no packet."""
        self._began.pop(connection, None)
        if connection.flags & (F_ONE_PACKET | F_TEMPLATE):
            return
        ended = Ended(connection, now, expired=bool(connection.timeout) and not connection.pending)
        for remembered, key in ((self._requests, connection.key), (self._replies, connection.reply_key)):
            remembered.pop((connection.protocol, key), None)
            remembered[connection.protocol, key] = ended
            if len(remembered) > MOST:
                del remembered[next(iter(remembered))]

    def since(self, connection: ConnectionEntry) -> int | None:
        """When it began, in microseconds; None where that is not known."""
        return self._began.get(connection)

    def last_request(self, protocol: int, key: bytes) -> Ended | None:
        """The last connection of these requests that ended."""
        return self._requests.get((protocol, key))

    def last_reply(self, protocol: int, key: bytes) -> Ended | None:
        """The last connection that these replies belonged to."""
        return self._replies.get((protocol, key))
