"""What a conversation over netlink means, with no socket near it: bytes go in, the outcome comes out.

An :class:`Exchange` follows the requests of one ``send``: which sequence numbers are ours, which messages belong to them,
which of them failed and when nothing more will come. Foreign sequence numbers are passed over: replies of an exchange
that was given up arrive late.
"""

from __future__ import annotations

import sys
from errno import EOVERFLOW

from ipvsnl.backends import contract
from ipvsnl.backends.contract import Fault
from ipvsnl.consts import NLM_F_ACK, NLM_F_DUMP, NLM_F_REQUEST, NLMSG_DONE, NLMSG_ERROR, NLMSG_MIN_TYPE, NLMSG_OVERRUN
from ipvsnl.errors import DecodeError, LinkError
from ipvsnl.family import REPLY_COMMANDS

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from ipvsnl.backends.contract import Backend

ACKNOWLEDGED = NLM_F_REQUEST | NLM_F_ACK
DUMP = NLM_F_REQUEST | NLM_F_DUMP
UNACKNOWLEDGED = NLM_F_REQUEST
DUMP_TRIES = 5
"""How often a dump is read that changed meanwhile, or that the rest of an earlier one was in the way of."""
MOST_REPLIES = 64
"""Replies to a request that is no dump: the family's have one, a dump of daemons two."""
RECEIVE_BUFFER = 32768
"""Bytes offered to each receive: the kernel cuts the datagrams of a dump to what a socket was seen to offer."""
_SEQUENCES = 0xFFFFFFFF
_FLAGS_OFFSET = 6 if sys.byteorder == "little" else 7
"""Of the low byte of nlmsg_flags."""


class Sequence:
    """Sequence numbers of one link: 1 to 2^32-1, then 1 again (0 is what the kernel's own messages have)."""

    __slots__ = ("_last",)

    def __init__(self) -> None:
        self._last = 0

    @property
    def last(self) -> int:
        """The one used last."""
        return self._last

    def next(self) -> int:
        """The next one."""
        self._last = self._last % _SEQUENCES + 1
        return self._last

    def skip_to(self, following: int) -> None:
        """Others were used: ``following`` is the one that comes next."""
        self._last = following - 1 or (_SEQUENCES if self._last else 0)


def acknowledge(requests: bytearray, offset: int) -> None:
    """Ask for an acknowledgement of the request that begins at ``offset``: the last of a batch, which closes it."""
    requests[offset + _FLAGS_OFFSET] |= NLM_F_ACK


class Refusal:
    """One request that was refused: its sequence number, the errno, the kernel's own words where it sent any."""

    __slots__ = ("errno", "extack", "sequence")

    def __init__(self, sequence: int, errno: int, extack: str | None) -> None:
        self.sequence = sequence
        self.errno = errno
        self.extack = extack


class Exchange:
    """The answers to the requests of one send.

    ``sequences`` are ours; the exchange is ``finished`` when the last of them was answered finally: acknowledged,
    refused, or, for a dump, DONE. ``refusals`` are the refused ones in the order in which they were reported. A request has
    one final answer at most.
    """

    __slots__ = ("_answered", "_backend", "_closing", "_first", "_replies", "_requests", "finished", "refusals")

    def __init__(self, backend: Backend, first: int, closing: int) -> None:
        """Requests ``first`` to ``closing`` were sent, and ``closing`` asks for an acknowledgement or is a dump."""
        self._backend = backend
        self._first = first
        self._closing = closing
        self._requests = (closing - first) % _SEQUENCES + 1
        self._answered = 0
        self._replies: list[tuple[bytes, int, int]] = []
        self.finished = False
        self.refusals: list[Refusal] = []

    def feed(self, datagram: bytes) -> bool:
        """Take one datagram in, and say whether anything in it was ours; DecodeError for one that is no netlink."""
        ours = False
        for kind, flags, sequence, _, start, end in self._backend.split(datagram):
            if not self._ours(sequence):
                continue
            ours = True
            if kind >= NLMSG_MIN_TYPE:
                if len(self._replies) == MOST_REPLIES:
                    raise DecodeError(f"a request has more than {MOST_REPLIES} replies", start)
                self._replies.append((datagram, start, end))
            elif kind == NLMSG_ERROR:
                self._ended(sequence, start, *self._backend.decode_error(flags, datagram, start, end))
            elif kind == NLMSG_DONE:
                self._ended(sequence, start, *self._backend.decode_done(flags, datagram, start, end))
            elif kind == NLMSG_OVERRUN:
                raise DecodeError("the kernel says that it lost data (NLMSG_OVERRUN)", start)
        return ours

    def replies(self, group: str) -> Iterator[bytes]:
        """The records of all replies so far, in order, each read as ``group`` when it is asked for.

        DecodeError for a reply that names another command than a reply of the group.
        """
        decode, command = self._backend.decode, REPLY_COMMANDS[group]
        for datagram, start, end in self._replies:
            if start < end and datagram[start] != command:
                raise DecodeError(Fault.OTHER_REPLY, start)
            yield decode(group, datagram, start, end)

    def reply(self, group: str) -> bytes:
        """The record of the one reply; DecodeError where the request was acknowledged and there is none."""
        for record in self.replies(group):
            return record
        raise DecodeError("the request was acknowledged, but there was no reply to it")

    def family_id(self) -> int:
        """The family's number out of the controller's reply; DecodeError where there was none."""
        for datagram, start, end in self._replies:
            return self._backend.decode_family_id(datagram, start, end)
        raise DecodeError("the controller named no family")

    def _ours(self, sequence: int) -> bool:
        if self._first <= self._closing:
            return self._first <= sequence <= self._closing
        return sequence >= self._first or 0 < sequence <= self._closing

    def _ended(self, sequence: int, start: int, errno: int, message: str | None, _offset: int | None) -> None:
        if self._answered == self._requests:
            raise DecodeError(Fault.MANY_ANSWERS, start)
        self._answered += 1
        if errno:
            self.refusals.append(Refusal(sequence, errno, message))
        if sequence == self._closing:
            self.finished = True


class Reading:
    """A dump under way: its datagrams in, the records of all its replies out.

    It is ``finished`` with the ``errno`` that it ended with; ``changed`` says that what it reads changed meanwhile,
    so that it must be read again.
    """

    __slots__ = ("_backend", "_group", "_parts", "_sequence", "_size", "changed", "errno", "finished")

    def __init__(self, backend: Backend, group: str, sequence: int) -> None:
        self._backend = backend
        self._group = group
        self._sequence = sequence
        self._parts: list[bytes] = []
        self._size = self.errno = 0
        self.finished = self.changed = False

    def feed(self, datagram: bytes) -> bool:
        """Take one datagram in, and say whether it was progress; DecodeError as the backend says, LinkError for too many."""
        records, self.finished, self.errno, changed = self._backend.take_records(self._group, datagram, self._sequence)
        self.changed = self.changed or changed
        self._size += len(records)
        if self._size > contract.MOST_RECORDS:
            raise LinkError(EOVERFLOW, contract.TOO_MANY)
        if records:
            self._parts.append(records)
        return bool(records) or self.finished

    @property
    def records(self) -> bytes:
        """The records so far, one after the other."""
        return b"".join(self._parts)
