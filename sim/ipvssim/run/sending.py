"""What programs send to the kernel: ``sendto``, ``sendmsg`` and ``sendmmsg`` on their netlink sockets.

These calls are looked at, and not left to the Unix socket below, so that the answer lies ready when they return: a program
may poll without waiting.
"""

from __future__ import annotations

from collections.abc import Callable
from errno import EOPNOTSUPP
from struct import Struct

from ipvsnl.consts import GENL_ID_CTRL, NLM_F_DUMP, NLM_F_REQUEST, NLMSG_HEADER
from ipvssim.run import memory, messages
from ipvssim.run.calls import MSG_OOB
from ipvssim.run.endpoint import Endpoint
from ipvssim.run.notify import Call
from ipvssim.run.outcome import KEPT, PASS, Outcome, Undoable
from ipvssim.run.reach import Gate, gathered, message, read
from ipvssim.run.sockets import Sockets, name_of
from ipvssim.run.tracee import process_of

_INT = Struct("=i")
_TYPED = Struct("=IHH")
"""The beginning of struct nlmsghdr: length, type, flags."""
_NOTHING = bytes(_TYPED.size)
_MOST_MESSAGES = 1024

Datagram = tuple[bytes, bytes]
"""The bytes, and the name of the addressee (empty for none)."""


class Sending:
    """``answered`` is told of each socket that something was sent to."""

    def __init__(self, sockets: Sockets, gate: Gate, answered: Callable[[Endpoint], object]) -> None:
        self._sockets, self._gate, self._answered = sockets, gate, answered
        self._unheard: dict[int, tuple[tuple[int, ...], list[Datagram], int]] = {}
        """By thread: what was executed, and its caller was interrupted before it heard of it."""

    def sendto(self, call: Call) -> Outcome:
        """``sendto``."""
        endpoint = self._sockets.of(call)
        if endpoint is None:
            return PASS
        if call.a3 & MSG_OOB:
            return -EOPNOTSUPP
        datagram = self._gate.sent(call)
        if datagram is None:
            name = name_of(call, call.a4, call.a5)
            datagram = read(call.tid, call.a1, call.a2), name
            if not call.waits():  # it may be another's memory
                return KEPT
        return self._once(call, endpoint, [datagram])

    def sendmsg(self, call: Call) -> Outcome:
        """``sendmsg``."""
        endpoint = self._sockets.of(call)
        if endpoint is None:
            return PASS
        if call.a2 & MSG_OOB:
            return -EOPNOTSUPP
        datagram = self._gate.sent(call)
        if datagram is None:
            datagram = _outgoing(call, call.a1)
            if not call.waits():
                return KEPT
        return self._once(call, endpoint, [datagram])

    def sendmmsg(self, call: Call) -> Outcome:
        """``sendmmsg``: as many as go; an errno only where the first does not."""
        endpoint = self._sockets.of(call)
        if endpoint is None:
            return PASS
        if call.a3 & MSG_OOB:
            return -EOPNOTSUPP
        places = [call.a1 + index * messages.MANY_SIZE for index in range(min(call.a2 & 0xFFFFFFFF, _MOST_MESSAGES))]
        datagrams = [_outgoing(call, at) for at in places]
        lengths = [(at + messages.SIZE, _INT.pack(len(one[0]))) for at, one in zip(places, datagrams, strict=True)]
        if not call.waits():
            return KEPT
        memory.write(call.tid, lengths)
        return self._once(call, endpoint, datagrams, many=True)

    def _once(self, call: Call, endpoint: Endpoint, datagrams: list[Datagram], *, many: bool = False) -> Outcome:
        """Execute what is sent, once: a caller that was interrupted before it heard of it comes again with the same."""
        said = self._unheard.pop(call.tid, None) if self._unheard else None
        if said is not None and said[:2] == (call[7:], datagrams):
            return self._told(call, datagrams, said[2])
        self._sockets.worlds.tick(endpoint.world)
        done = 0
        for data, name in datagrams:
            learns = _may_be_known(data) and not endpoint.netlink.readable
            try:
                endpoint.send(data, name, lambda: process_of(call.tid)[1])
            except OSError:
                if not done:
                    raise
                break
            done += 1
            if learns and _TYPED.unpack_from(endpoint.netlink.first or _NOTHING)[1] == GENL_ID_CTRL:
                self._gate.learn(data, endpoint.netlink.plain_queue or ())
        self._answered(endpoint)
        return self._told(call, datagrams, done if many else len(datagrams[0][0]))

    def _told(self, call: Call, datagrams: list[Datagram], value: int) -> Undoable:
        """What the call returns; remembered where its caller does not hear of it."""

        def unheard() -> None:
            self._unheard[call.tid] = (call[7:], datagrams, value)

        return Undoable(value, unheard)


def _may_be_known(data: bytes) -> bool:
    """Whether a datagram is one question to the controller, whose answers are the same each time."""
    size, kind, flags = _TYPED.unpack_from(data) if len(data) >= NLMSG_HEADER else _TYPED.unpack(_NOTHING)
    return (
        size == len(data) and kind == GENL_ID_CTRL and bool(flags & NLM_F_REQUEST) and flags & NLM_F_DUMP != NLM_F_DUMP
    )


def _outgoing(call: Call, at: int) -> Datagram:
    """The datagram of a message header."""
    return gathered(call.tid, message(call.tid, at))
