"""The way to a simulated kernel that is served on a Unix socket."""

from __future__ import annotations

import errno as _errno
import os
from sys import byteorder
from time import monotonic, sleep

from ipvsnl.consts import NLMSG_CONTROL, NLMSG_HEADER
from ipvsnl.errors import LinkError
from ipvsnl.wire.exchange import RECEIVE_BUFFER

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from typing import Any

    from ipvsnl.link.contract import Log

_POLL = 0.01
"""Seconds between two tries to connect."""


class UnixLink:
    """A simulated kernel behind a Unix socket (``ipvssim serve``): one connection is one netlink socket."""

    max_send = 1 << 17
    simulated = True

    def __init__(self, path: str, timeout: float = 5.0, log: Log | None = None) -> None:
        """Connect; LinkError where nothing serves there, or did not take the connection in ``timeout`` seconds.

        ``timeout`` is also how long a send waits for a peer that does not read. ``log`` gets the lines of the kernel's log
        that come while answers are received.
        """
        import _socket as socket

        if not hasattr(socket, "AF_UNIX") or not hasattr(socket, "SOCK_SEQPACKET"):
            raise LinkError(_errno.EAFNOSUPPORT, f"{path}: this system has no Unix sockets that keep datagrams whole")
        self._path = path
        self._timeout = timeout
        self._truncated = socket.MSG_TRUNC
        self._told: Callable[[str], object] | None = None
        self.place = f"unix:{os.path.realpath(path)}"
        try:
            self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        except OSError as wrong:
            raise LinkError(wrong.errno or 0, f"{path}: {wrong.strerror}") from wrong
        try:
            self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 2 * self.max_send)
            self._connect()
            self._offer()
        except OSError as wrong:
            self._socket.close()
            if isinstance(wrong, LinkError):
                raise
            raise LinkError(wrong.errno or 0, f"{path}: {wrong.strerror or wrong}") from wrong
        if log is not None:
            self._watch(*log)

    def _connect(self) -> None:
        """Try until there is room: one whose backlog is full says EAGAIN, and does not tell when it no longer is."""
        deadline = monotonic() + self._timeout
        self._socket.setblocking(False)
        while True:
            try:
                self._socket.connect(self._path)
                return
            except BlockingIOError:
                left = deadline - monotonic()
                if left <= 0:
                    words = f"{self._path} did not take a connection in {self._timeout:g} s"
                    raise LinkError(_errno.ETIMEDOUT, words) from None
                sleep(min(left, _POLL))

    @property
    def waitable(self) -> int | None:
        """The descriptor that is readable when there is something to receive; no conversation in C uses it."""
        return self._socket.fileno()

    def send(self, data: bytes) -> None:
        """See :class:`Link`; here the requests are executed some time before the answer to the last of them."""
        try:
            self._socket.settimeout(self._timeout)
            self._socket.send(data)
        except (TimeoutError, BlockingIOError):
            words = f"{self._path} did not read its requests for {self._timeout:g} s"
            raise LinkError(_errno.ETIMEDOUT, words) from None
        except OSError as wrong:
            raise LinkError(wrong.errno or 0, f"{self._path}: {wrong.strerror}") from wrong

    def receive(self, timeout: float) -> bytes:
        """See :class:`Link`. Lines of the log that come before it are told."""
        data = self._receive(timeout)
        if self._told is not None:
            while (line := self._line(data)) is not None:
                self._told(line)
                data = self._receive(timeout)
        return data

    def _receive(self, timeout: float) -> bytes:
        try:
            self._socket.settimeout(timeout)
            data, _, flags, _ = self._socket.recvmsg(RECEIVE_BUFFER)
        except (TimeoutError, BlockingIOError):
            raise LinkError(_errno.ETIMEDOUT, f"{self._path} did not answer in {timeout:g} s") from None
        except OSError as wrong:
            raise LinkError(wrong.errno or 0, f"{self._path}: {wrong.strerror}") from wrong
        if flags & self._truncated:
            raise LinkError(
                _errno.EMSGSIZE, f"{self._path}: a reply was longer than {RECEIVE_BUFFER} bytes and was cut"
            )
        if not data:
            raise LinkError(_errno.ECONNRESET, f"{self._path}: the simulated kernel has gone")
        return data

    def ask(self, **what: Any) -> Iterator[dict[str, Any]]:
        """Ask the served kernel for something besides netlink (:mod:`ipvssim.doors.control`), and give its answers, on a
        connection on which nothing else is under way. LinkError where it refuses, or does not answer."""
        import json

        self.send(_control(json.dumps(what)))
        more = True
        while more:
            answer = self._object(self.receive(self._timeout))
            if "error" in answer:
                raise LinkError(answer["error"], f"{self._path}: {answer['words']}")
            yield answer
            more = answer.get("more", False)

    def _object(self, datagram: bytes) -> dict[str, Any]:
        """What the server says beside netlink; LinkError where it is no JSON object."""
        from ipvsnl import _json

        try:
            found = _json.loads(datagram[NLMSG_HEADER:])
        except ValueError as wrong:
            raise LinkError(_errno.EBADMSG, f"{self._path}: an answer is no JSON: {wrong}") from None
        if not isinstance(found, dict):
            raise LinkError(_errno.EBADMSG, f"{self._path}: an answer is no JSON object")
        return found

    def _line(self, datagram: bytes) -> str | None:
        """The line of the log that a datagram holds; None where it is another one."""
        if int.from_bytes(datagram[4:6], byteorder) != NLMSG_CONTROL:
            return None
        line: str | None = self._object(datagram).get("line")
        return line

    def proc(self, name: str) -> Iterable[str]:
        """See :class:`Link`: they come by a connection of their own."""
        asking = UnixLink(self._path, self._timeout)
        try:
            for answer in asking.ask(proc=name):
                yield from answer["lines"]
        finally:
            asking.close()

    def _watch(self, level: int, told: Callable[[str], object]) -> None:
        try:
            list(self.ask(log=level))
        except BaseException:
            self.close()
            raise
        self._told = told

    def _offer(self) -> None:
        """Tell what each receive offers, so that datagrams of dumps are as long. There is no answer."""
        self._socket.setblocking(False)
        self._socket.send(_control(f'{{"offers":{RECEIVE_BUFFER}}}'))

    def close(self) -> None:
        """See :class:`Link`."""
        self._socket.close()


def _control(text: str) -> bytes:
    """A datagram of the second kind; its sequence number is nobody's request's."""
    from struct import pack

    data = text.encode()
    return pack("=IHHII", NLMSG_HEADER + len(data), NLMSG_CONTROL, 0, 0, 0) + data
