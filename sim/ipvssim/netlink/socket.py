"""A simulated netlink socket: requests in, the kernel's datagrams out, with its receive queue's limits.

``netlink_rcv_skb``, ``netlink_ack``, ``netlink_dump``, ``netlink_recvmsg`` of net/netlink/af_netlink.c and
``genl_rcv_msg`` of net/netlink/genetlink.c, Linux 6.1; memory accounting of x86-64.
"""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Iterable
from errno import EAGAIN, EBUSY, EINVAL, EMSGSIZE, ENOBUFS, ENODATA, ENOENT, EOPNOTSUPP, EPERM
from struct import Struct

from ipvsnl.consts import (
    CTRL_CMD_NEWFAMILY,
    GENL_HEADER,
    GENL_ID_CTRL,
    NLM_F_ACK,
    NLM_F_ACK_TLVS,
    NLM_F_CAPPED,
    NLM_F_DUMP,
    NLM_F_MULTI,
    NLM_F_REQUEST,
    NLMSG_DONE,
    NLMSG_ERROR,
    NLMSG_HEADER,
    NLMSG_MIN_TYPE,
)
from ipvssim.netlink import replies
from ipvssim.netlink.controller import Controller
from ipvssim.netlink.dumps import LARGEST_DUMP, SMALLEST_DUMP, Dump, reply_cost, truesize
from ipvssim.netlink.family import Family
from ipvssim.netlink.validation import Extack, refused_header
from ipvssim.state import procfs
from ipvssim.state.namespace import Namespace

FAMILY_ID = 28
"""The family's number where no other is asked for (the kernel gives them out as modules are loaded)."""
BUFFER = 212992
"""Default size of a socket's send and receive buffers in bytes."""
_HEADER = Struct("=IHHII")
_ACK = Struct("=IHHIIi")
_DONE = Struct("=IHHIIi")
_ACK_SIZE = NLMSG_HEADER + 4 + NLMSG_HEADER


