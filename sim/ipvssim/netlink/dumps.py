"""Dumps, and what datagrams cost the queue that they wait in (net/netlink/af_netlink.c, Linux 6.1, on x86-64)."""

from __future__ import annotations

from functools import lru_cache

from ipvsnl.consts import GENL_HEADER, NLM_F_MULTI, NLMSG_HEADER
from ipvssim.net.pieces import BUFFER as BOOKKEEPING
from ipvssim.net.pieces import PACKET
from ipvssim.netlink import replies
from ipvssim.netlink.controller import Controller
from ipvssim.netlink.family import Family
from ipvssim.netlink.validation import Extack
from ipvssim.state.daemons import Daemon

SMALLEST_DUMP, LARGEST_DUMP = 3776, 32448
"""Bytes that a datagram of a dump may hold: the least, and the most whatever receive buffer is offered."""


@lru_cache(1024)
def truesize(length: int, *, small_head: int = 0) -> int:
    """What a datagram allocated with ``length`` bytes costs the receive queue. ``small_head``: buffers of up to so
    many bytes are of that size (a behaviour of later releases)."""
    head = ((length + 63) & ~63) + BOOKKEEPING
    if head <= small_head:
        return PACKET + small_head
    return PACKET + max(512, 1 << (head - 1).bit_length())


@lru_cache(1024)
def reply_cost(length: int, *, small_head: int = 0) -> int:
    """A reply is made in a page. If more than half of that is empty, netlink_trim moves it to a buffer of its own size."""
    whole = truesize(SMALLEST_DUMP)
    spare = SMALLEST_DUMP - length
    return truesize(length, small_head=small_head) if spare * 2 >= whole else whole


class Dump:
    """One dump that is under way: it remembers how many entries have been sent (of daemons, which), and nothing else."""

    __slots__ = (
        "_changes", "_command", "_entries", "_kind", "_position", "_request", "_roles", "_source", "_type", "extack",
        "sequence",
    )  # fmt: skip

    def __init__(
        self, source: Family | Controller, message_type: int, command: int, sequence: int, request: bytes
    ) -> None:
        self._source = source
        self._type = message_type
        self._command = command
        self._request = request
        self.sequence = sequence
        self.extack = Extack()
        """What reading the request gave rise to: DONE carries it."""
        self._position = 0
        self._roles: set[int] = set()
        self._changes = -1
        self._entries: list[object] = []
        self._kind = 0

    def next(self, port: int, room: int, phase: int) -> bytes:
        """The next messages, as many as fit into ``room`` bytes; empty when there are no more."""
        source, changes = self._source, self._source.namespace.changes
        if changes != self._changes:
            self.extack = Extack()
            self._kind, self._entries = source.entries(self._command, self._request, self.extack)
            self._changes = changes
            if self._roles:
                self._entries = [
                    one for one in self._entries if isinstance(one, Daemon) and one.role not in self._roles
                ]
                self._position = 0
        parts: list[bytes] = []
        used = 0
        for index in range(self._position, len(self._entries)):
            entry = self._entries[index]
            body = source.body(entry, self._kind, phase + used)
            if used + len(body) + NLMSG_HEADER + GENL_HEADER > room:
                break
            parts.append(
                replies.message(self._kind, self.sequence, port, NLM_F_MULTI, self._type, body, source.VERSION)
            )
            used += len(parts[-1])
            if isinstance(entry, Daemon):
                self._roles.add(entry.role)
        self._position += len(parts)
        return b"".join(parts)