class NetlinkSocket:
    """One generic-netlink socket in a namespace of the simulated kernel.

    ``privilege`` is ``root``, ``none``, or ``userns_root`` (root of a user namespace of its own); ``cap_ack`` and
    ``ext_ack`` are the socket options; ``rcvbuf`` and ``sndbuf`` are in bytes as the kernel reports them. Those four, the
    option ``no_enobufs`` and the port may be changed at any time. Sockets of one namespace may share a ``family``: what one
    of them was sent teaches it to read the like faster.
    """

    def __init__(
        self,
        namespace: Namespace,
        *,
        port: int = 1,
        cap_ack: bool = False,
        ext_ack: bool = False,
        privilege: str = "root",
        rcvbuf: int = BUFFER,
        sndbuf: int = BUFFER,
        family_id: int = FAMILY_ID,
        family: Family | None = None,
    ) -> None:
        self.namespace = namespace
        self._capable = privilege == "root"
        self._small_head = namespace.small_head
        self._checks_headers = namespace.behaviours.reserved_checked
        self._ack_cost = self._cost(_ACK_SIZE)
        self._family_id = family_id
        self._family = family if family is not None else Family(namespace)
        self._controller = Controller(namespace, family_id)
        self._queue: deque[tuple[bytes, int]] = deque()
        self.begin(port=port, cap_ack=cap_ack, ext_ack=ext_ack, rcvbuf=rcvbuf, sndbuf=sndbuf)

    def begin(self, *, port: int, cap_ack: bool, ext_ack: bool, rcvbuf: int, sndbuf: int) -> None:
        """Be as one that was made just now, of the same kernel and with the same privilege."""
        self.port = port
        self.cap_ack, self.ext_ack, self.rcvbuf, self.sndbuf = cap_ack, ext_ack, rcvbuf, sndbuf
        self.no_enobufs = False
        """Whether it keeps silent about answers that it lost (NETLINK_NO_ENOBUFS)."""
        self._queue.clear()
        self._used = self._error = self._longest_receive = 0
        self._congested = False
        self._dump: Dump | None = None

    # --- the socket ---

    def send(self, data: bytes) -> None:
        """Execute a datagram of requests; every answer that does not wait for a receive is queued when this returns.

        OSError: ENODATA for no bytes, EMSGSIZE for more than the send buffer takes (nothing is executed).
        """
        end = len(data)
        if not end:
            raise _failure(ENODATA)
        if end > self.sndbuf - 32:
            raise _failure(EMSGSIZE)
        at = 0
        family_id, fast, capable = self._family_id, self._family.fast, self._capable
        while end - at >= NLMSG_HEADER:
            length, kind, flags, sequence, _ = _HEADER.unpack_from(data, at)
            if length < NLMSG_HEADER or length > end - at:
                return
            error: int | None = 0
            if flags & NLM_F_REQUEST and kind >= NLMSG_MIN_TYPE:
                error = None
                if kind == family_id and capable and length > 20 and flags & NLM_F_DUMP != NLM_F_DUMP:
                    error = fast(data[at + NLMSG_HEADER], data, at, length)
                elif kind == GENL_ID_CTRL and flags & NLM_F_DUMP != NLM_F_DUMP:
                    error = self._told_before(data, at, length, sequence)
                if error is None:
                    self._slow(data, at, length, kind, flags, sequence)
                elif error or flags & NLM_F_ACK:
                    self._acknowledge(data, at, length, sequence, error, None)
            elif flags & NLM_F_ACK:
                self._acknowledge(data, at, length, sequence, 0, None)
            at += (length + 3) & ~3

    def recv(self, size: int) -> bytes:
        """The next datagram, cut at ``size`` bytes. BlockingIOError where there is none, OSError(ENOBUFS) once where
        some were lost."""
        return self.take(size)[:size]

    def take(self, room: int) -> bytes:
        """The next datagram whole, for a reader that offers ``room`` bytes; refusals are :meth:`recv`'s."""
        error = self.take_error()
        if error:
            raise _failure(error)
        if not self._queue:
            raise BlockingIOError(EAGAIN, os.strerror(EAGAIN))
        datagram, cost = self._queue.popleft()
        self._used -= cost
        self.offered(room)
        if not self._queue:
            self._congested = False
        return datagram

    def look(self, room: int) -> bytes:
        """As :meth:`take`, and the datagram stays where it is (MSG_PEEK). A dump goes on all the same."""
        error = self.take_error()
        if error:
            raise _failure(error)
        if not self._queue:
            raise BlockingIOError(EAGAIN, os.strerror(EAGAIN))
        self.offered(room)
        return self._queue[0][0]

    def put_back(self, datagram: bytes) -> None:
        """Let a datagram that was taken be the next again: its reader was interrupted before it had it."""
        cost = self._cost(len(datagram))
        self._queue.appendleft((datagram, cost))
        self._used += cost

    def _cost(self, length: int) -> int:
        return truesize(length, small_head=self._small_head)

    def take_error(self) -> int:
        """The errno that waits to be told, once (SO_ERROR); 0 for none."""
        error, self._error = self._error, 0
        return error

    @property
    def first(self) -> bytes | None:
        """The datagram that the next reader gets, unless an error comes before it; None where there is none."""
        return self._queue[0][0] if self._queue else None

    @property
    def plain_queue(self) -> deque[tuple[bytes, int]] | None:
        """The datagrams that wait, and what each costs; None where an error comes before them, or a dump goes on."""
        return None if self._error or self._dump is not None else self._queue

    @property
    def readable(self) -> bool:
        """Whether a reader would get something, an error included."""
        return bool(self._queue or self._error)

    def close(self) -> None:
        """Let go of what waits to be received."""
        self._queue.clear()
        self._dump = None

    def proc(self, name: str) -> Iterable[str]:
        """The lines of ``/proc/net/NAME`` in this namespace; FileNotFoundError where there is no such file."""
        return procfs.lines(self.namespace, name)

    # --- requests ---

    def _told_before(self, data: bytes, at: int, length: int, sequence: int) -> int | None:
        """Tell again of a family that was asked for in the same way before: 0. None where it was not."""
        body = self._controller.known(data, at, length)
        if body is not None:
            self._reply(CTRL_CMD_NEWFAMILY, sequence, GENL_ID_CTRL, body, Controller.VERSION)
        return None if body is None else 0

    def _reply(self, command: int, sequence: int, kind: int, body: bytes, version: int) -> None:
        message = replies.message(command, sequence, self.port, 0, kind, body, version)
        self._enqueue(message, reply_cost(len(message), small_head=self._small_head))

    def _slow(self, data: bytes, at: int, length: int, kind: int, flags: int, sequence: int) -> None:
        extack = Extack()
        error = self._dispatch(data, at, length, kind, flags, sequence, extack)
        if error is None:  # a dump was started: it answers for itself
            return
        if error or flags & NLM_F_ACK:
            self._acknowledge(data, at, length, sequence, error, extack)

    def _dispatch(
        self, data: bytes, at: int, length: int, kind: int, flags: int, sequence: int, extack: Extack
    ) -> int | None:
        target: Family | Controller
        if kind == self._family_id:
            target = self._family
        elif kind == GENL_ID_CTRL:
            target = self._controller
        else:
            return ENOENT
        if length < NLMSG_HEADER + GENL_HEADER:
            return EINVAL
        command = data[at + NLMSG_HEADER]
        if self._checks_headers and command > target.LAST_LENIENT and refused_header(data, at, flags, extack):
            return EINVAL
        if command not in target.OPERATIONS:
            return EOPNOTSUPP
        if target.ADMIN and not self._capable:
            return EPERM
        if flags & NLM_F_DUMP == NLM_F_DUMP:
            if command not in target.DUMPS:
                return EOPNOTSUPP
            if self._dump is not None:
                return EBUSY
            error = target.check_dump(command, data, at, length, extack)
            if error:
                return error
            self._dump = Dump(target, kind, command, sequence, bytes(data[at : at + length]))
            return self._continue_dump() or None
        if command in target.ONLY_DUMPS:
            return EOPNOTSUPP
        error, body, reply = target.execute(command, data, at, length, extack)
        if reply:
            self._reply(reply, sequence, kind, body, target.VERSION)
        return error

    def offered(self, room: int) -> None:
        """A reader offered so much room: datagrams of dumps may be as long from now on, and a dump goes on."""
        self._longest_receive = min(max(self._longest_receive, room), LARGEST_DUMP)
        if self._dump is not None and self._used <= self.rcvbuf // 2:
            self._error = self._continue_dump()

    def _continue_dump(self) -> int:
        """One more datagram of the dump that is under way; ENOBUFS where there is no room for one."""
        dump = self._dump
        assert dump is not None
        if self._used >= self.rcvbuf:
            return ENOBUFS
        room = max(SMALLEST_DUMP, self._longest_receive)
        phase = -room % 8 if self.namespace.padding else replies.UNPADDED
        datagram = dump.next(self.port, room, phase)
        if not datagram:
            self._dump = None
            words = dump.extack.encode(False, 0, False) if self.ext_ack else b""
            flags = NLM_F_MULTI | (NLM_F_ACK_TLVS if words else 0)
            datagram = _DONE.pack(_DONE.size + len(words), NLMSG_DONE, flags, dump.sequence, self.port, 0) + words
        cost = truesize(room)
        self._queue.append((datagram, cost))
        self._used += cost
        return 0

    # --- answers ---

    def _acknowledge(self, data: bytes, at: int, length: int, sequence: int, error: int, extack: Extack | None) -> None:
        echo = data[at : at + NLMSG_HEADER]
        flags = NLM_F_CAPPED
        if error and not self.cap_ack:
            flags = 0
            echo = data[at : at + length] + bytes(-length % 4)
        if extack is not None and self.ext_ack and (extack.message or extack.offset):
            words = extack.encode(error != 0, NLMSG_HEADER + 4 + len(echo), self.namespace.padding)
            if words:
                flags |= NLM_F_ACK_TLVS
                echo += words
        size = NLMSG_HEADER + 4 + len(echo)
        datagram = _ACK.pack(size, NLMSG_ERROR, flags, sequence, self.port, -error) + echo
        self._enqueue(datagram, self._ack_cost if size == _ACK_SIZE else self._cost(size))

    def _enqueue(self, datagram: bytes, cost: int) -> None:
        if not self._congested and (not self._used or self._used + cost <= self.rcvbuf):
            self._queue.append((datagram, cost))
            self._used += cost
        elif not self._congested and not self.no_enobufs:
            self._congested = True
            self._error = ENOBUFS


def _failure(error: int) -> OSError:
    return OSError(error, os.strerror(error))
